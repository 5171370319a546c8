"""How varied texts are and how much of their sources they use: every figure, on records made by hand."""

from collections.abc import Sequence

import pytest
from scripted import chunk, pair, talk

from generation_functions import spread
from generation_functions.conversations import Traits
from generation_functions.diversity import (
    KINDS,
    OPENING,
    Part,
    Source,
    kind_of,
    of_conversations,
    of_pairs,
    of_sources,
    opening,
)
from generation_functions.items import BLOCK, Records, records_of
from generation_functions.records import Cast, Chunk, Conversation, Group, Pair, Turn

# Kinds of questions


@pytest.mark.parametrize(
    ("kind", "question"),
    [
        ("what", "What does salt draw out of meat?"),
        ("what", "\u201cWhat\u2019s in the barrel?\u201d"),
        ("what", "By what means is it dried?"),
        ("who", "WHO sold it?"),
        ("who", "To whom was it sold?"),
        ("who", "Whose barrel was it?"),
        ("when", "When did it end, and who ended it?"),
        ("when", "When exactly did it end?"),
        ("where", "And where was it mined?"),
        ("why", "Why not?"),
        ("how", "How long does it keep?"),
        ("how many", "How many barrels are needed?"),
        ("how many", "According to the abbot, how  much does it cost?"),
        ("which", "In which year did the mine close?"),
        ("yes or no", "Is salt dry?"),
        ("yes or no", "Can't it be dried?"),
        ("yes or no", "Don\u2019t they know what it costs?"),
        ("yes or no", "In 1869, was a ton dear?"),
        ("other", "Name the king who ruled."),
        ("other", "Canister?"),
        ("other", "Warum ist Salz teuer?"),
        ("other", ""),
    ],
)
def test_a_question_is_of_the_kind_of_the_word_that_asks(kind: str, question: str) -> None:
    assert kind_of(question) == kind


def test_a_clause_that_says_when_or_where_does_not_ask_it() -> None:
    assert kind_of("When it rains, what do they do?") == "what"
    assert kind_of("Where salt is mined, is the air dry?") == "yes or no"


def test_every_kind_is_counted_those_that_never_come_as_well() -> None:
    kinds = of_pairs([pair("Who?"), pair("Who was it?"), pair("Why?")]).kinds
    assert set(kinds) == set(KINDS)
    assert (kinds["who"], kinds["why"], kinds["yes or no"]) == (2, 1, 0)


# Texts


def test_an_opening_is_the_first_words_however_they_are_spaced() -> None:
    assert opening("  Salt\ndraws  water out.", 3) == "Salt draws water"
    assert opening("Salt.", 3) == "Salt."
    assert opening(" \n", 3) == ""
    assert opening("x" * 1_000_000, 3) == "x" * OPENING


def test_very_short_and_very_long_answers_are_counted() -> None:
    found = of_pairs([pair(answer="x" * length) for length in (19, 20, 300, 301, 302)])
    assert (found.terse, found.long) == (1, 2)


def test_answers_are_counted_by_their_first_three_words() -> None:
    found = of_pairs([pair("A?", "It is said to be."), pair("B?", "It is said so."), pair("C?", "It was.")])
    assert found.answers_begin == {"It is said": 2, "It was.": 1}


TRAITS = Traits({"mood": ["calm", "wild"], "trade": ["cook", "smith", "clerk"]}, ["Ana", "Bo"])


def talks(count: int) -> list[Conversation]:
    return [talk(pair(f"What of {n}?"), greeting="Come in, my friend Bo!") for n in range(count)]


def test_turns_are_counted_by_who_says_them() -> None:
    found = of_conversations(talks(2), TRAITS)
    assert found.asking_begins == {"What of 0?": 1, "What of 1?": 1}
    assert found.answering_begins == {"Come in, my friend": 2, "Salt draws water out": 2}
    assert found.turns == [3, 3]


def test_names_and_scenarios_that_come_again_are_counted() -> None:
    group = Group((pair(),))
    casts = [Cast(group, name, "Bo", "Name", "In the old harbour, late") for name in ("Ines", "Ines", "Ada")]
    found = of_conversations([Conversation(cast, (Turn("Bo", "Why?"),)) for cast in casts], TRAITS)
    assert found.names == {"Ines": 2, "Ada": 1}
    assert found.scenarios_begin == {"In the old harbour,": 3}


def test_traits_are_those_that_each_group_was_drawn() -> None:
    made = talks(5)
    found = of_conversations(made, TRAITS).traits
    drawn = [TRAITS.of(one.cast.group.key) for one in made]
    for axis, values in TRAITS.axes.items():
        assert found[axis] == {value: [one[axis] for one in drawn].count(value) for value in values}


def test_an_assistant_is_no_character() -> None:
    found = of_conversations([talk(pair(), card="")], TRAITS)
    assert not found.names and not found.scenarios_begin
    assert not any(values.total() for values in found.traits.values())
    assert found.answering_begins


# Sources


def book(*lengths: int, size: int = 2) -> list[Chunk]:
    """A source of sentences of these lengths without anything between them, `size` to a chunk."""
    sentences, start = [], 0
    for length in lengths:
        sentences += [chunk_sentence(start, length)]
        start += length
    return [Chunk("Book.txt", tuple(sentences[n : n + size])) for n in range(0, len(sentences), size)]


def chunk_sentence(start: int, length: int):
    (sentence,) = chunk(f"{start:0{length}d}").sentences
    return type(sentence)(sentence.text, start, start + length)


def used(chunks: Sequence[Chunk], *pairs: Pair, **lengths: int) -> Source:
    named = {f"{name}.txt": length for name, length in lengths.items()}
    (source,) = of_sources(records_of(chunks), records_of(pairs), named)
    return source


def test_a_sentence_that_two_pairs_name_is_used_once() -> None:
    first, second = book(25, 25, 25, 25)
    source = used([first, second], pair("A?", of=first, evidence=(1, 2)), pair("B?", of=first, evidence=(2,)))
    assert (source.named, source.sentences) == (2, 4)
    assert (source.used, source.chunks) == (1, 2)


def test_a_pair_without_evidence_makes_its_chunk_used_and_no_sentence() -> None:
    first, second = book(25, 25, 25, 25)
    source = used([first, second], pair(of=first, evidence=()))
    assert (source.used, source.named) == (1, 0)


def test_pairs_of_chunks_that_were_not_taken_count_for_nothing() -> None:
    first, second = book(25, 25, 25, 25)
    source = used([first], pair(of=second))
    assert (source.used, source.chunks, source.named, source.sentences) == (0, 1, 0, 2)


def test_the_parts_of_a_source_show_where_its_used_sentences_lie() -> None:
    first, second = book(25, 25, 25, 25)
    assert used([first, second], pair(of=second, evidence=(2,))).parts(4) == [
        *[Part(1.0, 0.0)] * 3,
        Part(1.0, 1.0),
    ]
    assert used([first, second], pair(of=first, evidence=(1,))).parts(2) == [Part(1.0, 0.5), Part(1.0, 0.0)]
    assert used([second], pair(of=second, evidence=(1,))).parts(2) == [Part(0.0, 0.0), Part(1.0, 0.5)]


def test_a_sentence_over_the_border_of_two_parts_is_shared_out() -> None:
    (whole,) = book(10, 20, 10, size=3)
    assert used([whole], pair(of=whole, evidence=(2,))).parts(2) == [Part(1.0, 0.5), Part(1.0, 0.5)]


def test_a_source_is_as_long_as_its_whole_text_where_that_is_known() -> None:
    (first, _) = book(25, 25, 25, 25)
    assert used([first]).length == 50
    assert used([first], Book=100).length == 100
    assert used([first], Book=100).parts(2) == [Part(1.0, 0.0), Part(0.0, 0.0)]


def test_the_longest_stretch_without_evidence_is_found_at_the_beginning_between_and_at_the_end() -> None:
    first, second = book(25, 25, 25, 25)
    assert used([first, second], pair(of=first, evidence=(1,))).gap == (0.25, 1.0)
    assert used([first, second], pair(of=second, evidence=(2,))).gap == (0.0, 0.75)
    both = pair(of=first, evidence=(1,)), pair(of=second, evidence=(2,))
    assert used([first, second], *both).gap == (0.25, 0.75)
    assert used([first, second]).gap == (0.0, 1.0)


def test_of_very_many_chunks_a_part_is_read_and_the_pairs_of_that_part_alone() -> None:
    (of,) = book(10, 10)
    count, read = 100_000, {"chunks": 0, "pairs": 0}

    def records(name: str, each: int) -> Records:
        def load(start: int, stop: int) -> list[object]:
            read[name] += stop - start
            made = [Chunk("Book.txt", of.sentences, n // each) for n in range(start, stop)]
            return made if name == "chunks" else [pair(of=one) for one in made]

        keys = [f"{n}" for n in range(count * each)]
        return Records(keys, load, chunks=lambda: [chunk_keys[n // each] for n in range(count * each)])

    chunk_keys = [Chunk("Book.txt", of.sentences, n).key for n in range(count)]
    chunks = Records(chunk_keys, records("chunks", 1)._load)
    (source,) = of_sources(chunks, records("pairs", 3))
    assert source.chunks == source.used == source.named == read["chunks"] < spread.MOST
    assert read["pairs"] < 3 * spread.MOST + count // BLOCK
