"""The records of a step one by one, for a person to look at and to rule on: the kernel's side of the review view.

    review = Review(vetted, store)
    review.handle({"op": "page", "offset": 0, "limit": 50, "find": {"status": "rejected"}, "sort": "disagreement"})
    # {"rows": [{"n": 12, "title": "Why is ...?", "status": "rejected", "votes": [5, 1, 0], ...}], "total": 11, ...}
    review.handle({"op": "act", "n": 12, "kind": "edit", "changes": {"answer": "..."}, "version": 0})
    # {"saved": {"number": 4, "kind": "edit"}, "item": {...}, "counts": {...}}

A row is a record that the step made, or an input of which it has made nothing. Every message is JSON-able, in and out,
and answered at any time from any thread. An act is on the disk when its answer comes; one on something that has changed
since it was seen is refused. It knows nothing of widgets.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import acts, detail, export, spreadsheet
from .batch import Batch
from .errors import RunError, WorkbenchError
from .items import BLOCK, Item, Items, edited
from .lookup import Index
from .overlay import Overlay, standing
from .records import ACTS, Act, Status
from .store import Store

PAGE = 50  # rows
QUIET_SECONDS = 0.5  # after a message, as others follow it
LISTS = 8  # of rows that match something, remembered for those who turn pages in them
AT_ONCE = 2_000  # rows that are looked through before the first answer; more are in the background
NOTHING = array("I", [2**32 - 1])[0]  # the record of a row that has none

STATUSES = ("pending", "kept", "rejected", "failed")
RULED = {"accept": "accepted", "reject": "rejected"}

Reply = dict[str, Any]
Message = Mapping[str, Any]


class Review:
    """A step's records and what people do to them; `changed` is called when other messages' answers are out of date.

    The batch is the step's whole one. Raises RunError for a step whose records nobody can rule on.
    """

    def __init__(self, batch: Batch, store: Store) -> None:
        if not isinstance(batch.items, Items) or batch.name in NOT_HERE:
            raise RunError(NOT_HERE.get(batch.name, f"{batch.name} is not the whole batch of its step"))
        self.batch, self._store = batch, store
        self.changed: Callable[[], None] = lambda: None
        self.begin: Reply = {"find": {}, "n": None}
        self._items: Items = batch.items
        self._lock = threading.RLock()
        self._acting = 0  # the thread on which a message is answered
        self._item_of, self._record_of = _rows(self._items)
        self._first: dict[str, int] = {}
        self._others: dict[str, list[int]] = {}  # of the few keys that several rows have
        for n in range(len(self)):
            if self._first.setdefault(self._key(n), n) != n:
                self._others.setdefault(self._key(n), []).append(n)
        self._acts: list[Act] = []
        self._overlay = Overlay()
        self._versions: dict[str, int] = {}
        self._edited: set[str] = set()  # at any time: their texts may be others with each act
        self._last_act = 0
        self._status: list[Status] = [self._status_of(n) for n in range(len(self))]
        self._statuses: Counter[str] = Counter(self._status)
        self._found: dict[tuple[Any, ...], list[int]] = {}  # of what views asked for last
        self._index = Index(len(self), self._seen)
        store.listeners.add(self)
        self._asked = 0.0  # when the last message came or was answered
        self._looking: threading.Thread | None = None
        self._take_acts()
        if len(self) <= AT_ONCE:
            self._index.look(range(len(self)))

    def __len__(self) -> int:
        return len(self._item_of)

    def handle(self, message: Message) -> Reply:
        """The answer to a message of the view: what it asked for, `refused`, or `error` with one line."""
        self._asked = time.monotonic()
        try:
            answer = self._OPS[message["op"]]
            with self._lock, self._act_of_own():
                if not self._store.readonly:
                    self._take_acts()
                return answer(self, message)
        except _Later as later:
            return {"refused": str(later), "later": True}
        except WorkbenchError as error:
            return {"error": str(error)}
        except (sqlite3.Error, OSError) as error:
            return {"error": f"the run cannot be written: {error}"}
        except (KeyError, IndexError, TypeError, ValueError) as error:
            return {"error": f"the view asked for what there is not: {type(error).__name__}: {error}"}
        finally:
            self._asked = time.monotonic()
            self._look_on()

    def place(self, find: Mapping[str, str], key: str = "") -> Reply:
        """What a view is to begin with: a filter, and the row of that key where there is one."""
        return {"find": dict(find), "n": self._first.get(key)}

    def heard(self, acts: Sequence[Act]) -> None:
        """Acts came, from here or from elsewhere."""
        own = any(act.step == self.batch.name for act in acts)
        if own and threading.get_ident() != self._acting:
            self.changed()

    def to_csv(self, file: str | Path) -> Path:
        """All of the batch with the acts of this moment as a spreadsheet; Workbench.import_edits takes it back."""
        overlay = self._store.overlay(self.batch.name)
        return spreadsheet.write(Path(file), replace(self.batch, overlay=overlay))

    @contextmanager
    def _act_of_own(self) -> Iterator[None]:
        self._acting = threading.get_ident()
        try:
            yield
        finally:
            self._acting = 0

    # What can be asked

    def _open(self, message: Message) -> Reply:
        editable = any(export.editable(record) for record in self._items.made[:1])
        can = [kind for kind in ACTS if kind != "edit" or editable]
        return {
            "step": self.batch.name,
            "what": detail.what(self._items.made[:1]),
            "can": [] if self._store.readonly else can,
            "page": PAGE,
            "notes": list(self.batch.notes),
            "begin": self.begin,
        }

    def _page(self, message: Message) -> Reply:
        """Later pages are of the list as the first one had it, so that acting on its rows moves no other."""
        offset, find, sort = int(message["offset"]), dict(message["find"]), message["sort"]
        asked = (*sorted(find.items()), sort)
        if offset == 0 or asked not in self._found:
            self._found.pop(asked, None)
            self._found[asked] = self._matching(find, sort)
            self._found = dict(list(self._found.items())[-LISTS:])
        matching = self._found[asked]
        if message.get("around") in matching:
            offset = matching.index(message["around"]) // int(message["limit"]) * int(message["limit"])
        rows = [self._row(n) for n in matching[offset : offset + int(message["limit"])]]
        return {"rows": rows, "offset": offset, "total": len(matching), "counts": self.counts()}

    def _facets(self, message: Message) -> Reply:
        """None until all rows were looked at; `changed` is called then."""
        done = self._index.done == 1
        return {**(self._index.facets() if done else NO_FACETS), "done": done}

    def _item(self, message: Message) -> Reply:
        return {"item": self._whole(self._n(message))}

    def _act(self, message: Message) -> Reply:
        n, kind, changes = self._n(message), message["kind"], message.get("changes") or {}
        newer = [act for act in self._acts if act.key == self._key(n) and act.number > message["version"]]
        ruled_alike = kind in RULED and all(act.kind == kind for act in newer)
        if newer and ruled_alike:  # on another row of the same record
            return {"saved": {"number": newer[-1].number, "kind": kind}, **self._now(n)}
        if newer:
            return self._refused(n, "it has been changed elsewhere since you saw it")
        if self._was_redone(n):
            return self._refused(
                n, f"{self.batch.name} has made it anew since; run this cell again to see it"
            )
        if kind == "undo" and not self._standing(self._key(n)):
            return self._refused(n, "nothing has been done to it that could be undone")
        return {**self._saved(n, kind, changes), **self._now(n)}

    def _was_redone(self, n: int) -> bool:
        """Whether the step has made something else of the row's input since this view was opened."""
        key = self._items.inputs.keys[self._item_of[n]]
        found = self._store.found(self.batch.name, [key]).get(key)
        if found is None or found.made is None:
            return False
        return self._key(n) not in found.made if self._has_record(n) else bool(found.made)

    def _now(self, n: int) -> Reply:
        """The row as it is after an act on it; `also` has the others of the same record, which are two by chance."""
        also = [self._row(other) for other in self._rows_of(self._key(n)) if other != n]
        return {"item": self._whole(n), "also": also, "counts": self.counts()}

    def _undo(self, message: Message) -> Reply:
        """The last act that stands is taken back, whoever did it and when."""
        left = [act for act in standing(self._acts) if act.key in self._first]
        if not left:
            return {"refused": "there is nothing to undo"}
        n = self._first[left[-1].key]
        return {**self._saved(n, "undo", {}), "n": n, **self._now(n)}

    def _bulk(self, message: Message) -> Reply:
        matching = self._matching(dict(message["find"]), "order")
        wanted = [n for n in matching if self._has_record(n)]
        if len(matching) != message["count"]:
            refusal = f"{len(matching)} match now, not {message['count']}"
            return {"refused": refusal, "counts": self.counts()}
        keys = dict.fromkeys(self._key(n) for n in wanted)
        unflagged = [key for key in keys if message["kind"] != "flag" or key not in self._overlay.flags]
        self._store.add_acts([self._made(key, message["kind"]) for key in unflagged])
        self._take_acts()
        return {"saved": {"kind": message["kind"], "count": len(unflagged)}, "counts": self.counts()}

    _OPS: Mapping[str, Callable[[Review, Message], Reply]] = {
        "open": _open,
        "page": _page,
        "facets": _facets,
        "item": _item,
        "act": _act,
        "undo": _undo,
        "bulk": _bulk,
    }

    # What people did

    def _saved(self, n: int, kind: str, changes: Mapping[str, str]) -> Reply:
        if not self._has_record(n):
            raise RunError(f"this one is {self._status[n]}: {self.batch.name} has made nothing of it yet")
        own = acts.checked(self._record(n), changes) if kind == "edit" else ()
        act = self._store.add_act(self._made(self._key(n), kind, own))
        self._take_acts()
        return {"saved": {"number": act.number, "kind": kind}}

    def _made(self, key: str, kind: str, changes: tuple[tuple[str, str], ...] = ()) -> Act:
        known = next((own for own in ACTS if own == kind), None)
        if known is None:
            raise RunError(f"{kind} is no act")
        return Act(self.batch.name, key, known, changes)

    def _refused(self, n: int, why: str) -> Reply:
        return {"refused": why, "item": self._whole(n), "counts": self.counts()}

    def _take_acts(self) -> None:
        """Look at the acts that came since the last look, from here or from elsewhere."""
        found = self._store.acts(self._last_act)
        self._last_act = found[-1].number if found else self._last_act
        new = [act for act in found if act.step == self.batch.name]
        if not new:
            return
        self._acts += new
        self._overlay = Overlay.of(self._acts)
        for act in new:
            self._versions[act.key] = act.number
        for key in dict.fromkeys(act.key for act in new):
            edited_too = key in self._edited or key in self._overlay.edits
            for n in self._rows_of(key):
                self._statuses[self._status[n]] -= 1
                self._status[n] = self._status_of(n)
                self._statuses[self._status[n]] += 1
                kept = self._items.statuses[self._item_of[n]] == "kept"
                self._index.rule(n, rejected_by_hand=kept and self._status[n] == "rejected")
                self._index.look([n] if edited_too else ())
        self._edited.update(self._overlay.edits)

    def counts(self) -> dict[str, int]:
        return {
            "all": len(self),
            **{status: self._statuses[status] for status in STATUSES},
            "edited": self._here(self._overlay.edits),
            "flagged": self._here(self._overlay.flags),
            "split": self._index.split,
        }

    def _here(self, keys: Sequence[str] | Any) -> int:
        return sum(len(self._rows_of(key)) for key in keys)

    def _rows_of(self, key: str) -> list[int]:
        first = self._first.get(key)
        return [] if first is None else [first, *self._others.get(key, ())]

    def _standing(self, key: str) -> list[Act]:
        return standing([act for act in self._acts if act.key == key])

    # Rows

    def _n(self, message: Message) -> int:
        n = int(message["n"])
        if not 0 <= n < len(self):
            raise IndexError(n)
        return n

    def _has_record(self, n: int) -> bool:
        return self._record_of[n] != NOTHING and self._status[n] in ("kept", "rejected")

    def _key(self, n: int) -> str:
        record = self._record_of[n]
        return (
            self._items.inputs.keys[self._item_of[n]] if record == NOTHING else self._items.made.keys[record]
        )

    def _record(self, n: int) -> Any:
        """The record as it was generated; the input where nothing was."""
        record = self._record_of[n]
        return self._items.inputs[self._item_of[n]] if record == NOTHING else self._items.made[record]

    def _version(self, n: int) -> int:
        return self._versions.get(self._key(n), 0)

    def _status_of(self, n: int) -> Status:
        status = self._items.statuses[self._item_of[n]]
        if status in ("failed", "pending") or self._record_of[n] == NOTHING:
            return status
        return "kept" if self._overlay.lets_go_on(self._key(n), status) else "rejected"

    def _row(self, n: int) -> Reply:
        key = self._key(n)
        marks = ["edited"] * (key in self._overlay.edits)
        marks += [RULED[ruling] for ruling in [self._overlay.ruling.get(key)] if ruling]
        marks += ["flagged"] * (key in self._overlay.flags) + ["older"] * self._items.older[self._item_of[n]]
        return {
            "n": n,
            "title": self._index.title(n),
            "status": self._status[n],
            "marks": marks,
            "votes": self._index.votes(n),
            "made": self._has_record(n),
            "version": self._version(n),
        }

    def _whole(self, n: int) -> Reply:
        item, record, key = self._items[self._item_of[n]], self._record(n), self._key(n)
        stands = edited(record, self._overlay)
        now, voted_on = self._overlay.edits.get(key), self.batch.overlay.edits.get(key)
        stale = "edited since it was voted on: run the step again for votes on the text as it is now"
        reasons = [item.outcome.reason, stale if now != voted_on and item.outcome.verdicts else ""]
        return {
            **self._row(n),
            "key": key,
            "reason": detail.shown("; ".join(filter(None, reasons))),
            "fields": detail.fields(record, stands, made=self._has_record(n)),
            "texts": [detail.text(stands)],
            "beside": detail.beside(record),
            "verdicts": detail.verdicts(item.outcome),
            "history": self._history(key),
        }

    def _history(self, key: str) -> list[Reply]:
        own = [act for act in self._acts if act.key == key]
        stands = {act.number for act in standing(own)}
        return [
            {
                "number": act.number,
                "kind": act.kind,
                "when": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(act.at)),
                "what": ", ".join(name for name, _ in act.changes),
                "stands": act.number in stands,
            }
            for act in own
        ]

    # Finding

    def _seen(self, n: int) -> tuple[Item, Any]:
        """What the index looks at of a row."""
        return self._items[self._item_of[n]], edited(self._record(n), self._overlay)

    def _look_on(self) -> None:
        """Look at all rows from now on, which began when somebody first asked something."""
        if self._index.done < 1 and self._looking is None:
            self._looking = threading.Thread(target=self._build, name="gristmill-review", daemon=True)
            self._looking.start()

    def _build(self) -> None:
        """Beside everything else: whoever asks waits for one block at most and has the kernel for a while then.

        It rests as long as it works, as a kernel that is never idle is slow to hear.
        """
        for start in range(0, len(self), BLOCK):
            while (left := self._asked + QUIET_SECONDS - time.monotonic()) > 0:
                time.sleep(left)
            began = time.monotonic()
            with _LOOKING, self._lock:
                self._index.look(range(start, min(start + BLOCK, len(self))))
            time.sleep(time.monotonic() - began)
        self.changed()

    def _matching(self, find: Mapping[str, str], sort: str) -> list[int]:
        rows: Sequence[int] = range(len(self))
        status = find.get("status") or "all"
        if status in STATUSES:
            rows = [n for n in rows if self._status[n] == status]
        elif status in ("edited", "flagged"):
            keys = self._overlay.edits if status == "edited" else self._overlay.flags
            rows = sorted(n for key in keys for n in self._rows_of(key))
        elif status not in ("all", "split"):
            raise RunError(f"there is no status {status!r}")
        wanted = {name: find[name] for name in ("check", "source", "reason", "text") if find.get(name)}
        if wanted or status == "split" or sort == "disagreement":
            if self._index.done < 1:
                raise _Later(f"all rows are read first; {self._index.done:.0%} of them have been")
            rows = self._index.matching(rows, wanted, split=status == "split")
        if sort == "disagreement":
            return sorted(rows, key=self._index.disagreement)
        return list(rows)


class _Later(Exception):
    """Why something cannot be told yet."""


_LOOKING = threading.Lock()  # two reviews at once would take longer than one after the other
NO_FACETS: Reply = {"checks": [], "sources": [], "reasons": []}
NOT_HERE = {
    "chunks": "chunks are ruled on where they are judged: wb.review(wb.judge())",
    "distinct": "the pairs of distinct are ruled on where they come from: wb.review(wb.standalone())",
}


def _rows(items: Items) -> tuple[array[int], array[int]]:
    """Of each row the place of its item, and that of its record among all that were made."""
    item_of, record_of = array("I"), array("I")
    begin = 0
    for place, end in enumerate(items.ends):
        for record in range(begin, end) if end > begin else (NOTHING,):
            item_of.append(place)
            record_of.append(record)
        begin = end
    return item_of, record_of
