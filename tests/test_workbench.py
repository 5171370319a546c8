"""The whole flow on a small project: what is done again, what is not, and what is said about it."""

import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
import yaml
from house import UNCHECKED
from scripted import (
    PROMPTS,
    ROOT,
    TEXTS,
    Answer,
    Project,
    agreeable,
    choosy,
    chunk,
    like_pairs,
    sampled,
    says,
)

from generation_functions import STEPS, Workbench, steps
from generation_functions.background import Background
from generation_functions.engine import Completion, Request
from generation_functions.errors import ConfigError, EngineError, Paused, PromptError, RunError
from generation_functions.step import Progress

PAIR_STAGES = ["check_question", "check_relevance", "check_accuracy"]
CAST_STAGES = ["plan_character", "write_character", "plan_scenario", "write_scenario"]


def files_of(run: Path) -> dict[str, str]:
    """What a person can read of a run: a digest of each file but the database."""
    found = [*run.glob("*.jsonl"), *run.glob("export/*")]
    return {str(file.relative_to(run)): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def everything(project: Project, answers=agreeable, *changes: str) -> list[str]:
    """Run and export; the stages that were asked."""
    with project.open(answers, *changes) as wb:
        wb.run()
        wb.export()
    return project.engine.stages()


def notes(wb: Workbench) -> set[str]:
    return {note for batch in wb.status() for note in batch.notes}


# What is done again


def test_a_run_that_is_done_asks_nothing_and_writes_nothing(project: Project) -> None:
    assert everything(project)
    before = {file: file.stat().st_mtime_ns for file in project.run.rglob("*.json*")}
    assert everything(project) == []
    assert {file: file.stat().st_mtime_ns for file in project.run.rglob("*.json*")} == before
    assert before


def test_two_runs_are_the_same_however_many_calls_are_in_flight(project: Project) -> None:
    made = []
    for limit in (1, 16):
        shutil.rmtree(project.run, ignore_errors=True)
        everything(project, choosy, f"SYSTEM.CONCURRENCY_LIMIT={limit}", "SYSTEM.DOUBLE_CHECK_COUNTER=1")
        made.append(files_of(project.run))
    assert made[0] == made[1]
    assert "export/simplified_data.jsonl" in made[0]


def test_a_new_text_is_all_that_is_worked_on(finished: Project) -> None:
    finished.write("raw_text_input/Ice.txt", "Ice keeps fish for a week. It melts in May.")
    asked = everything(finished)
    assert Counter(asked) == {
        **dict.fromkeys(("judge_paragraph", "write_pairs", "write_conversation"), 1),
        "make_standalone": 2,
        **dict.fromkeys(PAIR_STAGES, 4),
        **dict.fromkeys(CAST_STAGES, 1),
    }
    assert all("Ice keeps fish" in r.prompt for r in finished.engine.asked if r.stage in PAIR_STAGES)


def test_an_edited_text_makes_just_what_stands_on_it_pending(finished: Project) -> None:
    with finished.open() as wb:
        before = {batch.name: batch.records for batch in wb.status()}
    file, text = next(iter(TEXTS.items()))
    finished.write(f"raw_text_input/{file}", text.replace("barrel", "keg"))
    with finished.open() as wb:
        assert [batch.ledger.pending for batch in wb.status()] == [0, 1, 0, 0, 0, 0, 0, 0]
        wb.run()
        for batch in wb.status():
            kept = [record for record in before[batch.name] if _source(record) != file]
            assert [record for record in batch.records if _source(record) != file] == kept
        assert all(
            "keg" in r.prompt for r in finished.engine.asked if r.stage in ("judge_paragraph", *PAIR_STAGES)
        )
        assert len(wb.converse()) == 2


def _source(record) -> str:
    for name in ("cast", "group", "chunk"):
        record = getattr(record, name, record)
    return record.source


def test_a_text_that_is_gone_and_comes_back_costs_nothing(finished: Project) -> None:
    before = everything(finished) or files_of(finished.run)
    file, text = next(iter(TEXTS.items()))
    (finished.folder / "raw_text_input" / file).unlink()
    assert everything(finished) == []
    assert files_of(finished.run) != before
    finished.write(f"raw_text_input/{file}", text)
    assert everything(finished) == []
    assert files_of(finished.run) == before


def test_a_step_that_broke_off_goes_on_and_buys_nothing_twice(project: Project) -> None:
    everything(project, choosy, "SYSTEM.DOUBLE_CHECK_COUNTER=1")
    whole, calls = files_of(project.run), sorted(project.engine.stages())
    shutil.rmtree(project.run)
    bought: list[str] = []
    for limit in range(1, 200):
        try:
            everything(project, breaking_after(limit % 7 + 1), "SYSTEM.DOUBLE_CHECK_COUNTER=1")
        except EngineError:
            bought += project.engine.stages()[: limit % 7 + 1]
            continue
        bought += project.engine.stages()
        break
    assert files_of(project.run) == whole
    assert sorted(bought) == calls


def breaking_after(count: int):
    """Answers of an engine that breaks down after so many of them."""
    left = iter(range(count))

    def answer(request: Request):
        return EngineError("out of memory") if next(left, None) is None else choosy(request)

    return answer


def test_a_failed_item_is_asked_for_again_and_a_rejected_one_is_not(project: Project) -> None:
    answers = {TEXTS["Salt, by A. Reed.txt"]: "I cannot say.", TEXTS["deep/Smoke.md"]: says("Unsuitable")}
    with project.open(
        lambda r: next(a for text, a in answers.items() if text in r.messages[-1].content)
    ) as wb:
        assert str(wb.judge().ledger) == "2 in: 0 kept, 1 rejected, 1 failed"
    with project.open() as wb:
        assert str(wb.judge().ledger) == "2 in: 1 kept, 1 rejected, 0 failed"
        assert len(project.engine.asked) == 1


# What an older prompt, model or setting made


def with_another_prompt(project: Project, name: str) -> str:
    """The setting of a PROMPTS folder where one stage has other words."""
    data = yaml.safe_load((PROMPTS / f"{name}.yaml").read_text(encoding="utf-8"))
    project.write(f"own/{name}.yaml", yaml.safe_dump({**data, "system": f"{data['system']} Be brief."}))
    return f"PATH.PROMPTS={project.folder / 'own'}"


def older(count: int, of: int) -> str:
    return f"{count} of {of} were made by an older prompt, model or setting; again=True redoes them"


def test_a_changed_prompt_is_noticed_and_nothing_is_redone_unasked(finished: Project) -> None:
    changed = with_another_prompt(finished, "check_accuracy")
    with finished.open(agreeable, changed) as wb:
        wb.run()
        assert finished.engine.stages() == []
        noted = {batch.name: batch.notes for batch in wb.status() if batch.notes}
        assert noted == {"vet": (older(4, 4),), "standalone": (older(4, 4),)}


def test_again_redoes_what_is_older_with_the_new_prompt_alone(finished: Project) -> None:
    changed = with_another_prompt(finished, "judge_paragraph")
    with finished.open(agreeable, changed) as wb:
        judged = wb.judge(again=True)
        assert finished.engine.stages() == ["judge_paragraph"] * 2
        assert all("Be brief." in request.prompt for request in finished.engine.asked)
        assert judged.notes == ()
        wb.judge(again=True)
        assert len(finished.engine.asked) == 2


def test_a_new_text_among_older_items_is_counted_apart(finished: Project) -> None:
    changed = with_another_prompt(finished, "judge_paragraph")
    finished.write("raw_text_input/Ice.txt", "Ice keeps fish for a week. It melts in May.")
    with finished.open(agreeable, changed) as wb:
        assert wb.judge().notes == (older(2, 3),)


@pytest.mark.parametrize(
    ("setting", "steps"),
    [
        ("SYSTEM.DOUBLE_CHECK_COUNTER=5", {"vet", "standalone"}),
        ("SYSTEM.VOTING=probability", {"vet", "standalone"}),
        ("SYSTEM.PASS_PROBABILITY=0.7", {"vet", "standalone"}),
        ("SYSTEM.PAIRS_PER_CHUNK=1", {"write"}),
        ("SYSTEM.ASSISTANT_MODE=true", {"cast", "converse"}),
        ("SYSTEM.CONVERSATION_QUOTES=free", {"converse"}),
        ("SYSTEM.CONCURRENCY_LIMIT=2", set()),
        ("EXPORT.GREETING=true", set()),
    ],
)
def test_a_changed_setting_is_noticed_where_it_counts(
    finished: Project, setting: str, steps: set[str]
) -> None:
    with finished.open(agreeable, setting) as wb:
        wb.run()
        assert {batch.name for batch in wb.status() if batch.notes} == steps
        assert finished.engine.stages() == []


def test_where_probabilities_decide_a_check_is_one_call_without_a_reason(project: Project) -> None:
    def likely(request: Request) -> Answer:
        if not request.weigh:
            return agreeable(request)
        passing, _ = request.weigh
        return Completion(passing, "stop", weights=dict(zip(request.weigh, (0.8, 0.2), strict=True)))

    for asked, status in (("0.7", "kept"), ("0.9", "rejected")):
        changes = ("SYSTEM.VOTING=probability", f"SYSTEM.PASS_PROBABILITY={asked}")
        with project.open(likely, *changes) as wb:
            batch = wb.vet(wb.write(wb.judge(wb.chunks())), again=True)
            assert {item.outcome.status for item in batch.items} == {status}
            [item, *_] = batch.items
            verdict = item.outcome.current[-1]
            assert verdict.reason.endswith(f"with a probability of 0.80 ({asked}0 is asked)")
            assert len(verdict.votes) == 1
    stages = [request.stage for request in project.engine.asked if request.weigh]
    assert set(stages) == {"check_question"}, (
        "what was bought is judged anew, and only rewritten pairs are asked about"
    )


# Ways through the flow


@pytest.mark.parametrize(
    ("change", "not_asked"),
    [
        ("SKIP.FILTER_CHUNKS=true", {"judge_paragraph"}),
        ("SKIP.QUESTION_CHECK=true", {"check_question"}),
        ("SKIP.ANSWER_RELEVANCY_CHECK=true", {"check_relevance"}),
        ("SKIP.ANSWER_ACCURACY_CHECK=true", {"check_accuracy"}),
        ("SKIP.REPAIR_QA_TUPLES=true", {"make_standalone"}),
        ("SKIP.CONVERSATION_GENERATION=true", {*CAST_STAGES, "write_conversation"}),
        ("SYSTEM.ASSISTANT_MODE=true", {*CAST_STAGES, "write_conversation"}),
    ],
)
def test_what_is_skipped_is_not_asked_and_the_rest_is(
    project: Project, change: str, not_asked: set[str]
) -> None:
    usual = {
        "judge_paragraph",
        "write_pairs",
        *PAIR_STAGES,
        "make_standalone",
        *CAST_STAGES,
        "write_conversation",
    }
    asked = set(everything(project, agreeable, change))
    assert asked - {"write_assistant_conversation"} == usual - not_asked
    assert ("write_assistant_conversation" in asked) == ("ASSISTANT" in change)


def test_planning_comes_before_writing_where_it_is_wanted(project: Project) -> None:
    asked = everything(project, agreeable, "SKIP.PLAN_QUESTIONS=false")
    assert (asked.count("plan_questions"), asked.count("write_pairs")) == (2, 2)


def test_file_names_are_shown_where_they_are_wanted(project: Project) -> None:
    everything(project, agreeable, "SYSTEM.USE_FILENAMES=true")
    judged = [r.messages[-1].content for r in project.engine.asked if r.stage == "judge_paragraph"]
    assert any("Salt, by A. Reed" in item for item in judged)


def test_each_order_of_a_groups_pairs_is_a_conversation(project: Project) -> None:
    with project.open(agreeable, "SYSTEM.REARRANGEMENTS_TO_TAKE=3") as wb:
        wb.run()
        assert len(wb.converse()) == 2 * 2  # two chunks of two pairs, which have two orders


OWN = {
    "check_accuracy": """
system: Is it accurate?
item: $text $question $answer
grammar: |
  root ::= verdict ". " reason
  verdict ::= "true" | "false"
  reason ::= [a-z ]{1,40}
examples:
  - values: {text: t, question: q, answer: a}
    answer: "true. it is so"
pass: "true"
sampling: {max_tokens: 20}
""",
    "write_pairs": """
system: Write pairs.
item: $text $count
grammar: |
  root ::= pair+
  pair ::= "<" question "|" evidence "|" answer ">"
  question ::= [A-Z a-z]{5,40} "?"
  evidence ::= number
  number ::= $numbers
  answer ::= [A-Z a-z]{5,40}
examples:
  - values: {text: "[1] t", count: 1, numbers: ["1"]}
    answer: "<Is it so?|1|So it is>"
sampling: {max_tokens: 99}
""",
}
IN_OWN_FORMAT = {"check_accuracy": "true. it is so", "write_pairs": "<Is it kept in salt?|1|So it is kept>"}


@pytest.mark.parametrize("name", OWN)
def test_a_prompt_folder_can_override_one_stage_with_another_format(project: Project, name: str) -> None:
    project.write(f"own/{name}.yaml", OWN[name])
    own = f"PATH.PROMPTS={project.folder / 'own'}"
    asked = everything(
        project, lambda r: IN_OWN_FORMAT.get(r.stage) if r.stage == name else agreeable(r), own
    )
    assert name in asked
    talks = (project.run / "export" / "simplified_data.jsonl").read_text(encoding="utf-8")
    assert talks.count("\n") > 0
    assert ("So it is kept" in talks) == (name == "write_pairs")


def test_a_run_can_go_on_with_a_stage_in_another_format(project: Project) -> None:
    """Half of the pairs are vetted under the shipped prompt, half under the person's own."""
    with pytest.raises(EngineError, match="out of memory"):
        everything(project, breaking_after_vetting(2))
    project.write("own/check_accuracy.yaml", OWN["check_accuracy"])
    own = f"PATH.PROMPTS={project.folder / 'own'}"
    with project.open(lambda r: IN_OWN_FORMAT.get(r.stage) or agreeable(r), own) as wb:
        wb.judge()
        assert wb.vet().ledger.kept == 4


def breaking_after_vetting(count: int):
    left = iter(range(count))

    def answer(request: Request):
        broken = request.stage == "check_accuracy" and next(left, None) is None
        return EngineError("out of memory") if broken else agreeable(request)

    return answer


@pytest.mark.parametrize("name", ["lineage_config.yaml", "lineage_later_config.yaml"])
def test_a_config_file_of_the_lineage_runs_as_it_is_but_for_its_server(tmp_path: Path, name: str) -> None:
    shutil.copy(ROOT / "tests" / "data" / name, tmp_path / "config.yaml")
    paths = yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))["PATH"]
    shutil.copytree(PROMPTS, tmp_path / paths["DEFAULT_PROMPTS"])
    barrels = "\n\n".join(f"Barrel {n} holds {n} pounds of salt. It came by ship. " * 20 for n in range(24))
    (tmp_path / paths["INPUT"]).mkdir(parents=True)
    (tmp_path / paths["INPUT"] / "Barrels.txt").write_text(barrels)
    with Workbench(tmp_path / "config.yaml", changes=["SYSTEM.MODE=sample", "SYSTEM.SUBSET_SIZE=16"]) as wb:
        wb.run()
        files = wb.export()
    assert files["simplified_data.jsonl"].is_relative_to(tmp_path / "output" / "first" / "export")
    rows = [
        json.loads(line) for line in files["simplified_data.jsonl"].read_text(encoding="utf-8").splitlines()
    ]
    assert rows and all(row["conversations"][-1]["from"] == "gpt" for row in rows)


# Opening and closing


def test_a_set_up_cell_can_be_run_twice(finished: Project) -> None:
    first = finished.open()
    with finished.open() as second:
        assert len(second.converse()) == 2
    first.close()


def test_a_run_that_is_only_read_is_not_changed_and_asks_nothing(finished: Project) -> None:
    before = {file: file.stat().st_mtime_ns for file in finished.run.rglob("*.json*")}
    with finished.open(readonly=True) as wb:
        assert [batch.ledger.kept for batch in wb.status()] == [2, 2, 2, 4, 4, 4, 2, 2]
    assert {file: file.stat().st_mtime_ns for file in finished.run.rglob("*.json*")} == before
    assert finished.engine.asked == []


def test_a_held_run_can_be_read_meanwhile(finished: Project) -> None:
    with finished.open() as wb, finished.open(readonly=True) as reader:
        assert [batch.records for batch in reader.status()] == [batch.records for batch in wb.status()]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/tmp/x", ".hidden"])
def test_a_run_needs_a_name_that_is_a_folders(project: Project, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot name a run: it becomes a folder below PATH.OUTPUT"):
        project.open(run=name)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            ["SYSTEM.MODE=local", "API.LOGICAL_MODEL=none.gguf"],
            ConfigError,
            "API.LOGICAL_MODEL: there is no model",
        ),
        (["SYSTEM.MODE=api", "API.LOGICAL_MODEL=gpt"], ConfigError, "API.BASE_URL is empty"),
        (
            ["SYSTEM.MODE=sample", "PATH.INPUT=nowhere"],
            ConfigError,
            "PATH.INPUT: folder .*nowhere does not exist",
        ),
        (
            ["SYSTEM.MODE=sample", "PATH.PROMPTS=a", "PATH.DEFAULT_PROMPTS=b"],
            PromptError,
            "neither .* is there",
        ),
        (["SYSTEM.MOD=sample"], ConfigError, "did you mean SYSTEM.MODE"),
    ],
)
def test_what_can_be_seen_wrong_is_said_before_anything_is_written(
    tmp_path: Path, changes: list[str], error: type[Exception], words: str
) -> None:
    own = Project(tmp_path)
    with pytest.raises(error, match=words):
        Workbench(own.folder / "config.yaml", changes=changes)
    assert not (tmp_path / "output").exists()


def test_no_key_gets_into_a_run_or_onto_a_screen(project: Project) -> None:
    key = "sk-0123456789"
    with project.open(agreeable, f"API.API_KEY={key}", f"API.LARGE_API_KEY={key}") as wb:
        wb.run()
        wb.export()
        shown = [
            repr(wb),
            repr(wb.config),
            repr(wb.ledger()),
            *(repr(b) + b._repr_html_() for b in wb.status()),
        ]
    assert not [text for text in shown if key in text]
    assert not [
        file for file in project.run.rglob("*") if file.is_file() and key.encode() in file.read_bytes()
    ]


# What is said


def test_every_step_sums_up(project: Project) -> None:
    with project.open(sampled, "SYSTEM.DOUBLE_CHECK_COUNTER=1") as wb:
        wb.run()
        batches = wb.status()
    assert [batch.name for batch in batches] == list(STEPS)
    for before, batch in zip(batches, batches[1:], strict=False):
        assert batch.ledger.total == len(batch.items)
        assert batch.name == "cast" or batch.ledger.total == len(before.records)


def test_the_ledger_shows_steps_and_calls(finished: Project) -> None:
    with finished.open() as wb:
        lines = repr(wb.ledger()).splitlines()
    assert lines[0].split() == ["step", "in", "kept", "rejected", "failed", "pending", "makes"]
    assert [line.split()[0] for line in lines[1:9]] == list(STEPS)
    assert lines[3].split() == ["write", "2", "2", "0", "0", "0", "4"]
    assert any(line.split()[:3] == ["check_accuracy", "8", "0"] for line in lines)


def test_progress_is_reported_to_the_end(project: Project) -> None:
    heard: list[Progress] = []
    with Workbench(project.folder / "config.yaml", changes=["SYSTEM.MODE=sample"], report=heard.append) as wb:
        wb.judge()
    assert (heard[-1].step, heard[-1].done, heard[-1].total) == ("judge", 2, 2)


def test_files_that_were_not_read_and_a_subset_are_noted(project: Project) -> None:
    project.write("raw_text_input/page.html", "<p>Salt</p>")
    with project.open(agreeable, "SYSTEM.USE_SUBSET=true", "SYSTEM.SUBSET_SIZE=1") as wb:
        assert wb.chunks().notes == (
            "page.html was skipped: .html is not plain text; convert it to .txt",
            "1 of 2 chunks are taken (SYSTEM.USE_SUBSET)",
        )
        assert len(wb.judge()) == 1


def test_what_the_lineage_had_and_we_ignore_is_noted(project: Project) -> None:
    with project.open(agreeable, "PHASE.WORK_IN_PHASES=true") as wb:
        assert "PHASE.WORK_IN_PHASES is ignored: steps are run one by one anyway" in wb.chunks().notes
        assert "PHASE.WORK_IN_PHASES is ignored" in repr(wb)


def test_a_repeated_pair_names_the_one_it_repeats(project: Project) -> None:
    salt = ("What keeps meat over winter?", "1", "Salt.")
    with project.open(lambda r: like_pairs(salt, salt) if r.stage == "write_pairs" else agreeable(r)) as wb:
        wb.run()
        distinct = wb.distinct()
        assert str(distinct.ledger) == "4 in: 1 kept, 3 rejected, 0 failed"
        assert {i.outcome.reason for i in distinct.items[1:]} == {"repeats: What keeps meat over winter?"}


def test_the_large_model_is_not_loaded_for_nothing(finished: Project) -> None:
    with finished.open() as wb:
        assert repr(wb.use("large")) == "sample is not loaded: its steps have nothing left to do"
    finished.write("raw_text_input/Ice.txt", "Ice keeps fish for a week. It melts in May.")
    with finished.open() as wb:
        for step in STEPS[:-1]:
            getattr(wb, step)()
        assert repr(wb.use("large")) == "sample is ready: large"


def test_a_batch_is_a_sequence_of_what_goes_on(finished: Project) -> None:
    with finished.open() as wb:
        vetted = wb.vet()
        assert list(vetted) == vetted.records == [vetted[n] for n in range(len(vetted))]
        assert vetted.show("rejected").records == []
        assert list(vetted.frame()["status"]) == ["kept"] * 4


def test_a_batch_shows_what_models_wrote_as_text(project: Project) -> None:
    evil = says("Suitable", "<script>alert(1)</script> & \x1b[2J \u202e reversed")
    with project.open(lambda r: evil if r.stage == "judge_paragraph" else agreeable(r)) as wb:
        judged = wb.judge()
    assert "<script>" not in judged._repr_html_()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp;" in judged._repr_html_()
    for shown in (judged._repr_html_(), repr(judged)):
        assert not {"\x1b", "\u202e"} & set(shown)


# The background


def test_closing_leaves_no_loop_and_no_thread_behind() -> None:
    async def work() -> int:
        return 7

    background = Background()
    assert background.wait(work()) == 7
    loop, thread = background._loop, background._thread
    background.close()
    background.close()
    assert loop is not None and loop.is_closed()
    assert thread is not None and not thread.is_alive()
    assert background.wait(work()) == 7
    background.close()


def test_an_error_of_the_work_is_raised_where_it_is_waited_for() -> None:
    async def work() -> None:
        raise RunError("no")

    background = Background()
    with pytest.raises(RunError, match="no"):
        background.wait(work())
    background.close()


def test_a_chunk_is_known_by_its_text_and_not_by_its_place(project: Project) -> None:
    with project.open() as wb:
        before = wb.judge().records
    file, text = next(iter(TEXTS.items()))
    project.write(f"raw_text_input/{file}", f"\n\n{text}\n")
    with project.open() as wb:
        assert [record.key for record in wb.judge()] == [record.key for record in before]
        assert project.engine.asked == []
        assert wb.judge()[0].start == 2
    assert chunk(*(s.text for s in before[0].sentences), source=file).key == before[0].key


def test_duplicates_are_looked_for_once_and_again_under_another_rule(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    own = steps.duplicates
    monkeypatch.setattr(steps, "duplicates", lambda pairs: looked.append(1) or own(pairs))
    for rules, times in ((steps.RULES, 0), (steps.RULES + 1, 1)):
        monkeypatch.setattr(steps, "RULES", rules)
        with finished.open() as wb:
            wb.distinct()
        assert len(looked) == times


# Before and while money is spent

SERVED = (
    "SYSTEM.MODE=api",
    "API.BASE_URL=http://127.0.0.1:9/v1",
    "API.LOGICAL_MODEL=m",
    "API.PROMPT_PRICE=1000",
    *UNCHECKED,
)


def priced(request: Request) -> Completion:
    """An answer that costs 1."""
    return Completion(agreeable(request), "stop", prompt_tokens=1000)


def test_a_pilot_is_part_of_the_run_and_not_bought_again(project: Project) -> None:
    with project.open() as wb:
        batches = wb.pilot(1)
        assert [len(batch.items) for batch in batches[:2]] == [1, 1]
        assert "a pilot of 1 of 2 chunks" in batches[0].notes
        bought = len(project.engine.asked)
        wb.run()
        every = [
            (request.stage, request.messages[-1].content, request.seed) for request in project.engine.asked
        ]
        assert len(wb.judge().items) == 2
    assert bought < len(every) == len(set(every))


def test_an_estimate_says_what_the_pilot_took_for_all_chunks(project: Project) -> None:
    with project.open(priced, *SERVED) as wb:
        said = repr(wb.estimate(1)).splitlines()
        bought = len(project.engine.asked)
        assert said[0] == "1 of 2 chunks were tried; all of them will take about"
        assert said[1].split()[:2] == ["calls", str(2 * bought)]
        assert said[4].split()[:2] == ["money", str(2 * bought)]
        assert f"{bought}.0000" in repr(wb.ledger())
        again = repr(wb.estimate(1)).splitlines()
    assert again == said
    assert len(project.engine.asked) == bought


def test_a_run_pauses_at_its_spending_limit_and_goes_on_when_it_is_raised(project: Project) -> None:
    with project.open(priced, *SERVED, "API.SPENDING_LIMIT=6.5") as wb:
        with pytest.raises(Paused, match=r"Paused: 6\.0000 is spent of API.SPENDING_LIMIT 6\.5; raise it"):
            wb.run()
        assert len(project.engine.asked) == 6
    with project.open(priced, *SERVED, "API.SPENDING_LIMIT=7.5") as wb:  # what was spent before counts
        with pytest.raises(Paused, match=r"7\.0000 is spent"):
            wb.run()
        assert len(project.engine.asked) == 1
    with project.open(priced, *SERVED) as wb:
        assert len(wb.run()[-1])


def test_what_failed_is_listed_with_its_cause_and_is_gone_when_it_is_made_good(project: Project) -> None:
    def half(request: Request) -> Completion:
        broken = request.stage == "write_pairs" and "Alder" in request.messages[-1].content
        return Completion("I cannot" if broken else agreeable(request), "stop")

    listed = project.run / "failed.jsonl"
    with project.open(half) as wb:
        wb.run()
        [row] = map(json.loads, listed.read_text().splitlines())
        failed = [item.input.key for item in wb.write().items if item.outcome.status == "failed"]
    assert (row["step"], [row["key"]]) == ("write", failed)
    assert row["cause"].startswith("Unparseable: at character 1")
    with project.open() as wb:
        wb.run()
    assert not listed.exists()


def test_an_estimate_leaves_batches_and_files_as_they_are(finished: Project, tmp_path: Path) -> None:
    with finished.open() as wb:
        standing = wb.run()[4]
        sheet = wb.review("standalone").to_csv(tmp_path / "pairs.csv")
        before = (wb.folder / "qatuples_revised.jsonl").read_text(encoding="utf-8")
        wb.estimate(1)
        assert (wb.folder / "qatuples_revised.jsonl").read_text(encoding="utf-8") == before
        assert len(wb.review("standalone").review) == len(standing.items)
        assert wb.import_edits(sheet) == []
        assert [wb.flag(standing[place]).kind for place in (0, -1)] == ["flag", "flag"]


def test_a_closed_workbench_buys_nothing(project: Project) -> None:
    old = project.open()
    chunks = old.chunks()
    with project.open():
        with pytest.raises(RunError, match="was closed; run the set-up cell"):
            old.judge(chunks)
        assert project.engine.asked == []


def test_a_batch_of_another_run_is_refused(finished: Project) -> None:
    with finished.open() as wb:
        standing = wb.standalone()
    with finished.open(run="second") as other:
        for use in (other.review, other.distinct):
            with pytest.raises(RunError, match=r"that batch is of .*first, and this workbench of .*second"):
                use(standing)


def test_a_failed_file_with_a_broken_line_is_written_anew(project: Project) -> None:
    with project.open(lambda r: "nonsense") as wb:
        wb.run()
        file = wb.folder / "failed.jsonl"
        before = file.read_text(encoding="utf-8")
        file.write_text(f"{before}\n{{broken\n", encoding="utf-8")
        wb.run()
        assert file.read_text(encoding="utf-8") == before


def test_a_pause_in_the_votes_on_an_edit_leaves_the_files_right(finished: Project) -> None:
    with finished.open(lambda r: Paused("Paused: spent")) as wb:
        wb.edit(wb.standalone()[0], answer="By hand.")
        with pytest.raises(Paused):
            wb.standalone()
        assert "By hand." in (wb.folder / "qatuples_revised.jsonl").read_text(encoding="utf-8")
