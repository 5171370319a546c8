"""A step's items and the records that they make, read from the disk when somebody looks at them.

A run may hold more than memory does. So a step keeps of its items what fits into a few lists of keys, statuses and
numbers of rows; records, reasons and verdicts come from run.db, a block at a time:

    records = records_of([Chunk(...), ...])          # a sequence that knows its keys
    items = on_disk("judge", made_by, records, store)
    items.statuses[0], items.made.keys[0]            # "kept", "1c9f04e2ab37d100": no item was read for that
    items[0].outcome.records                         # now the first BLOCK were

It knows records and the store, nothing of steps' work.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise
from typing import Any

from .errors import RunError
from .overlay import Overlay
from .records import (
    Cast,
    Chunk,
    Conversation,
    Group,
    Ledger,
    Outcome,
    Pair,
    Status,
    Turn,
    Verdict,
    Vote,
    chunk_of,
    content_key,
    with_key,
)
from .store import Found, Store

BLOCK = 64  # members of a sequence that are made together: a page of a table, and little to throw away
FOUND_AT_ONCE = 1_000  # items that are looked up together


@dataclass(frozen=True, slots=True)
class Item:
    """One input of a step and what became of it.

    `older` tells that other prompts, models or settings made it.
    """

    input: Any
    outcome: Outcome
    older: bool = False

    def passing(self, overlay: Overlay) -> tuple[Any, ...]:
        """The records that go on, with people's acts laid over them."""
        status = self.outcome.status
        return tuple(edited(r, overlay) for r in self.outcome.records if overlay.lets_go_on(r.key, status))

    def status(self, overlay: Overlay) -> Status:
        if self.passing(overlay):
            return "kept"
        return "rejected" if self.outcome.status == "kept" and self.outcome.records else self.outcome.status


def edited(record: Any, overlay: Overlay) -> Any:
    """The record as people left it."""
    changes = overlay.edits.get(record.key)
    if not changes:
        return record
    if isinstance(record, Conversation):
        turns = [replace(t, text=changes.get(f"turn {n}", t.text)) for n, t in enumerate(record.turns, 1)]
        return replace(record, turns=tuple(turns))
    return replace(record, **changes)


# Sequences that are made when they are looked at


class Lazy(Sequence[Any]):
    """What `load(start, stop)` gives; two blocks are remembered, so going through it in order costs little."""

    def __init__(self, length: int, load: Callable[[int, int], Sequence[Any]]) -> None:
        self._length, self._load = length, load
        self._blocks: dict[int, Sequence[Any]] = {}

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._length))]
        place = index + self._length if index < 0 else index
        if not 0 <= place < self._length:
            raise IndexError(index)
        number, offset = divmod(place, BLOCK)
        block = self._blocks.get(number)
        if block is None:
            start = number * BLOCK
            block = self._load(start, min(start + BLOCK, self._length))
            # The one before stays, as neighbours are compared across the border of two blocks. All in one go, as
            # another thread may look at the same time.
            latest = list(self._blocks.items())[-1:]
            self._blocks = dict([*latest, (number, block)])
        return block[offset]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))


class Records(Lazy):
    """Records, with their keys known before they are made.

    `stamp` stands for all that is in them, offsets too; "" where nobody knows it. `chunks` tells the keys of their
    chunks without making them.
    """

    def __init__(
        self,
        keys: Sequence[str],
        load: Callable[[int, int], Sequence[Any]],
        stamp: str = "",
        chunks: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        super().__init__(len(keys), load)
        self.keys, self.stamp = keys, stamp
        self.chunks = chunks or (lambda: [chunk_of(record).key for record in self])

    def only(self, places: Sequence[int]) -> Records:
        """Those at the places."""
        keys = [self.keys[place] for place in places]
        stamp = self.stamp and content_key(self.stamp, keys)

        def chunks() -> Sequence[str]:
            of = self.chunks()
            return [of[place] for place in places]

        return Records(keys, lambda start, stop: [self[n] for n in places[start:stop]], stamp, chunks)


def records_of(records: Sequence[Any]) -> Records:
    """The records as a sequence that knows its keys."""
    if isinstance(records, Records):
        return records
    return Records([record.key for record in records], lambda start, stop: records[start:stop])


class Items(Lazy):
    """Items of `inputs`, in their order. `ends[i]` is where item i's part of all the records `made` ends."""

    def __init__(
        self,
        inputs: Records,
        statuses: Sequence[Status],
        made: Records,
        ends: Sequence[int],
        why: Lazy,
        older: Sequence[int],
    ) -> None:
        """`why` has the reason and the verdicts of each item; `older` is 1 for those that others made."""
        super().__init__(len(inputs), lambda start, stop: [self._item(i) for i in range(start, stop)])
        self.inputs, self.statuses, self.older = inputs, statuses, older
        self.made, self.ends, self._why = made, ends, why
        self.said = Lazy(len(inputs), lambda start, stop: [self._said(i) for i in range(start, stop)])

    def _item(self, i: int) -> Item:
        reason, verdicts = self._why[i]
        records = tuple(self.made[self.ends[i - 1] if i else 0 : self.ends[i]])
        return Item(self.inputs[i], Outcome(self.statuses[i], records, reason, verdicts), bool(self.older[i]))

    def _said(self, i: int) -> Outcome:
        """Without the records, of which most may lie elsewhere on the disk."""
        reason, verdicts = self._why[i]
        return Outcome(self.statuses[i], (), reason, verdicts)

    def with_votes(self, others: Mapping[int, Item]) -> Items:
        """The same with the reasons and verdicts of other items at some places."""
        stamp = self.made.stamp and content_key(self.made.stamp, repr(others))
        made = Records(self.made.keys, lambda start, stop: self.made[start:stop], stamp, self.made.chunks)

        def load(start: int, stop: int) -> list[Any]:
            given = {place: item.outcome for place, item in others.items() if start <= place < stop}
            return [
                (given[place].reason, given[place].verdicts) if place in given else self._why[place]
                for place in range(start, stop)
            ]

        return Items(self.inputs, self.statuses, made, self.ends, Lazy(len(self), load), self.older)

    def places(self, keys: Collection[str]) -> list[int]:
        """Of the items that made a record with one of the keys."""
        if not keys:
            return []
        return sorted({bisect_right(self.ends, n) for n, key in enumerate(self.made.keys) if key in keys})


def each(records: Sequence[Any], rejected: Mapping[int, str] | None = None) -> Items:
    """Every record an item of its own: kept, or rejected for the reason that is given for its place."""
    inputs, reasons = records_of(records), rejected or {}
    statuses: list[Status] = ["rejected" if n in reasons else "kept" for n in range(len(inputs))]
    why = Lazy(len(inputs), lambda start, stop: [(reasons.get(n, ""), ()) for n in range(start, stop)])
    stamp = inputs.stamp and content_key(inputs.stamp, {str(n): reason for n, reason in reasons.items()})
    made = Records(inputs.keys, lambda start, stop: inputs[start:stop], stamp, inputs.chunks)
    return Items(inputs, statuses, made, range(1, len(inputs) + 1), why, bytes(len(inputs)))


def on_disk(step: str, made_by: str, inputs: Sequence[Any], store: Store) -> Items:
    """What the run has of a step's items; those that it does not have are pending.

    Others than `made_by` made the older ones.
    """
    rows = _Rows(step, made_by, records_of(inputs), store)
    why = Lazy(len(rows.inputs), rows.why)
    return Items(rows.inputs, rows.statuses, rows.made(), rows.ends, why, rows.older)


class _Rows:
    """The rows of a step's items in run.db, by their numbers."""

    def __init__(self, step: str, made_by: str, inputs: Records, store: Store) -> None:
        self.inputs, self._store = inputs, store
        self._ids, self.ends, self.older = array("I"), array("I"), bytearray()
        self.statuses: list[Status] = []
        self._keys: list[str] = []
        for start in range(0, len(inputs), FOUND_AT_ONCE):
            keys = inputs.keys[start : start + FOUND_AT_ONCE]
            found = store.found(step, keys)
            one = {key: key for key in keys}  # a key is in memory once, however many steps have it
            for place, key in enumerate(keys, start):
                row = found.get(key, _PENDING)
                self._keys += [one.get(made, made) for made in self._made_keys(place, row)]
                self._ids.append(row.id)
                self.ends.append(len(self._keys))
                self.statuses.append(sys.intern(row.status))  # type: ignore[arg-type]
                self.older.append(row.made_by not in ("", made_by))

    def _made_keys(self, place: int, row: Found) -> Sequence[str]:
        if row.made is not None:
            return row.made
        data = self._store.records([row.id])[row.id][1]
        return [unpacked(self.inputs[place], fields).key for fields in data]

    def made(self) -> Records:
        stamp = self.inputs.stamp and content_key(self.inputs.stamp, sha256(self._ids).hexdigest())
        return Records(self._keys, self._load_made, stamp, self._chunks)

    def _chunks(self) -> list[str]:
        counts = (end - start for start, end in pairwise((0, *self.ends)))
        return [key for key, count in zip(self.inputs.chunks(), counts, strict=True) for _ in range(count)]

    def _load_made(self, start: int, stop: int) -> list[Any]:
        first, last = bisect_right(self.ends, start), bisect_right(self.ends, stop - 1) + 1
        rows = self._store.records(self._ids[first:last].tolist())
        begin = self.ends[first - 1] if first else 0
        made: list[Any] = []
        for place in range(first, last):
            if not self._ids[place]:
                continue
            key, data = rows.get(self._ids[place], ("", ()))
            self._check(place, key)
            made += [unpacked(self.inputs[place], fields) for fields in data]
        known = zip(self._keys[begin : begin + len(made)], made, strict=True)
        return [with_key(record, key) for key, record in known][start - begin : stop - begin]

    def why(self, start: int, stop: int) -> list[tuple[str, tuple[Verdict, ...]]]:
        rows = self._store.reasons([id for id in self._ids[start:stop] if id])
        given: list[tuple[str, tuple[Verdict, ...]]] = []
        for place in range(start, stop):
            key, reason, verdicts = rows.get(self._ids[place], ("", "", ()))
            if self._ids[place]:
                self._check(place, key)
            given.append((reason, _verdicts(verdicts)))
        return given

    def _check(self, place: int, key: str) -> None:
        if key != self.inputs.keys[place]:
            raise RunError(
                f"{self._store.folder} holds another run by now than the one that this batch is of"
            )


_PENDING = Found(0, "pending", "", ())


def _verdicts(data: Iterable[Mapping[str, Any]]) -> tuple[Verdict, ...]:
    return tuple(
        Verdict(v["check"], v["passed"], tuple(Vote(v["check"], *vote) for vote in v["votes"])) for v in data
    )


# What people's acts make of them


def overlay_key(overlay: Overlay) -> str:
    return content_key(overlay.edits, overlay.ruling, sorted(overlay.flags))


def holding(items: Sequence[Item], keys: Collection[str]) -> Iterator[tuple[int, Item]]:
    """The items that made a record with one of the keys, each after its place."""
    if isinstance(items, Items):
        yield from ((place, items[place]) for place in items.places(keys))
    else:
        found = enumerate(items)
        yield from ((n, item) for n, item in found if any(r.key in keys for r in item.outcome.records))


def made_keys(items: Sequence[Item], keys: set[str]) -> set[str]:
    """Those of the keys that are of a record which the items made."""
    if isinstance(items, Items):
        return keys.intersection(items.made.keys)
    return keys.intersection(record.key for item in items for record in item.outcome.records)


def older(items: Sequence[Item]) -> int:
    """How many of the items other prompts, models or settings made."""
    return sum(items.older if isinstance(items, Items) else (item.older for item in items))


def statuses(items: Sequence[Item], overlay: Overlay) -> Sequence[Status]:
    """Each item's status as people left it."""
    if not isinstance(items, Items):
        return [item.status(overlay) for item in items]
    now = list(items.statuses)
    for place, item in holding(items, overlay.keys):
        now[place] = item.status(overlay)
    return now


def ledger(items: Sequence[Item], overlay: Overlay) -> Ledger:
    return Ledger(**Counter(map(str, statuses(items, overlay))))


def passing(items: Sequence[Item], overlay: Overlay) -> Records:
    """The records that go on to the next step, in the order of the items."""
    if not isinstance(items, Items):
        return records_of([record for item in items for record in item.passing(overlay)])
    made, chosen = items.made, array("I")
    start = 0
    for status, end in zip(items.statuses, items.ends, strict=True):
        chosen.extend(n for n in range(start, end) if overlay.lets_go_on(made.keys[n], status))
        start = end
    if len(chosen) == len(made) and not overlay.edits:
        return made
    unedited = made.only(chosen)
    keys = list(unedited.keys)
    for place, key in enumerate(keys):
        if key in overlay.edits:
            keys[place] = edited(unedited[place], overlay).key

    def load(start: int, stop: int) -> list[Any]:
        return [edited(made[n], overlay) for n in chosen[start:stop]]

    stamp = made.stamp and content_key(made.stamp, overlay_key(overlay))
    return Records(keys, load, stamp, unedited.chunks)


# A record on disk holds what its step added; the rest comes from the step's input, which is at hand.


def packed(record: Any) -> dict[str, Any]:
    match record:
        case Chunk():
            return {}
        case Pair(question=question, answer=answer, evidence=evidence):
            return {"question": question, "answer": answer, "evidence": list(evidence)}
        case Cast():
            return {name: getattr(record, name) for name in ("answerer", "asker", "card", "scenario", "plan")}
        case Conversation(turns=turns):
            return {"turns": [[turn.speaker, turn.text] for turn in turns]}
    raise AssertionError(f"no step makes a {type(record).__name__}")


def unpacked(record: Any, data: Mapping[str, Any]) -> Any:
    """The record that `packed` gave, made again from the input that its step had."""
    match record:
        case Chunk() if not data:
            return record
        case Chunk():
            return Pair(record, data["question"], data["answer"], tuple(data["evidence"]))
        case Pair():
            pair = Pair(record.chunk, data["question"], data["answer"], tuple(data["evidence"]))
            return record if pair == record else pair
        case Group():
            return Cast(record, **data)
        case Cast():
            return Conversation(record, tuple(Turn(*turn) for turn in data["turns"]))
    raise AssertionError(f"no step takes a {type(record).__name__}")
