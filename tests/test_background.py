"""The stop button, at moments that no test by signals hits for sure."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from generation_functions.background import Background
from generation_functions.errors import Paused
from generation_functions.step import Pause


async def sleeping(ended: list[bool]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        ended.append(True)


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_second_interrupt_is_heard_right_after_the_first() -> None:
    ended: list[bool] = []

    def tick() -> None:
        interrupt()
        interrupt()

    background = Background()
    with pytest.raises(Paused, match="what was done is kept"):
        background.wait(sleeping(ended), Pause(), tick)
    background.close()
    assert ended


def test_an_interrupt_while_work_is_handed_over_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    hand_over = asyncio.run_coroutine_threadsafe
    ended: list[bool] = []

    def interrupted(*arguments: Any) -> Any:
        interrupt()
        future = hand_over(*arguments)
        interrupt()
        return future

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", interrupted)
    background = Background()
    with pytest.raises(Paused):
        background.wait(sleeping(ended), Pause())
    background.close()
    assert ended


def test_after_the_work_an_interrupt_is_raised_as_ever() -> None:
    background = Background()
    background.wait(asyncio.sleep(0))
    with pytest.raises(KeyboardInterrupt):
        interrupt()
        time.sleep(5)
    background.close()


def test_closing_ends_what_is_still_under_way() -> None:
    ended: list[bool] = []

    tasks = []

    async def work() -> None:
        tasks.append(asyncio.ensure_future(sleeping(ended)))
        await asyncio.sleep(0)

    background = Background()
    background.wait(work())
    background.close()
    assert ended
