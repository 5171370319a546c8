"""Many calls computed together: they join and leave between two evaluations of the model.

Each evaluation takes one token of every call that writes, and fills up with slices of prompts that are being read:

    evaluation 41   call 3: 1 token   call 5: 1 token   call 8: 510 of 812 tokens of its prompt
    evaluation 42   call 3: 1 token   call 5: 1 token   call 8: 302 tokens, and it writes its first
    evaluation 43   call 3: 1 token   call 8: 1 token   (5 has ended; 9 joins and begins with what 8 has read)

A call's tokens are its prompt and what it has written; what is not in its sequence yet is still to be read. So a
call that has to make room for others goes on later, by reading what it had written as well. A call that weighs answers
writes nothing: what is behind its prompt is where the answers part (see weighing), one place after the other.

Knows nothing of llama.cpp: a Model is anything that evaluates tokens and gives logits and grammars.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .cache import WORTH_SHARING, Cache, Memory, Prompt
from .cache import Sequence as Held
from .engine import Sampling
from .errors import EngineError
from .sampler import Logits, draw
from .weighing import Place, Rests, Weighing, fitting

MOST_PASSED_OVER = 64  # then a call is next, whatever is in memory
RESERVE = 128  # cells for what a call will write, kept free when another joins; most calls write less
THREADS_FROM = 4  # calls whose next tokens are drawn in threads; for fewer the threads cost more


class GrammarState(Protocol):
    """Where in its grammar a call's text is."""

    def allows(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]: ...
    def accept(self, token: int) -> None: ...
    def is_finished(self) -> bool: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Portion:
    """Tokens that stand at `at` in a sequence; `wanted`: logits for what follows the last of them."""

    sequence: int
    tokens: Sequence[int]
    at: int
    wanted: bool


class Model(Memory, Protocol):
    pieces: list[bytes]  # of each token
    parts: NDArray[np.bool_]  # the tokens whose pieces are no whole characters of UTF-8
    ends: NDArray[np.int64]  # the tokens that end a text

    def evaluate(self, portions: Sequence[Portion]) -> None: ...
    def logits(self, portion: int) -> Logits:
        """Those that the portion of this index in the last evaluation wanted; valid until the next."""

    def grammar(self, text: str) -> GrammarState:
        """Raises EngineError for a grammar that cannot be used."""


@dataclass(eq=False)
class Call:
    """What was asked, and how far it is. `seconds` is how long it may take from when it joins.

    `answers` are weighed by what follows the prompt, from which they go on with `rests`; without any a text is written.
    """

    id: int
    prompt: Prompt
    grammar: str
    sampling: Sampling
    seed: int
    stop: tuple[bytes, ...]
    seconds: float
    answers: tuple[str, ...] = ()
    rests: Rests = ()
    passed_over: int = 0
    cached: int | None = None  # tokens of the prompt that were there already when it joined
    began: float = 0.0
    written: list[int] = field(default_factory=list)
    text: bytearray = field(default_factory=bytearray)
    state: GrammarState | None = None
    sequence: Held | None = None

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.tokens = self.prompt.tokens.tolist()  # and what is written after them
        self.weighing = Weighing(self.rests) if self.answers else None
        self.place = self.weighing.next() if self.weighing else None

    @property
    def unread(self) -> int:
        return len(self.tokens) - len(self.sequence.cells if self.sequence else ())

    @property
    def still_wanted(self) -> int:
        """Cells that it is likely to take yet."""
        return self.unread + min(self.sampling.max_tokens - len(self.written), RESERVE)


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended; `fields` are those of its completion, or `error` says why there is none."""

    id: int
    fields: dict[str, Any]
    error: EngineError | None = None


class Scheduler:
    """Takes calls with `add`, and answers them one evaluation after the other with `step`.

    `portion` is how many tokens are evaluated at once.
    """

    def __init__(
        self,
        model: Model,
        cache: Cache,
        *,
        portion: int,
        exact: bool = False,
        threads: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model, self.cache = model, cache
        self._portion, self._exact, self._clock = portion, exact, clock
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._ends = frozenset(model.ends.tolist())
        self._fitting = lru_cache(maxsize=256)(lambda rests: np.array(fitting(model.pieces, rests), np.int64))
        self._waiting: list[Call] = []
        self._live: list[Call] = []  # in the order in which they joined

    @property
    def is_idle(self) -> bool:
        return not (self._waiting or self._live)

    def add(self, call: Call) -> None:
        self._waiting.append(call)

    def drop(self, id: int) -> None:
        """Forget a call, wherever it is; nothing when it is answered already."""
        for call in [call for call in [*self._waiting, *self._live] if call.id == id]:
            self._leave(call)

    def step(self) -> list[Answer]:
        """One evaluation; gives the calls that ended with it."""
        answers = [*self._out_of_time(), *self._join()]
        portions, calls = self._portions()
        if portions:
            self._model.evaluate(portions)
        else:
            assert not self._live, "the whole memory is room enough for one call"
        wanted = [index for index, portion in enumerate(portions) if portion.wanted]
        writing = [calls[index] for index in wanted]
        drawn = self._drawn(writing, [self._model.logits(index) for index in wanted])
        for call, token in zip(writing, drawn, strict=True):
            answers += self._go_on(call, token)
        return answers

    # Joining

    def _join(self) -> Iterator[Answer]:
        while not self.cache.is_full and (call := self._next()):
            if self._live and self.cache.free < sum(c.still_wanted for c in [*self._live, call]) - (
                self.cache.held(call.prompt)
            ):
                return
            for other in self._waiting[: self._waiting.index(call)]:
                other.passed_over += 1
            self._waiting.remove(call)
            try:
                call.state = call.state or (self._model.grammar(call.grammar) if call.grammar else None)
            except EngineError as error:
                yield Answer(call.id, {}, error)
                continue
            call.sequence = self.cache.open(call.prompt)
            if call.cached is None:
                call.cached, call.began = len(call.sequence.cells), self._clock()
            self._live.append(call)

    def _next(self) -> Call | None:
        """The call with the longest beginning in memory, so that calls of one stage, and within it those on one
        text, run together; the longest waiting of equals, and before all others one that was passed over too
        often. None also while those that wait had better begin with what live calls are just reading.
        """
        if not self._waiting:
            return None
        reusable = {call.id: self.cache.reusable(call.prompt) for call in self._waiting}
        ready = [
            call
            for call in self._waiting
            if self.cache.promised(call.prompt) < reusable[call.id] + WORTH_SHARING
        ]
        if not ready:
            return None
        chosen = ready[0]
        if chosen.passed_over < MOST_PASSED_OVER:
            chosen = max(ready, key=lambda call: reusable[call.id])
        return chosen

    # Evaluating

    def _portions(self) -> tuple[list[Portion], list[Call]]:
        """What is evaluated next, and of which calls: first those that write, then those that read."""
        room = self._portion
        portions: list[Portion] = []
        calls: list[Call] = []
        for call in sorted(self._live, key=lambda call: call.unread > 1):
            if call not in self._live or not room:  # it had to make room for one before it
                continue
            count = self._portion_of(call, room)
            if not self._make_room(call, count, calls):
                continue
            assert call.sequence
            at = len(call.sequence.cells) - count
            tokens = call.tokens[at : at + count]
            portions.append(Portion(call.sequence.number, tokens, at, not call.unread))
            calls.append(call)
            room -= count
        return portions, calls

    def _portion_of(self, call: Call, room: int) -> int:
        assert call.sequence
        count = min(call.unread, room)
        at = len(call.sequence.cells)
        if self._exact and at < len(call.prompt.tokens):
            count = min(count, call.prompt.next_mark(at) - at)
        return count

    def _make_room(self, call: Call, count: int, taken: Iterable[Call]) -> bool:
        """Cells for a call's next tokens, if need be from the call that joined last."""
        assert call.sequence
        while not self.cache.extend(call.sequence, count):
            others = [c for c in self._live if c is not call and c not in taken]
            if not others:
                return False
            self._put_off(others[-1])
        return True

    # Writing

    def _drawn(self, writing: Sequence[Call], logits: Sequence[Logits]) -> list[int | None]:
        """The next token of each call; None where its grammar cannot go on with this vocabulary."""
        if self._pool and len(writing) >= THREADS_FROM:
            return list(self._pool.map(self._draw, writing, logits))
        return list(map(self._draw, writing, logits))

    def _draw(self, call: Call, logits: Logits) -> int | None:
        if call.weighing and call.place:
            self._look(call.weighing, call.place, logits)
            return None
        begun = begun_character(call.text)

        def allowed(tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
            fit = call.state.allows(tokens) if call.state else np.ones(len(tokens), np.bool_)
            doubtful = fit if begun else fit & self._model.parts[tokens]
            for index in np.flatnonzero(doubtful):  # llama.cpp's grammars let pass what is no UTF-8
                fit[index] = continues(begun, self._model.pieces[tokens[index]])
            return fit

        return draw(logits, allowed, call.sampling, call.random.random())

    def _look(self, weighing: Weighing, place: Place, logits: Logits) -> None:
        """Take in how likely the tokens are that go on with an answer, before the temperature and without a grammar."""
        tokens = self._fitting(place.rests)
        likely = np.exp(logits[tokens] - logits.max(), dtype=np.float64)
        likely /= np.exp(logits - logits.max(), dtype=np.float64).sum()
        pairs = zip(tokens.tolist(), likely.tolist(), strict=True)
        weighing.see(place, [(token, self._model.pieces[token], chance) for token, chance in pairs])

    def _go_on(self, call: Call, token: int | None) -> Iterator[Answer]:
        """Write a token, which may be the last one."""
        if call.weighing:
            yield from self._weigh_on(call, call.weighing)
        elif token is None:
            yield self._unwritable(call)
        elif self._ends_with(call, token):
            yield self._answer(call, "stop")
        elif len(call.written) >= call.sampling.max_tokens:
            yield self._answer(call, "length")

    def _weigh_on(self, call: Call, weighing: Weighing) -> Iterator[Answer]:
        """Go to the next place to look at; what was read behind the prompt is read anew where that leads elsewhere."""
        before, call.place = call.place, weighing.next()
        if before and call.place:
            call.tokens = [*call.prompt.tokens.tolist(), *call.place.path]
            if call.place.path[:-1] != before.path:
                self._put_off(call)
        elif weighing.shares():
            yield self._answer(call, "stop")
        else:
            yield self._unwritable(call)

    def _unwritable(self, call: Call) -> Answer:
        self._leave(call)
        return Answer(
            call.id, {}, EngineError("the grammar asks for what the model's vocabulary cannot write")
        )

    def _ends_with(self, call: Call, token: int) -> bool:
        if token in self._ends:
            return True
        call.written.append(token)
        call.tokens.append(token)
        piece = self._model.pieces[token]
        call.text += piece
        if cut_at_stop(call.text, call.stop, len(piece)):
            return True
        if call.state:
            call.state.accept(token)
            return call.state.is_finished()  # all that is left is to say so: one evaluation less
        return False

    # Leaving

    def _out_of_time(self) -> Iterator[Answer]:
        now = self._clock()
        started = [call for call in [*self._waiting, *self._live] if call.cached is not None]
        for call in [call for call in started if now - call.began > call.seconds]:
            yield self._answer(call, "length")

    def _answer(self, call: Call, finish: str) -> Answer:
        self._leave(call)
        fields = {
            "text": call.text.decode("utf-8", "replace"),
            "finish": finish,
            "prompt_tokens": len(call.prompt.tokens),
            "cached_tokens": call.cached,
            "completion_tokens": len(call.written),
            "seconds": self._clock() - call.began,
        }
        if call.weighing and finish == "stop":
            weights = dict(zip(call.answers, call.weighing.shares(), strict=True))
            likeliest = max(weights, key=weights.__getitem__)
            fields |= {"text": likeliest, "weights": weights, "completion_tokens": call.weighing.looks}
        return Answer(call.id, fields)

    def _put_off(self, call: Call) -> None:
        """Let it give its cells to others, and go on as soon as there is room again."""
        assert call.sequence
        self.cache.close(call.sequence)
        call.sequence = None
        self._live.remove(call)
        self._waiting.insert(0, call)

    def _leave(self, call: Call) -> None:
        if call.sequence:
            self._put_off(call)
        self._waiting.remove(call)
        if call.state:
            call.state.close()


def begun_character(text: bytes | bytearray) -> bytes:
    """The bytes at the end that begin a character of UTF-8 and are not all of it."""
    for length in range(1, min(3, len(text)) + 1):
        first = text[-length]
        if first >= 0xC0:
            return bytes(text[-length:]) if length < 2 + (first >= 0xE0) + (first >= 0xF0) else b""
    return b""


def continues(begun: bytes, piece: bytes) -> bool:
    """Whether what a piece makes of a begun character is UTF-8, as far as it goes; an end makes nothing of it."""
    try:
        (begun + piece).decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and piece != b""
    return True


def cut_at_stop(text: bytearray, stop: Iterable[bytes], added: int) -> bool:
    """Cut the text where the first of the stop strings begins; only those that end in the last `added` bytes."""
    found = [text.find(s, max(0, len(text) - added - len(s) + 1)) for s in stop if s]
    if (at := min((at for at in found if at >= 0), default=-1)) >= 0:
        del text[at:]
    return at >= 0
