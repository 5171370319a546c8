"""A local model: llama.cpp in a child process, spoken to in lines of JSON.

    engine = Local(Path("logical_models/gemma-3-270m-q4_k_m.gguf"))
    await engine.start()
    engine.about     # "completion form: the file has no chat template; context 12000 tokens"

A process of its own, so that an interrupt of the notebook does not wait for the model, a crash of llama.cpp fails
a few calls and not the kernel, and all memory is free the moment it ends. It lives in a session of its own, since
an interrupt goes to the whole process group of a kernel, and ends when its standard input does, so that a killed
kernel leaves nothing behind.

This is the parent's side and knows nothing of models; llama_child is the other side. Any event loop may call it,
also one after the other, so a thread reads the child's answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from .engine import Completion, Hear, Request
from .errors import EngineError
from .sizing import Settings

CALL_SECONDS = 600.0  # of computing; a call that takes longer ends as if max_tokens were reached
CRASHES = 3  # in a row, without an answer between them, and the model is given up
END_SECONDS = 10.0  # for the child to end by itself; it needs milliseconds
GIVEN_UP_SECONDS = 10.0  # then a person may have changed something, and it is tried anew
HUNG_SECONDS = (
    600.0  # without a word while it loads or computes; one evaluation of a large model takes minutes
)
LOG_LINES = 12


class Local:
    """One GGUF file. It takes many calls at once, and computes as many together as there is room for."""

    asks_again = False

    def __init__(self, model: Path, settings: Settings | None = None) -> None:
        self.name = model.name
        self.about = ""  # what was chosen and why, once loaded: form, context, calls at once
        self._model = model
        self._settings = settings or Settings()
        self._child: _Child | None = None
        self._crashes = 0  # in a row
        self._crashed_at = 0.0

    @property
    def loaded(self) -> float:
        """How much of the model is in memory, from 0 to 1."""
        return self._child.loaded if self._child else 0.0

    @property
    def cells(self) -> int:
        """How many tokens its memory holds, of calls that are computed and of what is kept of others."""
        return self._child.cells if self._child else 0

    @property
    def memory(self) -> int:
        """Bytes of main memory that the model's process has; 0 where there is none or nobody knows."""
        return self._child.memory if self._child and not self._child.is_over else 0

    async def start(self) -> None:
        """Load the model unless it is loaded. Raises EngineError: no such file, not a model, no memory, a crash."""
        await self._running()

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        """One answer. When this is cancelled the child drops the call, also in the middle of it.

        Raises EngineError: at once and for good where prompt and max_tokens exceed the context; `retryable` where
        the child crashed, which the next call starts anew.
        """
        child = await self._running()
        answer = await child.ask(
            {
                "messages": [asdict(message) for message in request.messages],
                "prompt": request.prompt,
                "shared_prompt": request.shared_prompt,
                "grammar": request.grammar.text,
                "sampling": asdict(request.sampling),
                "seed": request.seed,
                "stop": request.stop,
                "weigh": request.weigh,
                "seconds": CALL_SECONDS,
                "aloud": hear is not None,
            },
            hear,
        )
        self._crashes = 0
        return Completion(**answer)

    async def close(self) -> None:
        """End the child and wait for it. Calls in flight fail."""
        child, self._child, self._crashes = self._child, None, 0
        if child:
            await asyncio.to_thread(child.end)

    async def _running(self) -> _Child:
        """The child, loaded. Cancelling this leaves it loading, so that the next to ask waits less."""
        if self._child is None or self._child.is_over:
            if self._child and self._crashes >= CRASHES:
                if time.monotonic() < self._crashed_at + GIVEN_UP_SECONDS:
                    raise self._child.end_error()
                self._crashes = 0
            self._check_file()
            self._child = _Child(self._model, self._settings, self._count_crash)
        child = self._child
        self.about = (await _result(child.ready))["about"]
        return child

    def _check_file(self) -> None:
        try:
            with self._model.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise EngineError(f"cannot read the model {self._model}: {error.strerror}") from None
        if magic != b"GGUF":
            raise EngineError(f"{self._model} is not a GGUF model: it begins with {magic!r}")

    def _count_crash(self) -> int:
        self._crashes += 1
        self._crashed_at = time.monotonic()
        return self._crashes


class _Child:
    """One process, what was asked of it, and what it said. Safe to use from any thread."""

    def __init__(self, model: Path, settings: Settings, count_crash: Callable[[], int]) -> None:
        """`count_crash` is called when the process ends unasked, and gives how often that was in a row."""
        self.ready: Future[dict[str, Any]] = Future()
        self.is_over = False
        self.loaded = 0.0  # of the model's file; 1 when it can be asked
        self.cells = 0  # tokens that its memory holds
        self._count_crash, self._crashes = count_crash, 0
        self._closing = False
        self._asked: dict[int, Future[dict[str, Any]]] = {}
        self._hearing: dict[int, Hear] = {}
        self._last = 0
        self._heard = time.monotonic()
        self._ended = threading.Event()
        self._lock = threading.Lock()  # around what both the reading thread and callers change
        self._name = model.name
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - the reading thread closes it
        self._log_tail = ""
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "generation_functions.llama_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
            env=_environment(),
        )
        assert self._process.stdin and self._process.stdout
        self._input: IO[bytes] = self._process.stdin
        self._send({"model": str(model.absolute()), "settings": asdict(settings)})
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def memory(self) -> int:
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:  # not Linux, or just over
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def ask(self, message: dict[str, Any], hear: Hear | None = None) -> dict[str, Any]:
        """The answer to a request. Raises EngineError."""
        future: Future[dict[str, Any]] = Future()
        with self._lock:
            if self.is_over:
                raise self.end_error()
            self._last += 1
            number = self._last
            if not self._asked:
                self._heard = time.monotonic()
            self._asked[number] = future
            if hear:
                self._hearing[number] = hear
            self._send({"id": number, **message})
        try:
            return await _result(future)
        except asyncio.CancelledError:
            with self._lock:
                if self._asked.pop(number, None):
                    self._send({"drop": number})
            raise
        finally:
            self._hearing.pop(number, None)

    def end(self) -> None:
        """End the process; it is gone, and its memory with it, when this returns."""
        with self._lock:
            self._closing = True
            with contextlib.suppress(OSError):
                self._input.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._reader.join()

    def end_error(self) -> EngineError:
        """Why a process that is over answers no more."""
        if self._closing:
            return EngineError(f"{self._name} was closed")
        status = self._process.returncode
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        often = f", {self._crashes} times in a row" if self._crashes >= CRASHES else ""
        why = "there may be too little memory for this model and LOCAL.CONTEXT\n" if status == -9 else ""
        return EngineError(
            f"the process of {self._name} {how}{often}",
            retryable=self._crashes < CRASHES,
            hint=f"{why}its log ends with:\n{self._log_tail}",
        )

    def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError, ValueError):  # it is gone: the reading thread tells those who wait
            self._input.write(json.dumps(message).encode() + b"\n")
            self._input.flush()

    def _read(self, lines: IO[bytes]) -> None:
        """Hand out what the process says until it says no more; runs in a thread."""
        for line in lines:
            message = json.loads(line)
            self._heard = time.monotonic()
            if "ready" in message:
                self.loaded = 1.0
                self.ready.set_result(message["ready"])
            elif "loading" in message:
                self.loaded = message["loading"]
            elif "cells" in message:
                self.cells = message["cells"]
            elif "part" in message:
                if hear := self._hearing.get(message["id"]):
                    hear(message["part"])
            elif "failed" in message:
                hint = f"{message['hint']}\nits log ends with:\n{_tail(self._log)}"
                self.ready.set_exception(EngineError(message["failed"], hint=hint))
            else:
                self._hand_out(message)
        self._process.wait()
        self._ended.set()
        lines.close()
        self._give_up()

    def _watch(self) -> None:
        """Kill the process when it hangs, so that its calls fail and can be asked again; runs in a thread."""
        while not self._ended.wait(min(1.0, HUNG_SECONDS)):
            busy = self._asked or not self.ready.done()
            if busy and time.monotonic() > self._heard + HUNG_SECONDS:
                self._process.kill()
                return

    def _hand_out(self, message: dict[str, Any]) -> None:
        with self._lock:
            future = self._asked.pop(message.pop("id"), None)
        if future is None:  # cancelled meanwhile
            return
        if "error" in message:
            future.set_exception(EngineError(message["error"], hint=message["hint"]))
        else:
            future.set_result(message)

    def _give_up(self) -> None:
        """Fail everything that still waits."""
        with self._log:
            self._log_tail = _tail(self._log)
        with self._lock:
            self.is_over = True
            waiting, self._asked = list(self._asked.values()), {}
            if not self.ready.done():
                waiting.append(self.ready)
            failed_to_load = self.ready.done() and self.ready.exception()
            if not self._closing and not failed_to_load:
                self._crashes = self._count_crash()
            with contextlib.suppress(OSError):
                self._input.close()
        for future in waiting:
            future.set_exception(self.end_error())


async def _result(future: Future[dict[str, Any]]) -> dict[str, Any]:
    """What a thread puts into a future. Unlike asyncio.wrap_future this leaves it alone when cancelled, and does
    not complain when its loop is closed before the answer comes."""
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: Future[dict[str, Any]]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    return future.result()


def _environment() -> dict[str, str]:
    """The child finds this package wherever the parent found it, and aborts without starting a debugger.

    Its threads spin only shortly while they wait for each other. On two cores gemma-3-270m writes 72 tokens a second
    either way when nothing else runs; beside two busy processes 23, and 5 with the default of a millisecond.
    """
    root = str(Path(__file__).absolute().parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return {"GOMP_SPINCOUNT": "1000", **os.environ, "PYTHONPATH": path, "GGML_NO_BACKTRACE": "1"}


def _tail(log: IO[bytes]) -> str:
    """The last lines of a file that another process writes to, whose place in it must not move."""
    size = os.fstat(log.fileno()).st_size
    text = os.pread(log.fileno(), 8000, max(0, size - 8000)).decode("utf-8", "replace")
    return "\n".join(text.splitlines()[-LOG_LINES:])
