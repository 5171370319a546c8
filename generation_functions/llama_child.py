"""The process that a local model runs in: `python -m generation_functions.llama_child`, started by local.Local.

It talks in lines of JSON. It is told, on its standard input, first what to load, then what to write:

    {"model": "/models/gemma.gguf", "context": 12000, "rope": ["none", 0.0, 0.0], ...}
    {"id": 7, "prompt": "...", "shared_prompt": "...", "grammar": "root ::= ...", "seed": 40, "seconds": 600, ...}
    {"drop": 7}

and says, on its standard output:

    {"ready": {"about": "completion form: ..."}}
    {"id": 7, "text": "Reason: ...", "finish": "stop", "prompt_tokens": 1204, "cached_tokens": 1130, ...}
    {"id": 8, "error": "prompt of 13000 tokens + 300 to write does not fit ...", "hint": "..."}

One call is computed at a time. When its input ends, which the system sees to when the kernel is killed, the
process ends at once, also in the middle of computing. What llama.cpp says goes to standard error, a log file.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import queue
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from .chat import ChatTemplate, Part, looks_instructed, spans
from .engine import Message, Sampling
from .errors import EngineError
from .llama_model import GrammarState, LlamaModel
from .prefixes import SLICE, Prefixes, Prompt, common
from .sampler import draw

MOST_PASSED_OVER = 64  # then a call is next, whatever is in memory
UNSETTLED = 4  # tokens at the end of a text that may come out differently when the text goes on


class Dropped(Exception):
    """Nobody waits for the call any more."""


class OutOfTime(Exception):
    pass


@dataclass(eq=False)
class Call:
    id: int
    prompt: Prompt
    grammar: str
    sampling: Sampling
    seed: int
    stop: tuple[bytes, ...]
    seconds: float
    passed_over: int = 0


# Talking to the parent


def main() -> None:
    faulthandler.enable()
    _volunteer_for_the_out_of_memory_killer()
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is not an answer

    def say(message: dict[str, Any]) -> None:
        said.write(json.dumps(message) + "\n")
        said.flush()

    settings = json.loads(sys.stdin.buffer.readline() or "null")
    if settings is None:
        return
    inbox = Inbox(sys.stdin.buffer)
    try:
        writer = Writer.load(settings)
    except EngineError as error:
        say({"failed": _plain(error), "hint": error.hint})
        return
    say({"ready": {"about": writer.about}})
    serve(inbox, writer, say)


def _volunteer_for_the_out_of_memory_killer() -> None:
    """Better this process than the kernel with a person's work in it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


class Inbox:
    """What has been asked and not been taken out yet. A thread reads it, so that the end of input is always seen."""

    def __init__(self, lines: IO[bytes]) -> None:
        self.dropped: set[int] = set()
        self._asked: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def take(self, wait: bool) -> Iterator[dict[str, Any]]:
        """All that is there; with `wait`, at least one."""
        if wait:
            yield self._asked.get()
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._asked.get_nowait()

    def _read(self, lines: IO[bytes]) -> NoReturn:
        for line in lines:
            message = json.loads(line)
            if "drop" in message:
                self.dropped.add(message["drop"])
            else:
                self._asked.put(message)
        os._exit(0)


def serve(inbox: Inbox, writer: Writer, say: Callable[[dict[str, Any]], None]) -> NoReturn:
    """Answer what is asked, in an order that spares the model reading."""
    waiting: list[Call] = []
    while True:
        for message in inbox.take(wait=not waiting):
            try:
                waiting.append(writer.call(message))
            except EngineError as error:
                say({"id": message["id"], "error": _plain(error), "hint": error.hint})
        waiting = [call for call in waiting if call.id not in inbox.dropped]
        if not waiting:
            continue
        call = next_call(waiting, writer.prefixes.reusable)
        waiting.remove(call)
        try:
            say({"id": call.id, **writer.write(call, lambda call=call: call.id in inbox.dropped)})
        except Dropped:
            pass
        except EngineError as error:
            say({"id": call.id, "error": _plain(error), "hint": error.hint})
        inbox.dropped.discard(call.id)


def next_call(waiting: list[Call], reusable: Callable[[Prompt], tuple[int, int]]) -> Call:
    """The call with the longest beginning in memory, so that calls of one stage, and within it those on one text,
    run together; the longest waiting of equals, and before all others one that was passed over too often."""
    chosen = waiting[0]
    if chosen.passed_over < MOST_PASSED_OVER:
        chosen = max(waiting, key=lambda call: reusable(call.prompt))
    for call in waiting[: waiting.index(chosen)]:
        call.passed_over += 1
    return chosen


def _plain(error: EngineError) -> str:
    return str(error).removesuffix(f"\n{error.hint}")


# Writing


class Writer:
    """A model, what it has read, and the form in which it is asked."""

    def __init__(self, model: LlamaModel, template: ChatTemplate | None, about: str, batch: int) -> None:
        self.model, self.about = model, about
        self.prefixes = Prefixes(model, model.fit.tokens, batch)
        self._template = template

    @classmethod
    def load(cls, settings: dict[str, Any]) -> Writer:
        path, batch = Path(settings["model"]), max(settings["batch"], SLICE)
        model = LlamaModel.load(
            path,
            context=settings["context"],
            rope=settings["rope"],
            gpu_layers=settings["gpu_layers"],
            threads=settings["threads"],
            batch=batch,
        )
        completion, why = _form(model, path.stem, settings["completion_mode"])
        template = None if completion else ChatTemplate(model.chat_template, model.bos, model.eos)
        if template:
            template.parts([Message("system", "Be brief."), Message("user", "Hello.")])  # raises now, not later
        remark = f" ({model.fit.remark})" if model.fit.remark else ""
        about = f"{why}; context {model.fit.tokens} tokens{remark}"
        return cls(model, template, about, batch)

    def call(self, message: dict[str, Any]) -> Call:
        """What is to be done for a request. Raises EngineError for what cannot fit, before anything is computed."""
        sampling = Sampling(**message["sampling"])
        if self._template:
            prompt = self._chat(self._template, message["messages"])
        else:
            prompt = self._prompt(
                self.model.tokens(message["prompt"]), self.model.tokens(message["shared_prompt"])
            )
        asked, room = len(prompt.tokens), self.model.fit.tokens
        if asked + sampling.max_tokens > room:
            raise EngineError(
                f"prompt of {asked} tokens + {sampling.max_tokens} to write does not fit the context of {room} tokens",
                hint="raise LOCAL.CONTEXT or lower SYSTEM.CHUNK_SIZE",
            )
        stop = tuple(text.encode() for text in message["stop"])
        return Call(
            message["id"], prompt, message["grammar"], sampling, message["seed"], stop, message["seconds"]
        )

    def write(self, call: Call, is_dropped: Callable[[], bool]) -> dict[str, Any]:
        """The completion's fields. Raises Dropped as soon as `is_dropped`."""
        began = time.monotonic()

        def between() -> None:
            if is_dropped():
                raise Dropped
            if time.monotonic() - began > call.seconds:
                raise OutOfTime

        cached, tokens, finish = 0, [], "length"
        grammar = GrammarState(self.model, call.grammar) if call.grammar else None
        try:
            cached = self.prefixes.fill(call.prompt, between)
            for token in self._drawn(call, grammar, between):
                tokens.append(token)
        ...
