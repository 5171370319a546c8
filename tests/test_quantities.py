"""Numbers are read in every form that prose gives them, and known where a text states them or makes them follow."""

import random
from dataclasses import replace

import pytest

from generation_functions.checks.agreement import agree
from generation_functions.checks.known_numbers import MOST, states_kind, strange
from generation_functions.checks.numerals import number_at, tokens_of
from generation_functions.checks.quantities import Quantity, quantities

# Reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,250", 1250),
        ("1\u00a0250\u00a0000", 1250000),
        ("3.5", 3.5),
        (".5", 0.5),
        ("1/8", 0.125),
        ("2 1/2", 2.5),
        ("2\u00bd", 2.5),
        ("1.5 million", 1.5e6),
        ("seventeen", 17),
        ("sixty-nine", 69),
        ("one hundred and five", 105),
        ("eighteen sixty-nine", 1869),
        ("nineteen hundred", 1900),
        ("two thousand three hundred", 2300),
        ("a hundred and ten", 110),
        ("a dozen", 12),
        ("three score", 60),
        ("half", 0.5),
        ("two thirds", 2 / 3),
        ("a quarter", 0.25),
        ("two and a half", 2.5),
        ("one and three quarters", 1.75),
        ("two and a half thousand", 2500),
        ("twice", 2),
        ("tenfold", 10),
        ("twenty-first", 21),
        ("21st", 21),
    ],
)
def test_a_number_is_read_as_its_value(text: str, value: float) -> None:
    [quantity] = quantities(f"They had {text}, it seems.")
    assert quantity.values == pytest.approx((value,))
    assert quantity.text == " ".join(text.split())


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("12 days", 12, "time"),
        ("twelve long days", 12, "time"),
        ("a 12-day voyage", 12, "time"),
        ("a day and a half", 1.5, "time"),
        ("a third of an hour", 1 / 3, "time"),
        ("half a kilometre", 0.5, "length"),
        ("5kg", 5, "mass"),
        ("40 %", 40, "share"),
        ("40 per cent", 40, "share"),
        ("35 per mille", 35, "share"),
        ("20 \u00b0C", 20, "celsius"),
        ("20 degrees Fahrenheit", 20, "fahrenheit"),
        ("20 degrees", 20, "degree"),
        ("$5 million", 5e6, "dollars"),
        ("\u00a35", 5, "sterling"),
        ("50 kilometres per hour", 50, "length/time"),
        ("every tonne", 1, "mass"),
        ("6 A", 6, "current"),
    ],
)
def test_a_measure_is_read_with_its_unit(text: str, value: float, kind: str) -> None:
    found = quantities(f"It was {text}.")
    assert any(value in q.values and q.units and q.units[0][0] == kind for q in found), found


@pytest.mark.parametrize("text", ["12 to 14 days", "12-14 days", "12 or 14 days", "from 12 days to under 14"])
def test_two_numbers_share_a_unit(text: str) -> None:
    assert [(q.values, q.units) for q in quantities(text)] == [
        ((12.0,), (("time", 86400),)),
        ((14.0,), (("time", 86400),)),
    ]


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("the 1860s", 1860, 1869),
        ("the 1800s", 1800, 1899),
        ("the eighteen-fifties", 1850, 1859),
        ("the 19th century", 1800, 1900),
        ("the nineteenth century", 1800, 1900),
        ("the 19th centuries", 1800, 1900),
    ],
)
def test_decades_and_centuries_are_spans(text: str, low: int, high: int) -> None:
    [quantity] = quantities(text)
    assert (quantity.low, quantity.high) == (low, high)


def test_two_centuries_share_the_word() -> None:
    spans = [(q.low, q.high) for q in quantities("in the 17th and 18th centuries")]
    assert spans == [(1600, 1700), (1700, 1800)]


@pytest.mark.parametrize("text", ["H2O", "IPv6", "first", "1. Salt", "Holt", ""])
def test_names_and_list_numbers_are_no_quantities(text: str) -> None:
    assert quantities(text) == ()


@pytest.mark.parametrize(
    ("text", "literal"), [("6:30", "6:30"), ("half past six", "6:30"), ("12.5.1893", "12.5.1893")]
)
def test_times_of_day_and_dates_in_digits_are_kept_as_they_are(text: str, literal: str) -> None:
    assert [q.literal for q in quantities(f"at {text}")] == [literal]


def test_a_third_may_be_a_part_or_a_place() -> None:
    number = number_at(tokens_of("a third"), 0)
    assert number and number.values == (3.0, 1 / 3) and number.is_ordinal


# Knowing

KNOWN = [
    ("It took 14 days.", "It takes a fortnight."),
    ("It took a fortnight.", "It takes two weeks."),
    ("It took 90 minutes.", "It takes an hour and a half."),
    ("It weighs a kilogram.", "It weighs 2.2 lb."),
    ("It is 8 kilometres away.", "It is five miles away."),
    ("It boils at 212 \u00b0F.", "It boils at 100 \u00b0C."),
    ("A fifth of them.", "20 per cent of them."),
    ("35 per mille of it.", "3.5 per cent of it."),
    ("They were 12.", "A dozen men came."),
    ("1,000 crowns.", "A thousand crowns."),
    ("in the 1860s", "in 1865"),
    ("in the 19th century", "in 1865"),
    ("in the 19th century", "in the eighteen-sixties"),
    ("in the 17th century", "in the 17th and 18th centuries"),
    ("$5 million", "5,000,000 dollars"),
    ("about 100 metres", "97 metres"),
    ("It opened in May.", "It opened in may."),
    ("One day it came.", "It came."),
    ("In 1869, both of two.", "They both came in 1869."),
    ("at half past six", "at 6:30"),
]
FOLLOWING = [
    ("They took 13 years.", "Begun in 1856, it was done in 1869."),
    ("80 per cent stayed.", "A fifth of them left."),
    ("7 in all.", "Four men and three women."),
    ("It costs 60 crowns.", "12 barrels at 5 crowns."),
    ("three of them", "They sold salt, fish and oil."),
    ("in 1870", "It opened in 1869 and closed the year after."),
    ("five of them", "He and four others, himself included."),
    ("seven months", "From September 2021 to April 2022."),
    ("on the 15th", "On the 12th; three days later it sailed."),
]
STRANGE = [
    ("It took 14 weeks.", "It takes fourteen days.", ["14 weeks"]),
    ("It took 15 days.", "It takes 14 days.", ["15 days"]),
    ("It weighs 5 lb.", "It weighs 5 kg.", ["5 lb"]),
    ("It costs 1,234,568.", "It costs 1,234,567.", ["1,234,568"]),
    ("5.04 kg", "There are 5.", ["5.04 kg"]),
    ("in 1866", "in 1865", ["1866"]),
    ("in 1865", "in the 1860s", ["1865"]),
    ("in the 1870s", "in 1865", ["1870s"]),
    ("in the 18th century", "in the 19th century", ["18th century"]),
    ("A fifth of them.", "A quarter of them.", ["A fifth"]),
    ("It opened in June.", "It opened in May.", ["June"]),
    ("at 6:30", "at 6:35", ["6:30"]),
    ("version 1.2.3", "version 1.2.4", ["1.2.3"]),
    ("It is 12345678901234567.", "It is 12345678901234568.", ["12345678901234567"]),
    ("It turns 12 times a minute.", "It turns 12 times a second.", ["12"]),
]


@pytest.mark.parametrize(("said", "known"), KNOWN)
def test_what_a_text_states_is_not_strange_to_it(said: str, known: str) -> None:
    assert strange(said, known) == []


@pytest.mark.parametrize(("said", "known"), FOLLOWING)
def test_what_follows_from_a_text_is_not_strange_to_it(said: str, known: str) -> None:
    assert strange(said, known) == []


@pytest.mark.parametrize(("said", "known", "found"), STRANGE)
def test_another_number_unit_date_or_month_is_strange(said: str, known: str, found: list[str]) -> None:
    assert strange(said, known) == found


def test_a_bare_number_may_be_of_the_unit_that_was_asked_for() -> None:
    assert strange("90", "It takes an hour and a half.") == ["90"]
    assert strange("90", "It takes an hour and a half.", unit="minutes") == []


@pytest.mark.parametrize(
    ("said", "known", "is_of_kind"),
    [("5 kg", "3 lb", True), ("5 kg", "3 days", False), ("a half", "30 %", True)],
)
def test_texts_may_state_quantities_of_one_kind(said: str, known: str, is_of_kind: bool) -> None:
    assert states_kind(said, known) is is_of_kind


# For all texts

NUMBERS = (
    "7",
    "1,250",
    "3.5",
    "1/8",
    "½",
    "eighteen",
    "two thirds",
    "sixty-nine",
    "a dozen",
    "1869",
    "21st",
    "twice",
)
UNITS = "", "days", "per cent", "kg", "°C", "°F", "crowns", "miles an hour", "of an hour", "pounds", "tons"
LINKS = "and", "to", "or", "in", "of", "-", ",", "about", "."


def made_up(draw: random.Random) -> str:
    return " ".join(
        draw.choice(words) for _ in range(draw.randrange(1, 6)) for words in (NUMBERS, UNITS, LINKS)
    )


@pytest.mark.parametrize("seed", range(200))
def test_a_text_is_never_strange_to_itself(seed: int) -> None:
    text = made_up(random.Random(seed))
    assert strange(text, text) == []
    assert strange(text, f"Before it. {text} After it.") == []


@pytest.mark.parametrize("seed", range(100))
def test_quantities_agree_with_themselves_in_any_writing(seed: int) -> None:
    for quantity in quantities(made_up(random.Random(seed))):
        assert agree(quantity, quantity)
        assert agree(quantity, replace(quantity, text="as it is said elsewhere"))


@pytest.mark.parametrize("seed", range(100))
def test_agreement_of_values_in_one_unit_is_mutual(seed: int) -> None:
    draw = random.Random(seed)
    found = [*quantities(made_up(draw)), *quantities(made_up(draw))]
    alike = [(one, other) for one in found for other in found if one.units == other.units]
    assert [agree(one, other) for one, other in alike] == [agree(other, one) for one, other in alike]


def test_nothing_follows_from_a_table_of_many_numbers() -> None:
    table = " ".join(str(n) for n in range(10_000, 10_000 + 7 * MOST, 7))
    assert strange("It is 77,777.", table) == ["77,777"]


def test_a_span_is_stated_by_what_lies_in_it_and_not_the_other_way_round() -> None:
    decade, year = Quantity("1860s", (), low=1860, high=1869), Quantity("1865", (1865.0,))
    assert agree(decade, year)
    assert not agree(year, decade)
