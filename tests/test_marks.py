"""Numbers on the wrong side of zero, noon and year one."""

import pytest

from generation_functions.checks.marks import turned_round


@pytest.mark.parametrize(
    ("said", "known", "as_known"),
    [
        ("It melts at 39 °C.", "Mercury melts at \u221239 °C.", "\u221239 °"),
        ("It melts at -39 °C.", "Mercury melts at 39 °C.", "39 °"),
        ("At minus 5 degrees.", "It is stored at 5 degrees Celsius.", "5 degrees"),
        ("At 5 degrees.", "It is stored at 5 degrees below zero.", "5 degrees below zero"),
        ("At 9 p.m.", "The shift begins at 9:00 a.m.", "9:00 a.m."),
        ("At 6.30 in the morning.", "They sail at 6:30 pm.", "6:30 pm"),
        ("In 44 BC.", "He was born in AD 44.", "AD 44"),
        ("In 27 CE.", "Augustus took power in 27 BCE.", "27 BCE"),
    ],
)
def test_a_number_on_the_other_side_is_found(said: str, known: str, as_known: str) -> None:
    turned = turned_round(said, known)
    assert turned and turned[1] == as_known


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("Between 5 and 10 °C.", "Keep it at 5-10 °C."),
        ("At 10 °C.", "Keep it at 5\u201310 °C."),
        ("At -39 °C.", "Mercury melts at minus 39 degrees."),
        ("At 9 p.m.", "Shifts begin at 9 a.m. and at 9 p.m."),
        ("At 9.", "The shift begins at 9 a.m."),
        ("From 9 a.m. to 5 p.m.", "It is open from 9 a.m. to 5 p.m."),
        ("In 44 BC.", "Caesar died on 15 March 44 BC."),
        ("In 1066.", "It was in AD 1066."),
        ("5 people.", "It was -5 °C."),
    ],
)
def test_a_number_on_its_own_side_passes(said: str, known: str) -> None:
    assert turned_round(said, known) is None
