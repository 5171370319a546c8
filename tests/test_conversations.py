"""Groups, casts and conversations: who is asked what, and that a conversation carries its pairs."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import (
    PROMPTS,
    ScriptedEngine,
    agreeable,
    asking,
    chunk,
    like_example,
    pair,
    run,
    sampled,
    stages,
)

from generation_functions import conversations, prompts
from generation_functions.checks.conversations import flaw
from generation_functions.conversations import ASSISTANT, USER, Traits, groups, load_traits
from generation_functions.errors import Unparseable
from generation_functions.records import Cast, Chunk, Group, Outcome, Pair
from generation_functions.store import Store

SALT = chunk(
    "Salt draws water out of meat.", "In 1869 a ton cost 12 pounds.", source="Zinc and Zeal, by Q. Xu.txt"
)
TRAITS = Traits({"mood": ["calm", "wild"], "trade": ["cook", "smith"]}, ["Ana", "Bo", "Chen"])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


def pairs(count: int, of: Chunk = SALT) -> list[Pair]:
    return [
        pair(f"What is said of thing {chr(65 + n)}?", f"Thing {chr(65 + n)} is salted.", of)
        for n in range(count)
    ]


# Groups


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("wanted", [1, 2, 3, 6, 24])
def test_a_group_is_taken_in_as_many_orders_as_are_wanted_and_as_there_are(size: int, wanted: int) -> None:
    made = groups(pairs(size), wanted)
    assert len(made) == min(wanted, math.factorial(size))
    assert len({group.pairs for group in made}) == len({group.key for group in made}) == len(made)
    assert [group.arrangement for group in made] == list(range(len(made)))
    assert {frozenset(group.pairs) for group in made} == {frozenset(pairs(size))}


def test_the_first_order_is_that_of_the_text_and_the_others_are_the_same_each_time() -> None:
    made = groups(pairs(4), 5)
    assert made[0].pairs == tuple(pairs(4))
    assert groups(pairs(4), 5) == made
    assert groups(pairs(4), 3) == made[:3]


@pytest.mark.parametrize(("count", "sizes"), [(0, []), (4, [4]), (5, [4, 1]), (9, [4, 4, 1])])
def test_no_group_has_more_than_four_pairs(count: int, sizes: list[int]) -> None:
    assert [len(group.pairs) for group in groups(pairs(count), 1)] == sizes


def test_pairs_of_two_chunks_are_never_in_one_group() -> None:
    other = chunk("Smoke keeps flies away.")
    mixed = [one for both in zip(pairs(3), pairs(3, other), strict=True) for one in both]
    made = groups(mixed, 2)
    assert [{p.chunk.source for p in group.pairs} for group in made] == [{SALT.source}] * 2 + [
        {other.source}
    ] * 2


def test_a_group_does_not_depend_on_the_other_groups() -> None:
    assert groups(pairs(4), 3) == groups([*pairs(2, chunk("Smoke.")), *pairs(4)], 3)[2:]


# Cast


def cast(store: Store, engine: ScriptedEngine, group: Group, assistant: bool = False) -> Outcome:
    work = conversations.cast(group, asking(store, engine), traits=TRAITS, assistant=assistant)
    outcome: Outcome = run(work)
    return outcome


def test_a_cast_takes_four_calls_each_shown_what_the_one_before_it_gave(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    outcome = cast(store, engine, Group(tuple(pairs(2))))
    assert engine.stages() == ["plan_character", "write_character", "plan_scenario", "write_scenario"]
    (made,) = outcome.records
    items = [request.messages[-1].content for request in engine.asked]
    assert any(
        f"mood: {mood}; trade: {trade}" in items[0]
        for mood in ("calm", "wild")
        for trade in ("cook", "smith")
    )
    assert made.card in items[2]
    assert made.plan in items[3]
    assert made.card.startswith(f"Name: {made.answerer}")
    assert (outcome.status, bool(made.scenario)) == ("kept", True)


def test_what_a_character_was_drawn_is_known_by_the_groups_key(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    for n in range(4):
        group = Group((pair(f"What of {n}?"),))
        cast(store, engine, group)
        drawn = "; ".join(f"{axis}: {value}" for axis, value in TRAITS.of(group.key).items())
        asked = [request for request in engine.asked if request.stage == "plan_character"]
        assert drawn in asked[-1].messages[-1].content


def test_the_same_group_has_the_same_cast_and_another_group_another(tmp_path: Path) -> None:
    made = []
    for name, size in (("one", 2), ("same", 2), ("other", 3)):
        with Store(tmp_path / name) as store:
            made += cast(store, ScriptedEngine(sampled), Group(tuple(pairs(size)))).records
    assert made[0] == made[1]
    assert made[0].card != made[2].card


def test_the_characters_name_begins_with_no_capital_of_the_source(store: Store) -> None:
    most = chunk("Salt.", source="ABCDEFGHIJ, by LMNOPRSTUVW.txt")
    for n in range(4):
        (made,) = cast(store, ScriptedEngine(sampled), Group((pair(f"What of {n}?", of=most),))).records
        assert made.answerer[0] == "K"


def test_a_name_can_be_found_although_the_source_has_every_letter(store: Store) -> None:
    shouting = chunk("Salt.", source="THE QUICK BROWN FOX JUMPS OVER A LAZY DOG.txt")
    (made,) = cast(store, ScriptedEngine(sampled), Group((pair(of=shouting),))).records
    assert made.answerer[0].isupper()


def test_who_asks_has_another_name_than_who_answers(store: Store) -> None:
    for n in range(12):
        traits = Traits(TRAITS.axes, ["Ana", "Bo"])
        group = Group((pair(f"What of {n}?", of=SALT),))
        ask = asking(store, ScriptedEngine(lambda r: CARD if r.stage == "write_character" else sampled(r)))
        ask.stages = {
            **ask.stages,
            "write_character": replace(ask.stages["write_character"], grammar=ANY_CARD),
        }
        (made,) = run(conversations.cast(group, ask, traits=traits, assistant=False)).records
        assert (made.answerer, made.asker) == ("Bo Lund", "Ana")


CARD = "Name: Bo Lund\nTraits: calm"
LOOSE_CARD = 'root ::= card\ncard ::= "Name: " name "\\n" [^#]+\nname ::= [^\\n]{1,40} | $initial'
ANY_CARD = 'root ::= card\ncard ::= "Name: " name "\\nTraits: calm"\nname ::= [^\\n]{1,20} | $initial'


LOOP = "He has been there and has been there, and has been there and has been there, and no more"


def test_a_card_that_goes_round_in_circles_is_written_again(store: Store) -> None:
    cards = [like_example("write_character", background=f"{LOOP}.")]
    engine = ScriptedEngine(lambda r: cards.pop() if cards and r.stage == "write_character" else sampled(r))
    ask = asking(store, engine)
    ask.stages = {**ask.stages, "write_character": replace(ask.stages["write_character"], grammar=LOOSE_CARD)}
    (made,) = run(conversations.cast(Group(tuple(pairs(1))), ask, traits=TRAITS, assistant=False)).records
    assert engine.stages().count("write_character") == 2
    assert LOOP not in made.card


def test_a_group_whose_character_never_comes_out_is_rejected_and_stays_so(store: Store) -> None:
    loops = f"Plan: a man who tells it all. {LOOP}."
    engine = ScriptedEngine(lambda r: loops if r.stage == "plan_character" else sampled(r))
    outcome = cast(store, engine, Group(tuple(pairs(1))))
    assert (outcome.status, outcome.records) == ("rejected", ())
    assert outcome.reason == 'the character or the scenario says "has been there and" 4 times'


def test_assistant_mode_asks_nothing_for_a_cast(store: Store) -> None:
    outcome = cast(store, ScriptedEngine([]), Group(tuple(pairs(2))), assistant=True)
    (made,) = outcome.records
    assert (made.answerer, made.asker, made.card, made.scenario) == (ASSISTANT, USER, "", "")


def test_the_shipped_names_suit_the_shipped_stages(store: Store) -> None:
    traits = load_traits([PROMPTS])
    work = conversations.cast(
        Group(tuple(pairs(1))), asking(store, ScriptedEngine(sampled)), traits=traits, assistant=False
    )
    (made,) = run(work).records
    assert made.asker in traits.names


# Conversations

CAST = Cast(Group(tuple(pairs(2))), "Ines", "Bo", "Name: Ines\nTraits: calm", "Ines salts fish.", "a quay")
HARD = [
    pair('What does "cure (a)" \\ (b) mean?', "1914."),
    pair("Why’s that — really?", "No.", evidence=(2,)),
    pair("What keeps, and for how long?", "It keeps:\n- meat: 3 months\n- fish (cod)"),
    pair("1869: what did a ton cost?", 'C:\\new costs $5 {data} "or" so'),
]


def wrote(store: Store, engine: ScriptedEngine, of: Cast = CAST, **how: Any) -> Outcome:
    outcome: Outcome = run(conversations.write(of, asking(store, engine), **{"quotes": "verbatim", **how}))
    return outcome


BY_CHANCE = {"borne": conversations.OF_CONTENT}  # what random letters have


@pytest.mark.parametrize("card", ["Name: Ines\nTraits: calm", ""])
def test_whatever_a_model_writes_within_the_grammar_carries_the_pairs_word_for_word(
    store: Store, card: str
) -> None:
    for n in range(20):
        own = tuple(pair(p.question, p.answer, chunk(f"Text {n}.", "Two."), p.evidence) for p in HARD)
        of = Cast(
            Group(own), "Ines" if card else ASSISTANT, "Bo" if card else USER, card, "A quay." if card else ""
        )
        outcome = wrote(store, ScriptedEngine(sampled), of, **BY_CHANCE)
        assert (outcome.status, outcome.reason) == ("kept", "")
        turns = outcome.records[0].turns[len(outcome.records[0].turns) % 2 :]
        for one, asks, answers in zip(own, turns[::2], turns[1::2], strict=True):
            assert one.question in asks.text
            assert one.answer in answers.text


def test_in_role_play_the_one_who_answers_greets_first(store: Store) -> None:
    engine = ScriptedEngine(sampled)
    (made,) = wrote(store, engine, **BY_CHANCE).records
    assert engine.stages() == ["write_conversation"]
    assert [turn.speaker for turn in made.turns] == ["Ines", "Bo", "Ines", "Bo", "Ines"]
    assert CAST.card in engine.asked[0].messages[-1].content


def test_in_assistant_mode_the_user_begins(store: Store) -> None:
    engine = ScriptedEngine(sampled)
    (made,) = wrote(store, engine, Cast(CAST.group, ASSISTANT, USER), **BY_CHANCE).records
    assert engine.stages() == ["write_assistant_conversation"]
    assert [turn.speaker for turn in made.turns] == [USER, ASSISTANT, USER, ASSISTANT]


def talked_freely(store: Store, *answers: str) -> Outcome:
    """The outcome of a model that may put everything in its own words, in a format of our own."""
    ask = asking(store, ScriptedEngine(answers))
    ask.stages = {"write_conversation": prompts.load("write_conversation", [store.folder])}
    outcome: Outcome = run(conversations.write(CAST, ask, quotes="free"))
    return outcome


@pytest.fixture
def own_format(store: Store) -> None:
    (store.folder / "write_conversation.yaml").write_text(OWN_FORMAT)


OWN_FORMAT = """
system: Talk.
item: $card $scenario $name $asker $shown
for_each_pair:
  shown: "$question "
  talk: '"/" asks-$n "/" answers-$n '
  rules: "asks-$n ::= [^/]{1,99}\\nanswers-$n ::= [^/]{1,99}\\n"
grammar: |
  root ::= opens $talk
  opens ::= [^/]{1,99}
  $rules
examples:
  - values: {card: c, scenario: s, name: n, asker: a, pairs: [{question: q, answer: a}]}
    answer: Hello./q/a
sampling: {max_tokens: 99}
"""
RULES = "asks ::= [^/?]{1,99} [?]\n  answers ::= [^/?]{1,99}"
FLAWED = "Sit down./What of A?/Thing A is salted, in 1066./What of B?/Thing B is salted."
FLAWLESS = "Sit down./What of A?/It is salted, thing A is./What of B?/Thing B is salted too."


@pytest.mark.usefixtures("own_format")
def test_a_conversation_that_fails_its_checks_is_written_once_more(store: Store) -> None:
    outcome = talked_freely(store, FLAWED, FLAWLESS)
    assert outcome.status == "kept"
    assert outcome.records[0].turns[2].text == "It is salted, thing A is."


@pytest.mark.usefixtures("own_format")
def test_a_conversation_that_fails_twice_is_rejected_with_the_reason_and_kept_to_look_at(
    store: Store,
) -> None:
    outcome = talked_freely(store, FLAWED, FLAWED)
    assert (outcome.status, outcome.reason) == (
        "rejected",
        "number: turn 3 says 1066, which neither its pair nor its text has",
    )
    assert outcome.records[0].turns[2].text == "Thing A is salted, in 1066."


@pytest.mark.usefixtures("own_format")
def test_both_tries_are_in_the_journal(store: Store) -> None:
    first = talked_freely(store, FLAWED, FLAWED)
    assert talked_freely(store) == first
    assert [row["calls"] for row in store.usage()] == [2]


def test_a_format_that_leaves_a_question_unanswered_is_a_flaw(store: Store) -> None:
    loose = OWN_FORMAT.replace("$talk\n", '("/" asks ("/" answers)?)+\n').replace("./q/", "./q?/")
    (store.folder / "write_conversation.yaml").write_text(loose.replace("$rules", RULES))
    outcome = talked_freely(store, *["Sit down./What of A?/Thing A is salted./What of B?"] * 2)
    assert (outcome.status, outcome.reason) == ("rejected", "answer: turn 5 is empty")


def test_a_changed_fact_cannot_be_read_where_pairs_stand_word_for_word(store: Store) -> None:
    with pytest.raises(Unparseable):
        wrote(store, ScriptedEngine(lambda request: sampled(request).replace("salted", "sweet")))


def test_the_stages_own_examples_pass_the_checks_in_code() -> None:
    for name in ("write_conversation", "write_assistant_conversation"):
        for variant in ((), ("free",)):
            stage = stages(name, variants=variant)[name]
            for example in stage.examples:
                values = example.values
                own = tuple(Pair(SALT, p["question"], p["answer"], (1,)) for p in values["pairs"])
                of = Cast(
                    Group(own),
                    values.get("name", ASSISTANT),
                    values.get("asker", USER),
                    values.get("card", ""),
                )
                reading = stage.compiled(values).read(example.answer)
                made = conversations.Conversation(of, conversations._turns(of, reading))
                assert flaw(made, verbatim=not variant) is None, (name, variant)
