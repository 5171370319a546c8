"""A model behind the OpenAI protocol, chat or plain completion.

    api = Api(Server("http://127.0.0.1:8080/v1", "none", Traffic(16)), "my-model", grammar="auto")
    await api.start()
    api.about      # "grammars as llama.cpp takes them; context 12000 tokens"

It turns a Request into what a server is sent, and what the server says into a Completion. Where the server can be
held to the request's grammar it is (see dialects); elsewhere the answer is free text, which the reader of the stage
has to fit to the grammar. Requests that differ in nothing but their seed, as votes do, go out as one with `n`,
whose prompt is paid for once: llama.cpp's server and vLLM answer that as if they were asked with the seed, the seed
plus 1 and so on, so it changes nothing in what they say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import regex

from . import dialects
from .dialects import Dialect
from .engine import Completion, Hear, Request
from .errors import EngineError, OutputError
from .faults import HINT_CONTEXT
from .forms import JsonForm
from .purse import LETTERS_A_TOKEN
from .server import Server
from .weighing import in_logprobs

MOST_STOPS = 4  # OpenAI and vLLM refuse more; the lineage sent 7 to 11 (HTTP 400)
MOST_TOGETHER = 8  # votes that go out as one request
CUT_SHORT = 3  # answers cut off before half of max_tokens, until that is taken for the end of the context
CUT = {"length", "max_tokens", "MAX_TOKENS", "model_length"}
FILTERED = {"content_filter", "safety", "SAFETY", "refusal"}
BROKEN = {"error", "ERROR", "abort", "ERROR_TOXIC", "load"}

# What servers call a model's context, in the order of trust.
CONTEXTS = ("max_model_len", "n_ctx", "context_length", "context_window", "max_context_length")

# Settings that a server may refuse and that an answer can do without; by what they are called there.
DISPENSABLE = (
    "seed",
    "min_p",
    "top_k",
    "top_p",
    "temperature",
    "cache_prompt",
    "chat_template_kwargs",
    "n",
    "stop",
)
LIKELIEST = {
    20: 5,
    5: 0,
}  # tokens whose probabilities are asked for; where a server gives no more: fewer, then none
NO_WEIGHTS = "it tells no probabilities: with SYSTEM.VOTING: probability a verdict counts as it is written"
THOUGHTS = regex.compile(r"\s*<think(?:ing)?>.*?</think(?:ing)?>\s*", regex.DOTALL)


class Api:
    """One model at one server.

    With `grammar` "auto" the server is asked, once, which dialect it obeys.
    """

    asks_again = True

    def __init__(
        self,
        server: Server,
        model: str,
        *,
        completion_mode: bool = False,
        grammar: Dialect | Literal["auto"] = "auto",
        send_stop: bool = True,
    ) -> None:
        self.name = model
        self.about = ""  # what was found out about the server, once started
        self.context = 0  # in tokens, where the server tells
        self._server = server
        self._completion_mode, self._send_stop = completion_mode, send_stop
        self._grammar = grammar
        self._dialect: Dialect | None = None if grammar == "auto" else grammar
        self._refused: set[str] = set()  # settings that the server does not take
        self._likeliest = max(LIKELIEST)  # tokens in each place whose probabilities it gives
        self._gives_n = True  # until it gives fewer answers than it was asked for
        self._open: dict[Any, _Votes] = {}
        self._starting: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Reach the server and find out how it takes grammars. Raises EngineError."""
        if self.about:
            return
        if self._starting is None or self._starting.done():
            self._starting = asyncio.ensure_future(self._started())
            self._starting.add_done_callback(_heard)
        await asyncio.shield(self._starting)  # all who wait go on together, and votes go out as one

    async def _started(self) -> None:
        await self._server.reach()
        if self._dialect is None:
            self._dialect = await self._found()
        self._gives_n = self._dialect != "sglang"  # its choices of one request are alike, or have no seed
        self.context = self._listed_context()
        if not self.context and self._dialect == "llama.cpp":
            self.context = await self._props_context()
        self.about = self._described()

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        """One exchange; together with others that ask the same with other seeds.

        Raises EngineError; `retryable` when the server has failed as often as it was asked again.
        """
        await self.start()
        if hear:
            return (await self._asked(request, 1, hear))[0]
        alike = (request.stage, request.messages[-1].content)
        while self._gives_n:
            votes = self._open.get(alike)
            if votes is None:
                return await self._led(alike, request)
            if request.seed != votes.next_seed:
                break
            future: asyncio.Future[Completion | None] = asyncio.get_running_loop().create_future()
            votes.others.append(future)
            if len(votes.others) == MOST_TOGETHER - 1:
                del self._open[alike]
            got = await future
            if got is not None:
                return got
        return (await self._asked(request, 1))[0]

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        self.about, self._starting = "", None
        await self._server.close()

    async def _led(self, alike: Any, request: Request) -> Completion:
        """Wait until all who ask the same now have asked, and ask for them. None for those left without an answer."""
        votes = self._open[alike] = _Votes(request.seed)
        got: list[Completion] = []
        error: EngineError | None = None
        try:
            await asyncio.sleep(0)
            if self._open.get(alike) is votes:
                del self._open[alike]
            got = await self._asked(request, 1 + len(votes.others))
        except EngineError as raised:
            error = raised
            raise
        finally:
            if self._open.get(alike) is votes:
                del self._open[alike]
            votes.settle(got[1:], error)
        return got[0]

    async def _asked(self, request: Request, count: int, hear: Hear | None = None) -> list[Completion]:
        """Up to `count` answers, at least one."""
        began = time.monotonic()
        held = dialects.fields(self._dialect or "none", request.grammar)
        while True:
            body = self._body(request, count if self._gives_n else 1, held)
            expected = self._expected(request, body)
            read = _Whole(self._choices, request.sampling.max_tokens, self._server.address)
            try:
                choices, usage = await self._server.post(
                    self._path, body, read, stage=request.stage, tokens=expected, hear=hear
                )
            except EngineError as error:
                if self._does_without(error, body):
                    continue
                raise
            usage = read.spent_with(usage)
            self._server.traffic.spent(expected, usage.prompt + usage.completion)
            if len(choices) < body.get("n", 1):
                self._gives_n = False
            return self._completions(request, choices, usage, time.monotonic() - began, bool(held))

    def _does_without(self, error: EngineError, body: dict[str, Any]) -> bool:
        """Whether the server refuses a setting that was sent and can be left out; it is, from now on."""
        if error.status not in (400, 422):
            return False
        if "max_completion_tokens" in str(error) and "max_tokens" in body:
            self._refused.add("max_tokens")
            return True
        if "logprobs" in body and "logprobs" in str(error):
            self._likeliest = LIKELIEST[self._likeliest]
            return True
        named = [name for name in DISPENSABLE if name in body and regex.search(rf"\b{name}\b", str(error))]
        if not named or error.hint == HINT_CONTEXT:
            return False
        if named[0] == "n":
            self._gives_n = False
        self._refused.add(named[0])
        return True

    @property
    def _path(self) -> str:
        return "/completions" if self._completion_mode else "/chat/completions"

    def _body(self, request: Request, count: int, held: dict[str, Any]) -> dict[str, Any]:
        """`held` are the fields that hold the answer to the grammar."""
        sampling, dialect = request.sampling, self._dialect or "none"
        as_json = bool(held) and dialect == "json_schema"
        body: dict[str, Any] = {"model": self.name, **self._question(request, as_json)}
        body |= {
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
        }
        if dialect in dialects.SAMPLERS:
            body |= {"min_p": sampling.min_p, **({"top_k": sampling.top_k} if sampling.top_k else {})}
            if not self._completion_mode:
                body["chat_template_kwargs"] = {"enable_thinking": False}
        if dialect == "llama.cpp":
            body["cache_prompt"] = True
        if self._send_stop and self._completion_mode:
            body["stop"] = list(request.stop[:MOST_STOPS])
        if count > 1:
            body["n"] = count
        if request.weigh and self._likeliest:
            told = {"logprobs": True, "top_logprobs": self._likeliest}
            body |= {"logprobs": self._likeliest} if self._completion_mode else told
        body |= held
        if "max_tokens" in self._refused:
            body["max_completion_tokens"] = body["max_tokens"]
        return {name: value for name, value in body.items() if name not in self._refused}

    def _question(self, request: Request, as_json: bool) -> dict[str, Any]:
        if self._completion_mode:
            return {"prompt": request.prompt}
        examples = iter(request.example_grammars)
        messages = []
        for message in request.messages:
            content = message.content
            if as_json and message.role == "assistant":
                form = JsonForm.of(next(examples))
                content = form.to_json(content) if form else content
            messages.append({"role": message.role, "content": content})
        return {"messages": messages}

    def _expected(self, request: Request, body: dict[str, Any]) -> int:
        return len(request.prompt) // LETTERS_A_TOKEN + request.sampling.max_tokens * int(body.get("n", 1))

    # What comes back

    def _choices(self, answer: dict[str, Any]) -> tuple[list[_Choice], _Usage]:
        """The answer's choices in their order. Raises EngineError where there is nothing to read, which may pass."""
        choices = [c for c in answer.get("choices") or () if isinstance(c, dict)]
        choices.sort(key=lambda choice: choice.get("index") or 0)
        error = answer.get("error") or next((c["error"] for c in choices if c.get("error")), None)
        read = [self._choice(choice) for choice in choices]
        if error or not read or None in read:
            said = f": {str(error)[:200]}" if error else ""
            raise EngineError(f"{self._server.address} sent an answer without text{said}", retryable=True)
        return [choice for choice in read if choice], _usage(answer)

    def _choice(self, choice: dict[str, Any]) -> _Choice | None:
        """None for a choice without text; one that was cut off while it thought has an empty one."""
        message = choice if self._completion_mode else choice.get("message") or {}
        text = message.get("text" if self._completion_mode else "content")
        finish = str(choice.get("finish_reason") or "stop")
        if finish in BROKEN:
            return None
        if isinstance(text, list):  # in parts
            text = "".join(part.get("text", "") for part in text if isinstance(part, dict))
        if text is None and finish in CUT:
            text = ""
        if not isinstance(text, str):
            return None
        whole = text.encode("utf-8", "replace").decode()  # half a character, as \\ud83d, can be kept nowhere
        return _Choice(THOUGHTS.sub("", whole, count=1), finish, choice.get("logprobs"))

    def _completions(
        self, request: Request, choices: list[_Choice], usage: _Usage, seconds: float, held: bool
    ) -> list[Completion]:
        """The prompt, read once, is the first one's; what was written is shared out by length."""
        counted = choices[:1] if self._dialect == "llama.cpp" else choices  # it counts the first choice alone
        letters = sum(len(choice.text) for choice in counted) or 1
        made = []
        for number, choice in enumerate(choices):
            text = choice.text
            if held and self._dialect == "json_schema" and choice.finish not in CUT:
                text = _from_json(request, text)
            finish: Literal["stop", "length", "filtered"] = "stop"
            if choice.finish in CUT:
                finish = "length"
            elif choice.finish in FILTERED:
                finish = "filtered"
            weights = in_logprobs(request.weigh, text, choice.logprobs) if request.weigh else {}
            if request.weigh and not choice.logprobs and NO_WEIGHTS not in self.about:
                self.about += f"; {NO_WEIGHTS}"
            first = number == 0
            written = usage.completion * len(choice.text) // letters
            made.append(
                Completion(
                    *(text, finish, usage.prompt if first else 0, usage.cached if first else 0),
                    *(written, seconds, held, weights),
                )
            )
        return made

    # What is found out about the server

    async def _found(self) -> Dialect:
        owners = {str(model.get("owned_by")) for model in self._server.models.values()}

        async def ask(sent: dict[str, Any], question: str) -> str:
            body = {"model": self.name, "max_tokens": dialects.PROBE_TOKENS, "temperature": 0.0, **sent}
            asked = (
                {"prompt": question}
                if self._completion_mode
                else {"messages": [{"role": "user", "content": question}]}
            )
            choices, _ = await self._server.post(self._path, body | asked, self._choices)
            return choices[0].text

        return await dialects.found(self._server.address, owners, ask, chat=not self._completion_mode)

    def _described(self) -> str:
        found = {
            "none": "no grammars, answers are read from free text",
            "json_schema": "grammars as JSON schemas",
        }.get(str(self._dialect), f"grammars as {self._dialect} takes them")
        asked = "found by asking" if self._grammar == "auto" else "as API.GRAMMAR says"
        parts = [f"{found} ({asked})", f"context {self.context} tokens" if self.context else ""]
        listed = self._server.models
        if listed and self.name not in listed:
            few = ", ".join(sorted(listed)[:5])
            parts.append(f"the server's list has {few} and not {self.name}")
        return "; ".join(filter(None, parts))

    def _listed_context(self) -> int:
        """The model's context as the server's list of models has it, 0 where it does not say."""
        model = self._server.models.get(self.name) or {}
        if not model and len(self._server.models) == 1:  # a server of one model takes any name for it
            [model] = self._server.models.values()
        meta = model.get("meta")
        places = (model, meta if isinstance(meta, dict) else {})
        found = [place[name] for place in places for name in CONTEXTS if isinstance(place.get(name), int)]
        return int(found[0]) if found else 0

    async def _props_context(self) -> int:
        """The context of a slot of llama.cpp's server, which its list of models does not have."""
        root = self._server.address.removesuffix("/v1")
        try:
            props = await self._server.get(f"{root}/props")
        except EngineError:
            return 0
        settings = props.get("default_generation_settings")
        context = settings.get("n_ctx") if isinstance(settings, dict) else 0
        return context if isinstance(context, int) else 0


def _heard(task: asyncio.Future[None]) -> None:
    """Look at how it ended, as all who waited for it may have been given up."""
    if not task.cancelled():
        task.exception()


Read = Callable[[dict[str, Any]], tuple[list["_Choice"], "_Usage"]]


@dataclass(slots=True)
class _Votes:
    """Those who ask the same as the one who asks first, and wait for their answer."""

    seed: int
    others: list[asyncio.Future[Completion | None]] = field(default_factory=list)

    @property
    def next_seed(self) -> int:
        return self.seed + 1 + len(self.others)

    def settle(self, got: list[Completion], error: EngineError | None) -> None:
        for number, future in enumerate(self.others):
            if future.done():
                continue
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(got[number] if number < len(got) else None)


@dataclass(frozen=True, slots=True)
class _Choice:
    """`logprobs` as the server has them."""

    text: str
    finish: str
    logprobs: Any = None


@dataclass(frozen=True, slots=True)
class _Usage:
    prompt: int
    cached: int
    completion: int


class _Whole:
    """Refuses answers that were cut off although they might have been longer, which may pass.

    Not for ever: where the context is full, the answer ends there each time.
    """

    def __init__(self, read: Read, max_tokens: int, address: str) -> None:
        self._read, self._max_tokens, self._address = read, max_tokens, address
        self._left = CUT_SHORT
        self._refused: list[_Usage] = []  # they were paid for

    def spent_with(self, usage: _Usage) -> _Usage:
        """What was counted for the answer and for those before it that were refused."""
        each = [usage, *self._refused]
        return _Usage(
            sum(one.prompt for one in each),
            sum(one.cached for one in each),
            sum(one.completion for one in each),
        )

    def __call__(self, answer: dict[str, Any]) -> tuple[list[_Choice], _Usage]:
        choices, usage = self._read(answer)
        written = usage.completion or sum(len(choice.text) for choice in choices) // LETTERS_A_TOKEN
        cut = any(choice.finish in CUT for choice in choices)
        if cut and written < len(choices) * self._max_tokens // 2 and self._left:
            self._left -= 1
            self._refused.append(usage)
            raise EngineError(f"{self._address} cut an answer off after {written} tokens", retryable=True)
        return choices, usage


def _usage(answer: dict[str, Any]) -> _Usage:
    """What was counted; servers name the share from their cache in three ways."""
    usage, timings = answer.get("usage") or {}, answer.get("timings") or {}
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or timings.get("cache_n")
    return _Usage(usage.get("prompt_tokens") or 0, cached or 0, usage.get("completion_tokens") or 0)


def _from_json(request: Request, document: str) -> str:
    """The answer as the grammar has it; the document itself, which the reader refuses, where it is none."""
    form = JsonForm.of(request.grammar)
    try:
        return form.to_text(document) if form else document
    except OutputError:
        return document
