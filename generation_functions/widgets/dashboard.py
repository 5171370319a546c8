"""The dashboard in a notebook: a run at a glance that follows the run, and under it whatever is clicked on.

The page is made in the kernel, from escaped texts, and sent when a browser asks for it, so nothing of it is kept in the
notebook file. A line follows the step that runs; the page itself is made anew when a step ends.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets

from ..errors import RunError, WorkbenchError
from ..progress import PROGRESS_SECONDS
from ..step import Progress

STATIC = Path(__file__).parent / "static"


class Dashboard(anywidget.AnyWidget):
    """`page` gives the HTML, at once or with what takes reading; `show` opens a step's items and may raise."""

    _esm = STATIC / "dashboard.js"
    _css = STATIC / "dashboard.css"

    def __init__(
        self, page: Callable[[bool], str], show: Callable[[str, Mapping[str, str], str], ipywidgets.Widget]
    ) -> None:
        super().__init__()
        self._page, self._show = page, show
        self._below = ipywidgets.VBox()
        self._followed = 0.0
        self.box = ipywidgets.VBox([self, self._below])
        self.on_msg(self._answer)

    def follow(self, progress: Progress) -> None:
        """Say how far the step is that runs, at most twice a second."""
        now = time.monotonic()
        if now - self._followed >= PROGRESS_SECONDS:
            self._followed = now
            self.send({"now": str(progress)})

    def rest(self, page: str) -> None:
        """Show the run as it is now that no step runs."""
        self.send({"now": "", "html": page})

    def _show_all(self) -> None:
        with suppress(WorkbenchError):  # it may be closed by now
            self.send({"html": self._page(False)})
            self.send({"html": self._page(True)})

    def end(self, page: str) -> None:
        """The run was closed: show this from now on, and let go of it."""
        self._page, self._show = (lambda thorough: page), _closed

    def _answer(self, widget: Any, message: Any, buffers: Any) -> None:
        if message.get("op") == "open":
            # messages to other views are answered meanwhile
            threading.Thread(target=self._show_all, name="gristmill-dashboard", daemon=True).start()
        elif message.get("op") == "show":
            self._open(message)

    def _open(self, message: Mapping[str, str]) -> None:
        before, self._below.children = self._below.children, ()
        for view in before:
            view.close()
        try:
            find = json.loads(message["find"])
            self._below.children = (self._show(message["step"], find, message["key"]),)
        except WorkbenchError as error:
            self.send({"now": str(error)})


def _closed(step: str, find: Mapping[str, str], key: str) -> ipywidgets.Widget:
    raise RunError("the run was closed; run the set-up cell to open it again")
