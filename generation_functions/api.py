"""A server that speaks the OpenAI protocol, chat or plain completion.

    Api("http://127.0.0.1:8080/v1", "none", "my-model", completion_mode=False, grammar="llama.cpp")

It knows nothing of stages beyond the request it is given. A server that takes grammars (llama.cpp's own) is
sent the request's; elsewhere the answer is free text, which the reader of the stage then has to fit to the
grammar.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Literal
from urllib.parse import urlsplit

import openai

from .engine import Completion, Request
from .errors import ConfigError, EngineError

REACH_SECONDS = 15.0  # for the first answer of a server, which tells whether it is there
MOST_STOPS = 4  # OpenAI refuses more; the lineage sent 7 to 11 (HTTP 400)


class Api:
    """One model at one address. `name` is the model's; keys are neither kept elsewhere nor shown.

    Raises ConfigError for an address or a key that no request could be sent with.
    """

    def __init__(
        self,
        address: str,
        key: str,
        model: str,
        *,
        completion_mode: bool = False,
        grammar: Literal["none", "llama.cpp"] = "none",
        send_stop: bool = True,
        timeout_seconds: float = 120,
        workers: int = 16,
    ) -> None:
        self.name, self.workers = model, workers
        self._address, self._key, self._timeout = _address(address), _key(key), timeout_seconds
        self._completion_mode, self._grammar, self._send_stop = completion_mode, grammar, send_stop
        self._client: openai.AsyncOpenAI | None = None
        self._starting = asyncio.Lock()  # the first calls may come together

    async def start(self) -> None:
        """Reach the server once. A server without a list of models is fine; one that is not there or refuses the key
        is an EngineError that is not retried."""
        async with self._starting:
            if self._client is None:
                self._client = await self._reached()

    async def _reached(self) -> openai.AsyncOpenAI:
        client = openai.AsyncOpenAI(
            base_url=self._address, api_key=self._key, timeout=self._timeout, max_retries=0
        )
        try:
            await client.with_options(timeout=REACH_SECONDS).models.list()
        except (openai.APIConnectionError, openai.AuthenticationError, openai.PermissionDeniedError) as error:
            await client.close()
            explained = self._explained(error, REACH_SECONDS)
            explained.retryable = False
            raise explained from None
        except (openai.APIError, *NOT_JSON):
            pass
        return client

    async def complete(self, request: Request) -> Completion:
        """One exchange.

        Raises EngineError, retryable for what may pass: time-outs, 408, 409, 425, 429, 5xx, resets.
        """
        await self.start()
        assert self._client is not None
        began = time.monotonic()
        settings = self._settings(request)
        try:
            if self._completion_mode:
                answer: Any = await self._client.completions.create(prompt=request.prompt, **settings)
            else:
                messages: Any = [{"role": m.role, "content": m.content} for m in request.messages]
                answer = await self._client.chat.completions.create(messages=messages, **settings)
        except openai.APIError as error:
            raise self._explained(error, self._timeout) from None
        except NOT_JSON:
            raise EngineError(f"{self._address} sent an answer that is not JSON", retryable=True) from None
        return self._completion(answer, time.monotonic() - began)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _settings(self, request: Request) -> dict[str, Any]:
        sampling = request.sampling
        extra: dict[str, Any] = {}
        if self._grammar == "llama.cpp":
            extra = {"grammar": request.grammar.text, "cache_prompt": True, "min_p": sampling.min_p}
        stop = list(request.stop[:MOST_STOPS]) if self._send_stop and self._completion_mode else []
        return {
            "model": self.name,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": request.seed,
            **({"stop": stop} if stop else {}),
            **({"extra_body": extra} if extra else {}),
        }

    def _completion(self, answer: Any, seconds: float) -> Completion:
        choices = getattr(answer, "choices", None)
        said = choices[0] if choices and self._completion_mode else choices and choices[0].message
        text = getattr(said, "text" if self._completion_mode else "content", None)
        if not choices or text is None:
            raise EngineError(f"{self._address} sent an answer without text", retryable=True)
        usage = answer.usage
        details = getattr(usage, "prompt_tokens_details", None)
        return Completion(
            text,
            "length" if choices[0].finish_reason == "length" else "stop",
            getattr(usage, "prompt_tokens", None) or 0,
            getattr(details, "cached_tokens", None) or 0,
            getattr(usage, "completion_tokens", None) or 0,
            seconds,
        )

    def _explained(self, error: openai.APIError, seconds: float) -> EngineError:
        """What happened and what to change, in one line each."""
        status = getattr(error, "status_code", None)
        said = " ".join(str(error).split()).replace(self._key, "***")[:300]
        if isinstance(error, openai.APITimeoutError):
            return EngineError(f"{self._address} gave no answer within {seconds:g} s", retryable=True)
        if isinstance(error, openai.APIConnectionError):
            return EngineError(
                f"{self._address} cannot be reached ({error.__cause__ or said})",
                retryable=True,
                hint="Is the server running there, and is API.BASE_URL its address?",
            )
        retryable = status in (None, 408, 409, 425, 429) or (status or 0) >= 500
        return EngineError(
            f"{self._address} answers {status or 'with an error'}: {said}",
            retryable=retryable,
            hint=HINTS.get(status or 0, ""),
        )


def _address(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is none, a bracket that is open
        usable = False
    if not usable:
        raise ConfigError(f"API.BASE_URL {address!r} is no address; one looks like http://127.0.0.1:8080/v1")
    return address


def _key(key: str) -> str:
    """The key as it is sent; a line end that came with it from a file or variable is no part of it."""
    key = key.strip() or "none"
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "API.API_KEY holds a character that keys cannot have: was all of it copied, and no more?"
        )
    return key


NOT_JSON = (json.JSONDecodeError, UnicodeDecodeError)
HINTS = {
    400: "The server refuses a setting: see SYSTEM.STOP, API.GRAMMAR and SYSTEM.COMPLETION_MODE.",
    401: "Is API.API_KEY right?",
    403: "Is API.API_KEY allowed to use this model?",
    404: "Does API.BASE_URL end in /v1, and does the server have the model of API.LOGICAL_MODEL?",
}
