"""The files that people take home: what each row holds, and that trainers' loaders read them."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import TEXTS, Project, agreeable, chunk, pair, says, talk

from generation_functions import export
from generation_functions.config import Config
from generation_functions.errors import RunError
from generation_functions.export import FILES
from generation_functions.models import Models

MODES = {
    "role-play": (),
    "greeting": ("EXPORT.GREETING=true",),
    "file names": ("SYSTEM.USE_FILENAMES=true",),
    "assistant": ("SYSTEM.ASSISTANT_MODE=true", "SYSTEM.FINAL_ASSISTANT_PROMPT_RAG='Use this: {data}'"),
    "pairs only": ("SKIP.CONVERSATION_GENERATION=true",),
}
ALWAYS = {
    "simplified_data.jsonl",
    "openai_messages.jsonl",
    "plain_qa.jsonl",
    "alpaca.jsonl",
    "pretraining.jsonl",
}
OF_CONVERSATIONS = {"master_list.jsonl", "processed_masterlist.json"}
OF_ASSISTANTS = {"simplified_data_rag.jsonl", "simplified_data_no_rag.jsonl"}
WRITTEN = {
    "role-play": ALWAYS | OF_CONVERSATIONS,
    "greeting": ALWAYS | OF_CONVERSATIONS,
    "file names": ALWAYS | OF_CONVERSATIONS,
    "assistant": ALWAYS | OF_CONVERSATIONS | OF_ASSISTANTS,
    "pairs only": ALWAYS | OF_ASSISTANTS,
}
UNFILLED = re.compile(r"\$\w+|\$\{|\{\w+\}")


@pytest.fixture(scope="module", params=MODES)
def exported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A mode, and the folder of a run that was done and exported in it."""
    project = Project(tmp_path_factory.mktemp("exported"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Models, "_made", lambda self, role: project.engine)
        with project.open(agreeable, *MODES[request.param]) as wb:
            wb.run()
            wb.export()
    yield request.param, project.run


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def texts(value: Any) -> Iterator[str]:
    """Every text in a row, however deep."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(part)


# Every mode


def test_each_mode_writes_its_files(exported: tuple[str, Path]) -> None:
    mode, run = exported
    assert {file.name for file in (run / "export").iterdir()} == WRITTEN[mode]


def test_conversations_alternate_from_human_to_gpt_after_one_system_message(
    exported: tuple[str, Path],
) -> None:
    mode, run = exported
    for file in (run / "export").glob("simplified_data*.jsonl"):
        for row in rows(file):
            assert set(row) == {"conversations"}
            assert all(set(turn) == {"from", "value"} for turn in row["conversations"])
            system, *roles = [turn["from"] for turn in row["conversations"]]
            greeting = roles[: len(roles) % 2]
            assert system == "system"
            assert greeting == (["gpt"] if mode == "greeting" else [])
            assert roles[len(greeting) :] == ["human", "gpt"] * (len(roles) // 2) != []


def test_messages_say_the_same_in_the_roles_of_openai(exported: tuple[str, Path]) -> None:
    _, run = exported
    roles = {"system": "system", "human": "user", "gpt": "assistant"}
    said = [
        {"messages": [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]]}
        for row in rows(run / "export" / "simplified_data.jsonl")
    ]
    assert rows(run / "export" / "openai_messages.jsonl") == said


def test_no_row_has_an_empty_value_or_a_name_left_unfilled(exported: tuple[str, Path]) -> None:
    _, run = exported
    for file in (run / "export").glob("*.jsonl"):
        for row in rows(file):
            row.pop("input", None)  # of Alpaca, where it is empty by its definition
            row = {k: v for k, v in row.items() if not k.startswith(("character", "scenario")) or v}
            for text in texts(row):
                assert text.strip(), file
                assert not UNFILLED.search(text), file


def test_every_file_loads_as_a_dataset_without_network(
    exported: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    import datasets

    datasets.disable_progress_bars()
    for file in (exported[1] / "export").iterdir():
        loaded = datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(tmp_path))
        written = rows(file) if file.suffix == ".jsonl" else json.loads(file.read_text(encoding="utf-8"))
        assert loaded.to_list() == written, file.name


def test_pairs_are_exported_with_where_they_stand_in_the_source(exported: tuple[str, Path]) -> None:
    _, run = exported
    plain = rows(run / "export" / "plain_qa.jsonl")
    assert len(plain) == 4
    for row in plain:
        assert TEXTS[row["source"]][row["start"] : row["end"]] == row["quotation"]
    asked = [(row["question"], row["answer"]) for row in plain]
    assert [(row["instruction"], row["output"]) for row in rows(run / "export" / "alpaca.jsonl")] == asked


def test_the_texts_themselves_are_exported_one_a_row(exported: tuple[str, Path]) -> None:
    _, run = exported
    assert [row["text"] for row in rows(run / "export" / "pretraining.jsonl")] == list(TEXTS.values())


def test_the_readable_files_hold_each_item_with_its_status(exported: tuple[str, Path]) -> None:
    mode, run = exported
    for step, name in FILES.items():
        found = rows(run / name)
        assert len({row["id"] for row in found}) == len(found)
        assert {row["status"] for row in found} <= {"kept"}
        assert bool(found) is not (mode == "pairs only" and step in ("cast", "converse"))


# What a conversation becomes

ONE = pair("Why does it keep?", "Salt draws water out of it.")
OTHER = pair("What did a ton cost?", "It cost:\n- 12 pounds", evidence=(2,))


def written(tmp_path: Path, *made: Any, pairs: Any = (ONE, OTHER), **settings: Any) -> Path:
    values = {name.replace("__", "."): value for name, value in settings.items()}
    export.datasets(tmp_path, Config(values, tmp_path), [ONE.chunk], pairs, made)
    return tmp_path


def test_roles_follow_the_speakers_and_the_greeting_is_left_out(tmp_path: Path) -> None:
    folder = written(tmp_path, talk(ONE, OTHER, greeting="Good day!"))
    (row,) = rows(folder / "simplified_data.jsonl")
    assert row["conversations"] == [
        {"from": "system", "value": "Name: Ines\n\nScenario: Ines salts fish while Bo looks on."},
        {"from": "human", "value": ONE.question},
        {"from": "gpt", "value": ONE.answer},
        {"from": "human", "value": OTHER.question},
        {"from": "gpt", "value": OTHER.answer},
    ]


def test_a_greeting_that_is_asked_for_comes_first(tmp_path: Path) -> None:
    folder = written(tmp_path, talk(ONE, greeting="Good day!"), EXPORT__GREETING=True)
    (row,) = rows(folder / "simplified_data.jsonl")
    assert [turn["from"] for turn in row["conversations"]] == ["system", "gpt", "human", "gpt"]
    assert row["conversations"][1]["value"] == "Good day!"


def test_assistant_rows_come_with_and_without_the_text(tmp_path: Path) -> None:
    prompts = {
        "SYSTEM__FINAL_ASSISTANT_PROMPT_NO_RAG": "Know it.",
        "SYSTEM__FINAL_ASSISTANT_PROMPT_RAG": "Read {data} twice: {data}",
    }
    folder = written(tmp_path, talk(ONE, card=""), SYSTEM__ASSISTANT_MODE=True, **prompts)
    (rag,), (without,) = (rows(folder / f"simplified_data_{name}.jsonl") for name in ("rag", "no_rag"))
    assert rag["conversations"][0]["value"] == f"Read {ONE.chunk.text} twice: {ONE.chunk.text}"
    assert without["conversations"][0]["value"] == "Know it."
    assert rag["conversations"][1:] == without["conversations"][1:]


def test_a_text_that_looks_like_a_placeholder_is_left_alone(tmp_path: Path) -> None:
    odd = pair("What is {data} for?", "It is for $text.", chunk("Templates say {data} and $text."))
    folder = written(tmp_path, talk(odd, card=""), pairs=[odd], SYSTEM__ASSISTANT_MODE=True)
    (row,) = rows(folder / "simplified_data_rag.jsonl")
    assert row["conversations"][0]["value"].endswith("Templates say {data} and $text.")
    assert [turn["value"] for turn in row["conversations"][1:]] == [odd.question, odd.answer]


def test_without_conversations_each_pair_is_one(tmp_path: Path) -> None:
    folder = written(tmp_path, SYSTEM__FINAL_ASSISTANT_PROMPT_NO_RAG="Know it.")
    first, _ = rows(folder / "simplified_data.jsonl")
    assert [turn["value"] for turn in first["conversations"]] == ["Know it.", ONE.question, ONE.answer]
    assert not (folder / "master_list.jsonl").exists()


def test_the_lineages_lists_name_what_they_hold(tmp_path: Path) -> None:
    folder = written(tmp_path, talk(ONE, OTHER, greeting="Good day!"))
    (row,) = rows(folder / "master_list.jsonl")
    (processed,) = json.loads((folder / "processed_masterlist.json").read_text(encoding="utf-8"))
    assert processed["conversation"][0] == "Ines: Good day!"
    assert row["conversation"] == "\n".join(processed["conversation"])
    assert row["qa_tuples"] == [[p.question, p.answer, p.chunk.text, p.chunk.source] for p in (ONE, OTHER)]
    assert (row["primary_name"], row["character"]) == ("Ines", "Name: Ines")
    assert (row["rag_context"], row["source_filename"]) == (ONE.chunk.text, ONE.chunk.source)


def test_files_of_another_mode_do_not_stay_behind(tmp_path: Path) -> None:
    written(tmp_path, talk(ONE, card=""), SYSTEM__ASSISTANT_MODE=True)
    (tmp_path / "my notes.txt").write_text("mine")
    written(tmp_path, talk(ONE))
    left = {file.name for file in tmp_path.iterdir()}
    assert left == ALWAYS | OF_CONVERSATIONS | {"my notes.txt"}


# How files are written


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    export.write_whole(file, "old")

    def broken(handle: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        export.write_whole(file, "new")
    assert (file.read_text(), [f.name for f in tmp_path.iterdir()]) == ("old", ["a.jsonl"])


def test_a_file_with_the_same_content_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    export.write_whole(file, "same")
    before = file.stat()
    export.write_whole(file, "same")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


# Nothing to export


LOSING = [
    (
        "judge_paragraph",
        says("Unsuitable", "It is an index."),
        "judge",
        "rejected: Unsuitable: It is an index.",
    ),
    ("write_pairs", "I cannot.", "write", "failed: Unparseable: at character 1, 'I cannot.'"),
    (
        "check_relevance",
        says("Irrelevant", "It adds a cause."),
        "vet",
        "rejected: relevance: It adds a cause.",
    ),
    (
        "make_standalone",
        says("Reject", "It needs the map."),
        "standalone",
        "rejected: Reject: It needs the map.",
    ),
    ("write_character", "Name:", "cast", "failed: Truncated"),
    ("write_conversation", "Hello", "converse", "failed: Unparseable"),
]


@pytest.mark.parametrize(("stage", "answer", "step", "shown"), LOSING, ids=[step for _, _, step, _ in LOSING])
def test_an_empty_result_says_which_step_lost_everything_and_shows_three(
    project: Project, stage: str, answer: str, step: str, shown: str
) -> None:
    project.write("raw_text_input/Third.txt", "Ice keeps fish for a week. It melts in May.")
    with project.open(lambda r: answer if r.stage == stage else agreeable(r)) as wb:
        wb.run()
        with pytest.raises(RunError) as raised:
            wb.export()
    message, *lost = str(raised.value).split("\n")
    assert message.startswith(f"There is nothing to export: {step} let nothing through (")
    assert len(lost) == 3
    assert all(line.strip().startswith(shown) for line in lost)
    assert not (project.run / "export").exists()


def test_a_run_that_was_not_begun_says_where_it_stands(project: Project) -> None:
    with project.open() as wb, pytest.raises(RunError, match="judge let nothing through .2 in: .* 2 pending"):
        wb.export()


def test_a_run_of_which_people_rejected_everything_says_so(finished: Project) -> None:
    with finished.open() as wb:
        for record in wb.standalone().records:
            wb.reject(record)
        wb.run()
        with pytest.raises(
            RunError, match="standalone let nothing through .4 in: 0 kept, 4 rejected"
        ) as raised:
            wb.export()
    assert str(raised.value).count("\n  rejected: ") == 3
