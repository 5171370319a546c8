"""What the checks catch and what they refuse for nothing stays as it is, on the labelled sets they were written with.

`make quality` prints the figures in full. The bounds here are a little below what is reached, so that one case may be
lost for several that are won.
"""

import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import labelled  # noqa: E402

from generation_functions.checks.conversations import flaw  # noqa: E402
from generation_functions.checks.duplicates import repeats  # noqa: E402
from generation_functions.checks.pairs import flaws  # noqa: E402

CAUGHT, REFUSED = 0.8, 0.02  # of pairs with such an error at the least, of right pairs at the most
REPEATS, TALKS = 0.95, 0.95


@pytest.fixture(scope="module")
def found() -> Counter[tuple[str, bool]]:
    """How often a pair of each kind has a flaw, and how often it has none."""
    return Counter((case.kind, any(True for _ in flaws(case.pair))) for case in labelled.pairs())


def test_errors_that_stand_in_the_words_are_caught(found: Counter[tuple[str, bool]]) -> None:
    assert {kind for kind, _ in found} >= {*labelled.VISIBLE}
    caught, missed = (sum(found[kind, has_flaw] for kind in labelled.VISIBLE) for has_flaw in (True, False))
    assert caught / (caught + missed) >= CAUGHT


def test_right_pairs_are_seldom_refused(found: Counter[tuple[str, bool]]) -> None:
    refused, passed = found["", True], found["", False]
    assert passed > 500
    assert refused / (refused + passed) <= REFUSED


def test_repeats_are_found_and_others_are_not() -> None:
    judged = Counter((case.same, repeats(case.one, case.other)) for case in labelled.repeats())
    assert judged[True, True] / (judged[True, True] + judged[False, True]) >= REPEATS
    assert judged[True, True] / (judged[True, True] + judged[True, False]) >= REPEATS


def test_of_repeats_whose_words_are_all_others_none_is_found_wrongly() -> None:
    judged = Counter((case.same, repeats(case.one, case.other)) for case in labelled.far_repeats())
    assert judged[True, True] / (judged[True, True] + judged[False, True]) >= REPEATS


def is_right(talk: labelled.Talk) -> bool:
    """Whether a conversation passes, or has the flaw that it has, in its turn."""
    found = flaw(talk.conversation, verbatim=talk.verbatim)
    if not found or not talk.flaw:
        return not found and not talk.flaw
    return found.check == talk.flaw and (not found.turn or not talk.turn or found.turn == talk.turn)


def test_conversations_are_judged_rightly_with_their_flaw_and_its_turn() -> None:
    judged = [is_right(talk) for talk in labelled.talks()]
    assert sum(judged) / len(judged) >= TALKS
