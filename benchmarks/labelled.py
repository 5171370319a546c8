"""The labelled sets that checks are measured with: passages with right and wrong pairs, repeats, and conversations.

    for case in pairs(FOLDER):    # Case("wrong number", Pair(...)), Case("", Pair(...)) for a right one

`benchmarks/labelled/` is what the checks were written with, `benchmarks/labelled/held_back/` was written by somebody
else, and not looked at by who wrote the checks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generation_functions.records import Cast, Chunk, Conversation, Group, Pair, Sentence, Turn

FOLDER = Path(__file__).parent / "labelled"
# What stands in the words, so that code can see it; the votes are bought for the others.
VISIBLE = (
    *("wrong number", "wrong date", "wrong unit", "swapped name", "invented name", "other chunk"),
    *("mention of the text", "truncated"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """A pair and what is wrong with it; "" for nothing."""

    kind: str
    pair: Pair


@dataclass(frozen=True, slots=True)
class Repeat:
    """Two pairs, and whether they are the same."""

    kind: str
    same: bool
    one: Pair
    other: Pair


@dataclass(frozen=True, slots=True)
class Talk:
    """A conversation and what is wrong with it ("" for nothing), in which turn (0 for the whole)."""

    flaw: str
    turn: int
    verbatim: bool
    conversation: Conversation


def pairs(folder: Path = FOLDER) -> Iterator[Case]:
    for file in sorted(folder.glob("pairs*.yaml")):
        for passage in _load(file):
            chunk = chunk_of(passage["source"], passage["sentences"], passage.get("paragraphs", ()))
            for case in [*passage.get("gold", ()), *passage.get("planted", ())]:
                yield Case(case.get("kind", ""), _pair(chunk, case))


def repeats(folder: Path = FOLDER) -> Iterator[Repeat]:
    """Pairs that a model wrote of one passage when it was asked more than once."""
    for number, passage in enumerate(_load(folder / "repeats.yaml")):
        chunk = chunk_of(f"{number}.txt", passage["sentences"])
        for case in passage["cases"]:
            yield Repeat(case["kind"], case["same"], _pair(chunk, case["one"]), _pair(chunk, case["other"]))


def far_repeats(folder: Path = FOLDER) -> Iterator[Repeat]:
    """Pairs without a passage, whose paraphrases have hardly a word in common: what words alone cannot tell."""
    for number, case in enumerate(_load(folder / "far_repeats.yaml")):
        here = chunk_of(f"{number}.txt", ["Here."])
        there = here if case["where"] == "chunk" else chunk_of(f"{number} too.txt", ["There."])
        yield Repeat(case["kind"], case["same"], _pair(here, case["one"]), _pair(there, case["other"]))


def talks(folder: Path = FOLDER) -> Iterator[Talk]:
    for number, case in enumerate(_load(folder / "conversations.yaml")):
        chunk = chunk_of(f"{number}.txt", case["sentences"])
        group = Group(tuple(_pair(chunk, pair) for pair in case["pairs"]))
        cast = Cast(group, case["answerer"], case["asker"], case["card"], case["scenario"])
        turns = tuple(Turn(speaker, text) for speaker, text in case["turns"])
        verbatim = case["quotes"] == "verbatim"
        yield Talk(case["flaw"], case["turn"], verbatim, Conversation(cast, turns))


def chunk_of(source: str, sentences: Sequence[str], paragraphs: Sequence[int] = ()) -> Chunk:
    """A chunk as reading the sentences from a file would give it."""
    made, at = [], 0
    for number, text in enumerate(map(str.strip, sentences), 1):
        made.append(Sentence(text, at, at + len(text), number in paragraphs))
        at += len(text) + 1
    return Chunk(source, tuple(made))


def _pair(chunk: Chunk, case: dict[str, Any]) -> Pair:
    return Pair(chunk, case["question"], case["answer"], tuple(case.get("evidence", ())))


def _load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8")) or []
