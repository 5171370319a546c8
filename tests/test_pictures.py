"""The README's pictures, taken from JupyterLab in a real browser on a run that a person can read.

GRISTMILL_PICTURES=docs makes them; without it nothing here runs.
"""

import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from house import ROOT, set_parameters
from lab import Lab, Notebook, browser, server
from PIL import Image
from playwright.sync_api import Browser
from review_page import Library

pytestmark = pytest.mark.skipif("GRISTMILL_PICTURES" not in os.environ, reason="makes pictures on demand")

SETTINGS = [
    "SYSTEM.MODE=sample",
    "SYSTEM.CHUNK_SIZE=600",
    "SYSTEM.REARRANGEMENTS_TO_TAKE=1",
    "SYSTEM.PAIRS_PER_CHUNK=3",
]
SIZE = {"width": 1180, "height": 860}
COLOURS = 96  # of the moving picture
WIDTH = 900  # pixels of it


@pytest.fixture
def folder() -> Path:
    return Path(os.environ["GRISTMILL_PICTURES"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A notebook whose run has been made by a model that can read; opened again it has nothing left to do."""
    project = tmp_path / "project"
    Library(project).finish()
    shutil.copyfile(ROOT / "processing.ipynb", project / "processing.ipynb")
    set_parameters(project / "processing.ipynb", CHANGES=SETTINGS)
    with server(tmp_path) as lab:
        yield lab


@pytest.fixture
def notebook(lab: Lab, browser_path: str) -> Iterator[Notebook]:
    with browser(browser_path) as chromium:
        yield _opened(chromium, lab)


def _opened(chromium: Browser, lab: Lab) -> Notebook:
    notebook = Notebook(chromium, lab, "project/processing.ipynb")
    notebook.page.set_viewport_size(SIZE)
    notebook.hide_sidebar()
    notebook.run("parameters", "setup")
    return notebook


def test_the_dashboard(notebook: Notebook, folder: Path) -> None:
    notebook.page.get_by_text("How votes fell").wait_for()
    notebook.view("setup", folder / "dashboard.png")


def test_a_review(notebook: Notebook, folder: Path) -> None:
    notebook.shown("setup").locator('button[data-step="vet"]').first.wait_for()
    notebook.write("review", "wb.review(vetted)")
    notebook.run("review")
    view = notebook.shown("review").locator(".gm-review")
    view.locator("[data-n]").first.wait_for()
    film = Film(notebook)

    wrong = view.locator("[data-n]", has_text="How strong is a saturated brine")
    wrong.click()
    view.locator(".gm-verdict").first.wait_for()
    notebook.page.wait_for_timeout(400)
    notebook.view("review", folder / "review.png")
    film.take(1800)
    notebook.page.keyboard.press("e")
    answer = view.locator('textarea[data-field="answer"]')
    for text in (
        "It holds ",
        "It holds 36 grams of salt per 100 millilitres.",
    ):
        answer.fill(text)
        film.take(700)
    notebook.page.keyboard.press("Control+Enter")
    view.locator(".gm-status", has_text="saved: edited").wait_for()
    film.take(1800)
    for key, words in (
        ("a", "saved: accepted"),
        ("f", "saved: flagged"),
        ("j", ""),
        ("x", "saved: rejected"),
    ):
        notebook.page.keyboard.press(key)
        if words:
            view.locator(".gm-status", has_text=words).wait_for()
        notebook.page.wait_for_timeout(300)
        film.take(900)
    view.locator('[data-filter="edited"]').click()
    notebook.page.wait_for_timeout(500)
    film.take(2200)
    film.save(folder / "review.gif")


class Film:
    """Pictures of the window, one after the other, as a moving picture."""

    def __init__(self, notebook: Notebook) -> None:
        self._notebook = notebook
        self._pictures: list[Image.Image] = []
        self._milliseconds: list[int] = []

    def take(self, milliseconds: int) -> None:
        """The window as it is now, to be shown so long."""
        picture = Image.open(io.BytesIO(self._notebook.seen("review"))).convert("RGB")
        height = round(picture.height * WIDTH / picture.width)
        small = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
        self._pictures.append(small.quantize(COLOURS, dither=Image.Dither.NONE))
        self._milliseconds.append(milliseconds)

    def save(self, file: Path) -> None:
        first, *others = self._pictures
        first.save(
            file, save_all=True, append_images=others, duration=self._milliseconds, loop=0, optimize=True
        )
