"""What people's edits leave to be done: what was made of a record before it was edited, and is not made anew yet.

edited_since(standing, later, store.made_of)
# "1 edited since; 1 pair is to be voted on, 2 conversations are to be redone"
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from .batch import Batch
from .items import Items, edited, holding
from .records import chunk_of, pairs_of

CHECKED, TALKED = ("vet", "standalone"), ("cast", "converse")
EDITED_SINCE = " edited since; "
REVOTED = "edited by hand; its votes now: "

MadeOf = Callable[[str, Collection[str]], Collection[str]]


def edited_since(batch: Batch, later: Sequence[Batch], made_of: MadeOf) -> str:
    """For people; "" where nothing is left to be done. `made_of` tells of which of some chunks a step made anything.

    What stands on a record is of the same chunk, so what waits there and was made before is to be made anew.
    """
    found = [
        (edited(record, batch.overlay), item.outcome.reason == f"{REVOTED}pending")
        for _, item in holding(batch.items, batch.overlay.edits)
        for record in item.outcome.records
        if record.key in batch.overlay.edits
    ]
    chunks = {chunk_of(record).key for record, _ in found}
    waiting = {step.name: _waiting(step, set(made_of(step.name, chunks))) for step in later if chunks}
    unchecked = {record.key for record, unvoted in found if unvoted}
    unchecked |= {key for name in CHECKED for _, keys in waiting.get(name, ()) for key in keys}
    open_chunks = {chunk_of(record).key for record, _ in found if record.key in unchecked}
    own = {record.key for record, _ in found}
    talks = [
        (chunk, keys)
        for name in TALKED
        for chunk, keys in waiting.get(name, ())
        if keys & own or chunk in open_chunks  # a pair that waits for its votes is in no group yet
    ]
    pairs = len(unchecked & own)
    touched = {key for _, keys in talks for key in keys}
    count = sum(
        record.key in unchecked | touched
        or chunk_of(record).key in {chunk for chunk, _ in talks} & open_chunks
        for record, _ in found
    )
    left = [_left(pairs, "pair", "voted on"), _left(len(talks), "conversation", "redone")]
    return f"{count}{EDITED_SINCE}{', '.join(filter(None, left))}" if count else ""


def _left(count: int, noun: str, done: str) -> str:
    if not count:
        return ""
    return f"1 {noun} is to be {done}" if count == 1 else f"{count} {noun}s are to be {done}"


def _waiting(batch: Batch, chunks: Collection[str]) -> list[tuple[str, set[str]]]:
    """Of each item that waits and is of one of these chunks: the chunk, and the keys of what it stands on."""
    if not chunks or not isinstance(batch.items, Items):
        return []
    inputs = batch.items.inputs
    places = enumerate(zip(inputs.chunks(), batch.items.statuses, strict=True))
    wanted = [place for place, (chunk, status) in places if status == "pending" and chunk in chunks]
    records = [inputs[place] for place in wanted]
    return [
        (chunk_of(record).key, {record.key, *(pair.key for pair in pairs_of(record))}) for record in records
    ]
