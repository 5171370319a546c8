"""Records: keys are made of content and of nothing else, ledgers sum up."""

from dataclasses import replace

import pytest
from scripted import chunk, pair

from generation_functions.records import (
    Cast,
    Conversation,
    Group,
    Ledger,
    Sentence,
    Turn,
    Verdict,
    Vote,
    content_key,
)


def test_keys_are_the_same_on_every_machine() -> None:
    """These are in the run.db of users: another key would make all that they have pending."""
    assert content_key("a", ["é", 1, {"b": None, "a": 0.5}]) == "f61a36c5bd610620"
    assert chunk().key == "23f6d6b4e6ba7d34"
    assert pair().key == "78c9a672dd75ce8e"


def test_a_key_can_be_made_of_any_text() -> None:
    assert content_key("\ud800") != content_key("\ufffd")


def test_a_chunk_that_only_moved_keeps_its_key() -> None:
    one = chunk("Salt keeps.", "Sand does not.")
    moved = replace(one, sentences=tuple(replace(s, start=s.start + 9, end=s.end + 9) for s in one.sentences))
    assert moved.key == one.key
    assert pair(of=moved).key == pair(of=one).key


@pytest.mark.parametrize(
    "other",
    [
        chunk("Salt keeps.", "Sand does."),
        chunk("Salt keeps.", "Sand does not.", source="b.txt"),
        replace(chunk("Salt keeps.", "Sand does not."), repeat=1),
    ],
    ids=["text", "source", "repeat"],
)
def test_another_chunk_has_another_key_and_so_has_all_that_stands_on_it(other) -> None:
    one = chunk("Salt keeps.", "Sand does not.")
    keys = []
    for under in (one, other):
        group = Group((pair(of=under),))
        cast = Cast(group, "Ines", "Bo")
        keys.append({under.key, pair(of=under).key, group.key, cast.key, Conversation(cast, ()).key})
    assert len(keys[0] | keys[1]) == 10


def test_texts_that_run_into_each_other_have_different_keys() -> None:
    assert pair("What is a", "bc?").key != pair("What is ab", "c?").key
    cast = Cast(Group((pair(),)), "Ines", "Bo")
    one, other = (Turn("Bo", "Hello"), Turn("Ines", "Yes")), (Turn("Bo", "Hell"), Turn("Ines", "oYes"))
    assert Conversation(cast, one).key != Conversation(cast, other).key


def test_the_order_of_a_groups_pairs_is_part_of_its_key() -> None:
    one, other = pair(), pair("What did a ton cost in 1869?", "12 pounds.", evidence=(2,))
    assert Group((one, other)).key != Group((other, one)).key
    assert Group((one, other)).key != Group((one, other), 1).key


def test_a_chunk_shows_its_sentences_with_paragraphs_and_with_numbers() -> None:
    sentences = (Sentence("Salt.", 0, 5, True), Sentence("Sand.", 6, 11), Sentence("Silt.", 13, 18, True))
    under = replace(chunk(), sentences=sentences)
    assert under.text == "Salt. Sand.\n\nSilt."
    assert under.numbered == "[1] Salt. [2] Sand.\n\n[3] Silt."
    assert (under.start, under.end) == (0, 18)


def test_the_proof_of_a_pair_is_the_sentences_that_it_names() -> None:
    assert pair(of=chunk("Salt.", "Sand.", "Silt."), evidence=(1, 3)).proof == "Salt. Silt."


def test_the_reason_of_a_verdict_is_the_first_of_the_side_that_won() -> None:
    votes = (Vote("a", None, "unusable"), Vote("a", True, "no fault"), Vote("a", False, "wrong year"))
    assert Verdict("a", False, votes).reason == "wrong year"
    assert Verdict("a", True, votes).reason == "no fault"


def test_a_verdict_that_nobody_won_says_so() -> None:
    assert Verdict("a", False, (Vote("a", True, "x"), Vote("a", None, "y"))).reason == "votes are tied"


def test_a_ledger_sums_up() -> None:
    ledger = Ledger()
    for status in ("kept", "rejected", "kept", "failed", "pending"):
        ledger = ledger.plus(status)
    assert ledger == Ledger(kept=2, rejected=1, failed=1, pending=1)
    assert ledger.total == 5
    assert str(ledger) == "5 in: 2 kept, 1 rejected, 1 failed, 1 pending"
    assert str(Ledger(kept=1)) == "1 in: 1 kept, 0 rejected, 0 failed"
