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
from .errors import ConfigError, RunError
from .items import Item, edited, holding
from .records import Act, Cast, Conversation, Pair
from .store import Overlay


def editable(record: Any) -> tuple[str, ...]:
    """The fields of a record that a person may edit."""
    match record:
        case Pair():
            return ("question", "answer")
        case Cast():
            return ("card", "scenario", "plan")
        case Conversation(turns=turns):
            return tuple(f"turn {n}" for n in range(1, len(turns) + 1))
    return ()


def checked(record: Any, changes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The changes as an act holds them. Raises ConfigError for those that a record cannot take."""
    allowed = editable(record)
    for name, text in changes.items():
        if name not in allowed:
            what = type(record).__name__.lower()
            raise ConfigError(f"{name} of a {what} cannot be edited; {', '.join(allowed) or 'nothing'} can")
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{name} must be a text that is not empty; to be rid of a record, reject it")
    if not changes:
        raise ConfigError(f"an edit names what it changes: {', '.join(allowed)}")
    return tuple(changes.items())


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
    if batch.name == "chunks":
        return
    for _, item in holding(batch.items, {getattr(record, "key", ""), *batch.overlay.edits, *now.edits}):
        for own in item.outcome.records:
            if record in (own, edited(own, batch.overlay), edited(own, now)):
                rejected = edited(own, now) not in item.passing(now)
                yield Place(batch.name, own.key, rejected, own.key in now.keys)


def read_acts(file: Path, batch: Batch) -> list[Act]:
    """What the file says differently from the batch.

    Raises RunError for the first line that cannot be taken back.
    """
    left: dict[str, list[tuple[Any, Item]]] = {}
    for item in batch.items:
        for record in item.outcome.records or (item.input,):
            left.setdefault(record.key, []).append((record, item))
    found = []
    for number, row in _rows(file):
        same = left.get(row["id"])
        if not same:
            raise RunError(
                f"{file}:{number}: {row['id']} is no record of this run any more; nothing was taken back"
            )
        record, item = same.pop(0) if len(same) > 1 else same[0]  # two pairs in the same words have one key
        try:
            found += _acts(batch.name, row, record, item, batch.overlay)
        except ConfigError as error:
            raise RunError(f"{file}:{number}: {error}; nothing was taken back") from None
    return found


def _rows(file: Path) -> list[tuple[int, Mapping[str, Any]]]:
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # texts hold other line ends, such as U+2028
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
        if not isinstance(row, dict) or not isinstance(row.get("id"), str):
            raise RunError(f"{file}:{number}: a line must be an object with its `id`")
        rows.append((number, row))
    return rows


def _acts(step: str, row: Mapping[str, Any], record: Any, item: Item, overlay: Overlay) -> list[Act]:
    stands = edited(record, overlay)
    was, now = _flat(export.fields_of(stands)), _flat(row)
    if gone := [name for name in was if name.startswith("turn ") and name not in now]:
        raise ConfigError(f"{gone[0]} is gone; a turn can be changed, not taken out")
    ours = [name for name in now if name in was or name.startswith("turn ")]  # the rest is no content
    changes = {name: now[name] for name in ours if now[name] != was.get(name)}
    acts = [Act(step, record.key, "edit", checked(record, changes))] if changes else []
    before = export.status_of(record, item, overlay)
    after = row.get("status", before)
    if after != before:
        if after not in ("kept", "rejected"):
            raise ConfigError(f"status can be kept or rejected, not {after!r}")
        acts.append(Act(step, record.key, "accept" if after == "kept" else "reject"))
    if acts and not item.outcome.records:
        raise ConfigError(f"this one is {before}: there is nothing to change before {step} has made it")
    return acts


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a line, a conversation's turns among them."""
    turns = row.get("turns", {})
    if not isinstance(turns, dict):
        raise ConfigError('turns must look like {"turn 1": "...", "turn 2": "..."}')
    return {**{name: value for name, value in row.items() if name != "turns"}, **turns}
