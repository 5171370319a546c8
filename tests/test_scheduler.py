"""Many calls computed together: each text is what it would be alone, and nothing is read or answered twice."""

import random
from itertools import count

import numpy as np
import pytest
from fake_model import ENDS, PIECES, FakeModel, logits_after, text_alone

from generation_functions import scheduler
from generation_functions.cache import WORTH_SHARING, Cache, Prompt
from generation_functions.engine import Sampling
from generation_functions.sampler import Logits
from generation_functions.scheduler import (
    MOST_PASSED_OVER,
    Answer,
    Call,
    Scheduler,
    begun_character,
    continues,
    cut_at_stop,
)

GREEDY, WARM = 0.0, 1.0
SIXTY = "abcdefgh 60"  # a grammar: no text ends before it has 60 tokens
ids = count(1)


def tokens(seed: int, length: int) -> list[int]:
    return random.Random(seed).choices(range(ENDS[0]), k=length)


def prompt(shared: list[int], *items: list[int]) -> Prompt:
    return Prompt(np.array(sum(items, shared), np.int32), len(shared))


STAGES = JUDGE, WRITE, VOTE = tokens(1, 70), tokens(2, 20), tokens(3, 150)
TEXT, OTHER = tokens(10, 60), tokens(11, 60)


def call(
    asked: Prompt,
    max_tokens: int = 20,
    *,
    temperature: float = GREEDY,
    grammar: str = "",
    seed: int = 0,
    stop: tuple[bytes, ...] = (),
    seconds: float = 1e9,
) -> Call:
    return Call(next(ids), asked, grammar, Sampling(max_tokens, temperature), seed, stop, seconds)


def again(one: Call) -> Call:
    """The same call, not begun."""
    return Call(one.id, one.prompt, one.grammar, one.sampling, one.seed, one.stop, one.seconds)


class Bench:
    """A scheduler on a fake model, and what it has answered. A step takes a second."""

    def __init__(self, cells: int = 5000, live: int = 8, **how: int | bool) -> None:
        portion, exact, shares = how.get("portion", 64), bool(how.get("exact")), bool(how.get("shares", True))
        self.model = FakeModel(cells, portion=portion, drifts=exact, shares=shares)
        self.cache = Cache(self.model, cells, live, kept=how.get("kept", 6), exact=exact, shares=shares)
        self.now = 0.0
        self.scheduler = Scheduler(
            self.model,
            self.cache,
            portion=portion,
            exact=exact,
            threads=how.get("threads", 1),
            clock=lambda: self.now,
        )
        self.answers: dict[int, Answer] = {}  # in the order in which they came

    def add(self, *calls: Call) -> None:
        for one in calls:
            self.scheduler.add(one)

    def step(self) -> None:
        for answer in self.scheduler.step():
            assert answer.id not in self.answers, "answered twice"
            self.answers[answer.id] = answer
        assert self.cache.used == self.model.held
        self.now += 1

    def finish(self, *calls: Call) -> list[Answer]:
        """Add the calls and go on until all is answered; theirs in their order."""
        self.add(*calls)
        while not self.scheduler.is_idle:
            self.step()
        self.check_that_all_is_given_back()
        return [self.answers[one.id] for one in calls]

    def check_that_all_is_given_back(self) -> None:
        assert self.scheduler.is_idle
        assert not self.cache.live
        assert self.cache.free == self.cache.size
        assert not any(grammar.is_open for grammar in self.model.grammars)

    def lengths(self, first: int = 0) -> list[list[int]]:
        """How many tokens of each call were evaluated, for each evaluation from the `first` on."""
        return [[len(portion.tokens) for portion in portions] for portions in self.model.portions[first:]]


def said(answer: Answer) -> tuple[str, str]:
    assert answer.error is None
    return answer.fields["text"], answer.fields["finish"]


# The same text as alone


def drawn_call(rng: random.Random) -> Call:
    """One of some stages on one of some texts, of which many begin alike; at most 221 tokens + 24 to write."""
    text = tokens(20 + rng.randrange(3), rng.choice([5, 35]))
    question = tokens(30 + rng.randrange(4), rng.randrange(1, 37))
    return call(
        prompt(rng.choice(STAGES), text, question),
        rng.choice([1, 6, 24]),
        temperature=rng.choice([GREEDY, WARM]),
        grammar=rng.choice(["", "", "abcdefgh\n 9", "xyz 30"]),
        seed=rng.randrange(5),
        stop=rng.choice([(), (b"a",), (b"xx", b"b")]),
    )


ROOMS = [
    {"cells": 5000, "portion": 512},
    {"cells": 5000, "threads": 3},
    {"cells": 5000, "live": 1, "kept": 24},
    {"cells": 1200, "portion": 8, "kept": 1},
    {"cells": 1200, "portion": 3},
    {"cells": 700, "live": 6, "portion": 32},
    {"cells": 500, "live": 4, "portion": 100},
    {"cells": 300, "portion": 20},
    {"cells": 245, "kept": 1},
    {"cells": 245, "live": 3, "portion": 16, "kept": 2},
    {"cells": 245, "live": 1, "kept": 1},
]


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_a_text_is_the_same_as_alone_whatever_else_is_computed(
    room: dict[str, int], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "RESERVE", 4)  # more calls join than there is room for
    rng = random.Random(str(room))
    bench = Bench(**room, shares=shares)
    calls = [drawn_call(rng) for _ in range(24)]
    waiting, dropped = list(calls), set[int]()
    while waiting or not bench.scheduler.is_idle:
        for _ in range(min(len(waiting), rng.choice([0, 0, 1, 6]))):
            bench.add(waiting.pop())
        one = rng.choice(calls)
        if rng.random() < 0.05 and one not in waiting and one.id not in bench.answers:
            bench.scheduler.drop(one.id)
            dropped.add(one.id)
        bench.step()
    bench.check_that_all_is_given_back()
    bench.cache.clear()
    assert bench.model.held == 0
    expected = {one.id: text_alone(one) for one in calls if one.id not in dropped}
    assert {id: said(answer) for id, answer in bench.answers.items()} == expected


def test_a_call_that_made_room_for_others_goes_on_where_it_was() -> None:
    bench = Bench(400)
    calls = [call(prompt(WRITE, tokens(n, 60)), 200, grammar="abcdefgh 200", seed=n) for n in range(40, 46)]
    answers = bench.finish(*calls)
    assert [said(answer) for answer in answers] == [text_alone(one) for one in calls]
    assert bench.model.read > needed(answers), "none made room"


def needed(answers: list[Answer]) -> int:
    """How many tokens are evaluated when nothing is read twice; the last that is written never is."""
    asked = [answer.fields for answer in answers]
    return sum(a["prompt_tokens"] - a["cached_tokens"] + a["completion_tokens"] - 1 for a in asked)


@pytest.mark.parametrize("shares", [True, False])
def test_the_last_to_join_makes_room_and_goes_on_before_those_that_wait(
    shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "RESERVE", 4)
    bench = Bench(200, live=3, shares=shares, portion=200)
    calls = [call(prompt(WRITE, tokens(n, 20)), 60, grammar=SIXTY) for n in range(4)]
    answers = bench.finish(*calls)
    assert list(bench.answers) == [one.id for one in calls]
    assert bench.model.read > needed(answers), "none made room"
    assert answers[2].fields["seconds"] > answers[1].fields["seconds"], "its time goes on while it waits"
    assert calls[3].began > answers[0].fields["seconds"]


# Reading no more than is needed


def test_the_same_prompt_is_read_once_for_all_seeds() -> None:
    bench = Bench(portion=130)
    calls = [call(prompt(JUDGE, TEXT), 1, temperature=WARM, seed=seed) for seed in range(8)]
    answers = bench.finish(*calls)
    assert bench.model.read == 130 + 7
    assert [answer.fields["cached_tokens"] for answer in answers] == [0] + 7 * [129]
    assert {answer.fields["prompt_tokens"] for answer in answers} == {130}


@pytest.mark.parametrize(("portion", "twice"), [(512, 0), (50, 0), (64, 22)])
def test_the_beginning_of_a_stage_is_read_once_when_16_of_its_calls_arrive_together(
    portion: int, twice: int
) -> None:
    """But for the rest of it that is not worth waiting for."""
    bench = Bench(live=16, portion=portion)
    bench.finish(*[call(prompt(VOTE, [n], tokens(n, 39)), 1) for n in range(16)])
    assert bench.model.read == 150 + 16 * 40 + 15 * twice
    assert twice < WORTH_SHARING


def test_calls_that_share_little_do_not_wait_for_each_other() -> None:
    bench = Bench(portion=512)
    bench.add(call(prompt(WRITE, TEXT)), call(prompt(WRITE, OTHER)))
    bench.step()
    assert bench.lengths() == [[80, 80]]


def test_calls_of_one_stage_run_together() -> None:
    bench = Bench(live=1, kept=1)
    calls = [call(prompt([JUDGE, VOTE][n % 2], tokens(70 + n, 40)), 1) for n in range(10)]
    bench.finish(*calls)
    assert list(bench.answers) == [one.id for one in [*calls[::2], *calls[1::2]]]


@pytest.mark.parametrize("cells", range(270, 600, 30))
def test_a_call_joins_only_when_there_is_room_for_what_all_have_yet_to_write(cells: int) -> None:
    """Cells that are kept and that it would begin with are no room that it could take besides."""
    bench = Bench(cells)
    bench.finish(call(prompt(JUDGE, TEXT), 1))
    bench.add(call(prompt(VOTE, TEXT), 60, grammar=SIXTY))
    bench.step()
    bench.finish(call(prompt(JUDGE, OTHER), 60, grammar=SIXTY))
    assert bench.model.read == needed(list(bench.answers.values()))


# Whose turn it is


def test_who_writes_gets_a_token_in_every_evaluation_while_another_reads() -> None:
    bench = Bench(portion=16)
    writing = [call(prompt(WRITE, [n]), 60, grammar=SIXTY) for n in range(3)]
    bench.add(*writing)
    while not all(one.written for one in writing):
        bench.step()
    before = len(bench.model.portions)
    bench.add(call(prompt(VOTE, tokens(5, 300)), 1))
    while not bench.answers:
        bench.step()
    assert bench.lengths(before) == [[1, 1, 1, 13]] * 34 + [[1, 1, 1, 450 - 34 * 13]]


def test_a_call_is_passed_over_so_often_and_not_for_ever() -> None:
    bench = Bench(live=1)
    bench.finish(call(prompt(JUDGE, TEXT), 1))
    bench.add(other := call(prompt(WRITE, TEXT), 1))
    for n in range(2 * MOST_PASSED_OVER):
        bench.add(call(prompt(JUDGE, tokens(2 * n, 9)), 1), call(prompt(JUDGE, tokens(2 * n + 1, 9)), 1))
        bench.step()
    bench.step()
    assert list(bench.answers).index(other.id) == 1 + MOST_PASSED_OVER


def test_waiting_for_room_is_not_being_passed_over() -> None:
    bench = Bench(300, live=2)
    grammar = f"abcdefgh {MOST_PASSED_OVER + 20}"
    writing = call(prompt(VOTE, TEXT), MOST_PASSED_OVER + 20, grammar=grammar)
    bench.add(writing)
    bench.step()
    first, of_the_stage = call(prompt(WRITE, OTHER), 1), call(prompt(VOTE, OTHER), 1)
    bench.finish(first, of_the_stage)
    assert list(bench.answers) == [writing.id, of_the_stage.id, first.id]


# How a call ends


def test_an_end_token_ends_a_text_and_is_not_part_of_it() -> None:
    one = next(c for c in (call(prompt(JUDGE, [n]), 200) for n in range(28)) if text_alone(c)[1] == "stop")
    [answer] = Bench().finish(one)
    text, finish = text_alone(one)
    assert said(answer) == (text, "stop")
    assert answer.fields["completion_tokens"] == len(text) < 200


def test_max_tokens_ends_a_text_as_not_whole() -> None:
    [answer] = Bench().finish(one := call(prompt(JUDGE, TEXT), 5, grammar=SIXTY))
    assert said(answer) == (text_alone(one)[0], "length")
    assert len(answer.fields["text"]) == answer.fields["completion_tokens"] == 5


def test_a_stop_string_ends_a_text_and_is_cut_off() -> None:
    whole, _ = text_alone(call(prompt(JUDGE, TEXT), grammar=SIXTY))
    [answer] = Bench().finish(call(prompt(JUDGE, TEXT), grammar=SIXTY, stop=(b"?", whole[7:10].encode())))
    assert said(answer) == (whole[: whole.index(whole[7:10])], "stop")


def test_a_grammar_to_which_nothing_can_be_added_ends_a_text() -> None:
    bench = Bench()
    [answer] = bench.finish(call(prompt(JUDGE, TEXT), grammar="abc 4"))
    text, finish = said(answer)
    assert (len(text), set(text) <= set("abc"), finish) == (4, True, "stop")
    assert bench.model.read == 130 + 3, "no evaluation for what cannot come any more"


def test_a_grammar_that_is_refused_fails_its_call_alone() -> None:
    bench = Bench()
    refused, good = bench.finish(call(prompt(JUDGE, TEXT), grammar="?"), one := call(prompt(JUDGE, OTHER)))
    assert str(refused.error) == "the fake refuses the grammar"
    assert said(good) == text_alone(one)
    assert bench.model.read < 160, "nothing is read for it"


def test_a_grammar_that_the_vocabulary_cannot_write_fails_its_call_alone() -> None:
    impossible, good = Bench().finish(
        call(prompt(JUDGE, TEXT), grammar=" 5"), one := call(prompt(JUDGE, OTHER))
    )
    assert str(impossible.error) == "the grammar asks for what the model's vocabulary cannot write"
    assert said(good) == text_alone(one)


def test_a_call_whose_time_is_up_ends_with_what_it_has() -> None:
    one = call(prompt(JUDGE, TEXT), 60, grammar=SIXTY, seconds=7.5)
    [answer] = Bench(portion=130).finish(one)
    assert said(answer) == (text_alone(one)[0][:8], "length")
    assert answer.fields["seconds"] == 8


def test_time_is_counted_from_when_a_call_joins() -> None:
    first, one = call(prompt(JUDGE, TEXT), 60, grammar=SIXTY), call(prompt(JUDGE, OTHER), 5, seconds=10)
    _, answer = Bench(live=1).finish(first, one)
    assert said(answer) == text_alone(one)


def test_a_call_whose_time_is_up_while_it_waits_to_go_on_is_answered_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scheduler, "RESERVE", 4)
    bench = Bench(245, shares=False)
    first = call(prompt(JUDGE, tokens(1, 30)), 140, grammar="abc 140")
    one = call(prompt(WRITE, tokens(2, 30)), 140, grammar="abc 140", seconds=70)
    bench.add(first, one)
    while bench.now < 73:
        bench.step()
    assert list(bench.answers) == [one.id]


@pytest.mark.parametrize("steps", range(6))
def test_a_dropped_call_is_not_answered_and_gives_everything_back(steps: int) -> None:
    """While it waits, reads or writes; and the calls beside it go on."""
    bench = Bench(live=2, portion=50)
    calls = [call(prompt(JUDGE, tokens(n, 50)), grammar=SIXTY) for n in range(3)]
    bench.add(*calls)
    for _ in range(steps):
        bench.step()
    bench.scheduler.drop(calls[0].id)
    bench.finish()
    assert list(bench.answers) == [one.id for one in calls[1:]]
    bench.scheduler.drop(calls[1].id)  # answered already
    assert [said(bench.answers[one.id]) for one in calls[1:]] == [text_alone(one) for one in calls[1:]]


def test_dropping_all_calls_leaves_nothing() -> None:
    bench = Bench(400)
    calls = [call(prompt(JUDGE, tokens(n, 50)), 60, grammar=SIXTY) for n in range(6)]
    bench.add(*calls)
    for _ in range(9):
        bench.step()
    for one in calls:
        bench.scheduler.drop(one.id)
    bench.check_that_all_is_given_back()
    assert bench.scheduler.step() == []


@pytest.mark.parametrize(
    ("text", "added", "left"),
    [
        (b"One.\n\nTwo", 3, None),
        (b"One.\n\n###", 3, b"One."),
        (b"One.\n\n### and", 7, b"One."),
        (b"stopSTOP", 4, b"stop"),
        (b"STOP STOP", 1, b"STOP "),
        (b"a STOP\n\n###", 11, b"a "),
    ],
)
def test_text_is_cut_where_the_first_stop_string_begins(text: bytes, added: int, left: bytes | None) -> None:
    written = bytearray(text)
    assert cut_at_stop(written, (b"\n\n###", b"STOP", b""), added) == (left is not None)
    assert bytes(written) == (left if left is not None else text)


# Exactly the same, also on a model whose logits tell in which portions it was evaluated


def drawn_prompt(rng: random.Random, beginnings: list[int]) -> Prompt:
    """A row of tokens that another goes on with, or ends in the middle of; at most 460 tokens."""
    row = [
        *VOTE,
        *tokens(20 + rng.randrange(3), rng.choice([60, 64, 130])),
        *tokens(90 + rng.randrange(3), 180),
    ]
    return Prompt(np.array(row[: rng.randrange(160, len(row))], np.int32), rng.choice(beginnings))


def portions_of(bench: Bench, one: Call) -> tuple[list[tuple[int, int]], Answer]:
    before = len(bench.model.portions)
    [answer] = bench.finish(again(one))
    return [(p.at, len(p.tokens)) for [p] in bench.model.portions[before:]], answer


@pytest.mark.parametrize("portion", [30, 100, 512])
@pytest.mark.parametrize("beginnings", [[150], [64, 128, 150], [0, 64, 150]], ids=str)
def test_exact_evaluates_and_says_the_same_whatever_ran_before(beginnings: list[int], portion: int) -> None:
    rng = random.Random(portion)
    how = {"cells": 500, "live": 1, "exact": True, "portion": portion}
    calls = [call(drawn_prompt(rng, beginnings), 12, temperature=WARM, seed=n) for n in range(12)]
    alone = {one: portions_of(Bench(**how), one) for one in calls}
    bench = Bench(**how)
    for _ in range(60):
        given_up = again(rng.choice(calls))
        bench.add(given_up)
        for _ in range(rng.randrange(8)):
            bench.step()
        bench.scheduler.drop(given_up.id)
        bench.answers.clear()
        one = rng.choice(calls)
        portions, answer = portions_of(bench, one)
        assert portions == alone[one][0][-len(portions) :]
        assert said(answer) == said(alone[one][1])
        bench.answers.clear()


def test_exact_reads_again_only_from_the_last_mark_on() -> None:
    bench = Bench(live=1, exact=True, portion=512)
    asked = call(prompt(VOTE, tokens(5, 100)), 1)
    assert portions_of(bench, asked)[0] == [(0, 150), (150, 64), (214, 36)]
    bench.answers.clear()
    assert portions_of(bench, asked)[0] == [(214, 36)]


# Answers that are weighed

RESTS = (b"pass", b"partly", b"fail", b"faulty", b"pa")


def weighing(asked: Prompt, rests: tuple[bytes, ...] = RESTS, seconds: float = 1e9) -> Call:
    answers = tuple(rest.decode() for rest in rests)
    return Call(next(ids), asked, "", Sampling(20), 0, (), seconds, answers, rests)


def weights_alone(asked: Prompt, rests: tuple[bytes, ...] = RESTS) -> dict[str, float]:
    """The probability of each text, letter by letter, until one is left; "pa" is meant where no other goes on."""

    def likely(text: str) -> np.ndarray:
        logits = logits_after([*asked.tokens.tolist(), *(PIECES.index(letter.encode()) for letter in text)])
        return np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()

    def chance(text: str, left: list[str]) -> dict[str, float]:
        if len(left) == 1:
            return {left[0]: 1.0}
        found, seen = dict.fromkeys(left, 0.0), 0.0
        for letter in sorted({one[len(text)] for one in left if len(one) > len(text)}):
            begun = [one for one in left if one.startswith(text + letter)]
            share = float(likely(text)[PIECES.index(letter.encode())])
            seen += share
            for one, part in chance(text + letter, begun).items():
                found[one] += share * part
        if text in left:
            found[text] += 1 - seen
        return found

    found = chance("", [rest.decode() for rest in rests])
    return {one: share / sum(found.values()) for one, share in found.items()}


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("room", ROOMS, ids=str)
def test_weights_are_the_same_as_alone_whatever_else_is_computed(
    room: dict[str, int], shares: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "RESERVE", 4)
    rng = random.Random(str(room))
    bench = Bench(**room, shares=shares)
    asked = [weighing(prompt(rng.choice(STAGES), tokens(n, 20))) for n in range(8)]
    others = [drawn_call(rng) for _ in range(8)]
    mixed = [one for two in zip(asked, others, strict=True) for one in two]
    answers = dict(zip(mixed, bench.finish(*mixed), strict=True))
    for one in asked:
        weights = answers[one].fields["weights"]
        assert weights == pytest.approx(weights_alone(one.prompt), abs=1e-3)
        assert sum(weights.values()) == pytest.approx(1)
        assert said(answers[one]) == (max(weights, key=weights.get), "stop")
    assert [said(answers[one]) for one in others] == [text_alone(one) for one in others]


def test_answers_that_part_at_once_take_one_evaluation() -> None:
    bench = Bench(portion=130)
    [answer] = bench.finish(weighing(prompt(JUDGE, TEXT), (b"yes", b"no")))
    assert (bench.model.read, answer.fields["completion_tokens"]) == (130, 1)


def test_answers_that_the_vocabulary_cannot_write_fail_their_call_alone() -> None:
    impossible, good = Bench().finish(
        weighing(prompt(JUDGE, TEXT), (b"1", b"2")), one := call(prompt(JUDGE, OTHER))
    )
    assert str(impossible.error) == "the grammar asks for what the model's vocabulary cannot write"
    assert said(good) == text_alone(one)


def test_weighing_whose_time_is_up_ends_without_weights() -> None:
    [answer] = Bench(portion=10).finish(weighing(prompt(JUDGE, TEXT), seconds=3))
    assert said(answer) == ("", "length")
    assert "weights" not in answer.fields


# Characters of several tokens


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
@pytest.mark.parametrize("before", ["", "a", "é", "漢😀"])
def test_a_character_that_is_begun_is_known_until_it_is_whole(before: str, character: str) -> None:
    coded = character.encode()
    for length in range(1, len(coded)):
        assert begun_character(before.encode() + coded[:length]) == coded[:length]
        assert continues(coded[:length], coded[length:]) and continues(
            coded[:length], coded[length : length + 1]
        )
        assert not continues(coded[:length], b"") and not continues(coded[:length], b"a")
    assert begun_character(before.encode() + coded) == b""


@pytest.mark.parametrize(
    "piece", [b"\x80", b"\xc0", b"\xff", b"\xe0\x80", b"\xed\xa0", b"\xf4\x90", b"a\xbf"]
)
def test_bytes_that_are_no_utf_8_continue_nothing(piece: bytes) -> None:
    assert not continues(b"", piece)


def test_a_text_is_utf_8_although_tokens_are_bytes_and_the_grammar_allows_them_all() -> None:
    """A model of bytes that would write any of them: every text is whole characters, and ends only behind one."""

    class Bytes(FakeModel):
        pieces = [bytes([byte]) for byte in range(256)] + [b""]
        parts = np.arange(257) >= 128
        ends = np.array([256])

        def logits(self, portion: int) -> Logits:
            return np.where(np.arange(257) < 128, -2.0, 0.0).astype(np.float32)

    model = Bytes(4000)
    scheduler = Scheduler(model, Cache(model, 4000, 4, kept=4), portion=512)
    for number in range(30):
        prompt = Prompt(np.arange(20, dtype=np.int32) % 20, 5)
        scheduler.add(Call(number, prompt, "", Sampling(40, temperature=1.0), number, (), 60.0))
    while not scheduler.is_idle:
        for answer in scheduler.step():
            if answer.fields["finish"] == "stop":
                assert "\ufffd" not in answer.fields["text"]
            assert "\ufffd" not in answer.fields["text"][:-1]
