"""Pairs are the same where they ask for the same and say the same of it, and not where they only begin alike."""

import random
from dataclasses import replace

import pytest
from scripted import chunk, pair

from generation_functions.checks.asking import are_contrary, asks, sides
from generation_functions.checks.duplicates import MOST_NEAR, duplicates, repeats

SALT = chunk("Salt draws water out of meat.", "In 1869 a ton cost 12 pounds.", "Smoke keeps flies away.")
BRINE = chunk("Brine draws water out of fish.")


def repeated(*questions: str, answer: str = "Water.") -> dict[int, int]:
    return duplicates([pair(question, answer, SALT) for question in questions])


@pytest.mark.parametrize(
    "again",
    [
        "What does salt draw out of meat?",
        "what does SALT draw out of meat",
        "What does salt draw out of  meat ?!",
        "Out of meat, what does salt draw?",
        "“What does salt draw out of meat?”",
        "What does the salt draw out of a meat?",
    ],
)
def test_the_same_question_in_other_clothes_is_found(again: str) -> None:
    first = pair("What keeps flies away?", "Smoke does.", SALT, (3,))
    asked = (pair(question, "Water.", SALT) for question in ("What does salt draw out of meat?", again))
    assert duplicates([first, *asked]) == {2: 1}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            ("Why is meat laid in salt?", "Salt draws the water out of it."),
            ("For what reason do people put salt on meat?", "Because salt draws water out of the meat."),
        ),
        (
            ("What keeps flies away from meat?", "Smoke keeps them away."),
            ("How are flies kept away from hanging meat?", "By smoke."),
        ),
        (
            ("What did a ton of salt cost in 1869?", "12 pounds."),
            ("How much was a ton of salt in 1869?", "It cost twelve pounds."),
        ),
    ],
)
def test_a_paraphrase_with_the_same_answer_is_found(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert duplicates([pair(*one, SALT), pair(*other, SALT)]) == {1: 0}


def test_nearly_the_same_question_is_another_where_its_answer_is() -> None:
    one = pair("What does coarse grey sea salt slowly draw out of meat?", "Water and some blood.", SALT)
    other = pair("What does coarse grey sea salt draw out of meat?", "Water, and some blood.", SALT)
    assert duplicates([one, other]) == {1: 0}
    assert duplicates([one, replace(other, answer="Nothing at all in winter.")]) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What is the probability of rain in May?", "What is the probability of snow in June?"),
        ("What is the probability of two heads?", "What is the probability of a tail and then two sixes?"),
        ("What did a ton of salt cost in 1869?", "What did a ton of salt cost in 1870?"),
        ("What did a ton of salt cost in Oslo then?", "What did a ton of salt cost in Bergen then?"),
        ("Why is salt kept in a barrel?", "Why is smoke kept in a shed?"),
        ("Who built the bridge?", "When was the bridge built?"),
        ("Where did the salt works begin?", "Who began the salt works?"),
        ("What comes before salting?", "What comes after salting?"),
        ("What happens to meat with salt?", "What happens to meat without salt?"),
        ("Which king was crowned after Haakon V?", "Which king was crowned after Haakon VI?"),
        ("Why does fresh meat keep?", "Why does fresh meat not keep?"),
    ],
)
def test_questions_that_begin_alike_are_not_the_same(one: str, other: str) -> None:
    assert repeated(one, other) == {}


def test_the_same_question_with_another_number_for_an_answer_is_another() -> None:
    one, other = "What did it cost?", "What did it cost then?"
    assert duplicates([pair(one, "12 pounds.", SALT), pair(other, "15 pounds.", SALT)]) == {}


def test_a_short_answer_may_answer_many_questions() -> None:
    asked = "Which metal is liquid when warm?", "Which planet has craters?"
    assert duplicates([pair(question, "Mercury.", SALT) for question in asked]) == {}


def test_pairs_that_one_sentence_proves_are_sooner_the_same_than_others() -> None:
    one = pair("What draws water out of meat?", "Coarse grey salt.", SALT, (1,))
    other = pair("In what is meat laid to lose water?", "A bed of grey salt from the sea.", SALT, (1,))
    assert repeats(one, other)
    assert not repeats(replace(one, evidence=(2,)), other)


def test_other_chunks_share_only_nearly_the_same_questions() -> None:
    one = pair("What does coarse grey sea salt slowly draw out of meat?", "Water.", SALT)
    assert duplicates([one, pair("What is drawn from the flesh?", "Water.", BRINE)]) == {}
    assert duplicates([one, pair(one.question.lower(), "Water.", BRINE)]) == {1: 0}


def test_a_third_one_repeats_the_first() -> None:
    assert repeated("Why salt?", "WHY SALT", "why, salt?") == {1: 0, 2: 0}


# Of any pairs

WORDS = "barrel shed gate ship winter fish oil rope tar pine crane anchor harbour candle wool needle plough".split()


def made_up(number: int) -> tuple[str, str]:
    """A question and an answer that no other number has."""
    draw = random.Random(number)
    things = draw.sample(WORDS, 4)
    return (
        f"Which {things[0]} of the {things[1]} had the mark {number}?",
        f"The {things[2]} {things[3]} {number}.",
    )


@pytest.mark.parametrize("number", range(60))
def test_a_pair_repeats_itself(number: int) -> None:
    made = pair(*made_up(number), SALT)
    assert repeats(made, made)
    assert repeats(made, replace(made, question=made.question.upper()))


def test_of_distinct_questions_all_are_kept() -> None:
    made = [pair(*made_up(number), SALT if number % 2 else BRINE) for number in range(200)]
    assert duplicates(made) == {}


def test_a_copy_is_found_among_many_of_other_chunks() -> None:
    made = [pair(*made_up(number), chunk(f"Text {number}.")) for number in range(4 * MOST_NEAR)]
    again = replace(made[0], chunk=SALT)
    assert duplicates([*made, again]) == {len(made): 0}


def test_what_is_found_does_not_hang_on_the_names_of_chunks() -> None:
    made = [pair(*made_up(number // 2), SALT) for number in range(40)]
    assert duplicates(made) == {number: number - 1 for number in range(1, 40, 2)}


# What a question asks for


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How many barrels were filled?", "amount"),
        ("In what year was it?", "when"),
        ("When is it salted?", "when"),
        ("In which town was it?", "where"),
        ("What is the reason for it?", "why"),
        ("Whose was it?", "who"),
        ("How is it done?", "how"),
        ("Is it salted?", "whether"),
        ("What is salt?", ""),
        ("", ""),
    ],
)
def test_a_question_asks_for_one_kind_of_thing(question: str, kind: str) -> None:
    assert asks(question) == kind


@pytest.mark.parametrize(
    ("one", "other"), [("with salt", "without salt"), ("the first", "the third"), ("hot", "cooled")]
)
def test_texts_with_opposite_words_are_contrary(one: str, other: str) -> None:
    assert are_contrary(sides(one), sides(other))
    assert are_contrary(sides(other), sides(one))
    assert not are_contrary(sides(f"{one} and {other}"), sides(one))
