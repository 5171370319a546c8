"""What people's edits leave to be done: what was made of a record before it was edited, and is not made anew yet.

edited_since(standing, later, store.made_of)
# "1 edited since; 1 pair is to be voted on, 2 conversations are to be redone"
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from .batch import Batch
from .items import Items, holding
from .records import chunk_of

CHECKED, TALKED = ("vet", "standalone"), ("cast", "converse")
EDITED_SINCE = " edited since; "
REVOTED = "edited by hand; its votes now: "

MadeOf = Callable[[str, Collection[str]], Collection[str]]


def edited_since(batch: Batch, later: Sequence[Batch], made_of: MadeOf) -> str:
    """For people; "" where nothing is left to be done. `made_of` tells of which of some chunks a step made anything.

    What stands on a record is of the same chunk, so what waits there and was made before is to be made anew.
    """
    edited = [
        (chunk_of(record).key, item.outcome.reason == f"{REVOTED}pending")
        for _, item in holding(batch.items, batch.overlay.edits)
        for record in item.outcome.records
        if record.key in batch.overlay.edits
    ]
    chunks = {chunk for chunk, _ in edited}
    waiting = {step.name: _waiting(step, set(made_of(step.name, chunks))) for step in later if chunks}
    pairs = max(sum(unvoted for _, unvoted in edited), *(len(waiting.get(name, ())) for name in CHECKED))
    talks = sum(len(waiting.get(name, ())) for name in TALKED)
    touched = {chunk for found in waiting.values() for chunk in found}
    count = sum(unvoted or chunk in touched for chunk, unvoted in edited)
    left = [_left(pairs, "pair", "voted on"), _left(talks, "conversation", "redone")]
    return f"{count}{EDITED_SINCE}{', '.join(filter(None, left))}" if count else ""


def _left(count: int, noun: str, done: str) -> str:
    if not count:
        return ""
    return f"1 {noun} is to be {done}" if count == 1 else f"{count} {noun}s are to be {done}"


def _waiting(batch: Batch, chunks: Collection[str]) -> list[str]:
    """The chunk of each item that waits and is of one of these chunks."""
    if not chunks or not isinstance(batch.items, Items):
        return []
    items = zip(batch.items.inputs.chunks(), batch.items.statuses, strict=True)
    return [chunk for chunk, status in items if status == "pending" and chunk in chunks]
