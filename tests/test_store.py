"""run.db: what is written is there when the call returns, whoever kills the process; one process writes."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import ROOT

from generation_functions.engine import Completion
from generation_functions.errors import RunError
from generation_functions.records import Act
from generation_functions.store import VERSION, Call, CallKey, Overlay, Row, Store

KEY = CallKey("check_accuracy", "83ad10", draw=1)


def call(key: CallKey = KEY, text: str = "Reason: it does", made_by: str = "5c0f", problem: str = "") -> Call:
    completion = Completion(text, "stop", 1204, 1130, 14, 0.31)
    return Call(key, made_by, "gemma", 7, "Text: ...", completion, problem)


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
        store.add_call(call(text='odd: \u2028 "\\ \x00 😀'), "v1", "You compare.")
        assert store.calls("check_accuracy", "83ad10", 1) == [call(text='odd: \u2028 "\\ \x00 😀')]
        assert store.calls("check_accuracy", "83ad10", 0) == []
        assert store.calls("check_question", "83ad10", 1) == []


def test_calls_come_in_the_order_of_their_attempts(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for attempt in (2, 0, 1):
            store.add_call(call(CallKey("a", "b", 0, attempt), text=str(attempt)), "v1", "")
        assert [c.completion.text for c in store.calls("a", "b", 0)] == ["0", "1", "2"]


def test_calls_of_one_maker_can_be_asked_for(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(made_by="old"), "v1", "")
        store.add_call(call(made_by="new"), "v2", "")
        assert [c.made_by for c in store.calls("check_accuracy", "83ad10", 1, "new")] == ["new"]
        assert len(store.calls("check_accuracy", "83ad10", 1)) == 2


def test_usage_counts_calls_tokens_and_what_could_not_be_used(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add_call(call(), "v1", "")
        store.add_call(call(CallKey("check_accuracy", "83ad10", 2), problem="Truncated"), "v1", "")
        (row,) = store.usage()
    assert (row["stage"], row["model"], row["calls"], row["unusable"]) == ("check_accuracy", "gemma", 2, 1)
    assert (row["prompt_tokens"], row["cached_tokens"], row["completion_tokens"]) == (2408, 2260, 28)


# Items


def test_an_item_comes_back_as_it_was_kept_and_the_last_one_counts(tmp_path: Path) -> None:
    first = Row("9e41", "failed", "Undecided: 1 of 3", [], [], "5c0f")
    last = Row(
        "9e41", "kept", "", [{"question": "Größe?\n"}], [{"check": "a", "votes": [[None, "x"]]}], "5c0f"
    )
    with Store(tmp_path) as store:
        store.put_item("vet", first)
        store.put_item("vet", last)
        assert store.items("vet") == {"9e41": last}
        assert store.items("write") == {}


def test_everything_is_there_after_the_process_was_killed(tmp_path: Path) -> None:
    process = held_by_another(
        tmp_path,
        "from generation_functions.engine import Completion\n"
        "store.add_call(Call(CallKey('a', 'b'), 'm', 'n', 1, 'q', Completion('t', 'stop')), 'v', 's')\n"
        "store.put_item('vet', Row('k', 'kept', '', [], [], 'm'))\nstore.add_act(Act('vet', 'k', 'accept'))",
    )
    killed(process)
    with Store(tmp_path) as store:
        assert [c.completion.text for c in store.calls("a", "b", 0)] == ["t"]
        assert store.items("vet")["k"].status == "kept"
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
        assert store.items("vet")["k"].status == "kept"


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
def test_a_run_of_another_version_is_refused_as_it_is(tmp_path: Path, readonly: bool) -> None:
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
