"""What is read again and what is not: a cache over a memory that holds the tokens themselves."""

import random
from collections.abc import Sequence as Several
from dataclasses import dataclass

import numpy as np
import pytest
from fake_model import FakeModel

from generation_functions.cache import SLICE, WORTH_SHARING, Cache, Prompt, Sequence, common
from generation_functions.scheduler import Portion

JUDGE, WRITE, VOTE = range(1000, 1200), range(2000, 2150), range(3000, 3100)
ITEM, OTHER = range(100), range(500, 630)


def prompt(shared: Several[int], item: Several[int]) -> Prompt:
    return Prompt(np.array([*shared, *item], np.int32), len(shared))


def cache_of(cells: int, live: int = 4, kept: int = 6, **how: bool) -> tuple[Cache, FakeModel]:
    model = FakeModel(cells, shares=how.get("shares", True))
    return Cache(model, cells, live, kept=kept, **how), model


def take(cache: Cache, model: FakeModel, sequence: Sequence, tokens: Several[int]) -> bool:
    """Evaluate the tokens behind what a sequence holds, if there is room."""
    at = len(sequence.cells)
    if not cache.extend(sequence, len(tokens)):
        return False
    model.evaluate([Portion(sequence.number, tokens, at, True)])
    return True


def read(cache: Cache, model: FakeModel, asked: Prompt) -> Sequence:
    """Open a sequence and read what is missing of its prompt."""
    sequence = cache.open(asked)
    assert take(cache, model, sequence, asked.tokens[len(sequence.cells) :].tolist())
    return sequence


def finish(cache: Cache, model: FakeModel, *prompts: Prompt) -> None:
    """Calls that are computed one after the other."""
    for asked in prompts:
        cache.close(read(cache, model, asked))


# Random calls, and what holds after each step


@dataclass(frozen=True)
class Size:
    cells: int
    live: int
    kept: int
    exact: bool = False
    shares: bool = True


SIZES = [
    Size(400, 1, 1),
    Size(300, 3, 2),
    Size(700, 4, 1),
    Size(1500, 8, 4),
    Size(5000, 6, 24),
    Size(400, 1, 0, exact=True),
    Size(2000, 1, 0, exact=True),
    Size(600, 4, 3, shares=False),
]
# A prompt without a beginning of its stage is told apart from nothing, so these come last and in no `exact` cache.
BEGINNINGS = [range(1000, 1010), range(2000, 2040), range(3000, 3160), range(3000, 3020), range(0)]


def drawn_prompt(rng: random.Random, exact: bool) -> Prompt:
    """Items that begin like others of the same stage, with a few lengths at which they part."""
    shared = rng.choice(BEGINNINGS[: -1 if exact else None])
    parts = [rng.randrange(3) for _ in range(rng.randrange(1, 4))]
    item = [
        100 * depth + 10 * part + n for depth, part in enumerate(parts) for n in range(rng.choice([9, 40]))
    ]
    return prompt(shared, item[: rng.randrange(1, len(item) + 1)])


class Driver:
    """Opens, extends, closes and clears at random; holds the cache against what the memory really has."""

    def __init__(self, size: Size, seed: int) -> None:
        self.size, self.rng = size, random.Random(seed)
        self.cache, self.model = cache_of(
            size.cells, size.live, size.kept, exact=size.exact, shares=size.shares
        )
        self.tokens: dict[Sequence, list[int]] = {}  # of each live sequence, what it has to hold

    def step(self) -> None:
        live = self.cache.live
        ways = [self.clear] + [self.extend] * 12 * bool(live) + [self.close] * 4 * bool(live)
        self.rng.choice(ways + [self.open] * 5 * (not self.cache.is_full))()
        self.check()

    def open(self) -> None:
        asked = drawn_prompt(self.rng, self.size.exact)
        residents = [(s.prompt, self.model.tokens(s.number)[: s.read]) for s in self.residents()]
        promised, kept = self.cache.reusable(asked), list(self.cache.kept)
        sequence = self.cache.open(asked)
        self.tokens[sequence] = asked.tokens[: len(sequence.cells)].tolist()
        longest = max((self.given(asked, *resident) for resident in residents), default=0)
        assert len(sequence.cells) == promised == longest
        assert self.is_rest(self.cache.kept, kept)

    def given(self, asked: Prompt, other: Prompt, held: list[int]) -> int:
        """How much of a prompt a sequence could give."""
        if not self.size.shares or (asked.shared and asked.stage != other.stage):
            return 0
        same = min(common(asked.tokens, np.array(held)), len(asked.tokens) - 1)
        return asked.mark(same) if self.size.exact else same

    def is_rest(self, kept: list[Sequence], before: list[Sequence]) -> bool:
        """Whether those that used to be least recently used have gone; the one that was used now is the last."""
        used = [sequence for sequence in before if kept and sequence is kept[-1]]
        before = [sequence for sequence in before if sequence not in used] + used
        return kept == before[len(before) - len(kept) :] or self.size.exact

    def extend(self) -> None:
        sequence = self.rng.choice(self.cache.live)
        unread = sequence.prompt.tokens[len(sequence.cells) :].tolist()
        count = self.rng.choice([1, 1, 7, 64])
        tokens = unread[:count] or [self.rng.randrange(100) for _ in range(count)]
        kept, lengths = list(self.cache.kept), [len(s.cells) for s in self.cache.kept]
        free = self.cache.free
        assert take(self.cache, self.model, sequence, tokens) == (len(tokens) <= free)
        if len(tokens) <= free:
            self.tokens[sequence] += tokens
        left = len(self.cache.kept)
        assert self.cache.kept == kept[len(kept) - left :]
        assert [len(s.cells) for s in self.cache.kept[1:]] == lengths[len(kept) - left :][1:]
        if left and len(self.cache.kept[0].cells) != lengths[-left]:
            assert len(self.cache.kept[0].cells) == self.cache.kept[0].prompt.shared

    def close(self) -> None:
        sequence = self.rng.choice(self.cache.live)
        self.cache.close(sequence)
        del self.tokens[sequence]

    def clear(self) -> None:
        self.cache.clear()
        assert not self.cache.kept

    def residents(self) -> list[Sequence]:
        return [*self.cache.live, *self.cache.kept]

    def check(self) -> None:
        cache, model = self.cache, self.model
        assert cache.used == model.held
        assert cache.free == cache.size - model.held_by([s.number for s in cache.live])
        assert {s: model.tokens(s.number) for s in cache.live} == self.tokens
        for sequence in cache.kept:
            tokens = model.tokens(sequence.number)
            assert tokens == sequence.prompt.tokens[: sequence.read].tolist()
            assert len(sequence.cells) == sequence.read == len(tokens)
        numbers = [s.number for s in self.residents()]
        assert len(set(numbers)) == len(numbers) <= self.size.live + self.size.kept
        assert model.held == model.held_by(numbers), "a sequence that is not used holds something"


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_books_agree_with_the_memory_whatever_is_done(size: Size, seed: int) -> None:
    driver = Driver(size, seed)
    for _ in range(400):
        driver.step()
    while driver.cache.live:
        driver.close()
        driver.check()
    driver.clear()
    assert (driver.cache.used, driver.model.held, driver.cache.free) == (0, 0, size.cells)


# What is given to a new call


def test_a_stage_s_beginning_is_read_once_for_all_its_calls() -> None:
    cache, model = cache_of(10_000)
    finish(cache, model, prompt(JUDGE, ITEM), prompt(WRITE, ITEM))
    assert len(cache.open(prompt(JUDGE, OTHER)).cells) == 200
    assert len(cache.open(prompt(WRITE, OTHER)).cells) == 150


def test_the_longest_beginning_is_given_whether_its_call_has_ended_or_not() -> None:
    cache, model = cache_of(10_000)
    finish(cache, model, prompt(JUDGE, range(60)))
    going_on = read(cache, model, prompt(JUDGE, [*range(40), *OTHER]))
    assert cache.reusable(prompt(JUDGE, ITEM)) == 260
    assert cache.reusable(prompt(JUDGE, [*range(40), *OTHER, 1])) == len(going_on.prompt.tokens)


def test_the_last_token_is_always_read() -> None:
    cache, model = cache_of(10_000)
    finish(cache, model, prompt(JUDGE, ITEM))
    assert cache.reusable(prompt(JUDGE, ITEM)) == 299


def test_only_what_is_read_is_given_but_all_of_it_is_promised() -> None:
    cache, model = cache_of(10_000)
    reading = cache.open(prompt(JUDGE, ITEM))
    assert take(cache, model, reading, list(JUDGE)[:120])
    asked = prompt(JUDGE, OTHER)
    assert (cache.reusable(asked), cache.promised(asked)) == (120, 200)
    cache.close(reading)
    assert (cache.reusable(asked), cache.promised(asked)) == (120, 0)


def test_what_was_written_after_a_prompt_is_not_taken_for_read() -> None:
    cache, model = cache_of(10_000)
    sequence = read(cache, model, prompt(JUDGE, range(100)))
    assert take(cache, model, sequence, range(100, 200))  # the answer
    cache.close(sequence)
    assert cache.used == 300
    assert cache.reusable(prompt(JUDGE, range(200))) == 300


def test_a_stage_is_not_taken_for_one_that_begins_like_it() -> None:
    """Its marks are elsewhere, so what was read of it was evaluated in other portions."""
    cache, model = cache_of(10_000, live=1, exact=True)
    finish(cache, model, prompt(JUDGE, ITEM))
    assert cache.reusable(Prompt(prompt(JUDGE, ITEM).tokens, 150)) == 0


def test_a_prompt_without_a_beginning_is_not_given_what_was_read_from_other_marks() -> None:
    cache, model = cache_of(10_000, live=1, exact=True)
    finish(cache, model, prompt(JUDGE, ITEM))
    assert cache.reusable(Prompt(prompt(JUDGE, ITEM).tokens, 0)) == 0


def test_exact_gives_up_to_a_mark_and_keeps_one_call() -> None:
    cache, model = cache_of(10_000, live=1, exact=True)
    finish(cache, model, prompt(JUDGE, ITEM))
    assert cache.reusable(prompt(JUDGE, range(90))) == 200 + SLICE
    assert cache.reusable(prompt(JUDGE, range(50))) == 200
    finish(cache, model, prompt(WRITE, ITEM))
    assert cache.reusable(prompt(JUDGE, ITEM)) == 0


def test_marks_are_the_end_of_the_beginning_and_each_slice_after_it() -> None:
    asked = prompt(range(100), range(100))
    assert [asked.mark(read) for read in (0, 99, 100, 163, 164, 200)] == [0, 0, 100, 100, 164, 164]
    assert [asked.next_mark(read) for read in (0, 60, 100, 163, 164, 199)] == [100, 100, 164, 164, 200, 200]


def test_a_memory_that_cannot_be_shared_gives_and_promises_nothing() -> None:
    cache, model = cache_of(10_000, shares=False)
    finish(cache, model, prompt(JUDGE, ITEM))
    assert (cache.used, cache.kept) == (0, [])
    read(cache, model, prompt(JUDGE, ITEM))
    assert (cache.reusable(prompt(JUDGE, ITEM)), cache.promised(prompt(JUDGE, ITEM))) == (0, 0)


# What is kept, and what goes first


def test_what_another_holds_too_is_kept_once() -> None:
    cache, model = cache_of(10_000)
    finish(cache, model, prompt(JUDGE, range(50)), prompt(JUDGE, ITEM), prompt(JUDGE, range(60)))
    assert [s.read for s in cache.kept] == [300]
    finish(cache, model, prompt(JUDGE, [*range(60), *range(500, 500 + WORTH_SHARING)]))
    assert [s.read for s in cache.kept] == [300, 260 + WORTH_SHARING]


def test_the_least_recently_used_goes_first_and_of_it_last_the_beginning_of_its_stage() -> None:
    cache, model = cache_of(750)
    finish(cache, model, prompt(JUDGE, ITEM), prompt(WRITE, ITEM))  # 300 and 250 cells
    lengths = []
    writer = read(cache, model, prompt(VOTE, range(1)))
    for _ in range(6):
        assert take(cache, model, writer, range(99))
        lengths.append([s.read for s in cache.kept])
    assert lengths == [[300, 250], [200, 250], [250], [250], [150], []]


def test_a_beginning_that_another_holds_is_not_kept_twice() -> None:
    cache, model = cache_of(750)
    finish(cache, model, prompt(JUDGE, ITEM), prompt(JUDGE, OTHER))  # 430 cells
    writer = read(cache, model, prompt(VOTE, range(1)))
    assert take(cache, model, writer, range(300))
    assert [s.read for s in cache.kept] == [330]


def test_what_a_new_call_begins_with_counts_as_used() -> None:
    cache, model = cache_of(750)
    finish(cache, model, prompt(JUDGE, ITEM), prompt(WRITE, ITEM))
    writer = read(cache, model, prompt(JUDGE, [7]))
    assert take(cache, model, writer, range(280))
    assert cache.reusable(prompt(WRITE, ITEM)) == 150
    assert cache.reusable(prompt(JUDGE, ITEM)) == 299


def test_the_oldest_gives_its_sequence_to_a_new_call() -> None:
    cache, model = cache_of(10_000, live=2, kept=1)
    finish(cache, model, prompt(JUDGE, ITEM), prompt(WRITE, ITEM), prompt(VOTE, ITEM))
    assert len(cache.kept) == 3
    read(cache, model, prompt(range(4000, 4100), ITEM))
    assert [s.prompt.shared for s in cache.kept] == [len(WRITE), len(VOTE)]


def test_a_call_can_begin_with_what_the_only_sequence_left_holds() -> None:
    cache, model = cache_of(10_000, live=1, kept=0)
    finish(cache, model, prompt(JUDGE, ITEM))
    sequence = read(cache, model, prompt(JUDGE, OTHER))
    assert model.tokens(sequence.number) == [*JUDGE, *OTHER]


def test_cells_that_cannot_be_had_are_not_taken() -> None:
    cache, model = cache_of(460)
    one, other = read(cache, model, prompt(JUDGE, ITEM)), read(cache, model, prompt(WRITE, [1]))
    assert not cache.extend(one, 1 + cache.free)
    assert cache.used == model.held == 451
    assert (len(one.cells), len(other.cells)) == (300, 151)


def test_common_counts_the_tokens_that_two_begin_with() -> None:
    assert common(np.array([1, 2, 3]), np.array([1, 2, 4, 5])) == 2
    assert common(np.array([1, 2]), np.array([1, 2, 3])) == 2
    assert common(np.array([]), np.array([1])) == 0
