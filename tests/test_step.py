"""A step: what is done stays done, what failed is tried again, and the order of things changes nothing."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from scripted import chunk, run

from generation_functions.errors import EngineError, Undecided
from generation_functions.items import Item, ledger
from generation_functions.overlay import Overlay
from generation_functions.records import Chunk, Ledger, Outcome
from generation_functions.step import ERRORS_IN_A_ROW, Pause, Progress, Step, at_rest, carry_out
from generation_functions.store import Store

CHUNKS = [chunk(f"Sentence {n}.") for n in range(12)]
KEPT = Outcome("kept")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


class Worker:
    """Work that does what a table says for each input, and remembers in which order it was given them."""

    def __init__(self, outcomes: dict[Chunk, Outcome | Exception] | None = None) -> None:
        self.outcomes, self.given = outcomes or {}, list[Chunk]()

    async def __call__(self, record: Chunk) -> Outcome:
        self.given.append(record)
        outcome = self.outcomes.get(record, Outcome("kept", (record,)))
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def done(
    store: Store, work: Any, inputs: Sequence[Chunk] = CHUNKS, made_by: str = "m", **how: Any
) -> Sequence[Item]:
    return run(carry_out(Step("judge", made_by, work, how.pop("workers", 1)), inputs, store, **how))


def statuses(items: Sequence[Item]) -> list[str]:
    return [item.outcome.status for item in items]


# What is done and what is not


def test_what_is_done_is_not_done_again(store: Store) -> None:
    work = Worker({CHUNKS[1]: Outcome("rejected", (CHUNKS[1],), "Unsuitable: a list")})
    first, second = done(store, work), done(store, work)
    assert first == second
    assert work.given == CHUNKS


def test_what_failed_is_tried_again_and_what_was_rejected_is_not(store: Store) -> None:
    failing = Worker(
        {CHUNKS[0]: Undecided("1 of 3 votes"), CHUNKS[1]: Outcome("rejected", (CHUNKS[1],), "no")}
    )
    assert statuses(done(store, failing))[:3] == ["failed", "rejected", "kept"]
    again = Worker()
    assert statuses(done(store, again))[:3] == ["kept", "rejected", "kept"]
    assert again.given == [CHUNKS[0]]


def test_a_new_input_is_all_that_is_done(store: Store) -> None:
    done(store, Worker(), CHUNKS[:5] + CHUNKS[6:])
    work = Worker()
    assert len(done(store, work)) == 12
    assert work.given == [CHUNKS[5]]


def test_an_input_that_is_gone_is_not_in_the_batch_and_comes_back_for_nothing(store: Store) -> None:
    done(store, Worker())
    assert [item.input for item in done(store, Worker(), CHUNKS[3:])] == CHUNKS[3:]
    back = Worker()
    done(store, back)
    assert back.given == []


def test_the_order_of_the_inputs_changes_nothing_but_the_order_of_the_items(store: Store) -> None:
    first = {item.input: item for item in done(store, Worker())}
    shuffled = random.Random(1).sample(CHUNKS, len(CHUNKS))
    work = Worker()
    assert done(store, work, shuffled) == [first[record] for record in shuffled]
    assert work.given == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_completion_changes_nothing(store: Store, seed: int) -> None:
    draw = random.Random(seed)

    async def work(record: Chunk) -> Outcome:
        for _ in range(draw.randint(0, 20)):
            await asyncio.sleep(0)
        return Outcome("kept", (record,), record.text)

    items = done(store, work, workers=5)
    assert [item.outcome.reason for item in items] == [record.text for record in CHUNKS]
    assert at_rest(Step("judge", "m", work), CHUNKS, store) == items


def test_the_same_input_twice_is_done_once_and_counted_twice(store: Store) -> None:
    work = Worker()
    items = done(store, work, [CHUNKS[0], CHUNKS[1], CHUNKS[0]])
    assert [item.input for item in items] == [CHUNKS[0], CHUNKS[1], CHUNKS[0]]
    assert work.given == CHUNKS[:2]


def test_progress_counts_the_same_input_twice_as_the_ledger_does(store: Store) -> None:
    heard: list[Progress] = []
    work = Worker({CHUNKS[0]: Outcome("rejected")})
    items = done(store, work, [CHUNKS[0], CHUNKS[1], CHUNKS[0]], report=heard.append)
    assert [(heard[0].done, heard[0].total), (heard[-1].done, heard[-1].total)] == [(0, 3), (3, 3)]
    assert heard[-1].ledger == ledger(items, Overlay()) == Ledger(kept=1, rejected=2)


def test_steps_do_not_share_items(store: Store) -> None:
    done(store, Worker())
    assert statuses(at_rest(Step("write", "m", Worker()), CHUNKS, store)) == ["pending"] * 12


def test_no_more_items_are_worked_on_at_once_than_there_are_workers(store: Store) -> None:
    now, most = 0, 0

    async def work(record: Chunk) -> Outcome:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return KEPT

    done(store, work, workers=4)
    assert most == 4


# Older items


def test_what_an_older_prompt_made_is_noticed_and_kept(store: Store) -> None:
    done(store, Worker(), made_by="old")
    work = Worker()
    items = done(store, work, made_by="new")
    assert [item.older for item in items] == [True] * 12
    assert work.given == []


def test_again_redoes_what_is_older_and_nothing_else(store: Store) -> None:
    done(store, Worker(), CHUNKS[:3], made_by="old")
    done(store, Worker(), CHUNKS[3:], made_by="new")
    work = Worker()
    items = done(store, work, made_by="new", again=True)
    assert work.given == CHUNKS[:3]
    assert not any(item.older for item in items)


# Stopping


def test_a_pause_lets_what_is_in_flight_finish_and_the_next_call_goes_on(store: Store) -> None:
    pause = Pause()

    async def work(record: Chunk) -> Outcome:
        pause.requested = pause.requested or record == CHUNKS[4]  # CHUNKS[3] is still in flight
        await asyncio.sleep(0)
        return KEPT

    items = done(store, work, pause=pause, workers=2)
    assert statuses(items) == ["kept"] * 5 + ["pending"] * 7
    rest = Worker()
    assert statuses(done(store, rest)) == ["kept"] * 12
    assert rest.given == CHUNKS[5:]


def test_a_bug_is_raised_as_it_is_and_what_was_done_stays(store: Store) -> None:
    with pytest.raises(ZeroDivisionError):
        done(store, Worker({CHUNKS[3]: ZeroDivisionError("a bug")}))
    assert statuses(at_rest(Step("judge", "m", Worker()), CHUNKS, store)) == ["kept"] * 3 + ["pending"] * 9


# Engine errors


BUSY = EngineError("busy", retryable=True)


def test_an_engine_error_that_may_pass_fails_the_item_and_the_step_goes_on(store: Store) -> None:
    items = done(store, Worker({CHUNKS[2]: BUSY}))
    assert (items[2].outcome.status, items[2].outcome.reason) == ("failed", "EngineError: busy")
    assert statuses(items).count("kept") == 11


def test_an_engine_error_that_will_not_pass_ends_the_step(store: Store) -> None:
    work = Worker({CHUNKS[2]: EngineError("no such model")})
    with pytest.raises(EngineError, match="no such model"):
        done(store, work)
    assert work.given == CHUNKS[:3]


def test_ten_engine_errors_in_a_row_end_the_step_with_what_to_do(store: Store) -> None:
    work = Worker({record: BUSY for record in CHUNKS[1:]})
    with pytest.raises(EngineError) as raised:
        done(store, work)
    assert len(work.given) == 1 + ERRORS_IN_A_ROW == 11
    assert str(raised.value) == (
        "judge ends: 10 of the last 11 items had engine errors. The last: busy. "
        "What is done is kept; run the step again when the engine answers."
    )


def test_nine_engine_errors_in_a_row_do_not_end_it(store: Store) -> None:
    items = done(store, Worker({record: BUSY for record in [*CHUNKS[:9], *CHUNKS[10:]]}))
    assert statuses(items).count("failed") == 11


def test_more_than_half_of_a_hundred_ends_it_although_some_pass(store: Store) -> None:
    inputs = [chunk(f"Number {n}.") for n in range(200)]
    work = Worker({record: BUSY for n, record in enumerate(inputs) if n % 3})
    with pytest.raises(EngineError, match="51 of the last 77 items had engine errors"):
        done(store, work, inputs)
    assert len(work.given) == 77


def test_other_failures_are_not_engine_errors(store: Store) -> None:
    items = done(store, Worker({record: Undecided("0 of 3 votes could be used") for record in CHUNKS}))
    assert statuses(items) == ["failed"] * 12
    assert items[0].outcome.reason == "Undecided: 0 of 3 votes could be used"


# Progress


def test_progress_sums_up_at_every_moment(store: Store) -> None:
    heard: list[Progress] = []
    done(store, Worker(), CHUNKS[:4])
    done(store, Worker({CHUNKS[5]: Outcome("rejected"), CHUNKS[6]: Undecided("x")}), report=heard.append)
    assert [p.done for p in heard] == list(range(4, 13))
    assert {p.total for p in heard} == {12} == {p.ledger.total for p in heard}
    assert [p.bought for p in heard] == list(range(9))
    assert heard[-1].ledger == Ledger(kept=10, rejected=1, failed=1)


def test_progress_is_one_line() -> None:
    progress = Progress("vet", 4, 8, 2, Ledger(kept=3, rejected=1, pending=4), 10.0)
    assert (
        str(progress) == "vet: 4 of 8 done (8 in: 3 kept, 1 rejected, 0 failed, 4 pending), about 20 s left"
    )


def test_nothing_is_projected_from_one_item() -> None:
    progress = Progress("vet", 1, 15, 1, Ledger(kept=1, pending=14), 60.0)
    assert str(progress) == "vet: 1 of 15 done (15 in: 1 kept, 0 rejected, 0 failed, 14 pending)"
