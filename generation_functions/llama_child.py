"""The process that a local model runs in: `python -m generation_functions.llama_child`, started by local.Local.

It talks in lines of JSON. It is told, on its standard input, first what to load, then what to write:

    {"model": "/models/gemma.gguf", "settings": {"context": 12000, "rope": {"kind": "none", ...}, ...}}
    {"id": 7, "prompt": "...", "shared_prompt": "...", "grammar": "root ::= ...", "seed": 40, "seconds": 600, ...}
    {"drop": 7}

and says, on its standard output:

    {"loading": 0.4}
    {"ready": {"about": "completion form: ...; context 12000 tokens, 8 calls at once in ..."}}
    {"id": 7, "part": "Reason"}                     # of a call that was asked "aloud"
    {"id": 7, "text": "Reason: ...", "finish": "stop", "prompt_tokens": 1204, "cached_tokens": 1130, ...}
    {"id": 9, "text": "Verdict: Accurate", ..., "weights": {"Verdict: Accurate": 0.93, ...}}    # "weigh": [...]
    {"id": 8, "error": "prompt of 13000 tokens + 300 to write does not fit ...", "hint": "..."}
    {"cells": 5120}

the last, how many cells of its memory are in use, every few seconds while it computes and when it rests. When its
input ends, which the system sees to when the kernel is killed, the process ends at once, also in the middle of
computing. What llama.cpp says goes to standard error, a log file.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from .cache import Cache, Prompt, Tokens, common
from .chat import ChatTemplate, Part, looks_instructed, spans
from .engine import Message, Sampling
from .errors import EngineError
from .llama_model import KEPT, LlamaModel
from .scheduler import Call, Scheduler, begun_character
from .sizing import RopeScaling, Settings, cores
from .weighing import parted

UNSETTLED = 4  # tokens at the end of a text that may come out differently when the text goes on
SIGN_OF_LIFE = 5.0  # seconds

Say = Callable[[dict[str, Any]], None]


# Talking to the parent


def main() -> None:
    faulthandler.enable()
    _volunteer_for_the_out_of_memory_killer()
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is not an answer

    def say(message: dict[str, Any]) -> None:
        said.write(json.dumps(message) + "\n")
        said.flush()

    told = json.loads(sys.stdin.buffer.readline() or "null")
    if told is None:
        return
    inbox = Inbox(sys.stdin.buffer)
    settings = Settings(**{**told["settings"], "rope": RopeScaling(**told["settings"]["rope"])})
    try:
        model = LlamaModel.load(Path(told["model"]), settings, _said_in_steps(say))
        asking = Asking.of(model, Path(told["model"]).stem, settings.completion_mode)
    except EngineError as error:
        say({"failed": _plain(error), "hint": error.hint})
        return
    say({"ready": {"about": f"{asking.about}; {_about(model)}"}})
    serve(inbox, asking, _scheduler(model, settings), say)


def _said_in_steps(say: Say) -> Callable[[float], None]:
    """Hears of every tensor that is loaded and says each hundredth of the file."""
    last = 0

    def hear(part: float) -> None:
        nonlocal last
        if int(part * 100) > last:
            last = int(part * 100)
            say({"loading": part})

    return hear


def _about(model: LlamaModel) -> str:
    remark = f" ({model.fit.remark})" if model.fit.remark else ""
    room = model.room
    calls = (
        f"{room.calls} calls at once in {room.cells} tokens of memory"
        if room.calls > 1
        else "one call at a time"
    )
    slow = (
        "" if model.shares else "; every prompt is read whole, as this kind of model cannot share beginnings"
    )
    return f"context {model.fit.tokens} tokens{remark}, {calls}{slow}"


def _scheduler(model: LlamaModel, settings: Settings) -> Scheduler:
    room, exact = model.room, model.room.calls == 1
    cache = Cache(model, room.cells, room.calls, kept=KEPT, exact=exact, shares=model.shares)
    threads = min(settings.threads or cores(), room.calls)
    return Scheduler(model, cache, portion=settings.batch, exact=exact, threads=threads)


def _volunteer_for_the_out_of_memory_killer() -> None:
    """Better this process than the kernel with a person's work in it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


class Inbox:
    """What has been said to this process and not been taken out yet. A thread reads it, so that the end of input is
    always seen."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._messages: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(lines,), daemon=True).start()

    def take(self, wait: bool) -> Iterator[dict[str, Any]]:
        """All that is there; with `wait`, at least one."""
        if wait:
            yield self._messages.get()
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._messages.get_nowait()

    def _read(self, lines: IO[bytes]) -> NoReturn:
        for line in lines:
            self._messages.put(json.loads(line))
        os._exit(0)


def serve(inbox: Inbox, asking: Asking, scheduler: Scheduler, say: Say) -> NoReturn:
    """Answer what is asked, many calls at once."""
    said, cells = time.monotonic(), 0
    aloud: dict[
        int, tuple[Call, int]
    ] = {}  # calls that are said as they are written, and how many bytes were
    while True:
        if time.monotonic() > said + SIGN_OF_LIFE or (scheduler.is_idle and cells != scheduler.cache.used):
            said, cells = time.monotonic(), scheduler.cache.used
            say({"cells": cells})
        for message in inbox.take(wait=scheduler.is_idle):
            if "drop" in message:
                scheduler.drop(message["drop"])
                aloud.pop(message["drop"], None)
                continue
            try:
                call = asking.call(message)
                scheduler.add(call)
                if message["aloud"]:
                    aloud[call.id] = (call, 0)
            except EngineError as error:
                say({"id": message["id"], "error": _plain(error), "hint": error.hint})
        answers = scheduler.step()
        for call, before in list(aloud.values()):
            whole = len(call.text) - len(begun_character(call.text))
            if whole > before:
                say({"id": call.id, "part": call.text[before:whole].decode("utf-8", "replace")})
                aloud[call.id] = (call, whole)
        for answer in answers:
            aloud.pop(answer.id, None)
            if answer.error:
                say({"id": answer.id, "error": _plain(answer.error), "hint": answer.error.hint})
            else:
                say({"id": answer.id, **answer.fields})


def _plain(error: EngineError) -> str:
    return str(error).removesuffix(f". {error.hint}")


# What is asked, in the model's own form


class Asking:
    """Turns requests into calls: the prompt as tokens, in the chat or the completion form."""

    def __init__(self, model: LlamaModel, template: ChatTemplate | None, about: str) -> None:
        self.about = about
        self._model, self._template = model, template

    @classmethod
    def of(cls, model: LlamaModel, file: str, completion_mode: bool | None) -> Asking:
        completion, why = _form(model, file, completion_mode)
        words = model.vocabulary
        template = None if completion else ChatTemplate(model.chat_template, words.bos, words.eos)
        if template:  # an unusable one raises now, not later
            template.parts([Message("system", "Be brief."), Message("user", "Hello.")])
        return cls(model, template, why)

    def call(self, message: dict[str, Any]) -> Call:
        """What is to be done for a request. Raises EngineError for what cannot fit, before anything is computed."""
        sampling, answers = Sampling(**message["sampling"]), tuple(message["weigh"])
        opening, rests = parted(answers)
        if self._template:
            prompt = self._chat(self._template, message["messages"], opening)
        else:
            tokens = self._model.vocabulary.tokens
            prompt = _prompt(tokens(message["prompt"] + opening), tokens(message["shared_prompt"]))
        asked, room = len(prompt.tokens), self._model.fit.tokens
        if asked + sampling.max_tokens > room:
            raise EngineError(
                f"prompt of {asked} tokens + {sampling.max_tokens} to write does not fit the context of {room} tokens",
                hint="raise LOCAL.CONTEXT or lower SYSTEM.CHUNK_SIZE",
            )
        stop = tuple(text.encode() for text in message["stop"])
        grammar = "" if answers else message["grammar"]
        return Call(
            *(message["id"], prompt, grammar, sampling, message["seed"], stop, message["seconds"]),
            *(answers, rests),
        )

    def _chat(self, template: ChatTemplate, messages: Iterable[dict[str, Any]], opening: str) -> Prompt:
        """`opening` is what the model's answer begins with."""
        parts = template.parts([Message(**message) for message in messages])
        last = max(index for index, part in enumerate(parts) if part.message)
        return _prompt(self._chat_tokens([*parts, Part(opening, False)]), self._chat_tokens(parts[:last]))

    def _chat_tokens(self, parts: list[Part]) -> Tokens:
        """A template may write the opening token itself; then it is not put there a second time."""
        words, pieces = self._model.vocabulary, list[Tokens]()
        for span in spans(parts, words.markers):
            opens = not pieces and not (words.bos and span.text.startswith(words.bos))
            pieces.append(words.tokens(span.text, span.special, opens))
        return np.concatenate(pieces) if pieces else np.empty(0, np.int32)


def _prompt(tokens: Tokens, shared: Tokens) -> Prompt:
    same = min(common(tokens, shared), len(shared) - UNSETTLED, len(tokens) - 1)
    return Prompt(tokens, max(0, same))


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
