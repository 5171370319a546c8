"""The text of config.yaml with other values in it, and every other character as it was.

Comments keep their column where the new value leaves them room:

    changed("SYSTEM:\\n  MODE: local   # or api\\n", {"SYSTEM.MODE": "sample"})
            "SYSTEM:\\n  MODE: sample  # or api\\n"

Each change is proved by reading the new text: it must say the new value there and everywhere else what it said
before; where no way of writing does, it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import config
from .config import KNOWN, Setting
from .errors import ConfigError

FILE = Path("config.yaml")


def changed(source: str, changes: Mapping[str, Any]) -> str:
    """The text with these settings changed, by their full names, and every other character as it was.

    A setting that is not there comes at the end of its section, a section at the end of the text. Raises
    ConfigError where a setting stands twice, or cannot be changed without changing something else.
    """
    for name, value in changes.items():
        if name not in KNOWN:
            raise ConfigError(f"{name} is not a setting{config.nearest(name)}")
        source = _with(source, KNOWN[name], value)
    return source


def _with(source: str, setting: Setting, value: Any) -> str:
    before = config.written(source, FILE)
    if setting.name in before and _same(before[setting.name], value):
        return source
    wanted = {**before, setting.name: value}
    for attempt in _attempts(source, setting.name, value):
        if _says(attempt, wanted):
            return attempt
    raise ConfigError(
        f"{setting.name} cannot be changed here without changing more than it; do it in the file by hand"
    )


def _says(source: str, wanted: Mapping[str, Any]) -> bool:
    try:
        found = config.written(source, FILE)
        source.encode("utf-8")
    except (ConfigError, UnicodeEncodeError):
        return False
    return found.keys() == wanted.keys() and all(_same(found[name], wanted[name]) for name in wanted)


def _same(one: Any, other: Any) -> bool:
    """1 and 1.0 are the same, true and 1 are not, and a number that is none is itself."""
    if {type(one), type(other)} == {int, float}:
        return bool(one == other)
    one, other = (
        str(value) if isinstance(value, str) else value for value in (one, other)
    )  # a Secret shows "***"
    return type(one) is type(other) and repr(one) == repr(other)


def _attempts(source: str, name: str, value: Any) -> Iterator[str]:
    """Texts that may have the value where it belongs, the one that looks best first."""
    root = _Text(source)
    section_name, _, key = name.partition(".")
    section = root.entry(root.node, section_name, section_name)
    if section is None:
        yield from root.with_section(section_name, key, value)
        return
    entry = root.entry(section.value, key, name) if isinstance(section.value, yaml.MappingNode) else None
    if entry is None:
        yield from root.with_key(section, key, value)
    else:
        yield from root.with_value(entry, name, value)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A key with its value; `start` and `end` are the places of the value in the text."""

    key: Any
    value: Any
    start: int
    end: int
    in_braces: bool


class _Text:
    """The text of a configuration, with its nodes."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.newline = "\r\n" if "\r\n" in source else "\n"
        self.node: Any = yaml.compose(source, Loader=yaml.SafeLoader)

    def entry(self, node: Any, key: str, name: str) -> _Entry | None:
        """The entry of a mapping that has this key. Raises ConfigError when there are two."""
        found = [pair for pair in node.value if pair[0].value == key] if node is not None else []
        if len(found) > 1:
            lines = " and ".join(str(pair[0].start_mark.line + 1) for pair in found)
            raise ConfigError(f"{name} stands on lines {lines}; leave one of them in the file")
        return self._entry(found[0], bool(node.flow_style)) if found else None

    def _entry(self, pair: tuple[Any, Any], in_braces: bool = False) -> _Entry:
        key, value = pair
        start, end = value.start_mark.index, value.end_mark.index
        if start < key.end_mark.index:  # an alias, whose node is the one that it stands for
            alias = _ALIAS.match(self.source, key.end_mark.index)
            start, end = alias.span(1) if alias else (key.end_mark.index, key.end_mark.index)
        elif isinstance(value, yaml.ScalarNode):
            end = start + len(self.source[start:end].rstrip())  # a block goes on to what comes after it
        return _Entry(key, value, start, end, in_braces)

    # A value that is there

    def with_value(self, entry: _Entry, name: str, value: Any) -> Iterator[str]:
        old = self.source[entry.start : entry.end]
        if _ANCHORED.match(old):
            raise ConfigError(
                f"{name} has a name (&...) by which others may take its value; change it in the file"
            )
        for lines in _forms(value, old, "" if entry.in_braces else self._block_indent(entry, old)):
            yield self._replaced(entry, old, lines)

    def _block_indent(self, entry: _Entry, old: str) -> str:
        """What lines of a block begin with: as they did, else two spaces more than the key."""
        block = re.match(r"[|>][^\n]*\n\s*?([ ]+)\S", old)
        return block[1] if block else " " * (entry.key.start_mark.column + 2)

    def _replaced(self, entry: _Entry, old: str, lines: list[str]) -> str:
        start, end = entry.start, entry.end
        first = lines[0] if old else f" {lines[0]}"  # nothing stands after the colon
        header = start + len(old.splitlines()[0]) if old else start
        if old.startswith(("|", ">")):
            comment = _COMMENT.search(self.source, start, header)
            rest = self.source[end:]
        else:
            comment = _COMMENT.match(self.source, end)
            rest = self.source[comment.end() if comment else end :]
        if comment:
            left = self._column(comment.start(2)) - self._column(start) - len(first)
            gap = comment[1] if "\t" in comment[1] else " " * (left if left > 0 else 2)
            first += gap + comment[2]
        return self.source[:start] + self.newline.join([first, *lines[1:]]) + rest

    def _column(self, place: int) -> int:
        return place - self.source.rfind("\n", 0, place) - 1

    # A value that is not

    def with_key(self, section: _Entry, key: str, value: Any) -> Iterator[str]:
        node = section.value
        if isinstance(node, yaml.MappingNode) and (node.flow_style or not node.value):
            for lines in _forms(value, "", ""):
                yield self._in_braces(node, f"{key}: {lines[0]}")
        elif section.start < section.end and not isinstance(node, yaml.MappingNode):  # "SYSTEM: null"
            for lines in _forms(value, "", ""):
                yield self.source[: section.start] + f"{{{key}: {lines[0]}}}" + self.source[section.end :]
        else:
            keys = node.value if isinstance(node, yaml.MappingNode) else []
            column = keys[0][0].start_mark.column if keys else self._usual_column()
            last = self._entry(keys[-1]) if keys else section
            places = [self._line_after(last.end, column), *([last.value.end_mark.index] if keys else [])]
            indent = " " * column
            for place in places:
                for lines in _forms(value, "", f"{indent}  "):
                    yield self._with_line(place, f"{indent}{key}: {lines[0]}", lines[1:])

    def with_section(self, name: str, key: str, value: Any) -> Iterator[str]:
        root, newline = self.node, self.newline
        if root is not None and root.flow_style:
            for lines in _forms(value, "", ""):
                yield self._in_braces(root, f"{name}: {{{key}: {lines[0]}}}")
            return
        outer = " " * (root.start_mark.column if root is not None else 0)
        inner = outer + " " * (self._usual_column() - len(outer))
        for blank in (newline, "") if self.source.strip("\ufeff") else ("",):
            for lines in _forms(value, "", f"{inner}  "):
                first = f"{outer}{name}:{newline}{inner}{key}: {lines[0]}"
                yield self._with_line(len(self.source), first, lines[1:], blank)

    def _in_braces(self, node: Any, what: str) -> str:
        """With one more entry in a mapping like {A: 1}."""
        if node.value:
            place, comma = self._entry(node.value[-1]).end, ", "
        else:
            place, comma = node.end_mark.index - 1, ""
        return self.source[:place] + comma + what + self.source[place:]

    def _with_line(self, place: int, first: str, more: list[str], blank: str = "") -> str:
        before, after = self.source[:place], self.source[place:]
        ends = before.endswith("\n") or before in ("", "\ufeff")
        opened = ("" if ends else self.newline) + blank
        closed = self.newline if ends or after else ""
        return before + opened + self.newline.join([first, *more]) + closed + after

    def _line_after(self, place: int, column: int) -> int:
        """Where the line after this place begins, past the comments that go on under it."""
        line = r"[^\n]*(?:\n|\Z)"
        found = re.compile(rf"{line}(?: {{{max(column, 1)},}}#{line})*").match(self.source, place)
        assert found
        return found.end()

    def _usual_column(self) -> int:
        """Where the keys of sections stand."""
        for _, node in self.node.value if self.node is not None else ():
            if isinstance(node, yaml.MappingNode) and not node.flow_style and node.value:
                return int(node.value[0][0].start_mark.column)
        return 2 + (self.node.start_mark.column if self.node is not None else 0)


_ALIAS = re.compile(r"\s*:\s+(\*[^\s,\[\]{}]+)")
_ANCHORED = re.compile(r"(?:!\S*\s+)?&")
_COMMENT = re.compile(r"([ \t]+)(#[^\r\n]*)")


def _forms(value: Any, old: str, block_indent: str) -> Iterator[list[str]]:
    """Ways of writing a value, as lines; none of several lines where `block_indent` is ""."""
    if isinstance(value, bool):
        yield [str(value) if old in ("True", "False") else str(value).lower()]
    elif isinstance(value, int):
        yield [str(value)]
    elif isinstance(value, float):
        yield [str(int(value)) if value.is_integer() and abs(value) < 1e15 else _dumped(value)]
    elif isinstance(value, str):
        if block_indent and "\n" in value:
            yield _block(value, block_indent)
        single = ["'" + value.replace("'", "''") + "'"]
        if "\n" not in value:
            if old.startswith("'"):
                yield single
            if value and not old.startswith('"'):
                yield [value]
            if not old.startswith('"') and re.search(r'["\\]', value):
                yield single
        yield [_dumped(str(value))]


def _dumped(value: Any) -> str:
    style = '"' if isinstance(value, str) else None
    whole = yaml.safe_dump(value, default_style=style, allow_unicode=True, width=float("inf"))
    return whole.partition("\n")[0]


def _block(value: str, indent: str) -> list[str]:
    ends = len(value) - len(value.rstrip("\n"))
    chomp = "-" if not ends else "" if ends == 1 else "+"
    deeper = "2" if value.startswith((" ", "\n")) else ""  # holds where the lines stand two columns in
    lines = value.split("\n")
    return [f"|{deeper}{chomp}", *(indent + line if line else "" for line in lines[: -1 if ends else None])]
