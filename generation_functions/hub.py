"""Models of a hub, brought to disk: Hugging Face, or a server that answers like it.

    address = parse("hf:ggml-org/gemma-3-270m-GGUF:gemma-3-270m-Q8_0.gguf")
    fetch(address, Path("logical_models"))
    # logical_models/ggml-org/gemma-3-270m-GGUF/gemma-3-270m-Q8_0.gguf

What is there is used without asking the hub, so a model works offline once it was fetched, or put there by hand.
What is on its way lies beside it, as `gemma-3-270m-Q8_0.gguf.0e1c9ab54d2f.part`, and is continued by the next try.

The environment says where: HF_ENDPOINT is the hub, HF_TOKEN what it knows you by. The token goes to the hub and not
to where the hub redirects. This file knows nothing of what is in a model, and nothing of configurations.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import httpx

from .errors import ConfigError, EngineError

HUGGING_FACE = "https://huggingface.co"
TIMEOUT = httpx.Timeout(60, connect=15)
MOST_REDIRECTS = 5  # before the hub says which file it is; a renamed repository takes one
PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)  # one before each time that a broken download is resumed
POLL_SECONDS = 0.1  # between two looks at a lock that another holds, or at `stop`
BLOCK_BYTES = 1 << 20

EXAMPLE = "hf:owner/repo:file.gguf, or with a revision hf:owner/repo@v1.0:file.gguf"
SHAPE = re.compile(r"hf:(?P<owner>[^/:@]*)/(?P<repo>[^/:@]*)(?:@(?P<revision>[^:]*))?:(?P<file>.*)", re.S)
NAME = re.compile(r"(?!.*\.\.)\w[\w.-]*", re.A)
REVISION = re.compile(r"(?!.*\.\.)\w[\w.-]*(/\w[\w.-]*)*", re.A)  # refs/pr/7 is one
SPLIT = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf")  # as llama.cpp's gguf-split names its files

KEPT = "What has come is kept, and the next try goes on from there."
NOT_FOUND = {"RepoNotFound": "repository", "RevisionNotFound": "revision", "EntryNotFound": "file"}

Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Address:
    """A file of a repository. Raises ConfigError for parts that no hub has, or that lead out of a folder."""

    owner: str
    repo: str
    file: str  # with its folders: "Q4/model.gguf"
    revision: str = "main"

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise ConfigError(f"{str(self)!r} is no model of a hub: {problem}; one looks like {EXAMPLE}")

    def __str__(self) -> str:
        revision = "" if self.revision == "main" else f"@{self.revision}"
        return f"hf:{self.owner}/{self.repo}{revision}:{self.file}"

    def _problem(self) -> str:
        if not NAME.fullmatch(self.owner):
            return f"{self.owner!r} cannot be an owner"
        if not NAME.fullmatch(self.repo):
            return f"{self.repo!r} cannot be a repository"
        if not REVISION.fullmatch(self.revision):
            return f"{self.revision!r} cannot be a revision"
        if not self.file.endswith(".gguf"):
            return f"the file {self.file!r} does not end in .gguf"
        if "\\" in self.file or not self.file.isprintable():
            return f"the file {self.file!r} has a backslash or a control character"
        if any(not name or name.startswith(".") for name in self.file.split("/")):
            return f"the file {self.file!r} is not a path inside the repository"
        return ""


def parse(name: str) -> Address | None:
    """The address that a name beginning with "hf:" writes; None for other names. Raises ConfigError."""
    if not name.startswith("hf:"):
        return None
    found = SHAPE.fullmatch(name)
    if not found:
        raise ConfigError(f"{name!r} is no model of a hub: a part is missing; one looks like {EXAMPLE}")
    return Address(**found.groupdict(default="main"))


def path_of(address: Address, folder: Path) -> Path:
    """Where the file is kept, whether it is there or not. A slash in a revision makes no folder: it could be one of
    the file's."""
    revision = "" if address.revision == "main" else "@" + quote(address.revision, safe="")
    return folder / address.owner / f"{address.repo}{revision}" / address.file


def fetch(
    address: Address,
    folder: Path,
    report: Report = lambda so_far, in_all: None,
    stop: threading.Event | None = None,
) -> Path:
    """The path of the file, brought there first if need be; of a split model all files, and the first's path.

    `report` gets the bytes so far and in all with every piece that comes, some thousand times a second on a fast
    line; a download that starts again reports no less than before. Another thread may set `stop`, which is heard
    with the next piece. Raises EngineError, `retryable` for what may pass (then, and when stopped, what has come is
    kept), and ConfigError for a setting in the environment.
    """
    addresses = _files(address)
    paths = [path_of(each, folder) for each in addresses]
    try:
        if not all(path.is_file() for path in paths):
            stop = stop or threading.Event()
            paths[0].parent.mkdir(parents=True, exist_ok=True)
            with _locked(paths[0], stop), _Transfer(report, stop) as transfer:
                transfer.bring(list(zip(addresses, paths, strict=True)))
    except OSError as error:
        where = error.filename or paths[0]
        raise EngineError(f"cannot bring {address}: {where}: {error.strerror or error}") from None
    return paths[0]


def _files(address: Address) -> list[Address]:
    """All that the model consists of, in order."""
    split = SPLIT.fullmatch(address.file)
    if not split or not 1 <= int(split[2]) <= int(split[3]):
        return [address]
    numbers = range(1, int(split[3]) + 1)
    return [replace(address, file=f"{split[1]}-{number:05}-of-{split[3]}.gguf") for number in numbers]


@contextlib.contextmanager
def _locked(path: Path, stop: threading.Event) -> Iterator[None]:
    """Only one holds this at a time, of all threads and processes.

    The lock file stays: another may have opened it already, and would hold a lock that nobody else sees.
    """
    with path.with_name(f".{path.name}.lock").open("ab") as holder:
        while True:
            try:
                fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(POLL_SECONDS):
                    raise _stopped(path) from None
        yield


def _stopped(path: Path) -> EngineError:
    return EngineError(f"the download of {path.name} was stopped", retryable=True, hint=KEPT)


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub describes it, and where it goes."""

    url: str
    etag: str  # its letters and digits
    size: int
    target: Path

    @property
    def part(self) -> Path:
        return self.target.with_name(f"{self.target.name}.{self.etag[:12]}.part")

    @property
    def sha256(self) -> str:
        """As the etag of a large file says it; "" for a file that only its size is known of."""
        return self.etag if re.fullmatch(r"[0-9a-f]{64}", self.etag) else ""


class _Transfer:
    """One call of `fetch`, which holds the lock: its connections, and how far it is."""

    def __init__(self, report: Report, stop: threading.Event) -> None:
        self._report, self._stop = report, stop
        self._endpoint, self._token = _endpoint(), _token()
        self._client = _client(self._token)
        self._in_all = self._before = self._reached = 0  # bytes: of all files, of those done, reported

    def __enter__(self) -> _Transfer:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def bring(self, files: list[tuple[Address, Path]]) -> None:
        """Each file that is not there yet. Sizes are asked for first, so that room is missed before hours passed."""
        self._before = sum(_bytes(path) for _, path in files if path.is_file())
        remotes = [self._look(address, path) for address, path in files if not path.is_file()]
        self._in_all = self._before + sum(remote.size for remote in remotes)
        for remote in remotes:
            _remove_other_parts(remote)
        _check_room(remotes, files[0][1].parent)
        for remote in remotes:
            self._download(remote)
            self._verify(remote)
            os.replace(remote.part, remote.target)
            self._tell(remote.size)
            self._before += remote.size

    def _look(self, address: Address, target: Path) -> _Remote:
        """What the hub says of a file: where it redirects to the store of large files, whose answers know less."""
        revision = quote(address.revision, safe="")
        url = f"{self._endpoint}/{address.owner}/{address.repo}/resolve/{revision}/{quote(address.file)}"
        request: httpx.Request | None = self._client.build_request("HEAD", url)
        try:
            for _ in range(MOST_REDIRECTS + 1):
                assert request
                self._unless_stopped(target)
                response = self._client.send(request)
                request = response.next_request
                if request is None or "X-Linked-Etag" in response.headers:
                    break
        except httpx.RequestError as error:
            self._unless_stopped(target)
            raise EngineError(
                f"{self._endpoint} cannot be reached ({self._said(error)})",
                retryable=True,
                hint=f"Without a connection to it, put the file at {target.absolute()} by hand.",
            ) from None
        if response.is_error:
            raise self._refused(url, response)
        return self._described(url, response.headers, response.is_success, target)

    def _described(self, url: str, headers: httpx.Headers, is_content: bool, target: Path) -> _Remote:
        etag = headers.get("X-Linked-Etag") or (headers.get("ETag", "") if is_content else "")
        etag = re.sub(r"[^0-9a-z]", "", etag.removeprefix("W/").lower())
        size = headers.get("X-Linked-Size") or (headers.get("Content-Length", "") if is_content else "")
        if not etag or not size.isdecimal():
            raise EngineError(
                f"{url} does not say which version it is and how large (ETag, Content-Length)",
                hint=f"Is HF_ENDPOINT the address of a hub? It is {self._endpoint}",
            )
        return _Remote(url, etag, int(size), target)

    def _download(self, remote: _Remote) -> None:
        """The whole part, unchecked. A broken connection is taken up again while that brings anything."""
        part = remote.part
        part.touch()
        if _bytes(part) == remote.size:
            return
        for pause in (*PAUSES_SECONDS, None):
            had, why = _bytes(part), "it ended early"
            try:
                self._get(remote, had if had < remote.size else 0)
            except httpx.RequestError as error:
                why = self._said(error)
            have = _bytes(part)
            if have >= remote.size:
                return
            self._unless_stopped(remote.target)
            if have in (0, had) or pause is None:
                break
            self._stop.wait(pause)
            self._unless_stopped(remote.target)
        raise EngineError(
            f"{remote.url} broke off after {have} of {remote.size} bytes ({why})",
            retryable=True,
            hint=f"{KEPT} Or put the file at {remote.target.absolute()} by hand.",
        )

    def _get(self, remote: _Remote, have: int) -> None:
        """Add to the part what comes after `have`, or begin it again where the server does not give that."""
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = self._client.build_request("GET", remote.url, headers=headers)
        with contextlib.closing(self._client.send(request, stream=True, follow_redirects=True)) as response:
            starts = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            is_rest = response.status_code == 206 and starts
            if have and response.status_code in (206, 416) and not is_rest:
                return self._get(remote, 0)
            if not is_rest:
                self._check_whole(remote, response)
                have = 0
            with remote.part.open("ab" if have else "wb") as part:
                for piece in response.iter_raw():
                    part.write(piece)
                    have += len(piece)
                    self._tell(min(have, remote.size))
                    self._unless_stopped(remote.target)
                    if have > remote.size:
                        return

    def _check_whole(self, remote: _Remote, response: httpx.Response) -> None:
        """Before a part is given up for it: is this the file, and not the page of a proxy?"""
        if response.status_code != 200:
            raise self._refused(remote.url, response)
        length = response.headers.get("Content-Length", str(remote.size))
        if length != str(remote.size):
            raise EngineError(
                f"{remote.url} sends {length} bytes where {remote.size} were announced", retryable=True
            )

    def _verify(self, remote: _Remote) -> None:
        found, expected = f"{_bytes(remote.part)} bytes", f"{remote.size} bytes"
        if found == expected and remote.sha256:
            found, expected = f"SHA-256 {self._sha256(remote)}", f"SHA-256 {remote.sha256}"
        if found != expected:
            remote.part.unlink()  # a next try would go on from it
            raise EngineError(
                f"{remote.url} arrived damaged: expected {expected}, found {found}",
                hint="What came was deleted; try again, or is there a proxy that changes it?",
            )

    def _sha256(self, remote: _Remote) -> str:
        digest = hashlib.sha256()
        with remote.part.open("rb") as part:
            while block := part.read(BLOCK_BYTES):  # not file_digest, which cannot be stopped for a minute
                digest.update(block)
                self._unless_stopped(remote.target)
        return digest.hexdigest()

    def _tell(self, of_this_file: int) -> None:
        self._reached = max(self._reached, self._before + of_this_file)
        self._report(self._reached, self._in_all)

    def _refused(self, url: str, response: httpx.Response) -> EngineError:
        """What an answer without the file means and what to do. Its text is not shown: it may repeat the token."""
        status = response.status_code
        if status in (401, 403):
            return EngineError(
                f"{url} answers {status}: it is gated or private",
                hint="Accept its licence on the hub and set HF_TOKEN to a token that may read it. Or is the name "
                "wrong? The hub says the same of repositories that do not exist.",
            )
        if status == 404:
            what = NOT_FOUND.get(response.headers.get("X-Error-Code", ""), "repository, revision or file")
            return EngineError(
                f"{url} answers 404: there is no such {what}",
                hint=f"Look for it at {self._endpoint}; upper and lower case differ.",
            )
        passes = status in (408, 425, 429) or status >= 500
        hint = "It may pass: try again in a few minutes. What has come is kept." if passes else ""
        return EngineError(f"{url} answers {status}", retryable=passes, hint=hint)

    def _said(self, error: httpx.RequestError) -> str:
        said = " ".join(str(error).split()) or type(error).__name__
        return (said.replace(self._token, "***") if self._token else said)[:300]

    def _unless_stopped(self, target: Path) -> None:
        if self._stop.is_set():
            raise _stopped(target) from None


def _endpoint() -> str:
    endpoint = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or HUGGING_FACE
    try:
        url = httpx.URL(endpoint)
        usable = (
            url.scheme in ("http", "https") and url.host and not (url.userinfo or url.query or url.fragment)
        )
    except httpx.InvalidURL:
        usable = False
    if not usable:  # and not shown: there may be a password in it
        raise ConfigError(f"the variable HF_ENDPOINT is no address of a hub; one looks like {HUGGING_FACE}")
    return endpoint


def _token() -> str:
    """HF_TOKEN without a line end that came along. Odd characters are refused here: httpx would show them."""
    token = os.environ.get("HF_TOKEN", "").strip()
    if not re.fullmatch(r"[!-~]*", token):
        raise ConfigError("the variable HF_TOKEN holds a character that tokens cannot have")
    return token


def _client(token: str) -> httpx.Client:
    headers = {"Accept-Encoding": "identity"}  # sizes and ranges count the bytes as they are stored
    if token:
        headers["Authorization"] = f"Bearer {token}"  # httpx drops it when redirected to another origin
    try:
        return httpx.Client(headers=headers, timeout=TIMEOUT)
    except (ValueError, ImportError, OSError, httpx.InvalidURL) as error:
        raise EngineError(
            f"no connection can be made: {error}",
            hint="Is a proxy (HTTPS_PROXY, ALL_PROXY) or SSL_CERT_FILE in the environment set wrong?",
        ) from None


def _remove_other_parts(remote: _Remote) -> None:
    """Those of versions that the hub no longer gives under this name."""
    part = re.compile(rf"{re.escape(remote.target.name)}\.[0-9a-z]{{1,12}}\.part")
    for path in remote.target.parent.iterdir():
        if part.fullmatch(path.name) and path != remote.part:
            path.unlink()


def _check_room(remotes: list[_Remote], folder: Path) -> None:
    needed = sum(max(each.size - _bytes(each.part), 0) for each in remotes)
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise EngineError(
            f"the download needs {needed / 1e9:.1f} GB more, and {folder} has {free / 1e9:.1f} GB free",
            hint="Remove what is not needed there, or choose another disk or a smaller model.",
        )


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
