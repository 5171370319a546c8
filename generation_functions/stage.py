"""One question to a model: ask, read, try again, and let several votes decide.

`Ask` is the one thing that a step carries along. It fills a stage with an item's values, looks into the
journal first, buys an answer only where there is none that can be used, and reads it with the stage's own
grammar:

    reading = await ask("check_accuracy", {"text": "...", "question": "...", "answer": "..."})
    reading.text("verdict")        # "Accurate"

It does not know what the steps make of the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from .engine import Completion, Engine, Request
from .errors import CheckFailed, EngineError, OutputError, Truncated, Undecided
from .grammar import Reading
from .prompts import Stage, Values
from .records import Verdict, Vote, content_key
from .store import Call, CallKey, Store

ATTEMPTS = 4  # answers bought for one question and draw before it counts as failed
PAUSES = (1.0, 4.0, 15.0)  # seconds before an engine that may recover is asked again

Check = Callable[[Reading], str | None]  # what is wrong with an answer that follows the grammar, or None


@dataclass(frozen=True, slots=True)
class Model:
    """Which engine answers: `name` is known before it is loaded, `ready` loads it.

    `enforces` grammars or not.
    """

    name: str
    ready: Callable[[], Awaitable[Engine]]
    enforces: bool = True


class Ask:
    """Asks one model.

    `limit` calls are in flight at most; `fresh` takes no answers of older prompts or models.
    """

    def __init__(
        self, model: Model, stages: Mapping[str, Stage], store: Store, *, limit: int, fresh: bool = False
    ) -> None:
        self.model, self.stages = model, stages
        self._store, self._fresh = store, fresh
        self._free = asyncio.Semaphore(limit)
        self._asking: dict[tuple[str, str, int], asyncio.Future[Reading]] = {}

    async def __call__(
        self, stage: str, values: Values, *, draw: int = 0, check: Check | None = None
    ) -> Reading:
        """The first usable answer to this question, from the journal or bought.

        Raises the last attempt's OutputError when none can be used, EngineError when none comes.
        """
        key = (stage, content_key(stage, values), draw)
        if key in self._asking:  # the same question asked by two items at once is bought once
            return await asyncio.shield(self._asking[key])
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
        an unusable vote abstains. Raises Undecided when the usable ones are no majority of `of`.
        """
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
        try:
            reading = await self(check, values, draw=draw)
        except OutputError as error:
            return Vote(check, None, f"{type(error).__name__}: {error}")
        return Vote(check, self.passes(check, reading), reading.text("reason"))

    async def _answer(self, key: tuple[str, str, int], values: Values, check: Check | None) -> Reading:
        name, input, draw = key
        stage, made_by = self.stages[name], self.made_by(name)
        journalled = self._store.calls(name, input, draw, made_by if self._fresh else None)
        for call in journalled:
            if not call.problem:
                with contextlib.suppress(OutputError):  # it answers an older prompt, in another format
                    return self._read(stage, values, call.completion, check)
        problem: OutputError | None = None
        for attempt in range(len(journalled), len(journalled) + ATTEMPTS):
            call_key = CallKey(name, input, draw, attempt)
            seed = int(content_key(name, input, draw, attempt), 16) % 2**31
            request = stage.request(values, seed=seed, complaint=self._complaint(problem))
            async with self._free:
                completion = await self._complete(request)
            try:
                reading, problem = self._read(stage, values, completion, check), None
            except OutputError as error:
                problem = error
            said = f"{type(problem).__name__}: {problem}" if problem else ""
            call = Call(
                call_key, made_by, self.model.name, seed, request.messages[-1].content, completion, said
            )
            self._store.add_call(call, stage.version, request.shared_prompt)
            if problem is None:
                return reading
        assert problem is not None
        raise problem

    def _complaint(self, problem: OutputError | None) -> str:
        """What to tell the model of its last answer; nothing where the grammar holds it anyway."""
        return "" if problem is None or self.model.enforces else str(problem)

    def _read(self, stage: Stage, values: Values, completion: Completion, check: Check | None) -> Reading:
        if completion.finish == "length":
            raise Truncated(f"stopped after {stage.sampling.max_tokens} tokens", completion.text)
        grammar = stage.compiled(values)
        reading = grammar.read(completion.text, stage.payload, tolerant=not self.model.enforces)
        if check and (reason := check(reading)):
            raise CheckFailed(reason, completion.text)
        return reading

    async def _complete(self, request: Request) -> Completion:
        for pause in (*PAUSES, None):
            try:
                return await (await self.model.ready()).complete(request)
            except EngineError as error:
                if not error.retryable or pause is None:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last pause is None")


def _still_needed(votes: list[Vote], of: int) -> int:
    """How many more votes it takes at the least to decide; 0 when no further vote could change the outcome."""
    need = of // 2 + 1
    passed, failed = _count(votes)
    to_pass, to_fail = need - passed, of - need + 1 - failed
    return max(0, min(to_pass, to_fail, of - len(votes)))


def _count(votes: list[Vote]) -> tuple[int, int]:
    return sum(vote.passed is True for vote in votes), sum(vote.passed is False for vote in votes)
