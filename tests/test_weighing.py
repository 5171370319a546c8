"""Weighing answers: the shares are those of the model's own probabilities, wherever the answers part."""

import json
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from generation_functions.weighing import Rests, Weighing, beginning, fitting, in_logprobs, parted

ACCURATE, INACCURATE = ANSWERS = ("Verdict: Accurate", "Verdict: Inaccurate")
Likely = Callable[[tuple[int, ...]], Sequence[float]]


# Where answers part


@pytest.mark.parametrize(
    ("answers", "opening", "rests"),
    [
        (ANSWERS, "Verdict:", (b" Accurate", b" Inaccurate")),
        (("Verdict: Pass", "Verdict: Partly"), "Verdict:", (b" Pass", b" Partly")),
        (("It is so", "It is so and so"), "It is", (b" so", b" so and so")),
        (("Yes", "Yellow"), "", (b"Yes", b"Yellow")),
        (("Yes", "No"), "", (b"Yes", b"No")),
    ],
)
def test_answers_part_before_the_space_of_the_first_word_that_differs(
    answers: tuple[str, ...], opening: str, rests: Rests
) -> None:
    assert parted(answers) == (opening, rests)


@pytest.mark.parametrize(
    ("piece", "meant"),
    [(b" Acc", [0]), (b" Accurate\n", [0]), (b" I", [1]), (b" ", [0, 1]), (b"A", []), (b" B", []), (b"", [])],
)
def test_a_piece_means_the_answers_that_it_begins_or_completes(piece: bytes, meant: list[int]) -> None:
    assert beginning(piece, parted(ANSWERS)[1]) == meant


def test_of_two_answers_that_a_piece_completes_the_longer_is_meant() -> None:
    assert beginning(b"Passed by", (b"Pass", b"Passed")) == [1]
    assert beginning(b"Passe", (b"Pass", b"Passed")) == [1, 0]


# What is seen


def test_the_shares_are_those_of_the_tokens_that_begin_one_answer_alone() -> None:
    weighing = Weighing(parted(ANSWERS)[1])
    place = weighing.next()
    assert place
    weighing.see(place, [(1, b" Acc", 0.6), (2, b" In", 0.3), (3, b" ", 0.0001), (4, b"\n", 0.09)])
    assert weighing.next() is None
    assert weighing.shares() == pytest.approx([2 / 3, 1 / 3])


def test_answers_that_were_not_seen_have_no_shares() -> None:
    weighing = Weighing(parted(ANSWERS)[1])
    place = weighing.next()
    assert place
    assert weighing.shares() == []
    weighing.see(place, [(4, b"\n", 0.9)])
    assert weighing.next() is None
    assert weighing.shares() == []


PIECES = [b"a", b"b", b"ab", b"ba", b" ", b" a", b" b", b"aa", b" ab", b"c", b""]


def any_model(seed: int) -> Likely:
    def likely(path: tuple[int, ...]) -> list[float]:
        draw = random.Random(f"{seed} {path}")
        weights = [math.exp(draw.gauss(0, 1.5)) for _ in PIECES]
        return [weight / sum(weights) for weight in weights]

    return likely


def chance(likely: Likely, answers: dict[int, bytes], path: tuple[int, ...] = ()) -> dict[int, float]:
    """How often each answer is meant, over all that the model may write until one alone is left."""
    text = b"".join(PIECES[token] for token in path)
    found = dict.fromkeys(answers, 0.0)
    for token, share in enumerate(likely(path)):
        after = text + PIECES[token]
        meant = {n: one for n, one in answers.items() if one.startswith(after) and len(one) > len(after)}
        whole = {n: one for n, one in answers.items() if after.startswith(one) and len(one) > len(text)}
        if whole:
            longest = max(whole, key=lambda n: len(whole[n]))
            meant[longest] = whole[longest]
        if after == text or not meant:  # the end, or something else
            meant = {n: one for n, one in answers.items() if len(one) <= len(text)}
        further = chance(likely, meant, (*path, token)) if len(meant) > 1 else dict.fromkeys(meant, 1.0)
        for n, part in further.items():
            found[n] += share * part
    return found


@pytest.mark.parametrize("seed", range(40))
def test_the_shares_are_those_of_all_that_a_model_may_write(seed: int) -> None:
    """Answers that part at once, later, in other tokens, or not before one of them ends."""
    draw, likely = random.Random(seed), any_model(seed)
    answers = {"".join(draw.choices("ab ", k=draw.randint(1, 5))).strip() or "a" for _ in range(4)}
    rests: Rests = tuple(f" {answer}".encode() for answer in sorted(answers))
    weighing = Weighing(rests)
    while place := weighing.next():
        probabilities = likely(place.path)
        weighing.see(place, [(t, PIECES[t], probabilities[t]) for t in fitting(PIECES, place.rests)])
    expected = chance(likely, {n: rest for n, rest in enumerate(rests) if rest})
    every = sum(expected.values())
    assert sum(weighing.shares()) == pytest.approx(1)
    assert weighing.shares() == pytest.approx([one / every for one in expected.values()], abs=1e-3)


# What servers say

LISTED = {" Accurate": 0.6, " In": 0.2, " It": 0.1}


def chat(tokens: Sequence[str], *tops: dict[str, float]) -> dict[str, Any]:
    """As chats have it; the last tokens have these likeliest ones, those before them themselves."""
    before = [{token: 1.0} for token in tokens[: len(tokens) - len(tops)]]
    rows = zip(tokens, [*before, *tops], strict=True)
    return {
        "content": [{**told(token), "top_logprobs": [*map(told, top, top.values())]} for token, top in rows]
    }


def told(token: str, probability: float = 1.0) -> dict[str, Any]:
    return {"token": token, "bytes": [*token.encode()], "logprob": math.log(probability)}


def plain(logprobs: dict[str, Any]) -> dict[str, Any]:
    """The same as plain completions have it."""
    content = logprobs["content"]
    tops = [{top["token"]: top["logprob"] for top in one["top_logprobs"]} for one in content]
    logs = [one["logprob"] for one in content]
    return {"tokens": [one["token"] for one in content], "token_logprobs": logs, "top_logprobs": tops}


WRITTEN = [
    (ACCURATE, chat(["Ver", "dict", ":", " Accurate"], LISTED)),
    (INACCURATE, chat(["Verdict", ":", " In", "accurate"], LISTED, {"accurate": 1.0})),
    (ACCURATE, chat(["Verdict", ": Acc", "urate"], {": Acc": 0.6, ": In": 0.2, ": It": 0.1}, {"urate": 1.0})),
    (ACCURATE, chat(["<think>", "Accurate?", "</think>", "Verdict", ":", " Accurate"], LISTED)),
    (ACCURATE, chat(['{"', 'verdict": "', "Accurate", '"}'], {"Accurate": 0.6, "In": 0.2}, {'"}': 1.0})),
    (ACCURATE, chat(['{"verdict":', ' "Acc', 'urate"}'], {' "Acc': 0.6, ' "In': 0.2}, {'urate"}': 1.0})),
    (
        ACCURATE,
        chat(["Verdict:", " ", "Accurate"], {" ": 0.8, "\n": 0.2}, {"Accurate": 0.6, "In": 0.1, "I": 0.1}),
    ),
]


@pytest.mark.parametrize(("text", "logprobs"), WRITTEN, ids=[str(n) for n in range(len(WRITTEN))])
@pytest.mark.parametrize("form", [chat, plain])
def test_a_servers_logprobs_give_the_shares_whatever_tokens_it_wrote(
    text: str, logprobs: dict[str, Any], form: Callable[..., Any]
) -> None:
    told = plain(logprobs) if form is plain else json.loads(json.dumps(logprobs))
    assert in_logprobs(ANSWERS, text, told) == pytest.approx({ACCURATE: 0.75, INACCURATE: 0.25})


def test_an_answer_that_is_not_listed_is_as_likely_as_the_last_that_is() -> None:
    listed = {" Accurate": 0.9, " It": 0.05, " The": 0.01}
    got = in_logprobs(ANSWERS, ACCURATE, chat(["Verdict", ":", " Accurate"], listed))
    assert got == pytest.approx({ACCURATE: 0.9 / 0.91, INACCURATE: 0.01 / 0.91})


@pytest.mark.parametrize(
    "logprobs",
    [
        *(None, {}, {"content": None}, {"content": []}, {"tokens": [], "top_logprobs": None}, "none"),
        *({"content": ["Accurate"]}, {"tokens": [" Accurate"], "top_logprobs": [[0.5]]}),
        chat(["Verdict", ":", " Accurate"], {" It": 0.9, " The": 0.1}),
        chat(["Verdict", ":", " Relevant"], LISTED),
        {"tokens": ["Verdict", ":", " Accurate"], "top_logprobs": [None, None, None]},
    ],
)
def test_logprobs_that_do_not_tell_give_nothing(logprobs: Any) -> None:
    assert in_logprobs(ANSWERS, ACCURATE, logprobs) == {}


def test_a_text_that_is_none_of_the_answers_gives_nothing() -> None:
    assert in_logprobs(ANSWERS, "Perhaps", chat(["Per", "haps"], LISTED)) == {}
