"""Whatever a model writes, the checks end soon and raise nothing: texts made to be slow, odd or too long."""

import random
import time
from collections.abc import Callable

import pytest
from scripted import chunk, pair, talk

from generation_functions.checks import Asked, conversations
from generation_functions.checks.duplicates import duplicates
from generation_functions.checks.known_numbers import strange
from generation_functions.checks.pairs import CHECKS, flaws
from generation_functions.records import Conversation, Turn

LENGTH = 10_000
SECONDS = (
    1.5  # each takes some 50 ms; what grows with the square takes longer than this, on a busy machine as well
)

PLAIN = "Salt draws water out of meat, not fat. In 1869 it cost 12 pounds for every Norwegian."
QUESTION = "When did all of the water not go out of Oslo in 1870?"

REPEATED = {
    "spaces": " ",
    "lines": "\n ",
    "quotation marks": '"',
    "asterisks": "* ",
    "stops": ".",
    "spaced stops": ". ",
    "question marks": "?!",
    "digits": "9",
    "numbers": "1 2 ",
    "fractions": "1/0 ",
    "thousands": ",999",
    "versions": "v1.x.",
    "tags": "<a ",
    "brackets": "(",
    "cells": "| ",
    "denials": "It is not so. ",
    "names": "Aa b ",
    "one word": "a",
    "one name": ", " + "A" * LENGTH,
    "codes": "_a",
    "options": "-a",
    "shares": "5 per cent ",
    "spans": "from 1869 to 1870 and May 1869 ",
    "times": "12:30:",
    "halves": "of a half hour ",
    "scales": "9 million million ",
    "speakers": "\nBo ",
    "claims": "all some ",
    "NUL": "\0",
    "lone surrogates": "\ud800 ",
    "right to left": "\u202eא ",
    "accents": "a\u0301\u0327",
    "ligatures": "\ufdfa",
}


def words(seed: int) -> list[str]:
    draw = random.Random(seed)
    return ["".join(draw.choices("abcdefgh", k=5)) for _ in range(LENGTH // 6)]


TEXTS = {name: (text * LENGTH)[:LENGTH] for name, text in REPEATED.items()} | {
    "any words": " ".join(words(1)),
    "words that begin alike": " ".join(f"aaaa{n}" for n in range(LENGTH // 9)),
    "many names": " ".join(f"x {word.capitalize()}" for word in words(2))[:LENGTH],
    "many numbers": " ".join(str(n * 7919) for n in range(LENGTH // 8)),
    "many measures": " ".join(f"{n} kg," for n in range(LENGTH // 8)),
    "many clauses": " ".join(f"{a} {b} is {c}." for a, b, c in zip(*[iter(words(3))] * 3, strict=False)),
    "many denials": " ".join(f"It is not {a} {b}." for a, b in zip(*[iter(words(4))] * 2, strict=False))[
        :LENGTH
    ],
}


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


@pytest.mark.parametrize("name", TEXTS)
def test_no_check_of_a_pair_is_slow_on_any_text(name: str) -> None:
    text = TEXTS[name]
    proved = pair(QUESTION, "It was all of 12 kg in Oslo, which sank.", chunk(text))
    both = pair(QUESTION, " ".join(reversed(text.split())) + " a.", chunk(text))
    for made in (
        pair(QUESTION, text, chunk(PLAIN)),
        pair(f"{text}?", "It is 12 kg.", chunk(PLAIN)),
        proved,
        both,
    ):
        for check, look in CHECKS.items():
            assert seconds(lambda: look(made, Asked("en"))) < SECONDS, check  # noqa: B023


@pytest.mark.parametrize("name", TEXTS)
def test_no_conversation_is_slow_to_look_at(name: str) -> None:
    text = TEXTS[name]
    plain = talk(
        pair(QUESTION, "In 1870.", chunk(PLAIN)), pair("Who?", "Nansen did.", chunk(text)), card=text
    )
    turns = Turn("Bo", QUESTION), Turn("Ines", text), Turn("Bo", f"{text} Who?"), Turn("Ines", "Nansen did.")
    said = Conversation(plain.cast, turns)
    assert seconds(lambda: [*conversations.flaws(said, verbatim=False)]) < 2 * SECONDS


def test_pairs_of_any_texts_are_held_against_each_other() -> None:
    here = chunk(PLAIN)
    made = [pair(text[:1000], text[1000:2000], here) for text in TEXTS.values()]
    assert seconds(lambda: duplicates(made)) < 10 * SECONDS
    again = duplicates([*made, *made])
    assert all(again[len(made) + n] <= n for n in range(len(made)))


def test_a_line_of_half_a_megabyte_is_read_in_reasonable_time() -> None:
    line = "Salt draws 12 kg of water out of meat. " * 12_500
    assert seconds(lambda: [*flaws(pair(QUESTION, line, chunk(PLAIN)))]) < 10 * SECONDS


@pytest.mark.parametrize(
    "text",
    [
        "9" * 5000,
        "9" * 400 + " million",
        "1/" + "9" * 5000,
        "9" * 400 + "/7",
        "1/0",
        "0 of 0, himself included",
        "nine trillion " * 50,
        "9" * 400 + " years after 1869",
        "half past \u017fix",
        "Augu\u017ft 1869 to Augu\u017ft 1870",
        "\u0661\u0662\u0663 days",
        "\u00b0",
        "12:99 and 99:99",
        "quarter to one",
    ],
)
def test_odd_numbers_raise_nothing_and_are_known_to_their_own_text(text: str) -> None:
    assert strange(text, text) == []
    assert isinstance(strange(text, PLAIN), list)
    assert isinstance(strange(PLAIN, text), list)
