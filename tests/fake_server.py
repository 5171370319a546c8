"""An OpenAI-compatible server on 127.0.0.1, in a thread of the test.

    with FakeServer(answers=sampled, faults=[429, "cut body"]) as server:
        ...                              # the first two calls fail, the third is answered
        server.calls                     # the bodies it was sent, in order

It knows one key and any model. What it answers is the test's business: `sampled` takes the grammar in the
request, `from_journal` looks up what another run was told.
"""

import json
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from generation_functions.grammar import Grammar
from generation_functions.prompts import BLOCK_END

KEY = "sk-fake-0123456789"
HANG_SECONDS = 60  # at the longest: closing the server ends it

Body = dict[str, Any]
Answers = Callable[[Body], str]
Fault = int | str | None  # a status, one of the words in `_completion` and `_answer`, or nothing


def sampled(body: Body) -> str:
    """As llama-server does: whatever the grammar in the request allows."""
    return Grammar.compile(body["grammar"]).sample(random.Random(body["seed"]))


def from_journal(calls: Iterable[Mapping[str, Any]]) -> Answers:
    """What the calls of another run were answered, found by the last message and the seed."""
    table = {(call["question"], call["seed"]): call["text"] for call in calls}
    return lambda body: table[last_message(body), body["seed"]]


def last_message(body: Body) -> str:
    """The changing part of a request, in either form."""
    if "messages" in body:
        return str(body["messages"][-1]["content"])
    return str(body["prompt"]).split(BLOCK_END)[-1].removesuffix("\n")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the class has 5, and loses some of the connections that come together


class FakeServer:
    """`faults` are what goes wrong with one call after the other; `models_fault` with the list of models."""

    def __init__(
        self, answers: Answers = sampled, *, faults: Iterable[Fault] = (), models_fault: Fault = None
    ) -> None:
        self.calls: list[Body] = []
        self.most_at_once = 0
        self._now = 0
        self._answers, self._faults, self._models_fault = answers, iter(faults), models_fault
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def __enter__(self) -> "FakeServer":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as by real servers
            wbufsize = -1  # headers and body in one packet

            def do_GET(self) -> None:
                models = {"object": "list", "data": [{"id": "fake", "object": "model"}]}
                self._reply(server._models_fault, lambda: models)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    fault = next(server._faults, None)
                    server.calls.append(body)
                    server._now += 1
                    server.most_at_once = max(server.most_at_once, server._now)
                self._reply(fault, lambda: server._completion(body, fault))
                with server._lock:
                    server._now -= 1

            def _reply(self, fault: Fault, content: Callable[[], Body]) -> None:
                given = self.headers["Authorization"].removeprefix("Bearer ")
                if given != KEY:
                    fault = 401
                if fault == "hang":
                    server._closing.wait(HANG_SECONDS)
                    self.close_connection = True
                elif isinstance(fault, int):  # real servers repeat the key that they refuse
                    self._send(fault, {"error": {"message": f"no: {fault}, key {given}", "type": "fake"}})
                elif fault == "not json":
                    self._write(200, b"<html>It works!</html>")
                else:
                    self._send(200, content(), cut=fault == "cut body")

            def _send(self, status: int, content: Body, cut: bool = False) -> None:
                data = json.dumps(content).encode()
                self._write(status, data[: len(data) // 2] if cut else data, len(data))

            def _write(self, status: int, data: bytes, length: int | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(length or len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()
                self.close_connection = length not in (None, len(data))

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def _completion(self, body: Body, fault: Fault) -> Body:
        text: str | None = self._answers(body)
        assert text is not None
        tokens = {
            "prompt_tokens": 40,
            "completion_tokens": len(text) // 4,
            "total_tokens": 40 + len(text) // 4,
        }
        usage = {**tokens, "prompt_tokens_details": {"cached_tokens": 30}}
        if fault == "length":
            text = text[: len(text) // 2]
        if fault == "null content":
            text = None
        said: Body = (
            {"message": {"role": "assistant", "content": text}} if "messages" in body else {"text": text}
        )
        if fault == "no message":
            said = {}
        choice = {"index": 0, "finish_reason": "length" if fault == "length" else "stop", **said}
        choices = [] if fault == "empty choices" else [choice]
        return {"id": "fake", "object": "fake", "model": body["model"], "choices": choices, "usage": usage}
