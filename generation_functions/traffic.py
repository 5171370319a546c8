"""When the next call may go out to a server: so many at once, so many a minute, fewer when it says "too many".

    traffic = Traffic(64, calls_a_minute=500)
    async with traffic.turn("check_accuracy", tokens=1400):
        ...                            # the call
    traffic.refused(retry_after=2.0)   # after a 429 or 503: a quarter fewer at once, and none for two seconds
    traffic.answered()                 # after an answer: slowly more again

It knows nothing of requests but their stage. Those that wait go out stage by stage, because the prompts of one
stage begin alike and a server computes a beginning anew when others have pushed it out of its cache.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

LESS = 0.75  # of the calls in flight, after the server refused one of them
LONGEST_PAUSE = 300.0  # seconds that a server may ask for
MOST_IN_A_ROW = 64  # calls of one stage that go out before a call of another that waits
BURST = 0.1  # of a minute's calls and tokens may go out at once


@dataclass
class _Bucket:
    """What may be used, filling up at `a_minute`; 0: without end. `left` is below 0 after an expensive call."""

    a_minute: float
    left: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until something is left."""
        if not self.a_minute:
            return 0.0
        self.left = min(self.left + (now - self.at) * self.a_minute / 60, max(1.0, self.a_minute * BURST))
        self.at = now
        return 0.0 if self.left > 0 else (1e-9 - self.left) * 60 / self.a_minute


@dataclass(frozen=True, slots=True)
class _Waiting:
    turn: asyncio.Future[None]
    tokens: int


class Traffic:
    """The calls to one server. `most` are in flight at once and never more."""

    def __init__(
        self,
        most: int,
        *,
        calls_a_minute: int = 0,
        tokens_a_minute: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.most, self.in_flight = most, 0
        self.allowed = float(most)
        self._clock = clock
        self._calls = _Bucket(calls_a_minute, max(1.0, calls_a_minute * BURST), clock())
        self._tokens = _Bucket(tokens_a_minute, max(1.0, tokens_a_minute * BURST), clock())
        self._not_before = 0.0
        self._lessened_at = -1.0
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._stage, self._in_a_row = "", 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pause(self) -> float:
        """Seconds that the server has asked not to be called for, from now."""
        return max(0.0, self._not_before - self._clock())

    @property
    def note(self) -> str:
        """What holds the calls up, for people; "" when nothing does."""
        if self.pause >= 1:
            return f"the server asks for a pause: {self.pause:.0f} s"
        if self.allowed < self.most / 2:
            return f"the server takes {int(self.allowed)} calls at once"
        return ""

    @contextlib.asynccontextmanager
    async def turn(self, stage: str, tokens: int = 0) -> AsyncIterator[float]:
        """Wait for one's turn, and hold it while the call runs. Gives the time at which it came.

        `tokens` are those that the call may cost at the most.
        """
        future = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(stage, deque()).append(_Waiting(future, tokens))
        self._grant()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._leave()  # it was granted in the moment in which it was given up
            raise
        try:
            yield self._clock()
        finally:
            self._leave()

    def spent(self, expected: int, used: int) -> None:
        """Put right what a call was expected to cost, in tokens."""
        self._tokens.left += expected - used

    def answered(self) -> None:
        """One more at once for each round of answers."""
        self.allowed = min(float(self.most), self.allowed + 1 / max(1.0, self.allowed))

    def refused(self, sent_at: float, retry_after: float | None = None) -> None:
        """The server has had too many of the calls that were sent at `sent_at`, and asks for a pause or not.

        Calls that went out together are refused together; that counts once.
        """
        if retry_after:
            pause = min(retry_after, LONGEST_PAUSE)
            self._not_before = max(self._not_before, self._clock() + pause)
        if sent_at > self._lessened_at:
            self._lessened_at = self._clock()
            self.allowed = max(1.0, min(self.allowed, self.in_flight + 1) * LESS)

    def _leave(self) -> None:
        self.in_flight -= 1
        self._grant()

    def _grant(self) -> None:
        """Let out as many of those that wait as may go now; look again when time is all that is missing."""
        while self._waiting and self.in_flight < min(self.most, int(self.allowed)):
            now = self._clock()
            wait = max(self._not_before - now, self._calls.wait(now), self._tokens.wait(now))
            if wait > 0:
                self._look_again(wait)
                return
            waiting = self._next()
            if not waiting.turn.done():  # it may have been given up
                self.in_flight += 1
                self._calls.left -= 1
                self._tokens.left -= waiting.tokens
                waiting.turn.set_result(None)

    def _look_again(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._grant)

    def _next(self) -> _Waiting:
        """The next of the stage that is on, or of the stage that has waited longest."""
        if self._stage not in self._waiting or (self._in_a_row >= MOST_IN_A_ROW and len(self._waiting) > 1):
            others = [stage for stage in self._waiting if stage != self._stage]
            self._stage, self._in_a_row = others[0], 0
        queue = self._waiting[self._stage]
        waiting = queue.popleft()
        self._in_a_row += 1
        if not queue:
            del self._waiting[self._stage]
        elif self._in_a_row == 1:
            self._waiting[self._stage] = self._waiting.pop(self._stage)  # the others come before it next time
        return waiting
