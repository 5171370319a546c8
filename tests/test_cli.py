"""python -m generation_functions: the house without Jupyter, and one readable error for whatever is wrong."""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_server import KEY, FakeServer
from house import (
    SAMPLE,
    SECONDS,
    SETTINGS,
    Done,
    command,
    copy_of_project,
    exported,
    journal,
    jupyter_environment,
    readable,
    set_parameters,
)

from generation_functions import STEPS


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_project(tmp_path)


def in_a_shell(project: Path, *arguments: str) -> Done:
    """The command as it is typed, in an interpreter of its own that takes warnings for errors."""
    words = [sys.executable, "-W", "error::ResourceWarning", "-m", "generation_functions", *arguments]
    environment = jupyter_environment(project.parent)
    done = subprocess.run(
        words, cwd=project, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    return Done(done.returncode, done.stdout, done.stderr)


def test_run_prints_the_ledger_and_the_files_and_says_how_far_it_is(project: Path, undisturbed: Path) -> None:
    done = in_a_shell(project, "run", *SAMPLE)
    assert done.returncode == 0, done.stderr
    assert exported(project) == exported(undisturbed)
    ledger, usage, files = done.stdout.split("\n\n")
    for name, row in zip(STEPS, ledger.splitlines()[1:], strict=True):
        step, taken, *became, _ = row.split()
        assert step == name
        assert int(taken) == sum(map(int, became))
        assert int(taken) > 1, "each step should have several items here: change SETTINGS in tests/house.py"
    *_, total, cache = usage.splitlines()
    assert int(total.split()[1]) == len(journal(project))
    assert cache == f"{total.split()[4]} of the prompts' tokens came from the cache"
    assert sorted(Path(file).name for file in files.split()) == sorted([*exported(project), "report.html"])
    assert all(Path(file).is_file() for file in files.split())
    assert done.stderr.splitlines()[-1].startswith("converse: ")
    assert all(re.match(r"\w+: \d+ of \d+ done \(", line) for line in done.stderr.splitlines())


def test_the_notebook_makes_the_same_files(project: Path, undisturbed: Path) -> None:
    set_parameters(project / "processing.ipynb", RUN="by-notebook", CHANGES=list(SETTINGS))
    done = in_a_shell(project, "notebook")
    assert done.returncode == 0, done.stdout + done.stderr
    assert exported(project, "by-notebook") == exported(undisturbed)
    assert readable(project, "by-notebook") == readable(undisturbed)
    for step in STEPS:
        assert re.search(rf"^{step}: \d+ in: ", done.stdout, re.M), step
    assert "simplified_data.jsonl" in done.stdout


def test_a_second_run_buys_nothing_and_touches_nothing(project: Path, undisturbed: Path) -> None:
    shutil.copytree(undisturbed / "output", project / "output")
    before = {file: file.stat().st_mtime_ns for file in (project / "output").rglob("*.json*")}
    bought = journal(project)
    done = command(project, "run", *SAMPLE)
    assert done.returncode == 0, done.stderr
    assert journal(project) == bought
    assert {file: file.stat().st_mtime_ns for file in (project / "output").rglob("*.json*")} == before
    assert exported(project) == exported(undisturbed)


def test_a_run_that_is_done_loads_no_model(project: Path, undisturbed: Path) -> None:
    shutil.copytree(undisturbed / "output", project / "output")
    (project / "model.gguf").write_bytes(b"no model at all")
    local = ("--set", "SYSTEM.MODE=local", "--set", "API.LOGICAL_MODEL=model.gguf")
    done = command(project, "run", *SAMPLE, *local)
    assert done.returncode == 0, done.stderr
    assert "loading" not in done.stderr
    assert exported(project) == exported(undisturbed)


JUDGE = """
system: Say yes if the text teaches something, no if it does not, and why.
examples:
  - values: {text: Salt keeps fish from spoiling.}
    answer: "yes: it says what salt does"
item: $text
grammar: |
  root    ::= verdict ": " reason
  verdict ::= "yes" | "no"
  reason  ::= [a-z ]{5,60}
pass: "yes"
sampling: {temperature: 0, max_tokens: 40}
"""


def test_a_prompts_folder_replaces_one_stage_format_and_all(project: Path) -> None:
    (project / "mine").mkdir()
    (project / "mine" / "judge_paragraph.yaml").write_text(JUDGE)
    done = command(project, "run", *SAMPLE, "--set", "PATH.PROMPTS=./mine")
    assert done.returncode == 0, done.stderr
    judged = [call["text"] for call in journal(project) if call["stage"] == "judge_paragraph"]
    assert all(re.fullmatch(r"(yes|no): [a-z ]+", text) for text in judged)
    rows = map(json.loads, readable(project)["worthy_for_questions.jsonl"].splitlines())
    kept = [row["status"] == "kept" for row in rows]
    assert 0 < sum(kept) == sum(text.startswith("yes") for text in judged) < len(kept)
    assert "simplified_data.jsonl" in exported(project)


def test_export_writes_again_what_is_gone(project: Path, undisturbed: Path) -> None:
    shutil.copytree(undisturbed / "output", project / "output")
    shutil.rmtree(project / "output" / "first" / "export")
    with held(project):
        done = command(project, "export", *SAMPLE)
    assert done.returncode == 0, done.stderr
    assert exported(project) == exported(undisturbed)
    assert sorted(Path(file).name for file in done.stdout.split()) == sorted(
        [*exported(project), "report.html"]
    )


def test_status_shows_how_far_a_run_is_and_changes_nothing(project: Path, undisturbed: Path) -> None:
    shutil.copytree(undisturbed / "output", project / "output")
    with held(project):
        before = contents(project)
        done = command(project, "status", *SAMPLE)
        after = contents(project)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1 : len(STEPS) + 1]] == list(STEPS)
    assert re.search(r"^judge: \d+ x Unsuitable$", done.stdout, re.M)
    assert after == before


def contents(project: Path) -> dict[Path, bytes]:
    """Every file of the runs but those that SQLite needs to read one."""
    files = (file for file in (project / "output").rglob("*") if file.is_file())
    return {file: file.read_bytes() for file in files if not file.name.startswith("run.db-")}


@contextmanager
def held(project: Path) -> Iterator[None]:
    """The run as a notebook holds it that is open elsewhere."""
    (project / "output" / "first").mkdir(parents=True, exist_ok=True)
    with (project / "output" / "first" / "run.lock").open("w") as lock:
        lock.write(str(os.getpid()))
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_doctor_looks_at_everything_and_asks_each_model_once(project: Path) -> None:
    arguments = ("--set", "SYSTEM.MODE=api", "--set", f"API.API_KEY={KEY}", "--set", "API.GRAMMAR=llama.cpp")
    models = ("--set", "API.LOGICAL_MODEL=small-one", "--set", "API.LARGE_LOGICAL_MODEL=large-one")
    with FakeServer() as server:
        done = command(project, "doctor", *arguments, *models, "--set", f"API.BASE_URL={server.url}")
    assert done.returncode == 0, done.stderr
    assert [body["model"] for body in server.calls] == ["small-one", "large-one"]
    for said in ("config.yaml: ", "prompts: 14 stages", "texts: chunks: ", "small model", "large model"):
        assert said in done.stdout
    assert KEY not in done.stdout + done.stderr


def test_input_and_output_are_relative_to_where_the_command_is_given(
    project: Path, undisturbed: Path
) -> None:
    """Those of config.yaml, in contrast, are relative to that file."""
    shutil.move(project / "raw_text_input", project / "it's here")
    elsewhere = project / "else"
    elsewhere.mkdir()
    arguments = ("--config", "../config.yaml", "--input", "../it's here", "--output", "runs: two")
    done = in_a_shell(elsewhere, "run", *SAMPLE, *arguments)
    assert done.returncode == 0, done.stderr
    (elsewhere / "runs: two").rename(project / "output")
    assert exported(project) == exported(undisturbed)


# Bad input: one readable error, exit code 1, nothing half-written


def refused(project: Path, *arguments: str, run: Callable[..., Done] = command) -> str:
    """The one error that a run ends with."""
    done = run(project, "run", *arguments)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    first, *others = re.split(r"^(?=\w+Error: )", done.stderr, flags=re.M)
    assert all(re.match(r"\w+: \d+ of \d+ done |loading ", line) for line in first.splitlines())
    [error] = others
    assert "Traceback" not in done.stderr
    assert 20 < len(error) < 1500
    assert not list(project.rglob("export"))
    assert not [file for file in project.rglob(".*") if file.is_file()]
    return error


BAD_SETTINGS = {
    "a folder that is missing": (["PATH.INPUT=./nowhere"], "ConfigError: PATH.INPUT: "),
    "an unknown key": (
        ["SYSTEM.DOUBLE_CHEK_COUNTER=3"],
        "SYSTEM.DOUBLE_CHEK_COUNTER is not a setting; did you mean SYSTEM.DOUBLE_CHECK_COUNTER?",
    ),
    "a wrong type": (["SYSTEM.CHUNK_SIZE=big"], "SYSTEM.CHUNK_SIZE must be a whole number"),
    "a number out of range": (["SYSTEM.SUBSET_SIZE=0"], "SYSTEM.SUBSET_SIZE must be from 1 to "),
    "a word that is none of the allowed": (["SYSTEM.MODE=lokal"], "SYSTEM.MODE must be one of local, api"),
    "a change that is none": (["SYSTEM.MODE"], "a change is written SECTION.KEY=value"),
    "a variable that is not there": (["API.API_KEY=${NO_SUCH_KEY}"], "API.API_KEY reads ${NO_SUCH_KEY}"),
    "an unknown model path": (
        ["SYSTEM.MODE=local", "API.LOGICAL_MODEL=logical_models/nope.gguf"],
        "ConfigError: API.LOGICAL_MODEL: there is no model file ",
    ),
    "no model": (["SYSTEM.MODE=api", "API.LOGICAL_MODEL="], "API.LOGICAL_MODEL is empty"),
    "no address": (["SYSTEM.MODE=api"], "API.BASE_URL is empty"),
    "an address that is none": (["SYSTEM.MODE=api", "API.BASE_URL=localhost:80"], "is no address"),
    "a prompts folder that is missing": (
        ["PATH.PROMPTS=./no", "PATH.DEFAULT_PROMPTS=./nope"],
        "PromptError: neither ",
    ),
}


@pytest.mark.parametrize("bad", BAD_SETTINGS)
def test_a_setting_that_cannot_be_is_refused_before_anything_is_made(project: Path, bad: str) -> None:
    changes, says = BAD_SETTINGS[bad]
    error = refused(project, *SAMPLE, *(word for change in changes for word in ("--set", change)))
    assert says in error
    assert error.count("\n") == 1
    assert not (project / "output").exists()


def test_an_error_reads_the_same_in_a_shell(project: Path) -> None:
    error = refused(project, *SAMPLE, "--input", "nowhere", run=in_a_shell)
    assert str(project / "nowhere") in error
    assert not (project / "output").exists()


BAD_FILES: dict[str, tuple[str, bytes | None, str]] = {
    "no config.yaml": ("config.yaml", None, "config.yaml is not there"),
    "a config.yaml that is no YAML": ("config.yaml", b"API: [\n", "is not readable as YAML"),
    "a config.yaml without sections": ("config.yaml", b"- API\n", "must hold sections such as SYSTEM"),
    "a stage file that is missing": ("prompts/check_accuracy.yaml", None, "check_accuracy.yaml is not there"),
    "a stage file that is no YAML": ("prompts/check_accuracy.yaml", b"item: [\n", "not readable as YAML"),
    "traits that are none": ("prompts/traits.yaml", b"axes: 3\n", "axes must hold a list"),
}


@pytest.mark.parametrize("bad", BAD_FILES)
def test_a_file_that_cannot_be_read_is_named(project: Path, bad: str) -> None:
    name, content, says = BAD_FILES[bad]
    (project / name).unlink()
    if content is not None:
        (project / name).write_bytes(content)
    error = refused(project, *SAMPLE)
    assert says in error
    assert Path(name).name in error
    assert not (project / "output").exists()


def test_a_folder_without_a_readable_text_says_why_of_each_file(project: Path) -> None:
    shutil.rmtree(project / "raw_text_input")
    folder = project / "raw_text_input" / "deep"
    folder.mkdir(parents=True)
    (folder / "picture.txt").write_bytes(bytes(range(256)) * 8)
    (folder / "nothing.md").write_bytes(b"")
    (folder / "book.pdf").write_bytes(b"%PDF-1.7")
    error = refused(project, *SAMPLE)
    assert error.startswith("ConfigError: PATH.INPUT: ")
    for name in ("deep/picture.txt", "deep/nothing.md", "deep/book.pdf"):
        assert name in error
    assert not (project / "output").exists()


def test_a_server_that_is_not_there_is_named_with_what_to_look_at(project: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        where = ("--set", "SYSTEM.MODE=api", "--set", f"API.BASE_URL={url}")
        error = refused(project, *SAMPLE, *where)
    assert f"EngineError: {url} cannot be reached" in error
    assert "API.BASE_URL" in error
    assert not journal(project)


def test_a_wrong_key_is_said_without_the_key(project: Path) -> None:
    with FakeServer() as server:
        where = ("--set", "SYSTEM.MODE=api", "--set", f"API.BASE_URL={server.url}")
        error = refused(project, *SAMPLE, *where, "--set", "API.API_KEY=sk-of-last-year")
        assert not server.calls
    assert "answers 401" in error
    assert "Is API.API_KEY right?" in error
    assert "sk-of-last-year" not in error


def test_a_context_that_is_too_small_is_said_before_the_first_answer(project: Path, model_path: Path) -> None:
    local = ("--set", "SYSTEM.MODE=local", "--set", f"API.LOGICAL_MODEL={model_path.absolute()}")
    error = refused(project, *SAMPLE, *local, "--set", "LOCAL.CONTEXT=512")
    assert error.startswith("EngineError: ")
    assert "LOCAL.CONTEXT" in error
    assert not journal(project)


def test_a_model_file_that_is_none_is_said(project: Path) -> None:
    (project / "model.gguf").write_bytes(b"<html>404</html>")
    error = refused(project, *SAMPLE, "--set", "SYSTEM.MODE=local", "--set", "API.LOGICAL_MODEL=model.gguf")
    assert "model.gguf is not a GGUF model" in error
    assert not journal(project)


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden", ""])
def test_a_run_is_named_by_one_plain_word(project: Path, name: str) -> None:
    assert "cannot name a run" in refused(project, *SAMPLE, f"--run={name}")


def test_a_run_that_another_process_holds_is_left_alone(project: Path) -> None:
    with held(project):
        error = refused(project, *SAMPLE)
    assert f"is held by process {os.getpid()}" in error
    assert [file.name for file in (project / "output" / "first").iterdir()] == ["run.lock"]


def test_a_folder_that_is_no_run_is_left_alone(project: Path) -> None:
    run = project / "output" / "first"
    run.mkdir(parents=True)
    (run / "run.db").write_bytes(b"my own database" * 100)
    assert "is not a run of Gristmill" in refused(project, *SAMPLE)
    assert (run / "run.db").read_bytes() == b"my own database" * 100


def test_an_output_folder_that_cannot_be_made_is_named(project: Path) -> None:
    (project / "output").write_text("a file of that name")
    assert "output/first cannot be written" in refused(project, *SAMPLE)


@pytest.mark.parametrize("asked", ["status", "export"])
def test_a_run_that_is_not_there_is_not_made_by_looking(project: Path, asked: str) -> None:
    done = command(project, asked, *SAMPLE, "--run", "frist")
    assert done.returncode == 1
    assert re.match(r"RunError: .*frist", done.stderr)
    assert not (project / "output").exists()


def test_a_run_that_lets_nothing_through_says_where_it_was_lost(project: Path) -> None:
    text = project / "raw_text_input"
    shutil.rmtree(text)
    text.mkdir()
    (text / "one.txt").write_text("Salt keeps fish from spoiling. It draws the water out.\n")
    error = refused(project, *SAMPLE, "--set", "SYSTEM.DOUBLE_CHECK_COUNTER=15")
    assert re.match(r"RunError: There is nothing to export: \w+ let nothing through \(1 in: ", error)


def test_a_notebook_that_fails_ends_with_its_error(project: Path) -> None:
    set_parameters(project / "processing.ipynb", CHANGES=["SYSTEM.MODE=lokal"])
    done = in_a_shell(project, "notebook")
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert len(re.findall(r"^ConfigError: .*SYSTEM.MODE must be one of", said, re.M)) == 1
    assert "Traceback" not in said
    assert not (project / "output").exists()


def test_a_notebook_that_is_none_is_named(project: Path) -> None:
    done = command(project, "notebook", "config.yaml")
    assert done.returncode == 1
    assert re.match(r"RunError: config.yaml is not a readable notebook: ", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [(), ("rnu",), ("run", "--colour")])
def test_a_command_that_is_none_is_explained(project: Path, words: tuple[str, ...]) -> None:
    done = command(project, *words)
    assert done.returncode == 2
    assert "usage: python -m generation_functions" in done.stderr
