"""The kernel's side of the review view: rows, finding, acts, and what they come to."""

import json
import random
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from house import journal
from scripted import PROMPTS, Project, agreeable, like_pairs, sampled, says

from generation_functions import Workbench
from generation_functions.detail import word_diff
from generation_functions.engine import Request
from generation_functions.errors import RunError
from generation_functions.review import Review

EVERYTHING = {"status": "all", "check": "", "source": "", "reason": "", "text": ""}


def quarrelsome(request: Request) -> str:
    """Votes that disagree about some pairs, and agree that nothing about smoke is accurate."""
    doubtful = "Smoke" in request.messages[-1].content or random.Random(request.seed).random() < 0.4
    if request.stage == "check_accuracy" and doubtful:
        return says("Inaccurate", f"No sentence says so, by vote {request.seed}.")
    return agreeable(request)


@pytest.fixture
def wb(project: Project) -> Iterator[Workbench]:
    with project.open(quarrelsome) as wb:
        wb.vet(wb.write(wb.judge(wb.chunks())))
        yield wb


def review_of(wb: Workbench, step: str = "vet") -> Review:
    return wb.review(step).review


def ask(review: Review, op: str, **message: Any) -> dict[str, Any]:
    """The answer, as it is after its way through JSON."""
    answer: dict[str, Any] = json.loads(
        json.dumps(review.handle(json.loads(json.dumps({"op": op, **message}))))
    )
    assert "error" not in answer, answer
    return answer


def page(
    review: Review, offset: int = 0, limit: int = 50, sort: str = "order", **find: str
) -> dict[str, Any]:
    return ask(review, "page", offset=offset, limit=limit, find={**EVERYTHING, **find}, sort=sort)


def item(review: Review, n: int) -> dict[str, Any]:
    found: dict[str, Any] = ask(review, "item", n=n)["item"]
    return found


def act(review: Review, n: int, kind: str, **changes: str) -> dict[str, Any]:
    return ask(review, "act", n=n, kind=kind, changes=changes, version=item(review, n)["version"])


# Looking


def test_every_record_is_a_row_and_the_counts_are_those_of_the_batch(wb: Workbench) -> None:
    batch, review = wb.vet(), review_of(wb)
    seen = page(review)
    assert seen["total"] == len(batch.items) == len(seen["rows"])
    counts = seen["counts"]
    for status in ("kept", "rejected", "failed", "pending"):
        assert counts[status] == getattr(batch.ledger, status) == page(review, status=status)["total"]
    assert counts["split"] == page(review, status="split")["total"] > 0
    for row, one in zip(seen["rows"], batch.items, strict=True):
        assert row["title"] == one.outcome.records[0].question
        assert sum(row["votes"]) == sum(len(verdict.votes) for verdict in one.outcome.current)


def test_pages_are_parts_of_one_list(wb: Workbench) -> None:
    review = review_of(wb)
    whole = [row["n"] for row in page(review)["rows"]]
    parts = [row["n"] for offset in range(0, len(whole), 2) for row in page(review, offset, 2)["rows"]]
    assert parts == whole
    assert page(review, len(whole), 2)["rows"] == []


def test_acting_on_the_rows_of_a_page_moves_none_to_the_next(wb: Workbench) -> None:
    review = review_of(wb)
    kept = [row["n"] for row in page(review, status="kept")["rows"]]
    first = page(review, 0, 2, status="kept")["rows"]
    for row in first:
        act(review, row["n"], "reject")
    second = page(review, 2, 50, status="kept")["rows"]
    assert [row["n"] for row in [*first, *second]] == kept
    assert page(review, status="kept")["total"] == len(kept) - 2


def test_an_item_shows_its_text_with_evidence_its_votes_and_fields(wb: Workbench) -> None:
    batch, review = wb.vet(), review_of(wb)
    for n, one in enumerate(batch.items):
        shown = item(review, n)
        [text] = shown["texts"]
        assert [part["text"] for part in text["parts"]] == [s.text for s in one.input.chunk.sentences]
        marked = [number for number, part in enumerate(text["parts"], 1) if part["marked"]]
        judged = one.outcome.records[0]
        assert marked == sorted(judged.evidence)
        assert [field["text"] for field in shown["fields"]] == [judged.question, judged.answer]
        assert [v["passed"] for v in shown["verdicts"]] == [v.passed for v in one.outcome.verdicts]
        for verdict, own in zip(shown["verdicts"], one.outcome.verdicts, strict=True):
            assert [vote["reason"] for vote in verdict["votes"]] == [vote.reason for vote in own.votes]


@pytest.mark.parametrize("step", ["judge", "write", "vet", "standalone", "cast", "converse"])
def test_every_step_with_records_can_be_looked_at(finished: Project, step: str) -> None:
    with finished.open() as wb:
        review = review_of(wb, step)
        assert page(review)["total"] > 0
        opened = ask(review, "open")
        assert ("edit" in opened["can"]) == (step != "judge")
        for row in page(review)["rows"]:
            shown = item(review, row["n"])
            assert shown["texts"][0]["parts"]
            assert bool(shown["fields"]) == (step != "judge")
            assert bool(shown["beside"]) == (step in ("cast", "converse"))


@pytest.mark.parametrize("step", ["chunks", "distinct"])
def test_a_step_whose_records_are_ruled_on_elsewhere_says_where(finished: Project, step: str) -> None:
    with finished.open() as wb, pytest.raises(RunError, match="are ruled on where"):
        wb.review(step)


def test_what_is_not_made_yet_can_be_seen_and_not_ruled_on(project: Project) -> None:
    with project.open() as wb:
        wb.chunks()
        review = review_of(wb, "judge")
        assert page(review)["counts"]["pending"] == 2
        answer = review.handle({"op": "act", "n": 0, "kind": "accept", "version": 0})
        assert answer["error"] == "this one is pending: judge has made nothing of it yet"


# Finding


def test_rows_are_found_by_text_source_check_and_reason(wb: Workbench) -> None:
    review, batch = review_of(wb), wb.vet()
    facets = ask(review, "facets")
    for check, label, count in facets["checks"]:
        assert check == f"check_{label}"
        assert page(review, check=check)["total"] == count > 0
    assert sum(count for _, count in facets["sources"]) == len(batch.items)
    for source, count in facets["sources"]:
        assert page(review, source=source)["total"] == count
    for reason, count in facets["reasons"]:
        assert page(review, reason=reason)["total"] == count
    word = batch.items[0].outcome.records[0].answer.split()[1]
    found = page(review, text=word.upper())["rows"]
    assert 0 in [row["n"] for row in found]
    assert page(review, text="no such words anywhere")["total"] == 0


def test_an_edit_is_found_by_its_new_words(wb: Workbench) -> None:
    review = review_of(wb)
    act(review, 1, "edit", answer="A wholly different zebra.")
    assert [row["n"] for row in page(review, text="zebra")["rows"]] == [1]
    assert [row["n"] for row in page(review, status="edited")["rows"]] == [1]


def test_those_whose_votes_disagree_most_come_first(wb: Workbench) -> None:
    rows = page(review_of(wb), sort="disagreement")["rows"]
    split = {row["n"] for row in page(review_of(wb), status="split")["rows"]}
    assert 0 < len(split) < len(rows)
    assert {row["n"] for row in rows[: len(split)]} == split


# Acts


def test_an_act_is_on_the_disk_and_reaches_the_next_step(wb: Workbench, project: Project) -> None:
    review = review_of(wb)
    rejected = page(review, status="rejected")["rows"]
    kept = page(review, status="kept")["rows"]
    assert rejected and len(kept) > 1
    act(review, rejected[0]["n"], "accept")
    act(review, kept[0]["n"], "reject")
    answer = act(review, kept[1]["n"], "edit", answer="By hand.")
    assert answer["item"]["marks"] == ["edited"]
    assert answer["counts"]["edited"] == 1
    passing = wb.vet().records
    wb.close()
    with project.open(quarrelsome) as again:
        vetted = again.vet()
        assert vetted.records == passing
        questions = [one.question for one in vetted]
        assert rejected[0]["title"] in questions
        assert kept[0]["title"] not in questions
        assert "By hand." in [one.answer for one in vetted]


def test_only_an_edited_pair_is_voted_on_again(wb: Workbench, project: Project) -> None:
    before = len(journal(project.folder))
    review = review_of(wb)
    n = page(review, status="kept")["rows"][0]["n"]
    changed = act(review, n, "edit", question="What does hand work change?")["item"]
    assert "edited since it was voted on" in changed["reason"]
    wb.vet()
    new = journal(project.folder)[before:]
    assert {"What does hand work change?" in call["question"] for call in new} == {True}
    assert "edited since" not in item(review_of(wb), n)["reason"]


def test_what_another_view_changed_is_refused_and_shown(wb: Workbench) -> None:
    first, second = review_of(wb), review_of(wb)
    seen = item(second, 0)
    act(first, 0, "edit", answer="The first view's.")
    late = ask(second, "act", n=0, kind="edit", changes={"answer": "The second's."}, version=seen["version"])
    assert "changed elsewhere" in late["refused"]
    assert late["item"]["fields"][1]["text"] == "The first view's."
    again = ask(second, "act", n=0, kind="edit", changes={"answer": "Both."}, version=late["item"]["version"])
    assert again["item"]["fields"][1]["text"] == "Both."
    assert item(first, 0)["fields"][1]["text"] == "Both."


def test_undo_takes_back_the_last_act_also_one_of_an_earlier_process(wb: Workbench, project: Project) -> None:
    review = review_of(wb)
    before = page(review)
    act(review, 2, "reject")
    act(review, 0, "edit", answer="By hand.")
    wb.close()
    with project.open(quarrelsome) as again:
        review = review_of(again)
        assert ask(review, "undo")["n"] == 0
        assert ask(review, "undo")["n"] == 2
        assert ask(review, "undo") == {"refused": "there is nothing to undo"}
        after = page(review)
        assert after["counts"] == before["counts"]
        assert [row["marks"] for row in after["rows"]] == [row["marks"] for row in before["rows"]]
        history = item(review, 0)["history"]
        assert [(one["kind"], one["stands"]) for one in history] == [("edit", False), ("undo", False)]


def test_a_second_flag_takes_the_first_back(wb: Workbench) -> None:
    review = review_of(wb)
    assert act(review, 0, "flag")["item"]["marks"] == ["flagged"]
    assert act(review, 0, "flag")["item"]["marks"] == []
    assert page(review)["counts"]["flagged"] == 0


def test_all_of_a_filter_at_once_are_as_many_as_were_confirmed(wb: Workbench) -> None:
    review = review_of(wb)
    count = page(review, status="rejected")["total"]
    assert count > 1
    wrong = ask(review, "bulk", kind="accept", find={**EVERYTHING, "status": "rejected"}, count=count + 1)
    assert wrong["refused"] == f"{count} match now, not {count + 1}"
    done = ask(review, "bulk", kind="accept", find={**EVERYTHING, "status": "rejected"}, count=count)
    assert done["saved"] == {"kind": "accept", "count": count}
    assert done["counts"]["rejected"] == 0
    assert wb.vet().ledger.rejected == 0


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"op": "nothing"},
        {"op": "item", "n": 99999},
        {"op": "item", "n": -1},
        {"op": "item", "n": None},
        {"op": "act", "n": 0, "kind": "destroy", "version": 0},
        {"op": "act", "n": 0, "kind": "edit", "changes": {"answer": ""}, "version": 0},
        {"op": "act", "n": 0, "kind": "edit", "changes": {"chunk": "x"}, "version": 0},
        {"op": "act", "n": 0, "kind": "edit", "changes": {"answer": 7}, "version": 0},
        {"op": "page", "offset": 0, "limit": 5, "find": {"status": "odd"}, "sort": "order"},
    ],
)
def test_a_message_that_makes_no_sense_is_one_line_and_changes_nothing(
    wb: Workbench, message: dict[str, Any]
) -> None:
    review = review_of(wb)
    answer = review.handle(message)
    assert answer["error"]
    assert "\n" not in answer["error"]
    assert page(review)["counts"]["edited"] == 0
    assert item(review, 0)["history"] == []


def test_a_closed_workbench_says_so_instead_of_saving(wb: Workbench) -> None:
    review = review_of(wb)
    wb.close()
    answer = review.handle({"op": "act", "n": 0, "kind": "accept", "version": 0})
    assert "was closed; run the set-up cell" in answer["error"]


def test_a_large_batch_answers_before_it_has_been_looked_through(
    wb: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = page(review_of(wb), status="split")
    monkeypatch.setattr("generation_functions.review.AT_ONCE", 0)
    review = review_of(wb)
    assert page(review)["rows"]
    if page(review, status="split").get("later"):
        assert until_looked_through(review)
    assert page(review, status="split")["rows"] == small["rows"]


def test_whoever_asks_while_rows_are_looked_through_waits_for_nobody(
    wb: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation_functions.review.AT_ONCE", 0)
    monkeypatch.setattr("generation_functions.review.QUIET_SECONDS", 60)
    review = review_of(wb)
    assert ask(review, "facets") == {"checks": [], "sources": [], "reasons": [], "done": False}
    assert "all rows are read first" in page(review, text="honey")["refused"]
    assert item(review, 0)["n"] == 0


def until_looked_through(review: Review) -> bool:
    heard = threading.Event()
    review.changed = heard.set
    return review._index.done == 1 or heard.wait(10)


# Text that means no good


def test_hostile_text_is_only_ever_text(project: Project) -> None:
    nasty = "<img src=x onerror=alert(1)> </script> \x1b[31m \u202eright to left \x00 \ud83d end"

    def answers(request: Request) -> str:
        return sampled(request)

    with project.open(answers) as wb:
        wb.chunks()
        wb.write(wb.judge())
        review = review_of(wb, "write")
        n = next(row["n"] for row in page(review)["rows"] if row["status"] == "kept")
        shown = act(review, n, "edit", answer=nasty)["item"]["fields"][1]["text"]
        assert "<img src=x onerror=alert(1)> </script>" in shown
        assert not {"\x1b", "\x00", "\ud83d"} & set(shown)
        assert "\u202e" in shown


def test_a_very_long_text_is_shown_cut_and_edited_elsewhere(wb: Workbench) -> None:
    review = review_of(wb)
    field = act(review, 0, "edit", answer="long " * 200_000)["item"]["fields"][1]
    assert len(field["text"]) == 50_000
    assert not field["editable"]
    assert "1,000,000 characters, too long to be edited here" in field["about"]


@pytest.mark.parametrize(
    ("before", "after", "diff"),
    [
        ("the same", "the same", None),
        ("In 1869.", "In 1870.", [["=", "In"], ["-", " 1869."], ["+", " 1870."]]),
        ("", "all new", [["+", "all new"]]),
        ("gone", "", [["-", "gone"]]),
        ("a b c", "a c", [["=", "a"], ["-", " b"], ["=", " c"]]),
    ],
)
def test_a_diff_is_in_words_and_gives_both_texts_back(before: str, after: str, diff: Any) -> None:
    assert word_diff(before, after) == diff
    if diff:
        assert "".join(text for sign, text in diff if sign != "+") == before
        assert "".join(text for sign, text in diff if sign != "-") == after


# Several at once


def test_each_view_turns_the_pages_of_its_own_list(wb: Workbench) -> None:
    review = wb.review("vet").review
    kept = {"op": "page", "limit": 2, "sort": "order", "find": {"status": "kept"}}
    whole = [row["n"] for row in review.handle({**kept, "offset": 0, "limit": 50})["rows"]]
    first = [row["n"] for row in review.handle({**kept, "offset": 0})["rows"]]
    for n in first:
        review.handle({"op": "act", "n": n, "kind": "reject", "version": 0})
    review.handle({**kept, "offset": 0, "find": {"status": "all"}})
    assert first + [row["n"] for row in review.handle({**kept, "offset": 2})["rows"]] == whole[:4]


def test_an_act_from_elsewhere_is_told_and_an_own_one_is_not(wb: Workbench) -> None:
    view, other = wb.review("vet").review, wb.review("vet").review
    told: list[str] = []
    view.changed, other.changed = (lambda: told.append("view")), (lambda: told.append("other"))
    view.handle({"op": "act", "n": 0, "kind": "flag", "version": 0})
    assert told == ["other"]
    wb.reject(wb.vet()[1])
    assert sorted(told[1:]) == ["other", "view"]
    wb.flag(wb.write()[0])
    assert len(told) == 3


def test_rows_of_the_same_record_are_ruled_on_together(project: Project) -> None:
    twin = ("What keeps meat?", "1", "Salt.")
    with project.open(lambda r: like_pairs(twin, twin) if r.stage == "write_pairs" else agreeable(r)) as wb:
        review = wb.review(wb.write(wb.judge(wb.chunks()))).review
        one = {"op": "act", "kind": "accept", "version": 0}
        replies = [review.handle({**one, "n": n}) for n in (0, 1)]
        assert [row["n"] for row in replies[0]["also"]] == [1]
        assert replies[0]["saved"] == replies[1]["saved"]
        assert review.handle({**one, "n": 1, "kind": "reject"})["refused"]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk is full"), OSError(28, "No space left")])
def test_what_keeps_an_act_from_the_disk_is_said(
    wb: Workbench, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = wb.review("vet").review

    def broken(act: Any) -> Any:
        raise error

    monkeypatch.setattr(wb._store, "add_act", broken)
    reply = review.handle({"op": "act", "n": 0, "kind": "flag", "version": 0})
    assert reply["error"].startswith("the run cannot be written: ") and "\n" not in reply["error"]


def test_votes_of_a_row_are_those_on_its_last_wording(project: Project) -> None:
    wrong: list[str] = []

    def answer(r: Request) -> str:
        if r.stage == "check_accuracy" and any(question in r.messages[-1].content for question in wrong):
            return says("Inaccurate", "It says something else.")
        return agreeable(r)

    with project.open(answer) as wb:
        written = wb.write(wb.judge(wb.chunks()))
        wrong.append(written[0].question)
        review = wb.review(wb.vet(written)).review
        items = [review.handle({"op": "item", "n": n})["item"] for n in range(len(review))]
        (rewritten,) = [item for item in items if any(v["earlier"] for v in item["verdicts"])]
        assert rewritten["status"] == "kept"
        assert rewritten["votes"][1] == 0
        assert [v["passed"] for v in rewritten["verdicts"] if v["earlier"]][-1] is False
        assert review.handle({"op": "facets"})["checks"] == []


def test_an_act_on_what_was_made_anew_since_is_refused(wb: Workbench, project: Project) -> None:
    review = wb.review("vet").review
    own = yaml.safe_load((PROMPTS / "check_question.yaml").read_text(encoding="utf-8"))
    project.write("own/check_question.yaml", yaml.safe_dump({**own, "system": "Other."}, allow_unicode=True))
    wb.close()
    with project.open(lambda r: sampled(r), f"PATH.PROMPTS={project.folder / 'own'}") as again:
        view = again.review("vet").review
        keys = [view.handle({"op": "item", "n": n})["item"]["key"] for n in range(len(view))]
        again.vet(again=True)
        now = [record.key for item in again.vet().items for record in item.outcome.records]
        gone = next(n for n, key in enumerate(keys) if key not in now)
        reply = view.handle({"op": "act", "n": gone, "kind": "accept", "version": 0})
        assert reply["refused"] == "vet has made it anew since; run this cell again to see it"
        assert again._store.acts() == []
    assert len(review) == len(keys)
