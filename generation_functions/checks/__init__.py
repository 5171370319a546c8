"""What code can see without asking a model: flaws of pairs and of conversations, and pairs that repeat others.

    Flaw("numbers", "says 14 weeks, which the sentences named as evidence do not")
    Flaw("closer", "turns 4 and 6 both offer more help", 6)

`pairs` holds a pair against its chunk, `conversations` a conversation against its pairs, `duplicates` pairs
against each other. They read words with `wording` and `names`, numbers with `quantities`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Flaw:
    """The check that found it, its reason, and in a conversation the turn, counted from 1 (0: the whole of it)."""

    check: str
    reason: str
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.check}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a pair was asked to be: in which language ("" for that of its text), and whether it may name its text.

    `text_of` gives a source's text by its name, None for one that is not there; without it evidence is held
    against the chunk alone.
    """

    language: str = ""
    may_name_text: bool = False
    text_of: Callable[[str], str | None] | None = None
