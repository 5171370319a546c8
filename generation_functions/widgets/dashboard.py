"""The dashboard in a notebook: a run at a glance that follows the run, and under it whatever is clicked on.

The page is made in the kernel, from escaped texts, and sent when a browser asks for it, so nothing of it is kept in the
notebook file. A line follows the step that runs; the page itself is made anew when a step ends.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets

from ..errors import WorkbenchError
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
        self._reading = threading.Lock()
        self.box = ipywidgets.VBox([self, self._below])
        self.on_msg(self._answer)

    def follow(self, progress: Progress) -> None:
        """Say how far the step is that runs, at most twice a second."""
        now = time.monotonic()
        if now - self._followed >= PROGRESS_SECONDS:
            self._followed = now
            self.send({"now": str(progress)})

    def rest(self) -> None:
        """Show the run as it is now that no step runs: at once, and with what takes reading when it is read."""
        self.send({"now": "", "html": self._page(False)})
        if not self._reading.locked():
            threading.Thread(target=self._read, name="gristmill-dashboard", daemon=True).start()

    def _read(self) -> None:
        with self._reading:
            self.send({"html": self._page(True)})

    def _answer(self, widget: Any, message: Any, buffers: Any) -> None:
        if message.get("op") == "open":
            self.send({"html": self._page(False)})
            self.send({"html": self._page(True)})
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
