"""How far a step is, as the cell that runs it shows it: what is done, what was bought for it, how fast.

    vet: 41 of 60 done (60 in: 30 kept, 11 rejected, 0 failed, 19 pending), about 40 s left; 212 calls, 41 tokens/s,
    93% of the prompts' tokens from the cache

It knows steps by their Progress and calls by their Completion.
"""

from __future__ import annotations

import html
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import display

from .engine import Completion
from .step import Pause, Progress

PROGRESS_SECONDS = 0.5  # between two changes of what a cell shows

Report = Callable[[Progress], None]


@dataclass(slots=True)
class Meter:
    """What the calls since it was made came to."""

    calls: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def add(self, completion: Completion) -> None:
        self.calls += 1
        self.prompt_tokens += completion.prompt_tokens
        self.cached_tokens += completion.cached_tokens
        self.completion_tokens += completion.completion_tokens

    def since(self, before: Meter, seconds: float) -> str:
        """What came after that meter, in so many seconds; "" when nothing did."""
        calls = self.calls - before.calls
        if not calls:
            return ""
        said = ["1 call" if calls == 1 else f"{calls:,} calls"]
        if seconds >= 1:
            said.append(f"{(self.completion_tokens - before.completion_tokens) / seconds:,.0f} tokens/s")
        if read := self.prompt_tokens - before.prompt_tokens:
            said.append(
                f"{(self.cached_tokens - before.cached_tokens) / read:.0%} of the prompts' tokens from the cache"
            )
        return ", ".join(said)


class Latest:
    """Hears of progress on the loop's thread and shows it on the cell's, at most twice a second, with what `note` has
    to say meanwhile; its beginning, its end and a wish to pause at once.
    """

    def __init__(
        self,
        report: Report,
        note: Callable[[Progress], str] = lambda progress: "",
        pause: Pause | None = None,
    ) -> None:
        self._report, self._note, self._pause = report, note, pause or Pause()
        self._progress: Progress | None = None
        self._shown: Progress | None = None
        self._at = 0.0

    def hear(self, progress: Progress) -> None:
        self._progress = progress

    def show(self) -> None:
        if self._progress is None or not self._progress.total:
            return
        ended = self._progress.done == self._progress.total
        pausing = self._pause.requested and not self._pause.why and not ended
        progress = replace(self._progress, note=self._note(self._progress), pausing=pausing)
        now, before = time.monotonic(), self._shown
        soon = before is None or ended or pausing != before.pausing
        if progress != before and (soon or now - self._at >= PROGRESS_SECONDS):
            self._shown, self._at = progress, now
            self._report(progress)

    def end(self) -> None:
        """Show how far it came, unless it came to its end."""
        if self._progress and self._shown and self._shown.done < self._shown.total:
            self._report(replace(self._progress, note=self._note(self._progress), over=True))


def in_notebook() -> bool:
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def display_progress() -> Report:
    """Progress as one line of the running cell, with a bar until it ends; silent outside a notebook."""
    shell = get_ipython()
    if shell is None or not in_notebook():
        return lambda progress: None
    shown: dict[str, Any] = {"cell": None, "handle": None}

    def report(progress: Progress) -> None:
        cell = (shell.execution_count, progress.step)
        nothing_to_do = progress.total and progress.done == progress.total and not progress.bought
        if shown["cell"] != cell and nothing_to_do:
            return
        if shown["cell"] != cell:
            shown.update(cell=cell, handle=display(bundle(progress), raw=True, display_id=True))
        else:
            shown["handle"].update(bundle(progress), raw=True)

    return report


def bundle(progress: Progress) -> dict[str, str]:
    """What a cell shows of it: a line, with a bar while there is something to do."""
    line = str(progress)
    if progress.over or 0 < progress.total == progress.done:
        return {"text/plain": line}
    where = f"value='{progress.done}' max='{progress.total}'" if progress.total else ""
    bar = f"<progress {where} style='width:16em;vertical-align:middle'></progress>"
    return {"text/plain": line, "text/html": f"{bar} <span>{html.escape(line)}</span>"}


class Watched:
    """An answer as it comes: `hear` takes its pieces on any thread, `show` puts them into the running cell."""

    def __init__(self) -> None:
        self._text, self._shown = "", ""
        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True) if in_notebook() else None

    def hear(self, piece: str) -> None:
        self._text += piece

    def show(self) -> None:
        if self._handle and self._text != self._shown:
            self._shown = self._text
            self._handle.update({"text/plain": self._shown}, raw=True)

    def clear(self) -> None:
        if self._handle:
            self._handle.update({"text/plain": ""}, raw=True)


@contextmanager
def watching() -> Iterator[Watched]:
    """Somewhere for an answer to be watched, until whole it is shown in another way."""
    watched = Watched()
    try:
        yield watched
    finally:
        watched.clear()
