"""A hub like Hugging Face on 127.0.0.1, with its store of large files on another port, in threads of the test.

    with FakeHub({"ann/tiny/main/model.gguf": content}, faults=["cut"]) as hub:
        ...                  # the first download breaks off in its middle, the second goes through
        hub.downloads        # what was asked for, in order: port, method, path, range, authorization

Large files are redirected to the store after the hub has said their SHA-256 and size; with `is_large=False` the hub
sends them itself and gives an etag that is no checksum. With a `token` the hub is gated; the store knows none.
"""

import hashlib
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

HANG_SECONDS = 60  # at the longest: closing the hub ends it

Fault = int | str | None  # a status, one of the words in `_send_file`, or nothing


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    at: str  # "hub" or "store"
    method: str
    path: str
    range: str | None
    authorization: str | None
    encoding: str | None  # that it would take


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(
            sys.exception(), ConnectionError
        ):  # clients go away: that is what the tests are about
            super().handle_error(request, client_address)


class FakeHub:
    """`faults` are what goes wrong with one download of content after the other, `refuses` with every question to
    the hub. `headers` replace those that the hub describes a file with; `renamed` are repositories."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        *,
        faults: Iterable[Fault] = (),
        refuses: Fault = None,
        headers: Mapping[str, str] | None = None,
        renamed: Mapping[str, str] | None = None,
        is_large: bool = True,
        token: str = "",
    ) -> None:
        self.files, self.asked = dict(files), list[Asked]()
        self.headers, self.refuses = dict(headers or {}), refuses
        self.go_on = threading.Event()  # for a download with the fault "wait"
        self._faults, self._renamed = iter(faults), dict(renamed or {})
        self._is_large, self._token = is_large, token
        self._closing = threading.Event()
        self._servers = {at: _Http(("127.0.0.1", 0), self._handler(at)) for at in ("hub", "store")}
        self._threads = [
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            for server in self._servers.values()
        ]

    @property
    def url(self) -> str:
        return self._url("hub")

    @property
    def downloads(self) -> list[Asked]:
        """What the contents were asked for, where they are."""
        at = "store" if self._is_large else "hub"
        return [asked for asked in self.asked if (asked.at, asked.method) == (at, "GET")]

    def __enter__(self) -> "FakeHub":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._closing.set()
        self.go_on.set()
        for server, thread in zip(self._servers.values(), self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def _url(self, at: str) -> str:
        return f"http://127.0.0.1:{self._servers[at].server_port}"

    def _handler(self, at: str) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # connections are kept, as by real servers

            def do_HEAD(self) -> None:
                self._answer()

            def do_GET(self) -> None:
                self._answer()

            def _answer(self) -> None:
                given = self.headers["Authorization"]
                takes = self.headers["Accept-Encoding"]
                hub.asked.append(Asked(at, self.command, self.path, self.headers["Range"], given, takes))
                path = unquote(urlsplit(self.path).path).lstrip("/").replace("/resolve/", "/", 1)
                if at == "store":
                    self._send_file(path, {})
                elif hub.refuses is not None:
                    self._refuse(hub.refuses, given)
                elif hub._token and given != f"Bearer {hub._token}":
                    self._head(401, {"Content-Length": "0"})
                elif (repository := "/".join(path.split("/")[:2])) in hub._renamed:
                    new = self.path.replace(repository, hub._renamed[repository])
                    self._head(307, {"Location": new, "Content-Length": "0"})
                elif path not in hub.files:
                    self._head(404, {"X-Error-Code": "EntryNotFound", "Content-Length": "0"})
                else:
                    self._describe(path)

            def _describe(self, path: str) -> None:
                content = hub.files[path]
                if not hub._is_large:
                    etag = {"ETag": f'"{hashlib.sha1(content).hexdigest()}"'}
                    return self._send_file(path, etag | hub.headers)
                says = {
                    "X-Linked-Etag": f'"{hashlib.sha256(content).hexdigest()}"',
                    "X-Linked-Size": str(len(content)),
                    "X-Repo-Commit": "0123456789abcdef",
                    "Location": f"{hub._url('store')}/{quote(path)}?signature=secret",
                    "Content-Length": "0",
                }
                self._head(302, says | hub.headers)

            def _send_file(self, path: str, says: Mapping[str, str]) -> None:
                fault = next(hub._faults, None) if self.command == "GET" else None
                content, asked, status = hub.files[path], self.headers["Range"], 200
                if isinstance(fault, int):
                    return self._head(fault, {"Content-Length": "0"})
                if fault == "page":
                    content = b"<html>Please log in.</html>"
                elif asked and fault != "no range":
                    start = int(asked.removeprefix("bytes=").removesuffix("-"))
                    if start >= len(content):
                        return self._head(416, {"Content-Length": "0"})
                    start -= 1000 if fault == "another range" else 0
                    says = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", **says}
                    content, status = content[start:], 206
                if fault == "spoilt":
                    content = bytes(len(content))
                if fault in ("short", "long"):  # sent with no length, to the end of the connection
                    content = content[: len(content) // 2] if fault == "short" else content + bytes(1000)
                    self._head(status, {**says, "Connection": "close"})
                else:
                    self._head(status, {"Content-Length": str(len(content)), **says})
                if self.command == "GET":
                    self._send(content, fault)

            def _send(self, content: bytes, fault: Fault) -> None:
                half = len(content) // 2
                self.wfile.write(content[:half] if fault != "cut at once" else b"")
                if fault == "wait":
                    hub.go_on.wait(HANG_SECONDS)
                if fault == "hang":
                    hub._closing.wait(HANG_SECONDS)
                if fault in ("cut", "cut at once", "hang"):
                    self.close_connection = True
                else:
                    self.wfile.write(content[half:])
                if fault == "long":  # and would send more
                    hub._closing.wait(HANG_SECONDS)

            def _refuse(self, fault: Fault, given: str | None) -> None:
                if fault == "nonsense":  # real ones repeat the token that they refuse
                    self.wfile.write(f"who is {given}?\r\n\r\n".encode())
                    self.close_connection = True
                elif fault == "hang":
                    hub._closing.wait(HANG_SECONDS)
                    self.close_connection = True
                else:
                    assert isinstance(fault, int)
                    self._head(fault, {"Content-Length": "0", "X-Error-Message": f"no: {given}"})

            def _head(self, status: int, headers: Mapping[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
