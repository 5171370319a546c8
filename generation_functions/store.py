"""run.db: everything a run has bought, made and been told, in one SQLite file.

Three tables carry it. `calls` is the journal: a row for each answer of a model, committed the moment it
comes. `items` holds what a step made of each input. `acts` is what people did, append-only. Generated rows
are never changed by an act; `Overlay` is how acts are laid over them.

    calls   stage=check_accuracy input=83ad10.. draw=1 attempt=0 made_by=5c0f.. text="Reason: ..." problem=""
    items   step=vet key=9e41.. status=rejected reason="check_accuracy: ..." records=[{"question": ...}]
    acts    number=7 step=vet key=9e41.. kind=edit changes=[["answer", "In 1869."]]

One process writes a run; a second one is told who holds it. The file knows nothing of steps' meaning or of
prompts.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .engine import Completion
from .errors import RunError
from .records import Act, Status

VERSION = 1  # of the tables below; a run of another version is refused, not guessed at

TABLES = """
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
"""


@dataclass(frozen=True, slots=True)
class CallKey:
    """Which answer it is: `input` is the key of the item's values, `draw` the vote, `attempt` the try at it."""

    stage: str
    input: str
    draw: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A journalled answer; `problem` says why it could not be used, "" if it could."""

    key: CallKey
    made_by: str
    model: str
    seed: int
    question: str
    completion: Completion
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """An item as it is kept: records and verdicts are JSON-able."""

    key: str
    status: Status
    reason: str
    records: list[Any]
    verdicts: list[Any]
    made_by: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """What people's acts come to, by the key of the record that they were about.

    `edits` has the changed fields; `ruling` is "accept" or "reject"; an undone act is as if it had not been.
    """

    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ruling: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    @property
    def keys(self) -> set[str]:
        return {*self.edits, *self.ruling, *self.flags}

    @classmethod
    def of(cls, acts: list[Act]) -> Overlay:
        standing: list[Act] = []
        for act in acts:
            if act.kind != "undo":
                standing.append(act)
                continue
            last = next((a for a in reversed(standing) if a.key == act.key), None)
            if last:
                standing.remove(last)
        edits: dict[str, dict[str, str]] = {}
        ruling: dict[str, str] = {}
        flags = set()
        for act in standing:
            if act.kind == "edit":
                edits.setdefault(act.key, {}).update(act.changes)
            elif act.kind == "flag":
                flags.add(act.key)
            else:
                ruling[act.key] = act.kind
        return cls(edits, ruling, frozenset(flags))


class Store:
    """The open run.db of one run folder; as a context manager it closes itself."""

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        """Open the run, or start it. Raises RunError when it is not ours, of another version, or held."""
        self.folder = folder
        self._lock = threading.RLock()  # the step's thread writes while the notebook's reads
        self._holder = None if readonly else _hold(folder)
        try:
            self._db = _opened(folder / "run.db", readonly)
        except BaseException:
            self.release()
            raise

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self.release()

    def release(self) -> None:
        if self._holder is not None:
            os.close(self._holder)
            self._holder = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # The journal

    def calls(self, stage: str, input: str, draw: int, made_by: str | None = None) -> list[Call]:
        """The answers bought for one question, in the order of their attempts; of one maker if `made_by` is
        given.
        """
        rows = self._rows(
            "select * from calls where stage = ? and input = ? and draw = ? order by attempt, at",
            (stage, input, draw),
        )
        return [_call(row) for row in rows if made_by in (None, row["made_by"])]

    def add_call(self, call: Call, prompt_version: str, shared_prompt: str) -> None:
        """Journal an answer, durable when this returns."""
        key, got = call.key, call.completion
        values = (
            *(key.stage, key.input, key.draw, key.attempt, call.made_by, call.model, call.seed),
            *(prompt_version, call.question, got.text, got.finish, call.problem),
            *(got.prompt_tokens, got.cached_tokens, got.completion_tokens, got.seconds, time.time()),
        )
        with self._writing() as db:
            db.execute(f"insert or ignore into calls values ({', '.join('?' * len(values))})", values)
            db.execute(
                "insert or ignore into prompts values (?, ?, ?)", (prompt_version, key.stage, shared_prompt)
            )

    def usage(self) -> list[dict[str, Any]]:
        """Calls, unusable calls, tokens and seconds of each stage and model."""
        rows = self._rows(
            """select stage, model, count(*) calls, sum(problem <> '') unusable,
            sum(prompt_tokens) prompt_tokens, sum(cached_tokens) cached_tokens,
            sum(completion_tokens) completion_tokens, sum(seconds) seconds
            from calls group by stage, model order by min(at)"""
        )
        return [dict(row) for row in rows]

    # Items

    def items(self, step: str) -> dict[str, Row]:
        return {row["key"]: _row(row) for row in self._rows("select * from items where step = ?", (step,))}

    def put_item(self, step: str, row: Row) -> None:
        values = (
            *(step, row.key, row.status, row.reason),
            *(_json(row.records), _json(row.verdicts), row.made_by, time.time()),
        )
        with self._writing() as db:
            db.execute("insert or replace into items values (?, ?, ?, ?, ?, ?, ?, ?)", values)

    # Acts

    def acts(self) -> list[Act]:
        rows = self._rows("select * from acts order by number")
        return [
            Act(
                row["step"],
                row["key"],
                row["kind"],
                tuple(map(tuple, json.loads(row["changes"]))),
                row["number"],
            )
            for row in rows
        ]

    def add_act(self, act: Act) -> Act:
        """Keep an act, durable when this returns; gives it back with its number."""
        with self._writing() as db:
            cursor = db.execute(
                "insert into acts (step, key, kind, changes, at) values (?, ?, ?, ?, ?)",
                (act.step, act.key, act.kind, _json(act.changes), time.time()),
            )
        return replace(act, number=int(cursor.lastrowid or 0))

    def overlay(self, step: str) -> Overlay:
        """What people did to the records that `step` made."""
        return Overlay.of([act for act in self.acts() if act.step == step])

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._db:
            yield self._db

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _hold(folder: Path) -> int:
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


def _opened(file: Path, readonly: bool) -> sqlite3.Connection:
    if readonly and not file.exists():
        raise RunError(f"{file.parent} holds no run; `make run` or the notebook makes one")
    mode = "ro" if readonly else "rwc"
    try:
        db = sqlite3.connect(f"file:{_quoted(file)}?mode={mode}", uri=True, check_same_thread=False)
    except sqlite3.OperationalError as error:
        raise RunError(f"{file} cannot be opened: {error}") from None
    db.row_factory = sqlite3.Row
    try:
        _check_version(db, file, readonly)  # first of all: what is not ours is left as it is
        if not readonly:
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")  # an act or a bought answer survives a power cut
    except BaseException as error:
        db.close()
        if isinstance(error, sqlite3.DatabaseError):
            raise RunError(f"{file} is not a run of Gristmill: {error}") from None
        raise
    return db


def _quoted(file: Path) -> str:
    return str(file.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _check_version(db: sqlite3.Connection, file: Path, readonly: bool) -> None:
    version = db.execute("pragma user_version").fetchone()[0]
    empty = not db.execute("select count(*) from sqlite_master").fetchone()[0]
    if version == 0 and empty and not readonly:
        db.executescript(f"begin; {TABLES} pragma user_version = {VERSION}; commit;")
    elif version != VERSION:
        what = f"of version {version}; this is version {VERSION}" if version else "not a run of Gristmill"
        raise RunError(f"{file} is {what}: choose another run name or move the folder away")


def _call(row: sqlite3.Row) -> Call:
    completion = Completion(
        *(row["text"], row["finish"], row["prompt_tokens"], row["cached_tokens"]),
        *(row["completion_tokens"], row["seconds"]),
    )
    key = CallKey(row["stage"], row["input"], row["draw"], row["attempt"])
    return Call(key, row["made_by"], row["model"], row["seed"], row["question"], completion, row["problem"])


def _row(row: sqlite3.Row) -> Row:
    records, verdicts = json.loads(row["records"]), json.loads(row["verdicts"])
    return Row(row["key"], row["status"], row["reason"], records, verdicts, row["made_by"])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))
