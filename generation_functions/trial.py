"""One question to a model, tried out: what it is asked, what comes back, what is read of it, before and after a change.

    trial = wb.try_prompt("check_accuracy", pair)     # edit prompts/check_accuracy.yaml, run the cell again
    trial                                             # both answers side by side, and what changed in the file
    trial.keep()                                      # into the journal; before that nothing is

A trial goes its step's own way up to the question, so what is filled in is what the step would fill in.
"""

from __future__ import annotations

import difflib
import html
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .batch import plain
from .engine import Hear
from .errors import RunError
from .grammar import Reading
from .markup import words
from .prompts import Stage, Values
from .records import Cast, Chunk, Conversation, Group, Pair, Verdict, chunk_of, content_key
from .stage import Ask, Check, Tried
from .store import CallKey, Store
from .work import Work

COST = "trials' cost"  # the name under which it is kept
LONG = 20_000  # characters of a prompt that are shown

INPUTS = {"judge": Chunk, "write": Chunk, "vet": Pair, "standalone": Pair, "cast": Group, "converse": Cast}


def input_of(step: str, record: Any) -> Any:
    """What the step would have had of a record that was made of it. Raises RunError where it had none."""
    found = record
    if INPUTS[step] is Chunk and record is not None:
        found = chunk_of(record)
    elif isinstance(record, Conversation):
        found = record.cast if INPUTS[step] is Cast else record.cast.group
    elif isinstance(record, Cast) and INPUTS[step] is Group:
        found = record.group
    if not isinstance(found, INPUTS[step]):
        wanted = INPUTS[step].__name__.lower()
        raise RunError(f"{step} asks this about a {wanted}, not about a {type(record).__name__.lower()}")
    return found


@dataclass(frozen=True, slots=True)
class Question:
    """What a step asks a stage, and what it wants of the answer."""

    values: Values
    check: Check | None = None


class _Reached(Exception):
    def __init__(self, question: Question) -> None:
        super().__init__()
        self.question = question


class _Rehearsal:
    """Asks all that comes before one stage's question, from the journal where it is there; checks pass unasked."""

    def __init__(self, ask: Ask, wanted: str) -> None:
        self._ask, self._wanted = ask, wanted

    async def __call__(
        self, stage: str, values: Values, *, draw: int = 0, check: Check | None = None
    ) -> Reading:
        if stage == self._wanted:
            raise _Reached(Question(values, check))
        return await self._ask(stage, values, draw=draw, check=check)

    def passes(self, stage: str, reading: Reading) -> bool:
        return self._ask.passes(stage, reading)

    async def majority(self, check: str, values: Values, of: int) -> Verdict:
        if check == self._wanted:
            raise _Reached(Question(values))
        if self._wanted == "rewrite_pair":  # of which a check that failed is part
            return await self._ask.majority(check, values, of)
        return Verdict(check, True, ())


class _Unkept:
    """The journal, to be read alone."""

    def __init__(self, store: Store) -> None:
        self.calls = store.calls

    def add_call(self, *_: Any) -> None:
        pass

    add_use = add_call


def tried_cost(store: Store) -> float:
    """What trials have cost that the journal does not have."""
    return float(store.state(COST) or 0)


def add_tried_cost(store: Store, cost: float) -> None:
    if cost:
        store.set_state(COST, str(max(0.0, tried_cost(store) + cost)))


class Trials:
    """All trials since the workbench was opened; `load` reads a stage's file."""

    def __init__(self, load: Callable[[str], Stage], store: Store) -> None:
        self._load, self._store = load, store
        self._attempts: dict[tuple[str, str], list[Attempt]] = {}

    def attempt(
        self, step: str, name: str, record: Any, work: Work, ask: Ask, draw: int
    ) -> Callable[[Hear], Coroutine[Any, Any, Trial]]:
        """What buys an answer of stage `name` about the record that `work` would ask it about."""
        stage = self._load(name)
        text = Path(stage.file).read_text(encoding="utf-8")
        asking = ask.without_journal(_Unkept(self._store), {name: stage})

        async def attempt(hear: Hear) -> Trial:
            if record is None:
                question = Question(stage.examples[0].values)
            else:
                question = await _question_of(name, work, input_of(step, record), asking)
            key = CallKey(name, content_key(name, question.values), draw)
            tried = await asking.once(key, question.values, question.check, hear=hear)
            add_tried_cost(self._store, tried.call.cost)
            attempts = self._attempts.setdefault((name, key.input), [])
            attempts.append(Attempt(stage, text, tried))
            return Trial(list(attempts), self._store)

        return attempt


async def _question_of(stage: str, work: Work, record: Any, ask: Ask) -> Question:
    """What `work` asks the stage about the record. Raises RunError where it does not ask it."""
    try:
        outcome = await work(record, _Rehearsal(ask, stage))  # type: ignore[arg-type]
    except _Reached as reached:
        return reached.question
    why = f": it is {outcome.status}, {outcome.reason}" if outcome.reason else ""
    raise RunError(f"{stage} is not asked about this one{why}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One answer and the stage as its file was then."""

    stage: Stage
    text: str
    tried: Tried


class Trial:
    """The attempts at one question, the last one the newest. It shows itself, the last two side by side."""

    def __init__(self, attempts: list[Attempt], store: Store) -> None:
        self.attempts, self._store = attempts, store

    @property
    def answer(self) -> str:
        return self.attempts[-1].tried.call.completion.text

    @property
    def fields(self) -> dict[str, list[str]]:
        """What the parser read of the last answer; empty where it could not."""
        return _fields(self.attempts[-1])

    def keep(self) -> None:
        """Put the last answer into the journal, as if its step had bought it after those that are there."""
        attempt = self.attempts[-1]
        key = attempt.tried.call.key
        own = replace(key, attempt=len(self._store.calls(key.stage, key.input, key.draw)))
        call = replace(attempt.tried.call, key=own)
        self._store.add_call(call, attempt.stage.version, attempt.tried.request.messages[:-1])
        add_tried_cost(self._store, -call.cost)  # the journal has it now

    def __repr__(self) -> str:
        parts = []
        for attempt in self.attempts[-2:]:
            read = "\n".join(f"  {name}: {' | '.join(texts)}" for name, texts in _fields(attempt).items())
            parts.append(f"{_about(attempt)}\n{_answer(attempt)}\n{read or _problem(attempt)}")
        asked = self.attempts[-1].tried.request.messages[-1].content
        return plain("\n\n".join([f"asked:\n{asked}", *parts, *self._changes()]))

    def _repr_html_(self) -> str:
        columns = "".join(f"<td>{_column(attempt)}</td>" for attempt in self.attempts[-2:])
        newest = self.attempts[-1].tried.request
        asked = "".join(
            f"<p><b>{message.role}</b></p><pre>{words(message.content, LONG)}</pre>"
            for message in newest.messages[:-1]
        )
        changes = "\n".join(self._changes())
        changed = (
            _fold("what changed in the file", f"<pre>{words(changes, LONG)}</pre>", open=True)
            if changes
            else ""
        )
        return (
            f"<div class='gm-trial'>{STYLE}<table><tr>{columns}</tr></table>"
            f"<p><b>asked</b></p><pre>{words(newest.messages[-1].content, LONG)}</pre>"
            f"{_fold('what stands before it in every prompt', asked)}"
            f"{_fold('the grammar', f'<pre>{words(newest.grammar.text, LONG)}</pre>')}"
            f"{changed}</div>"
        )

    def _changes(self) -> list[str]:
        """The lines of the prompt's file that differ from those of the attempt before."""
        if len(self.attempts) < 2:
            return []
        before, now = (attempt.text.splitlines() for attempt in self.attempts[-2:])
        return [line for line in difflib.unified_diff(before, now, lineterm="", n=0)][2:]


def _about(attempt: Attempt) -> str:
    call = attempt.tried.call
    got = call.completion
    said = [
        f"{call.key.stage}, prompt {attempt.stage.version[:6]}, {call.model}, seed {call.seed}",
        f"{got.prompt_tokens:,} tokens read ({got.cached_tokens:,} from the cache), {got.completion_tokens:,} written",
        f"{got.seconds:.2f} s",
        *(f"{answer} {weight:.2f}" for answer, weight in got.weights.items()),
    ]
    return "; ".join(said)


def _answer(attempt: Attempt) -> str:
    return attempt.tried.call.completion.text


def _problem(attempt: Attempt) -> str:
    return attempt.tried.call.problem


def _fields(attempt: Attempt) -> dict[str, list[str]]:
    reading = attempt.tried.reading
    return {name: reading.all(name) for name in reading.spans if reading.spans[name]} if reading else {}


def _column(attempt: Attempt) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td dir='auto'>{'<br>'.join(words(text, LONG) for text in texts)}</td></tr>"
        for name, texts in _fields(attempt).items()
    )
    read = (
        f"<table class='gm-read'>{rows}</table>"
        if rows
        else f"<p class='gm-bad'>{words(_problem(attempt))}</p>"
    )
    return f"<p><small>{words(_about(attempt))}</small></p><pre>{words(_answer(attempt), LONG)}</pre>{read}"


def _fold(summary: str, content: str, open: bool = False) -> str:
    return f"<details{' open' if open else ''}><summary>{summary}</summary>{content}</details>"


STYLE = """<style>
.gm-trial pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0.3em 0; padding: 0.4em 0.6em;
  background: var(--jp-layout-color2, #f4f4f4); color: inherit; max-height: 22em; overflow: auto }
.gm-trial table { width: 100%; table-layout: fixed; border-collapse: collapse }
.gm-trial td, .gm-trial th { text-align: left; vertical-align: top; padding: 0.2em 1em 0.2em 0; background: none;
  overflow-wrap: anywhere; white-space: normal }
.gm-trial .gm-read { table-layout: auto; width: auto } .gm-trial .gm-read th { font-weight: 600 }
.gm-trial .gm-bad { color: var(--jp-error-color1, #b3423a) }
.gm-trial summary { cursor: pointer }
</style>"""
