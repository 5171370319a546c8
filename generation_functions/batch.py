"""A step's items as the notebook shows them.

A batch is a sequence of the records that go on to the next step. It shows itself: as an escaped HTML table
with its ledger, reasons and votes where HTML is shown, as text elsewhere. It changes nothing.

    vetted                      # the table
    vetted.show("rejected")     # those rejected, each with its reason and its votes
    vetted[0].question
"""

from __future__ import annotations

import html
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from .items import (
    Item,
    Items,
    Lazy,
    Records,
    edited,
    ledger,
    made_keys,
    older,
    overlay_key,
    passing,
    statuses,
)
from .overlay import Overlay
from .records import Cast, Chunk, Conversation, Group, Ledger, Pair, Status, content_key

ROWS = 20  # rows of a table that nobody asked for more of
WIDTH = 100  # columns of a line of text
SHORT = 300  # characters of a cell before the rest is folded away


@dataclass(frozen=True)
class Batch(Sequence[Any]):
    """What the step `name` made. `notes` are for people: what is older, which acts no longer fit."""

    name: str
    items: Sequence[Item]
    overlay: Overlay = field(default_factory=Overlay)
    notes: tuple[str, ...] = ()
    rows: int = ROWS
    run: str = ""  # the folder of the run that it is of

    @cached_property
    def passing(self) -> Records:
        """The records that go on to the next step, each made when it is looked at."""
        return passing(self.items, self.overlay)

    @property
    def records(self) -> list[Any]:
        """The records that go on to the next step, all of them in memory."""
        return list(self.passing)

    @cached_property
    def ledger(self) -> Ledger:
        return ledger(self.items, self.overlay)

    @property
    def stamp(self) -> str:
        """Another one when anything that the batch shows has changed; "" where that would take looking at all."""
        if not isinstance(self.items, Items) or not self.items.made.stamp:
            return ""
        return content_key(self.items.made.stamp, overlay_key(self.overlay))

    @property
    def older(self) -> int:
        """How many items other prompts, models or settings made."""
        return older(self.items)

    @property
    def lost(self) -> int:
        """How many records people did something to that are not here any more."""
        return len(self.overlay.keys - made_keys(self.items, self.overlay.keys))

    def __getitem__(self, index: Any) -> Any:
        return self.passing[index]

    def __len__(self) -> int:
        return len(self.passing)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.passing)

    def of_status(self, *wanted: Status) -> Lazy:
        """The items of these statuses."""
        places = [n for n, status in enumerate(statuses(self.items, self.overlay)) if status in wanted]
        return Lazy(len(places), lambda start, stop: [self.items[place] for place in places[start:stop]])

    def show(self, status: Status | None = None, rows: int = ROWS) -> Batch:
        """The same batch, cut down to the items of one status; `rows` of them are shown."""
        items = self.of_status(status) if status else self.items
        return replace(self, items=items, rows=rows)

    def reasons(self) -> dict[str, int]:
        """How often each reason for rejection or failure came, the part before the colon, most frequent
        first.
        """
        bad = self.of_status("rejected", "failed")
        return dict(Counter(item.outcome.reason.split(":")[0] for item in bad).most_common())

    def frame(self) -> pd.DataFrame:
        """The items as a pandas table: status, reason, and each record's own fields."""
        rows = []
        for item in self.items:
            for record in _records(item, self.overlay):
                row = {"status": item.status(self.overlay), "reason": item.outcome.reason}
                rows.append({**row, "shown": shown(record), "key": record.key})
        return pd.DataFrame(rows)

    @property
    def summary(self) -> str:
        made = len(self)
        more = f"; {made} {_what(self[:1])} made" if made != self.ledger.kept else ""
        return f"{self.name}: {self.ledger}{more}"

    def __repr__(self) -> str:
        lines = [self.summary, *(f"  note: {note}" for note in self.notes)]
        for item in self.items[: self.rows]:
            lines += [_line(item, self.overlay)]
        return "\n".join(lines + self._more())

    def _repr_html_(self) -> str:
        notes = "".join(f"<p class='gm-note'>{html.escape(note)}</p>" for note in self.notes)
        rows = "".join(_table_row(n, item, self.overlay) for n, item in enumerate(self.items[: self.rows], 1))
        more = "".join(f"<p>{html.escape(line)}</p>" for line in self._more())
        return (
            f"<div class='gm-batch'>{STYLE}<p><b>{html.escape(self.summary)}</b></p>{notes}"
            f"<table><thead><tr><th></th><th>status</th><th>what</th><th>why</th></tr></thead>"
            f"<tbody>{rows}</tbody></table>{more}</div>"
        )

    def _more(self) -> list[str]:
        left = len(self.items) - self.rows
        return [f"... and {left} more: {self.name}.show(rows={len(self.items)})"] if left > 0 else []


@dataclass(frozen=True, slots=True)
class Shown:
    """Lines of text that a notebook shows as they are."""

    text: str

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(plain(self.text))}</pre>"


class Files(dict[str, Path]):
    """Files by their name; shows itself as their paths, a line each."""

    def __repr__(self) -> str:
        return "\n".join(str(path) for path in self.values())

    def _repr_html_(self) -> str:
        return Shown(repr(self))._repr_html_()


STYLE = """<style>
.gm-batch { font-size: 13px; max-width: 1100px; color: var(--jp-content-font-color1, inherit) }
.gm-batch table { border-collapse: collapse; width: 100%; table-layout: fixed }
.gm-batch td, .gm-batch th { text-align: left !important; vertical-align: top; padding: 4px 8px;
  white-space: pre-wrap; overflow-wrap: anywhere; border-bottom: 1px solid var(--jp-border-color2, #ccc) }
.gm-batch th:nth-child(1) { width: 28px } .gm-batch th:nth-child(2) { width: 72px }
.gm-batch th:nth-child(4) { width: 34% }
.gm-batch td details { display: block; margin: 2px 0 } .gm-batch summary { cursor: pointer }
.gm-kept { color: var(--jp-success-color0, #2a7f2a) } .gm-rejected { color: var(--jp-error-color0, #b3261e) }
.gm-failed { color: var(--jp-warn-color0, #9a5b00) } .gm-note { font-style: italic }
</style>"""


def _what(records: Sequence[Any]) -> str:
    return {"Chunk": "chunks", "Pair": "pairs", "Cast": "casts", "Conversation": "conversations"}.get(
        type(records[0]).__name__ if records else "", "records"
    )


def shown(record: Any) -> str:
    """A record as text for people."""
    match record:
        case Chunk(text=text, source=source):
            return f"{text}\n({source})"
        case Pair(question=question, answer=answer, evidence=evidence):
            proof = f"  [{', '.join(map(str, evidence))}]" if evidence else ""
            return f"Q: {question}\nA: {answer}{proof}"
        case Group(pairs=pairs):
            return "\n".join(shown(pair) for pair in pairs)
        case Cast(card="", answerer=answerer, asker=asker):
            return f"{answerer} answers {asker}"
        case Cast(card=card, scenario=scenario, asker=asker):
            return f"{card}\nScenario with {asker}: {scenario}"
        case Conversation(turns=turns):
            return "\n".join(f"{turn.speaker}: {turn.text}" for turn in turns)
    return str(record)


def plain(text: str) -> str:
    """The text without what would act on a screen: escape sequences, control and direction marks."""
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else "\ufffd"
        for c in text
    )


def _records(item: Item, overlay: Overlay) -> tuple[Any, ...]:
    """What to show of an item: what goes on, else what was judged, else what went in."""
    return item.passing(overlay) or tuple(edited(r, overlay) for r in item.outcome.records) or (item.input,)


def _line(item: Item, overlay: Overlay) -> str:
    first = " ".join(plain(" | ".join(shown(r) for r in _records(item, overlay))).split())
    reason = " ".join(plain(item.outcome.reason).split())
    line = f"  {item.status(overlay):9}{first}"
    return _cut(line, WIDTH) + (f"\n           {_cut(reason, WIDTH - 11)}" if reason else "")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "\u2026"


def _table_row(number: int, item: Item, overlay: Overlay) -> str:
    status = item.status(overlay)
    acts = [kind for r in item.outcome.records for kind in _acts(r, overlay)]
    mark = f"<br>{html.escape(', '.join(acts))}" if acts else ""
    what = "<br>".join(_folded(shown(record)) for record in _records(item, overlay))
    why = _folded(item.outcome.reason) + _votes(item)
    return (
        f"<tr><td>{number}</td><td class='gm-{status}'>{status}{mark}</td><td>{what}</td><td>{why}</td></tr>"
    )


def _acts(record: Any, overlay: Overlay) -> Iterator[str]:
    if record.key in overlay.edits:
        yield "edited"
    if record.key in overlay.ruling:
        yield f"{overlay.ruling[record.key]}ed"
    if record.key in overlay.flags:
        yield "flagged"


def _folded(text: str) -> str:
    safe = html.escape(plain(text[:SHORT]))
    if len(text) <= SHORT:
        return safe
    return f"<details><summary>{safe}\u2026</summary>{html.escape(plain(text[SHORT:]))}</details>"


def _votes(item: Item) -> str:
    """One fold a check: how the votes fell, and inside each vote's reason."""
    folds = []
    marks = {True: "pass", False: "fail", None: "abstain"}
    for verdict in item.outcome.verdicts:
        counts = ", ".join(
            f"{n} {mark}" for mark, n in Counter(marks[v.passed] for v in verdict.votes).items()
        )
        reasons = "".join(
            f"<li>{marks[v.passed]}: {html.escape(plain(v.reason))}</li>" for v in verdict.votes
        )
        tone = "kept" if verdict.passed else "rejected"
        name = html.escape(verdict.check.removeprefix("check_"))
        folds.append(
            f"<details><summary class='gm-{tone}'>{name}: {counts}</summary><ul>{reasons}</ul></details>"
        )
    return "".join(folds)
