"""The run at a glance: its numbers are those of the ledgers and the journal, its buttons show what they name."""

import gc
import json
import re
import weakref
from html.parser import HTMLParser
from typing import Any

import pytest
from scripted import Project, agreeable, says

from generation_functions import STEPS, Workbench, dashboard
from generation_functions.engine import Completion, Request
from generation_functions.widgets.dashboard import Dashboard
from generation_functions.widgets.review import ReviewWidget

HOSTILE = "<img src=x onerror=alert(1)> </script></style> \x1b[31m\0 \u202eabc"


class Page(HTMLParser):
    """What a browser would make of it: the names of all tags and their attributes, the buttons, the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.buttons: list[dict[str, Any]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "button":
            self.buttons.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += f" {data}"


def rejecting(request: Any) -> str:
    if request.stage == "check_accuracy":
        return says("Inaccurate", "Other words: it says something else.")
    return agreeable(request)


def shown(wb: Workbench) -> Page:
    return Page(wb._repr_mimebundle_()["text/html"])


def thorough(wb: Workbench) -> Page:
    return Page(wb._page(True))


def test_every_step_is_shown_with_its_ledger(finished: Project) -> None:
    with finished.open() as wb:
        page = shown(wb)
        for batch in wb.status():
            row = re.search(rf"{batch.name}\s+((?:\d+\s+){{5}})", page.text)
            assert row, batch.name
            ledger = batch.ledger
            counts = [ledger.kept, ledger.rejected, ledger.failed, ledger.pending, len(batch)]
            assert [int(n) for n in row[1].split()] == counts


def test_calls_and_tokens_are_those_of_the_journal(project: Project) -> None:
    def counted(request: Request) -> Completion:
        return Completion(agreeable(request), "stop", 1000, 900, 10)

    with project.open(counted) as wb:
        assert "Nothing was asked of a model yet." in shown(wb).text
        wb.run()
        calls = sum(row["calls"] for row in wb._store.usage())
        said = f"{calls:,} calls; {calls * 1000:,} prompt tokens, 90% of them from the cache; {calls * 10:,} tokens"
        assert said in shown(wb).text


def test_tokens_that_a_server_does_not_count_are_not_shown_as_none(finished: Project) -> None:
    with finished.open() as wb:
        assert "prompt tokens" not in shown(wb).text


def test_a_terminal_has_it_as_text(finished: Project) -> None:
    with finished.open() as wb:
        text = wb._repr_mimebundle_()["text/plain"]
        assert [step for step in STEPS if re.search(rf"^{step} ", text, re.MULTILINE)] == list(STEPS)
        assert "<" not in text


def test_reasons_and_votes_are_counted_and_lead_to_their_items(project: Project) -> None:
    with project.open(rejecting) as wb:
        wb.run()
        page = thorough(wb)
        assert "accuracy" in page.text and "How votes fell" in page.text
        rejected = len(wb.vet().show("rejected").items)
        (button,) = [b for b in page.buttons if json.loads(b["data-find"]).get("reason") == "accuracy"]
        review = opened(wb, button).review
        assert review.handle({"op": "open"})["begin"]["find"] == {"status": "rejected", "reason": "accuracy"}
        found = review.handle(
            {"op": "page", "offset": 0, "limit": 50, "sort": "order", "find": review.begin["find"]}
        )
        assert found["total"] == rejected > 0


def opened(wb: Workbench, button: dict[str, Any]) -> ReviewWidget:
    """What a click on that button shows."""
    live = Dashboard(wb._page, wb._shown)
    names = ("step", "find", "key")
    live._answer(live, {"op": "show", **{name: button[f"data-{name}"] for name in names}}, None)
    (view,) = live.box.children[1].children
    assert isinstance(view, ReviewWidget)
    return view


def test_what_failed_leads_to_its_item(project: Project) -> None:
    with project.open(lambda r: "no answer" if r.stage == "check_relevance" else agreeable(r)) as wb:
        wb.run()
        page = thorough(wb)
        assert "What went wrong lately" in page.text
        button = next(b for b in page.buttons if b["data-key"])
        review = opened(wb, button).review
        n = review.handle({"op": "open"})["begin"]["n"]
        assert review.handle({"op": "item", "n": n})["item"]["key"] == button["data-key"]
        assert review.handle({"op": "item", "n": n})["item"]["status"] == "failed"


def test_a_click_shows_one_view_at_a_time(finished: Project) -> None:
    with finished.open() as wb:
        live = Dashboard(wb._page, wb._shown)
        for step in ("vet", "converse"):
            live._answer(live, {"op": "show", "step": step, "find": "{}", "key": ""}, None)
            (view,) = live.box.children[1].children
            assert view.review.batch.name == step


@pytest.mark.parametrize("step", [step for step in STEPS if step not in dashboard.NOT_REVIEWED])
def test_every_button_shows_something(finished: Project, step: str) -> None:
    with finished.open() as wb:
        for button in [b for b in thorough(wb).buttons if b["data-step"] == step]:
            review = opened(wb, button).review
            find = review.begin["find"]
            assert review.handle({"op": "page", "offset": 0, "limit": 9, "sort": "order", "find": find})[
                "rows"
            ]


def test_hostile_text_stays_text(project: Project) -> None:
    with project.open(
        lambda r: says("Inaccurate", HOSTILE) if r.stage == "check_accuracy" else agreeable(r)
    ) as wb:
        wb.run()
        wb.reject(wb.write()[0])
        page = thorough(wb)
        assert not page.tags & {"img", "script"}
        assert not [name for name in page.attributes if name.startswith("on")]


def test_looking_disturbs_no_step_that_runs(finished: Project) -> None:
    with finished.open() as wb:
        before = dict(wb._steps.batches)
        wb._page(True)
        wb._repr_mimebundle_()
        assert wb._steps.batches == before
        assert not wb._steps.readonly


def test_a_reason_leads_to_all_of_its_items(finished: Project) -> None:
    with finished.open() as wb:
        for pair in wb.standalone().records[:3]:
            wb.reject(pair)
        of_step = [button for button in thorough(wb).buttons if button["data-step"] == "standalone"]
        (button,) = [button for button in of_step if "reason" in json.loads(button["data-find"])]
        review = opened(wb, button).review
        find = review.begin["find"]
        assert (
            review.handle({"op": "page", "offset": 0, "limit": 9, "sort": "order", "find": find})["total"]
            == 3
        )


def test_a_closed_run_can_still_be_looked_at(finished: Project) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="By hand.")
    assert "standalone" in wb._page(False)
    assert len(wb.status()) == len(STEPS)


def test_dashboards_let_go_of_a_workbench_that_is_closed(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("generation_functions.workbench.in_notebook", lambda: True)
    opened_before = []
    for _ in range(4):
        wb = finished.open()
        wb._repr_mimebundle_()
        opened_before.append(weakref.ref(wb))
    wb.close()
    del wb
    gc.collect()
    assert not [left for left in opened_before[:-1] if left() is not None]
