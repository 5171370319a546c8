"""Words are one where they read the same, and names are new where a text does not have them."""

import pytest

from generation_functions.checks.names import codes, full_names, is_unknown, names, unknown_names
from generation_functions.checks.wording import (
    capitalised,
    missing,
    normal,
    parts,
    sentences,
    share_known,
    stems,
    words,
)


def test_what_reads_the_same_is_normally_the_same() -> None:
    assert normal("“It’s\n a  trap” — ﬁne") == normal('"IT\'S a trap" - fine')
    assert normal("a-b") != normal("ab")


def test_words_keep_their_hyphens_and_parts_do_not() -> None:
    assert words("Holt’s half-built dock") == ("holt", "half-built", "dock")
    assert parts("Holt’s half-built dock") == ("holt", "half", "built", "dock")


def test_sentences_end_at_marks_and_lines() -> None:
    assert sentences('It closed. "Why?" she asked.\nNobody knew!  ') == (
        "It closed.",
        '"Why?',
        "she asked.",
        "Nobody knew!",
    )
    assert sentences(" \n ") == ()


def test_stems_leave_out_what_carries_no_meaning() -> None:
    assert stems("The seven pumps were pumping 40 of the barrels.") == {"pump", "barrel"}


@pytest.mark.parametrize(
    ("wanted", "among"),
    [
        ("acidity", "acidic"),
        ("norwegian", "norway"),
        ("dutch", "holland"),
        ("denmark", "danish"),
        ("danes", "denmark"),
        ("pump", "pump"),
    ],
)
def test_words_of_one_family_are_not_missed(wanted: str, among: str) -> None:
    assert missing([wanted], {among, "barrel"}) == set()


@pytest.mark.parametrize(
    ("wanted", "among"),
    [("contain", "continent"), ("sea", "season"), ("dutch", "danish"), ("x" * 90, "x" * 91)],
)
def test_words_that_only_begin_alike_are_missed(wanted: str, among: str) -> None:
    assert missing([wanted], {among}) == {wanted}


def test_the_share_known_of_nothing_is_all() -> None:
    assert share_known([], ["dock"]) == 1
    assert share_known(["dock", "gate"], ["docks"]) == 0.5


def test_a_capital_says_nothing_where_a_sentence_a_line_or_a_quotation_begins() -> None:
    text = 'The ship of Holt left Lysvik. Then it froze.\nIt stayed. "Fram" she was.'
    assert [name for name, begins in capitalised(text) if not begins] == ["Holt", "Lysvik"]


def test_names_are_words_with_a_capital_inside_a_sentence() -> None:
    assert names("Then Holt met the men of Lysvik, as I said.") == ("Holt", "Lysvik")
    assert names("Salt keeps.") == ()


def test_a_title_has_no_names() -> None:
    assert names("The Long Road To The Grey Sea Of Lysvik") == ()


def test_full_names_are_wholes_and_lose_a_word_that_only_begins_a_sentence() -> None:
    assert full_names("Yesterday Karin Holt of Lysvik met Ole.", "It is Yesterday.") == [
        "Yesterday Karin Holt of Lysvik",
        "Ole",
    ]
    assert full_names("In Lysvik she met Ole Brun.", "A text.") == ["Lysvik", "Ole Brun"]


@pytest.mark.parametrize(
    ("said", "known", "unknown"),
    [
        ("It was Holt.", "The engineer Karin Holt built it.", []),
        ("It was Brun.", "The engineer Karin Holt built it.", ["Brun"]),
        ("They were in Norway.", "A Norwegian crew.", []),
        ("They came in May, on a Monday, at 8 pm.", "Nothing.", []),
        ("It is the LRC.", "It belongs to the Lysvik Repair Company.", []),
        ("It is the Lysvik Repair Company.", "It belongs to the LRC.", []),
        ("It is the LRD.", "It belongs to the Lysvik Repair Company.", ["LRD"]),
        ("It calls fsync() with --force.", "It calls fsync.", ["force"]),
        ("It is CO2.", "It gives off CO2 and H2O.", []),
        ("A non-Norwegian one.", "A Norwegian one.", []),
    ],
)
def test_names_are_unknown_where_the_text_has_no_form_of_them(
    said: str, known: str, unknown: list[str]
) -> None:
    assert unknown_names(said, known) == unknown


def test_a_name_may_stand_in_any_of_several_texts() -> None:
    assert unknown_names("Then Holt met Brun.", "It was Holt.", "It was Brun.") == []


def test_a_whole_name_is_unknown_only_if_all_of_it_is() -> None:
    assert is_unknown("Ole Brun", "The engineer Karin Holt built it.")
    assert not is_unknown("Karin Brun", "The engineer Karin Holt built it.")


def test_units_are_no_codes() -> None:
    assert codes("It takes 5kg of H2O and calls open_file().") == ["h2o", "open_file"]
