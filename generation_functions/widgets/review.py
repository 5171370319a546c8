"""The review view in a notebook: a widget between the browser's half, static/review.js, and a Review.

Rows never live in the widget's state, so a saved notebook stays small and a page that is loaded again asks anew.
Front ends may send messages on a thread of their own, also while a cell runs; a Review takes them from any.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from ..review import Review

STATIC = Path(__file__).parent / "static"
PATIENCE = 8_000  # milliseconds without an answer, after which a person is told that nothing was saved


class ReviewWidget(anywidget.AnyWidget):
    """Shows `review`, the kernel's half, and hands on what is asked of it."""

    _esm = STATIC / "review.js"
    _css = STATIC / "review.css"
    patience = traitlets.Int(PATIENCE).tag(sync=True)

    def __init__(self, review: Review, find: Mapping[str, str] | None = None, key: str = "") -> None:
        """`find` is the filter that it begins with, `key` that of the row."""
        super().__init__()
        review.begin = review.place(find or {}, key)
        self.review = review
        self.on_msg(self._answer)
        review.changed = lambda: self.send({"changed": True})

    def __repr__(self) -> str:
        return f"review of {self.review.batch.summary}"

    def to_csv(self, file: str | Path) -> Path:
        """See Review.to_csv."""
        return self.review.to_csv(file)

    def _answer(self, widget: Any, message: Any, buffers: Any) -> None:
        if isinstance(message, dict):
            self.send({**self.review.handle(message), "req": message.get("req")})
