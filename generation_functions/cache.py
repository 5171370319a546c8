"""Which tokens a model's memory holds, in which of its sequences, and from where a new prompt must be read.

llama.cpp keeps all sequences in one pool of cells, a cell a token. Sequences that begin alike share the cells of
their beginning, so a stage's worked examples are read once for all its calls and a pair's prompt once for all votes:

    cells       0 ............ 1209 | 1210 ...... 1530 | 1531 ..... 1700
    sequence 0  system, examples    | text, question 1 |                    writes
    sequence 1  system, examples    |                  | text, question 2   writes
    sequence 9  system, examples    | text, question 1 |                    kept, while there is room

What a call has read stays when it ends, until its cells or its sequence are wanted: the least recently used goes
first, and of it first what is not the beginning of its stage.

Knows nothing of llama.cpp, grammars or calls: a Memory is anything whose sequences can be copied and cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WORTH_SHARING = 32  # tokens; reading fewer costs less than waiting for another call to read them
SLICE = (
    64  # see `Prompt.mark`: 4% slower than slices of 512 on two cores; half of it is read again at each call
)

Tokens = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Prompt:
    """`shared` of the tokens begin every call of the stage; it is less than all of them."""

    tokens: Tokens
    shared: int
    stage: bytes = field(init=False)  # tells apart what begins alike

    def __post_init__(self) -> None:
        object.__setattr__(self, "stage", self.tokens[: self.shared].tobytes())

    def mark(self, read: int) -> int:
        """The last of the marks up to which `read` tokens reach: the end of `shared`, then each SLICE tokens."""
        return self.shared + (read - self.shared) // SLICE * SLICE if read >= self.shared else 0

    def next_mark(self, read: int) -> int:
        """Up to where reading goes from the mark `read` on."""
        return min(self.shared if read < self.shared else self.mark(read) + SLICE, len(self.tokens))


class Memory(Protocol):
    """A model's memory of what it has read, in numbered sequences."""

    def copy(self, source: int, target: int, length: int) -> None:
        """Let the empty `target` begin with the first `length` tokens of `source`."""

    def cut(self, sequence: int, length: int) -> None:
        """Forget all behind the first `length` tokens."""


@dataclass(eq=False)
class Sequence:
    """`cells` has one for each token that is held: the prompt as far as it is read, then what was written."""

    number: int
    prompt: Prompt
    cells: list[int]

    @property
    def read(self) -> int:
        """How many of the prompt's tokens are held."""
        return min(len(self.cells), len(self.prompt.tokens))


class Cache:
    """The sequences of one memory: at most `live` that calls work on, and others that are kept.

    With `exact` there is one sequence, and a call's cells and evaluations are the same whatever ran before it: a
    prompt is read from mark to mark. Evaluating the same tokens in other portions, or with other sequences between
    their cells, moves logits by up to 2 (gemma-3-270m on two cores), enough to change a word. Without `shares`, for
    models whose memory is no row of tokens that can be cut, every prompt is read whole.
    """

    def __init__(
        self, memory: Memory, cells: int, live: int, *, kept: int, exact: bool = False, shares: bool = True
    ) -> None:
        self._memory, self.size, self._live_limit = memory, cells, live
        self._exact, self._shares = exact, shares
        self._unused = list(range(1 if exact else live + kept))[::-1]
        self.live: list[Sequence] = []
        self.kept: list[Sequence] = []  # the least recently used first
        self._holders = np.zeros(cells, np.int16)  # of each cell
        self._live_holders = np.zeros(cells, np.int16)
        self._empty = list(range(cells))[::-1]

    @property
    def is_full(self) -> bool:
        """Whether as many calls are worked on as there are sequences for."""
        return len(self.live) >= self._live_limit

    @property
    def free(self) -> int:
        """Cells that no call works on: empty ones and those that can be taken from what is kept."""
        return self.size - int(np.count_nonzero(self._live_holders))

    @property
    def used(self) -> int:
        return self.size - len(self._empty)

    def reusable(self, prompt: Prompt) -> int:
        """How many of a prompt's tokens need not be read."""
        return self._longest(prompt)[1]

    def held(self, prompt: Prompt) -> int:
        """How many of a prompt's tokens stand in cells that live calls hold: these take no room a second time."""
        source, length = self._longest(prompt)
        return int(np.count_nonzero(self._live_holders[source.cells[:length]])) if source else 0

    def promised(self, prompt: Prompt) -> int:
        """How many of its tokens will not have to be read once the live calls have read their prompts."""
        if not self._shares:
            return 0
        return max((self._alike(prompt, s.prompt, len(s.prompt.tokens)) for s in self.live), default=0)

    def open(self, prompt: Prompt) -> Sequence:
        """A sequence that begins as the prompt does, as far as possible. Not to be called when `is_full`."""
        source, length = self._longest(prompt)
        if source in self.kept:
            self.kept.remove(source)
            self.kept.append(source)
        if source and self.kept == [source] and not self._unused:
            self._trim(source, length)
            self.kept.remove(source)
            self._hold(source.cells, live=+1)
            made = Sequence(source.number, prompt, source.cells)
        else:
            while not self._unused:
                self._drop(self.kept[0])
            made = Sequence(self._unused.pop(), prompt, [])
            if source:
                made.cells = source.cells[:length]
                self._hold(made.cells, all=+1, live=+1)
                self._memory.copy(source.number, made.number, length)
        self.live.append(made)
        return made

    def extend(self, sequence: Sequence, count: int) -> bool:
        """Take cells for the next `count` tokens of a live sequence; False when they cannot be had."""
        while len(self._empty) < count:
            if not self.kept:
                return False
            self._shrink(self.kept[0])
        cells = [self._empty.pop() for _ in range(count)]
        self._hold(cells, all=+1, live=+1)
        sequence.cells += cells
        return True

    def close(self, sequence: Sequence) -> None:
        """A live sequence's call has ended: keep what it has read where that may be of use."""
        self.live.remove(sequence)
        self._hold(sequence.cells, live=-1)
        if not self._shares:
            self._empty_out(sequence)
            return
        self._trim(sequence, sequence.read)
        if not self._exact:
            for other in [s for s in self.kept if self._adds(s, sequence) < WORTH_SHARING]:
                self._drop(other)
        others = list(self._residents())
        if sequence.read and all(self._adds(sequence, other) >= WORTH_SHARING for other in others):
            self.kept.append(sequence)
        else:
            self._empty_out(sequence)

    def clear(self) -> None:
        """Forget everything that is kept."""
        while self.kept:
            self._drop(self.kept[0])

    def _longest(self, prompt: Prompt) -> tuple[Sequence | None, int]:
        """The sequence that holds most of the prompt's beginning, and how much; the last token is always read."""
        found: tuple[Sequence | None, int] = None, 0
        for sequence in self._residents() if self._shares else ():
            length = self._alike(prompt, sequence.prompt, sequence.read)
            if length > found[1]:
                found = sequence, length
        return found

    def _alike(self, prompt: Prompt, other: Prompt, read: int) -> int:
        same = prompt.shared if prompt.stage == other.stage else 0
        if prompt.stage == other.stage or not (prompt.shared or self._exact):
            same += common(prompt.tokens[same:], other.tokens[same:])
        same = min(same, read, len(prompt.tokens) - 1)
        return prompt.mark(same) if self._exact else same

    def _adds(self, sequence: Sequence, other: Sequence) -> int:
        """How many tokens a sequence holds that the other does not."""
        return sequence.read - self._alike(sequence.prompt, other.prompt, other.read)

    def _residents(self) -> Iterator[Sequence]:
        yield from self.live
        yield from reversed(self.kept)

    def _shrink(self, sequence: Sequence) -> None:
        """Give cells of a kept sequence away: what is not its stage's beginning, and if that is all, everything."""
        beginning = sequence.prompt.shared
        if len(sequence.cells) > beginning >= WORTH_SHARING:
            others = [s for s in self._residents() if s is not sequence]
            if not any(s.prompt.stage == sequence.prompt.stage and s.read >= beginning for s in others):
                self._trim(sequence, beginning)
                return
        self._drop(sequence)

    def _drop(self, sequence: Sequence) -> None:
        self.kept.remove(sequence)
        self._empty_out(sequence)

    def _empty_out(self, sequence: Sequence) -> None:
        self._trim(sequence, 0)
        self._unused.append(sequence.number)

    def _trim(self, sequence: Sequence, length: int) -> None:
        if len(sequence.cells) > length:
            cells = sequence.cells[length:]
            del sequence.cells[length:]
            self._hold(cells, all=-1)
            self._empty += [cell for cell in cells if not self._holders[cell]]
            self._memory.cut(sequence.number, length)

    def _hold(self, cells: list[int], *, all: int = 0, live: int = 0) -> None:
        self._holders[cells] += all
        self._live_holders[cells] += live


def common(one: Tokens, other: Tokens) -> int:
    """How many tokens the two begin with alike."""
    length = min(len(one), len(other))
    differing = np.flatnonzero(one[:length] != other[:length])
    return int(differing[0]) if len(differing) else length
