"""Items and records that are made when they are looked at: the same as if all of them had been in memory."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted import chunk, pair, run, talk

from generation_functions.errors import RunError
from generation_functions.items import (
    BLOCK,
    Item,
    Items,
    Lazy,
    Records,
    each,
    edited,
    holding,
    ledger,
    made_keys,
    older,
    on_disk,
    packed,
    passing,
    records_of,
    statuses,
    unpacked,
)
from generation_functions.overlay import Overlay
from generation_functions.records import (
    Act,
    Chunk,
    Conversation,
    Group,
    Ledger,
    Outcome,
    Pair,
    Status,
    Verdict,
    Vote,
    chunk_of,
)
from generation_functions.step import Step, at_rest, carry_out, row_of
from generation_functions.store import Store

CHUNKS = [chunk(f"Sentence {n}.", f"Another one, {n}.") for n in range(12)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


def kept(store: Store, outcomes: dict[Any, Outcome], step: str = "judge", made_by: str = "m") -> Items:
    """The step's items with these outcomes for their inputs, from the disk."""
    for record, outcome in outcomes.items():
        store.put_item(step, row_of(Step(step, made_by, _no_work), record, outcome))
    return on_disk(step, "m", list(outcomes), store)


async def _no_work(record: Any) -> Outcome:
    raise AssertionError("nothing is to be done")


# Sequences that are made when they are looked at


class Loader:
    """Numbers, and the blocks that were asked for."""

    def __init__(self, length: int) -> None:
        self.asked: list[tuple[int, int]] = []
        self.numbers = Lazy(length, self)

    def __call__(self, start: int, stop: int) -> range:
        self.asked.append((start, stop))
        return range(start, stop)


@pytest.mark.parametrize("length", [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_a_lazy_sequence_is_like_a_list(length: int) -> None:
    numbers, same = Loader(length).numbers, list(range(length))
    assert list(numbers) == numbers == same
    assert same == numbers
    assert numbers != [*same, 0]
    assert (list(reversed(numbers)), len(numbers), bool(numbers)) == (same[::-1], length, bool(same))
    for part in (slice(2, 5), slice(-3, None), slice(None, None, -2), slice(BLOCK - 1, BLOCK + 1)):
        assert numbers[part] == same[part]
    for index in (length, -length - 1):
        with pytest.raises(IndexError):
            numbers[index]


def test_only_what_is_looked_at_is_made_and_a_walk_makes_it_once() -> None:
    loader = Loader(10 * BLOCK)
    assert loader.numbers[-1] == 10 * BLOCK - 1
    assert loader.asked == [(9 * BLOCK, 10 * BLOCK)]
    loader.asked.clear()
    assert list(loader.numbers) == list(range(10 * BLOCK))
    assert loader.asked == [(n * BLOCK, (n + 1) * BLOCK) for n in range(10)]


def test_going_to_and_fro_over_a_border_makes_nothing_again() -> None:
    loader = Loader(2 * BLOCK)
    for _ in range(5):
        assert (loader.numbers[BLOCK - 1], loader.numbers[BLOCK]) == (BLOCK - 1, BLOCK)
    assert loader.asked == [(0, BLOCK), (BLOCK, 2 * BLOCK)]


def test_records_know_their_keys_and_chunks_and_so_do_some_of_them() -> None:
    pairs = [pair(f"What is {n}?", of=CHUNKS[n // 3]) for n in range(12)]
    some = records_of(pairs).only([3, 0, 11])
    assert some == [pairs[3], pairs[0], pairs[11]]
    assert some.keys == [record.key for record in some]
    assert some.chunks() == [CHUNKS[1].key, CHUNKS[0].key, CHUNKS[3].key]


def test_every_record_can_be_an_item_of_its_own() -> None:
    items = each(CHUNKS, {2: "repeats: that"})
    assert ledger(items, Overlay()) == Ledger(kept=11, rejected=1)
    assert items[2] == Item(CHUNKS[2], Outcome("rejected", (CHUNKS[2],), "repeats: that"))
    assert passing(items, Overlay()) == [*CHUNKS[:2], *CHUNKS[3:]]


# Items on disk


def kinds_of_records() -> list[tuple[Any, Any]]:
    """What went into a step and what it made of it, a pair of each kind."""
    conversation = talk(pair(answer='Two lines:\n- "a" \\ b'), greeting="Good day.")
    cast, group = conversation.cast, conversation.cast.group
    own = pair(of=CHUNKS[0])
    return [(CHUNKS[0], CHUNKS[0]), (CHUNKS[0], own), (own, own), (group, cast), (cast, conversation)]


@pytest.mark.parametrize(("given", "made"), kinds_of_records(), ids=lambda record: type(record).__name__)
def test_a_record_comes_back_from_disk_as_it_was(store: Store, given: Any, made: Any) -> None:
    verdict = Verdict(
        "accuracy", False, (Vote("accuracy", None, "unusable"), Vote("accuracy", False, "wrong"))
    )
    outcome = Outcome("rejected", (made,), "accuracy: wrong", (verdict,))

    async def work(record: Any) -> Outcome:
        return outcome

    step = Step("judge", "m", work)
    (item,) = run(carry_out(step, [given], store))
    assert item == Item(given, outcome) == at_rest(step, [given], store)[0]
    assert item.outcome.records[0].key == made.key
    assert unpacked(given, packed(made)) == made


def test_no_step_makes_groups_or_takes_conversations() -> None:
    with pytest.raises(AssertionError, match="no step makes a Group"):
        packed(Group((pair(),)))
    with pytest.raises(AssertionError, match="no step takes a Conversation"):
        unpacked(talk(pair()), {})


def test_what_is_known_of_items_takes_no_look_at_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(store, {record: Outcome("kept", (pair(of=record),)) for record in CHUNKS}, "write")
    for name in ("rows", "records"):
        monkeypatch.setattr(store, name, None)
    items = on_disk("write", "other", CHUNKS, store)
    assert (ledger(items, Overlay()), older(items)) == (Ledger(kept=12), 12)
    after = on_disk("vet", "m", passing(items, Overlay()), store)
    assert after.inputs.keys == [pair(of=record).key for record in CHUNKS]
    assert after.inputs.chunks() == [record.key for record in CHUNKS]


def test_a_key_that_was_kept_is_not_worked_out_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    items = kept(store, {record: Outcome("kept", (pair(of=record),)) for record in CHUNKS}, "write")
    monkeypatch.setattr("generation_functions.records.content_key", None)
    assert [record.key for record in items.made] == list(items.made.keys)


def test_the_items_of_a_step_stay_as_they_were_when_it_is_done_again(store: Store) -> None:
    first = kept(store, {CHUNKS[0]: Outcome("failed", reason="Undecided: 1 of 3")})
    second = kept(store, {CHUNKS[0]: Outcome("kept", (CHUNKS[0],))})
    assert (first[0].outcome.reason, second[0].outcome.status) == ("Undecided: 1 of 3", "kept")


def test_items_can_be_looked_at_after_their_run_was_closed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        items = kept(store, {record: Outcome("kept", (pair(of=record),), "so") for record in CHUNKS}, "write")
    assert [item.outcome.reason for item in items] == ["so"] * 12
    assert passing(items, Overlay())[5] == pair(of=CHUNKS[5])


def test_items_of_a_run_that_was_replaced_are_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        items = kept(store, {record: Outcome("kept", (record,)) for record in CHUNKS})
    (tmp_path / "run.db").unlink()
    with Store(tmp_path) as store:
        kept(store, {record: Outcome("kept", (record,)) for record in reversed(CHUNKS)})
    with pytest.raises(RunError, match="holds another run by now than the one that this batch is of"):
        items[0]
    with pytest.raises(RunError, match="holds another run by now"):
        items.made[0]


def test_a_row_without_the_keys_of_what_was_made_is_read_for_them(store: Store) -> None:
    pairs = (pair(of=CHUNKS[0]), pair("What else?", of=CHUNKS[0]))
    row = row_of(Step("write", "m", _no_work), CHUNKS[0], Outcome("kept", pairs))
    store.put_item("write", replace(row, made=None))
    items = on_disk("write", "m", CHUNKS[:1], store)
    assert (items.made.keys, items.made) == ([own.key for own in pairs], pairs)


# A stamp


def stamps(store: Store, inputs: Records, overlay: Overlay) -> list[str]:
    items = on_disk("write", "m", inputs, store)
    return [items.made.stamp, passing(items, overlay).stamp, each(items.made).made.stamp]


def test_a_stamp_changes_with_what_it_stands_for(store: Store) -> None:
    pairs = {record: (pair(of=record), pair("What else?", of=record)) for record in CHUNKS}
    kept(store, {record: Outcome("kept", made) for record, made in pairs.items()}, "write")
    inputs = Records([record.key for record in CHUNKS], lambda start, stop: CHUNKS[start:stop], "texts")
    first, again = (stamps(store, inputs, Overlay()) for _ in range(2))
    assert first == again
    assert all(first)
    own = pairs[CHUNKS[0]][0]
    ruled = stamps(store, inputs, Overlay.of([Act("write", own.key, "reject")]))
    assert (ruled[0], ruled[1] == first[1]) == (first[0], False)
    kept(store, {CHUNKS[0]: Outcome("kept", pairs[CHUNKS[0]], "made anew")}, "write")
    assert not set(first) & set(stamps(store, inputs, Overlay()))
    inputs.stamp = "other texts"
    assert not {*first, *ruled} & set(stamps(store, inputs, Overlay()))


def test_without_a_stamp_of_the_inputs_there_is_none(store: Store) -> None:
    kept(store, {CHUNKS[0]: Outcome("kept", (CHUNKS[0],))})
    assert stamps(store, records_of(CHUNKS), Overlay()) == ["", "", ""]


# People's acts over an item


def item(status: Status, *records: Any) -> Item:
    return Item(CHUNKS[0], Outcome(status, records))


ONE, OTHER = pair(), pair("What did a ton cost in 1869?", "12 pounds.")
EDIT = Act("vet", ONE.key, "edit", (("answer", "Water."),))
CASES: list[tuple[Status, list[Act], list[str]]] = [
    ("kept", [], ["Salt draws water out of it.", "12 pounds."]),
    ("rejected", [], []),
    ("failed", [Act("vet", ONE.key, "accept")], []),
    ("pending", [Act("vet", ONE.key, "accept")], []),
    ("kept", [Act("vet", ONE.key, "reject")], ["12 pounds."]),
    ("rejected", [Act("vet", ONE.key, "accept")], ["Salt draws water out of it."]),
    ("kept", [EDIT], ["Water.", "12 pounds."]),
    ("rejected", [EDIT], ["Water."]),
    ("kept", [EDIT, Act("vet", ONE.key, "reject")], ["12 pounds."]),
    ("rejected", [EDIT, Act("vet", ONE.key, "undo")], []),
    ("kept", [Act("vet", ONE.key, "flag")], ["Salt draws water out of it.", "12 pounds."]),
]


@pytest.mark.parametrize(("status", "acts", "answers"), CASES)
def test_what_goes_on_is_what_people_left_of_it(status: Status, acts: list[Act], answers: list[str]) -> None:
    overlay = Overlay.of(acts)
    assert [record.answer for record in passing([item(status, ONE, OTHER)], overlay)] == answers


def test_an_item_of_which_nothing_is_left_counts_as_rejected() -> None:
    overlay = Overlay.of([Act("vet", ONE.key, "reject")])
    assert item("kept", ONE).status(overlay) == "rejected"
    assert item("kept", ONE, OTHER).status(overlay) == "kept"
    assert item("rejected", ONE).status(Overlay.of([Act("vet", ONE.key, "accept")])) == "kept"


def test_an_edit_changes_the_record_and_leaves_the_generated_one_as_it_was() -> None:
    changed = edited(ONE, Overlay.of([EDIT]))
    assert (changed.answer, changed.question, ONE.answer) == (
        "Water.",
        ONE.question,
        "Salt draws water out of it.",
    )
    assert changed.key != ONE.key


def test_an_edit_of_a_turn_changes_that_turn_alone() -> None:
    conversation: Conversation = talk(ONE, OTHER)
    overlay = Overlay.of([Act("converse", conversation.key, "edit", (("turn 2", "It draws water."),))])
    texts = [turn.text for turn in edited(conversation, overlay).turns]
    assert texts == [ONE.question, "It draws water.", OTHER.question, OTHER.answer]


def drawn(draw: random.Random) -> tuple[dict[Chunk, Outcome], Overlay]:
    """Outcomes of all kinds for some chunks, and acts on some of the pairs in them."""
    outcomes: dict[Chunk, Outcome] = {}
    acts: list[Act] = []
    for n in range(150):
        record = chunk(f"Sentence {n} of {draw.random()}.")
        status = draw.choice(["kept", "rejected", "failed"])
        pairs = tuple(Pair(record, f"What is {m}?", f"It is {n}.") for m in range(draw.randint(0, 3)))
        outcomes[record] = Outcome(status, () if status == "failed" else pairs, f"because of {n}")
        for own in pairs:
            kind = draw.choice(["edit", "accept", "reject", "flag", "undo", *["none"] * 5])
            changes = (("answer", f"{n} by hand"),) if kind == "edit" else ()
            acts += [Act("write", own.key, kind, changes)] if kind != "none" else []  # type: ignore[arg-type]
    return outcomes, Overlay.of(acts)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("acted", [False, True])
def test_items_on_disk_are_the_same_as_items_in_memory(store: Store, seed: int, acted: bool) -> None:
    draw = random.Random(seed)
    outcomes, overlay = drawn(draw)
    overlay = overlay if acted else Overlay()
    made_by = {record: draw.choice(["m", "older"]) for record in outcomes}
    for record, outcome in outcomes.items():
        store.put_item("write", row_of(Step("write", made_by[record], _no_work), record, outcome))
    inputs = [*outcomes, chunk("Nothing was made of it.")]
    there = on_disk("write", "m", inputs, store)
    here = [Item(r, outcomes[r], made_by[r] == "older") for r in outcomes] + [
        Item(inputs[-1], Outcome("pending"))
    ]
    assert there == here
    assert list(statuses(there, overlay)) == statuses(here, overlay)
    assert ledger(there, overlay) == ledger(here, overlay)
    assert older(there) == older(here)
    assert made_keys(there, overlay.keys) == made_keys(here, overlay.keys)
    assert list(holding(there, overlay.keys)) == list(holding(here, overlay.keys))
    went, goes = passing(there, overlay), passing(here, overlay)
    assert went == goes
    assert list(went.keys) == list(goes.keys) == [record.key for record in goes]
    assert list(went.chunks()) == list(goes.chunks()) == [chunk_of(record).key for record in goes]


def test_votes_of_other_items_take_the_place_of_an_items_own(store: Store) -> None:
    items = kept(store, {record: Outcome("kept", (record,), "own") for record in CHUNKS})
    verdict = Verdict("check_accuracy", True, (Vote("check_accuracy", True, "so"),))
    shown = items.with_votes({3: Item(CHUNKS[0], Outcome("rejected", (), "edited by hand", (verdict,)))})
    assert [own.outcome.reason for own in shown] == ["own"] * 3 + ["edited by hand"] + ["own"] * 8
    assert (shown[3].outcome.verdicts, shown[3].outcome.records) == ((verdict,), (CHUNKS[3],))
    assert ledger(shown, Overlay()) == Ledger(kept=12)
