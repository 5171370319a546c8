"""A batch as a spreadsheet, to be corrected there and taken back.

    status,question,answer,reason,quotation,text,source,id,stood,step
    kept,Why is raw honey slow to spoil?,It holds too little water.,,...,9e41c07b21d65f3a,5b0c...,standalone

A row is a record. `status` and the record's own texts may be changed; `id`, `stood` and `step` say which record it is
and what it was when the file was written. Programs that read such files differ in what they make of them: a text that
looks like a formula has an apostrophe before it, and any usual separator is read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import regex

from . import export
from .batch import Batch
from .detail import label
from .errors import RunError
from .files import write_whole
from .items import Item, Items
from .records import Conversation

LONGEST_CELL = 32_767  # characters; Excel and LibreOffice cut what is longer
FORMULA = "=+-@\t\r"  # what a cell begins with that programs work out instead of showing
NUMERIC = regex.compile(r"[\d\s.,:/eE%+-]*\d[\d\s.,:/eE%+-]*|(?i:true|false)")
NAMED = "k"  # begins keys, which some programs would take for numbers
NEEDED = ("id", "stood", "step", "status")
READ_WHOLE = 1 << 30  # characters of a cell, so that none is refused as too long

Row = Mapping[str, Any]


def write(file: Path, batch: Batch) -> Path:
    """The batch as CSV in UTF-8, with the mark by which Excel knows it."""
    names = _columns(batch)

    def lines() -> Iterator[str]:
        yield "\ufeff" + _line(names)
        for item in batch.items:
            for row in export.rows_of(item, batch.overlay):
                cells = {**_texts(row), "votes": _votes(row), "step": batch.name}
                cells |= {name: f"{NAMED}{cells[name]}" for name in ("id", "stood")}
                yield _line([_guarded(cells.get(name, "")) for name in names])

    write_whole(file, lines())
    return file


def _columns(batch: Batch) -> list[str]:
    """Those of all rows, in an order in which a person reads them."""
    found: dict[str, None] = {}
    for record in _kinds(batch.items):
        found.update(dict.fromkeys(_texts(export.fields_of(record))))
    own = list(found)
    turns = sorted((name for name in own if name.startswith("turn ")), key=lambda name: int(name[5:]))
    rest = [name for name in own if not name.startswith("turn ")]
    return ["status", *turns, *rest, "reason", "votes", "id", "stood", "step"]


def _kinds(items: Sequence[Item]) -> Iterator[Any]:
    """A record of each kind that rows are of; of conversations, of which some have more turns, all."""
    if not isinstance(items, Items):
        yield from (record for item in items for record in item.outcome.records or (item.input,))
        return
    made = items.made
    yield from made if len(made) and isinstance(made[0], Conversation) else made[:1]
    ends = enumerate(pairwise((0, *items.ends)))
    bare = next((place for place, (before, end) in ends if before == end), None)
    if bare is not None:
        yield items.inputs[bare]


def _texts(row: Row) -> dict[str, str]:
    return {name: value for name, value in export.flat(row).items() if isinstance(value, str)}


def _votes(row: Row) -> str:
    said = []
    for verdict in row.get("verdicts", ()):
        passed = sum(vote["passed"] is True for vote in verdict["votes"])
        said.append(f"{label(verdict['check'])}: {passed} of {len(verdict['votes'])} pass")
    return "; ".join(said)


def _line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()


def _guarded(text: str) -> str:
    text = text.replace("\0", "\ufffd")
    return f"'{text}" if _acts_up(text) else text


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _acts_up(cell) else cell


def _acts_up(text: str) -> bool:
    """Whether a program would make something else of it: work it out, or take it for a number, a date or a truth."""
    bare = text.lstrip("'")
    return bare[:1] in tuple(FORMULA) or NUMERIC.fullmatch(bare) is not None


def read(file: Path) -> tuple[str, list[tuple[int, Row]]]:
    """The step and the rows, each with its number in the spreadsheet. Raises RunError for what is none of ours."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise RunError(f'{file} is not in UTF-8; save it as "CSV UTF-8"') from None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    first = text.split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    csv.field_size_limit(READ_WHOLE)
    try:
        found = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, restval=""))
    except csv.Error as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    if missing := [name for name in NEEDED if found and name not in found[0]]:
        raise RunError(f"{file} has no column {missing[0]}; write it with wb.review(batch).to_csv(...)")
    rows = [(number, _row(file, number, row)) for number, row in enumerate(found, 2) if _holds(row)]
    steps = {row["step"] for _, row in rows}
    if len(steps) > 1:
        raise RunError(f"{file} has rows of {', '.join(sorted(steps))}; a file is of one step")
    return (steps.pop() if steps else ""), rows


def _holds(row: Row) -> bool:
    return any(row.values())


def _row(file: Path, number: int, cells: Mapping[str | None, Any]) -> Row:
    if None in cells:
        raise RunError(f"{file}:{number}: there are more cells than columns; nothing was taken back")
    row = {str(name): _unguarded(cell) for name, cell in cells.items()}
    keys = {name: row[name].strip().removeprefix(NAMED) for name in ("id", "stood")}
    return {**row, **keys, "status": row["status"].strip().lower()}
