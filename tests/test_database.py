"""run.db as a file: an older one is brought up to date whole or not at all, and what is written reaches the disk."""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from scripted import Project

from generation_functions import database
from generation_functions.database import VERSION
from generation_functions.engine import Completion, Message
from generation_functions.errors import RunError
from generation_functions.records import Act
from generation_functions.store import Call, CallKey, Found, Origin, Row, Store

# A run of version 1

VERSION_1 = """
create table calls (
    stage text, input text, draw integer, attempt integer, made_by text, model text, seed integer,
    prompt text, question text, text text, finish text, problem text,
    prompt_tokens integer, cached_tokens integer, completion_tokens integer, seconds real, at real,
    primary key (stage, input, draw, attempt, made_by)
) without rowid;
create table prompts (version text primary key, stage text, shared text) without rowid;
create table items (
    step text, key text, status text, reason text, records text, verdicts text, made_by text, at real,
    primary key (step, key)
) without rowid;
create table acts (number integer primary key, step text, key text, kind text, changes text, at real);
pragma user_version = 1;
"""
CALL = Call(
    *(CallKey("check_accuracy", "83ad10", 1), "5c0f", "gemma", 7, "Text: ..."),
    *(Completion("Reason: it does", "stop", 1204, 1130, 14, 0.31), "Truncated: it stopped"),
)
ROW = Row("9e41", "rejected", "accuracy: no", [{"question": "Q?"}], [{"check": "a", "votes": []}], "5c0f")


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """A run's folder with one call, item and act in a run.db of version 1."""
    with closing(sqlite3.connect(tmp_path / "run.db")) as db, db:
        db.executescript(VERSION_1)
        call = ("check_accuracy", "83ad10", 1, 0, "5c0f", "gemma", 7, "v1", "Text: ...", "Reason: it does")
        rest = ("stop", "Truncated: it stopped", 1204, 1130, 14, 0.31, 1.0)
        db.execute(f"insert into calls values ({', '.join('?' * 17)})", (*call, *rest))
        db.execute("insert into prompts values ('v1', 'check_accuracy', 'You compare.')")
        records, verdicts = json.dumps(ROW.records), json.dumps(ROW.verdicts)
        item = ("vet", ROW.key, ROW.status, ROW.reason, records, verdicts, ROW.made_by, 1.0)
        db.execute(f"insert into items values ({', '.join('?' * 8)})", item)
        db.execute("insert into acts values (7, 'vet', '9e41', 'edit', '[[\"answer\",\"In 1869.\"]]', 2.0)")
    return tmp_path


def tables(folder: Path) -> tuple[int, set[str]]:
    with closing(sqlite3.connect(folder / "run.db")) as db:
        version = db.execute("pragma user_version").fetchone()[0]
        return version, {
            name for (name,) in db.execute("select name from sqlite_master where type = 'table'")
        }


@pytest.mark.parametrize("readonly", [False, True])
def test_a_run_of_version_1_has_all_that_it_had(old_run: Path, readonly: bool) -> None:
    with Store(old_run, readonly=readonly) as store:
        assert store.calls("check_accuracy", "83ad10", 1) == [CALL]
        assert store.rows([1]) == {1: ROW}
        assert store.found("vet", ["9e41"]) == {"9e41": Found(1, "rejected", "5c0f", None)}
        assert store.acts() == [Act("vet", "9e41", "edit", (("answer", "In 1869."),), 7)]
        (used,) = store.usage()
        assert (used["calls"], used["unusable"], used["prompt_tokens"], used["cost"]) == (1, 1, 1204, 0)
        assert store._rows("select shared from prompts") == [('[["system","You compare."]]',)]


def test_a_run_of_version_1_is_changed_in_place_when_it_is_written(old_run: Path) -> None:
    for _ in range(2):
        with Store(old_run) as store:
            store.add_call(CALL, "v1", [Message("system", "You compare well.")])
            assert store.add_act(Act("vet", "9e41", "undo")).number > 7
            assert store.calls("check_accuracy", "83ad10", 1) == [CALL]
    fresh = old_run / "fresh"
    Store(fresh).close()
    assert tables(old_run) == tables(fresh) == (VERSION, tables(fresh)[1])


def test_a_run_of_version_1_is_left_alone_when_it_is_only_read(old_run: Path) -> None:
    before = (old_run / "run.db").read_bytes()
    with Store(old_run, readonly=True) as store, pytest.raises(sqlite3.OperationalError, match="readonly"):
        store.add_act(Act("vet", "a", "flag"))
    assert (old_run / "run.db").read_bytes() == before
    assert {file.name for file in old_run.iterdir()} == {"run.db"}


def test_a_change_that_breaks_off_leaves_a_run_of_version_1_as_it_was(
    old_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = database.FROM_VERSION_1
    monkeypatch.setattr(database, "FROM_VERSION_1", whole + "insert into nowhere values (1);")
    with pytest.raises(RunError, match="run.db stays as it is, as it cannot be .* 3: no such table: nowhere"):
        Store(old_run)
    monkeypatch.setattr(database, "FROM_VERSION_1", whole)
    assert tables(old_run) == (1, {"calls", "prompts", "items", "acts"})
    with Store(old_run) as store:
        assert store.rows([1]) == {1: ROW}


OLDER = """
create table old_calls as select stage, input, draw, attempt, made_by, model, seed, prompt, question, text, finish,
    problem, prompt_tokens, cached_tokens, completion_tokens, seconds, at from calls;
create table old_prompts as select version, stage, json_extract(shared, '$[0][1]') from prompts;
create table old_items as select step, key, status, reason, records, verdicts, made_by, at from latest;
create table old_acts as select * from acts;
drop view asked; drop view latest;
"""


def made_older(file: Path) -> None:
    """The run as version 1 would have it."""
    with closing(sqlite3.connect(file)) as db:
        db.executescript(OLDER)
        known = "select name from sqlite_master where type = 'table' and name not glob 'old_*'"
        for (name,) in db.execute(known).fetchall():
            db.execute(f"drop table {name}")
        db.executescript(VERSION_1)
        for name in ("calls", "prompts", "items", "acts"):
            db.execute(f"insert into {name} select * from old_{name}")
            db.execute(f"drop table old_{name}")
        db.commit()


@pytest.mark.parametrize("readonly", [False, True])
def test_a_finished_run_of_version_1_is_still_finished(finished: Project, readonly: bool) -> None:
    with finished.open() as wb:
        wb.edit(wb.standalone()[0], answer="By hand.")
        wb.run()
        before = [batch.records for batch in wb.status()]
    made_older(finished.run / "run.db")
    with finished.open(readonly=readonly) as wb:
        assert [batch.records for batch in (wb.status() if readonly else wb.run())] == before
        assert finished.engine.asked == []


# A run of version 2


def made_second(file: Path) -> None:
    """The run as version 2 would have it, which knew no weights."""
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("alter table calls drop column weights")
        db.execute("pragma user_version = 2")


@pytest.fixture
def second_run(tmp_path: Path) -> Path:
    with Store(tmp_path) as store:
        store.add_call(CALL, "v1", ())
    made_second(tmp_path / "run.db")
    return tmp_path


@pytest.mark.parametrize("readonly", [False, True])
def test_a_run_of_version_2_has_all_that_it_had(second_run: Path, readonly: bool) -> None:
    with Store(second_run, readonly=readonly) as store:
        assert store.calls("check_accuracy", "83ad10", 1) == [CALL]
        assert store.usage()[0]["calls"] == 1
    assert tables(second_run)[0] == (2 if readonly else VERSION)


def test_a_run_of_version_2_keeps_weights_when_it_is_written(second_run: Path) -> None:
    completion = replace(CALL.completion, weights={"Yes": 0.9, "No": 0.1})
    weighed = replace(CALL, key=CallKey("check_accuracy", "83ad10", 2), completion=completion)
    with Store(second_run) as store:
        store.add_call(weighed, "v1", ())
    for readonly in (True, False):
        with Store(second_run, readonly=readonly) as store:
            assert store.calls("check_accuracy", "83ad10", 2) == [weighed]


@pytest.mark.parametrize("readonly", [False, True])
def test_a_finished_run_of_version_2_is_still_finished(finished: Project, readonly: bool) -> None:
    with finished.open() as wb:
        before = [batch.records for batch in wb.status()]
    made_second(finished.run / "run.db")
    with finished.open(readonly=readonly) as wb:
        assert [batch.records for batch in (wb.status() if readonly else wb.run())] == before
        assert finished.engine.asked == []


# How what is written reaches the disk


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Semaphore]:
    """Released once for each time that a file was brought to the disk."""
    done, fsync = threading.Semaphore(0), os.fsync

    def counted(file: int) -> None:
        fsync(file)
        done.release()

    monkeypatch.setattr(os, "fsync", counted)
    yield done


def test_what_was_written_is_brought_to_the_disk_without_being_asked(
    tmp_path: Path, synced: threading.Semaphore
) -> None:
    with Store(tmp_path) as store:
        for draw in range(3):
            store.add_call(Call(CallKey("a", "b", draw), "m", "n", 1, "q", Completion("t", "stop")), "v", ())
            assert synced.acquire(timeout=60)


def test_an_act_is_on_the_disk_when_it_was_taken(
    tmp_path: Path, synced: threading.Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SYNC_SECONDS", 60)
    with Store(tmp_path) as store:
        store.put_item("vet", ROW)
        assert not synced.acquire(blocking=False)
        store.add_act(Act("vet", "9e41", "accept"))
        assert synced.acquire(blocking=False)


def test_a_disk_that_fails_stops_the_next_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def broken(file: int) -> None:
        failed.set()
        raise OSError(5, "Input/output error")

    store = Store(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        store.put_item("vet", ROW)
        assert failed.wait(timeout=60)
        assert store._log and store._log._thread
        store._log._thread.join()
    with pytest.raises(RunError, match="run.db cannot be brought to the disk: .* Input/output error"):
        store.put_item("vet", ROW)
    store.close()


def test_a_thread_that_is_told_to_end_just_when_it_wakes_up_ends(tmp_path: Path) -> None:
    class Unlucky(threading.Event):
        def clear(self) -> None:
            log._closing.set()
            self.set()
            super().clear()

    with Store(tmp_path) as store:
        assert store._log
        log = store._log
        log._written = Unlucky()
        store.put_item("vet", ROW)
        assert log._thread
        log._thread.join(timeout=60)
        assert not log._thread.is_alive()


def test_the_log_begins_anew_although_somebody_always_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "SYNC_SECONDS", 60)  # the thread does not come in between
    log = tmp_path / "run.db-wal"
    with Store(tmp_path) as store, closing(sqlite3.connect(tmp_path / "run.db")) as db:
        assert store._log
        for _ in range(10):
            for _ in range(50):
                store.put_item("vet", ROW)
            store._log._checkpoint(db)
            store.put_item("vet", ROW)
        assert log.stat().st_size < 3 * 50 * 4 * 4096
        assert (tmp_path / "run.db").stat().st_size > 50 * 10 * 100


def test_killing_is_no_reason_to_lose_what_the_log_alone_has(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.put_item("vet", ROW)
        copy = tmp_path / "copy"  # what a kill would leave at this moment
        copy.mkdir()
        for name in ("run.db", "run.db-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with Store(copy) as store:
        assert store.rows([1]) == {1: ROW}


def test_who_asks_is_kept_with_the_call(tmp_path: Path) -> None:
    origin = Origin("vet", "9e41", "1c9f")
    call = Call(CallKey("a", "b"), "m", "n", 1, "q", Completion("t", "stop"), origin=origin, cost=0.5)
    with Store(tmp_path) as store:
        store.add_call(call, "v", ())
    with Store(tmp_path) as store:
        assert store.calls("a", "b", 0) == [call]


class ClosedMeanwhile(threading.Event):
    """An event whose log is closed between the wait for it and its clearing."""

    def __init__(self, closing: threading.Event) -> None:
        super().__init__()
        self._closing = closing

    def clear(self) -> None:
        self._closing.set()
        self.set()
        super().clear()


def test_a_log_that_is_closed_while_it_reaches_the_disk_ends(tmp_path: Path) -> None:
    with Store(tmp_path / "run") as store:
        assert store._log is not None
        store._log._written = ClosedMeanwhile(store._log._closing)
        store.add_act(Act("vet", "a key", "accept"))
        thread = store._log._thread
        assert thread is not None
        thread.join(5)
        ended = not thread.is_alive()
        store._log._written.set()  # lets it go where it does not
    assert ended
