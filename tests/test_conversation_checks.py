"""What code refuses of a conversation, and what people say around a pair that it lets pass."""

from dataclasses import replace

import pytest
from scripted import chunk, pair, talk

from generation_functions.checks.conversations import flaw, flaws
from generation_functions.checks.exchanges import ALWAYS_SHORT
from generation_functions.records import Conversation, Pair, Turn

SALT = chunk("Salt draws water out of meat.", "In 1869 a ton cost 12 pounds.", "Smoke keeps flies away.")
WHY = pair("Why does salted meat keep?", "Salt draws water out of meat.", SALT)
WHEN = pair("When did a ton cost 12 pounds?", "1869.", SALT, (2,))
SMOKE = pair("What keeps flies away from meat that hangs?", "Smoke keeps flies away.", SALT, (3,))
ASK, TELL = f"Tell me. {WHY.question}", f"Well. {WHY.answer} So it is."


def said(*turns: str, pairs: tuple[Pair, ...] = (WHY, WHEN), speakers: str = "BI") -> Conversation:
    """The turns spoken in turn: B is Bo, who asks, I Ines, who answers, any other a stranger."""
    by = {"B": "Bo", "I": "Ines", "S": "Sam"}
    order = (speakers * len(turns))[: len(turns)]
    made = tuple(Turn(by[speaker], text) for speaker, text in zip(order, turns, strict=True))
    return replace(talk(*pairs), turns=made)


def shown(conversation: Conversation, verbatim: bool = True) -> str:
    return str(flaw(conversation, verbatim=verbatim) or "")


# What passes


@pytest.mark.parametrize("greeting", ["", "Good day to you!"])
@pytest.mark.parametrize("card", ["Name: Ines", ""])
@pytest.mark.parametrize("verbatim", [True, False])
def test_a_conversation_that_carries_its_pairs_passes(greeting: str, card: str, verbatim: bool) -> None:
    assert shown(talk(WHY, WHEN, SMOKE, greeting=greeting, card=card), verbatim) == ""


def test_words_around_a_pair_pass() -> None:
    assert shown(said(ASK, TELL, f"And now: {WHEN.question.lower()}", f"That was {WHEN.answer}")) == ""


@pytest.mark.parametrize("answer", ["1914.", "No.", "12", "Oslo", "C"])
@pytest.mark.parametrize("verbatim", [True, False])
def test_an_answer_of_a_few_characters_passes(answer: str, verbatim: bool) -> None:
    assert shown(talk(pair("What is it?", answer, chunk("It is 1914, 12, C, Oslo, or not."))), verbatim) == ""


def test_curly_quotes_and_line_ends_do_not_matter() -> None:
    quoted = pair("Why's it 'dry'?", 'It says "no\nwater" - that is why.', SALT)
    assert shown(said("Why’s it ‘dry’?", "It says “no water” — that is why.", pairs=(quoted,))) == ""


def test_an_answer_with_several_lines_passes() -> None:
    assert (
        shown(talk(pair("What keeps?", "Three things keep:\n- meat: long\n- fish: not so long", SALT))) == ""
    )


def test_a_number_of_the_text_may_be_said_beyond_the_pair() -> None:
    assert shown(said(ASK, f"{TELL} A ton cost 12 pounds.", WHEN.question, WHEN.answer)) == ""


def test_a_name_with_a_colon_inside_a_word_is_no_speaker() -> None:
    assert shown(said(ASK, f"{TELL} Ask Rambo: he knows.", WHEN.question, WHEN.answer)) in (
        "",
        "name: turn 2 says Rambo, which neither its pair nor its text has",
    )
    assert shown(said(ASK, f"{TELL} As in turbo: it is quick.", WHEN.question, WHEN.answer)) == ""


def test_one_offer_of_more_help_passes() -> None:
    assert shown(said(ASK, TELL, WHEN.question, f"{WHEN.answer} Anything else?")) == ""


@pytest.mark.parametrize(
    "remark", ["That is true.", "Is that not true?", "It is not right to ask so much.", "No!"]
)
def test_a_remark_that_denies_nothing_that_was_said_passes(remark: str) -> None:
    assert shown(said(ASK, TELL, f"{remark} {WHEN.question}", WHEN.answer)) == ""


@pytest.mark.parametrize(
    "remark",
    [
        "That was not true.",
        "No, that's quite wrong.",
        "But it isn't so.",
        "You are mistaken.",
        "This can't be right.",
    ],
)
@pytest.mark.parametrize("verbatim", [True, False])
def test_a_remark_that_denies_what_was_said_is_found(remark: str, verbatim: bool) -> None:
    denied = said(ASK, TELL, f"{remark} {WHEN.question}", WHEN.answer)
    assert shown(denied, verbatim) == f'extra: turn 3 denies what was said: "{remark}"'


@pytest.mark.parametrize("remark", ["Good.", "Well, well.", "Yes!"])
def test_a_short_remark_may_come_again(remark: str) -> None:
    assert shown(said(ASK, f"{remark} {TELL}", WHEN.question, f"{remark} {WHEN.answer}")) == ""


# What does not


FAILING = [
    (said(ASK, TELL), "speakers: has 2 turns for 2 pairs"),
    (said(), "speakers: has 0 turns for 2 pairs"),
    (
        said(ASK, TELL, WHEN.question, WHEN.answer, "Thank you."),
        "speakers: the asking side ends it, with turn 5",
    ),
    (
        said(ASK, TELL, WHEN.question, WHEN.answer, "And why?", "So."),
        "extra: turn 5 begins an exchange beyond the pairs: 6 turns for 2 pairs",
    ),
    (
        said(ASK, TELL, WHEN.question, WHEN.answer, speakers="BIBS"),
        "speakers: turn 4 is Sam's, who is not in the cast",
    ),
    (
        said(ASK, TELL, WHEN.question, WHEN.answer, speakers="BIIB"),
        "speakers: speakers do not alternate at turn 3",
    ),
    (
        said(ASK, TELL, WHEN.question, WHEN.answer, speakers="I"),
        "speakers: speakers do not alternate at turn 2",
    ),
    (
        said("Hm.", ASK, TELL, WHEN.question, WHEN.answer, speakers="BBIBI"),
        "speakers: speakers do not alternate at turn 2",
    ),
    (said(" ", TELL, WHEN.question, WHEN.answer), "answer: turn 1 is empty"),
    (
        said(ASK, f"{TELL} Bo: Thanks!", WHEN.question, WHEN.answer),
        "impersonation: turn 2 speaks for Bo as well",
    ),
    (
        said(ASK, f"{TELL}\nInes: And more.", WHEN.question, WHEN.answer),
        "impersonation: turn 2 speaks for Ines as well",
    ),
    (
        said(ASK, f"{TELL} *Bo nods.*", WHEN.question, WHEN.answer),
        "directions: turn 2 says what Bo does",
    ),
    (
        said(f"{ASK} In 1870?", TELL, WHEN.question, WHEN.answer),
        "number: turn 1 says 1870, which neither its pair nor its text has",
    ),
    (
        said(ASK, TELL, WHEN.question, f"{WHEN.answer} Or 13 pounds."),
        "number: turn 4 says 13 pounds, which neither its pair nor its text has",
    ),
    (
        said("Why does it keep?", TELL, WHEN.question, WHEN.answer),
        "question: turn 1 does not ask its pair's question",
    ),
    (
        said(ASK, "Salt draws air out of meat.", WHEN.question, WHEN.answer),
        "answer: turn 2 does not give its pair's answer",
    ),
    (
        said(ASK, TELL, WHEN.question, "In 1896."),
        "number: turn 4 loses 1869",
    ),
    (
        said(ASK, TELL + " x" * ALWAYS_SHORT, WHEN.question, WHEN.answer),
        "length: turn 2 is 645 characters long, for 29 of its pair",
    ),
    (
        said(ASK + " x" * ALWAYS_SHORT, TELL, WHEN.question, WHEN.answer),
        "length: turn 1 is 635 characters long, for 26 of its pair",
    ),
    (
        said(ASK, f"{TELL} Anything else?", WHEN.question, f"{WHEN.answer} Do you have any other questions?"),
        "closer: turns 2 and 4 both offer more help",
    ),
    (
        said(
            ASK, f"It is good to talk here. {TELL}", WHEN.question, f"It is good to talk here. {WHEN.answer}"
        ),
        'repetition: Ines says "it is good to talk here." in 2 turns',
    ),
]


@pytest.mark.parametrize(("conversation", "reason"), FAILING, ids=[reason for _, reason in FAILING])
def test_a_conversation_with_a_flaw_is_found(conversation: Conversation, reason: str) -> None:
    assert shown(conversation) == reason


def test_a_flaw_names_its_turn_where_it_is_one_turns() -> None:
    found = flaw(said(ASK, TELL, WHEN.question, "In 1896."), verbatim=True)
    assert found and found.turn == 4


def test_where_speakers_are_not_as_planned_nothing_else_is_looked_at() -> None:
    muddled = said("In 1999?", "Bo: In 2001.", speakers="I")
    assert [found.check for found in flaws(muddled, verbatim=True)] == ["speakers"]


def test_an_answer_that_is_given_twice_in_a_turn_is_found() -> None:
    long = pair("Why?", "Salt draws water out of meat, and so it keeps well.", SALT)
    twice = said("Why?", f"{long.answer} {long.answer}", pairs=(long,))
    assert shown(twice) == "repetition: turn 2 gives its pair's answer twice"
    assert shown(said(WHEN.question, "1869. Yes, 1869.", pairs=(WHEN,))) in (
        "",
        "repetition: turn 2 gives its pair's answer twice",
    )


@pytest.mark.parametrize("verbatim", [True, False])
def test_the_answer_to_another_question_is_found(verbatim: bool) -> None:
    other = pair("Why smoke?", "Smoke keeps flies away from meat that hangs in a shed.", SALT, (3,))
    early = said(ASK, f"{WHY.answer} {other.answer}", "Why smoke?", other.answer, pairs=(WHY, other))
    assert shown(early, verbatim) == 'other answer: turn 2 gives the answer to "Why smoke?"'


def test_a_card_that_gives_an_answer_away_is_found() -> None:
    card = "Name: Ines\nInes knows that salt draws water out of meat so that salted meat keeps."
    assert shown(talk(WHY, card=card)) == 'leak: the card answers "Why does salted meat keep?"'
    assert shown(talk(WHY, card="Name: Ines\nInes sells salted meat and talks of little else.")) == ""


# Free turns

LONG = pair(
    "Who left Oslo, and when?",
    "In 1893 Nansen left Oslo with 13 men on the ship.",
    chunk("Nansen left Oslo in 1893 with 13 men."),
)


def paraphrased(answer: str, asked: str = "And who set out from Oslo, when?", of: Pair = LONG) -> str:
    return shown(said(asked, answer, pairs=(of,)), verbatim=False)


@pytest.mark.parametrize(
    "answer",
    [
        "It was in 1893 that Nansen and 13 men left by ship from Oslo.",
        "Nansen’s ship left OSLO in 1893, and thirteen men with it.",
        "Ah, my friend! In 1893 Nansen left Oslo on the ship, thirteen men beside him.",
    ],
)
def test_a_paraphrase_with_names_numbers_and_terms_passes(answer: str) -> None:
    assert paraphrased(answer) == ""


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("Nansen left Oslo with 13 men on the ship.", "number: turn 2 loses 1893"),
        ("In 1893 Amundsen left Oslo with 13 men on the ship.", "name: turn 2 loses Nansen"),
        ("Nansen left Oslo with 13 men on the ship in 1893 and 5 dogs.", "number: turn 2 says 5"),
        ("Oslo, 13, 1893: it was Nansen who knows.", "answer: turn 2 does not give its pair's answer"),
        (
            "Nansen left Oslo with 13 men on the ship in 1893. Walruses gnaw holes through frozen coastal lagoons.",
            'extra: turn 2 adds "Walruses gnaw',
        ),
    ],
)
def test_a_paraphrase_that_loses_or_adds_facts_is_found(answer: str, reason: str) -> None:
    assert paraphrased(answer).startswith(reason)


def test_a_name_that_is_as_short_as_an_article_is_not_lost() -> None:
    vitamin = pair("What prevents it?", "Plenty of vitamin A prevents it.", chunk("Vitamin A does."))
    assert paraphrased("Vitamin A prevents it, plenty of it.", "And what prevents it?", vitamin) == ""


@pytest.mark.parametrize(
    "asked", ["Why was fresh paint put inside the captain's cabin?", "Which dogs pulled those sledges?"]
)
def test_another_question_than_the_pairs_is_found(asked: str) -> None:
    assert paraphrased(LONG.answer, asked) == "question: turn 1 does not ask its pair's question"


PAINT = pair(
    "Does copper paint keep barnacles away?",
    "No, it does not keep them away.",
    chunk("Copper paint does not."),
)


@pytest.mark.parametrize(
    "answer", ["No, copper paint does not keep them away.", "It does not keep them away, no."]
)
def test_the_same_yes_or_no_passes(answer: str) -> None:
    assert paraphrased(answer, PAINT.question, PAINT) == ""


def test_the_contrary_is_found() -> None:
    said_yes = paraphrased("Yes, it does keep them away.", PAINT.question, PAINT)
    assert said_yes == "answer: turn 2 says the contrary of its pair's answer"
