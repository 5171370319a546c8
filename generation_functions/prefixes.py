"""What a model has read already and need not read again.

All calls of a stage begin alike: system text, worked examples. The model's memory of that beginning is saved once
and loaded for the next call of the stage, whatever was computed between them; calls that go on alike (the same
text, another question) share that too while they follow one another. For one call of 1,500 prompt tokens:

    |-- shared: 1,210 -------------------------|-- 64 --|-- 64 --|-- 64 --|-- 64 --|- 34 -|
     saved, loaded in 2 ms                       the same as the last call's         evaluated

A call's text depends on its prompt and seed alone, not on what ran before it: evaluating the same tokens in other
slices, or with the same cells elsewhere in memory, moves logits by up to 1 (gemma-3-270m on two cores), enough to
change a word. So each prompt has one way to be evaluated: the shared beginning from nothing, saved and loaded back
even when it is already there, then slices of SLICE tokens counted from its end; only whole slices are used again.

Knows nothing of llama.cpp, text or sampling: a Memory is anything that can be emptied, cut, saved and restored.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

SLICE = 64  # 4% slower than slices of 512 on two cores; half of it is evaluated again at each call
WORTH_KEEPING = 64  # shared tokens; a shorter beginning costs more to load than to evaluate

Tokens = NDArray[np.int32]


@dataclass(frozen=True)
class Prompt:
    """`shared` of the tokens begin every call of the stage; it is less than all of them."""

    tokens: Tokens
    shared: int

    @property
    def beginning(self) -> Tokens:
        return self.tokens[: self.shared if self.shared >= WORTH_KEEPING else 0]


class Memory(Protocol):
    """A model's memory of the tokens it has evaluated. What is restored can be cut down to, not into."""

    def clear(self) -> None: ...
    def cut(self, length: int) -> bool:
        """Forget all behind the first `length` tokens; False where the model cannot (then it is as it was)."""

    def evaluate(self, tokens: Tokens, at: int, last: bool) -> None:
        """Read tokens that stand at `at`; `last`: the token after them is asked for."""

    def save(self) -> Any | None:
        """A copy of all that is there; None where the model cannot."""

    def restore(self, saved: Any) -> bool:
        """Put a saved copy into the emptied memory; False where that fails."""


class Prefixes:
    """Fills a memory with one prompt after the other. Saved beginnings take at most `room` tokens together, least
    recently used out first; `batch` tokens of a beginning are evaluated at once."""

    def __init__(self, memory: Memory, room: int, batch: int) -> None:
        self._memory, self._room, self._batch = memory, room, batch
        self._kept: OrderedDict[bytes, tuple[int, Any]] = OrderedDict()
        self._saves = True  # until a saved copy could not be loaded
        self._beginning = b""  # what the resident prompt begins with
        self._resident = np.empty(0, np.int32)  # the prompt in memory, without what was written after it

    def reusable(self, prompt: Prompt) -> tuple[int, int]:
        """Tokens that need not be evaluated: while the memory stays as it is, and with a saved beginning loaded."""
        beginning = prompt.beginning
        key = beginning.tobytes()
        kept = len(beginning) if key in self._kept else 0
        if key != self._beginning or not len(self._resident):
            return 0, kept
        same = min(common(self._resident, prompt.tokens), len(prompt.tokens) - 1)
        whole_slices = max(0, same - len(beginning)) // SLICE
        return (len(beginning) + whole_slices * SLICE if same >= len(beginning) else 0), kept

    def fill(self, prompt: Prompt, between: Callable[[], None]) -> int:
        """Evaluate the prompt; gives how many of its tokens were there already.

        `between` is called before each slice; what it raises ends the filling, and what was evaluated stays usable.
        """
        at, _ = self.reusable(prompt)
        if not at or not self._memory.cut(at):
            at = self._load(prompt.beginning)
        cached = at
        self._resident = prompt.tokens[:at]
        if at < len(prompt.beginning):
            at = self._read_beginning(prompt.beginning, between)
        while at < len(prompt.tokens):
            between()
            tokens = prompt.tokens[at : at + SLICE]
            self._memory.evaluate(tokens, at, at + len(tokens) == len(prompt.tokens))
            at += len(tokens)
            self._resident = prompt.tokens[:at]
        return cached

    def _load(self, beginning: Tokens) -> int:
        """Make `beginning` all there is, if it was saved; otherwise nothing is."""
        self._memory.clear()
        self._beginning = beginning.tobytes()
        kept = self._kept.get(self._beginning)
        if kept is None:
            return 0
        self._kept.move_to_end(self._beginning)
        if self._memory.restore(kept[1]):
            return kept[0]
        del self._kept[self._beginning]
        self._memory.clear()
        return 0

    def _read_beginning(self, beginning: Tokens, between: Callable[[], None]) -> int:
        """Evaluate a beginning from nothing, save it, and put what was saved in its place."""
        for at in range(0, len(beginning), self._batch):
            between()
            self._memory.evaluate(beginning[at : at + self._batch], at, False)
        self._resident = beginning
        saved = self._memory.save() if self._saves else None
        if saved is None:
            return len(beginning)
        self._kept[self._beginning] = len(beginning), saved
        while len(self._kept) > 1 and sum(length for length, _ in self._kept.values()) > self._room:
            self._kept.popitem(last=False)
        if self._load(beginning):
            return len(beginning)
        self._saves = False
        return self._read_beginning(beginning, between)


def common(one: Tokens, other: Tokens) -> int:
    """How many tokens the two begin with alike."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length
