"""The notebook in a real JupyterLab in a real browser.

GRISTMILL_SCREENSHOT=notebook.png keeps a picture of the whole notebook, GRISTMILL_README_PICTURE=docs/notebook.png
makes the README's.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import SETTINGS, copy_of_project, exported, journal, set_parameters
from lab import Lab, Notebook, browser, server
from playwright.sync_api import Browser

from generation_functions import STEPS

NOTEBOOK = "project/processing.ipynb"


@pytest.fixture(scope="module")
def chromium(browser_path: str) -> Iterator[Browser]:
    with browser(browser_path) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    project = copy_of_project(root)
    set_parameters(project / "processing.ipynb", CHANGES=list(SETTINGS))
    with server(root) as lab:
        yield lab


@pytest.fixture
def notebook(lab: Lab, chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """The notebook, with a run for each test."""
    set_parameters(lab.root / NOTEBOOK, RUN=request.node.name)
    notebook = Notebook(chromium, lab, NOTEBOOK)
    yield notebook
    notebook.close()


def test_run_all_shows_every_step(notebook: Notebook, lab: Lab, undisturbed: Path) -> None:
    notebook.run_all()
    if picture := os.environ.get("GRISTMILL_SCREENSHOT"):
        notebook.picture(Path(picture))
    if picture := os.environ.get("GRISTMILL_README_PICTURE"):
        notebook.view("vet", Path(picture))
    assert notebook.errors() == []
    for step in STEPS:
        table = notebook.shown(step).locator(".gm-batch table")
        assert table.is_visible(), step
        assert table.locator("tbody tr").count() > 1, step
        assert notebook.shown(step).get_by_text(f"{step}: ").first.is_visible(), step
    for chart in ("chunks-chart", "chart"):
        assert notebook.shown(chart).locator("img").is_visible()
    assert "simplified_data.jsonl" in notebook.shown("files").inner_text()
    assert exported(lab.root / "project", "test_run_all_shows_every_step") == exported(undisturbed)
    assert notebook.outside == []
    assert notebook.complaints == []


def test_a_restarted_kernel_goes_on_with_the_next_cell(notebook: Notebook, lab: Lab) -> None:
    project, run = lab.root / "project", "test_a_restarted_kernel_goes_on_with_the_next_cell"
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
