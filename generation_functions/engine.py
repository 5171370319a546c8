"""What an engine is: text in, text out, and what it cost.

An engine knows nothing of chunks, pairs or runs. It gets a Request, holds the answer to the request's grammar
where it can, and gives a Completion:

    Completion(text="Reason: The text gives the year.\\nVerdict: Accurate", finish="stop",
               prompt_tokens=1204, cached_tokens=1130, completion_tokens=14, seconds=0.31)

Local and Api have a module each; Sample, which needs no model, is here.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import regex

from .grammar import Grammar


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn; 0 for top_k and min_p and 1 for top_p mean "off".

    Penalties are never used.
    """

    max_tokens: int
    temperature: float = 0.2
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model, in both forms: `messages` for chat, `prompt` for plain completion.

    Everything but the last message is the same for all items of a stage, so engines can keep it in their
    cache; `shared_prompt` is that part of `prompt`. `example_grammars` are those of the assistant messages, which
    obey their own item's grammar and not this one's. `weigh` are all answers that there can be, where it is asked how
    likely each of them is.
    """

    stage: str
    messages: tuple[Message, ...]
    prompt: str
    shared_prompt: str
    grammar: Grammar
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()
    example_grammars: tuple[Grammar, ...] = ()
    weigh: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """`finish` is "length" when max_tokens or a deadline ended it, "filtered" when a server's filter did: such a text
    is never taken as whole.

    `cached_tokens` of the prompt were taken from an earlier call; seconds are wall time in the engine. `held` tells
    whether the engine held the answer to the grammar. `weights` are the probabilities of the answers that the request
    weighs, which come to 1 together; {} where the engine cannot tell.
    """

    text: str
    finish: Literal["stop", "length", "filtered"]
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    held: bool = True
    weights: Mapping[str, float] = field(default_factory=dict)


Hear = Callable[[str], None]  # hears the pieces of an answer as they come, on any thread


class Engine(Protocol):
    """`name` is what the journal records as the answering model; `asks_again` tells that it tries again by itself
    where that may help.
    """

    name: str
    asks_again: bool

    async def start(self) -> None:
        """Make ready to answer: load the model, reach the server.

        Raises EngineError. Cheap when it is ready.
        """

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        """Answer one request. `hear` is for people to watch; the whole answer counts. Raises EngineError."""

    async def close(self) -> None:
        """Give everything back; the memory is free when this returns."""


class Sample:
    """Answers at random within the grammar, the same answer for the same seed.

    Of answers that are weighed it gives the likeliest. For tests, demonstrations and CI.
    """

    name = "sample"
    asks_again = False

    async def start(self) -> None:
        pass

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        await asyncio.sleep(0)
        text, weights = request.grammar.sample(random.Random(request.seed)), dict[str, float]()
        if request.weigh:
            weights = _any_weights(request.weigh, random.Random(request.seed))
            text = max(weights, key=weights.__getitem__)
        if hear:
            for piece in regex.findall(r"\S+\s*|\s+", text):
                hear(piece)
                await asyncio.sleep(0)
        return Completion(
            *(text, "stop", len(request.prompt) // 4, len(request.shared_prompt) // 4, len(text) // 4),
            weights=weights,
        )

    async def close(self) -> None:
        pass


def _any_weights(answers: tuple[str, ...], rng: random.Random) -> dict[str, float]:
    drawn = [rng.random() for _ in answers]
    return {answer: weight / sum(drawn) for answer, weight in zip(answers, drawn, strict=True)}
