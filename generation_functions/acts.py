"""What people change in files, taken back as acts.

A row, a line of JSON or of a spreadsheet, is matched by its `id` with the record that the run has; a changed text
becomes an edit, a changed `status` an acceptance or a rejection:

    {"id": "9e41c07b21d65f3a", "status": "kept", "question": "...", "answer": "In 1869, not in 1870.", ...}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import export, spreadsheet
from .batch import Batch
from .errors import ConfigError, RunError
from .items import Item, edited, holding
from .overlay import Overlay
from .records import Act
from .store import Store

STEPS = tuple(export.FILES)[1:]  # chunks are ruled on where they are judged

Row = Mapping[str, Any]


def checked(record: Any, changes: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The changes as an act holds them. Raises ConfigError for those that a record cannot take."""
    allowed = export.editable(record)
    for name, text in changes.items():
        if name not in allowed:
            what = type(record).__name__.lower()
            raise ConfigError(f"{name} of a {what} cannot be edited; {', '.join(allowed) or 'nothing'} can")
        if not isinstance(text, str) or not text.strip():
            raise ConfigError(f"{name} must be a text that is not empty; to be rid of a record, reject it")
    if not changes:
        raise ConfigError(f"an edit names what it changes: {', '.join(allowed)}")
    return tuple((name, _storable(text)) for name, text in changes.items())


def _storable(text: str) -> str:
    """Without NUL and half characters, which a model cannot be told and no file can hold."""
    return text.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


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
    all else for the latest step of the run that has it. Raises RunError where there is none.
    """
    places = [place for name in batches for place in _places(record, batches[name], overlay_of(name))]
    if not places:
        raise RunError("that record is in none of this run's batches; run its step first")
    if kind == "accept":
        places = [place for place in places if place.rejected]
    elif kind == "undo":
        places = [place for place in places if place.acted_on]
    else:  # an act on a pair of `distinct` is for the step that the pair comes from
        places = [place for place in places if place.step != "distinct" or place.acted_on]
    if not places:
        raise RunError(f"there is nothing to {kind}: that record {_NOTHING.get(kind, 'is of no step')}")
    return max(places, key=lambda place: STEPS.index(place.step))


_NOTHING = {"accept": "was not rejected", "undo": "has no act that stands"}


def _places(record: Any, batch: Batch, now: Overlay) -> Iterator[Place]:
    if batch.name == "chunks":
        return
    for _, item in holding(batch.items, {getattr(record, "key", ""), *batch.overlay.edits, *now.edits}):
        for own in item.outcome.records:
            if record in (own, edited(own, batch.overlay), edited(own, now)):
                rejected = edited(own, now) not in item.passing(now)
                yield Place(batch.name, own.key, rejected, own.key in now.keys)


def take_back(file: Path, store: Store, batch_of: Callable[[str], Batch]) -> list[Act]:
    """Keep what a person changed in the file as acts; all of it, or nothing and a RunError."""
    if file.suffix.lower() == ".csv":
        step, rows = spreadsheet.read(file)
    else:
        name = file.name.replace(export.APART, "")
        step = next((step for step, own in export.FILES.items() if own == name), "")
        rows = rows_of_lines(file) if step in STEPS else []
    if step not in STEPS:
        names = ", ".join(export.FILES[name] for name in STEPS)
        raise RunError(f"{file.name} is none of the files that can be taken back: {names}, or one of to_csv")
    state = f"taken back {file.resolve()}"
    taken = read_acts(file, rows, batch_of(step), json.loads(store.state(state) or "{}"))
    acts = store.add_acts(taken.acts)
    store.set_state(state, json.dumps(taken.agreed))
    export.took(file, store)
    return acts


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file comes to: its acts, and by each changed row's id and `stood` a key of what it now agrees with."""

    acts: list[Act]
    agreed: dict[str, str]


def read_acts(file: Path, rows: Sequence[tuple[int, Row]], batch: Batch, agreed: Mapping[str, str]) -> Taken:
    """What the rows, each with its number in the file, say differently from the batch.

    A row that says what it said when the file was written, or what was `agreed` when it was last taken back, is left
    alone, whatever has become of its record since. Raises RunError for the first row that cannot be taken back, also
    for one whose record was changed meanwhile.
    """
    left: dict[str, list[tuple[Any, Item]]] = {}
    for item in batch.items:
        for record in item.outcome.records or (item.input,):
            left.setdefault(record.key, []).append((record, item))
    taken, seen = Taken([], dict(agreed)), Counter[str]()
    for number, row in rows:
        seen[row["id"]] += 1
        same = left.get(row["id"])
        if not same:
            raise RunError(
                f"{file}:{number}: {row['id']} is no record of this run any more; nothing was taken back"
            )
        record, item = same.pop(0) if len(same) > 1 else same[0]  # two pairs in the same words have one key
        name = f"{row['id']} {row.get('stood')} {seen[row['id']]}"
        try:
            found = _acts(batch.name, row, record, item, batch.overlay, agreed.get(name))
            says = export.stood(row.get("status"), export.editable(record), row)
        except (ConfigError, RunError) as error:
            raise RunError(f"{file}:{number}: {error}; nothing was taken back") from None
        taken.acts.extend(found)
        if found:
            taken.agreed[name] = says
    return taken


def rows_of_lines(file: Path) -> list[tuple[int, Row]]:
    """The rows of a file of JSON lines. Raises RunError for a line that is none of ours."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")  # texts hold other line ends, such as U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{file} cannot be read: {error}") from None
    rows: list[tuple[int, Row]] = []
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


def _acts(step: str, row: Row, record: Any, item: Item, overlay: Overlay, agreed: str | None) -> list[Act]:
    """`agreed` is a key of what the row said when it was last taken back."""
    wrote = row.get("stood")
    stands, before = edited(record, overlay), export.status_of(record, item, overlay)
    was, now = export.flat(export.fields_of(stands)), export.flat(row)
    names, after = export.editable(record), row.get("status", before)
    if gone := [name for name in was if name.startswith("turn ") and name not in now]:
        raise ConfigError(f"{gone[0]} is gone; a turn can be changed, not taken out")
    ours = [name for name in now if name in was or (name.startswith("turn ") and now[name])]
    changes = {name: now[name] for name in ours if not _same(now[name], was.get(name))}
    if (agreed or wrote) == export.stood(after, names, now):
        changes = {name: text for name, text in changes.items() if name not in names}
        after = before
    elif changes or after != before:
        unchanged = export.stood(before, names, was) in (agreed, wrote)
        if not unchanged and (wrote or record.key in overlay.keys):
            raise RunError(
                "this one has been changed in the run since the file was written; write it anew to see how"
            )
    for name, text in changes.items():
        if len(str(text)) == spreadsheet.LONGEST_CELL and was.get(name, "").startswith(text):
            raise ConfigError(
                f"{name} was cut by the program that wrote the file; edit this one with wb.edit"
            )
    acts = [Act(step, record.key, "edit", checked(record, changes))] if changes else []
    if after != before:
        if after not in ("kept", "rejected"):
            raise ConfigError(f"status can be kept or rejected, not {after!r}")
        acts.append(Act(step, record.key, "accept" if after == "kept" else "reject"))
    elif changes and after == "rejected":  # an edit by itself would let it go on
        acts.append(Act(step, record.key, "reject"))
    if acts and not item.outcome.records:
        raise ConfigError(f"this one is {before}: there is nothing to change before {step} has made it")
    return acts


def _same(one: Any, other: Any) -> bool:
    """Whether two contents of a field are the same, but for what a file cannot hold or writes in another way."""
    if not isinstance(one, str) or not isinstance(other, str):
        return bool(one == other)
    return export.as_written(one) == export.as_written(other)
