"""Pairs that repeat others, among as many as there are.

    duplicates([why, when, why_again])      # {2: 0}: the third repeats the first

A pair is held against all of its chunk, and against those of other chunks that share a rare word with it: at most
RARE * MOST_NEAR, so the work grows with the pairs and not with their square. What repeats what, `sameness` decides.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence

from ..records import Pair
from .asking import LIGHT
from .sameness import ELSEWHERE, repeats
from .wording import normal, parts, stems

__all__ = ["RULES", "duplicates", "repeats"]

RULES = 2  # of what repeats what; with another number every run looks for duplicates anew
RARE = 2  # stems of a question, the least frequent ones, by which it is found among those of other chunks
MOST_NEAR = 50  # questions with one of these stems that it is held against, the latest ones
BITS = 64  # of a question's mask


def duplicates(pairs: Sequence[Pair]) -> dict[int, int]:
    """The index of each pair that repeats an earlier one, and the index of that one."""
    earlier = _Earlier(pairs)
    found: dict[int, int] = {}
    for n, pair in enumerate(pairs):
        first = earlier.repeated_by(pair)
        if first is None:
            earlier.add(n, pair)
        else:
            found[n] = first
    return found


class _Earlier:
    """The pairs that repeat none, by what they can be found again with; no text of theirs is kept."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._frequent = Counter[str]()
        self._by_words: dict[int, int] = {}
        self._by_chunk: dict[str, list[int]] = {}
        self._by_stem: dict[str, array[int]] = {}
        self._masks: dict[int, int] = {}

    def add(self, n: int, pair: Pair) -> None:
        asked = stems(pair.question)
        self._frequent.update(asked)
        self._by_words.setdefault(_same_words(pair.question), n)
        self._by_chunk.setdefault(pair.chunk.key, []).append(n)
        self._masks[n] = _mask(asked)
        for stem in self._rare(asked):
            self._by_stem.setdefault(stem, array("Q")).append(n)

    def repeated_by(self, pair: Pair) -> int | None:
        """The first one that the pair repeats."""
        exact = self._by_words.get(_same_words(pair.question))
        near = [] if exact is None else [exact]
        near += self._by_chunk.get(pair.chunk.key, ())
        near += self._elsewhere(pair)
        return next((n for n in dict.fromkeys(near) if repeats(pair, self._pairs[n])), None)

    def _elsewhere(self, pair: Pair) -> Iterator[int]:
        """Those with a rare stem of the pair, and enough common ones that they may be alike."""
        asked = stems(pair.question)
        mask = _mask(asked)
        share = ELSEWHERE / (1 + ELSEWHERE)  # of both questions' stems, that are common then
        for stem in self._rare(asked):
            for n in self._by_stem.get(stem, ())[-MOST_NEAR:]:
                other = self._masks[n]
                if (mask & other).bit_count() >= share * (mask.bit_count() + other.bit_count()) - 1:
                    yield n

    def _rare(self, asked: frozenset[str]) -> list[str]:
        return sorted(asked - LIGHT, key=lambda stem: (self._frequent[stem], stem))[:RARE]


def _same_words(question: str) -> int:
    """The same number for the same words in any order."""
    return hash(tuple(sorted(parts(question))) or normal(question))


def _mask(asked: frozenset[str]) -> int:
    """A bit for each stem; two may have the same."""
    return sum(1 << bit for bit in {sum(stem.encode()) % BITS for stem in asked})
