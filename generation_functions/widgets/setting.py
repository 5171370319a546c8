"""A setting as a row of a form: a control by its type, what it means, and what is wrong with what was typed.

A key that is typed goes from its field into this process at once and is in no widget's state.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from .. import config, settings
from ..config import Secret, Setting
from ..errors import ConfigError
from .pieces import LONG, mark, safe, short, with_class

Shared = dict[type, dict[str, Any]]


class Row:
    """A setting: its control, and beside it what it means and what is wrong with it."""

    def __init__(self, setting: Setting, update: Callable[[], None], shared: Shared) -> None:
        self.setting, self._update, self._shared = setting, update, shared
        self.searched = f"{setting.name} {setting.about} {' '.join(map(str, setting.allowed))}".lower()
        self.about = with_class(_sharing(shared, ipywidgets.HTML), "gm-about")
        self.box = with_class(_sharing(shared, ipywidgets.HBox), "gm-setting")
        self.control: Any = None
        self._raw: Any = None  # as in the file; the default where it is not there
        self._over: str | None = None
        self._key: str | None = None  # a key that was typed and not saved
        self.error = ""

    def load(self, written: dict[str, Any], over: str | None, is_open: bool) -> None:
        """Show what the file says. `over` is what the notebook's changes say instead."""
        self._raw, self._over, self._key, self.error = (
            written.get(self.setting.name, self.setting.default),
            over,
            None,
            "",
        )
        shown, made = _shown(self.setting, self._raw)
        if type(self.control) is not made:
            if self.control is not None:
                self.control.close()
            self.control = with_class(_made(self.setting, made, self._shared), "gm-control")
            self.control.observe(self._heard, "value")
            self.box.children = [self.control, self.about]
        self._start = shown
        if self.control.value != shown:
            self.control.value = shown
        if made is ipywidgets.Password:
            self.control.placeholder = settings.state_of_key(self._raw)
        self.control.disabled = not is_open

    def _heard(self, change: Any) -> None:
        if self.setting.kind is Secret and isinstance(self.control, ipywidgets.Password):
            if not change["new"]:
                return  # emptied below, by this very method
            self._key = change["new"].strip()
            self.control.value = ""
            shown = self._key if settings.state_of_key(self._key).startswith("$") else "typed, not saved yet"
            self.control.placeholder = shown
        self._update()

    @property
    def is_changed(self) -> bool:
        if self.setting.kind is Secret:
            return self._key is not None and self._key != self._raw
        return bool(self.control.value != self._start or type(self.control.value) is not type(self._start))

    @property
    def value(self) -> Any:
        """What the control says, in the setting's type. Raises ConfigError."""
        if self.setting.kind is Secret:
            return self._key or ""
        value = self.control.value
        is_number_in_text = isinstance(self.control, ipywidgets.Text) and (
            self.setting.kind is not str or self.setting.allowed
        )
        if is_number_in_text and not settings.is_reference(value):
            return config.typed(self.setting.name, value)
        return value

    def check(self, file: Path) -> str:
        """What is wrong with the value, "" when nothing is."""
        try:
            config.checked(self.setting.name, self.value if self.is_changed else self._raw, file)
            self.error = ""
        except ConfigError as error:
            self.error = str(error).removeprefix(f"{file}: ").removeprefix(f"{self.setting.name} ")
        return self.error

    def show(self, error: str = "") -> None:
        """Show what it means, what it was, and what is wrong with it."""
        is_changed = self.is_changed
        error = error or self.error
        lines = [f"<p>{_about(self.setting)}</p>"]
        if error:
            lines.append(f"<p class='gm-error'>{safe(error)}</p>")
        if is_changed and self.setting.kind is not Secret:
            lines.append(f"<p class='gm-was'>was <code>{safe(short(self._raw))}</code></p>")
        if self._over is not None:
            what = "a key" if self.setting.kind is Secret else short(self._over)
            lines.append(f"<p class='gm-warning'>CHANGES in the notebook says {safe(what)}, which counts</p>")
        self.about.value = "".join(lines)
        mark(self.box, "gm-changed", is_changed)
        mark(self.box, "gm-wrong", bool(error))


def _shown(setting: Setting, raw: Any) -> tuple[Any, type[Any]]:
    """What a control of which class shows for a value of the file; a line of text for what does not fit another."""
    if setting.kind is Secret:
        return "", ipywidgets.Password
    if settings.is_reference(raw) and setting.kind is not str:
        return str(raw), ipywidgets.Text
    try:
        value = raw if settings.is_reference(raw) else config.checked(setting.name, raw)
    except ConfigError:
        return str(raw), ipywidgets.Text
    if setting.allowed and setting.kind is str:
        return (value, ipywidgets.Dropdown) if value in setting.allowed else (str(raw), ipywidgets.Text)
    if setting.kind is str:
        return value, ipywidgets.Textarea if len(setting.default) > LONG else ipywidgets.Text
    controls: dict[type, type[Any]] = {
        bool: ipywidgets.Checkbox,
        int: ipywidgets.IntText,
        float: ipywidgets.FloatText,
    }
    return value, controls[setting.kind]


def _made(setting: Setting, made: type[Any], shared: Shared) -> Any:
    how: dict[str, Any] = {"description": setting.name.partition(".")[2]}
    if made is ipywidgets.Dropdown:
        how["options"] = [
            (str(word).lower() if isinstance(word, bool) else word, word) for word in setting.allowed
        ]
    if made is ipywidgets.Textarea:
        how["rows"] = 4
    if made in (ipywidgets.Text, ipywidgets.Textarea, ipywidgets.Password):
        how["continuous_update"] = False
    return _sharing(shared, made, **how)


def _sharing(shared: Shared, made: type[Any], **how: Any) -> Any:
    """A widget with the layout and style of the others of its class, which are widgets themselves."""
    widget = made(**how, **shared.get(made, {}))
    if made not in shared:
        shared[made] = {name: getattr(widget, name) for name in ("layout", "style") if widget.has_trait(name)}
        if "style" in shared[made] and widget.style.has_trait("description_width"):
            widget.style.description_width = "235px"
    return widget


def _about(setting: Setting) -> str:
    about = safe(setting.about)
    if setting.kind is Secret:
        return f"{about}. Best type such a <code>${{NAME}}</code>: then no key is in a file. A space takes it out."
    if setting.allowed and setting.kind is not str:
        low, high = (f"{int(end) if end == int(end) else end:,}" for end in setting.allowed)
        return f"{about} <span class='gm-range'>({low} to {high})</span>"
    return about
