"""When calls go out: never more than so many, fewer after a refusal, no more a minute than a plan allows."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from generation_functions.traffic import LONGEST_PAUSE, MOST_IN_A_ROW, Traffic


class Clock:
    """Time that passes only when all wait for it: what would take minutes is over at once."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def simulated(work: Callable[[Clock], Awaitable[Any]]) -> Any:
    """The result of `work` on a loop whose sleeping moves the clock on."""
    clock = Clock()
    loop = asyncio.new_event_loop()
    loop.time = clock  # type: ignore[method-assign]
    select = loop._selector.select  # type: ignore[attr-defined]

    def moved(timeout: float | None) -> Any:
        clock.now += timeout or 0
        return select(0)

    loop._selector.select = moved  # type: ignore[attr-defined]
    try:
        return loop.run_until_complete(work(clock))
    finally:
        loop.close()


def test_never_more_in_flight_than_the_most_and_no_fewer_while_some_wait() -> None:
    async def work(clock: Clock) -> list[int]:
        traffic, seen = Traffic(5, clock=clock), []

        async def call(seconds: float) -> None:
            async with traffic.turn("judge"):
                seen.append(traffic.in_flight)
                await asyncio.sleep(seconds)

        draw = random.Random(1)
        await asyncio.gather(*(call(draw.uniform(0.1, 2)) for _ in range(200)))
        assert traffic.in_flight == 0
        return seen

    seen = simulated(work)
    assert (len(seen), max(seen)) == (200, 5)
    assert seen[4:] == [5] * 196


def test_a_burst_of_refusals_lessens_the_calls_at_once_by_a_quarter_and_answers_bring_them_back() -> None:
    async def work(clock: Clock) -> None:
        traffic = Traffic(64, clock=clock)

        async def refused() -> None:
            async with traffic.turn("judge") as sent_at:
                await asyncio.sleep(0.1)
            traffic.refused(sent_at)

        await asyncio.gather(*(refused() for _ in range(64)))
        assert 40 <= traffic.allowed <= 48
        for _ in range(64 * 30):
            traffic.answered()
        assert traffic.allowed == 64

    simulated(work)


def test_a_server_that_refuses_everything_is_asked_one_call_at_a_time() -> None:
    async def work(clock: Clock) -> None:
        traffic = Traffic(16, clock=clock)
        for _ in range(40):
            async with traffic.turn("judge") as sent_at:
                clock.now += 1
            traffic.refused(sent_at)
        assert traffic.allowed == 1
        async with asyncio.timeout(1), traffic.turn("judge"):
            pass

    simulated(work)


@pytest.mark.parametrize(("asked", "kept"), [(7.0, 7.0), (10 * LONGEST_PAUSE, LONGEST_PAUSE)])
def test_a_server_that_asks_for_a_pause_gets_it_from_all_calls(asked: float, kept: float) -> None:
    async def work(clock: Clock) -> float:
        traffic = Traffic(8, clock=clock)
        began = clock.now
        traffic.refused(began, asked)
        assert traffic.note == f"the server asks for a pause: {kept:.0f} s"
        async with traffic.turn("judge"):
            return clock.now - began

    assert simulated(work) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("calls", "tokens", "expected"), [(120, 0, 0.5), (0, 60_000, 1.5), (120, 60_000, 1.5)]
)
def test_no_more_a_minute_than_the_plan_allows(calls: int, tokens: int, expected: float) -> None:
    """`expected` seconds a call of 1,500 tokens, after the first that go out together."""

    async def work(clock: Clock) -> float:
        traffic = Traffic(100, calls_a_minute=calls, tokens_a_minute=tokens, clock=clock)
        times = []

        async def call() -> None:
            async with traffic.turn("judge", tokens=1500):
                times.append(clock.now)

        await asyncio.gather(*(call() for _ in range(100)))
        return (times[-1] - times[20]) / (len(times) - 21)

    assert simulated(work) == pytest.approx(expected, rel=0.05)


def test_tokens_that_were_expected_and_not_used_are_given_back() -> None:
    async def work(clock: Clock) -> float:
        traffic = Traffic(1, tokens_a_minute=60_000, clock=clock)
        began = clock.now
        for _ in range(40):
            async with traffic.turn("judge", tokens=2000):
                pass
            traffic.spent(2000, 500)
        return clock.now - began

    assert simulated(work) == pytest.approx(40 * 0.5, abs=8)


def test_calls_of_a_stage_go_out_together_and_no_stage_waits_for_ever() -> None:
    async def work(clock: Clock) -> list[str]:
        traffic, order = Traffic(1, clock=clock), []

        async def call(stage: str) -> None:
            async with traffic.turn(stage):
                order.append(stage)
                await asyncio.sleep(1)

        await asyncio.gather(*(call(stage) for _ in range(MOST_IN_A_ROW + 10) for stage in ("a", "b")))
        return order

    order = simulated(work)
    runs = [1]
    for before, after in zip(order, order[1:], strict=False):
        if before == after:
            runs[-1] += 1
        else:
            runs.append(1)
    assert runs == [MOST_IN_A_ROW, MOST_IN_A_ROW, 10, 10]


def test_a_call_that_is_given_up_while_it_waits_or_runs_leaves_its_place() -> None:
    async def work(clock: Clock) -> None:
        traffic = Traffic(2, clock=clock)

        async def call() -> None:
            async with traffic.turn("judge"):
                await asyncio.sleep(3)

        draw = random.Random(2)
        tasks = [asyncio.ensure_future(call()) for _ in range(50)]
        for task in draw.sample(tasks, 30):
            await asyncio.sleep(draw.choice([0, 0.5]))
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert traffic.in_flight == 0
        async with asyncio.timeout(1), traffic.turn("judge"):
            assert traffic.in_flight == 1

    simulated(work)
