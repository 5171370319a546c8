"""The files that people take home: what each row holds, and that trainers' loaders read them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted import TEXTS, Project, agreeable, chunk, pair, says, talk

from generation_functions import export
from generation_functions.batch import Batch
from generation_functions.config import Config
from generation_functions.errors import RunError
from generation_functions.export import FILES
from generation_functions.files import write_whole
from generation_functions.items import Item, Records, each
from generation_functions.models import Models
from generation_functions.overlay import Overlay
from generation_functions.records import Act, Outcome
from generation_functions.store import Store

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
OF_CALLS = {"calls.jsonl"}  # and a second one where an answer could not be used
OF_CONVERSATIONS = {"master_list.jsonl", "processed_masterlist.json"}
OF_ASSISTANTS = {"simplified_data_rag.jsonl", "simplified_data_no_rag.jsonl"}
WRITTEN = {
    "role-play": ALWAYS | OF_CALLS | OF_CONVERSATIONS,
    "greeting": ALWAYS | OF_CALLS | OF_CONVERSATIONS,
    "file names": ALWAYS | OF_CALLS | OF_CONVERSATIONS,
    "assistant": ALWAYS | OF_CALLS | OF_CONVERSATIONS | OF_ASSISTANTS,
    "pairs only": ALWAYS | OF_CALLS | OF_ASSISTANTS,
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
            assert set(row) == {"conversations", "metadata"}
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
        {
            "messages": [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]],
            "metadata": row["metadata"],
        }
        for row in rows(run / "export" / "simplified_data.jsonl")
    ]
    assert rows(run / "export" / "openai_messages.jsonl") == said


def test_every_row_proves_its_answers_by_quotations_at_their_offsets(exported: tuple[str, Path]) -> None:
    """The same in every format; pretraining.jsonl holds the sources themselves."""
    _, run = exported
    proven = 0
    for file in (run / "export").glob("*.jsonl"):
        if file.name in ("pretraining.jsonl", "master_list.jsonl", *OF_CALLS) or "failed" in file.name:
            continue
        for row in rows(file):
            said = row["metadata"]
            source = TEXTS[said["source"]]
            assert said["evidence"], file
            for proof in said["evidence"]:
                assert said["start"] <= proof["start"] < proof["end"] <= said["end"]
                assert source[proof["start"] : proof["end"]] == proof["quotation"]
                proven += 1
    assert proven > 0


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
    for file in (exported[1] / "export").iterdir():
        written = rows(file) if file.suffix == ".jsonl" else json.loads(file.read_text(encoding="utf-8"))
        assert loaded(file, tmp_path, monkeypatch) == written, file.name


def loaded(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rows as Hugging Face's library reads them."""
    for name in ("HF_DATASETS_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(cache))
    import datasets

    datasets.disable_progress_bars()
    return datasets.load_dataset("json", data_files=str(file), split="train", cache_dir=str(cache)).to_list()


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


# What failed


def failed(step: str, *outcomes: Outcome) -> Batch:
    return Batch(step, [Item(chunk(f"Chunk {n} of {step}."), own) for n, own in enumerate(outcomes)])


KEPT, FAILED = Outcome("kept"), Outcome("failed", reason="Undecided: 1 of 3")


def test_what_failed_is_listed_with_its_cause_in_the_order_of_the_steps(tmp_path: Path) -> None:
    made = [failed("vet", KEPT, FAILED), failed("judge", FAILED)]
    file = export.failures(tmp_path, made)
    assert file == tmp_path / "failed.jsonl"
    keys = [made[1].items[0].input.key, made[0].items[1].input.key]
    assert rows(file) == [
        {"step": step, "key": key, "cause": "Undecided: 1 of 3"}
        for step, key in zip(("judge", "vet"), keys, strict=True)
    ]


def test_a_step_that_ends_leaves_the_failures_of_the_others(tmp_path: Path) -> None:
    export.failures(tmp_path, [failed("judge", FAILED), failed("vet", FAILED)])
    file = export.failures(tmp_path, [failed("judge", KEPT)])
    assert [row["step"] for row in rows(file or tmp_path)] == ["vet"]
    assert export.failures(tmp_path, [failed("vet", KEPT)]) is None
    assert list(tmp_path.iterdir()) == []


def test_a_run_lists_what_failed_until_it_passes(project: Project) -> None:
    with project.open(lambda r: "I cannot say." if r.stage == "check_question" else agreeable(r)) as wb:
        wb.run()
        listed = rows(wb.folder / "failed.jsonl")
        assert [row["step"] for row in listed] == ["vet"] * 4
        assert {row["key"] for row in listed} == {pair.key for pair in wb.write()}
        assert all(row["cause"].startswith("Undecided: check_question: 0 of 3 votes") for row in listed)
    with project.open() as wb:
        wb.run()
        assert not (wb.folder / "failed.jsonl").exists()


# The calls


def test_every_usable_answer_is_a_chat_with_its_stage_model_and_origin(finished: Project) -> None:
    with finished.open() as wb:
        wb.export()
        calls = wb._store._rows(
            "select stage, item, chunk, question, text from calls order by stage, input, draw"
        )
    chats = rows(finished.run / "export" / "calls.jsonl")
    assert [(c["stage"], c["item"], c["chunk"]) for c in chats] == [call[:3] for call in calls]
    for chat, (*_, question, text) in zip(chats, calls, strict=True):
        assert chat["model"] == "sample"
        system, *examples, asked, said = chat["messages"]
        assert system["role"] == "system"
        assert [message["role"] for message in examples] == ["user", "assistant"] * (len(examples) // 2)
        assert (asked, said) == (
            {"role": "user", "content": question},
            {"role": "assistant", "content": text},
        )


def test_an_unusable_answer_is_a_preference_for_the_one_that_came_after_it(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = iter(["I cannot say."])
    with project.open(lambda r: next(first, None) or agreeable(r)) as wb:
        wb.run()
        files = wb.export()
    (row,) = rows(files["calls_preferences.jsonl"])
    assert row["stage"] == "judge_paragraph"
    assert row["rejected"] == [{"role": "assistant", "content": "I cannot say."}]
    assert row["reason"].startswith("Unparseable: at character 1")
    chats = [
        one
        for one in rows(files["calls.jsonl"])
        if one["item"] == row["item"] and one["stage"] == row["stage"]
    ]
    assert [chat["messages"] for chat in chats] == [[*row["prompt"], *row["chosen"]]]
    assert loaded(files["calls_preferences.jsonl"], tmp_path, monkeypatch) == [row]


def test_preferences_without_a_row_are_not_there(finished: Project) -> None:
    folder = finished.run / "export"
    folder.mkdir()
    (folder / "calls_preferences.jsonl").write_text("of an earlier run")
    with finished.open() as wb:
        assert "calls_preferences.jsonl" not in wb.export()
    assert not (folder / "calls_preferences.jsonl").exists()


# What is not written again


def test_what_a_file_was_written_from_is_remembered(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = [chunk("Salt keeps."), chunk("It is old.")]
    records = Records([own.key for own in chunks], lambda start, stop: chunks[start:stop], "texts")
    written: list[Path] = []
    monkeypatch.setattr(
        export, "write_whole", lambda file, parts: written.append(file) or write_whole(file, parts)
    )
    with Store(finished.run) as store:
        judged = Batch("judge", each(records))
        for _ in range(2):
            file = export.readable(finished.run, judged, store)
        assert written == [file]
        export.readable(finished.run, Batch("judge", each(records, {0: "Unsuitable"})), store)
        export.readable(finished.run, judged, store)
        assert written == [file] * 3
        file.write_text("edited by hand")
        export.readable(finished.run, judged, store)
        file.unlink()
        export.readable(finished.run, judged, store)
        assert written == [file] * 5
        records.stamp = "edited texts"
        export.readable(finished.run, Batch("judge", each(records)), store)
        ruled = Overlay.of([Act("judge", chunks[0].key, "reject")])
        export.readable(finished.run, Batch("judge", each(records), ruled), store)
        assert written == [file] * 7
    assert [row["status"] for row in rows(file)] == ["rejected", "kept"]


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
