"""The browser's half of the review view, in a bare browser with the kernel's real half behind it.

GRISTMILL_SCREENSHOT_DIR=folder keeps pictures of it, light and dark, wide and narrow.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from lab import browser
from playwright.sync_api import Locator, expect
from review_page import LIMIT, Library, ReviewPage

from generation_functions import Workbench
from generation_functions.models import Models
from generation_functions.review import Review
from generation_functions.store import Store

expect.set_options(timeout=LIMIT)

Opened = Callable[..., ReviewPage]


@pytest.fixture(scope="module")
def tab(browser_path: str) -> Iterator[ReviewPage]:
    with browser(browser_path) as chromium:
        yield ReviewPage(chromium)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with its run, all steps done."""
    return Library(tmp_path_factory.mktemp("read")).finish()


@pytest.fixture
def library(tmp_path: Path, read: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    library = Library(tmp_path)
    shutil.copytree(read / "output", tmp_path / "output")
    monkeypatch.setattr(Models, "_made", lambda self, role: library.engine)
    return library


@pytest.fixture
def wb(library: Library) -> Iterator[Workbench]:
    with library.open() as wb:
        yield wb


@pytest.fixture
def opened(wb: Workbench, tab: ReviewPage) -> Iterator[Opened]:
    """Opens a step's review; no page may have asked for anything outside or have thrown."""

    def of(step: str = "vet", *, review: Any = None, **how: Any) -> ReviewPage:
        tab.start(review or review_of(wb, step), **how)
        return tab

    yield of
    assert tab.complaints == []


@pytest.fixture
def page(opened: Opened) -> ReviewPage:
    return opened()


def review_of(wb: Workbench, step: str = "vet") -> Review:
    return wb.review(step).review


def on_disk(wb: Workbench) -> list[tuple[str, str]]:
    """The kind of every act in the run, and the key of what it was done to."""
    with Store(wb.folder, readonly=True) as store:
        return [(act.kind, act.key) for act in store.acts()]


def keys(page: ReviewPage) -> list[str]:
    """Of the rows, in their order."""
    count = page.review.handle({"op": "page", "offset": 0, "limit": 0, "find": {}, "sort": "order"})["total"]
    return [page.review.handle({"op": "item", "n": n})["item"]["key"] for n in range(count)]


def row(page: ReviewPage, n: int) -> Locator:
    return page.find(f'.gm-row[data-n="{n}"]')


def choose(page: ReviewPage, n: int) -> None:
    """Click on a row and wait for all of it."""
    row(page, n).click()
    page.find(".gm-headline .gm-under", has_text=f"#{n + 1}").wait_for()
    page.find(".gm-body[aria-busy=false]").wait_for()


def selected(page: ReviewPage, n: int) -> None:
    page.find(f'.gm-row[data-n="{n}"][aria-selected="true"]').wait_for()


def says(page: ReviewPage, words: str) -> None:
    page.find('[role="status"]', has_text=words).wait_for()


def field(page: ReviewPage, name: str) -> Locator:
    return page.find(f'[data-field="{name}"]')


def elsewhere(page: ReviewPage, wb: Workbench, n: int, kind: str, **changes: str) -> None:
    """An act of somebody else on the same run, of which the page is not told."""
    other = review_of(wb, page.review.batch.name)
    version = other.handle({"op": "item", "n": n})["item"]["version"]
    answer = other.handle({"op": "act", "n": n, "kind": kind, "changes": changes, "version": version})
    assert "saved" in answer, answer


# Looking


def test_every_row_is_shown_with_its_status_and_votes_and_the_counts_are_the_kernels(
    page: ReviewPage,
) -> None:
    seen = page.review.handle({"op": "page", "offset": 0, "limit": 50, "find": {}, "sort": "order"})
    assert page.find(".gm-row .gm-title").all_inner_texts() == [each["title"] for each in seen["rows"]]
    statuses = page.find(".gm-row .gm-sign").evaluate_all("signs => signs.map(s => s.ariaLabel)")
    assert statuses == [each["status"] for each in seen["rows"]]
    for name, count in seen["counts"].items():
        assert page.find(f'[data-filter="{name}"]').inner_text().split() == [name, str(count)]
    passed, failed, abstained = seen["rows"][3]["votes"]
    label = f"votes: {passed} passed, {failed} failed, {abstained} abstained"
    assert row(page, 3).locator(".gm-votes").get_attribute("aria-label") == label


def test_a_row_shows_its_fields_reason_votes_and_marked_evidence(page: ReviewPage) -> None:
    choose(page, 1)
    shown = page.review.handle({"op": "item", "n": 1})["item"]
    assert page.find(".gm-reason").inner_text() == shown["reason"]
    for each in shown["fields"]:
        assert page.page.get_by_label(each["label"], exact=True).input_value() == each["text"]
    marked = [part["text"] for part in shown["texts"][0]["parts"] if part["marked"]]
    assert page.find("mark").all_inner_texts() == marked != []
    assert page.find(".gm-passage p").count() == sum(
        part["opens_paragraph"] for part in shown["texts"][0]["parts"]
    )


def test_failing_votes_are_open_and_passing_ones_and_those_of_earlier_wordings_folded(
    page: ReviewPage,
) -> None:
    choose(page, 1)
    verdicts = page.find(".gm-verdicts").first.locator("> .gm-verdict")
    assert verdicts.locator(".gm-outcome").all_inner_texts() == ["passed", "passed", "failed"]
    assert verdicts.evaluate_all("boxes => boxes.map(box => box.open)") == [False, False, True]
    assert verdicts.last.locator("li").all_inner_texts()[0].endswith("it is inaccurate.")
    assert verdicts.last.locator("li .gm-vote").first.get_attribute("aria-label") == "fail"
    earlier = page.find("summary", has_text="Checks of earlier wordings")
    assert not page.find(".gm-verdicts .gm-verdicts").is_visible()
    earlier.click()
    assert page.find(".gm-verdicts .gm-verdicts").is_visible()


@pytest.mark.parametrize(("step", "fields"), [("judge", 0), ("cast", 3), ("converse", 5)])
def test_other_records_are_shown_with_what_they_have(opened: Opened, step: str, fields: int) -> None:
    page = opened(step)
    assert page.find("textarea").count() == fields
    assert page.find('[data-act="edit"]').is_visible() == (fields > 0)
    assert page.find(".gm-passage").count() == (1 if step == "judge" else 3)
    if step == "converse":
        assert page.find(".gm-fieldhead").nth(1).inner_text().startswith("Turn 2, ")
        assert "the question of pair 1" in page.find(".gm-fieldhead").nth(1).inner_text()


def test_a_run_that_can_only_be_looked_at_offers_no_acts(library: Library, tab: ReviewPage) -> None:
    with library.open(readonly=True) as wb:
        tab.start(review_of(wb))
        shown = [
            each.get_attribute("data-act") for each in tab.find(".gm-bar button").all() if each.is_visible()
        ]
        assert shown == ["previous", "next"]
        assert tab.find("[data-bulk]").count() == 0
        tab.find(".gm-list").focus()
        tab.press("a", "x", "f", "u", "j")
        selected(tab, 1)
        assert {message["op"] for message in tab.asked} == {"open", "page", "facets", "item"}


# Acts


def test_five_fast_keys_accept_five_rows(page: ReviewPage, wb: Workbench) -> None:
    page.hold.add("act")
    page.find(".gm-list").focus()
    page.press("a", "a", "a", "a", "a")
    selected(page, 5)
    expect(page.find(".gm-row [data-mark=accepted]")).to_have_count(5)
    page.release()
    says(page, "saved: accepted #5")
    assert on_disk(wb) == [("accept", key) for key in keys(page)[:5]]
    expect(page.find("[data-mark=saving]")).to_have_count(0)


@pytest.mark.parametrize("by", ["key", "mouse"])
def test_an_act_is_saved_and_can_be_undone(page: ReviewPage, wb: Workbench, by: str) -> None:
    def do(name: str, key: str) -> None:
        if by == "mouse":
            page.find(f'.gm-bar [data-act="{name}"]').click()
        else:
            page.find(".gm-list").focus()
            page.press(key)

    for name, key, mark in (
        ("accept", "a", "accepted"),
        ("reject", "x", "rejected"),
        ("flag", "f", "flagged"),
    ):
        choose(page, 3)
        do(name, key)
        says(page, f"saved: {mark} #4")
        assert row(page, 3).locator(".gm-chip").all_inner_texts() == [mark]
        do("undo", "u")
        says(page, "saved: undone #4")
        assert page.find(".gm-row .gm-chip").count() == 0
        assert [kind for kind, _ in on_disk(wb)[-2:]] == [name, "undo"]
        selected(page, 3)


def test_a_second_flag_takes_the_first_off(page: ReviewPage) -> None:
    page.find(".gm-list").focus()
    page.press("f")
    says(page, "saved: flagged #1")
    expect(page.find('[data-act="flag"]')).to_have_attribute("aria-pressed", "true")
    page.press("f")
    says(page, "saved: flag taken off #1")
    expect(page.find('[data-act="flag"]')).to_have_attribute("aria-pressed", "false")


def test_the_last_act_on_one_row_is_undone_from_its_history(page: ReviewPage, wb: Workbench) -> None:
    page.find(".gm-list").focus()
    page.press("f", "x", "x")
    row(page, 1).locator("[data-mark=rejected]").wait_for()
    choose(page, 0)
    page.find("summary", has_text="History: 2 acts").click()
    page.find('[data-act="undo-this"]').click()
    says(page, "saved: undone #1")
    assert on_disk(wb)[-1] == ("undo", keys(page)[0])
    assert row(page, 0).locator(".gm-chip").all_inner_texts() == ["flagged"]


def test_undo_reaches_back_before_a_restart(library: Library, wb: Workbench, page: ReviewPage) -> None:
    choose(page, 2)
    page.press("x")
    says(page, "saved: rejected #3")
    wb.close()
    with library.open() as again:
        page.start(review_of(again))
        page.find(".gm-list").focus()
        page.press("Backspace")
        says(page, "saved: undone #3")
        assert row(page, 2).locator(".gm-sign").get_attribute("data-status") == "kept"
        assert row(page, 2).locator(".gm-chip").count() == 0
        page.press("u")
        says(page, "there is nothing to undo")
        assert "gm-bad" not in (page.find(".gm-status").get_attribute("class") or "")


# Editing


def test_an_edit_is_typed_saved_and_shown_as_changed_words(page: ReviewPage, wb: Workbench) -> None:
    page.find(".gm-list").focus()
    page.press("e")
    expect(field(page, "question")).to_be_focused()
    field(page, "question").fill("How does a strong brine stop a microbe?")
    assert page.find("[data-mark=draft]").count() == 2
    page.press("Control+Enter")
    says(page, "saved: edited #1")
    assert on_disk(wb) == [("edit", keys(page)[0])]
    assert page.find(".gm-diff ins").all_inner_texts() == [" a", " microbe?"]
    assert page.find(".gm-diff del").all_inner_texts() == [" microbe from growing?"]
    expect(row(page, 0)).to_contain_text("How does a strong brine stop a microbe?")
    expect(row(page, 0).locator(".gm-chip")).to_have_text("edited")
    expect(page.find(".gm-list")).to_be_focused()
    page.find("summary", has_text="History: 1 act").click()
    page.find("li", has_text="edit (question), act 1").wait_for()


@pytest.mark.parametrize("leave", ["another row", "accept", "filter", "close"])
def test_whoever_leaves_a_row_leaves_its_text_saved(page: ReviewPage, wb: Workbench, leave: str) -> None:
    field(page, "answer").fill("The cell gives its water off.")
    if leave == "another row":
        row(page, 4).click()
    elif leave == "accept":
        page.press("Escape", "a")
    elif leave == "filter":
        page.find('[data-filter="kept"]').click()
    else:
        page.close_view(0)
        page.show()
        page.view(1).locator(".gm-row").first.locator("[data-mark=edited]").wait_for()
    if leave != "close":
        row(page, 0).locator("[data-mark=edited]").wait_for()
        expect(page.find("[data-mark=saving]")).to_have_count(0)
    kinds = ["edit", "accept"] if leave == "accept" else ["edit"]
    assert on_disk(wb) == [(kind, keys(page)[0]) for kind in kinds]
    item = page.review.handle({"op": "item", "n": 0})["item"]
    assert item["fields"][1]["text"] == "The cell gives its water off."


def test_escape_leaves_the_field_and_keeps_the_draft(page: ReviewPage, wb: Workbench) -> None:
    page.find(".gm-list").focus()
    page.press("e", "End", "!", "Escape")
    expect(page.find(".gm-list")).to_be_focused()
    assert field(page, "question").input_value().endswith("?!")
    page.find(".gm-state", has_text="not saved yet").wait_for()
    assert on_disk(wb) == []
    page.find('[data-act="discard"]').click()
    assert field(page, "question").input_value().endswith("growing?")
    expect(page.find("[data-mark=draft]")).to_have_count(0)
    assert on_disk(wb) == []


def test_a_draft_that_says_what_stands_is_none(page: ReviewPage, wb: Workbench) -> None:
    text = field(page, "answer").input_value()
    field(page, "answer").fill("something else")
    field(page, "answer").fill(text)
    page.press("Control+Enter")
    choose(page, 1)
    assert on_disk(wb) == []
    assert "act" not in {message["op"] for message in page.asked}


def test_an_edit_that_the_kernel_cannot_take_stays_a_draft(page: ReviewPage, wb: Workbench) -> None:
    field(page, "answer").fill(" ")
    page.press("Control+Enter")
    says(page, "NOT saved: #1: answer must be a text that is not empty")
    assert field(page, "answer").input_value() == " "
    assert on_disk(wb) == []


def test_what_somebody_else_changed_is_not_overwritten_unless_that_is_said(
    page: ReviewPage, wb: Workbench
) -> None:
    field(page, "answer").fill("Mine.")
    elsewhere(page, wb, 0, "edit", answer="Theirs.")
    page.press("Control+Enter")
    says(page, "NOT saved: #1: it has been changed elsewhere since you saw it")
    assert field(page, "answer").input_value() == "Mine."
    assert page.find(".gm-stands").inner_text() == "Theirs."
    field(page, "answer").focus()
    page.press("Control+Enter")  # goes to the button: it must be a decision
    expect(page.find('[data-act="save-over"]')).to_be_focused()
    assert len(on_disk(wb)) == 1
    page.press("Enter")
    says(page, "saved: edited #1")
    assert len(on_disk(wb)) == 2
    assert field(page, "answer").input_value() == "Mine."
    expect(page.find(".gm-state", has_text="NOT saved")).to_have_count(0)


def test_a_verdict_on_what_somebody_else_changed_is_refused_and_shown(
    page: ReviewPage, wb: Workbench
) -> None:
    elsewhere(page, wb, 0, "edit", answer="Theirs.")
    page.find(".gm-list").focus()
    page.press("a")
    says(page, "NOT saved: #1: it has been changed elsewhere")
    expect(row(page, 0).locator(".gm-chip")).to_have_text(["edited", "not saved"])
    page.press("k")
    expect(field(page, "answer")).to_have_value("Theirs.")
    page.press("a")
    says(page, "saved: accepted #1")
    expect(row(page, 0).locator(".gm-chip")).to_have_text(["edited", "accepted"])


# Views


def test_a_second_view_of_the_model_follows_the_first(page: ReviewPage) -> None:
    page.show()
    second = page.view(1)
    second.locator(".gm-row[aria-selected=true]").wait_for()
    choose(page, 2)
    page.press("x")
    says(page, "saved: rejected #3")
    second.locator('.gm-row[data-n="2"] [data-mark=rejected]').wait_for()
    expect(second.locator('.gm-row[data-n="0"]')).to_have_attribute("aria-selected", "true")
    assert second.locator('[role="status"]').inner_text() == ""


def test_a_change_made_elsewhere_never_goes_over_what_is_typed(page: ReviewPage, wb: Workbench) -> None:
    field(page, "answer").fill("Half a sen")
    elsewhere(page, wb, 0, "edit", question="Theirs?")
    page.review.changed()
    expect(field(page, "question")).to_have_value("Theirs?")
    expect(field(page, "answer")).to_be_focused()
    page.press("t")
    assert field(page, "answer").input_value() == "Half a sent"


def test_a_view_that_is_shown_again_asks_anew_and_the_closed_one_no_more(page: ReviewPage) -> None:
    choose(page, 2)
    page.press("f")
    says(page, "saved: flagged #3")
    page.close_view(0)
    page.show()
    again = page.view(1)
    again.locator('.gm-row[data-n="2"] [data-mark=flagged]').wait_for()
    asked = len(page.asked)
    page.review.changed()
    again.locator(".gm-body[aria-busy=false]").wait_for()
    page.page.wait_for_function("() => document.querySelectorAll('.gm-review').length === 1")
    assert {message["op"] for message in page.asked[asked:]} <= {"page", "item"}
    assert len({message["req"].split("-")[0] for message in page.asked[asked:]}) <= 1


# Finding


def test_rows_are_found_by_status_text_and_facets(page: ReviewPage) -> None:
    def shown() -> list[str]:
        return page.find(".gm-row").evaluate_all("rows => rows.map(row => row.dataset.n)")

    page.find('[data-filter="rejected"]').click()
    expect(page.find(".gm-range")).to_have_text("1 to 2 of 2")
    assert shown() == ["1", "5"]
    assert page.find('[data-filter="rejected"]').get_attribute("aria-pressed") == "true"
    page.find('[data-find="check"]').select_option("check_relevance")
    expect(page.find(".gm-range")).to_have_text("1 to 1 of 1")
    assert shown() == ["5"]
    page.find('[data-find="check"]').select_option("")
    page.find('[data-filter="all"]').click()
    page.find('[data-find="source"]').select_option("The cold/Ice.txt")
    expect(page.find(".gm-range")).to_have_text("1 to 3 of 3")
    assert shown() == ["6", "7", "8"]
    page.find('[data-find="source"]').select_option("")
    page.find(".gm-list").focus()
    page.press("/")
    expect(page.find('input[type="search"]')).to_be_focused()
    page.page.keyboard.type("SMOKE")
    page.press("Enter")
    expect(page.find(".gm-list")).to_be_focused()
    expect(page.find(".gm-range")).to_have_text("1 to 2 of 2")
    assert shown() == ["3", "5"]
    page.find('input[type="search"]').fill("no such words")
    expect(page.find(".gm-empty")).to_have_text("Nothing matches.")
    assert page.find(".gm-body").is_hidden()
    assert page.find('[data-act="accept"]').is_disabled()


def test_split_votes_come_first_when_they_are_asked_for(page: ReviewPage) -> None:
    page.find("[data-sort]").select_option("disagreement")
    expect(page.find(".gm-row").first).to_have_attribute("data-n", "3")
    page.find('[data-filter="split"]').click()
    expect(page.find(".gm-row .gm-votes [data-vote=fail]")).to_have_count(page.find(".gm-row").count())


def test_pages_are_turned_by_buttons_and_by_going_on(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generation_functions.review.PAGE", 4)
    page = opened()
    expect(page.find(".gm-range")).to_have_text("1 to 4 of 9")
    assert page.find('[data-turn="previous"]').is_disabled()
    page.find('[data-turn="next"]').click()
    expect(page.find(".gm-range")).to_have_text("5 to 8 of 9")
    selected(page, 4)
    page.find(".gm-list").focus()
    page.press("k")
    selected(page, 3)
    page.press("a")
    selected(page, 4)
    page.find('[data-turn="next"]').click()
    expect(page.find(".gm-range")).to_have_text("9 to 9 of 9")
    assert page.find('[data-turn="next"]').is_disabled()
    page.press("j")
    says(page, "that was the last one")


def test_a_view_can_begin_with_a_filter_and_with_a_row_on_a_later_page(
    opened: Opened, wb: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation_functions.review.PAGE", 2)
    review = review_of(wb)
    key = review.handle({"op": "item", "n": 7})["item"]["key"]
    review.begin = review.place({"status": "kept", "text": "frozen"}, key)
    page = opened(review=review)
    selected(page, 7)
    expect(page.find(".gm-range")).to_have_text("1 to 1 of 1")
    assert page.find('input[type="search"]').input_value() == "frozen"
    assert page.find('[data-filter="kept"]').get_attribute("aria-pressed") == "true"
    review.begin = review.place({}, key)
    page = opened(review=review)
    selected(page, 7)
    expect(page.find(".gm-range")).to_have_text("7 to 8 of 9")


def test_a_filter_is_gone_through_whole_while_its_rows_leave_it(
    opened: Opened, wb: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation_functions.review.PAGE", 2)
    page = opened()
    page.find('[data-filter="kept"]').click()
    expect(page.find(".gm-range")).to_have_text("1 to 2 of 7")
    page.find(".gm-list").focus()
    for n, key in zip((0, 2, 3, 4, 6, 7, 8), "xaxxxax", strict=True):
        selected(page, n)
        page.press(key)
    row(page, 8).locator("[data-mark=rejected]").wait_for()
    expect(page.find("[data-mark=saving]")).to_have_count(0)
    own = keys(page)
    assert [key for _, key in on_disk(wb)] == [own[n] for n in (0, 2, 3, 4, 6, 7, 8)]


# All at once


def test_all_of_a_filter_are_ruled_on_after_a_question_with_their_number(
    page: ReviewPage, wb: Workbench
) -> None:
    page.find('[data-filter="rejected"]').click()
    page.find('[data-bulk="accept"]', has_text="Accept all 2").click()
    assert page.find(".gm-bulk").inner_text().startswith("Accept all 2 shown by this filter?")
    expect(page.find('[data-bulk="cancel"]')).to_be_focused()
    page.press("Enter")
    page.find('[data-bulk="accept"]').wait_for()
    assert on_disk(wb) == []
    page.find('[data-bulk="accept"]').click()
    page.find('[data-bulk="confirm"]', has_text="Accept 2").click()
    says(page, "saved: accepted 2")
    own = keys(page)
    assert on_disk(wb) == [("accept", own[1]), ("accept", own[5])]
    assert page.find('[data-filter="rejected"]').inner_text().split() == ["rejected", "0"]


def test_how_many_are_ruled_on_is_counted_when_it_is_asked(page: ReviewPage, wb: Workbench) -> None:
    page.find('[data-filter="kept"]').click()
    expect(page.find(".gm-row")).to_have_count(7)
    page.find(".gm-list").focus()
    page.press("x", "x")
    expect(page.find(".gm-row [data-mark=rejected]")).to_have_count(2)
    page.find('[data-bulk="accept"]').click()
    page.find('[data-bulk="confirm"]', has_text="Accept 5").click()
    says(page, "saved: accepted 5")
    assert len(on_disk(wb)) == 7


def test_others_than_were_confirmed_are_not_ruled_on(page: ReviewPage, wb: Workbench) -> None:
    page.find('[data-filter="rejected"]').click()
    page.find('[data-bulk="accept"]', has_text="Accept all 2").click()
    elsewhere(page, wb, 0, "reject")
    page.find('[data-bulk="confirm"]').click()
    says(page, "NOT saved: 3 match now, not 2")
    expect(page.find(".gm-row")).to_have_count(3)
    assert [kind for kind, _ in on_disk(wb)] == ["reject"]


# A kernel that does not answer


def test_without_an_answer_it_says_not_saved_until_there_is_one(opened: Opened, wb: Workbench) -> None:
    page = opened(patience=100)
    page.hold.add("act")
    page.find(".gm-list").focus()
    page.press("a")
    says(page, "NOT saved: 1 act waits for an answer from the kernel")
    expect(page.find(".gm-status")).to_have_class(re.compile("gm-bad"))
    row(page, 0).locator("[data-mark='not saved']").wait_for()
    page.release()
    says(page, "saved: accepted #1")
    expect(page.find(".gm-status")).not_to_have_class(re.compile("gm-bad"))
    expect(page.find("[data-mark='not saved']")).to_have_count(0)


def test_what_a_dead_kernel_was_told_can_be_told_a_new_one(opened: Opened, wb: Workbench) -> None:
    page = opened(patience=100)
    page.lose.add("act")
    field(page, "answer").fill("By hand.")
    page.press("Control+Enter")
    says(page, "NOT saved: 1 act waits")
    assert field(page, "answer").input_value() == "By hand."
    page.lose.clear()
    field(page, "answer").focus()
    page.press("Control+Enter")
    says(page, "saved: edited #1")
    expect(page.find("[data-mark='not saved']")).to_have_count(0)
    assert on_disk(wb) == [("edit", keys(page)[0])]


def test_a_verdict_that_got_no_answer_is_not_shown_as_given_and_can_be_given_again(
    opened: Opened, wb: Workbench
) -> None:
    page = opened(patience=100)
    page.lose.add("act")
    page.find(".gm-list").focus()
    page.press("x")
    says(page, "NOT saved: 1 act waits")
    assert row(page, 0).get_attribute("data-status") == "kept"
    assert row(page, 0).locator(".gm-chip").all_inner_texts() == ["not saved"]
    page.lose.clear()
    page.press("k", "x")
    says(page, "saved: rejected #1")
    assert row(page, 0).locator(".gm-chip").all_inner_texts() == ["rejected"]
    assert on_disk(wb) == [("reject", keys(page)[0])]


def test_a_kernel_that_cannot_save_says_why_in_red(page: ReviewPage, wb: Workbench) -> None:
    page.fail["act"] = "the disk is full"
    page.find(".gm-list").focus()
    page.press("x")
    says(page, "NOT saved: #1: the disk is full")
    expect(page.find(".gm-status")).to_have_class(re.compile("gm-bad"))
    expect(row(page, 0).locator(".gm-chip")).to_have_text(["not saved"])
    assert row(page, 0).get_attribute("data-status") == "kept"
    assert on_disk(wb) == []


def test_a_closed_workbench_is_named_when_the_view_is_used(page: ReviewPage, wb: Workbench) -> None:
    wb.close()
    page.find(".gm-list").focus()
    page.press("a")
    says(page, "was closed; run the set-up cell")


def test_rows_that_do_not_come_are_waited_for_aloud(opened: Opened) -> None:
    page = opened(patience=100)
    page.hold.add("page")
    page.find('[data-filter="kept"]').click()
    says(page, "no answer from the kernel yet")
    page.release()
    expect(page.find(".gm-row")).to_have_count(7)
    expect(page.find('[role="status"]')).to_have_text("")


# Keys and focus


def test_no_key_reaches_the_notebook_and_whatever_takes_focus_says_so(page: ReviewPage) -> None:
    page.find(".gm-list").focus()
    page.press("j", "d", "d", "x", "b", "m", "0", "Shift+Enter", "?", "Escape", "e")
    expect(field(page, "question")).to_be_focused()
    page.press("d", "Control+Enter")
    says(page, "saved: edited #3")
    assert page.page.evaluate("() => window.reached") == ["Control"]
    assert (
        page.find("button, input, select, textarea, summary, [tabindex='0']").evaluate_all(
            "all => all.filter(one => one.dataset.lmSuppressShortcuts !== 'true').map(one => one.outerHTML)"
        )
        == []
    )


def test_ctrl_s_still_saves_the_notebook(page: ReviewPage) -> None:
    page.page.evaluate(
        """() => {
            const notebook = document.querySelector("#views");
            notebook.classList.add("jp-Notebook");
            notebook.addEventListener("keydown", (event) => {
                window.saved = event.ctrlKey && event.target === notebook;
            });
        }"""
    )
    field(page, "answer").focus()
    page.press("Control+s")
    assert page.page.evaluate("() => window.saved") is True


def test_focus_stays_in_the_view_whatever_becomes_of_what_had_it(page: ReviewPage) -> None:
    field(page, "answer").fill("By hand.")
    page.find('.gm-state [data-act="save"]').focus()
    page.press("Enter")  # the button is gone when it has done its work
    says(page, "saved: edited #1")
    expect(page.find(".gm-list")).to_be_focused()


def test_the_keys_are_listed_and_every_one_has_its_button(page: ReviewPage) -> None:
    page.find(".gm-list").focus()
    page.press("?")
    page.find(".gm-help").wait_for()
    for name, key in {
        "accept": "a",
        "reject": "x",
        "flag": "f",
        "edit": "e",
        "undo": "u",
        "next": "j",
    }.items():
        button = page.find(f'.gm-bar [data-act="{name}"]')
        assert button.locator("kbd").inner_text() == key
        assert key in (button.get_attribute("aria-keyshortcuts") or "").split()
    page.press("Escape")
    expect(page.find(".gm-help")).to_be_hidden()


def test_every_control_has_a_name_and_the_status_is_read_aloud(page: ReviewPage) -> None:
    nameless = """all => all.filter(one => {
        const named = one.ariaLabel || [...(one.labels ?? [])].map(l => l.textContent).join("");
        return !(named || (one.matches("button, summary") && one.textContent)).trim();
    }).map(one => one.outerHTML)"""
    assert page.find("button, input, select, textarea, summary, [tabindex]").evaluate_all(nameless) == []
    status = page.find('[role="status"]')
    assert status.get_attribute("aria-live") == "polite"
    active = page.find('[role="listbox"]').get_attribute("aria-activedescendant")
    assert page.find(f'[id="{active}"][role="option"][aria-selected="true"]').count() == 1


def test_a_view_moves_no_notebook_that_it_is_in(page: ReviewPage) -> None:
    page.page.set_viewport_size({"width": 1400, "height": 400})
    page.page.evaluate("() => document.querySelector('#views').style.setProperty('padding-top', '3000px')")
    page.review.changed()
    page.find(".gm-list").evaluate("list => list.focus({ preventScroll: true })")
    page.press("j", "j", "j", "j", "j", "j", "j", "j")
    selected(page, 8)
    assert page.page.evaluate("() => scrollY") == 0
    inside = """list => {
        const [row, box] = [list.querySelector("[aria-selected=true]"), list].map((one) => one.getBoundingClientRect());
        return row.top >= box.top && row.bottom <= box.bottom + 1;
    }"""
    assert page.find(".gm-list").evaluate(inside)


# Text that means no good

NASTY = (
    "<img src=x onerror='window.executed=1'><script>window.executed=1</script></textarea></script> "
    "\x1b[31mred \u202eright to left \u05d0\u05d1 \x00 \ud83d ${1} &lt;b&gt; \u2028end"
)
WORDS = {"title", "reason", "label", "text", "was", "about", "note", "says", "when", "what", "step", "notes"}


def nasty(value: Any, name: str = "") -> Any:
    """A reply with NASTY before each of its texts."""
    match value:
        case dict():
            return {each: nasty(part, each) for each, part in value.items()}
        case ["=" | "+" | "-" as sign, str(text)]:
            return [sign, NASTY + text]
        case list():
            facets = name in ("checks", "sources", "reasons", "lines")
            return [nasty(part, "label" if facets else name) for part in value]
        case str() if name in WORDS:
            return NASTY + value
    return value


class Nasty:
    """A review whose every text is hostile, and whose lines have no end: a million characters in a field."""

    def __init__(self, review: Review) -> None:
        self.batch, self._review = review.batch, review

    def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        answer = nasty(self._review.handle(message))
        if "item" in answer:
            endless, item = "x" * 20_000, answer["item"]
            item["reason"] += endless
            item["title"] += endless
            item["fields"][0]["text"] += "x" * 1_000_000
            item["fields"][1].update(text=endless, editable=False)
            item["texts"][0]["parts"][0]["text"] += endless
            item["verdicts"][-1]["votes"][0]["reason"] += endless
        return answer


def test_hostile_text_is_only_ever_text_and_makes_nothing_wider(opened: Opened, wb: Workbench) -> None:
    review = review_of(wb)
    review.handle({"op": "act", "n": 0, "kind": "edit", "changes": {"question": "By hand?"}, "version": 0})
    page = opened(review=Nasty(review))
    choose(page, 0)
    assert page.find(".gm-row .gm-title").first.inner_text().startswith("<img src=x onerror")
    assert field(page, "question").input_value().startswith("<img src=x onerror")
    assert page.find("img, script, b").count() == 0
    assert page.page.evaluate("() => window.executed") is None
    for width in (1400, 700):
        page.page.set_viewport_size({"width": width, "height": 900})
        assert too_wide(page) == []


def test_hostile_text_that_a_person_types_comes_back_as_text(page: ReviewPage) -> None:
    field(page, "answer").evaluate(
        "(box, text) => { box.value = text + '\\ud83d'; box.dispatchEvent(new Event('input', { bubbles: true })); }",
        NASTY.replace("\ud83d", ""),
    )
    field(page, "answer").focus()
    page.press("Control+Enter")
    says(page, "saved: edited #1")
    assert "<script>window.executed=1</script>" in page.find(".gm-diff").inner_text()
    assert page.find("img, script, b").count() == 0
    assert page.page.evaluate("() => window.executed") is None
    expect(page.find("[data-mark=draft]")).to_have_count(0)


def too_wide(page: ReviewPage) -> list[str]:
    """What is wider than its box; a clipped line of an unbroken title is not."""
    return page.page.locator("html, .gm-review, .gm-review *:not(option)").evaluate_all(
        """all => all.filter(one => one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0
            && getComputedStyle(one).display !== "inline")
            .map(one => `${one.className || one.tagName}: ${one.scrollWidth} in ${one.clientWidth}`)"""
    )


# Looks

CONTRAST = """(root) => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const over = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const one of root.querySelectorAll("*")) {
    const says = one.value || [...one.childNodes].filter((c) => c.nodeType === 3).map((c) => c.data).join("").trim();
    if (!says || !one.checkVisibility() || one.matches("option")) continue;
    const behind = [];
    for (let box = one; box; box = box.parentElement) behind.unshift(getComputedStyle(box).backgroundColor);
    const style = getComputedStyle(one);
    const [a, b] = [light(over([...behind, style.color])), light(over(behind))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${one.className || one.tagName} ${says.slice(0, 30)}`);
  }
  return found;
}"""
THEMES = {
    "light, of the system": "",
    "dark, of the system": "",
    "JupyterLab light": ":root { --jp-layout-color0: #fff; --jp-ui-font-color0: #000; --jp-brand-color1: #1976d2 }",
    "JupyterLab dark": ":root { --jp-layout-color0: #111; --jp-ui-font-color0: #fff; --jp-brand-color1: #42a5f5 }",
    "VS Code dark": ":root { --vscode-editor-background: #1f1f1f; --vscode-editor-foreground: #ccc; "
    "--vscode-focusBorder: #0078d4 }",
    "VS Code light": ":root { --vscode-editor-background: #fff; --vscode-editor-foreground: #3b3b3b; "
    "--vscode-focusBorder: #005fb8 }",
}


def busy(page: ReviewPage) -> None:
    """One row of each kind on the page, a draft, a word diff, what went wrong, and the list of keys."""
    page.find(".gm-list").focus()
    page.press("a", "x", "f")
    choose(page, 3)
    field(page, "answer").fill(
        "It dries the surface of meat and leaves phenols there, which slow bacteria down."
    )
    page.press("Control+Enter")
    says(page, "saved: edited #4")
    page.find(".gm-verdict summary").last.click()
    page.find("summary", has_text="History").click()
    field(page, "question").fill("In which two ways does smoke keep meat?")


def test_text_can_be_read_in_every_theme(page: ReviewPage) -> None:
    busy(page)
    page.fail["act"] = "the disk is full"
    page.press("Control+Enter", "?")
    says(page, "NOT saved")
    sheet = page.page.add_style_tag(content="/**/")
    for name, theme in THEMES.items():
        sheet.evaluate("(sheet, theme) => (sheet.textContent = theme)", theme)
        page.page.emulate_media(color_scheme="dark" if "dark" in name else "light")
        assert page.find(".gm-review").evaluate(CONTRAST) == [], name


def test_a_theme_is_taken_over_and_a_system_that_is_dark_is_followed(page: ReviewPage) -> None:
    def paper() -> str:
        return str(page.find(".gm-review").evaluate("box => getComputedStyle(box).backgroundColor"))

    page.page.emulate_media(color_scheme="light")
    assert paper() == "rgb(255, 255, 255)"
    page.page.emulate_media(color_scheme="dark")
    assert paper() == "rgb(18, 18, 18)"
    page.page.add_style_tag(content=":root { --vscode-editor-background: rgb(1, 2, 3) }")
    assert paper() == "rgb(1, 2, 3)"
    page.page.add_style_tag(content=":root { --jp-layout-color0: rgb(4, 5, 6) }")
    assert paper() == "rgb(4, 5, 6)"


def test_nothing_is_wider_than_the_window_and_narrow_panes_are_stacked(page: ReviewPage) -> None:
    busy(page)
    for width in (1400, 900, 700, 420):
        page.page.set_viewport_size({"width": width, "height": 900})
        queue, item = page.find(".gm-queue").bounding_box(), page.find(".gm-item").bounding_box()
        assert queue and item
        assert (item["y"] >= queue["y"] + queue["height"]) == (width < 760)
        assert item["height"] > 200 and queue["height"] > 200
        assert too_wide(page) == []


@pytest.mark.skipif(
    "GRISTMILL_SCREENSHOT_DIR" not in os.environ, reason="keeps pictures for people, on demand"
)
@pytest.mark.parametrize("step", ["vet", "judge", "cast", "converse"])
def test_pictures(opened: Opened, step: str) -> None:
    folder = Path(os.environ["GRISTMILL_SCREENSHOT_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    page = opened(step)
    if step == "vet":
        busy(page)
    for width in (1400, 900):
        for scheme in ("light", "dark"):
            page.page.set_viewport_size({"width": width, "height": 760})
            page.page.emulate_media(color_scheme=scheme)
            page.page.screenshot(path=folder / f"{step}-{width}-{scheme}.png")
