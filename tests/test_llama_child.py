"""The child's order of work and where it stops; the rest of it is tested through Local."""

from collections.abc import Callable

import numpy as np
import pytest

from generation_functions.engine import Sampling
from generation_functions.llama_child import MOST_PASSED_OVER, Call, cut_at_stop, next_call
from generation_functions.prefixes import Prompt


def call(number: int, stage: int) -> Call:
    return Call(number, Prompt(np.full(10, stage, np.int32), 5), "", Sampling(1), 0, (), 1.0)


def resident(stage: int) -> Callable[[Prompt], tuple[int, int]]:
    return lambda prompt: (5 if prompt.tokens[0] == stage else 0, 0)


def test_calls_of_the_stage_in_memory_come_first_and_the_longest_waiting_of_equals():
    waiting = [call(1, 7), call(2, 8), call(3, 8)]
    assert next_call(waiting, resident(8)).id == 2
    assert next_call(waiting, resident(9)).id == 1


def test_no_call_is_passed_over_for_ever():
    waiting, order = [call(0, 7)], []
    for number in range(1, 200):
        waiting.append(call(number, 8))
        chosen = next_call(waiting, resident(8))
        waiting.remove(chosen)
        order.append(chosen.id)
    assert order.index(0) == MOST_PASSED_OVER


@pytest.mark.parametrize(
    ("text", "added", "left"),
    [
        (b"One.\n\nTwo", 3, None),
        (b"One.\n\n###", 3, b"One."),
        (b"One.\n\n### and", 7, b"One."),
        (b"stopSTOP", 4, b"stop"),
    ],
)
def test_text_is_cut_where_the_first_stop_string_begins(text, added, left):
    written = bytearray(text)
    assert cut_at_stop(written, (b"\n\n###", b"STOP", b""), added) == (left is not None)
    assert bytes(written) == (left if left is not None else text)
