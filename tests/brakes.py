"""Stops the sample engine's run at a chosen moment: killed, interrupted, or held until somebody interrupts it.

    command(project, "run", *SAMPLE, first=Brakes(log, then="kill", nth=3, stage="write_pairs"))

The moment is counted, not timed, so it is the same one on a slow machine. Each call that is asked for gets a
line in `log`, "write_pairs 1207959"; its number is its seed, which no other call of a run has.
"""

import asyncio
import itertools
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from generation_functions import steps
from generation_functions.engine import Completion, Request, Sample
from generation_functions.step import Pause
from generation_functions.store import Store

Place = Literal["ask", "journal", "item", "file"]
FOR_EVER = 600  # seconds


@dataclass(frozen=True)
class Brakes:
    """`then` comes right before the `nth` time of what `place` names: a call to the engine (of `stage`, if one is
    given), its row in the journal, an item's row, a file put in its place. 0 is never.
    """

    log: Path
    then: Literal["kill", "interrupt", "interrupt twice", "hold"] = "kill"
    nth: int = 0
    place: Place = "ask"
    stage: str = ""

    def __call__(self) -> None:
        """Put them on, in this process, for good."""
        times, pauses = itertools.count(1), _remembered_pauses()
        stopped: list[Pause] = []  # once there is one, other calls wait as well until it is asked for
        answer = Sample.complete

        async def complete(engine: Sample, request: Request) -> Completion:
            with self.log.open("a") as log:
                log.write(f"{request.stage} {request.seed}\n")
            here = self.place == "ask" and self.stage in ("", request.stage)
            if here and next(times) == self.nth:
                await self._brake(pauses, stopped)
            while stopped and not stopped[0].requested:
                await asyncio.sleep(0.01)
            for _ in range(4):
                await asyncio.sleep(0)  # others get their turn
            return await answer(engine, request)

        def now() -> None:
            if next(times) == self.nth:
                os.kill(os.getpid(), signal.SIGKILL if self.then == "kill" else signal.SIGINT)

        Sample.complete = complete  # type: ignore[method-assign]
        if self.place != "ask":
            owner, name = {
                "journal": (Store, "add_call"),
                "item": (Store, "put_item"),
                "file": (os, "replace"),
            }[self.place]
            _call_before(owner, name, now)

    async def _brake(self, pauses: list[Pause], stopped: list[Pause]) -> None:
        stopped.append(pauses[-1])
        if self.then == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.then != "hold":
            os.kill(os.getpid(), signal.SIGINT)
        while not stopped[0].requested:
            await asyncio.sleep(0.01)
        if self.then == "interrupt twice":
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(FOR_EVER)


def _remembered_pauses() -> list[Pause]:
    made: list[Pause] = []

    def pause() -> Pause:
        made.append(Pause())
        return made[-1]

    steps.Pause = pause  # type: ignore[assignment,misc]
    return made


def _call_before(owner: Any, name: str, hook: Callable[[], None]) -> None:
    own = getattr(owner, name)

    def both(*arguments: Any, **named: Any) -> Any:
        hook()
        return own(*arguments, **named)

    setattr(owner, name, both)
