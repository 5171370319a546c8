"""One address of the OpenAI protocol: reached, asked, asked again when that may help.

    server = Server("http://127.0.0.1:8080/v1", "none", Traffic(16))
    await server.reach()
    server.models     # {"my-model": {"id": "my-model", "owned_by": "vllm", "max_model_len": 32768}}
    answer = await server.post("/chat/completions", {"model": "my-model", "messages": [...]}, read=...)

It knows HTTP and what may go wrong with it, nothing of stages, grammars or answers: `read` is the caller's, and
what it refuses as unusable is asked for again like any other fault.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import openai

from . import faults
from .config import Secret
from .engine import Hear
from .errors import ConfigError, EngineError
from .traffic import Traffic

CONNECT_SECONDS = 4.0
REACH_SECONDS = 15.0  # for the first answer of a server, which tells whether it is there
LIST_TRIES = 3  # of the list of models, where the line breaks
TRIES = 8  # of one call; with three calls in ten failing, 1 call in 15,000 fails eight times
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0  # seconds before a call is tried again: doubled each time, up to
LONG_ANSWER = 1000  # tokens; a longer one has proportionately more time

Read = TypeVar("Read")


class Server:
    """The openai client of one address and key. Keys are neither kept elsewhere nor shown.

    `timeout_seconds` is for one answer of up to LONG_ANSWER tokens. Raises ConfigError for an address or a key
    that no request could be sent with.
    """

    def __init__(
        self,
        address: str,
        key: str,
        traffic: Traffic,
        *,
        timeout_seconds: float = 120,
        draw: random.Random | None = None,
    ) -> None:
        self.address, self.traffic = _address(address), traffic
        self.models: dict[str, dict[str, Any]] = {}  # as the server lists them; empty when it has no list
        self._key, self._timeout = _key(key), timeout_seconds
        self._draw = draw or random.Random()
        self._client: openai.AsyncOpenAI | None = None
        self._reaching = asyncio.Lock()  # the first calls may come together

    def __repr__(self) -> str:
        return f"Server({self.address})"

    async def reach(self) -> None:
        """Ask for the list of models once. A server without one is fine; one that is not there or refuses the key
        is an EngineError that is not retried."""
        async with self._reaching:
            if self._client is None:
                client = self._made()
                try:
                    self.models = await self._listed(client)
                except BaseException:
                    await client.close()
                    raise
                self._client = client

    def _made(self) -> openai.AsyncOpenAI:
        """A client without time-outs of its own but for connecting: `_exchange` has one for the whole exchange."""
        transport = openai.DefaultAioHttpClient(timeout=openai.Timeout(None, connect=CONNECT_SECONDS))
        return openai.AsyncOpenAI(
            base_url=self.address, api_key=self._key, max_retries=0, http_client=transport
        )

    async def _listed(self, client: openai.AsyncOpenAI) -> dict[str, dict[str, Any]]:
        for left in reversed(range(LIST_TRIES)):
            try:
                answer = await self._sent(client, "get", "/models", None, REACH_SECONDS)
                break
            except ValueError:
                return {}
            except openai.APIStatusError as error:
                if error.status_code not in (401, 403):
                    return {}
                raise self._for_good(error) from None
            except TimeoutError as error:
                raise self._for_good(error) from None
            except openai.APIConnectionError as error:
                if not left:
                    raise self._for_good(error) from None
            await asyncio.sleep(self._pause(1))
        listed = answer.get("data")
        found = [m for m in listed if isinstance(m, dict) and m.get("id")] if isinstance(listed, list) else []
        return {str(model["id"]): model for model in found}

    def _for_good(self, error: Exception) -> EngineError:
        fault = self._fault(error, "/models", None, REACH_SECONDS)
        fault.retryable = False
        return fault

    async def get(self, url: str) -> dict[str, Any]:
        """What stands at `url`, relative to the address. Raises EngineError; nothing is tried again."""
        await self.reach()
        assert self._client is not None
        return await self._exchange(self._client, "get", url, None, REACH_SECONDS)

    async def post(
        self,
        path: str,
        body: dict[str, Any],
        read: Callable[[dict[str, Any]], Read],
        *,
        stage: str = "",
        tokens: int = 0,
        hear: Hear | None = None,
    ) -> Read:
        """What `read` makes of the answer. `tokens` is what the call may cost at the most, prompt and answer. With
        `hear` the server is asked for it piece by piece.

        Tried up to TRIES times while what goes wrong may pass. Raises EngineError, `retryable` when it still may.
        """
        await self.reach()
        seconds = self._timeout * max(1.0, body.get("max_tokens", 0) / LONG_ANSWER)
        for attempt in range(1, TRIES + 1):
            try:
                async with self.traffic.turn(stage, tokens) as sent_at:
                    assert self._client is not None
                    got = await self._exchange(self._client, "post", path, body, seconds, hear)
                    answer = read(got)
                self.traffic.answered()
                return answer
            except EngineError as error:
                if error.status in faults.TOO_MANY:
                    self.traffic.refused(sent_at, error.retry_after)
                if not error.retryable or attempt == TRIES:
                    raise
            await asyncio.sleep(self._pause(attempt))
        raise AssertionError("the last attempt returns or raises")

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _pause(self, attempt: int) -> float:
        """Seconds before the next attempt; a server's own Retry-After is waited for by the traffic as a whole."""
        return min(LAST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)) * self._draw.uniform(0.5, 1.0)

    async def _exchange(
        self,
        client: openai.AsyncOpenAI,
        method: str,
        path: str,
        body: Any,
        seconds: float,
        hear: Hear | None = None,
    ) -> dict[str, Any]:
        """One request and its answer as JSON. Raises EngineError for whatever else comes."""
        try:
            if hear:
                return await self._heard(client, path, body, seconds, hear)
            return await self._sent(client, method, path, body, seconds)
        except (TimeoutError, ValueError, openai.APIError) as error:
            raise self._fault(error, path, body, seconds) from None

    async def _sent(
        self, client: openai.AsyncOpenAI, method: str, path: str, body: Any, seconds: float
    ) -> dict[str, Any]:
        """The same, with what goes wrong as the client raises it; ValueError for what is not a JSON object."""
        async with asyncio.timeout(seconds):
            if method == "get":
                answer: Any = await client.get(path, cast_to=object)
            else:
                answer = await client.post(path, cast_to=object, body=body)
        if not isinstance(answer, dict):
            raise ValueError
        return answer

    async def _heard(
        self, client: openai.AsyncOpenAI, path: str, body: dict[str, Any], seconds: float, hear: Hear
    ) -> dict[str, Any]:
        """The answer that comes in pieces, put together as it would have come whole."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        finish, usage = None, None
        parts: list[str] = []
        logprobs: list[Any] = []
        async with asyncio.timeout(seconds):
            pieces: Any = await client.post(
                path, cast_to=object, body=asked, stream=True, stream_cls=openai.AsyncStream[object]
            )
            async for piece in pieces:
                if not isinstance(piece, dict):
                    raise ValueError
                usage = piece.get("usage") or usage
                for choice in piece.get("choices") or ():
                    finish = choice.get("finish_reason") or finish
                    text = choice.get("text") or (choice.get("delta") or {}).get("content") or ""
                    parts.append(text)
                    hear(text)
                    logprobs += (choice.get("logprobs") or {}).get("content") or ()
        if finish is None:  # it broke off
            raise ValueError
        text = "".join(parts)
        choice = {"index": 0, "text": text, "message": {"content": text}, "finish_reason": finish}
        choice["logprobs"] = {"content": logprobs}
        return {"choices": [choice], "usage": usage}

    def _fault(self, error: Exception, path: str, body: Any, seconds: float) -> EngineError:
        """What went wrong in one exchange, as a person reads it."""
        if isinstance(error, openai.APIStatusError):
            return faults.refusal(
                f"{self.address}{path}",
                error.status_code,
                error.body if error.body is not None else error.response.content,
                error.response.headers,
                secret=self._key,
                model=body["model"] if body else "",
                models=self.models,
            )
        if isinstance(error, TimeoutError):
            return EngineError(f"{self.address} gave no answer within {seconds:g} s", retryable=True)
        if isinstance(error, openai.APIConnectionError):
            said = " ".join(str(error.__cause__ or error).replace(" ssl:default", "").split())
            return EngineError(
                f"{self.address} cannot be reached ({faults.without(self._key, said)[: faults.SHOWN]})",
                retryable=True,
                hint="Is the server running there, and is API.BASE_URL its address?",
            )
        return EngineError(f"{self.address} sent an answer that is not JSON", retryable=True)


def _address(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is open
        usable = False
    if not usable:
        raise ConfigError(f"API.BASE_URL {address!r} is no address; one looks like http://127.0.0.1:8080/v1")
    return address.rstrip("/")


def _key(key: str) -> Secret:
    """The key as it is sent; a line end that came with it from a file or variable is no part of it."""
    sent = Secret(key.strip() or "none")
    if not (sent.isascii() and sent.isprintable()):
        raise ConfigError(
            "API.API_KEY holds a character that keys cannot have: was all of it copied, and no more?"
        )
    return sent
