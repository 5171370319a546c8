"""What code refuses without asking a model: each check with something that fails it and something that passes."""

from dataclasses import replace

import pytest
from scripted import chunk, pair, talk

from generation_functions.checks import (
    LONG_ANSWER,
    LONGEST_EXTRA,
    duplicates,
    flaw_of_conversation,
    flaw_of_pair,
    names,
    normal,
    numbers,
)
from generation_functions.records import Conversation, Turn

SALT = chunk("Salt draws water out of meat.", "In 1869 a ton cost 12 pounds.", "Smoke keeps flies away.")
WHY = pair("Why does salted meat keep?", "Salt draws water out of meat.", SALT)
WHEN = pair("When did a ton cost 12 pounds?", "1869.", SALT, (2,))
SMOKE = pair("What keeps flies away from meat that hangs?", "Smoke keeps flies away.", SALT, (3,))

# Pairs


@pytest.mark.parametrize(
    ("bad", "flaw"),
    [
        (pair(answer=" \n"), "question or answer is empty"),
        (pair("\u3000", "Yes."), "question or answer is empty"),
        (pair("What keeps?", "“what  KEEPS?”".strip("“”")), "the answer is the question"),
        (pair(evidence=()), "names no sentence of its text as evidence"),
        (pair(evidence=(3,)), "names no sentence of its text as evidence"),
        (pair(evidence=(0, 1)), "names no sentence of its text as evidence"),
        (
            pair("What does the passage say?"),
            'mentions "the passage", which a reader of the pair does not have',
        ),
        (pair("What is it, given this TEXT?"), 'mentions "this TEXT"'),
        (pair("What does salt do in the above excerpt?"), 'mentions "the above excerpt"'),
        (pair(answer="It is dry and dry and dry and dry and dry and dry."), 'says "dry and dry and" 4 times'),
        (pair(answer="The author's view is that it dries."), 'mentions "The author"'),
        (pair("What do the authors mean by salt?"), 'mentions "the authors"'),
    ],
)
def test_a_pair_with_a_flaw_is_found(bad, flaw: str) -> None:
    assert (flaw_of_pair(bad) or "").startswith(flaw)


@pytest.mark.parametrize(
    "good",
    [
        pair(),
        WHEN,
        pair("Is it?", "Yes."),
        pair("Who?", "Of the people, by the people, for the people, with the people, and the people again."),
        pair("What keeps a textile dry?", "A passage of air keeps it dry."),
        pair("Which passage leads to the sea?", "The northern one."),
        pair("Who was the author of Walden?", "Thoreau.", chunk("The author of Walden was Thoreau.")),
    ],
)
def test_a_pair_without_a_flaw_passes(good) -> None:
    assert flaw_of_pair(good) is None


def test_a_pair_may_mention_its_text_where_that_is_allowed() -> None:
    assert flaw_of_pair(pair("What does the article say of salt?"), may_name_text=True) is None


# Duplicates


def repeated(*questions: str, answers: str = "Water.") -> dict[int, int]:
    return duplicates([pair(question, answers, SALT) for question in questions])


@pytest.mark.parametrize(
    "again",
    [
        "What does salt draw out of meat?",
        "what does SALT draw out of meat",
        "What does salt draw out of  meat ?!",
        "Out of meat, what does salt draw?",
        "“What does salt draw out of meat?”",
    ],
)
def test_the_same_question_in_other_clothes_is_found(again: str) -> None:
    assert repeated("Why is it done?", "What does salt draw out of meat?", again) == {2: 1}


def test_nearly_the_same_question_of_one_chunk_is_found_if_it_has_the_same_answer() -> None:
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
        ("Why?", "How?"),
        ("Who built the bridge?", "When was the bridge built?"),
        (
            "Where does the old road to the salt works begin?",
            "Why does the old road to the salt works begin?",
        ),
    ],
)
def test_questions_that_begin_alike_are_not_the_same(one: str, other: str) -> None:
    assert repeated(one, other) == {}


def test_other_chunks_share_only_exactly_the_same_questions() -> None:
    there = chunk("Brine draws water out of fish.")
    one = pair("What does coarse grey sea salt slowly draw out of meat?", "Water.", SALT)
    assert duplicates([one, pair("What does coarse grey sea salt draw out of meat?", "Water.", there)]) == {}
    assert duplicates([one, pair(one.question.lower(), "Water.", there)]) == {1: 0}


def test_a_third_one_repeats_the_first() -> None:
    assert repeated("Why salt?", "WHY SALT", "why, salt?") == {1: 0, 2: 0}


# Words


def test_what_reads_the_same_is_normally_the_same() -> None:
    assert normal("“It’s\n a  trap” — ﬁne") == normal('"IT\'S a trap" - fine')
    assert normal("a-b") != normal("ab")


def test_thousands_marks_do_not_make_another_number() -> None:
    assert numbers("1,250 or 1250 in 1914. It is 3.5, not 35") == {"1250", "1914", "3.5", "35"}


def test_names_are_words_with_a_capital_inside_a_sentence() -> None:
    assert names('The ship of Nansen left Oslo. Then it froze. "Fram" was she.') == {"nansen", "oslo"}
    assert names("Salt keeps.") == set()


# Conversations


def flaw(conversation: Conversation, verbatim: bool = True) -> str:
    return flaw_of_conversation(conversation, verbatim=verbatim) or ""


def said(*turns: str, pairs=(WHY, WHEN), speakers: str = "BI") -> Conversation:
    """The turns spoken in turn: B is Bo, who asks, I Ines, who answers, any other a stranger."""
    by = {"B": "Bo", "I": "Ines", "S": "Sam"}
    order = (speakers * len(turns))[: len(turns)]
    made = tuple(Turn(by[speaker], text) for speaker, text in zip(order, turns, strict=True))
    return replace(talk(*pairs), turns=made)


ASK, TELL = f"Tell me. {WHY.question}", f"Well. {WHY.answer} So it is."


@pytest.mark.parametrize("greeting", ["", "Good day to you!"])
@pytest.mark.parametrize("card", ["Name: Ines", ""])
@pytest.mark.parametrize("verbatim", [True, False])
def test_a_conversation_that_carries_its_pairs_passes(greeting: str, card: str, verbatim: bool) -> None:
    assert flaw(talk(WHY, WHEN, SMOKE, greeting=greeting, card=card), verbatim) == ""


def test_words_around_a_pair_pass() -> None:
    assert flaw(said(ASK, TELL, f"And now: {WHEN.question.lower()}", f"That was {WHEN.answer}")) == ""


@pytest.mark.parametrize("answer", ["1914.", "No.", "12", "Oslo", "C"])
def test_an_answer_of_a_few_characters_passes(answer: str) -> None:
    short = pair("What is it?", answer, chunk("It is 1914, 12, C, Oslo, or not."))
    assert flaw(talk(short)) == flaw(talk(short), verbatim=False) == ""


def test_curly_quotes_and_line_ends_do_not_matter() -> None:
    quoted = pair("Why's it 'dry'?", 'It says "no\nwater" - that is why.', SALT)
    assert flaw(said("Why’s it ‘dry’?", "It says “no water” — that is why.", pairs=(quoted,))) == ""


def test_an_answer_with_several_lines_passes() -> None:
    listed = pair("What keeps?", "Three things keep:\n- meat: long\n- fish: not so long", SALT)
    assert flaw(talk(listed)) == ""


FAILING = [
    (said(ASK, TELL), "has 2 turns for 2 pairs"),
    (said(ASK, TELL, WHEN.question, WHEN.answer, "Thank you."), "speakers do not alternate"),
    (said(ASK, TELL, WHEN.question, WHEN.answer, "And why?", "So."), "has 6 turns for 2 pairs"),
    (said(), "has 0 turns for 2 pairs"),
    (said(ASK, TELL, WHEN.question, WHEN.answer, speakers="BIBS"), "Sam speaks, who is not in the cast"),
    (said(ASK, TELL, WHEN.question, WHEN.answer, speakers="BIIB"), "speakers do not alternate"),
    (said(ASK, TELL, WHEN.question, WHEN.answer, speakers="I"), "speakers do not alternate"),
    (said("Hm.", ASK, TELL, WHEN.question, WHEN.answer, speakers="BBIBI"), "speakers do not alternate"),
    (said(" ", TELL, WHEN.question, WHEN.answer), "turn 1 is empty"),
    (said(ASK, f"{TELL} Bo: Thanks!", WHEN.question, WHEN.answer), "turn 2 speaks for Bo as well"),
    (said(ASK, f"{TELL}\nInes: And more.", WHEN.question, WHEN.answer), "turn 2 speaks for Ines as well"),
    (said(f"{ASK} In 1870?", TELL, WHEN.question, WHEN.answer), "turn 1 says 1870, which neither its pair nor"),
    (said(ASK, TELL, WHEN.question, f"{WHEN.answer} Or 13 pounds."), "turn 4 says 13, which neither"),
    (said("Why does it keep?", TELL, WHEN.question, WHEN.answer), "turn 1 does not ask its pair's question"),
    (said(ASK, "Salt draws air out of meat.", WHEN.question, WHEN.answer), "turn 2 does not give its pair's answer"),
    (said(WHEN.question, WHEN.answer, WHY.question, WHY.answer), "turn 1 does not ask its pair's question"),
    (said(ASK, TELL + " x" * LONGEST_EXTRA, WHEN.question, WHEN.answer), "turn 1 or its answer is far longer"),
    (said(ASK + " x" * LONGEST_EXTRA, TELL, WHEN.question, WHEN.answer), "turn 1 or its answer is far longer"),
    (
        said(ASK, f"{TELL} Anything else?", WHEN.question, f"{WHEN.answer} Do you have any other questions?"),
        "turns 2 and 4 both offer more help",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("conversation", "words"), FAILING, ids=[words for _, words in FAILING])
def test_a_conversation_with_a_flaw_is_found(conversation: Conversation, words: str) -> None:
    assert flaw(conversation).startswith(words)


def test_one_offer_of_more_help_passes() -> None:
    assert flaw(said(ASK, TELL, WHEN.question, f"{WHEN.answer} Anything else?")) == ""


def test_a_number_of_the_text_may_be_said_beyond_the_pair() -> None:
    assert flaw(said(ASK, f"{TELL} A ton cost 12 pounds.", WHEN.question, WHEN.answer)) == ""


def test_a_name_with_a_colon_inside_a_word_is_no_speaker() -> None:
    assert flaw(said(ASK, f"{TELL} Ask Rambo: he knows.", WHEN.question, WHEN.answer)) == ""


def test_an_answer_that_is_given_twice_in_a_turn_is_found() -> None:
    long = pair("Why?", "Salt draws water out of meat, and so it keeps well.", SALT)
    assert len(long.answer) >= LONG_ANSWER
    twice = said("Why?", f"{long.answer} {long.answer}", pairs=(long,))
    assert flaw(twice) == "turn 2 gives its pair's answer 2 times"
    assert flaw(said("When did a ton cost 12 pounds?", "1869. Yes, 1869.", pairs=(WHEN,))) == ""


def test_the_answer_to_another_question_is_found() -> None:
    other = pair("Why smoke?", "Smoke keeps flies away from meat that hangs in a shed.", SALT, (3,))
    early = said(ASK, f"{WHY.answer} {other.answer}", "Why smoke?", other.answer, pairs=(WHY, other))
    for verbatim in (True, False):
        assert flaw(early, verbatim) == "turn 2 gives the answer to another question"


# Paraphrase

LONG = pair(
    "Who left Oslo, and when?",
    "Nansen left Oslo with 13 men on the ship in 1893.",
    chunk("Nansen left in 1893 with 13."),
)


def paraphrased(answer: str) -> str:
    return flaw(said("And who set out?", answer, pairs=(LONG,)), verbatim=False)


@pytest.mark.parametrize(
    "answer",
    [
        "It was in 1893 that Nansen and 13 men left by ship from Oslo.",
        "Nansen’s ship left OSLO in 1893, and 13 men with it.",
    ],
)
def test_a_paraphrase_with_names_numbers_and_terms_passes(answer: str) -> None:
    assert paraphrased(answer) == ""


def test_a_name_that_is_as_short_as_an_article_is_not_lost() -> None:
    vitamin = pair("What prevents it?", "Plenty of vitamin A prevents it.", chunk("Vitamin A does."))
    assert (
        flaw(
            said("And what prevents it?", "Vitamin A prevents it, plenty of it.", pairs=(vitamin,)),
            verbatim=False,
        )
        == ""
    )


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("Nansen left Oslo with 13 men on the ship.", "turn 2 loses the number 1893"),
        ("He left with 13 men on the ship in 1893.", "turn 2 loses the name oslo"),
        ("Oslo, 13, 1893: it was Nansen who knows.", "turn 2 does not give its pair's answer"),
        ("Nansen left Oslo with 13 men on the ship in 1893 and 5 dogs.", "turn 2 says 5, which neither"),
    ],
)
def test_a_paraphrase_that_loses_or_adds_facts_is_found(answer: str, words: str) -> None:
    assert paraphrased(answer).startswith(words)
