"""Work in the background of a notebook cell: a loop of its own, short ticks, the stop button.

The cell's thread waits and shows; the loop's thread works. It knows nothing of steps.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import signal
import threading
from collections.abc import Coroutine
from typing import Any

from .errors import Paused
from .step import Pause

TICK_SECONDS = 0.2  # between two looks at the work: how long the stop button may take to be heard
CANCEL_SECONDS = 5.0  # that cancelled work has to let go before the cell ends without it


class Background:
    """An event loop on a thread of its own; started with the first work, so making one costs nothing."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def wait(
        self, work: Coroutine[Any, Any, Any], pause: Pause | None = None, tick: Any = lambda: None
    ) -> Any:
        """The result of `work`, waited for in short ticks.

        The first interrupt asks for a `pause`, the next cancels and raises Paused.
        """
        with _Interrupts(pause) as interrupts:
            future = asyncio.run_coroutine_threadsafe(work, self._running())
            while True:
                concurrent.futures.wait([future], timeout=TICK_SECONDS)
                tick()
                if future.done():
                    return future.result()
                if interrupts.enough:
                    future.cancel()
                    concurrent.futures.wait([future], timeout=CANCEL_SECONDS)
                    raise Paused("Stopped; what was done is kept. Run the cell again to go on.")

    def close(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(CANCEL_SECONDS)
        self._loop = self._thread = None

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name="gristmill", daemon=True)
            self._thread.start()
        return self._loop


class _Interrupts:
    """Takes interrupts instead of having them raised, as they come at any line, also between two of `wait`.

    The first asks for the pause, if there is one; the next are `enough`. Only the main thread gets any. Where they
    are ignored, as in a shell's background, they stay so.
    """

    def __init__(self, pause: Pause | None) -> None:
        self.enough = False
        self._pause = pause
        self._before: Any = None

    def __enter__(self) -> _Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            self._before = signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _heard(self, number: int, frame: object) -> None:
        if self._pause is None or self._pause.requested:
            self.enough = True
        else:
            self._pause.requested = True


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        for _ in range(3):  # what was told to end, connections as well, does so in the loop's next rounds
            loop.run_until_complete(asyncio.sleep(0))
        loop.close()
