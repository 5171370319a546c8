"""What the forms' widgets have in common: texts made safe for them, and marks."""

from __future__ import annotations

import html
from typing import Any

from ..batch import plain

LONG = 60  # characters of a value in passing


def safe(text: str) -> str:
    """Somebody else's text for an HTML widget."""
    return html.escape(plain(text))


def short(value: Any) -> str:
    """A value in passing."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = " ".join(text.split()) or "empty"
    return text if len(text) <= LONG else text[: LONG - 1] + "\u2026"


def with_class(widget: Any, name: str) -> Any:
    widget.add_class(name)
    return widget


def mark(widget: Any, name: str, is_so: bool) -> None:
    if is_so != (name in widget._dom_classes):
        (widget.add_class if is_so else widget.remove_class)(name)
