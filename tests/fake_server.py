"""An OpenAI-compatible server on 127.0.0.1, in a thread of the test.

    with FakeServer(answers=sampled, faults=[429, "cut body"]) as server:
        ...                              # the first two calls fail, the third is answered
        server.calls                     # the bodies it was sent, in order

It knows one key and any model. What it answers is the test's business: `sampled` takes the grammar in the
request, `from_journal` looks up what another run was told.
"""

import io
import json
import math
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from generation_functions.dialects import PROBE
from generation_functions.grammar import Grammar
from generation_functions.prompts import BLOCK_END

KEY = "sk-fake-0123456789"
HANG_SECONDS = 60  # at the longest: closing the server ends it
OTHER = {"max_tokens": " is not supported with this model. Use 'max_completion_tokens' instead."}

Body = dict[str, Any]
Answers = Callable[[Body], str]
Headers = dict[str, str]
Fault = (
    int | str | tuple[int, str] | tuple[int, str, Headers] | None
)  # a status, also with what it says; a word; nothing


def sampled(body: Body) -> str:
    """As llama-server does: whatever the grammar in the request allows."""
    return Grammar.compile(body["grammar"]).sample(random.Random(body.get("seed")))


def from_journal(calls: Iterable[Mapping[str, Any]]) -> Answers:
    """What the calls of another run were answered, found by the last message and the seed.

    A server that is asked whether it obeys grammars does not.
    """
    table = {(call["question"], call["seed"]): call["text"] for call in calls}
    return lambda body: "Horse." if last_message(body) == PROBE else table[last_message(body), body["seed"]]


def last_message(body: Body) -> str:
    """The changing part of a request, in either form."""
    if "messages" in body:
        return str(body["messages"][-1]["content"])
    return str(body["prompt"]).split(BLOCK_END)[-1].removesuffix("\n")


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # the class has 5, and loses some of the connections that come together

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that is gone is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeServer:
    """`faults` are what goes wrong with one call after the other; `models_fault` with the list of models.

    Bodies that have one of the settings it `refuses` are answered with 400. `gives_n`: choice i is answered as with
    the seed plus i; other servers give one choice. `likely` are the likeliest last words of an answer, which it tells
    those who ask, `most` of them at the most.
    """

    def __init__(
        self,
        answers: Answers = sampled,
        *,
        faults: Iterable[Fault] = (),
        models_fault: Fault | Iterator[Fault] = None,
        refuses: Collection[str] = (),
        gives_n: bool = False,
        owner: str = "",
        finish: str = "stop",
        likely: Mapping[str, float] | None = None,
        most: int = 20,
    ) -> None:
        self.calls: list[Body] = []
        self.times: list[float] = []  # at which they came
        self._refuses, self._gives_n = set(refuses), gives_n
        self._owner, self._finish = owner, finish
        self._likely, self._most = likely, most
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
                models = {"object": "list", "data": [{"id": "fake", "owned_by": server._owner}]}
                fault = server._models_fault
                self._reply(next(fault, None) if isinstance(fault, Iterator) else fault, lambda: models)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with server._lock:
                    fault = next(server._faults, None)
                    if refused := server._refuses & body.keys():
                        fault = 400, f"Unsupported parameter: '{min(refused)}'{OTHER.get(min(refused), '')}"
                    if server._asked(body) > server._most:
                        fault = 400, f"logprobs must be at most {server._most}"
                    server.calls.append(body)
                    server.times.append(time.monotonic())
                    server._now += 1
                    server.most_at_once = max(server.most_at_once, server._now)
                self._reply(fault, lambda: server._completion(body, fault), streams=bool(body.get("stream")))
                with server._lock:
                    server._now -= 1

            def _reply(self, fault: Fault, content: Callable[[], Body], streams: bool = False) -> None:
                given = self.headers["Authorization"].removeprefix("Bearer ")
                if given != KEY:
                    fault = 401
                if fault == "hang":
                    server._closing.wait(HANG_SECONDS)
                    self.close_connection = True
                elif fault == "reset":
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    self.wfile = io.BytesIO()
                    self.close_connection = True
                elif isinstance(fault, tuple):
                    status, says, *headers = fault
                    self._send(status, {"error": {"message": says}}, headers=dict(*headers))
                elif isinstance(fault, int):  # real servers repeat the key that they refuse
                    self._send(fault, {"error": {"message": f"no: {fault}, key {given}", "type": "fake"}})
                elif fault == "not json":
                    self._write(200, b"<html>It works!</html>")
                elif fault == "broken json":
                    self._write(200, b'{"choices": [{"message": {"content": "Reason')
                elif streams:
                    self._stream(content(), cut=fault == "cut body")
                else:
                    self._send(200, content(), cut=fault == "cut body")

            def _stream(self, content: Body, cut: bool) -> None:
                """The answer word by word; cut off, it ends before it says why."""
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.end_headers()
                events = [{"choices": [choice]} for choice in _pieces(content)]
                events = (
                    events[: len(events) // 2]
                    if cut
                    else [*events, {"choices": [], "usage": content["usage"]}]
                )
                for event in events:
                    self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                    self.wfile.flush()
                self.wfile.write(b"" if cut else b"data: [DONE]\n\n")
                self.wfile.flush()
                self.close_connection = True

            def _send(
                self, status: int, content: Body, cut: bool = False, headers: Headers | None = None
            ) -> None:
                data = json.dumps(content).encode()
                self._write(status, data[: len(data) // 2] if cut else data, len(data), headers)

            def _write(
                self, status: int, data: bytes, length: int | None = None, headers: Headers | None = None
            ) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
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
        count = body.get("n", 1) if self._gives_n else 1
        texts = [
            self._answers({**body, "seed": body.get("seed", 0) + i} if i else body) for i in range(count)
        ]
        written = sum(len(text) // 4 for text in texts)
        tokens = {
            "prompt_tokens": 40,
            "completion_tokens": written,
            "total_tokens": 40 + written,
        }
        usage = {**tokens, "prompt_tokens_details": {"cached_tokens": 30}}
        if fault == "error inside":
            return {"id": "fake", "error": {"message": "provider down", "code": 502}}
        choices = [self._choice(body, fault, number, text) for number, text in enumerate(texts)]
        choices = [] if fault == "empty choices" else choices
        return {"id": "fake", "object": "fake", "model": body["model"], "choices": choices, "usage": usage}

    def _choice(self, body: Body, fault: Fault, number: int, text: str) -> Body:
        said: str | None = text
        if fault == "length":
            said = text[: len(text) // 2]
        if fault == "null content":
            said = None
        content: Body = (
            {"message": {"role": "assistant", "content": said}} if "messages" in body else {"text": said}
        )
        if fault == "no message":
            content = {}
        finish = "length" if fault == "length" else self._finish
        if self._likely and self._asked(body):
            content["logprobs"] = _logprobs(text, self._likely, "messages" in body)
        return {"index": number, "finish_reason": finish, **content}

    @staticmethod
    def _asked(body: Body) -> int:
        """How many of the likeliest tokens in each place the body asks for."""
        return int(body.get("top_logprobs", 0) if "messages" in body else body.get("logprobs", 0))


def _logprobs(text: str, likely: Mapping[str, float], is_chat: bool) -> Body:
    """Of an answer in two tokens: all but its last word, and that."""
    first, _, last = text.rpartition(" ")
    tokens = [(first, {first: 0.0}), (f" {last}", {f" {word}": math.log(of) for word, of in likely.items()})]
    if is_chat:
        listed = [[{"token": word, "logprob": log} for word, log in top.items()] for _, top in tokens]
        return {
            "content": [
                {"token": token, "logprob": 0.0, "top_logprobs": top}
                for (token, _), top in zip(tokens, listed, strict=True)
            ]
        }
    return {
        "tokens": [token for token, _ in tokens],
        "token_logprobs": [0.0, 0.0],
        "top_logprobs": [top for _, top in tokens],
    }


def _pieces(content: Body) -> Iterator[Body]:
    for choice in content["choices"]:
        is_chat = "message" in choice
        text = choice["message"]["content"] if is_chat else choice["text"]
        for word in text.split(" "):
            piece = f"{word} "
            yield {
                "index": 0,
                "finish_reason": None,
                "logprobs": None,
                **({"delta": {"content": piece}} if is_chat else {"text": piece}),
            }
        yield {
            "index": 0,
            "finish_reason": choice["finish_reason"],
            "logprobs": choice.get("logprobs"),
            **({"delta": {}} if is_chat else {"text": ""}),
        }
