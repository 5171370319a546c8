"""How servers are told a grammar: each kind has its own field for it, and most ignore the others' without a word.

    fields("llama.cpp", grammar)   {"grammar": "root ::= ..."}
    fields("sglang", grammar)      {"regex": "Reason: [^\\n]{1,300}..."}
    fields("none", grammar)        {}

So a server's word is not taken for it: `found` asks it for a word that nobody would answer, under a grammar that
allows no other, and looks at what comes. It knows how requests are written, not how they are sent.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

from .errors import EngineError
from .forms import JsonForm, regex_of
from .grammar import Grammar

Dialect = Literal["llama.cpp", "vllm", "sglang", "together", "json_schema", "none"]

# What the list of models says of the server, and names of hosts, that leave one dialect to try.
OWNERS: Mapping[str, Dialect] = {
    "llamacpp": "llama.cpp",
    "vllm": "vllm",
    "pygmalionai": "vllm",  # Aphrodite
    "sglang": "sglang",
    "library": "json_schema",  # Ollama
}
HOSTS: Mapping[str, Dialect] = {
    "together": "together",
    "openai.com": "json_schema",
    "openrouter.ai": "json_schema",
    "groq.com": "json_schema",
    "mistral.ai": "json_schema",
    "cohere": "json_schema",
}

SAMPLERS = ("llama.cpp", "vllm", "sglang")  # take min_p and top_k as well
PROBE = "Name an animal, in one word."
PROBE_TOKENS = 24
STONES: Mapping[Dialect, str] = {  # no animals: the stone that comes back tells whose field was obeyed
    "llama.cpp": "granite",
    "vllm": "basalt",
    "sglang": "quartz",
    "together": "gneiss",
    "json_schema": "marble",
}


def fields(dialect: Dialect, grammar: Grammar) -> dict[str, Any]:
    """What a request says so that the answer obeys the grammar; {} where the dialect has no words for it.

    vLLM had guided_grammar before 0.12 and has structured_outputs since 0.11; each ignores the other.
    """
    match dialect:
        case "llama.cpp":
            return {"grammar": grammar.text}
        case "vllm":
            return {"structured_outputs": {"grammar": grammar.text}, "guided_grammar": grammar.text}
        case "sglang":
            pattern = regex_of(grammar)
            return {"regex": pattern} if pattern else {}
        case "together":
            pattern = regex_of(grammar)
            return {"response_format": {"type": "regex", "pattern": pattern}} if pattern else {}
        case "json_schema":
            form = JsonForm.of(grammar)
            return {"response_format": _json_format(form.schema)} if form else {}
        case "none":
            return {}


def _json_format(schema: dict[str, Any]) -> dict[str, Any]:
    named = {"name": "answer", "strict": True, "schema": schema}
    return {"type": "json_schema", "json_schema": named}


async def found(
    address: str, owners: set[str], ask: Callable[[dict[str, Any], str], Awaitable[str]], *, chat: bool
) -> Dialect:
    """The dialect that the server obeys. At most two small calls: `ask` sends the fields and a question, and gives
    the answer's text.

    `owners` are what its list of models names. Raises EngineError for anything but a refusal of the fields.
    """
    for candidates in _candidates(address, owners, chat):
        sent: dict[str, Any] = {}
        for dialect in candidates:
            sent |= _probe(dialect)
        try:
            said = await ask(sent, PROBE)
        except EngineError as error:
            if error.status not in (400, 413, 422):
                raise
            continue
        for dialect in candidates:
            if _stone_in(said) == STONES[dialect]:
                return dialect
    return "none"


def _candidates(address: str, owners: set[str], chat: bool) -> list[tuple[Dialect, ...]]:
    """Which to try together, in turn. A server that does not say what it is gets three at once: it ignores two."""
    host = urlsplit(address).hostname or ""
    known = [dialect for owner, dialect in OWNERS.items() if owner in owners]
    known += [dialect for name, dialect in HOSTS.items() if name in host]
    rounds: list[tuple[Dialect, ...]] = [(known[0],)] if known else [("llama.cpp", "vllm", "sglang")]
    if chat and ("json_schema",) not in rounds:
        rounds.append(("json_schema",))
    return rounds if chat else [one for one in rounds if one != ("json_schema",)]


@cache
def _probe(dialect: Dialect) -> dict[str, Any]:
    if dialect == "json_schema":
        stone = {"type": "string", "enum": [STONES[dialect]]}
        schema = {
            "type": "object",
            "properties": {"stone": stone},
            "required": ["stone"],
            "additionalProperties": False,
        }
        return {"response_format": _json_format(schema)}
    return fields(dialect, Grammar.compile(f'root ::= "{STONES[dialect]}"'))


def _stone_in(said: str) -> str:
    """The whole of the answer, or of its one field: a stone that is only mentioned proves nothing."""
    said = said.strip()
    if said.startswith("{"):
        try:
            document = json.loads(said)
        except ValueError:
            return ""
        return str(document.get("stone", "")) if isinstance(document, dict) else ""
    return said
