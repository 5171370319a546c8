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
from functools import partial
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .chat import ChatTemplate, Part, looks_instructed, spans
from .engine import Message, Sampling
from .errors import EngineError
from .llama_model import GrammarState, LlamaModel
from .prefixes import SLICE, Prefixes, Prompt, Tokens, common
from .sampler import draw

MOST_PASSED_OVER = 64  # then a call is next, whatever is in memory
UNSETTLED = 4  # tokens at the end of a text that may come out differently when the text goes on


class Dropped(Exception):
    """Nobody waits for the call any more."""


class Cut(Exception):
    """max_tokens or the time for the call is used up."""


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
        for call in [call for call in waiting if call.id in inbox.dropped]:
            waiting.remove(call)
            inbox.dropped.discard(call.id)
        if not waiting:
            continue
        call = next_call(waiting, writer.prefixes.reusable)
        waiting.remove(call)
        try:
            say({"id": call.id, **writer.write(call, partial(inbox.dropped.__contains__, call.id))})
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
            template.parts(
                [Message("system", "Be brief."), Message("user", "Hello.")]
            )  # raises now, not later
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
        """The completion's fields. Raises Dropped as soon as `is_dropped`, EngineError for an impossible grammar."""
        began = time.monotonic()

        def between() -> None:
            if is_dropped():
                raise Dropped
            if time.monotonic() - began > call.seconds:
                raise Cut

        text, cached, count, finish = bytearray(), 0, 0, "length"
        with contextlib.suppress(Cut), contextlib.ExitStack() as ending:
            grammar = GrammarState(self.model, call.grammar) if call.grammar else None
            if grammar:
                ending.callback(grammar.close)
            cached = self.prefixes.fill(call.prompt, between)
            for token in self._tokens(call, grammar, between):
                count += 1
                text += self.model.pieces[token]
                if cut_at_stop(text, call.stop, len(self.model.pieces[token])):
                    break
            finish = "stop"
        return {
            "text": text.decode("utf-8", "replace"),
            "finish": finish,
            "prompt_tokens": len(call.prompt.tokens),
            "cached_tokens": cached,
            "completion_tokens": count,
            "seconds": time.monotonic() - began,
        }

    def _tokens(self, call: Call, grammar: GrammarState | None, between: Callable[[], None]) -> Iterator[int]:
        """What the model writes, until it ends the text or the grammar does. Raises Cut after max_tokens."""
        rng = random.Random(call.seed)
        at = len(call.prompt.tokens)
        for left in range(call.sampling.max_tokens - 1, -1, -1):
            token = draw(
                self.model.logits(), grammar.allows if grammar else all_of, call.sampling, rng.random()
            )
            if token is None:
                raise EngineError("the grammar asks for what the model's vocabulary cannot write")
            if token in self.model.ends:
                return
            yield token
            if grammar:
                grammar.accept(token)
                if grammar.is_finished():  # all that is left is to say so: one evaluation less
                    return
            between()
            if left:
                self.model.evaluate(np.array([token], np.int32), at, True)
                at += 1
        raise Cut

    def _prompt(self, tokens: Tokens, shared: Tokens) -> Prompt:
        same = min(common(tokens, shared), len(shared) - UNSETTLED, len(tokens) - 1)
        return Prompt(tokens, max(0, same))

    def _chat(self, template: ChatTemplate, messages: Iterable[dict[str, Any]]) -> Prompt:
        parts = template.parts([Message(**message) for message in messages])
        last = max(index for index, part in enumerate(parts) if part.message)
        return self._prompt(self._chat_tokens(parts), self._chat_tokens(parts[:last]))

    def _chat_tokens(self, parts: list[Part]) -> Tokens:
        """A template may write the opening token itself; then it is not put there a second time."""
        pieces: list[Tokens] = []
        for span in spans(parts, self.model.markers):
            opens = not pieces and not (self.model.bos and span.text.startswith(self.model.bos))
            pieces.append(self.model.tokens(span.text, span.special, opens))
        return np.concatenate(pieces) if pieces else np.empty(0, np.int32)


def all_of(tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.ones(len(tokens), np.bool_)


def cut_at_stop(text: bytearray, stop: Iterable[bytes], added: int) -> bool:
    """Cut the text where the first of the stop strings begins; only those that end in the last `added` bytes."""
    found = [text.find(s, max(0, len(text) - added - len(s) + 1)) for s in stop if s]
    if (at := min((at for at in found if at >= 0), default=-1)) >= 0:
        del text[at:]
    return at >= 0


def _form(model: LlamaModel, file: str, completion_mode: bool | None) -> tuple[bool, str]:
    """Whether the model is asked in the completion form, and why, for people."""
    if completion_mode is not None:
        if not completion_mode and not model.chat_template:
            raise EngineError(
                f"{file} has no chat template", hint="SYSTEM.COMPLETION_MODE: true asks it without one"
            )
        return (
            completion_mode,
            "completion form, as configured" if completion_mode else "chat form, as configured",
        )
    if not model.chat_template:
        return True, "completion form: the file has no chat template"
    name = looks_instructed(
        [model.about(f"general.{key}") for key in ("name", "basename", "finetune")] + [file]
    )
    if name:
        return False, f"chat form: it has a chat template and is called {name!r}"
    return True, (
        "completion form: nothing in its name says instruct, it or chat, although it has a chat template "
        "(SYSTEM.COMPLETION_MODE: false uses that)"
    )


if __name__ == "__main__":
    main()
