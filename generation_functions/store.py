"""run.db: everything a run has bought, made and been told, in one SQLite file.

Three tables carry it. `calls` is the journal: a row for each answer of a model, committed the moment it
comes. `items` holds what a step made of each input; a row is never changed, the latest one counts. `acts` is what
people did, append-only; `Overlay` is how acts are laid over what was generated.

    calls   stage=check_accuracy input=83ad10.. draw=1 attempt=0 step=vet item=9e41.. chunk=1c9f.. text="Reason: ..."
    items   step=vet key=9e41.. status=kept chunk=1c9f.. pairs=["9e41.."] made=["b07d.."] records=[{...}]
    acts    number=7 step=vet key=9e41.. kind=edit changes=[["answer", "In 1869."]]

Keys lead from a chunk to its pairs, their votes and their conversations. `latest` are the items that count, `asked`
says of each call who asked for it, and `pairs` are those that an input holds:

    select vet.key pair, calls.stage, calls.text vote, talk.records conversation
    from latest vet join asked on asked.chunk = vet.chunk and asked.step = 'vet' and asked.item = vet.key
    join calls on calls.id = asked.call
    join json_each(vet.made) vetted join latest alone
        on alone.step = 'standalone' and alone.chunk = vet.chunk and alone.key = vetted.value
    join json_each(alone.made) pair
    left join latest talk on talk.step = 'converse' and talk.chunk = vet.chunk
        and pair.value in (select value from json_each(talk.pairs))
    where vet.step = 'vet' and vet.chunk = '1c9f04e2ab37d100'

One process writes a run; a second one is told who holds it. The file knows nothing of steps' meaning or of
prompts.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from .database import Log, hold, opened
from .engine import Completion, Message
from .errors import RunError
from .overlay import Overlay
from .records import Act, Status


@dataclass(frozen=True, slots=True)
class CallKey:
    """Which answer it is: `input` is the key of the item's values, `draw` the vote, `attempt` the try at it."""

    stage: str
    input: str
    draw: int = 0
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asks: the step, the key of its input and the key of that one's chunk; "" where it is not known."""

    step: str = ""
    item: str = ""
    chunk: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A journalled answer; `problem` says why it could not be used, "" if it could. `cost` is in the currency of the
    configuration's prices.
    """

    key: CallKey
    made_by: str
    model: str
    seed: int
    question: str
    completion: Completion
    problem: str = ""
    origin: Origin = Origin()
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """An item as it is kept: records and verdicts are JSON-able.

    `made` are the keys of the records, None where a run of version 1 does not say; `chunk` is the key of the input's
    chunk, `pairs` those of the pairs that the input holds.
    """

    key: str
    status: Status
    reason: str
    records: list[Any]
    verdicts: list[Any]
    made_by: str
    made: tuple[str, ...] | None = None
    chunk: str = ""
    pairs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of an item before it is read; `id` is the number of its row."""

    id: int
    status: Status
    made_by: str
    made: tuple[str, ...] | None


class Listener(Protocol):
    """Who wants to know of acts."""

    def heard(self, acts: Sequence[Act]) -> None: ...


class Store:
    """The open run.db of one run folder; as a context manager it closes itself.

    What was written is committed when the call returns: no kill loses it. An act is on the disk by then, everything
    else a twentieth of a second later.
    """

    def __init__(self, folder: Path, *, readonly: bool = False) -> None:
        """Open the run, or start it. Raises RunError when it is not ours, of another version, or held."""
        self.folder, self.readonly = folder, readonly
        self._file = folder / "run.db"
        self._lock = threading.RLock()  # the step's thread writes while the notebook's reads
        self._prompts: set[str] = set()  # versions whose messages this process has written
        self.listeners: WeakSet[Listener] = WeakSet()
        self._holder = None if readonly else hold(folder)
        try:
            self._db = opened(self._file, readonly)
            self._log = None if readonly else Log(self._file, self._lock)
        except BaseException:
            self.release()
            raise
        self._is_open = True

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None
        with self._lock:
            self._is_open = False
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
        rows = self._rows(_CALLS, (stage, input, draw))
        return [_call(row) for row in rows if made_by in (None, row[4])]

    def add_call(self, call: Call, prompt_version: str, shared: Sequence[Message]) -> None:
        """Journal an answer; `shared` are the messages before the question, which all calls of that prompt have."""
        if prompt_version not in self._prompts:
            messages = _json([[message.role, message.content] for message in shared])
            prompt = (prompt_version, call.key.stage, messages)
            self._write("insert or replace into prompts values (?, ?, ?)", prompt)
            self._prompts.add(prompt_version)
        key, got, origin = call.key, call.completion, call.origin
        values = (
            *(key.stage, key.input, key.draw, key.attempt, call.made_by),
            *(origin.step, origin.item, origin.chunk, call.model, call.seed, prompt_version),
            *(got.prompt_tokens, got.cached_tokens, got.completion_tokens, got.seconds, call.cost),
            *(time.time(), got.finish, call.problem, call.question, got.text),
            _json(got.weights) if got.weights else "",
        )
        self._write(_ADD_CALL, values)

    def add_use(self, stage: str, input: str, draw: int, origin: Origin) -> None:
        """Note that an item asked what had been asked before and was given the same answers."""
        values = (origin.chunk, origin.step, origin.item, stage, input, draw)
        self._write("insert or ignore into uses values (?, ?, ?, ?, ?, ?)", values)

    def usage(self) -> list[dict[str, Any]]:
        """Calls, unusable calls, tokens, seconds and cost of each stage and model."""
        rows = self._rows(f"select {', '.join(_USAGE)} from usage order by began, stage")
        return [dict(zip(_USAGE, row, strict=True)) for row in rows]

    def used(self, chunks: Sequence[str]) -> list[tuple[float, ...]]:
        """Calls, tokens of prompts, from the cache and of answers, cost and seconds of what was bought for each
        chunk.
        """
        return self._rows(
            """select count(calls.id), total(prompt_tokens), total(cached_tokens), total(completion_tokens),
            total(cost), total(seconds) from json_each(?) wanted left join calls on chunk = wanted.value
            group by wanted.id order by wanted.id""",
            (_json(chunks),),
        )

    @property
    def last_call(self) -> int:
        """The number of the call that came last; another one when there are more."""
        return int(self._rows("select coalesce(max(id), 0) from calls")[0][0])

    @property
    def last_call_at(self) -> float:
        """When the last call came, in seconds since 1970; 0 without any."""
        return float(
            self._rows("select coalesce(max(at), 0) from (select at from calls order by id desc limit 1)")[0][
                0
            ]
        )

    def answered(self) -> Iterator[Answered]:
        """Every call whose answer could be used, by stage and question, read a row at a time."""
        query = f"select {_ANSWERED} from calls call join prompts on version = prompt where problem = '' {_IN_ORDER}"
        return (_answered(row) for row in self._stream(query))

    def preferred(self) -> Iterator[tuple[Answered, str, str]]:
        """Every answer that could not be used, why, and the first later one to the same prompt that could."""
        query = f"""select {_ANSWERED}, call.problem, good.text, min(good.attempt) from calls call
            join calls good using (stage, input, draw, prompt) join prompts on version = call.prompt
            where call.problem <> '' and good.problem = '' and good.attempt > call.attempt
            and trim(call.text, char(9, 10, 13, 32)) <> '' group by call.id {_IN_ORDER}"""
        return ((_answered(row), row[-3], row[-2]) for row in self._stream(query))

    # Items

    def put_item(self, step: str, row: Row) -> None:
        values = (
            *(step, row.key, row.status, row.made_by, None if row.made is None else _json(row.made)),
            *(row.chunk, _json(row.pairs), time.time(), row.reason, _json(row.records), _json(row.verdicts)),
        )
        self._write("insert into items values (null, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def found(self, step: str, keys: Sequence[str]) -> dict[str, Found]:
        """Those of the keys that the step has items of."""
        rows = self._rows(
            """select items.key, items.id, status, made_by, made from json_each(?) wanted
            join items on step = ? and items.key = wanted.value order by items.id""",
            (_json(keys), step),
        )
        return {
            key: Found(id, status, made_by, None if made is None else tuple(json.loads(made)))
            for key, id, status, made_by, made in rows
        }

    def rows(self, ids: Sequence[int]) -> dict[int, Row]:
        rows = self._rows(
            """select items.id, items.key, status, reason, records, verdicts, made_by, made, chunk, pairs
            from json_each(?) wanted join items on items.id = wanted.value""",
            (_json([*ids]),),
        )
        return {row[0]: _row(row[1:]) for row in rows}

    def reasons(self, ids: Sequence[int]) -> dict[int, tuple[str, str, list[Any]]]:
        """The rows' keys, reasons and verdicts, which are what people look at beside the records."""
        query = """select items.id, items.key, reason, verdicts
            from json_each(?) wanted join items on items.id = wanted.value"""
        rows = self._rows(query, (_json([*ids]),))
        return {id: (key, reason, json.loads(verdicts)) for id, key, reason, verdicts in rows}

    def records(self, ids: Sequence[int]) -> dict[int, tuple[str, list[Any]]]:
        """The rows' keys and records, which is all that the next step needs of them."""
        query = "select items.id, items.key, records from json_each(?) wanted join items on items.id = wanted.value"
        rows = self._rows(query, (_json([*ids]),))
        return {id: (key, json.loads(records)) for id, key, records in rows}

    def made_of(self, step: str, chunks: Collection[str]) -> set[str]:
        """Those of the chunks of which the step ever made anything."""
        query = (
            "select distinct chunk from items where step = ? and chunk in (select value from json_each(?))"
        )
        return {row[0] for row in self._rows(query, (step, _json(sorted(chunks))))}

    # Acts

    def acts(self, after: int = 0) -> list[Act]:
        """What people did, in its order; what came after the act with that number."""
        query = "select step, key, kind, changes, number, at from acts where number > ? order by number"
        return [
            Act(step, key, kind, tuple(map(tuple, json.loads(changes))), number, at)
            for step, key, kind, changes, number, at in self._rows(query, (after,))
        ]

    def add_act(self, act: Act) -> Act:
        """Keep an act, on the disk when this returns; gives it back with its number."""
        return self.add_acts([act])[0]

    def add_acts(self, acts: Sequence[Act]) -> list[Act]:
        """Keep all of them or none, as `add_act` does; a thousand take hardly longer than one."""
        now, kept = time.time(), []
        with self._lock:
            self.be_open()
            with self._db:
                self._db.execute("begin immediate")
                for act in acts:
                    values = (act.step, act.key, act.kind, _json(act.changes), now)
                    number = self._db.execute(_ADD_ACT, values).lastrowid or 0
                    kept.append(replace(act, number=number, at=now))
        if self._log is not None and kept:
            self._log.wrote()
            self._log.sync()
        for listener in list(self.listeners) if kept else ():
            listener.heard(kept)
        return kept

    def overlay(self, step: str) -> Overlay:
        """What people did to the records that `step` made."""
        return Overlay.of([act for act in self.acts() if act.step == step])

    # Chunks, which take longer to cut than to read

    def cut(self, source: str, of: str) -> range | None:
        """The numbers of the chunks that a source was cut into; `of` is the key of its text and how it was cut."""
        rows = self._rows("select first, count from cuts where source = ? and of = ?", (source, of))
        return range(rows[0][0], sum(rows[0])) if rows else None

    def add_cut(self, source: str, of: str, chunks: Sequence[tuple[str, int, Any]]) -> range:
        """Keep what `cut` and `chunks` give, all or nothing: key, `repeat` and JSON-able sentences of each chunk."""
        self.be_open()
        with self._lock, self._db:
            self._db.execute("begin immediate")
            [(last,)] = self._db.execute("select coalesce(max(id), 0) from chunks")
            rows = ((last + n, key, repeat, _json(data)) for n, (key, repeat, data) in enumerate(chunks, 1))
            self._db.executemany("insert into chunks values (?, ?, ?, ?)", rows)
            cut = (source, of, last + 1, len(chunks))
            self._db.execute("insert or replace into cuts values (?, ?, ?, ?)", cut)
        if self._log is not None:
            self._log.wrote()
        return range(last + 1, last + 1 + len(chunks))

    def chunk_keys(self, ids: range) -> list[str]:
        query = "select key from chunks where id >= ? and id < ? order by id"
        return [key for (key,) in self._rows(query, (ids.start, ids.stop))]

    def chunks(self, ids: Sequence[int]) -> dict[int, tuple[str, int, Any]]:
        query = """select chunks.id, chunks.key, repeat, sentences
            from json_each(?) wanted join chunks on chunks.id = wanted.value"""
        rows = self._rows(query, (_json([*ids]),))
        return {id: (key, repeat, json.loads(sentences)) for id, key, repeat, sentences in rows}

    # What has been worked out and need not be again

    def state(self, name: str) -> str:
        """What was last set under that name, "" when nothing was."""
        rows = self._rows("select state from states where name = ?", (name,))
        return str(rows[0][0]) if rows else ""

    def set_state(self, name: str, state: str) -> None:
        self._write("insert or replace into states values (?, ?)", (name, state))

    def remembered(self, name: str, stamp: str, make: Callable[[], Any]) -> Any:
        """What `make` gave under that stamp, JSON-able; it is asked when that is not known, or the stamp is ""."""
        known, _, value = self.state(name).partition(" ")
        if stamp and known == stamp:
            return json.loads(value)
        made = make()
        if stamp and not self.readonly and self._is_open:
            self.set_state(name, f"{stamp} {_json(made)}")
        return made

    def be_open(self) -> None:
        """Raises RunError when it was closed."""
        if not self._is_open:
            raise RunError(f"{self.folder} was closed; run the set-up cell to open it again")

    # How it is read and written

    def _write(self, query: str, values: tuple[Any, ...]) -> int:
        """Commit one change; gives the number of the row that it made."""
        with self._lock:
            self.be_open()
            number = self._db.execute(query, values).lastrowid
        if self._log is not None:
            self._log.wrote()
        return number or 0

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with self._lock:
            if self._is_open:
                return self._db.execute(query, values).fetchall()
        return list(self._stream(query, values))  # a batch that is looked at after its workbench was closed

    def _stream(self, query: str, values: tuple[Any, ...] = ()) -> Iterator[Any]:
        """The rows one by one, as they stand when the first is read; nobody waits for the reader."""
        with closing(opened(self._file, readonly=True)) as db:
            yield from db.execute(query, values)


@dataclass(frozen=True, slots=True)
class Answered:
    """A journalled answer and what it was asked: `shared`, the stage's messages as role and text, then `question`."""

    stage: str
    model: str
    origin: Origin
    shared: list[list[str]]
    question: str
    text: str


_CALLS = """select stage, input, draw, attempt, made_by, model, seed, question, problem, step, item, chunk, cost,
    weights, text, finish, prompt_tokens, cached_tokens, completion_tokens, seconds
    from calls where stage = ? and input = ? and draw = ? order by attempt, id"""
_ADD_ACT = "insert into acts (step, key, kind, changes, at) values (?, ?, ?, ?, ?)"
_ADD_CALL = f"insert or ignore into calls values (null, {', '.join('?' * 22)})"
_USAGE = (
    *("stage", "model", "calls", "unusable", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("seconds", "cost"),
)
_ANSWERED = "call.stage, call.model, call.step, call.item, call.chunk, shared, call.question, call.text"
_IN_ORDER = "order by call.stage, call.input, call.draw, call.attempt, call.made_by"


def _call(row: Sequence[Any]) -> Call:
    made_by, model, seed, question, problem, step, item, chunk, cost, weights = row[4:14]
    key, origin = CallKey(*row[:4]), Origin(step, item, chunk)
    completion = replace(Completion(*row[14:]), weights=json.loads(weights) if weights else {})
    return Call(key, made_by, model, seed, question, completion, problem, origin, cost)


def _answered(row: Sequence[Any]) -> Answered:
    stage, model, step, item, chunk, shared, question, text = row[:8]
    return Answered(stage, model, Origin(step, item, chunk), json.loads(shared), question, text)


def _row(row: Sequence[Any]) -> Row:
    key, status, reason, records, verdicts, made_by, made, chunk, pairs = row
    keys = None if made is None else tuple(json.loads(made))
    return Row(
        *(key, status, reason, json.loads(records), json.loads(verdicts), made_by, keys, chunk),
        tuple(json.loads(pairs)),
    )


def _json(value: Any) -> str:
    return _encode(value)


_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":")).encode
