"""A prompt that is tried out: it is the step's own question, nothing is kept until asked, and changes are seen."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted import PROMPTS, Answer, Project, agreeable, says

from generation_functions import Workbench
from generation_functions.engine import Completion, Request
from generation_functions.errors import PromptError, RunError
from generation_functions.purse import Price

ABOUT_PAIRS = ["check_question", "check_relevance", "check_accuracy"]


def journal(wb: Workbench) -> int:
    return sum(int(row["calls"]) for row in wb._store.usage())


def own_prompt(project: Project, stage: str, **changes: Any) -> Path:
    """The stage's file in the project's own prompts, changed."""
    folder = project.folder / "own"
    folder.mkdir(exist_ok=True)
    data = yaml.safe_load((PROMPTS / f"{stage}.yaml").read_text(encoding="utf-8"))
    file = folder / f"{stage}.yaml"
    file.write_text(yaml.safe_dump({**data, **changes}, allow_unicode=True), encoding="utf-8")
    return file


@pytest.mark.parametrize("stage", ABOUT_PAIRS)
def test_a_check_is_asked_as_its_step_asks_it(project: Project, stage: str) -> None:
    with project.open() as wb:
        wb.vet(wb.write(wb.judge(wb.chunks())))
        asked = next(r for r in project.engine.asked if r.stage == stage)
        pair = next(pair for pair in wb.write() if pair.question in asked.messages[-1].content)
        project.engine.asked.clear()
        trial = wb.try_prompt(stage, pair)
        (tried,) = project.engine.asked
        assert (tried.messages, tried.seed, tried.grammar.text) == (
            asked.messages,
            asked.seed,
            asked.grammar.text,
        )
        assert trial.fields["verdict"] and trial.fields["reason"]


def test_nothing_is_kept_until_it_is_asked_for(finished: Project) -> None:
    with finished.open() as wb:
        before = journal(wb)
        trial = wb.try_prompt("check_accuracy", wb.write()[0], draw=7)
        assert journal(wb) == before
        trial.keep()
        assert journal(wb) == before + 1


def test_what_comes_before_is_taken_from_the_journal(finished: Project) -> None:
    with finished.open() as wb:
        before = journal(wb)
        wb.try_prompt("write_scenario", wb.converse()[0])
        assert finished.engine.stages() == ["write_scenario"]
        assert journal(wb) == before


@pytest.mark.parametrize(
    ("stage", "step"),
    [
        ("judge_paragraph", "chunks"),
        ("write_pairs", "vet"),
        ("make_standalone", "vet"),
        ("plan_character", "cast"),
        ("write_character", "converse"),
        ("plan_scenario", "cast"),
        ("write_conversation", "converse"),
    ],
)
def test_any_record_that_stands_on_the_asked_one_will_do(finished: Project, stage: str, step: str) -> None:
    with finished.open() as wb:
        trial = wb.try_prompt(stage, getattr(wb, step)()[0])
        assert finished.engine.stages() == [stage]
        assert trial.answer


def test_without_a_record_it_asks_what_its_first_example_asks(finished: Project) -> None:
    with finished.open() as wb:
        wb.try_prompt("check_accuracy")
        (asked,) = finished.engine.asked
        assert asked.messages[-1].content == asked.messages[1].content


def test_a_changed_file_is_used_at_once_and_both_answers_are_shown(finished: Project) -> None:
    with finished.open(agreeable, "PATH.PROMPTS=./own") as wb:
        pair = wb.write()[0]
        wb.try_prompt("check_accuracy", pair)
        own_prompt(finished, "check_accuracy", system="Be a strict judge of facts.")
        finished.engine._answer = lambda r: says("Inaccurate", "Strictly speaking.")
        trial = wb.try_prompt("check_accuracy", pair)
        assert finished.engine.asked[-1].messages[0].content == "Be a strict judge of facts."
        shown, text = trial._repr_html_(), repr(trial)
        for said in (shown, text):
            assert "Strictly speaking." in said
            assert "+system: Be a strict judge of facts." in said
        assert len(trial.attempts) == 2


def test_a_file_with_a_mistake_is_named(finished: Project) -> None:
    with finished.open(agreeable, "PATH.PROMPTS=./own") as wb:
        own_prompt(finished, "check_accuracy", item="$nothing")
        with pytest.raises(PromptError, match=r"own/check_accuracy.yaml"):
            wb.try_prompt("check_accuracy", wb.write()[0])


def test_an_answer_that_cannot_be_read_says_why(finished: Project) -> None:
    with finished.open(lambda r: "I had rather not.") as wb:
        trial = wb.try_prompt("check_accuracy", wb.write()[0])
        assert trial.fields == {}
        assert "Unparseable" in repr(trial) and "Unparseable" in trial._repr_html_()


def test_another_draw_has_another_seed(finished: Project) -> None:
    with finished.open() as wb:
        pair = wb.write()[0]
        for draw in (0, 0, 1):
            wb.try_prompt("check_accuracy", pair, draw=draw)
        seeds = [r.seed for r in finished.engine.asked]
        assert seeds[0] == seeds[1] != seeds[2]


@pytest.mark.parametrize(
    ("stage", "step", "message"),
    [
        ("check_everything", "write", "check_everything is no stage; the stages are judge_paragraph"),
        ("check_accuracy", "chunks", "vet asks this about a pair, not about a chunk"),
        ("write_conversation", "write", "converse asks this about a cast, not about a pair"),
        ("plan_questions", "chunks", "plan_questions is not asked about this one"),
        ("rewrite_pair", "write", "rewrite_pair is not asked about this one"),
    ],
)
def test_what_is_never_asked_is_refused(finished: Project, stage: str, step: str, message: str) -> None:
    with finished.open() as wb, pytest.raises(RunError, match=message):
        wb.try_prompt(stage, getattr(wb, step)()[0])


def test_hostile_text_stays_text(finished: Project) -> None:
    hostile = "<img src=x onerror=alert(1)> </script> \x1b[31m"
    with finished.open(lambda r: says("Accurate", hostile)) as wb:
        wb.edit(
            wb.write()[0], answer=hostile.replace("\x1b", "")
        )  # a pair with that is refused before it is asked about
        trial = wb.try_prompt("check_accuracy", wb.write()[0])
        assert "<img" not in trial._repr_html_() and "</script>" not in trial._repr_html_()
        assert "\x1b" not in repr(trial)


def test_what_is_kept_comes_after_what_the_journal_has(finished: Project) -> None:
    with finished.open(lambda r: says("Inaccurate", "It says something else.")) as wb:
        before = journal(wb)
        wb.try_prompt("check_accuracy", wb.write()[0]).keep()
        assert journal(wb) == before + 1


def test_what_trials_cost_counts_when_the_run_is_opened_again(finished: Project) -> None:
    with finished.open(lambda r: Completion(agreeable(r), "stop", 1_000_000, 0, 10)) as wb:
        before = wb._steps._purse.spent
        wb._steps._purse._prices = {wb._models.name("small"): Price(2, 2, 2)}
        wb.try_prompt("check_accuracy", wb.write()[0])
        spent = wb._steps._purse.spent
        assert spent > before
    with finished.open() as wb:
        assert wb._steps._purse.spent == pytest.approx(spent)


def test_a_trial_shows_how_likely_each_answer_is(finished: Project) -> None:
    def likely(request: Request) -> Answer:
        if not request.weigh:
            return agreeable(request)
        return Completion(request.weigh[0], "stop", weights=dict(zip(request.weigh, (0.8, 0.2), strict=True)))

    with finished.open(likely, "SYSTEM.VOTING=probability") as wb:
        trial = wb.try_prompt("check_accuracy", wb.write()[0])
        assert "Verdict: Accurate 0.80; Verdict: Inaccurate 0.20" in repr(trial)
        assert trial.fields == {"verdict": ["Accurate"], "root": ["Verdict: Accurate"]}
