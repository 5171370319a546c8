"""What a whole run will take, from a few chunks of it."""

import random

import pytest

from generation_functions.estimate import Used, estimate


def used(calls: float, cost: float = 0.0) -> Used:
    return Used(calls, 1000 * calls, 900 * calls, 30 * calls, cost, 0.5 * calls)


def test_equal_chunks_leave_no_doubt() -> None:
    made = estimate([used(50, 0.01)] * 3, chunks=600, at_once=16)
    assert [figure.mean for figure in made.ranges] == pytest.approx([30e3, 30e6, 27e6, 900e3, 6.0, 15e3])
    assert all(figure.low == figure.mean == figure.high for figure in made.ranges)


def test_the_range_holds_the_truth_about_nine_times_in_ten() -> None:
    draw = random.Random(3)
    hits = 0
    for _ in range(200):
        whole = [used(draw.gauss(50, 15)) for _ in range(300)]
        calls = estimate(draw.sample(whole, 20), len(whole), 16).ranges[0]
        hits += calls.low <= sum(one.calls for one in whole) <= calls.high
    assert 160 <= hits <= 195


def test_it_reads_as_a_person_would_say_it() -> None:
    said = str(estimate([used(40, 0.01), used(60, 0.02)], chunks=600, at_once=16)).splitlines()
    assert said[0] == "2 of 600 chunks were tried; all of them will take about"
    assert said[1].split() == ["calls", "30,000", "(24,000", "to", "36,000)"]
    assert said[2].endswith("(90% of them cached)")
    assert said[4].split() == ["money", "9", "(6", "to", "12)"]
    assert said[5] == "time                  16 min   (12 min to 19 min), with 16 calls at a time"


def test_without_prices_there_is_no_word_of_money() -> None:
    assert "money" not in str(estimate([used(40)], chunks=6, at_once=1))
