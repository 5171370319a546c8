"""A hand-edited readable file taken back as acts.

A line is matched by its `id` with the record that the run has; a changed text becomes an edit, a changed
`status` an acceptance or a rejection:

    {"id": "9e41c07b21d65f3a", "status": "kept", "question": "...", "answer": "In 1869, not in 1870.", ...}
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import export
from .batch import Batch
from .errors import RunError
from .records import Act
from .step import Item, edited
from .store import Overlay

BY_HAND = ("question", "answer", "card", "scenario", "plan")  # the fields that a person may edit


def may_be_edited(field: str) -> bool:
    return field in BY_HAND or field.startswith("turn ")


@dataclass(frozen=True, slots=True)
class Place:
    """The step and the key of the record as it was generated, to which an act belongs."""

    step: str
    key: str
    rejected: bool
    acted_on: bool


def place_of(
    record: Any, kind: str, batches: Mapping[str, Batch], overlay_of: Callable[[str], Overlay]
) -> Place:
    """Where an act on `record`, which may be an edited form of what was generated, belongs.

    Several steps can have the record. An acceptance is for one that rejected it, an undo for one with an act on it,
    all else for the one whose batch is the last in `batches`. Raises RunError where there is none.
    """
    places = [place for name in batches for place in _places(record, batches[name], overlay_of(name))]
    if not places:
        raise RunError("that record is in none of this run's batches; run its step first")
    if kind == "accept":
        places = [place for place in places if place.rejected]
    elif kind == "undo":
        places = [place for place in places if place.acted_on]
    else:  # an act on a pair of `distinct` is for the step that the pair comes from
        places = [place for place in places if place.step != "distinct"]
    if not places:
        raise RunError(f"there is nothing to {kind}: that record {_NOTHING[kind]}")
    return places[-1]


_NOTHING = {"accept": "was not rejected", "undo": "has no act that stands"}


def _places(record: Any, batch: Batch, now: Overlay) -> Iterator[Place]:
    for item in batch.items if batch.name != "chunks" else ():
        for own in item.outcome.records:
            if record in (own, edited(own, batch.overlay), edited(own, now)):
                rejected = edited(own, now) not in item.passing(now)
                yield Place(batch.name, own.key, rejected, own.key in now.keys)


def read_acts(file: Path, batch: Batch) -> list[Act]:
    """What the file says differently from the batch.

    Raises RunError for the first line that cannot be taken back.
    """
    records = {r.key: (r, item) for item in batch.items for r in item.outcome.records}
    found = []
    for number, row in _rows(file):
        if row["id"] not in records:
            raise RunError(
                f"{file}:{number}: {row['id']} is no record of this run any more; nothing was taken back"
            )
        found += _acts(batch.name, row, *records[row["id"]], batch.overlay)
    return found


def _rows(file: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    rows: list[tuple[int, Mapping[str, Any]]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise RunError(f"{file}:{number}: not JSON: {error.msg}") from None
        if not isinstance(row, dict) or "id" not in row:
            raise RunError(f"{file}:{number}: a line must be an object with its `id`")
        rows.append((number, row))
    return rows


def _acts(step: str, row: Mapping[str, Any], record: Any, item: Item, overlay: Overlay) -> list[Act]:
    stands = edited(record, overlay)
    was, now = _texts(export.fields_of(stands)), _texts(row)
    changes = tuple((name, now[name]) for name in was if name in now and now[name] != was[name])
    acts = [Act(step, record.key, "edit", changes)] if changes else []
    before = "kept" if stands in item.passing(overlay) else "rejected"
    if row.get("status") in ("kept", "rejected") and row["status"] != before:
        acts.append(Act(step, record.key, "accept" if row["status"] == "kept" else "reject"))
    return acts


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a line that a person may change, a conversation's turns among them."""
    fields = {**row, **(row.get("turns") or {})}
    return {name: text for name, text in fields.items() if may_be_edited(name) and isinstance(text, str)}
