"""run.db: what is written is there when the call returns, whoever kills the process; one process writes."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import ROOT

from generation_functions import store as store_module
from generation_functions.database import VERSION
from generation_functions.engine import Completion, Message
from generation_functions.errors import RunError
from generation_functions.overlay import Overlay
from generation_functions.records import Act
from generation_functions.store import Call, CallKey, Found, Origin, Row, Store

KEY = CallKey("check_accuracy", "83ad10", draw=1)


SHARED = (
    Message("system", "You compare."),
    Message("user", "Text: a"),
    Message("assistant", "Reason: it does"),
)
ORIGIN = Origin("vet", "9e41", "1c9f")


def call(
    key: CallKey = KEY,
    text: str = "Reason: it does",
    made_by: str = "5c0f",
    problem: str = "",
    origin: Origin = ORIGIN,
) -> Call:
    completion = Completion(text, "stop", 1204, 1130, 14, 0.31)
    return Call(key, made_by, "gemma", 7, "Text: ...", completion, problem, origin, cost=0.25)


def held_by_another(folder: Path, after: str = "") -> subprocess.Popen[str]:
    """A process that has the run open, does what `after` says and waits."""
    code = (
        "import sys, pathlib\nfrom generation_functions.store import *\nfrom generation_functions.records import Act\n"
        f"store = Store(pathlib.Path(sys.argv[1]))\n{after}\nprint('ready', flush=True)\ninput()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


# The journal


def test_a_call_comes_back_as_it_was_bought(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(text='odd: \u2028 "\\ \x00 😀'), "v1", SHARED)
        assert store.calls("check_accuracy", "83ad10", 1) == [call(text='odd: \u2028 "\\ \x00 😀')]
        assert store.calls("check_accuracy", "83ad10", 0) == []
        assert store.calls("check_question", "83ad10", 1) == []


def test_the_weights_of_answers_come_back_with_the_call(tmp_path: Path) -> None:
    weighed = replace(call(), completion=Completion("Yes", "stop", weights={"Yes": 0.93, "No": 0.07}))
    with Store(tmp_path) as store:
        store.add_call(weighed, "v1", SHARED)
    with Store(tmp_path) as store:
        assert store.calls("check_accuracy", "83ad10", 1) == [weighed]


def test_calls_come_in_the_order_of_their_attempts(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for attempt in (2, 0, 1):
            store.add_call(call(CallKey("a", "b", 0, attempt), text=str(attempt)), "v1", ())
        assert [c.completion.text for c in store.calls("a", "b", 0)] == ["0", "1", "2"]


def test_calls_of_one_maker_can_be_asked_for(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(made_by="old"), "v1", ())
        store.add_call(call(made_by="new"), "v2", ())
        assert [c.made_by for c in store.calls("check_accuracy", "83ad10", 1, "new")] == ["new"]
        assert len(store.calls("check_accuracy", "83ad10", 1)) == 2


def test_usage_counts_calls_tokens_and_what_could_not_be_used(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(), "v1", ())
        store.add_call(call(CallKey("check_accuracy", "83ad10", 2), problem="Truncated"), "v1", ())
        (row,) = store.usage()
    assert (row["stage"], row["model"], row["calls"], row["unusable"]) == ("check_accuracy", "gemma", 2, 1)
    assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == (2408, 2260, 28)
    assert row["cost"] == 0.5


def test_the_same_call_twice_is_kept_and_counted_once(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(), "v1", SHARED)
        store.add_call(call(text="another"), "v1", SHARED)
        assert store.calls("check_accuracy", "83ad10", 1) == [call()]
        assert [row["calls"] for row in store.usage()] == [1]


def test_what_was_bought_for_each_chunk_is_told_in_their_order(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for draw, chunk in enumerate(["c1", "c2", "c1"]):
            store.add_call(call(CallKey("a", "b", draw), origin=Origin("vet", "p", chunk)), "v1", ())
        assert store.used(["c2", "none", "c1"]) == [
            (1, 1204, 1130, 14, 0.25, 0.31),
            (0, 0, 0, 0, 0, 0),
            (2, 2408, 2260, 28, 0.5, 0.62),
        ]


def test_one_query_leads_from_a_chunk_to_its_pairs_their_votes_and_their_conversations(
    tmp_path: Path,
) -> None:
    query = "    select vet.key pair" + (store_module.__doc__ or "").partition("select vet.key pair")[2]
    walk = query.partition("\n\n")[0].replace("'1c9f04e2ab37d100'", "?")
    with Store(tmp_path) as store:
        for step, key, made, pairs in [
            ("write", "c1", ("p1", "p2"), ()),
            ("vet", "p1", ("p1",), ("p1",)),
            ("vet", "p2", (), ("p2",)),  # failed first
            ("vet", "p2", ("p3",), ("p2",)),  # rewritten
            ("standalone", "p1", ("p4",), ("p1",)),  # reworded
            ("standalone", "p3", ("p3",), ("p3",)),
            ("converse", "t1", ("v1",), ("p4",)),
        ]:
            row = Row(key, "kept", "", [{"turns": step}], [], "m", made, "c1", pairs)
            store.put_item(step, row)
        for draw, item in enumerate(["p1", "p1", "p2"]):
            vote = call(CallKey("check_accuracy", item, draw), text=f"{item} {draw}")
            store.add_call(replace(vote, origin=Origin("vet", item, "c1")), "v1", SHARED)
        store.add_use("check_accuracy", "p1", 1, Origin("vet", "p2", "c1"))  # p2 was given a vote of p1's
        found = {(row[0], row[2], row[3] is not None) for row in store._rows(walk, ("c1",))}
        assert store._rows(walk, ("c2",)) == []
    assert found == {
        ("p1", "p1 0", True),
        ("p1", "p1 1", True),
        ("p2", "p1 1", False),
        ("p2", "p2 2", False),
    }


def test_who_asked_again_is_noted_once(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(), "v1", SHARED)
        for _ in range(2):
            store.add_use("check_accuracy", "83ad10", 1, Origin("vet", "b07d", "1c9f"))
        asked = store._rows("select step, item, chunk from asked order by item")
        assert asked == [("vet", "9e41", "1c9f"), ("vet", "b07d", "1c9f")]


# The calls as rows


def test_answers_come_in_the_order_of_their_questions_with_the_messages_before_them(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for key in (CallKey("b", "1"), CallKey("a", "2", 1), CallKey("a", "2", 0)):
            store.add_call(call(key, text=f"{key.stage}{key.draw}"), f"{key.stage}1", SHARED)
        store.add_call(call(CallKey("a", "1"), problem="Truncated: it stopped"), "a1", SHARED)
        found = list(store.answered())
    assert [one.text for one in found] == ["a0", "a1", "b0"]
    assert found[0].shared == [[message.role, message.content] for message in SHARED]
    assert (found[0].origin, found[0].model, found[0].question) == (ORIGIN, "gemma", "Text: ...")


ATTEMPTS = [  # text, problem, prompt; the attempts at one question, and what is preferred to what
    ([("x", "Unparseable", "v1"), ("y", "", "v1")], [("x", "Unparseable", "y")]),
    ([("x", "Truncated", "v1"), ("y", "Unparseable", "v1"), ("z", "", "v1"), ("w", "", "v1")],
     [("x", "Truncated", "z"), ("y", "Unparseable", "z")]),
    ([("x", "", "v1"), ("y", "Unparseable", "v1")], []),  # the better one came first
    ([("x", "Unparseable", "v1"), ("y", "", "v2")], []),  # to another prompt
    ([(" \n", "Truncated", "v1"), ("y", "", "v1")], []),  # nothing was said
]  # fmt: skip


@pytest.mark.parametrize(("attempts", "preferred"), ATTEMPTS)
def test_an_unusable_answer_stands_beside_the_usable_one_that_came_after_it(
    tmp_path: Path, attempts: list[tuple[str, str, str]], preferred: list[tuple[str, str, str]]
) -> None:
    with Store(tmp_path) as store:
        for attempt, (text, problem, prompt) in enumerate(attempts):
            key = CallKey("a", "b", 0, attempt)
            store.add_call(call(key, text, made_by=prompt, problem=problem), prompt, SHARED)
        store.add_call(call(CallKey("a", "other"), "of another question"), "v1", SHARED)
        found = [(asked.text, problem, better) for asked, problem, better in store.preferred()]
    assert found == preferred


def test_rows_are_read_while_others_are_written(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for draw in range(3):
            store.add_call(call(CallKey("a", "b", draw)), "v1", SHARED)
        rows = store.answered()
        next(rows)
        store.add_call(call(CallKey("a", "b", 3)), "v1", SHARED)
        assert len(list(rows)) == 2


# Items


def test_an_item_comes_back_as_it_was_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    first = Row("9e41", "failed", "Undecided: 1 of 3", [], [], "5c0f")
    votes = [{"check": "a", "votes": [[None, "x"]]}]
    last = Row("9e41", "kept", "", [{"question": "Größe?\n"}], votes, "5c0f", ("b07d",), "1c9f", ("9e41",))
    with Store(tmp_path) as store:
        store.put_item("vet", first)
        store.put_item("vet", last)
        found = store.found("vet", ["9e41", "none"])
        assert found == {"9e41": Found(2, "kept", "5c0f", ("b07d",))}
        assert store.rows([2, 1]) == {1: first, 2: last}
        assert store.records([2]) == {2: ("9e41", [{"question": "Größe?\n"}])}
        assert store.found("write", ["9e41"]) == {}


def test_everything_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    process = held_by_another(
        tmp_path,
        "from generation_functions.engine import Completion\n"
        "store.add_call(Call(CallKey('a', 'b'), 'm', 'n', 1, 'q', Completion('t', 'stop')), 'v', ())\n"
        "store.put_item('vet', Row('k', 'kept', '', [], [], 'm'))\nstore.add_act(Act('vet', 'k', 'accept'))",
    )
    killed(process)
    with Store(tmp_path) as store:
        assert [c.completion.text for c in store.calls("a", "b", 0)] == ["t"]
        assert store.found("vet", ["k"])["k"].status == "kept"
        assert [act.kind for act in store.acts()] == ["accept"]


# Acts


def test_acts_are_numbered_in_their_order(tmp_path: Path) -> None:
    edit = Act("vet", "9e41", "edit", (("answer", "In 1869."),))
    with Store(tmp_path) as store:
        numbers = [store.add_act(act).number for act in (edit, Act("vet", "9e41", "undo"))]
        kept = store.acts()
    assert numbers == [1, 2] == [act.number for act in kept]
    assert (kept[0].changes, kept[1].kind) == ((("answer", "In 1869."),), "undo")


def test_edits_of_one_record_add_up() -> None:
    acts = [
        Act("vet", "a", "edit", (("question", "Q1?"), ("answer", "A1."))),
        Act("vet", "a", "edit", (("answer", "A2."),)),
        Act("vet", "b", "flag"),
    ]
    overlay = Overlay.of(acts)
    assert overlay.edits == {"a": {"question": "Q1?", "answer": "A2."}}
    assert (overlay.flags, overlay.keys) == ({"b"}, {"a", "b"})


def test_the_last_ruling_counts() -> None:
    assert Overlay.of([Act("vet", "a", "accept"), Act("vet", "a", "reject")]).ruling == {"a": "reject"}


def test_undo_takes_back_one_act_at_a_time_of_that_record_alone() -> None:
    acts = [Act("vet", "a", "accept"), Act("vet", "a", "reject"), Act("vet", "b", "reject")]
    undo = Act("vet", "a", "undo")
    assert Overlay.of([*acts, undo]).ruling == {"a": "accept", "b": "reject"}
    assert Overlay.of([*acts, undo, undo]).ruling == {"b": "reject"}
    assert Overlay.of([*acts, undo, undo, undo]).ruling == {"b": "reject"}


# Who may open it


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A run that another process has open, with one item in it; its folder and the process's number."""
    folder = tmp_path_factory.mktemp("held")
    process = held_by_another(folder, "store.put_item('vet', Row('k', 'kept', '', [], [], 'm'))")
    yield folder, process.pid
    killed(process)


def test_a_run_that_another_process_holds_is_refused_with_its_number(held: tuple[Path, int]) -> None:
    with pytest.raises(RunError, match=f"is held by process {held[1]}: close that notebook's kernel"):
        Store(held[0])


def test_a_run_that_another_process_holds_can_be_read(held: tuple[Path, int]) -> None:
    with Store(held[0], readonly=True) as store:
        assert store.found("vet", ["k"])["k"].status == "kept"


def test_closing_lets_go_of_the_run(tmp_path: Path) -> None:
    for _ in range(2):
        with Store(tmp_path) as store:
            assert store.acts() == []


def test_reading_changes_nothing(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with Store(tmp_path, readonly=True) as store, pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.add_act(Act("vet", "a", "flag"))


def test_reading_a_run_that_is_not_there_is_an_error_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        Store(tmp_path / "none", readonly=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_run_of_a_later_version_is_refused_as_it_is(tmp_path: Path, readonly: bool) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "run.db") as db:
        db.execute(f"pragma user_version = {VERSION + 1}")
    db.close()
    with pytest.raises(RunError, match=f"of version {VERSION + 1}; this is version {VERSION}"):
        Store(tmp_path, readonly=readonly)


def foreign_database(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("create table songs (title text)")
    db.commit()
    db.close()


def no_database(file: Path) -> None:
    file.write_text("this is a diary\n" * 100)


@pytest.mark.parametrize("make", [foreign_database, no_database])
@pytest.mark.parametrize("readonly", [False, True])
def test_a_file_that_is_no_run_is_refused_and_left_as_it_is(tmp_path: Path, make, readonly: bool) -> None:
    make(tmp_path / "run.db")
    before = (tmp_path / "run.db").read_bytes()
    with pytest.raises(RunError, match="not a run of Gristmill"):
        Store(tmp_path, readonly=readonly)
    assert (tmp_path / "run.db").read_bytes() == before


def test_a_refused_run_is_not_held(tmp_path: Path) -> None:
    foreign_database(tmp_path / "run.db")
    with pytest.raises(RunError, match="not a run of Gristmill"):
        Store(tmp_path)
    os.remove(tmp_path / "run.db")
    Store(tmp_path).close()


def test_a_folder_that_cannot_be_made_is_one_readable_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written: Not a directory"):
        Store(tmp_path / "file" / "run")


def test_a_database_that_cannot_be_opened_is_one_readable_error(tmp_path: Path) -> None:
    (tmp_path / "run.db").mkdir()
    with pytest.raises(RunError, match="run.db cannot be opened: unable to open database file"):
        Store(tmp_path)


def test_a_folder_with_odd_characters_holds_a_run(tmp_path: Path) -> None:
    folder = tmp_path / "50% of #1 is it? [é]"
    with Store(folder) as store:
        store.add_act(Act("vet", "a", "flag"))
    assert {path.name for path in folder.iterdir()} == {"run.db", "run.lock"}
    with Store(folder, readonly=True) as store:
        assert len(store.acts()) == 1


# Chunks and what else has been worked out


def test_a_cut_is_found_again_by_its_source_and_its_text(tmp_path: Path) -> None:
    sentences = [["Salt keeps.", 0, 11, True], ["It is old.", 12, 22, False]]
    with Store(tmp_path) as store:
        first = store.add_cut("a.txt", "of1", [("k1", 0, sentences), ("k2", 1, [])])
        other = store.add_cut("b.txt", "of1", [("k3", 0, [])])
        assert (
            (store.cut("a.txt", "of1"), store.cut("b.txt", "of1"))
            == (first, other)
            == (range(1, 3), range(3, 4))
        )
        assert (store.cut("a.txt", "of2"), store.cut("c.txt", "of1")) == (None, None)
        assert store.chunk_keys(first) == ["k1", "k2"]
        assert store.chunks([2, 1]) == {1: ("k1", 0, sentences), 2: ("k2", 1, [])}


def test_what_was_worked_out_is_remembered_while_its_stamp_is_the_same(tmp_path: Path) -> None:
    made = iter(range(10))
    with Store(tmp_path) as store:
        given = [store.remembered("n", stamp, lambda: [next(made)]) for stamp in ("a", "a", "b", "", "")]
        assert given == [[0], [0], [1], [2], [3]]
    with Store(tmp_path, readonly=True) as store:
        assert store.remembered("n", "b", lambda: "unknown") == [1]
        assert store.remembered("n", "c", lambda: "not kept") == "not kept"


def test_a_closed_run_can_still_be_read(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put_item("vet", Row("k", "kept", "", [], [], "m"))
    assert store.found("vet", ["k"])["k"].status == "kept"
    with pytest.raises(RunError, match="was closed; run the set-up cell"):
        store.add_act(Act("vet", "k", "accept"))
