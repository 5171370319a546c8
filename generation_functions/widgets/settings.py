"""The settings form: config.yaml as widgets, before a workbench is made or beside one.

    SettingsForm("config.yaml")            # shows itself in a notebook

A row for each setting, by its type, with what it means; what saving would change in the file and redo in the run is
said before.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets

from .. import config, settings
from ..config import SETTINGS, Config
from ..config_text import changed
from ..errors import ConfigError
from ..redone import redone
from ..steps import Steps
from .pieces import safe, with_class
from .setting import Row, Shared
from .upload import Upload

STATIC = Path(__file__).parent / "static"
TEXTS = "Texts"  # the last tab
FIRST = "SYSTEM"  # the tab that is open at the beginning


class _Keys(anywidget.AnyWidget):
    """Keeps the form's keys from the notebook, and brings its looks."""

    _esm = STATIC / "settings.js"
    _css = STATIC / "settings.css"


class SettingsForm(ipywidgets.VBox):
    """The form for a file. `changes` are those of the notebook, which come before the file; with a run's steps it
    says what saving would redo.
    """

    def __init__(
        self, file: str | Path = "config.yaml", changes: Iterable[str] = (), steps: Steps | None = None
    ) -> None:
        self.file, self.steps = Path(file), steps
        self._changes = tuple(changes)
        self._lock = threading.RLock()  # messages of the browser may come on several threads
        self._text, self._before, self._unreadable = "", None, ""
        self._known: tuple[Any, str] = (None, "")  # what was last looked up of the run, and what came of it
        self._busy = False
        shared: Shared = {}
        self.rows = {setting.name: Row(setting, self._update, shared) for setting in SETTINGS}
        self._build()
        super().__init__(
            children=[with_class(_Keys(), "gm-keys"), self.head, self.search, self.body, self.foot]
        )
        self.add_class("gm-settings")
        self.load()

    def __repr__(self) -> str:
        return f"settings of {self.file}"

    def _build(self) -> None:
        self.head = ipywidgets.HTML()
        self.search = ipywidgets.Text(placeholder="Search settings", layout={"width": "320px"})
        self.search.observe(self._find, "value")
        self.sections = list(dict.fromkeys(name.partition(".")[0] for name in self.rows))
        self.headings = {section: ipywidgets.HTML(f"<h4>{section}</h4>") for section in self.sections}
        self.found = with_class(ipywidgets.VBox(), "gm-found")
        self.nothing_found = ipywidgets.HTML("<p class='gm-quiet'>No setting has these words.</p>")
        pages = [ipywidgets.VBox([row.box for row in self._rows_of(section)]) for section in self.sections]
        self.upload = Upload(self._folder_of_texts, self._chunk_size)
        self.tabs = with_class(ipywidgets.Tab(children=[*pages, self.upload.box]), "gm-tabs")
        self.tabs.selected_index = self.sections.index(FIRST)
        self.body = ipywidgets.VBox([self.tabs])
        self.save_button = ipywidgets.Button(description="Save", button_style="primary", disabled=True)
        self.load_button = ipywidgets.Button(
            description="Load again", tooltip="Read the file anew; what was typed and not saved is dropped"
        )
        self.said = ipywidgets.HTML()
        self.preview = ipywidgets.HTML()
        self.save_button.on_click(lambda _: self.save())
        self.load_button.on_click(lambda _: self.load())
        buttons = with_class(ipywidgets.HBox([self.save_button, self.load_button, self.said]), "gm-foot")
        self.foot = ipywidgets.VBox([buttons, self.preview])

    def _rows_of(self, section: str) -> list[Row]:
        return [row for name, row in self.rows.items() if name.startswith(f"{section}.")]

    # Loading and saving

    def load(self) -> None:
        """Show what the file says, and drop what was typed."""
        with self._lock:
            self._busy = True
            try:
                self._text, self._unreadable = config.read(self.file), ""
                written = config.written(self._text, self.file)
            except ConfigError as error:
                self._unreadable, written = str(error), {}
            over = dict(change.partition("=")[::2] for change in self._changes)
            self._is_open = not self._unreadable and settings.is_writable(self.file)
            for name, row in self.rows.items():
                row.load(written, over.get(name), self._is_open)
            self.upload.button.disabled = False
            self._busy = False
            self._before, problem = self._parsed(self._text)
            self._show_head(self._unreadable or problem)
            self._update()

    def save(self) -> None:
        """Put what was typed into the file, if the file is still what was read."""
        with self._lock:
            try:
                text = changed(self._text, self.typed)
                settings.save(self.file, self._text, text)
            except ConfigError as error:
                self._say("gm-error", str(error))
                return
            self.load()
            more = "; until then wb works with the settings that it was opened with" if self.steps else ""
            self._say("gm-saved", f"Saved. Run the set-up cell again to work with them{more}.")

    @property
    def typed(self) -> dict[str, Any]:
        """The settings that differ from the file, by name, with what they are to be. Raises ConfigError."""
        return {name: row.value for name, row in self.rows.items() if row.is_changed}

    def _parsed(self, text: str) -> tuple[Config | None, str]:
        """The settings with the notebook's changes on top, and why there are none."""
        try:
            return config.parsed(text, self.file, self._changes), ""
        except ConfigError as error:
            return None, str(error)

    # What is shown

    def _show_head(self, problem: str) -> None:
        lines = [f"<p><b>Settings</b> in <code>{safe(str(self.file))}</code></p>"]
        if problem:
            lines.append(f"<p class='gm-error'>{safe(problem)}</p>")
        elif not self._is_open:
            lines.append("<p class='gm-warning'>The file cannot be written, so this is for looking only.</p>")
        self.head.value = "".join(lines)

    def _update(self) -> None:
        """Show what differs, what is wrong with it, and what saving it would do."""
        if self._busy:
            return
        with self._lock:
            marked = [name for name, row in self.rows.items() if row.is_changed]
            wrong = [name for name, row in self.rows.items() if row.check(self.file) and row.is_changed]
            for row in self.rows.values():
                row.show()
            for place, section in enumerate([*self.sections, TEXTS]):
                count = sum(name.startswith(f"{section}.") for name in marked)
                self.tabs.set_title(place, f"{section} ({count})" if count else section)
            if not marked:
                self._not_to_save("", "Nothing differs from the file." if self._is_open else "")
            elif wrong:
                self._not_to_save("gm-error", f"Not to be saved as it is: {_keys(wrong)}")
            else:
                self._offer()

    def _offer(self) -> None:
        """Let what differs be saved if the file would load then."""
        try:
            typed = self.typed
            text = changed(self._text, typed)
        except ConfigError as error:
            self._not_to_save("gm-error", str(error))
            return
        after, problem = self._parsed(text)
        if after is None:
            for name in [name for name in self.rows if f" {name} " in f" {problem} "]:
                self.rows[name].show(problem.partition(": ")[2])
            self._not_to_save("gm-error", problem)
            return
        self.save_button.disabled = not self._is_open
        self._say("", f"{len(typed)} changed: {_keys(typed)}")
        difference = settings.difference(self._text, text)
        self.preview.value = _lines_of(difference)
        if told := self._redone(after):
            self.preview.value = told + _lines_of(difference)

    def _redone(self, after: Config) -> str:
        if self.steps is None or self._before is None:
            return ""
        key = tuple(sorted((name, str(value)) for name, value in after.items()))
        if self._known[0] != key:
            told = redone(self.steps, self._before, after)
            lines = "".join(f"<p>{safe(line)}</p>" for line in told)
            self._known = key, f"<div class='gm-redone'>{lines}</div>"
        return self._known[1]

    def _not_to_save(self, tone: str, why: str) -> None:
        self.save_button.disabled, self.preview.value = True, ""
        self._say(tone, why)

    def _say(self, tone: str, text: str) -> None:
        self.said.value = f"<span class='{tone or 'gm-quiet'}' role='status'>{safe(text)}</span>"

    def _find(self, change: Any) -> None:
        """Show the rows that have all the words, with their sections, in place of the tabs."""
        words = str(change["new"]).lower().split()
        if not words:
            self.body.children = [self.tabs]
            return
        found: list[Any] = []
        for section, heading in self.headings.items():
            rows = [row.box for row in self._rows_of(section) if all(word in row.searched for word in words)]
            found += [heading, *rows] if rows else []
        self.found.children = found or [self.nothing_found]
        self.body.children = [self.found]

    # Texts

    def _folder_of_texts(self) -> Path:
        if self._before is None:
            raise ConfigError("texts can be taken when the settings load")
        return self._before.path("PATH.INPUT")

    def _chunk_size(self) -> int:
        return int(self._before["SYSTEM.CHUNK_SIZE"]) if self._before else 1


def _keys(names: Iterable[str]) -> str:
    return ", ".join(name.partition(".")[2] for name in names)


def _lines_of(difference: Sequence[str]) -> str:
    tones = {"-": "gm-goes", "+": "gm-comes"}
    lines = [f"<span class='{tones[line[0]]}'>{safe(line)}</span>" for line in difference]
    return "<pre class='gm-diff'>" + "\n".join(lines) + "</pre>"
