"""Each check of a pair, with what it refuses and with what looks like it and passes."""

import pytest
from scripted import chunk, pair

from generation_functions.checks import Asked, pairs
from generation_functions.checks.pairs import CHECKS, ENGLISH, flaw_of_prose, flaws
from generation_functions.records import Pair

DOCK = chunk(
    "The dry dock at Lysvik was dug between 1893 and 1896 by 340 men under the engineer Karin Holt.",
    "It is 120 metres long and holds about 18,000 cubic metres of water.",
    "Pumps empty it in four hours, and the gate closes by its own weight.",
    "Most ships stay for nine days, but few captains are pleased about that.",
    "Copper paint does not keep barnacles away in warm water.",
    "The yard, which Ole Brun runs today, belongs to the Lysvik Repair Company.",
    "Hulls are usually scraped by hand with `scrape_hull()` left to the robots of Bergen.",
    "A day in the dock costs 900 crowns for trawlers.",
)


def dock(question: str, answer: str, *evidence: int) -> Pair:
    return pair(question, answer, DOCK, evidence or (1,))


def reasons(check: str, of: Pair, asked: Asked = pairs.NOTHING) -> str:
    return next((flaw.reason for flaw in flaws(of, [check], asked)), "")


# Form


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (pair(answer=" \n"), "question or answer is empty"),
        (pair("\u3000", "Yes."), "question or answer is empty"),
        (pair("What keeps?", "what  KEEPS?"), "the answer is the question"),
    ],
)
def test_a_pair_without_form_has_no_other_flaw(bad: Pair, reason: str) -> None:
    assert [str(flaw) for flaw in flaws(bad)] == [f"form: {reason}"]


def test_a_good_pair_has_no_flaw() -> None:
    assert [*flaws(dock("How long does it take to empty the dock?", "Four hours, with pumps.", 3))] == []


def test_every_check_has_a_name_and_the_english_ones_are_among_them() -> None:
    assert set(CHECKS) > ENGLISH


def test_only_checks_that_are_switched_on_look() -> None:
    bad = dock("What does the text say of it?", "It is 99 metres long and", 2)
    assert {flaw.check for flaw in flaws(bad)} >= {"mention", "truncation", "numbers"}
    assert [flaw.check for flaw in flaws(bad, ["numbers"])] == ["numbers"]
    assert [*flaws(bad, [])] == []


def test_english_checks_pass_what_is_made_of_a_text_in_another_language() -> None:
    german = chunk("Das Dock ist 120 Meter lang und fasst sehr viel Wasser aus dem Hafen von Lysvik.")
    made = pair("Wie lang ist das Dock?", "Es ist 99 Meter lang, sagte Herr Brun, und", german)
    assert [*flaws(made)] == []


# Evidence


@pytest.mark.parametrize("evidence", [(), (9,), (0, 1), (1, 9)])
def test_evidence_must_exist(evidence: tuple[int, ...]) -> None:
    bad = pair("How long is the dock?", "120 metres.", DOCK, evidence)
    assert reasons("evidence", bad) == "names no sentence of its text as evidence"


def test_evidence_must_have_a_word_of_the_pair() -> None:
    bad = dock("Who runs the yard?", "Ole Brun runs it.", 5)
    assert reasons("evidence", bad) == "the sentences named as evidence (5) have not a word of it"
    assert reasons("evidence", dock("Who runs the yard?", "Ole Brun runs it.", 6)) == ""


def test_evidence_must_stand_in_the_source_where_it_was() -> None:
    good = dock("How long is the dock?", "120 metres.", 2)
    moved = "the sentences named as evidence are not in the source where they were"
    texts = {DOCK.source: DOCK.text}
    assert reasons("evidence", good, Asked(text_of=texts.get)) == ""
    assert reasons("evidence", good, Asked(text_of={DOCK.source: " " + DOCK.text}.get)) == moved
    assert reasons("evidence", good, Asked(text_of={}.get)) == moved


def test_white_space_does_not_move_evidence() -> None:
    spaced = {DOCK.source: DOCK.text.replace(" long ", "\nlong ")}
    assert reasons("evidence", dock("How long is it?", "120 metres.", 2), Asked(text_of=spaced.get)) == ""


# Layout, length, language


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        ("Four hours. [12]", "[12]"),
        ("| Dock | 120 |", "| Dock |"),
        ("Answer: four hours.", "Answer:"),
        ("Four hours, see page 12.", "see page"),
        ("Four hours ......", "......"),
        ("Exercise 4. Empty it.", "Exercise 4."),
        ("See www.lysvik.example for it.", "www."),
        ("<b>Four</b> hours.", "<b>"),
        ("```four```", "```"),
        ("It is on p. 12.", "p. 1"),
    ],
)
def test_remains_of_layout_are_refused(answer: str, shown: str) -> None:
    assert reasons("detritus", dock("How long?", answer, 3)) == f'has a remainder of layout: "{shown}"'


@pytest.mark.parametrize(
    "answer",
    [
        "Four hours (or [a little] more).",
        "It is long - 120 metres.",
        "- the gate\n- the pumps",
        "To answer a question: four hours.",
        "If 3 < 4 it holds, and 5 > 4.",
        "Wait... four hours.",
    ],
)
def test_marks_that_prose_has_are_no_remains(answer: str) -> None:
    assert reasons("detritus", dock("How long?", answer, 3)) == ""


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("How long is it?", "It is about 120,", 'the answer ends with "s about 120,"'),
        ("How long is it?", "It lasts until the", 'the answer ends with "the"'),
        ("How long is it?", "It is long (120 metres.", "the answer opens a bracket or a quotation"),
        ("How long is it?", "She said \u201cnine days.", "the answer opens a bracket or a quotation"),
        ("How long is it and", "120 metres.", "the question ends without a mark"),
        ("How long is it", "120 metres.", "the question ends without a mark"),
        (
            "How is it?",
            "It takes pumps four hours to empty the whole dock",
            "the answer ends without a full stop",
        ),
        ("Who?", "The one who runs the Repair comp", 'the answer ends with "comp", a piece of "company"'),
    ],
)
def test_what_ends_in_the_middle_is_refused(question: str, answer: str, reason: str) -> None:
    assert reasons("truncation", dock(question, answer)).startswith(reason)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is it?", "120 metres"),
        ("What is it made of?", "I do not know what it is made of."),
        ("Which?", "Three:\n- the one that they came with\n- what it is for"),
        ("Say how long it is.", "120 metres."),
        ("Who?", "Holt (the engineer)."),
        ("Who?", "Ole Brun, who ran it, said: \u201cNine days are enough for most of the ships.\u201d"),
        ("What is done?", "Emptying"),
    ],
)
def test_what_ends_as_people_end_it_passes(question: str, answer: str) -> None:
    assert reasons("truncation", dock(question, answer)) == ""


def test_a_phrase_that_comes_again_and_again_is_refused() -> None:
    bad = dock("How is it?", "It is dry and dry and dry and dry and dry and dry.")
    assert reasons("loops", bad) == 'says "dry and dry and" 4 times'
    assert flaw_of_prose("Of the people, by the people, for the people, with the people.") is None


def test_another_language_than_the_texts_is_refused() -> None:
    bad = dock(
        "How long does it take?", "Die Pumpen leeren das Dock in vier Stunden, wenn sie alle laufen.", 3
    )
    assert reasons("language", bad) == "the answer is in de, not in en"
    assert reasons("language", dock("How long does it take?", "4 h", 3)) == ""


def test_the_language_that_was_asked_for_counts_before_the_texts() -> None:
    made = dock("Wie lange brauchen die Pumpen für das Dock?", "Sie brauchen dafür vier ganze Stunden.", 3)
    assert reasons("language", made, Asked(language="de")) == ""
    assert reasons("language", made, Asked(language="fr")) == "the question is in de, not in fr"


# The text that the reader does not have


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("What does the passage say?", "the passage"),
        ("What is it, given this TEXT?", "this text"),
        ("What does salt do in the above excerpt?", "the above excerpt"),
        ("How long is it according to the author?", "the author"),
        ("How long is it according to this account?", "according to this account"),
        ("What do the authors mean?", "the authors"),
        ("How long is the dock described above?", "described above"),
        ("Based on the given information, how long is it?", "based on the given information"),
    ],
)
def test_a_pair_that_points_at_its_text_is_refused(question: str, shown: str) -> None:
    reason = f'mentions "{shown}", which a reader of the pair does not have'
    assert reasons("mention", dock(question, "120 metres.", 2)) == reason


@pytest.mark.parametrize(
    "question",
    [
        "What keeps a textile dry?",
        "Which passage leads to the sea?",
        "Who was the author of the Lysvik Chronicle?",
        "What is in an article of clothing?",
        "In what sense is it dry?",
        "What information does a pilot need?",
    ],
)
def test_a_pair_about_passages_and_authors_passes(question: str) -> None:
    assert reasons("mention", dock(question, "A passage of air.", 2)) == ""


def test_a_pair_may_name_what_stands_in_its_text() -> None:
    of_book = chunk("The author of the book lost it, and this chapter of his life was over.")
    assert reasons("mention", pair("What did the author lose?", "The book.", of_book)) == ""


def test_a_pair_may_name_its_text_where_that_is_allowed() -> None:
    named = dock("What does the article say of the dock?", "It is 120 metres long.", 2)
    assert reasons("mention", named, Asked(may_name_text=True)) == ""


@pytest.mark.parametrize(
    ("question", "shown"),
    [
        ("What does this mean for ships?", "this"),
        ("Who pays under these circumstances?", "these"),
        ("What did the latter build?", "the latter"),
    ],
)
def test_a_question_that_does_not_say_what_it_is_about_is_refused(question: str, shown: str) -> None:
    reason = f'asks about "{shown}", and does not say what that is'
    assert reasons("dangling", dock(question, "The dock.")) == reason


@pytest.mark.parametrize("question", ["What does it mean to dry-dock a ship?", "Who said that it closes?"])
def test_a_question_that_says_what_it_is_about_passes(question: str) -> None:
    assert reasons("dangling", dock(question, "The dock.")) == ""


@pytest.mark.parametrize(
    "question",
    [
        "What is shown in figure 3?",
        "What does the third chapter begin with?",
        "How many sections are there?",
        "What is the title of the passage?",
        "Which chapter discusses the gate?",
        "What is listed in the table?",
        "What is discussed after the part about pumps?",
        "Which ship is mentioned first?",
    ],
)
def test_a_question_about_the_form_of_the_text_is_refused(question: str) -> None:
    assert reasons("structure", dock(question, "The pumps.", 3)).startswith(
        "asks about the form of the text: "
    )


@pytest.mark.parametrize(
    "question",
    ["How many men dug it?", "What is a table made of?", "Which unit is it in?", "What figure did Holt cut?"],
)
def test_a_question_about_tables_and_figures_of_the_world_passes(question: str) -> None:
    assert reasons("structure", dock(question, "The pumps.", 3)) == ""


def test_sections_of_laws_may_be_asked_about_where_the_text_has_them() -> None:
    law = chunk("Under section 4 a captain pays for the dock.")
    assert reasons("structure", pair("Who pays under section 4?", "A captain.", law)) == ""
    assert reasons("structure", pair("Who pays under section 5?", "A captain.", law)) != ""


# Question and answer


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What happens to ships in the dock?", "Ships are in the dock."),
        ("Why is a dry dock called dry?", "Because it is called a dry dock."),
        (
            "Why did the dry dock at Lysvik have an engineer?",
            "The Lysvik dry dock needed an engineer to engineer.",
        ),
        (
            "What did the engineer of the dock do at Lysvik?",
            "The engineer of the dock at Lysvik did her work.",
        ),
    ],
)
def test_an_answer_that_says_no_more_than_its_question_is_refused(question: str, answer: str) -> None:
    assert reasons("repetition", dock(question, answer)) == "the answer says no more than the question"


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is the dock dry?", "The dock is dry."),
        ("Is it a dry or a wet dock?", "It is a dry dock."),
        ("How long is the dock?", "The dock is 120 metres long."),
        ("Does copper paint keep barnacles away?", "No."),
        ("Which ships use the dock?", "All ships use the dock."),
        ("What is in the dock?", "Water."),
        ("Who dug the dry dock at Lysvik?", "The dry dock at Lysvik was dug by men."),
        ("How often was the dock at Lysvik dug?", "The dock at Lysvik was dug annually."),
    ],
)
def test_an_answer_that_says_something_passes(question: str, answer: str) -> None:
    assert reasons("repetition", dock(question, answer)) == ""


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("When was the dock dug?", "By Karin Holt.", "the question asks when, and the answer does not say"),
        (
            "How long is the dock?",
            "Karin Holt.",
            "the question asks for a quantity, and the answer does not say",
        ),
        ("Why was the dock dug?", "1893.", 'the question asks "why", and the answer is a number'),
        ("Where was the dock dug?", "In 1893.", 'the question asks "where", and the answer is a number'),
        ("Which engineer dug the dock?", "A plumber.", "no word of the answer is in the text"),
        (
            "What name has the yard?",
            "Karin Holt.",
            "no word of the answer is in the sentences named as evidence",
        ),
        (
            "What is the dock like?",
            "Volcanic eruptions throw immense clouds of glowing ash across distant mountain valleys.",
            "no word of the answer is in the text",
        ),
    ],
)
def test_an_answer_to_another_question_is_refused(question: str, answer: str, reason: str) -> None:
    of = 6 if "yard" in question else 1
    assert reasons("relevance", dock(question, answer, of)) == reason


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("When was the dock dug?", "Between 1893 and 1896."),
        ("When does the gate close?", "As soon as it is left alone."),
        ("How long is the dock?", "Very long."),
        ("How long do ships stay?", "Nine days."),
        ("Why was the dock dug?", "For ships of 1893."),
        ("Who dug it?", "340 men."),
        ("Which engineer dug the dock?", "Karin Holt."),
        ("What is it like?", "Enormous."),
    ],
)
def test_an_answer_of_the_kind_that_was_asked_for_passes(question: str, answer: str) -> None:
    assert reasons("relevance", dock(question, answer)) == ""


# Facts


@pytest.mark.parametrize(
    ("question", "answer", "evidence", "reason"),
    [
        (
            "How long is it?",
            "130 metres.",
            2,
            "says 130 metres, which the sentences named as evidence do not",
        ),
        ("How long is it?", "120 feet.", 2, "says 120 feet, which the sentences named as evidence do not"),
        ("How long do ships stay?", "Nine weeks.", 4, "says Nine weeks, which the sentences"),
        (
            "When was it dug?",
            "From 1893 to 1898.",
            1,
            "says 1898, which the sentences named as evidence do not",
        ),
        (
            "What is asked for a day?",
            "900 crowns.",
            2,
            "evidence do not, though another sentence of the text does",
        ),
        ("Who dug the dock in 1871?", "340 men.", 1, "asks about 1871, which the text does not have"),
        ("What is the difference between the paints?", "1.073.", 5, "says 1.073, which the sentences named"),
    ],
)
def test_a_number_that_the_evidence_does_not_have_is_refused(
    question: str, answer: str, evidence: int, reason: str
) -> None:
    assert reason in reasons("numbers", dock(question, answer, evidence))


@pytest.mark.parametrize(
    ("question", "answer", "evidence"),
    [
        ("How long is it?", "0.12 kilometres.", 2),
        ("How long do the pumps take?", "240 minutes.", 3),
        ("For how many years was it dug?", "Three.", 1),
        ("How much do 23 days cost?", "20,700 crowns.", 8),
        ("How much water does it hold?", "Roughly 18 million litres.", 2),
        ("In which decade was it dug?", "In the 1890s.", 1),
        ("Which of the two is it?", "The first one.", 3),
    ],
)
def test_a_number_that_is_stated_otherwise_or_worked_out_passes(
    question: str, answer: str, evidence: int
) -> None:
    assert reasons("numbers", dock(question, answer, evidence)) == ""


@pytest.mark.parametrize(
    ("answer", "evidence", "reason"),
    [
        ("It was led by Nora Lie.", 1, "says Nora, which the text does not have"),
        ("It belongs to the LMC.", 6, "says LMC, which the text does not have"),
        ("They call dock_ship().", 7, "says dock_ship, which the text does not have"),
        ("The engineer was Ole Brun.", 1, "says Ole Brun, which the sentences named as evidence do not"),
        ("They call scrape_hull().", 2, "says scrape_hull, which the sentences named as evidence do not"),
    ],
)
def test_a_name_that_the_evidence_does_not_have_is_refused(answer: str, evidence: int, reason: str) -> None:
    assert reasons("names", dock("What about the dock?", answer, evidence)) == reason


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        ("The engineer was Holt.", 1),
        ("It belongs to the LRC.", 6),
        ("It is at LYSVIK.", 1),
        ("They call `scrape_hull`.", 7),
        ("On a Monday in May, as I heard.", 1),
        ("It is 120 metres long, at Lysvik.", 2),
    ],
)
def test_a_name_in_another_form_or_meant_by_it_passes(answer: str, evidence: int) -> None:
    assert reasons("names", dock("What about the dock?", answer, evidence)) == ""


def test_a_name_of_the_source_may_be_said_where_the_text_may_be_named() -> None:
    made = dock("Who wrote about the dock?", "It was Alva Reed, it says.", 1)
    assert reasons("names", made) == "says Alva, which the text does not have"
    source = pair(made.question, made.answer, chunk("The dock is long.", source="Docks, by Alva Reed.txt"))
    assert reasons("names", source, Asked(may_name_text=True)) == ""


# Yes, no, all and some


@pytest.mark.parametrize(
    ("question", "answer", "evidence", "reason"),
    [
        (
            "Does copper paint keep barnacles away in warm water?",
            "Yes.",
            5,
            'says "yes" where the evidence says',
        ),
        ("Does the gate close by its own weight?", "No.", 3, 'says "no" where the evidence says'),
        (
            "What about it?",
            "Copper paint keeps barnacles away in warm water.",
            5,
            "affirms what the evidence does not",
        ),
        (
            "What about it?",
            "The gate does not close by its own weight.",
            3,
            "denies what the evidence does not",
        ),
    ],
)
def test_an_answer_that_says_the_contrary_is_refused(
    question: str, answer: str, evidence: int, reason: str
) -> None:
    assert reasons("negation", dock(question, answer, evidence)).startswith(reason)


@pytest.mark.parametrize(
    ("question", "answer", "evidence"),
    [
        ("Does copper paint keep barnacles away in warm water?", "No, it does not.", 5),
        ("Does the gate close by its own weight?", "Yes.", 3),
        ("What about it?", "The gate closes by its own weight.", 3),
        ("What about it?", "Barnacles are not kept away by copper paint in warm water.", 5),
        ("Is no gate needed?", "Yes.", 3),
        ("Are captains pleased?", "No, only a few are.", 4),
    ],
)
def test_an_answer_that_says_the_same_of_it_passes(question: str, answer: str, evidence: int) -> None:
    assert reasons("negation", dock(question, answer, evidence)) == ""


@pytest.mark.parametrize(
    ("answer", "evidence", "reason"),
    [
        ("All ships stay for nine days.", 4, 'says "all" where the evidence says "most"'),
        ("Hulls are always scraped by hand.", 7, 'says "always" where the evidence says "usually"'),
        ("No one is pleased.", 4, 'says "no one" where the evidence says "few"'),
    ],
)
def test_an_answer_that_claims_more_is_refused(answer: str, evidence: int, reason: str) -> None:
    assert reasons("overclaim", dock("What about it?", answer, evidence)) == reason


@pytest.mark.parametrize(
    ("question", "answer", "evidence"),
    [
        ("What about it?", "Most ships stay for nine days.", 4),
        ("What about it?", "All of the water is pumped out.", 3),
        ("Do all ships stay?", "No, not all of them do.", 4),
        ("What about it?", "Hulls are scraped every day, mostly by hand.", 7),
    ],
)
def test_an_answer_that_claims_as_much_passes(question: str, answer: str, evidence: int) -> None:
    assert reasons("overclaim", dock(question, answer, evidence)) == ""


# What users' texts have


@pytest.mark.parametrize(
    ("question", "answer", "sentence"),
    [
        ("When does the ferry stop?", "At 21:00.", "The ferry stops at 9 p.m."),
        ("When does the ferry stop?", "At 9:15 p.m.", "The ferry stops at 21:15."),
        ("When does the ferry stop?", "At 9.", "The ferry stops at 9 p.m."),
        ("During which hours is it open?", "From 06:00 to 14:00.", "It is open between 6 a.m. and 2 p.m."),
        (
            "Which legions were lost?",
            "The 17th, 18th and 19th.",
            "Varus lost the legions XVII, XVIII and XIX.",
        ),
        (
            "What share of its flights did Finnair cancel?",
            "Roughly 42 per cent, 27 out of 64.",
            "Finnair cancelled 27 of its 64 departures.",
        ),
        (
            "How is `run` called?",
            "Like this:\n\n```python\nrun()\n```\n",
            "Call `run` with `run()` in Python.",
        ),
    ],
)
def test_the_same_in_another_notation_passes(question: str, answer: str, sentence: str) -> None:
    assert [*flaws(pair(question, answer, chunk(sentence)))] == []


@pytest.mark.parametrize(
    ("question", "answer", "sentence", "check"),
    [
        ("When did they begin?", "At 18:00.", "They began at 6 a.m.", "numbers"),
        ("When is the meeting?", "On Tuesday at 7 p.m.", "The meeting is on Monday at 7 p.m.", "numbers"),
        ("How cold was it?", "It was 41.3 °C.", "It fell to \u221241.3 °C.", "numbers"),
        ("Which legions fell?", "XVII, XVIII and XX.", "The legions XVII, XVIII and XIX fell.", "names"),
        ("Who signed it?", "It was signed by Charles VI.", "It was signed by Charles V in May.", "names"),
        ("How is it called?", "Like this:\n\n```python\nrun()", "It is called with `run()`.", "detritus"),
    ],
)
def test_the_near_in_the_same_notation_is_refused(
    question: str, answer: str, sentence: str, check: str
) -> None:
    assert check in {flaw.check for flaw in flaws(pair(question, answer, chunk(sentence)))}


@pytest.mark.parametrize("answer", ["At 20 °C\0.", "At 20 °C\ud800.", "a" * 400, "Salt.\n\n\n\n\n\nSalt."])
def test_what_is_no_text_is_refused_as_such(answer: str) -> None:
    assert [flaw.check for flaw in flaws(dock("At what temperature?", answer))] == ["form"]


@pytest.mark.parametrize("evidence", [(9,), (-3,), (0,), (1, 99)])
@pytest.mark.parametrize("switched_on", [tuple(pairs.CHECKS), ("numbers", "names", "negation", "overclaim")])
def test_sentences_that_are_not_there_are_no_evidence(
    evidence: tuple[int, ...], switched_on: tuple[str, ...]
) -> None:
    found = [*flaws(pair("When was it dug?", "In 1893.", DOCK, evidence), switched_on)]
    assert [flaw.check for flaw in found] == ["evidence"]


def test_a_number_in_words_may_be_beyond_all_measure() -> None:
    assert [*flaws(dock("How much is it?", "It is " + "hundred " * 400 + "g."))]
