"""The records that pass from step to step, frozen, with a key made from their content.

They know nothing of engines, files or the run. A pair, as its JSON has it:

    {"chunk": "1c9f04e2ab37", "question": "Why is raw honey slow to spoil?",
     "answer": "It holds too little water for yeasts to grow.", "evidence": [2]}

A key is the first 16 hex digits of the SHA-256 of that content: the same content has the same key on every
machine, so a run knows what it has done already, and editing one sentence changes just the keys that stand on
it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

KEY_DIGITS = 16  # 64 bits: one accidental collision expected among 5 billion items

Status = Literal["kept", "rejected", "failed", "pending"]
Quotes = Literal["verbatim", "free"]


def content_key(*content: Any) -> str:
    """The key of JSON-able content; strings, numbers, lists and dicts of them."""
    return hashlib.sha256(_encode(content).encode("utf-8", "surrogatepass")).hexdigest()[:KEY_DIGITS]


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def with_key(record: Any, key: str) -> Any:
    """The record, which remembers its key from now on; that must be the one that it would work out."""
    object.__setattr__(record, "_key", key)
    return record


def _no_key() -> Any:
    return field(default="", init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence as prompts show it, and where it stands.

    `start` and `end` count characters of the decoded source with line ends as "\\n" and no byte-order mark,
    which is what Python's open() gives. The text between them differs from `text` only in white space.
    """

    text: str
    start: int
    end: int
    opens_paragraph: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole sentences of one source; a sentence longer than a chunk comes in pieces, each a Sentence here.

    `source` is the file's path below PATH.INPUT. `repeat` tells apart chunks of one source with the same text
    (0 for the first), so that their keys differ although offsets, which shift with every edit, are not in the
    key.
    """

    source: str
    sentences: tuple[Sentence, ...]
    repeat: int = 0
    _key: str = _no_key()

    @property
    def text(self) -> str:
        return self._joined(s.text for s in self.sentences)

    @property
    def numbered(self) -> str:
        """The text with each sentence's number before it: "[1] Salt dissolves. [2] Sand does not."."""
        return self._joined(f"[{n}] {s.text}" for n, s in enumerate(self.sentences, 1))

    @property
    def key(self) -> str:
        if not self._key:
            with_key(self, content_key("chunk", self.source, self.text, self.repeat))
        return self._key

    @property
    def start(self) -> int:
        return self.sentences[0].start

    @property
    def end(self) -> int:
        return self.sentences[-1].end

    def _joined(self, texts: Any) -> str:
        parts: list[str] = []
        for sentence, text in zip(self.sentences, texts, strict=True):
            if parts:
                parts.append("\n\n" if sentence.opens_paragraph else " ")
            parts.append(text)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Pair:
    """A question, its answer, and the numbers (from 1) of the chunk's sentences that prove it."""

    chunk: Chunk
    question: str
    answer: str
    evidence: tuple[int, ...] = ()
    _key: str = _no_key()

    @property
    def key(self) -> str:
        if not self._key:
            with_key(self, content_key("pair", self.chunk.key, self.question, self.answer))
        return self._key

    @property
    def proof(self) -> str:
        """The sentences named as evidence, in the order of the text."""
        return " ".join(self.chunk.sentences[n - 1].text for n in self.evidence)


@dataclass(frozen=True, slots=True)
class Vote:
    """One opinion on a pair; `passed` is None where the answer could not be used (an abstention is not a no)."""

    check: str
    passed: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the majority of votes says of one check."""

    check: str
    passed: bool
    votes: tuple[Vote, ...]

    @property
    def reason(self) -> str:
        """The first reason given by the side that won; "votes are tied" where nobody did."""
        winning = [vote.reason for vote in self.votes if vote.passed is self.passed]
        return winning[0] if winning else "votes are tied"


@dataclass(frozen=True, slots=True)
class Group:
    """Up to four pairs of one chunk, in the order in which one conversation takes them up.

    `arrangement` is 0 for the order of the text and counts the other orders that are taken.
    """

    pairs: tuple[Pair, ...]
    arrangement: int = 0
    _key: str = _no_key()

    @property
    def chunk(self) -> Chunk:
        return self.pairs[0].chunk

    @property
    def key(self) -> str:
        if not self._key:
            with_key(self, group_key([pair.key for pair in self.pairs], self.arrangement))
        return self._key


def group_key(pairs: Sequence[str], arrangement: int) -> str:
    """The key of a group of pairs with these keys."""
    return content_key("group", list(pairs), arrangement)


@dataclass(frozen=True, slots=True)
class Cast:
    """Who talks, and where: `answerer` knows the text, `asker` asks.

    Card and scenario are empty in assistant mode.
    """

    group: Group
    answerer: str
    asker: str
    card: str = ""
    scenario: str = ""
    plan: str = ""
    _key: str = _no_key()

    @property
    def key(self) -> str:
        if not self._key:
            own = (self.answerer, self.asker, self.card, self.scenario, self.plan)
            with_key(self, content_key("cast", self.group.key, *own))
        return self._key


@dataclass(frozen=True, slots=True)
class Turn:
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Conversation:
    cast: Cast
    turns: tuple[Turn, ...]
    _key: str = _no_key()

    @property
    def key(self) -> str:
        if not self._key:
            turns = [[turn.speaker, turn.text] for turn in self.turns]
            with_key(self, content_key("conversation", self.cast.key, turns))
        return self._key


def chunk_of(record: Chunk | Pair | Group | Cast | Conversation) -> Chunk:
    """The chunk that a record comes from."""
    match record:
        case Chunk():
            return record
        case Pair(chunk=chunk) | Group(pairs=(Pair(chunk=chunk), *_)):
            return chunk
        case Cast(group=group):
            return group.chunk
        case Conversation(cast=cast):
            return cast.group.chunk
    raise AssertionError(f"a {type(record).__name__} is no record")


def pairs_of(record: Chunk | Pair | Group | Cast | Conversation) -> tuple[Pair, ...]:
    """The pairs that a record holds."""
    match record:
        case Pair():
            return (record,)
        case (
            Group(pairs=pairs)
            | Cast(group=Group(pairs=pairs))
            | Conversation(cast=Cast(group=Group(pairs=pairs)))
        ):
            return pairs
    return ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step made of one input.

    `records` go on when it is kept; those of a rejected item are what was judged, so that a person can still
    accept it. `reason` says why it was rejected or what failed, `verdicts` are all that were taken, in their
    order.
    """

    status: Status
    records: tuple[Any, ...] = ()
    reason: str = ""
    verdicts: tuple[Verdict, ...] = ()

    @property
    def current(self) -> tuple[Verdict, ...]:
        """The verdicts on the last wording: one that fails ends a wording, and the next begins with all checks anew."""
        ends = [place for place, verdict in enumerate(self.verdicts, 1) if not verdict.passed]
        if ends and ends[-1] == len(self.verdicts) and self.reason.endswith(self.verdicts[-1].reason):
            ends.pop()  # the last wording is the one that failed; else code refused a later one, or none came
        return self.verdicts[ends[-1] if ends else 0 :]


ActKind = Literal["accept", "reject", "flag", "edit", "undo"]
ACTS: tuple[ActKind, ...] = get_args(ActKind)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person did to the record with key `key` that `step` made: edit (with `changes`), accept, reject,
    ...

    `at` is when, in seconds since 1970.
    """

    step: str
    key: str
    kind: ActKind
    changes: tuple[tuple[str, str], ...] = ()
    number: int = 0
    at: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """kept + rejected + failed + pending = the items that went into a step."""

    kept: int = 0
    rejected: int = 0
    failed: int = 0
    pending: int = 0

    @property
    def total(self) -> int:
        return self.kept + self.rejected + self.failed + self.pending

    def plus(self, status: Status) -> Ledger:
        return replace(self, **{status: getattr(self, status) + 1})

    def __str__(self) -> str:
        parts = [f"{self.kept} kept", f"{self.rejected} rejected", f"{self.failed} failed"]
        if self.pending:
            parts.append(f"{self.pending} pending")
        return f"{self.total} in: " + ", ".join(parts)
