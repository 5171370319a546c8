"""A copy of the project in a folder of its own, and its commands run there as a person runs them.

    project = copy_of_project(tmp_path)
    done = command(project, "run", *SAMPLE)
    assert done.returncode == 0, done.stderr

Importing everything takes two seconds and more, so a command is forked from a process that has done it once. It
is `main` of the library in a process of its own, with its own exit code, output, signals and lock on the run.
"""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from generation_functions import config

ROOT = Path(__file__).parent.parent
PARTS = ("processing.ipynb", "config.yaml", "prompts", "raw_text_input")
SECONDS = 120  # for a command that hangs

# A run of a second that still has several items in every step.
SETTINGS = (
    "SYSTEM.MODE=sample",
    "SYSTEM.CHUNK_SIZE=500",
    "SYSTEM.SUBSET_SIZE=14",
    "SYSTEM.DOUBLE_CHECK_COUNTER=1",
)
SAMPLE = tuple(word for setting in SETTINGS for word in ("--set", setting))

# For servers that answer at random: what they say has nothing of the text. The sample engine's answers are not checked.
UNCHECKED = tuple(
    f"{setting.name}=false" for setting in config.SETTINGS if setting.name.startswith("CHECKS.")
)

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["generation_functions.__main__", "nltk.tokenize.punkt"])


def copy_of_project(folder: Path) -> Path:
    """The parts that people change, in folder/project; the library stays where it is."""
    project = folder / "project"
    project.mkdir()
    for part in PARTS:
        copy: Callable[..., Any] = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        copy(ROOT / part, project / part)
    return project


@dataclass(frozen=True)
class Done:
    """What a command left: `returncode` is minus the number of the signal that ended it, as in subprocess."""

    returncode: int
    stdout: str
    stderr: str


def command(project: Path, *arguments: str, first: Callable[[], None] | None = None) -> Done:
    """`python -m generation_functions ...` in the project's folder; `first` is called before it, over there."""
    outputs = project.parent / "stdout.txt", project.parent / "stderr.txt"
    process = _processes.Process(target=_run, args=(project, arguments, outputs, first))
    process.start()
    try:
        process.join(SECONDS)
        assert process.exitcode is not None, f"{arguments} did not end"
        return Done(process.exitcode, *(file.read_text(encoding="utf-8") for file in outputs))
    finally:
        process.kill()
        process.join()
        process.close()


def _run(project: Path, arguments: Sequence[str], outputs: Sequence[Path], first: Any) -> None:
    os.chdir(project)
    for number, file in enumerate(outputs, 1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, number)
    from generation_functions.__main__ import main

    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # ignored where the tests run in a shell's background
    if first:
        first()
    sys.exit(main(list(arguments)))


# What a run left behind


def exported(project: Path, run: str = "first") -> dict[str, bytes]:
    """All that a run exported, by the name of its file."""
    return _contents(project / "output" / run / "export")


def datasets(project: Path, run: str = "first") -> dict[str, bytes]:
    """The same but for the calls, which name the model."""
    return {n: content for n, content in exported(project, run).items() if not n.startswith("calls")}


def readable(project: Path, run: str = "first") -> dict[str, bytes]:
    """The readable files of a run's steps, by name."""
    return {n: c for n, c in _contents(project / "output" / run).items() if n.endswith(".jsonl")}


def _contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}


def journal(project: Path, run: str = "first") -> list[dict[str, Any]]:
    """Every call that a run has bought, in the order in which they came."""
    file = project / "output" / run / "run.db"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("select * from calls order by at")]


def set_parameters(notebook: Path, **values: Any) -> None:
    """Change what the notebook's parameters cell says, as a person would."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    [cell] = [c for c in document["cells"] if "parameters" in c["metadata"].get("tags", [])]
    lines = [line for line in cell["source"] if line.split(" = ")[0] not in values]
    lines[-1] = lines[-1].rstrip("\n") + "\n"
    cell["source"] = lines + [f"{name} = {value!r}\n" for name, value in values.items()]
    notebook.write_text(json.dumps(document), encoding="utf-8")


def cells(notebook: Path) -> dict[str, str]:
    """The source of each code cell, by its id, in the order of the notebook."""
    document = json.loads(notebook.read_text(encoding="utf-8"))
    return {c["id"]: "".join(c["source"]) for c in document["cells"] if c["cell_type"] == "code"}


def jupyter_environment(folder: Path) -> dict[str, str]:
    """The environment for kernels and servers that neither read nor write what the person at this machine has."""
    places = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    own = {f"JUPYTER_{place}": str(folder / "jupyter" / place) for place in places}
    lab = {f"JUPYTERLAB_{place}_DIR": str(folder / "lab" / place) for place in ("SETTINGS", "WORKSPACES")}
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **own, **lab, "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": path}
