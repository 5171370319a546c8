"""The notebook in a real JupyterLab and a real Notebook, in a real browser.

GRISTMILL_SCREENSHOT=notebook.png keeps a picture of the whole notebook.
"""

import itertools
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import KEY, Body, FakeServer, sampled
from house import SECONDS, SETTINGS, UNCHECKED, copy_of_project, exported, journal, set_parameters
from lab import Lab, Notebook, browser, server
from playwright.sync_api import Browser

from generation_functions import STEPS
from generation_functions.records import Act
from generation_functions.store import Store

NOTEBOOK = "project/processing.ipynb"


@pytest.fixture(scope="module")
def chromium(browser_path: str) -> Iterator[Browser]:
    with browser(browser_path) as chromium:
        yield chromium


@pytest.fixture(scope="module", params=["lab", "notebook"])
def lab(
    tmp_path_factory: pytest.TempPathFactory, chromium: Browser, request: pytest.FixtureRequest
) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp(request.param)
    project = copy_of_project(root)
    set_parameters(project / "processing.ipynb", CHANGES=list(SETTINGS))
    with server(root, request.param) as lab:
        yield lab


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """A run for each test."""
    return str(request.node.name).replace("[", "-").rstrip("]")


@pytest.fixture
def notebook(lab: Lab, chromium: Browser, run: str) -> Iterator[Notebook]:
    set_parameters(lab.root / NOTEBOOK, RUN=run)
    notebook = Notebook(chromium, lab, NOTEBOOK)
    yield notebook
    notebook.close()


def test_run_all_shows_every_step(notebook: Notebook, lab: Lab, run: str, undisturbed: Path) -> None:
    notebook.run_all()
    if picture := os.environ.get("GRISTMILL_SCREENSHOT"):
        notebook.picture(Path(picture))
    assert notebook.errors() == []
    for step in STEPS:
        table = notebook.shown(step).locator(".gm-batch table")
        assert table.is_visible(), step
        assert table.locator("tbody tr").count() > 1, step
        assert notebook.shown(step).get_by_text(f"{step}: ").first.is_visible(), step
    for chart in ("chunks-chart", "chart"):
        assert notebook.shown(chart).locator("img").is_visible()
    assert "simplified_data.jsonl" in notebook.shown("files").inner_text()
    assert exported(lab.root / "project", run) == exported(undisturbed)
    assert notebook.outside == []
    assert notebook.complaints == []


def test_a_restarted_kernel_goes_on_with_the_next_cell(notebook: Notebook, lab: Lab, run: str) -> None:
    project = lab.root / "project"
    notebook.run("parameters", "setup", "chunks", "judge", "write")
    bought = journal(project, run)
    notebook.restart()
    notebook.run("parameters", "setup", "vet")
    assert notebook.errors() == []
    assert notebook.shown("vet").locator(".gm-batch table").is_visible()
    calls = journal(project, run)
    assert calls[: len(bought)] == bought
    assert not {call["stage"] for call in calls[len(bought) :]} & {call["stage"] for call in bought}
    assert notebook.complaints == []


def test_a_review_is_kept_whatever_becomes_of_page_and_kernel(notebook: Notebook, lab: Lab, run: str) -> None:
    project = lab.root / "project"
    notebook.run_all()
    notebook.save()
    cells, before = notebook.cells(), journal(project, run)
    view = View(notebook)

    # 1. Correct a pair, rule on others with fast keys and with the mouse.
    edited = view.title()
    view.press("e")
    view.box.locator('textarea[data-field="answer"]').fill("By hand, and better.")
    view.press("Control+Enter")
    view.says("saved: edited")
    view.press("j", "a", "a", "a", "a", "a")
    view.says("saved: accepted")
    view.press("x")
    view.says("saved: rejected")
    view.act("flag")
    view.says("saved: flagged")
    view.press("u")
    view.says("saved: undone")

    # 2. Disk, view and counts agree.
    done = [(act.kind, act.changes) for act in acts(project, run)]
    assert done[0] == ("edit", (("answer", "By hand, and better."),))
    assert [kind for kind, _ in done[1:]] == ["accept"] * 5 + ["reject", "flag", "undo"]
    counts = view.counts()
    assert (counts["edited"], counts["flagged"]) == (1, 0)
    view.filter("edited")
    assert view.titles() == [edited]
    view.filter("all")
    view.search("no such words")
    assert view.titles() == []
    view.search("")

    # 3. No key does anything to the notebook.
    view.press("d", "d", "b", "y", "m", "0", "0", "Shift+Enter", "c", "v", "z")
    notebook.page.keyboard.press("Control+s")
    notebook.page.wait_for_timeout(500)
    assert notebook.cells() == cells
    assert len(acts(project, run)) == len(done)

    # 4. The page is loaded again: the view comes back from the kernel that went on.
    notebook.open()
    assert View(notebook).counts() == counts

    # 5. The kernel is started again: nothing is lost, and undo reaches back.
    notebook.restart()
    notebook.run("parameters", "setup", "review")
    view = View(notebook)
    assert view.counts() == counts
    view.press("u")
    view.says("saved: undone")
    assert acts(project, run)[-1].kind == "undo"

    # 6. Run All again does what stands on the edit, and nothing else.
    notebook.run_all()
    assert notebook.errors() == []
    again = journal(project, run)[len(before) :]
    votes = [call for call in again if call["step"] in ("vet", "standalone")]
    assert len({call["item"] for call in votes}) == 1
    assert votes and all(edited in call["question"] for call in votes)
    assert {call["step"] for call in again} == {"vet", "cast", "converse"}
    assert {call["chunk"] for call in again} <= chunks_of_acts(project, run)
    assert "By hand, and better." in exported(project, run)["plain_qa.jsonl"].decode()
    assert notebook.outside == []
    assert notebook.complaints == []


class Gate:
    """Lets the first answers of a server through and holds the others until it is opened."""

    def __init__(self, first: int) -> None:
        self._first, self._open = itertools.count(1 - first), threading.Event()
        self.holds = threading.Event()

    def __call__(self, body: Body) -> str:
        if next(self._first) > 0 and not self._open.is_set():
            self.holds.set()
            self._open.wait(SECONDS)
        return sampled(body)

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def gate(lab: Lab, notebook: Notebook, run: str) -> Iterator[Gate]:
    """The notebook's models live behind a server that holds its answers after the first three."""
    gate = Gate(3)
    with FakeServer(gate) as server:
        where = (
            "SYSTEM.MODE=api",
            f"API.BASE_URL={server.url}",
            f"API.API_KEY={KEY}",
            "API.LOGICAL_MODEL=fake",
            *UNCHECKED,
        )
        slow = (*SETTINGS[1:], *where, "API.GRAMMAR=llama.cpp", "SYSTEM.CONCURRENCY_LIMIT=2")
        set_parameters(lab.root / NOTEBOOK, RUN=run, CHANGES=list(slow))
        notebook.open()
        yield gate
        gate.open()
    set_parameters(lab.root / NOTEBOOK, CHANGES=list(SETTINGS))


def hold_in_judge(notebook: Notebook, gate: Gate) -> None:
    """Run the cells up to the one that judges, which waits for answers then."""
    notebook.run("parameters", "setup", "chunks")
    notebook.start("judge")
    assert gate.holds.wait(SECONDS)


def test_the_stop_button_is_heard_during_a_slow_call(
    notebook: Notebook, lab: Lab, run: str, gate: Gate
) -> None:
    hold_in_judge(notebook, gate)
    notebook.stop()
    notebook.shown("judge").get_by_text("judge: pausing at").wait_for()
    gate.open()
    notebook.shown("judge").get_by_text(
        re.compile(r"Paused at \d+ of 14; run the cell again to go on")
    ).wait_for()
    notebook.run("judge")
    assert notebook.shown("judge").locator(".gm-batch table").is_visible()
    assert bought_once(journal(lab.root / "project", run))
    assert notebook.complaints == []


def test_a_second_stop_ends_a_cell_at_once(notebook: Notebook, gate: Gate) -> None:
    hold_in_judge(notebook, gate)
    notebook.stop()
    notebook.shown("judge").get_by_text("judge: pausing at").wait_for()
    notebook.stop()
    notebook.shown("judge").get_by_text(
        "Stopped; what was done is kept. Run the cell again to go on."
    ).wait_for()


def test_a_kernel_restarted_in_the_middle_of_a_step_loses_what_was_in_flight_at_the_most(
    notebook: Notebook, lab: Lab, run: str, gate: Gate
) -> None:
    hold_in_judge(notebook, gate)
    before = journal(lab.root / "project", run)
    notebook.restart()
    gate.open()
    notebook.run("parameters", "setup", "judge")
    assert notebook.errors() == []
    calls = journal(lab.root / "project", run)
    assert before and calls[: len(before)] == before
    assert bought_once(calls)


def test_a_second_notebook_on_the_same_run_is_told_who_has_it(
    notebook: Notebook, lab: Lab, chromium: Browser, run: str
) -> None:
    notebook.run("parameters", "setup")
    other = lab.root / "project" / "other.ipynb"
    shutil.copyfile(lab.root / NOTEBOOK, other)
    second = Notebook(chromium, lab, "project/other.ipynb")
    try:
        second.run("parameters", "setup")
        (error,) = second.errors()
        assert re.search(rf"RunError: .*{re.escape(run)}.* process \d+", error), error
        notebook.restart()
        second.run("setup")
        assert second.shown("setup").locator(".gm-dashboard").is_visible()
    finally:
        second.close()


def bought_once(calls: list[dict[str, Any]]) -> bool:
    keys = [tuple(call[name] for name in ("stage", "input", "draw", "attempt")) for call in calls]
    return len(keys) == len(set(keys)) > 0


class View:
    """The review view of the notebook's review cell."""

    def __init__(self, notebook: Notebook) -> None:
        self.box = notebook.shown("review").locator(".gm-review")
        self._keyboard = notebook.page.keyboard
        self._page = notebook.page
        self.box.locator("[data-n]").first.wait_for()

    def press(self, *keys: str) -> None:
        if not self.box.locator(":focus").count():
            self.box.locator(".gm-list").focus()
        for key in keys:
            self._keyboard.press(key)

    def act(self, name: str) -> None:
        self.box.locator(f'.gm-bar [data-act="{name}"]').click()

    def says(self, words: str) -> None:
        self.box.locator(".gm-status", has_text=words).wait_for()

    def title(self) -> str:
        return self.box.locator('[aria-selected="true"] .gm-title').inner_text()

    def titles(self) -> list[str]:
        return self.box.locator("[data-n] .gm-title").all_inner_texts()

    def filter(self, name: str) -> None:
        self.box.locator(f'[data-filter="{name}"]').click()
        self.box.locator(f'[data-filter="{name}"][aria-pressed="true"]').wait_for()
        self._page.wait_for_timeout(500)

    def search(self, text: str) -> None:
        self.box.locator('input[type="search"]').fill(text)
        self._page.wait_for_timeout(700)

    def counts(self) -> dict[str, int]:
        buttons = self.box.locator("[data-filter]").all()
        return {
            str(b.get_attribute("data-filter")): int(b.locator(".gm-count").inner_text()) for b in buttons
        }


def acts(project: Path, run: str) -> list[Act]:
    with Store(project / "output" / run, readonly=True) as store:
        return store.acts()


def chunks_of_acts(project: Path, run: str) -> set[str]:
    """The chunks of the pairs that were ruled on or edited."""
    keys = json.dumps([act.key for act in acts(project, run)])
    query = """select distinct chunk from items, json_each(made) made
        where step = 'standalone' and made.value in (select value from json_each(?))"""
    with Store(project / "output" / run, readonly=True) as store:
        return {row[0] for row in store._rows(query, (keys,))}
