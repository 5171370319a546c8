"""One question to a model: ask, read, try again, and let several votes decide.

`Ask` is the one thing that a step carries along. It fills a stage with an item's values, looks into the
journal first, buys an answer only where there is none that can be used, and reads it with the stage's own
grammar:

    reading = await ask("check_accuracy", {"text": "...", "question": "...", "answer": "..."})
    reading.text("verdict")        # "Accurate"

Of a stage that is scored it asks how likely each answer is, and one vote decides. It does not know what the steps make
of the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from .engine import Completion, Engine, Hear, Request
from .errors import CheckFailed, EngineError, OutputError, Truncated, Undecided
from .grammar import Reading
from .prompts import Stage, Values
from .purse import Purse
from .records import Verdict, Vote, content_key
from .store import Call, CallKey, Origin, Store

ATTEMPTS = 4  # answers bought for one question and draw before it counts as failed
PAUSES = (1.0, 4.0, 15.0)  # seconds before an engine that may recover is asked again

Check = Callable[[Reading], str | None]  # what is wrong with an answer that follows the grammar, or None


@dataclass(frozen=True, slots=True)
class Model:
    """Which engine answers: `name` is known before it is loaded, `ready` loads it.

    `at_once` calls may be asked of it together.
    """

    name: str
    ready: Callable[[], Awaitable[Engine]]
    at_once: int = 16


@dataclass(frozen=True, slots=True)
class Tried:
    """One answer: what was asked, what came, and either what was read or the problem with it."""

    call: Call
    request: Request
    reading: Reading | None
    problem: OutputError | None


@dataclass(frozen=True, slots=True)
class Answered:
    """What was read of a usable answer; `weights` as its completion has them."""

    reading: Reading
    weights: Mapping[str, float]


class Ask:
    """Asks one model, and pays from the purse; `hear` is told of every answer that was bought.

    `fresh` takes no answers of older prompts or models. A stage that is scored passes what has a passing verdict with
    `pass_probability` or more.
    """

    def __init__(
        self,
        model: Model,
        stages: Mapping[str, Stage],
        store: Store,
        *,
        purse: Purse | None = None,
        hear: Callable[[Completion], None] = lambda completion: None,
        fresh: bool = False,
        pass_probability: float = 0.5,
    ) -> None:
        self.model, self.stages = model, stages
        self._store, self._fresh, self._pass_probability = store, fresh, pass_probability
        self._purse, self._hear = purse or Purse({}), hear
        self._free = asyncio.Semaphore(model.at_once)
        self._asking: dict[tuple[str, str, int], asyncio.Future[Answered]] = {}
        self._origin = Origin()

    def on_behalf_of(self, origin: Origin) -> Ask:
        """The same, for the item of which the journal is to know that it asked."""
        asking = copy.copy(self)
        asking._origin = origin
        return asking

    def without_journal(self, reading: Any, stages: Mapping[str, Stage]) -> Ask:
        """The same, with some stages as they are given, which keeps nothing; it looks into `reading` for answers."""
        asking = copy.copy(self)
        asking._store, asking._asking = reading, {}
        asking.stages = {**self.stages, **stages}
        return asking

    async def __call__(
        self, stage: str, values: Values, *, draw: int = 0, check: Check | None = None
    ) -> Reading:
        """The first usable answer to this question, from the journal or bought.

        Raises the last attempt's OutputError when none can be used, EngineError when none comes, Paused when the
        purse is empty.
        """
        return (await self._answered(stage, values, draw, check)).reading

    async def _answered(
        self, stage: str, values: Values, draw: int = 0, check: Check | None = None
    ) -> Answered:
        key = (stage, content_key(stage, values), draw)
        if key in self._asking:  # the same question asked by two items at once is bought once
            answered = await asyncio.shield(self._asking[key])
            self._store.add_use(*key, self._origin)
            return answered
        future = self._asking[key] = asyncio.ensure_future(self._answer(key, values, check))
        try:
            return await future
        finally:
            self._asking.pop(key, None)

    def passes(self, stage: str, reading: Reading) -> bool:
        return reading.text("verdict") in self.stages[stage].passing

    def made_by(self, stage: str) -> str:
        return content_key(self.stages[stage].version, self.model.name)

    async def majority(self, check: str, values: Values, of: int) -> Verdict:
        """Draw votes until more than half of `of` agree; draws none beyond that.

        The votes that a majority needs at the least are drawn together, sharing their prompt. A tie rejects;
        an unusable vote abstains. Raises Undecided when the usable ones are no majority of `of`. A stage that is
        scored has one vote, which says how likely a passing verdict is.
        """
        of = 1 if self.stages[check].scored else of
        votes: list[Vote] = []
        while more := _still_needed(votes, of):
            draws = range(len(votes), len(votes) + more)
            votes += await asyncio.gather(*(self._vote(check, values, draw) for draw in draws))
        passed, failed = _count(votes)
        need = of // 2 + 1
        if passed + failed < need and failed <= of - need:
            why = "; ".join(vote.reason for vote in votes if vote.passed is None)
            raise Undecided(f"{check}: {passed + failed} of {of} votes could be used ({why})")
        return Verdict(check, passed >= need, tuple(votes))

    async def _vote(self, check: str, values: Values, draw: int) -> Vote:
        stage = self.stages[check]
        try:
            answered = await self._answered(check, values, draw)
        except OutputError as error:
            return Vote(check, None, f"{type(error).__name__}: {error}")
        if stage.scored:
            return self._weighed(stage, values, answered)
        return Vote(check, self.passes(check, answered.reading), answered.reading.text("reason"))

    def _weighed(self, stage: Stage, values: Values, answered: Answered) -> Vote:
        if not answered.weights:
            verdict = answered.reading.text("verdict")
            return Vote(stage.name, verdict in stage.passing, f"{verdict}, as written: no probabilities came")
        chances: dict[str, float] = {}
        for answer, weight in answered.weights.items():
            verdict = stage.compiled(values).read(answer).text("verdict")
            chances[verdict] = chances.get(verdict, 0.0) + weight
        passing = [verdict for verdict in chances if verdict in stage.passing]
        chance, asked = sum(chances[verdict] for verdict in passing), self._pass_probability
        reason = f"{' or '.join(passing)} with a probability of {chance:.2f} ({asked:.2f} is asked)"
        return Vote(stage.name, chance >= asked, reason)

    async def _answer(self, key: tuple[str, str, int], values: Values, check: Check | None) -> Answered:
        name, input, draw = key
        stage = self.stages[name]
        journalled = self._store.calls(name, input, draw, self.made_by(name) if self._fresh else None)
        for call in journalled:
            if not call.problem and self._is_as_asked(call, stage.answers(values)):
                with contextlib.suppress(OutputError):  # it answers an older prompt, in another format
                    reading = self._read(stage, values, call.completion, check)
                    if call.origin != self._origin:
                        self._store.add_use(name, input, draw, self._origin)
                    return Answered(reading, call.completion.weights)
        problem: OutputError | None = None
        complaint = ""
        last = len(journalled) + ATTEMPTS - 1
        for attempt in range(len(journalled), last + 1):
            call_key = CallKey(name, input, draw, attempt)
            tried = await self.once(call_key, values, check, complaint if attempt == last else "")
            self._store.add_call(tried.call, stage.version, tried.request.messages[:-1])
            if tried.reading:
                return Answered(tried.reading, tried.call.completion.weights)
            problem = tried.problem
            complaint = "" if tried.call.completion.held else str(problem)
        assert problem is not None
        raise problem

    def _is_as_asked(self, call: Call, answers: Collection[str]) -> bool:
        """Whether these answers were weighed, or none where none are. What weighs nothing is not asked again for it."""
        weighed = call.completion.weights
        return weighed.keys() == set(answers) or (
            not weighed and call.made_by == self.made_by(call.key.stage)
        )

    async def once(
        self,
        key: CallKey,
        values: Values,
        check: Check | None = None,
        complaint: str = "",
        hear: Hear | None = None,
    ) -> Tried:
        """One answer, bought and read and not kept. Raises EngineError, Paused."""
        stage = self.stages[key.stage]
        seed = _seed(*(key.stage, key.input, key.draw, key.attempt))
        request = stage.request(values, seed=seed, complaint=complaint)
        completion, cost = await self._bought(request, hear)
        reading, problem, said = None, None, ""
        try:
            reading = self._read(stage, values, completion, check)
        except OutputError as error:
            problem, said = error, f"{type(error).__name__}: {error}"
        call = Call(
            *(key, self.made_by(key.stage), self.model.name, seed, request.messages[-1].content, completion),
            *(said, self._origin, cost),
        )
        return Tried(call, request, reading, problem)

    async def _bought(self, request: Request, hear: Hear | None) -> tuple[Completion, float]:
        """An answer and its price."""
        async with self._free:
            with self._purse.buying(self.model.name, request) as bill:
                completion = await self._complete(request, hear)
                self._hear(completion)
                return completion, bill(completion)

    def _read(self, stage: Stage, values: Values, completion: Completion, check: Check | None) -> Reading:
        if completion.finish == "length":
            raise Truncated(f"stopped after {stage.sampling.max_tokens} tokens", completion.text)
        if completion.finish == "filtered":
            raise Truncated("stopped by the server's content filter", completion.text)
        reading = stage.compiled(values).read(completion.text, stage.payload, tolerant=True)
        if check and (reason := check(reading)):
            raise CheckFailed(reason, completion.text)
        return reading

    async def _complete(self, request: Request, hear: Hear | None) -> Completion:
        for pause in (*PAUSES, None):
            engine = await self.model.ready()
            try:
                return await (engine.complete(request, hear) if hear else engine.complete(request))
            except EngineError as error:
                if not error.retryable or engine.asks_again or pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last pause is None")


def _seed(stage: str, input: str, draw: int, attempt: int) -> int:
    """Votes on the same thing have seeds one after the other, which is how servers draw several answers at once."""
    return (int(content_key(stage, input, attempt), 16) + draw) % 2**31


def _still_needed(votes: list[Vote], of: int) -> int:
    """How many more votes it takes at the least to decide; 0 when no further vote could change the outcome."""
    need = of // 2 + 1
    passed, failed = _count(votes)
    to_pass, to_fail = need - passed, of - need + 1 - failed
    return max(0, min(to_pass, to_fail, of - len(votes)))


def _count(votes: list[Vote]) -> tuple[int, int]:
    return sum(vote.passed is True for vote in votes), sum(vote.passed is False for vote in votes)
