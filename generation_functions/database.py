"""run.db as an SQLite file: its tables, who may open it, and how what is written reaches the disk.

    holder = hold(folder)                             # RunError when another process has the run
    db = opened(folder / "run.db", readonly=False)    # made, or brought from an older version to this one
    log = Log(folder / "run.db", lock)

A commit is in the write-ahead log when it returns, so that killing the process loses nothing of it. `Log` brings it to
the disk behind the writer's back, for a power cut. What the tables mean is `store`'s to know.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from pathlib import Path

from .errors import RunError

VERSION = 3  # of the tables below; a run of a later version is refused, not guessed at
SYNC_SECONDS = 0.05  # that a commit may wait for the disk
CHECKPOINT_COMMITS = 2_000  # after which the log, of 20 to 50 MB by then, goes into the database

TABLES = """
create table calls (
    id integer primary key, stage text, input text, draw integer, attempt integer, made_by text,
    step text, item text, chunk text, model text, seed integer, prompt text,
    prompt_tokens integer, cached_tokens integer, completion_tokens integer, seconds real, cost real, at real,
    finish text, problem text, question text, text text, weights text
);
create unique index call_keys on calls (stage, input, draw, attempt, made_by);
create index call_chunks on calls (chunk);
create table usage (
    stage text, model text, calls integer, unusable integer, prompt_tokens integer, cached_tokens integer,
    completion_tokens integer, seconds real, cost real, began real, primary key (stage, model)
) without rowid;
create trigger call_counted after insert on calls begin
    insert into usage values (
        new.stage, new.model, 1, new.problem <> '', new.prompt_tokens, new.cached_tokens, new.completion_tokens,
        new.seconds, new.cost, new.at)
    on conflict do update set
        calls = calls + 1, unusable = unusable + excluded.unusable,
        prompt_tokens = prompt_tokens + excluded.prompt_tokens,
        cached_tokens = cached_tokens + excluded.cached_tokens,
        completion_tokens = completion_tokens + excluded.completion_tokens,
        seconds = seconds + excluded.seconds, cost = cost + excluded.cost;
end;
create table uses (
    chunk text, step text, item text, stage text, input text, draw integer,
    primary key (chunk, step, item, stage, input, draw)
) without rowid;
create view asked as
    select id call, step, item, chunk from calls
    union all
    select calls.id, uses.step, uses.item, uses.chunk from uses join calls using (stage, input, draw);
create table prompts (version text primary key, stage text, shared text) without rowid;
create table items (
    id integer primary key, step text, key text, status text, made_by text, made text, chunk text, pairs text, at real,
    reason text, records text, verdicts text
);
create index item_keys on items (step, key);
create index item_chunks on items (chunk);
create view latest as select * from items where not exists (
    select * from items later where later.step = items.step and later.key = items.key and later.id > items.id);
create table acts (number integer primary key, step text, key text, kind text, changes text, at real);
create table cuts (source text, of text, first integer, count integer, primary key (source, of)) without rowid;
create table chunks (id integer primary key, key text, repeat integer, sentences text);
create table states (name text primary key, state text) without rowid;
"""

# Version 1 knew no askers, no costs and no keys of what was made, and of the messages of a prompt just the text.
FROM_VERSION_1 = """
insert into calls select null, stage, input, draw, attempt, made_by, '', '', '', model, seed, prompt,
    prompt_tokens, cached_tokens, completion_tokens, seconds, 0.0, at, finish, problem, question, text, ''
    from {calls} order by at;
insert into prompts select version, stage, json_array(json_array('system', shared)) from {prompts};
insert into items select null, step, key, status, made_by, null, '', '[]', at, reason, records, verdicts
    from {items} order by at;
insert into acts select * from {acts};
"""

# Version 2 knew no weights of answers. A run of it that is only read has them in a view, which goes before the table.
FROM_VERSION_2 = "alter table calls add column weights text not null default '';"
SEEN_FROM_VERSION_2 = "create temp view calls as select *, '' weights from main.calls"

OLD_TABLES = ("calls", "prompts", "items", "acts")


def hold(folder: Path) -> int:
    """Hold the run for this process; the system lets go of it however the process ends."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        holder = os.open(folder / "run.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(holder, 32).decode() or "unknown"
        os.close(holder)
        raise RunError(
            f"{folder} is held by process {pid}: close that notebook's kernel, or open another run"
        ) from None
    os.ftruncate(holder, 0)
    os.pwrite(holder, str(os.getpid()).encode(), 0)
    return holder


def opened(file: Path, readonly: bool) -> sqlite3.Connection:
    """The database, of this version. A run of an older one is changed in place, or read as a copy if `readonly`."""
    if readonly and not file.exists():
        raise RunError(f"{file.parent} holds no run; `make run` or the notebook makes one")
    try:
        db = _connected(f"{_address(file)}?mode={'ro' if readonly else 'rwc'}")
    except sqlite3.OperationalError as error:
        raise RunError(f"{file} cannot be opened: {error}") from None
    try:
        version = _version(db, file, readonly)  # first of all: what is not ours is left as it is
        if not readonly:
            mode = db.execute("pragma journal_mode = wal").fetchone()[0]
            # With a log it is `Log` that brings a commit to the disk; some file systems have none.
            db.execute(f"pragma synchronous = {'normal' if mode == 'wal' else 'full'}")
            db.execute("pragma wal_autocheckpoint = 0")
        if version == 1:
            return _copied(file, db) if readonly else _updated(file, db, _from_version_1())
        if version == 2:
            return _seen(db) if readonly else _updated(file, db, FROM_VERSION_2)
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise RunError(f"{file} is not a run of Gristmill: {error}") from None
        raise
    return db


def _connected(address: str) -> sqlite3.Connection:
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)


def _address(file: Path) -> str:
    path = str(file.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{path}"


def _version(db: sqlite3.Connection, file: Path, readonly: bool) -> int:
    """The version of the tables, which are made where there are none."""
    version = int(db.execute("pragma user_version").fetchone()[0])
    empty = not db.execute("select count(*) from sqlite_master").fetchone()[0]
    if version == 0 and empty and not readonly:
        db.executescript(f"begin; {TABLES} pragma user_version = {VERSION}; commit;")
        return VERSION
    if not 0 < version <= VERSION:
        what = f"of version {version}; this is version {VERSION}" if version else "not a run of Gristmill"
        raise RunError(f"{file} is {what}: choose another run name or move the folder away")
    return version


def _from_version_1() -> str:
    old = {name: f"{name}_of_version_1" for name in OLD_TABLES}
    renamed = "".join(f"alter table {name} rename to {old[name]};" for name in old)
    dropped = "".join(f"drop table {name};" for name in old.values())
    return f"{renamed} {TABLES} {FROM_VERSION_1.format(**old)} {dropped}"


def _updated(file: Path, db: sqlite3.Connection, script: str) -> sqlite3.Connection:
    try:
        db.executescript(f"begin immediate; {script} pragma user_version = {VERSION}; commit;")
    except sqlite3.Error as error:  # what was begun goes when the connection does
        raise RunError(
            f"{file} stays as it is, as it cannot be brought to version {VERSION}: {error}"
        ) from None
    return db


def _seen(db: sqlite3.Connection) -> sqlite3.Connection:
    db.execute(SEEN_FROM_VERSION_2)
    return db


def _copied(file: Path, db: sqlite3.Connection) -> sqlite3.Connection:
    """A copy of this version in a temporary file, which is gone when it is closed."""
    db.close()
    copy = _connected("")
    copy.execute("attach ? as old", (f"{_address(file)}?mode=ro",))
    copied = FROM_VERSION_1.format(**{name: f"old.{name}" for name in OLD_TABLES})
    copy.executescript(f"begin; {TABLES} {copied} commit; detach old; pragma query_only = on;")
    return copy


class Log:
    """The write-ahead log of a database that this process writes under `lock`.

    A thread of its own brings it to the disk every SYNC_SECONDS at most, and now and then into the database itself,
    which would otherwise stop the writer for a tenth of a second and more.
    """

    def __init__(self, database: Path, lock: threading.RLock) -> None:
        self._database, self._lock = database, lock
        self._file = os.open(f"{database}-wal", os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._written, self._closing = threading.Event(), threading.Event()
        self._commits = 0
        self._thread: threading.Thread | None = None
        self._failure = ""

    def wrote(self) -> None:
        """Hear of a commit. Raises RunError when an earlier one could not be brought to the disk."""
        if self._failure:
            raise RunError(f"{self._database} cannot be brought to the disk: {self._failure}")
        self._commits += 1
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="gristmill-log", daemon=True)
            self._thread.start()
        if not self._written.is_set():
            self._written.set()

    def sync(self) -> None:
        """Bring it to the disk now."""
        os.fsync(self._file)

    def close(self) -> None:
        self._closing.set()
        self._written.set()
        if self._thread is not None:
            self._thread.join()
            self.sync()
        os.close(self._file)

    def _serve(self) -> None:
        with contextlib.closing(_connected(_address(self._database))) as db:
            try:
                # `close` sets both events: whoever clears the one looks at the other before it waits again.
                while (
                    not self._closing.is_set()
                    and self._written.wait()
                    and not self._closing.wait(SYNC_SECONDS)
                ):
                    self._written.clear()
                    self.sync()
                    if self._commits >= CHECKPOINT_COMMITS:
                        self._checkpoint(db)
            except (OSError, sqlite3.Error) as error:
                self._failure = str(error)

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Move the log into the database: most of it beside the writer, and what was added meanwhile without it.

        Only a log of which nothing is left begins anew; else it would grow for as long as somebody writes.
        """
        db.execute("pragma wal_checkpoint(passive)")
        with self._lock:
            self._commits = 0
            db.execute("pragma wal_checkpoint(passive)")
