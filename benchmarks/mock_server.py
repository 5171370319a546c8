"""A server on 127.0.0.1 that speaks the OpenAI protocol, answers after a fixed time, and fails as it is told to.

    with MockServer(latency=0.05, fail=0.3) as server:
        ...                              # server.url is what API.BASE_URL takes
        server.counts()                  # Counts(received=2914, answered=2051, most_at_once=64, ...)

It has a process of its own, bare sockets and one thread: on one core it gives several thousand answers a second, so
that it is not the server that is measured. What it answers depends on the request alone; which request fails, and
how, on `seed` and the request's number, so that a second try is a new draw.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import random
import re
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import Any

FAULTS = (
    *("408", "409", "425", "429", "429 seconds", "429 date", "500", "502", "503 seconds"),  # with Retry-After
    *("reset", "hang", "cut body", "malformed", "html"),
    *("empty choices", "null content", "truncated"),
)
LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
BLOCK_END = "\n\n###\n\n"  # before the changing part of a plain prompt
RETRY_TOLERANCE = 0.01  # seconds by which a clock may be early
RESET_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset, not an end

# What it starts is forked from a process that has imported everything once; importing takes two seconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["generation_functions.__main__", "nltk.tokenize.punkt"])

Body = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """`fail` is the share of requests that fail, in one of the ways in `faults`. `retry_after` and `latency` are
    seconds. `answer` is given to every request, "" samples the request's own grammar: by its messages, and by its
    seed where `seeded`. `record` names a file that gets the bodies, a line each.
    """

    latency: float = 0.0
    fail: float = 0.0
    faults: tuple[str, ...] = FAULTS
    seed: int = 1
    retry_after: float = 1.0
    answer: str = ""
    seeded: bool = True
    gives_n: bool = True
    record: str = ""


@dataclass
class Counts:
    """`answered` are the whole texts that were sent to the last byte, `n` of them for a request that asks for so
    many; `again` of them went to a request that had been answered before. `truncated` texts came on top. `early`
    requests came back before their Retry-After had passed. `now` are in flight.
    """

    received: int = 0
    answered: int = 0
    truncated: int = 0
    again: int = 0
    early: int = 0
    now: int = 0
    most_at_once: int = 0
    faults: Counter[str] = field(default_factory=Counter)


def question_key(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def call_key(question: str, seed: int) -> str:
    """What server and journal both know a call by; of votes that are asked for with `n` just the first."""
    return f"{question_key(question)} {seed}"


class MockServer:
    """The server's process, started and ended with the `with` block."""

    def __init__(self, **options: Any) -> None:
        self._options = Options(**options)
        self._pipe, self._theirs = PROCESSES.Pipe()
        self._process = PROCESSES.Process(target=_serve, args=(self._options, self._theirs), daemon=True)

    def __enter__(self) -> MockServer:
        self._process.start()
        self._theirs.close()
        self.url = f"http://127.0.0.1:{self._pipe.recv()}/v1"
        return self

    def __exit__(self, *_: Any) -> None:
        self._pipe.close()  # which ends it, as does the end of this process
        self._process.join()
        self._process.close()

    def counts(self) -> Counts:
        """What it has counted up to now."""
        self._pipe.send("counts")
        counts: Counts = self._pipe.recv()
        return counts

    def texts(self) -> Counter[str]:
        """How many whole texts were sent for each question, by its `question_key`."""
        return self._counter("texts")

    def calls(self) -> Counter[str]:
        """How many times each call was answered, by its `call_key`."""
        return self._counter("calls")

    def _counter(self, name: str) -> Counter[str]:
        self._pipe.send(name)
        counter: Counter[str] = self._pipe.recv()
        return counter


def _serve(options: Options, pipe: Connection) -> None:
    asyncio.run(_until_closed(options, pipe))


async def _until_closed(options: Options, pipe: Connection) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    mock = _Mock(options)
    server = await loop.create_server(lambda: _Client(mock), "127.0.0.1", 0, backlog=4096)

    def asked() -> None:
        try:
            pipe.send(getattr(mock, pipe.recv()))
        except (EOFError, OSError):
            loop.remove_reader(pipe.fileno())
            over.set()

    loop.add_reader(pipe.fileno(), asked)
    pipe.send(server.sockets[0].getsockname()[1])
    await over.wait()
    server.close()


# What goes back


@dataclass(frozen=True)
class Reply:
    """`kind` is "whole" or one of FAULTS, `data` all that is sent, `texts` the number of answers in it."""

    kind: str
    data: bytes
    question: str = ""
    seed: int = 0
    texts: int = 1


class _Mock:
    """Decides what each request gets, and counts."""

    def __init__(self, options: Options) -> None:
        self.options, self.counts = options, Counts()
        self.texts: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self._draw, self._deck = random.Random(options.seed), list[str]()
        self._answered: set[int] = set()  # the bodies, by their hash
        self._not_before: dict[int, float] = {}
        self._constant = (
            _sent(200, _completion(options.answer, prompt_tokens=1000)) if options.answer else b""
        )
        self._record = open(options.record, "wb", buffering=0) if options.record else None  # noqa: SIM115

    def take(self, body: bytes) -> Reply:
        """Count a request that has come in whole; what it gets when its time has passed."""
        counts, which = self.counts, hash(body)
        counts.received += 1
        counts.now += 1
        counts.most_at_once = max(counts.most_at_once, counts.now)
        counts.early += time.time() < self._not_before.pop(which, 0.0) - RETRY_TOLERANCE
        if self._record:
            self._record.write(body + b"\n")
        kind = self._next_fault() if self._draw.random() < self.options.fail else "whole"
        return self._reply(kind, body, which)

    def _next_fault(self) -> str:
        """Each of them comes before the first comes again."""
        if not self._deck:
            self._deck = self._draw.sample(self.options.faults, len(self.options.faults))
        self.counts.faults[self._deck[-1]] += 1
        return self._deck.pop()

    def _reply(self, kind: str, body: bytes, which: int) -> Reply:
        if kind[0].isdigit():
            return Reply(kind, self._refusal(kind, which))
        if kind in ("reset", "hang"):
            return Reply(kind, b"")
        if kind == "html":
            return Reply(kind, _sent(200, b"<html><body>It works!</body></html>", b"text/html"))
        if self._constant and kind == "whole":
            return Reply(kind, self._constant)
        return self._answer(kind, json.loads(body), len(body) // 4)

    def _refusal(self, kind: str, which: int) -> bytes:
        status, _, form = kind.partition(" ")
        header = b""
        if form:
            until = time.time() + self.options.latency + self.options.retry_after
            self._not_before[which] = until if form == "seconds" else float(int(until))
            said = formatdate(until, usegmt=True) if form == "date" else f"{self.options.retry_after:g}"
            header = f"Retry-After: {said}\r\n".encode()
        said = json.dumps({"error": {"message": f"{status} of the mock server", "type": "mock"}})
        return _sent(int(status), said.encode(), more=header)

    def _answer(self, kind: str, body: Body, prompt_tokens: int) -> Reply:
        chat, seed = "messages" in body, body.get("seed", 0)
        number = body.get("n") or 1 if self.options.gives_n else 1
        texts: list[str | None] = [self._text(body, seed + choice) for choice in range(number)]
        if kind == "truncated":
            texts = [str(text)[: len(str(text)) // 2] for text in texts]
        if kind == "null content":
            texts = [None] * number
        if kind == "empty choices":
            texts = []
        data = _completion(*texts, prompt_tokens=prompt_tokens, chat=chat, cut=kind == "truncated")
        if kind == "malformed":
            return Reply(kind, _sent(200, data[:-20]))
        question = body["messages"][-1]["content"] if chat else _changing_part(body["prompt"])
        sent = _sent(200, data)
        if kind == "cut body":
            sent = sent[: -len(data) // 2]
        return Reply(kind, sent, question, seed, number)

    def _text(self, body: Body, seed: int) -> str:
        if self.options.answer:
            return self.options.answer
        asked = json.dumps([body.get("messages", body.get("prompt")), seed if self.options.seeded else 0])
        return _sampled(body.get("grammar", ""), hashlib.sha256(asked.encode()).digest())

    def left(self) -> None:
        """A request is in flight no more."""
        self.counts.now -= 1

    def was_sent(self, reply: Reply, which: int) -> None:
        if reply.kind == "truncated":
            self.counts.truncated += reply.texts
        if reply.kind != "whole":
            return
        self.counts.answered += reply.texts
        self.counts.again += reply.texts if which in self._answered else 0
        self._answered.add(which)
        if reply.question:
            self.texts[question_key(reply.question)] += reply.texts
            self.calls[call_key(reply.question, reply.seed)] += 1


def _changing_part(prompt: str) -> str:
    return prompt.split(BLOCK_END)[-1].removesuffix("\n")


@lru_cache(maxsize=100_000)
def _sampled(grammar: str, asked: bytes) -> str:
    from generation_functions.grammar import Grammar  # with a constant answer it needs none of the library

    if not grammar:
        return "Yes."
    return Grammar.compile(grammar).sample(random.Random(asked))


def _completion(*texts: str | None, prompt_tokens: int, chat: bool = True, cut: bool = False) -> bytes:
    tokens = sum(len(text or "") for text in texts) // 4
    choices = [
        {
            "index": index,
            "finish_reason": "length" if cut else "stop",
            **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
        }
        for index, text in enumerate(texts)
    ]
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": tokens,
        "total_tokens": prompt_tokens + tokens,
        "prompt_tokens_details": {"cached_tokens": prompt_tokens * 3 // 4},
    }
    kind = "chat.completion" if chat else "text_completion"
    answer = {
        "id": "mock-1",
        "object": kind,
        "created": 1,
        "model": "mock",
        "choices": choices,
        "usage": usage,
    }
    return json.dumps(answer).encode()


def _sent(status: int, body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Mock\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s" % (
        *(status, kind, more, len(body), body),
    )


MODELS = _sent(200, b'{"object": "list", "data": [{"id": "mock", "object": "model", "owned_by": "mock"}]}')
NOT_FOUND = _sent(404, b'{"error": {"message": "there is nothing here", "type": "mock"}}')


class _Client(asyncio.Protocol):
    """One connection: takes a request, answers it when its time has passed, takes the next."""

    def __init__(self, mock: _Mock) -> None:
        self._mock, self._loop = mock, asyncio.get_running_loop()
        self._came = b""
        self._timer: asyncio.TimerHandle | None = None
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, whole, rest = self._came.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        size = int(length[1]) if length else 0
        if not whole or len(rest) < size:
            return
        self._came = rest[size:]
        if head.startswith(b"POST "):
            self._begin(rest[:size])
        else:
            self._transport.write(MODELS if head.split(b" ", 2)[1].endswith(b"/models") else NOT_FOUND)

    def _begin(self, body: bytes) -> None:
        self._busy = True
        reply, which = self._mock.take(body), hash(body)
        if reply.kind == "hang":
            return  # until the client has had enough
        if self._mock.options.latency:
            self._timer = self._loop.call_later(self._mock.options.latency, self._end, reply, which)
        else:
            self._end(reply, which)

    def _end(self, reply: Reply, which: int) -> None:
        self._leave()  # before it is sent: the client may come back at once
        if reply.kind == "reset":
            sock: socket.socket = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_ONCE)
            self._transport.abort()
            return
        self._transport.write(reply.data)
        if reply.kind == "cut body":
            self._transport.close()
        if not self._transport.get_write_buffer_size():
            self._mock.was_sent(reply, which)

    def eof_received(self) -> None:
        self._leave()  # here and not when the connection is lost, which is a turn of the loop later

    def connection_lost(self, _: Exception | None) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._timer:
            self._timer.cancel()
        if self._busy:
            self._busy = False
            self._mock.left()
