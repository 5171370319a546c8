"""A step over many items: load what is on disk, do what is missing, give the same batch.

`carry_out` is what running a notebook cell means. An item is known by the key of its input, so whatever has
been done is not done again; kept and rejected are judgements and stay, failed is the lack of one and is tried
again. It knows records and the store; what the step does with a record is its `work`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .errors import EngineError, OutputError, Paused
from .items import Item as Item
from .items import Items, on_disk, packed
from .items import edited as edited
from .records import Ledger, Outcome, Status, chunk_of, pairs_of
from .store import Row, Store

AT_ONCE = "stop once more to end at once"
ERRORS_IN_A_ROW = 10  # engine errors after which a step ends instead of failing every item that is left
ERRORS_IN_HUNDRED = 50  # engine errors among the last hundred items, likewise


@dataclass(frozen=True, slots=True)
class Step:
    """`made_by` tells apart what other prompts, models or settings made; `work` gives the outcome of one
    input.
    """

    name: str
    made_by: str
    work: Callable[[Any], Awaitable[Outcome]]
    workers: int = 16


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is: `done` of `total` items, `bought` of them in this call, `seconds` since it began.

    `note` says what it waits for; it is all that there is to say of work without items. `pausing` when a person
    asked it to stop, `over` when it goes on no more, whatever is left.
    """

    step: str
    done: int
    total: int
    bought: int
    ledger: Ledger
    seconds: float
    note: str = ""
    pausing: bool = False
    over: bool = False

    def __str__(self) -> str:
        if self.pausing:
            return f"{self.step}: pausing at {self.done} of {self.total}, when what is in flight is done; {AT_ONCE}"
        if not self.total:
            return f"{self.step}: {self.note}"
        # the first of many in flight says nothing of how fast they come
        left = self.seconds / self.bought * (self.total - self.done) if self.bought > 1 else 0.0
        note = f"; {self.note}" if self.note else ""
        goes_on = self.done < self.total and not self.over
        time_left = f", about {left:.0f} s left" if goes_on and left >= 1 else ""
        return f"{self.step}: {self.done} of {self.total} done ({self.ledger}){time_left}{note}"


@dataclass
class Pause:
    """A wish to stop: the items in flight finish, no new one begins. `why` when it is not a person's."""

    requested: bool = False
    why: str = ""


async def carry_out(
    step: Step,
    inputs: Sequence[Any],
    store: Store,
    *,
    again: bool = False,
    report: Callable[[Progress], None] = lambda progress: None,
    pause: Pause | None = None,
) -> Items:
    """The items of `inputs`, in their order; what is missing or failed is done, `again` also what is older.

    Each outcome is on disk before the next item of its worker begins. Raises EngineError when the engine
    cannot go on; what is done stays. After a pause the rest is pending.
    """
    before = at_rest(step, inputs, store)
    missing = _missing(before, again)
    run = _Progress(step.name, before.statuses, report)
    queue = _first_places(before, missing)

    async def worker() -> None:
        for place in queue:  # one iterator for all workers: no await stands between next() and its use
            if pause and pause.requested:
                return
            record, was = before.inputs[place], before.statuses[place]
            try:
                outcome, error = await _outcome(step, record)
            except Paused as paused:
                if pause is None:
                    raise
                pause.requested, pause.why = True, str(paused)
                return
            store.put_item(step.name, row_of(step, record, outcome))
            run.one_more(was, outcome.status, missing[record.key], error)

    run.say()
    workers = [asyncio.ensure_future(worker()) for _ in range(min(step.workers, len(missing)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return at_rest(step, before.inputs, store) if missing else before


def at_rest(step: Step, inputs: Sequence[Any], store: Store) -> Items:
    """The items as they are on disk; nothing is done."""
    return on_disk(step.name, step.made_by, inputs, store)


def _missing(items: Items, again: bool) -> Counter[str]:
    """The keys of inputs that there is something to do for, and how often each comes."""
    return Counter(
        key
        for key, status, older in zip(items.inputs.keys, items.statuses, items.older, strict=True)
        if status in ("pending", "failed") or (again and older)
    )


def _first_places(items: Items, keys: Mapping[str, int]) -> Iterator[int]:
    left = set(keys)
    for place, key in enumerate(items.inputs.keys):
        if key in left:
            left.remove(key)
            yield place


async def _outcome(step: Step, record: Any) -> tuple[Outcome, EngineError | None]:
    try:
        return await step.work(record), None
    except OutputError as error:
        return Outcome("failed", reason=f"{type(error).__name__}: {error}"), None
    except EngineError as error:
        if not error.retryable:
            raise
        return Outcome("failed", reason=f"EngineError: {error}"), error


class _Progress:
    """Counts a step while it runs, and ends it when the engine keeps failing."""

    def __init__(self, step: str, statuses: Sequence[Status], report: Callable[[Progress], None]) -> None:
        self._step, self._report = step, report
        self._count = Counter(statuses)
        self._began, self._bought = time.monotonic(), 0
        self._errors: deque[bool] = deque(maxlen=100)

    def one_more(self, was: Status, now: Status, times: int, error: EngineError | None) -> None:
        """An input is done, which comes so many times."""
        self._count[was] -= times
        self._count[now] += times
        self._bought += 1
        self._errors.append(error is not None)
        self.say()
        row = list(self._errors)[-ERRORS_IN_A_ROW:]
        if error and (all(row) and len(row) == ERRORS_IN_A_ROW or sum(self._errors) > ERRORS_IN_HUNDRED):
            raise EngineError(
                f"{self._step} ends: {sum(self._errors)} of the last {len(self._errors)} items had engine "
                f"errors. The last: {error}",
                hint="What is done is kept; run the step again when the engine answers.",
            )

    def say(self) -> None:
        ledger = Ledger(**{str(status): n for status, n in self._count.items()})
        done, total = ledger.total - ledger.pending, ledger.total
        self._report(Progress(self._step, done, total, self._bought, ledger, time.monotonic() - self._began))


def row_of(step: Step, record: Any, outcome: Outcome) -> Row:
    """What the store keeps of an outcome."""
    verdicts = [
        {"check": v.check, "passed": v.passed, "votes": [[vote.passed, vote.reason] for vote in v.votes]}
        for v in outcome.verdicts
    ]
    return Row(
        key=record.key,
        status=outcome.status,
        reason=outcome.reason,
        records=[packed(own) for own in outcome.records],
        verdicts=verdicts,
        made_by=step.made_by,
        made=tuple(own.key for own in outcome.records),
        chunk=chunk_of(record).key,
        pairs=tuple(pair.key for pair in pairs_of(record)),
    )
