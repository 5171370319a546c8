"""What a server's refusal means: whether the same call may pass later, and what a person can change.

    POST /v1/chat/completions -> 404 {"error": {"message": "Not Found"}}

becomes, in one line,

    EngineError: http://127.0.0.1:8080 answers 404 for /chat/completions: Not Found. Does API.BASE_URL end in /v1?

It knows statuses, headers and bodies, not the client that brought them.
"""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any

import regex

from .errors import EngineError
from .traffic import LONGEST_PAUSE

MAY_PASS = {408, 409, 425, 429, 498}  # and all from 500 up; 498 is Groq's "no capacity at the moment"
FOR_GOOD = {501, 505}
TOO_MANY = {429, 503, 529}  # answers that say that the server has too much to do
SHOWN = 300  # characters of what the server says

CONTEXT = regex.compile(
    r"context[ _-]?(length|size|window)|maximum (context|prompt|allowed) length|exceed_context|too many tokens"
    r"|reduce the length|too large for model|(input|prompt).{0,40}(longer|too long|exceeds)",
    regex.IGNORECASE,
)
UNKNOWN_MODEL = regex.compile(
    r"model.{0,80}(not (be )?(found|exist|available|served)|does not exist|unknown|not a valid|invalid)"
    r"|(unknown|invalid|no such|not find).{0,20}model",
    regex.IGNORECASE,
)
NO_CREDIT = regex.compile(
    r"insufficient[_ ](quota|credit|balance|fund)|credit balance|billing|payment", regex.IGNORECASE
)
CONSTRAINT = regex.compile(
    r"grammar|structured_output|guided_|response_format|json_schema|\bregex|\bebnf", regex.IGNORECASE
)

HINTS = {
    400: "The server refuses a setting: see API.GRAMMAR, SYSTEM.STOP and SYSTEM.COMPLETION_MODE.",
    401: "Is API.API_KEY right?",
    402: "The account has no credit left; top it up, or use another server.",
    403: "Is API.API_KEY allowed to use this model?",
    404: "Does API.BASE_URL end in /v1?",
    405: "Does API.BASE_URL end in /v1?",
}
HINT_CONTEXT = (
    "The prompt is longer than the model's context: set a smaller SYSTEM.CHUNK_SIZE, or give the server a "
    "longer context."
)
HINT_STOP = "The server refuses the stop strings: set SYSTEM.STOP to false."
HINT_CONSTRAINT = "The server does not take the grammar: set API.GRAMMAR to auto or none."
HINT_QUOTA = "Run the step again then; what is done is kept."


def refusal(
    place: str,
    status: int,
    body: Any,
    headers: Mapping[str, str],
    *,
    secret: str,
    model: str = "",
    models: Iterable[str] = (),
) -> EngineError:
    """The error for an answer with that status. `place` is the address and path; `secret` is never shown."""
    said = without(secret, message_of(body)) or "nothing more"
    wait = retry_after(headers)
    passes = (status in MAY_PASS or status >= 500) and status not in FOR_GOOD
    hint = _hint(status, f"{said} {_code(body)}", model, models)
    if NO_CREDIT.search(f"{said} {_code(body)}") and status in (400, 402, 403, 429):
        passes, hint = False, HINTS[402]
    if passes and wait and wait > LONGEST_PAUSE:  # a quota that is used up, not a server that is busy
        passes, hint = False, f"It asks to be left alone for {wait:.0f} s. {HINT_QUOTA}"
    return EngineError(
        f"{place} answers {status}: {said}",
        retryable=passes,
        hint="" if passes else hint,
        status=status,
        retry_after=wait if passes else None,
    )


def _hint(status: int, said: str, model: str, models: Iterable[str]) -> str:
    if status in (400, 403, 413, 422) and CONTEXT.search(said):
        return HINT_CONTEXT
    if status in (400, 404, 422) and UNKNOWN_MODEL.search(said):
        known = ", ".join(sorted(models)[:8])
        has = f"; the server has {known}" if known else ""
        return f"API.LOGICAL_MODEL or LARGE_LOGICAL_MODEL is {model}{has}."
    if status in (400, 422) and regex.search(r"\bstop\b", said):
        return HINT_STOP
    if status in (400, 422) and CONSTRAINT.search(said):
        return HINT_CONSTRAINT
    return HINTS.get(status, HINTS[400] if status in (413, 422) else "")


def message_of(body: Any) -> str:
    """What a body says went wrong, in one line: servers nest it in five ways."""
    if isinstance(body, (bytes, str)):
        body = _json(body)
    if isinstance(body, dict):
        inner = body.get("error") or body.get("message") or body.get("detail") or body
        while isinstance(inner, dict):
            inner = inner.get("message") or inner.get("error") or json.dumps(inner)
        body = inner
    return " ".join(str(body or "").split())[:SHOWN]


def _code(body: Any) -> str:
    """The machine-readable part of an error: "context_length_exceeded NotFoundError"."""
    error = body.get("error", body) if isinstance(body, dict) else {}
    words = [error.get(name) for name in ("code", "type", "param")] if isinstance(error, dict) else []
    return " ".join(word for word in words if isinstance(word, str))


def _json(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body
        return regex.sub(r"<[^>]*>", " ", text)  # a page of a proxy


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: from retry-after-ms, or from Retry-After in seconds or as a date."""
    given = headers.get("retry-after-ms", "")
    if regex.fullmatch(r"\d+(\.\d+)?", given):
        return float(given) / 1000
    given = headers.get("retry-after", "")
    if regex.fullmatch(r"\d+(\.\d+)?", given):
        return float(given)
    date = email.utils.parsedate_tz(given) if given else None
    return max(0.0, email.utils.mktime_tz(date) - time.time()) if date else None


def without(secret: str, text: str) -> str:
    """The text without the key: servers repeat the key that they refuse, some of them with its middle starred out."""
    if secret in ("", "none"):
        return text
    starred = regex.escape(secret[:3]) + r"[\w-]*(\*{2,}|\.{3}|\u2026)[\w-]*"
    return regex.sub(starred, "***", text.replace(secret, "***"))
