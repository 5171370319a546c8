"""What is read again and what is not, with a memory that only keeps count."""

import random

import numpy as np
import pytest

from generation_functions.prefixes import SLICE, Prefixes, Prompt, common


class Memory:
    """Holds the tokens themselves, and refuses whatever a real one could not do."""

    def __init__(self, cuts: bool = True, saves: bool = True, restores: bool = True) -> None:
        self.tokens: list[int] = []
        self.origin = 0  # what was restored cannot be cut into
        self.evaluated: list[tuple[int, int]] = []
        self.cuts, self.saves, self.restores = cuts, saves, restores

    def clear(self):
        self.tokens, self.origin = [], 0

    def cut(self, length):
        if not self.cuts:
            return False
        assert self.origin <= length <= len(self.tokens)
        del self.tokens[length:]
        return True

    def evaluate(self, tokens, at, last):
        assert at == len(self.tokens)
        self.tokens += tokens.tolist()
        self.evaluated.append((at, len(tokens)))

    def save(self):
        return list(self.tokens) if self.saves else None

    def restore(self, saved):
        assert not self.tokens
        if self.restores:
            self.tokens, self.origin = list(saved), len(saved)
        return self.restores


def prompt(shared: range, item: range) -> Prompt:
    return Prompt(np.array([*shared, *item], np.int32), len(shared))


def fill(prefixes: Prefixes, memory: Memory, asked: Prompt) -> list[tuple[int, int]]:
    """The slices that were evaluated: (where, how many)."""
    memory.evaluated.clear()
    prefixes.fill(asked, lambda: None)
    assert memory.tokens == asked.tokens.tolist()
    return list(memory.evaluated)


JUDGE, WRITE = range(1000, 1200), range(2000, 2150)
ITEM, OTHER = range(100), range(500, 630)


def test_a_stage_s_beginning_is_read_once():
    prefixes = Prefixes(memory := Memory(), 10_000, 512)
    assert fill(prefixes, memory, prompt(JUDGE, ITEM)) == [(0, 200), (200, 64), (264, 36)]
    assert fill(prefixes, memory, prompt(WRITE, ITEM)) == [(0, 150), (150, 64), (214, 36)]
    assert fill(prefixes, memory, prompt(JUDGE, OTHER)) == [(200, 64), (264, 64), (328, 2)]


def test_whole_slices_that_two_calls_in_a_row_share_are_read_once():
    prefixes = Prefixes(memory := Memory(), 10_000, 512)
    fill(prefixes, memory, prompt(JUDGE, ITEM))
    assert fill(prefixes, memory, prompt(JUDGE, range(90))) == [(264, 26)]


def test_what_was_written_after_a_prompt_is_not_taken_for_read():
    prefixes = Prefixes(memory := Memory(), 10_000, 512)
    fill(prefixes, memory, prompt(JUDGE, range(100)))
    memory.tokens += list(range(100, 200))  # the answer
    assert fill(prefixes, memory, prompt(JUDGE, range(200))) == [(264, 64), (328, 64), (392, 8)]


def test_the_last_token_is_always_evaluated():
    prefixes = Prefixes(memory := Memory(), 10_000, 512)
    for _ in range(2):
        slices = fill(prefixes, memory, prompt(JUDGE, range(SLICE)))
    assert slices == [(200, SLICE)]


@pytest.mark.parametrize("memory", [Memory(), Memory(cuts=False), Memory(saves=False)])
def test_a_prompt_is_evaluated_in_the_same_slices_whatever_came_before(memory):
    rng = random.Random(3)
    prefixes = Prefixes(memory, 500, 128)
    asked = [prompt(stage, range(rng.randrange(3), rng.randrange(5, 300))) for stage in (JUDGE, WRITE) * 4]
    alone = [fill(Prefixes(fresh := Memory(), 0, 128), fresh, one) for one in asked]
    for _ in range(200):
        index = rng.randrange(len(asked))
        slices = fill(prefixes, memory, asked[index])
        assert slices == alone[index][-len(slices) :]


def test_the_least_recently_used_beginnings_make_room():
    prefixes = Prefixes(memory := Memory(), 360, 512)
    for stage in (JUDGE, WRITE, JUDGE, range(3000, 3100)):
        fill(prefixes, memory, prompt(stage, ITEM))
    assert prefixes.reusable(prompt(JUDGE, OTHER)) == (0, 200)
    assert prefixes.reusable(prompt(WRITE, OTHER)) == (0, 0)


def test_a_call_given_up_in_the_middle_leaves_nothing_wrong_behind():
    class Dropped(Exception):
        pass

    for slices_before in range(6):
        prefixes = Prefixes(memory := Memory(), 10_000, 64)

        def between(left=iter(range(slices_before))):  # noqa: B008
            if next(left, None) is None:
                raise Dropped

        with pytest.raises(Dropped):
            prefixes.fill(prompt(JUDGE, OTHER), between)
        fill(prefixes, memory, prompt(JUDGE, ITEM))


def test_a_memory_that_does_not_take_back_what_it_saved_still_works():
    prefixes = Prefixes(memory := Memory(restores=False), 10_000, 512)
    for item in (ITEM, OTHER, ITEM):
        fill(prefixes, memory, prompt(JUDGE, item))
    assert prefixes.reusable(prompt(WRITE, ITEM)) == (0, 0)


def test_common_counts_the_tokens_that_two_begin_with():
    assert common(np.array([1, 2, 3]), np.array([1, 2, 4, 5])) == 2
    assert common(np.array([1, 2]), np.array([1, 2, 3])) == 2
    assert common(np.array([]), np.array([1])) == 0
