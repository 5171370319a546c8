"""What people do to records: nothing of it is lost, misapplied or silently done again."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted import PROMPTS, Answer, Project, agreeable, like_pairs, pair, says

from generation_functions import Workbench
from generation_functions.engine import Request
from generation_functions.errors import ConfigError, RunError
from generation_functions.export import FILES

SALT = ("What keeps meat over winter?", "1", "Salt.")
EDITABLE = [step for step in FILES if step != "chunks"]


def redone(wb: Workbench, project: Project) -> list[str]:
    """Run every step again; the stages that are asked for it."""
    project.engine.asked.clear()
    wb.run()
    return project.engine.stages()


def notes(wb: Workbench) -> list[str]:
    return [note for batch in wb.status() for note in batch.notes]


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def rewrite(file: Path, *changed: dict[str, Any]) -> None:
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in changed), encoding="utf-8")


def disagree_on(stage: str, verdict: str) -> Any:
    return lambda r: says(verdict, "It is wrong.") if r.stage == stage else agreeable(r)


VOTES = [
    "check_relevance",
    "check_relevance",
    "check_accuracy",
    "check_accuracy",
]  # the question has its own already
TALK = ["plan_character", "write_character", "plan_scenario", "write_scenario", "write_conversation"]

# Edits


def test_an_edited_pair_is_voted_on_alone_and_only_what_stands_on_it_is_redone(finished: Project) -> None:
    with finished.open() as wb:
        standing = wb.standalone()
        wb.edit(standing[0], answer="By hand.")
        assert redone(wb, finished) == [*VOTES, *TALK]
        assert wb.standalone()[0].answer == "By hand."
        assert [r.answer for r in wb.standalone()][1:] == [r.answer for r in standing][1:]
        assert redone(wb, finished) == []


def test_an_edit_in_vet_is_asked_about_in_standalone(finished: Project) -> None:
    with finished.open() as wb:
        vetted = wb.vet()
        wb.edit(vetted[0], answer="By hand.")
        assert redone(wb, finished) == [*VOTES, "make_standalone", *TALK]
        assert wb.vet()[0].answer == wb.standalone()[0].answer == "By hand."


@pytest.mark.parametrize("step", ["vet", "standalone"])
def test_what_a_person_wrote_stands_whatever_the_votes_say_of_it(finished: Project, step: str) -> None:
    with finished.open(disagree_on("check_accuracy", "Inaccurate")) as wb:
        wb.edit(getattr(wb, step)()[0], answer="By hand.")
        batch = getattr(wb, step)()
        assert finished.engine.stages() == VOTES
        assert batch[0].answer == "By hand."
        assert batch.ledger.kept == len(batch.items)
        assert batch.items[0].outcome.reason == "edited by hand; its votes now: rejected"
        assert batch.items[0].outcome.verdicts[-1].reason == "It is wrong."
        assert "By hand." in (wb.folder / FILES[step]).read_text()


def test_an_edit_of_a_rejected_pair_lets_it_go_on(project: Project) -> None:
    with project.open(disagree_on("make_standalone", "Reject")) as wb:
        wb.run()
        (rejected, *_) = wb.standalone().show("rejected").items
        wb.edit(rejected.outcome.records[0], answer="By hand.")
        assert [r.answer for r in wb.standalone()] == ["By hand."]


def test_an_edited_card_has_its_conversation_written_anew(finished: Project) -> None:
    with finished.open() as wb:
        casts = wb.cast()
        wb.edit(casts[0], card="Name: Ines\nTraits: calm")
        assert redone(wb, finished) == ["write_conversation"]
        assert [c.card for c in wb.cast()] == ["Name: Ines\nTraits: calm", casts[1].card]


def test_an_edited_turn_costs_nothing_and_is_exported(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.converse()[0], **{"turn 2": "What I would like to know:"})
        assert redone(wb, finished) == []
        assert "What I would like to know:" in wb.export()["simplified_data.jsonl"].read_text(
            encoding="utf-8"
        )


def test_edits_add_up_whichever_form_of_the_record_they_are_made_on(finished: Project) -> None:
    with finished.open() as wb:
        before = wb.standalone()[0]
        wb.edit(before, answer="By hand.")
        wb.edit(wb.standalone()[0], question="Is it by hand?")
        wb.edit(before, answer="By my hand.")
        assert (wb.standalone()[0].question, wb.standalone()[0].answer) == ("Is it by hand?", "By my hand.")


def test_acts_are_there_when_the_run_is_opened_again(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="By hand.")
    with finished.open() as wb:
        assert wb.standalone()[0].answer == "By hand."
        assert notes(wb) == ["1 edited since; 1 conversation is to be redone"]


@pytest.mark.parametrize(
    ("step", "changes", "words"),
    [
        ("vet", {"card": "x"}, "card of a pair cannot be edited; question, answer can"),
        ("vet", {"chunk": "x"}, "chunk of a pair cannot be edited"),
        ("vet", {"answer": " "}, "answer must be a text that is not empty"),
        ("vet", {"answer": 5}, "answer must be a text that is not empty"),
        ("vet", {}, "an edit names what it changes: question, answer"),
        ("judge", {"text": "x"}, "text of a chunk cannot be edited; nothing can"),
        ("cast", {"answerer": "x"}, "answerer of a cast cannot be edited; card, scenario, plan can"),
        ("converse", {"turn 99": "x"}, "turn 99 of a conversation cannot be edited; turn 1, turn 2"),
        ("converse", {"card": "x"}, "card of a conversation cannot be edited"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused(
    finished: Project, step: str, changes: dict[str, Any], words: str
) -> None:
    with finished.open() as wb:
        with pytest.raises(ConfigError, match=words):
            wb.edit(getattr(wb, step)()[0], **changes)
        assert notes(wb) == []


# Rulings, flags and undo


def test_a_rejected_pair_is_in_no_conversation_any_more(finished: Project) -> None:
    with finished.open() as wb:
        gone = wb.standalone()[0]
        wb.reject(gone)
        assert redone(wb, finished) == TALK
        assert gone.answer not in {pair.answer for talk in wb.converse() for pair in talk.cast.group.pairs}
        assert str(wb.standalone().ledger) == "4 in: 3 kept, 1 rejected, 0 failed"


def test_an_accepted_pair_goes_on(project: Project) -> None:
    with project.open(disagree_on("make_standalone", "Reject")) as wb:
        wb.run()
        wb.accept(wb.standalone().items[0].outcome.records[0])
        assert redone(wb, project) == TALK
        assert len(wb.standalone()) == 1


def test_an_acceptance_is_for_the_step_that_rejected(project: Project) -> None:
    def answer(request: Request) -> str:
        return like_pairs(SALT, SALT) if request.stage == "write_pairs" else agreeable(request)

    with project.open(answer) as wb:
        wb.run()
        assert len(wb.distinct()) == 1
        wb.accept(wb.distinct().items[-1].outcome.records[0])
        assert [act.step for act in wb._store.acts()] == ["distinct"]
        assert len(wb.distinct()) > 1


def test_a_chunk_that_is_accepted_by_hand_gets_its_pairs(project: Project) -> None:
    with project.open(disagree_on("judge_paragraph", "Unsuitable")) as wb:
        wb.run()
        wb.accept(wb.judge().items[0].outcome.records[0])
        assert redone(wb, project)[0] == "write_pairs"
        assert len(wb.write()) == 2


@pytest.mark.parametrize("kind", ["edit", "reject", "accept", "flag"])
def test_undo_takes_an_act_back_and_costs_nothing(finished: Project, kind: str) -> None:
    with finished.open() as wb:
        before = wb.run()
        record = before[4][0]
        if kind == "accept":
            wb.reject(record)
        getattr(wb, kind)(record, **({"answer": "By hand."} if kind == "edit" else {}))
        wb.run()
        wb.undo(record)
        if kind == "accept":
            wb.undo(record)
        assert redone(wb, finished) == []
        assert [batch.records for batch in wb.run()] == [batch.records for batch in before]
        assert notes(wb) == []


def test_undo_knows_a_record_by_its_edited_form(finished: Project) -> None:
    with finished.open() as wb:
        before = wb.standalone()[0]
        wb.edit(before, answer="By hand.")
        wb.run()
        wb.undo(wb.standalone()[0])
        assert wb.standalone()[0] == before


def test_there_must_be_something_to_undo_or_to_accept(finished: Project) -> None:
    with finished.open() as wb:
        record = wb.standalone()[0]
        wb.flag(record)
        wb.undo(record)
        with pytest.raises(RunError, match="nothing to undo: that record has no act that stands"):
            wb.undo(record)
        with pytest.raises(RunError, match="nothing to accept: that record was not rejected"):
            wb.accept(record)


def test_a_flag_marks_and_changes_nothing_else(finished: Project) -> None:
    with finished.open() as wb:
        before = wb.standalone()
        wb.flag(before[0])
        assert redone(wb, finished) == []
        assert wb.standalone().records == before.records
        assert "flagged" in wb.standalone()._repr_html_()
        assert "flagged" not in before._repr_html_()


def test_a_record_of_another_run_is_refused(finished: Project) -> None:
    with finished.open() as wb:
        wb.run()
        with pytest.raises(RunError, match="in none of this run's batches"):
            wb.reject(pair())


# Acts that no longer fit


def test_an_act_on_what_was_made_anew_is_reported_and_kept(finished: Project) -> None:
    own = yaml.safe_load((PROMPTS / "write_pairs.yaml").read_text(encoding="utf-8"))
    finished.write("own/write_pairs.yaml", yaml.safe_dump({**own, "system": "Write pairs."}))
    with finished.open() as wb:
        wb.edit(wb.write()[0], answer="By hand.")
        wb.reject(wb.standalone()[1])
    changed = f"PATH.PROMPTS={finished.folder / 'own'}"
    with finished.open(lambda r: agreeable(replace(r, seed=r.seed + 1)), changed) as wb:
        assert [note for note in notes(wb) if "not here any more" in note] == []
        wb.write(again=True)
        wb.run()
        lost = "1 edited or ruled on by hand are not here any more: regenerated, or not in this subset"
        assert [note for note in notes(wb) if "not here any more" in note] == [lost, lost]
        assert len(wb._store.acts()) == 2


def test_an_act_that_was_undone_is_not_reported(finished: Project) -> None:
    with finished.open() as wb:
        record = wb.judge().items[0].outcome.records[0]
        wb.reject(record)
        wb.undo(record)
    (finished.folder / "raw_text_input" / record.source).unlink()
    with finished.open() as wb:
        wb.run()
        assert notes(wb) == []


def test_an_act_comes_back_with_its_text(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[-1], answer="By hand.")
        source = wb.standalone()[-1].chunk.source
    text = finished.folder / "raw_text_input" / source
    kept = text.read_text()
    text.unlink()
    with finished.open() as wb:
        wb.run()
        assert any("not here any more" in note for note in notes(wb))
    text.write_text(kept)
    with finished.open() as wb:
        wb.run()
        assert wb.standalone()[-1].answer == "By hand."
        assert notes(wb) == []


# Edited files


@pytest.mark.parametrize("step", EDITABLE)
def test_a_file_that_nobody_edited_holds_no_acts(finished: Project, step: str) -> None:
    with finished.open() as wb:
        assert wb.import_edits(wb.folder / FILES[step]) == []


@pytest.mark.parametrize("step", EDITABLE)
def test_a_changed_status_is_a_ruling(finished: Project, step: str) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES[step]
        first, *rest = rows(file)
        rewrite(file, {**first, "status": "rejected"}, *rest)
        assert [(a.step, a.key, a.kind) for a in wb.import_edits(file)] == [(step, first["id"], "reject")]
        assert str(getattr(wb, step)().ledger).count("1 rejected") == (step != "write")
        rewrite(file, {**first, "status": "kept"}, *rest)
        assert [(a.step, a.key, a.kind) for a in wb.import_edits(file)] == [(step, first["id"], "accept")]


@pytest.mark.parametrize(
    ("step", "field"),
    [
        *(
            (step, field)
            for step in ("write", "vet", "standalone", "distinct")
            for field in ("question", "answer")
        ),
        *(("cast", field) for field in ("card", "scenario", "plan")),
    ],
)
def test_a_changed_text_is_an_edit(finished: Project, step: str, field: str) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES[step]
        first, *rest = rows(file)
        rewrite(file, {**first, field: 'By "hand"\n\u2028 é'}, *rest)
        (act,) = wb.import_edits(file)
        assert (act.step, act.key, act.kind, act.changes) == (
            step,
            first["id"],
            "edit",
            ((field, 'By "hand"\n\u2028 é'),),
        )
        assert getattr(getattr(wb, step)()[0], field) == 'By "hand"\n\u2028 é'
        assert wb.import_edits(file) == []


def test_a_changed_turn_is_an_edit(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["converse"]
        first, *rest = rows(file)
        rewrite(file, {**first, "turns": {**first["turns"], "turn 1": "Good day."}}, *rest)
        (act,) = wb.import_edits(file)
        assert act.changes == (("turn 1", "Good day."),)
        assert wb.converse()[0].turns[0].text == "Good day."


def test_what_was_imported_survives_in_the_next_file(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["vet"]
        first, *rest = rows(file)
        rewrite(file, {**first, "answer": "By hand."}, {**rest[0], "status": "rejected"}, *rest[1:])
        assert len(wb.import_edits(file)) == 2
        wb.vet()
        again = rows(file)
        assert (again[0]["answer"], again[1]["status"]) == ("By hand.", "rejected")
        assert wb.import_edits(file) == []


def test_missing_lines_and_columns_and_another_order_are_no_edits(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["vet"]
        first, second, *_ = rows(file)
        file.write_text("\n" + json.dumps({"id": second["id"]}) + "\n\n" + json.dumps(first))
        assert wb.import_edits(file) == []


CHANGED: list[tuple[str, Any, str]] = [
    ("vet", lambda r: {**r, "id": "0000"}, "2: 0000 is no record of this run any more; nothing was taken back"),
    ("vet", lambda r: {**r, "id": 5}, "2: a line must be an object with its `id`"),
    ("vet", lambda r: [r], "2: a line must be an object with its `id`"),
    ("vet", lambda r: {**r, "status": "good"}, "2: status can be kept or rejected, not 'good'; nothing"),
    ("vet", lambda r: {**r, "answer": ""}, "2: answer must be a text that is not empty"),
    ("vet", lambda r: {**r, "answer": ["x"]}, "2: answer must be a text that is not empty"),
    ("vet", lambda r: {**r, "evidence": [2]}, "2: evidence of a pair cannot be edited; question, answer can"),
    ("vet", lambda r: {**r, "text": "x"}, "2: text of a pair cannot be edited"),
    ("judge", lambda r: {**r, "text": "x"}, "2: text of a chunk cannot be edited; nothing can"),
    ("converse", lambda r: {**r, "card": "x"}, "2: card of a conversation cannot be edited"),
    ("converse", lambda r: {**r, "turns": {"turn 1": "x"}}, "2: turn 2 is gone; a turn can be changed, not taken"),
    ("converse", lambda r: {**r, "turns": {**r["turns"], "turn 99": "x"}}, "2: turn 99 of a conversation"),
    ("converse", lambda r: {**r, "turns": ["x"]}, "2: turns must look like"),
]  # fmt: skip


@pytest.mark.parametrize(("step", "change", "words"), CHANGED, ids=[words for *_, words in CHANGED])
def test_a_line_that_cannot_be_taken_back_is_named_and_nothing_is(
    finished: Project, step: str, change: Any, words: str
) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES[step]
        first, second, *rest = rows(file)
        rewrite(file, {**first, "status": "rejected"}, change(second), *rest)
        with pytest.raises(RunError) as raised:
            wb.import_edits(file)
        assert f"{file}:{words}" in str(raised.value)
        assert wb._store.acts() == []


def test_a_line_that_is_no_json_is_named(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["vet"]
        file.write_text(file.read_text(encoding="utf-8") + '{"id": "x",\n', encoding="utf-8")
        with pytest.raises(RunError, match=r"qatuples_vetted.jsonl:5: not JSON: Expecting property name"):
            wb.import_edits(file)


@pytest.mark.parametrize("name", ["chunks.jsonl", "notes.txt", "export/simplified_data.jsonl"])
def test_another_file_is_refused_with_those_that_can_be_taken_back(finished: Project, name: str) -> None:
    with (
        finished.open() as wb,
        pytest.raises(RunError, match="none of the files that can be taken back: worthy"),
    ):
        wb.import_edits(wb.folder / name)


def test_a_file_that_is_not_there_is_one_readable_error(finished: Project) -> None:
    with finished.open() as wb, pytest.raises(RunError, match="cannot be read: .*No such file"):
        wb.import_edits(finished.folder / "qatuples_vetted.jsonl")


def test_a_file_with_failed_items_can_be_taken_back_as_it_is_but_not_edited_there(project: Project) -> None:
    with project.open(lambda r: "I cannot say." if r.stage == "check_question" else agreeable(r)) as wb:
        wb.run()
        assert wb.vet().ledger.failed == 4
        file = wb.folder / FILES["vet"]
        assert wb.import_edits(file) == []
        first, *rest = rows(file)
        rewrite(file, {**first, "answer": "By hand."}, *rest)
        with pytest.raises(
            RunError, match="this one is failed: there is nothing to change before vet has made it"
        ):
            wb.import_edits(file)


def test_odd_line_ends_inside_a_text_do_not_break_its_line(project: Project) -> None:
    odd = like_pairs(SALT, ("How does it keep meat?", "2", "Salt\u2028keeps\x85it\x0b so\x1c."))
    with project.open(lambda r: odd if r.stage == "write_pairs" else agreeable(r)) as wb:
        wb.run()
        assert wb.import_edits(wb.folder / FILES["write"]) == []
        assert wb.import_edits(wb.folder / FILES["vet"]) == []


def test_the_same_pair_twice_does_not_make_an_unedited_file_look_edited(project: Project) -> None:
    same = like_pairs(SALT, SALT)
    with project.open(lambda r: same if r.stage == "write_pairs" else agreeable(r)) as wb:
        wb.run()
        assert wb.distinct().ledger.rejected > 0
        for step in EDITABLE:
            assert wb.import_edits(wb.folder / FILES[step]) == []


# What is left to be done


def test_a_batch_and_the_ledger_say_what_an_edit_leaves_to_be_done(finished: Project) -> None:
    said = "1 edited since; 1 pair is to be voted on, 1 conversation is to be redone"
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="By hand.")
        assert said in notes(wb)
        assert f"standalone: {said}" in repr(wb.ledger())
        assert "1 edited since; 1 conversation is to be redone" in wb.standalone().notes
        wb.run()
        assert not [note for note in notes(wb) if "edited since" in note]
        assert "edited since" not in repr(wb.ledger())


def test_an_edited_card_leaves_its_conversation_to_be_redone(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.cast()[0], card="Name: Ines\nTraits: calm")
        assert "1 edited since; 1 conversation is to be redone" in notes(wb)
        wb.run()
        assert not [note for note in notes(wb) if "edited since" in note]


def test_an_edited_turn_leaves_nothing_to_be_done(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.converse()[0], **{"turn 2": "What I would like to know:"})
        assert not [note for note in notes(wb) if "edited since" in note]


def test_what_was_never_made_is_not_to_be_redone(project: Project) -> None:
    with project.open() as wb:
        wb.edit(wb.write(wb.judge(wb.chunks()))[0], answer="By hand.")
        assert not [note for note in notes(wb) if "edited since" in note]


# What people did is never taken from them


def rewording(request: Request) -> Answer:
    """A model that rewords every pair."""
    if request.stage != "make_standalone":
        return agreeable(request)
    texts = (request.grammar.sample(random.Random(request.seed + n)) for n in range(400))
    return next(text for text in texts if request.grammar.read(text).text("question"))


def other_prompt(project: Project, stage: str) -> str:
    """The setting of a folder in which the stage's file says something else."""
    own = yaml.safe_load((PROMPTS / f"{stage}.yaml").read_text(encoding="utf-8"))
    project.write(f"own/{stage}.yaml", yaml.safe_dump({**own, "system": "Be strict."}, allow_unicode=True))
    return f"PATH.PROMPTS={project.folder / 'own'}"


def test_a_pair_that_a_person_put_back_stays_through_again(project: Project) -> None:
    with project.open(rewording) as wb:
        wb.run()
        mine = wb.vet()[0]
        wb.edit(wb.standalone()[0], question=mine.question, answer=mine.answer)
        assert wb.standalone()[0] == mine

    def strict(request: Request) -> Answer:
        if request.stage == "check_accuracy" and mine.answer in request.messages[-1].content:
            return says("Inaccurate", "The text does not say that at all.")
        return rewording(request)

    with project.open(strict, other_prompt(project, "check_accuracy")) as wb:
        wb.standalone(again=True)
        assert str(wb.vet().ledger) == "4 in: 4 kept, 0 rejected, 0 failed"
        assert mine in wb.standalone().records


def test_a_wording_that_is_put_back_has_its_own_votes(project: Project) -> None:
    def answer(request: Request) -> Answer:
        if request.stage == "check_accuracy" and "Salt." in request.messages[-1].content:
            return says("Inaccurate", "The text does not say that at all.")
        if request.stage == "write_pairs":
            return like_pairs(SALT, ("What keeps it over winter?", "1", "Smoke does."))
        return agreeable(request)

    with project.open(answer) as wb:
        written = wb.write(wb.judge(wb.chunks()))
        wb.edit(wb.vet(written)[0], question=written[0].question, answer=written[0].answer)
        outcome = wb.vet(written).items[0].outcome
        assert outcome.reason == "edited by hand; its votes now: rejected"


@pytest.mark.parametrize("looked_at", ["write", "vet"])
def test_an_act_is_for_the_latest_step_that_has_the_record(finished: Project, looked_at: str) -> None:
    with finished.open() as wb:
        standing = wb.standalone()
        getattr(wb, looked_at)()
        assert wb.edit(standing[0], answer="By hand.").step == "standalone"


@pytest.mark.parametrize(
    ("step", "stage", "verdict"),
    [("write", "check_accuracy", "Inaccurate"), ("vet", "make_standalone", "Reject")],
)
def test_what_a_person_corrected_stands_in_later_steps_too(
    finished: Project, step: str, stage: str, verdict: str
) -> None:
    with finished.open(disagree_on(stage, verdict)) as wb:
        wb.edit(getattr(wb, step)()[0], answer="By hand.")
        wb.run()
        assert "By hand." in [pair.answer for pair in wb.standalone()]
        later = wb.vet() if step == "write" else wb.standalone()
        assert "corrected by hand, so it stands; the model: " in repr(later)


def test_what_was_edited_in_distinct_can_be_edited_again(finished: Project) -> None:
    with finished.open() as wb:
        file = wb.folder / FILES["distinct"]
        first, *rest = rows(file)
        rewrite(file, {**first, "answer": "By hand."}, *rest)
        wb.import_edits(file)
        assert wb.edit(wb.distinct()[0], answer="Again.").step == "distinct"


def test_of_two_pairs_that_an_edit_made_equal_the_edited_one_is_meant(finished: Project) -> None:
    with finished.open() as wb:
        one, two = wb.standalone()[:2]
        wb.edit(one, question=two.question, answer=two.answer)
        wb.edit(wb.standalone()[0], answer="Only the first.")
        assert [pair.answer == "Only the first." for pair in wb.standalone()][:2] == [True, False]


def test_a_readable_file_that_was_not_taken_back_is_kept_apart(finished: Project) -> None:
    with finished.open() as wb:
        wb.run()
        file = wb.folder / FILES["vet"]
        first, *rest = rows(file)
        rewrite(file, {**first, "answer": "By hand."}, *rest)
        batch = wb.vet()
        apart = wb.folder / "qatuples_vetted.edited.jsonl"
        assert rows(apart)[0]["answer"] == "By hand."
        assert f"it is kept as {apart.name}" in repr(batch)
        (act,) = wb.import_edits(apart)
        assert act.changes == (("answer", "By hand."),)


def test_a_readable_file_that_was_taken_back_is_written_anew(finished: Project) -> None:
    with finished.open() as wb:
        wb.run()
        file = wb.folder / FILES["vet"]
        first, *rest = rows(file)
        rewrite(file, {**first, "answer": "By hand."}, *rest)
        wb.import_edits(file)
        wb.run()
        assert sorted(path.name for path in wb.folder.glob("*.edited.*")) == []
        assert rows(file)[0]["answer"] == "By hand."
