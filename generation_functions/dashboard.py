"""A run at a glance, as the notebook shows it for `wb`: what steps let through, what was bought, why items were lost.

    board = Board("first", "role-play", batches, usage, models, notes)
    html(board)                     # from keys and statuses alone, at once whatever the size of the run
    html(board, looked(board))      # with reasons and votes, which have to be read

The HTML is whole by itself; its buttons say with data-step, data-find and data-key what they would show, for a view
that can. Whatever comes from models and files is escaped.
"""

from __future__ import annotations

import html as markup_of
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from .batch import Batch
from .detail import label
from .figures import Looked, look
from .markup import bar, counted, head, inline, number, percent
from .models import ModelState
from .report import ledger_text, usage_text

TOP = 8  # reasons
LATEST = 5  # items that failed
STATUSES = ("kept", "rejected", "failed", "pending")
STYLE = Path(__file__).parent / "widgets" / "static" / "dashboard.css"
NOT_REVIEWED = ("chunks", "distinct")

Looks = Mapping[str, Looked]


@dataclass(frozen=True, slots=True)
class Board:
    """What is shown: every step's batch as it stands on disk, `Store.usage()`, the models, and lines for people."""

    run: str
    mode: str
    batches: Sequence[Batch]
    usage: Sequence[Mapping[str, Any]]
    models: Sequence[ModelState]
    notes: Sequence[str] = ()

    def used(self, name: str) -> Any:
        """Calls, tokens and so on of all stages and models."""
        return sum(row[name] for row in self.usage)


def looked(board: Board) -> Looks:
    """Why items were lost and how votes fell, by step; reads up to 10,000 items of each."""
    return {batch.name: look(batch) for batch in board.batches if batch.name not in NOT_REVIEWED}


def text(board: Board) -> str:
    """The same for a terminal."""
    models = [f"{model.role} model: {model.name}, {model.state}" for model in board.models]
    lines = [f"run {board.run}, {board.mode}", *models, *(f"note: {note}" for note in board.notes)]
    return "\n".join([*lines, "", ledger_text(board.batches), "", usage_text(board.usage)])


def page(board: Board) -> str:
    """The HTML with its style, for where no kernel answers."""
    return f"<style>{STYLE.read_text(encoding='utf-8')}</style><div class='gm-dashboard'>{html(board)}</div>"


def html(board: Board, looks: Looks | None = None) -> str:
    parts = chain(
        _heading(board),
        _funnel(board),
        _bought(board),
        _reasons(board, looks or {}),
        _votes(looks or {}),
        _failures(board) if looks else (),
    )
    return "".join(parts)


def _heading(board: Board) -> Iterator[str]:
    yield f"<h3>Run {inline(board.run)} <small>{inline(board.mode)}</small></h3><p class='gm-now' role='status'></p>"
    for model in board.models:
        yield f"<p><b>{inline(model.role)}</b> {inline(model.name)} <small>{inline(model.state)}</small></p>"
    for note in board.notes:
        yield f"<p class='gm-note'>{inline(note)}</p>"


def _funnel(board: Board) -> Iterator[str]:
    most = max((len(batch.items) for batch in board.batches), default=0) or 1
    yield f"<table class='gm-funnel'>{head(['step', '', *STATUSES, 'goes on'])}<tbody>"
    for batch in board.batches:
        counts = {status: int(getattr(batch.ledger, status)) for status in STATUSES}
        cells = "".join(_count(batch.name, status, count) for status, count in counts.items())
        drawn = bar(counts.items(), most)
        yield (
            f"<tr><th scope='row'>{_button(batch.name, batch.name)}</th><td class='gm-drawn'>{drawn}</td>{cells}"
            f"<td>{number(len(batch))}</td></tr>"
        )
    yield "</tbody></table>"


def _count(step: str, status: str, count: int) -> str:
    if not count:
        return "<td class='gm-zero'>0</td>"
    return f"<td>{_button(number(count), step, status=status)}</td>"


def _bought(board: Board) -> Iterator[str]:
    if not board.usage:
        yield "<p>Nothing was asked of a model yet.</p>"
        return
    said = [counted(board.used("calls"), "call")]
    if read := board.used("prompt_tokens"):  # some servers count nothing
        share = percent(board.used("cached_tokens"), read)
        said.append(f"{number(read)} prompt tokens, {share} of them from the cache")
    if written := board.used("completion_tokens"):
        said.append(f"{number(written)} tokens written")
    if unusable := board.used("unusable"):
        said.append(f"{number(unusable)} of the answers could not be used")
    if seconds := board.used("seconds"):
        said.append(f"{seconds:,.0f} s of answering")
    if cost := board.used("cost"):
        said.append(f"{cost:,.4f} spent")
    yield f"<p>{'; '.join(said)}.</p>"


def _reasons(board: Board, looks: Looks) -> Iterator[str]:
    found = [(reason, step) for step, look in looks.items() for reason in look.reasons]
    if not found:
        return
    yield f"<h4>Why things were lost</h4><table>{head(['reason', 'step', 'items'])}<tbody>"
    for reason, step in sorted(found, key=lambda each: -each[0].count)[:TOP]:
        shown = _button(inline(reason.name), step, status=reason.status, reason=reason.name)
        yield f"<tr><th scope='row'>{shown}</th><td>{step}</td><td>{number(reason.count)}</td></tr>"
    yield "</tbody></table>"


def _votes(looks: Looks) -> Iterator[str]:
    rows = [(step, check, votes) for step, look in looks.items() for check, votes in look.votes.items()]
    if not rows:
        return
    names = ["check", "step", "passed", "votes agree", "split", "undecided", "votes each"]
    yield f"<h4>How votes fell</h4><table>{head(names)}<tbody>"
    for step, check, votes in rows:
        each = f"{votes.votes / votes.total:.1f}" if votes.total else ""
        split = _button(number(votes.split), step, status="split") if votes.split else "0"
        cells = [step, percent(votes.passed, votes.total), percent(votes.unanimous, votes.total), split]
        cells += [number(votes.undecided), each]
        tail = "".join(f"<td>{cell}</td>" for cell in cells)
        yield f"<tr><th scope='row'>{inline(label(check))}</th>{tail}</tr>"
    yield "</tbody></table>"


def _failures(board: Board) -> Iterator[str]:
    """The last items of each step without a usable answer."""
    found = [(batch, item) for batch in board.batches for item in batch.of_status("failed")[-LATEST:]]
    if not found:
        return
    yield "<h4>What went wrong lately</h4><ul>"
    for batch, item in found[-LATEST:]:
        shown = _button(
            f"{batch.name}: {inline(item.outcome.reason)}", batch.name, item.input.key, status="failed"
        )
        yield f"<li>{shown}</li>"
    yield "</ul>"


def _button(shown: str, step: str, key: str = "", **find: str) -> str:
    """Something that shows a step's items where it is clicked; as it is where the step has no such view."""
    if step in NOT_REVIEWED:
        return shown
    wanted = markup_of.escape(json.dumps(find), quote=True)
    return f"<button type='button' data-step='{step}' data-key='{key}' data-find='{wanted}'>{shown}</button>"
