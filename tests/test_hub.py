"""Models of a hub: named, brought to disk, continued, checked. The hub is a stand-in on this machine."""

import hashlib
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_hub import FakeHub

from generation_functions import hub as library
from generation_functions.errors import ConfigError, EngineError
from generation_functions.hub import Address, fetch, parse, path_of

CONTENT = random.Random(7).randbytes(400_000)
OTHER = random.Random(8).randbytes(300_000)
HALF = len(CONTENT) // 2
KEY = "ann/tiny/main/model.gguf"
TINY = Address("ann", "tiny", "model.gguf")
TOKEN = "hf_secret0123456789"
SPLIT = [f"ann/tiny/main/Q4/big-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
PIECES = {key: CONTENT[100_000 * n : 100_000 * n + 90_000 + n] for n, key in enumerate(SPLIT)}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no token, no hub but the test's, and no pauses."""
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name in ("HF_ENDPOINT", "HF_TOKEN", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(library, "PAUSES_SECONDS", (0.0,) * len(library.PAUSES_SECONDS))
    monkeypatch.setattr(library, "POLL_SECONDS", 0.01)


Serve = Callable[[FakeHub], FakeHub]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Gives the hub back, and HF_ENDPOINT its address."""

    def set_endpoint(hub: FakeHub) -> FakeHub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        return hub

    return set_endpoint


def names(folder: Path) -> list[str]:
    """The files beside the model, without the lock."""
    return sorted(p.name for p in (folder / "ann" / "tiny").iterdir() if not p.name.endswith(".lock"))


def put_part(folder: Path, content: bytes, of: bytes = CONTENT) -> Path:
    """What an earlier try left."""
    part = folder / "ann" / "tiny" / f"model.gguf.{hashlib.sha256(of).hexdigest()[:12]}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(content)
    return part


def ranges(hub: FakeHub) -> list[str | None]:
    return [asked.range for asked in hub.downloads]


def wait_for(claim: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not claim():
        assert time.monotonic() < ends, "it does not come to that"
        time.sleep(0.005)


# Names


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("hf:ann/tiny:model.gguf", TINY),
        ("hf:ann/tiny@main:model.gguf", TINY),
        (
            "hf:ann/Tiny-0.5B_v1@v1.0:Q4/a model.gguf",
            Address("ann", "Tiny-0.5B_v1", "Q4/a model.gguf", "v1.0"),
        ),
        ("hf:ann/tiny@refs/pr/7:model.gguf", Address("ann", "tiny", "model.gguf", "refs/pr/7")),
        ("hf:ann/tiny:a:b@c.gguf", Address("ann", "tiny", "a:b@c.gguf")),
        ("logical_models/model.gguf", None),
        ("", None),
        ("HF:ann/tiny:model.gguf", None),
    ],
)
def test_a_name_is_read(name: str, address: Address | None) -> None:
    assert parse(name) == address
    assert address is None or parse(str(address)) == address


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("hf:", "a part is missing"),
        ("hf:model.gguf", "a part is missing"),
        ("hf:tiny:model.gguf", "a part is missing"),
        ("hf:ann/tiny", "a part is missing"),
        ("hf:ann/tiny/model.gguf", "a part is missing"),
        ("hf:ann/tiny/more:model.gguf", "a part is missing"),
        ("hf:/tiny:model.gguf", "'' cannot be an owner"),
        ("hf:ann/:model.gguf", "'' cannot be a repository"),
        ("hf:ann/tiny@:model.gguf", "'' cannot be a revision"),
        ("hf:ann/tiny:", "does not end in .gguf"),
        ("hf:ann/tiny:model.safetensors", "'model.safetensors' does not end in .gguf"),
        ("hf:ann/tiny:model.gguf ", "does not end in .gguf"),
        ("hf:ann/tiny:.gguf", "is not a path inside"),
        ("hf:ann/tiny:../model.gguf", "is not a path inside"),
        ("hf:ann/tiny:Q4/../../model.gguf", "is not a path inside"),
        ("hf:ann/tiny:./model.gguf", "is not a path inside"),
        ("hf:ann/tiny:/etc/model.gguf", "is not a path inside"),
        ("hf:ann/tiny:Q4//model.gguf", "is not a path inside"),
        ("hf:ann/tiny:Q4\\model.gguf", "a backslash"),
        ("hf:ann/tiny:mo\ndel.gguf", "a control character"),
        ("hf:ann/tiny:mo\0del.gguf", "a control character"),
        ("hf:../tiny:model.gguf", "'..' cannot be an owner"),
        ("hf:ann/..:model.gguf", "'..' cannot be a repository"),
        ("hf:ann/ti..ny:model.gguf", "cannot be a repository"),
        ("hf:ann/ti ny:model.gguf", "cannot be a repository"),
        ("hf:ann/tiny?x:model.gguf", "cannot be a repository"),
        ("hf:änn/tiny:model.gguf", "cannot be an owner"),
        ("hf:ann\n/tiny:model.gguf", "cannot be an owner"),
        ("hf:ann/tiny@../x:model.gguf", "cannot be a revision"),
        ("hf:ann/tiny@/x:model.gguf", "cannot be a revision"),
        ("hf:ann/tiny@v1\n:model.gguf", "cannot be a revision"),
    ],
)
def test_a_malformed_name_says_what_is_wrong_and_what_is_right(name: str, problem: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(name)
    assert problem in str(error.value)
    assert "hf:owner/repo:file.gguf" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_address_made_by_hand_cannot_leave_its_folder() -> None:
    with pytest.raises(ConfigError, match="'..' cannot be a repository"):
        Address("ann", "..", "model.gguf")


def test_each_address_has_a_path_of_its_own_in_the_folder() -> None:
    folder = Path("models")
    assert path_of(TINY, folder) == folder / "ann/tiny/model.gguf"
    assert path_of(Address("ann", "tiny", "Q4/m.gguf", "v1"), folder) == folder / "ann/tiny@v1/Q4/m.gguf"
    one, two = Address("ann", "tiny", "c.gguf", "a/b"), Address("ann", "tiny", "b/c.gguf", "a")
    assert path_of(one, folder) != path_of(two, folder)


# Downloads


def test_a_model_is_fetched_once_and_used_offline_afterwards(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: CONTENT})) as hub:
        path = fetch(TINY, tmp_path)
        asked = [(a.at, a.method, a.path) for a in hub.asked]
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ["model.gguf"]
    on_hub = "/ann/tiny/resolve/main/model.gguf"
    in_store = "/ann/tiny/main/model.gguf?signature=secret"
    assert {a.encoding for a in hub.asked} == {"identity"}  # else sizes and ranges mean something else
    assert asked == [("hub", "HEAD", on_hub), ("hub", "GET", on_hub), ("store", "GET", in_store)]
    assert fetch(TINY, tmp_path) == path == path_of(TINY, tmp_path)


def test_what_a_person_put_there_is_used_without_asking(tmp_path: Path) -> None:
    path = path_of(TINY, tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    assert fetch(TINY, tmp_path) == path
    assert names(tmp_path) == ["model.gguf"]


def test_folders_revisions_and_odd_names_reach_the_hub_as_they_are(serve: Serve, tmp_path: Path) -> None:
    address = Address("ann", "tiny", "Q4/ä b#?%.gguf", "refs/pr/7")
    with serve(FakeHub({"ann/tiny/refs/pr/7/Q4/ä b#?%.gguf": CONTENT})) as hub:
        assert fetch(address, tmp_path).read_bytes() == CONTENT
    assert hub.asked[0].path == "/ann/tiny/resolve/refs%2Fpr%2F7/Q4/%C3%A4%20b%23%3F%25.gguf"


def test_a_small_file_that_the_hub_sends_itself_is_fetched(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: CONTENT}, is_large=False, faults=["cut"])) as hub:
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == [None, f"bytes={HALF}-"]


def test_an_empty_file_is_a_file(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: b""})):
        assert fetch(TINY, tmp_path).read_bytes() == b""


def test_a_renamed_repository_is_followed_with_the_token(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve(FakeHub({KEY: CONTENT}, renamed={"old/name": "ann/tiny"}, token=TOKEN)):
        assert fetch(Address("old", "name", "model.gguf"), tmp_path).read_bytes() == CONTENT


def test_redirects_without_end_are_given_up(serve: Serve, tmp_path: Path) -> None:
    with (
        serve(FakeHub({}, renamed={"ann/tiny": "ann/tiny"})) as hub,
        pytest.raises(EngineError, match="does not say which version it is"),
    ):
        fetch(TINY, tmp_path)
    assert len(hub.asked) == library.MOST_REDIRECTS + 1


def test_progress_only_grows_and_ends_at_the_total(serve: Serve, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serve(FakeHub({KEY: CONTENT}, faults=["cut", "no range"])):
        fetch(TINY, tmp_path, lambda *progress: seen.append(progress))
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert {in_all for _, in_all in seen} == {len(CONTENT)}
    assert seen[-1] == (len(CONTENT), len(CONTENT))


# What an earlier try left


def test_a_part_is_continued_and_only_the_rest_asked_for(serve: Serve, tmp_path: Path) -> None:
    put_part(tmp_path, CONTENT[:123_456])
    seen: list[int] = []
    with serve(FakeHub({KEY: CONTENT})) as hub:
        assert fetch(TINY, tmp_path, lambda so_far, in_all: seen.append(so_far)).read_bytes() == CONTENT
    assert ranges(hub) == ["bytes=123456-"]
    assert seen[0] > 123_456
    assert names(tmp_path) == ["model.gguf"]


def test_a_whole_part_is_only_checked(serve: Serve, tmp_path: Path) -> None:
    put_part(tmp_path, CONTENT)
    with serve(FakeHub({KEY: CONTENT})) as hub:
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == []


@pytest.mark.parametrize(("fault", "asked"), [("no range", 1), (416, 2), ("another range", 2)])
def test_a_server_that_gives_no_rest_is_asked_for_all(
    serve: Serve, tmp_path: Path, fault: str | int, asked: int
) -> None:
    put_part(tmp_path, CONTENT[:123_456])
    with serve(FakeHub({KEY: CONTENT}, faults=[fault])) as hub:
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == ["bytes=123456-", None][:asked]


def test_a_part_that_is_too_long_starts_again(serve: Serve, tmp_path: Path) -> None:
    put_part(tmp_path, CONTENT + b"more")
    with serve(FakeHub({KEY: CONTENT})) as hub:
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == [None]


def test_a_file_that_changed_between_two_tries_is_not_mixed(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: OTHER}, faults=["cut", 503])) as hub:
        with pytest.raises(EngineError):
            fetch(TINY, tmp_path)
        assert len(names(tmp_path)) == 1
        hub.files[KEY] = CONTENT
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub)[-1] is None
    assert names(tmp_path) == ["model.gguf"]


def test_parts_of_other_files_stay(serve: Serve, tmp_path: Path) -> None:
    put_part(tmp_path, OTHER[:1000], of=OTHER)
    others = ["model.gguf.x.gguf.0123456789ab.part", "other.gguf.0123456789ab.part"]
    for name in others:
        (tmp_path / "ann" / "tiny" / name).touch()
    with serve(FakeHub({KEY: CONTENT})):
        fetch(TINY, tmp_path)
    assert names(tmp_path) == ["model.gguf", *others]


# What breaks


def test_a_connection_that_breaks_is_taken_up_where_it_was(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: CONTENT}, faults=["cut", "cut", "short"])) as hub:
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    places = [HALF, HALF + HALF // 2, HALF + HALF // 2 + HALF // 4]
    assert ranges(hub) == [None, *(f"bytes={place}-" for place in places)]


def test_a_connection_that_breaks_for_ever_is_given_up_and_its_part_kept(
    serve: Serve, tmp_path: Path
) -> None:
    with serve(FakeHub({KEY: CONTENT}, faults=["cut"] * 6)) as hub:
        with pytest.raises(EngineError, match=rf"broke off after \d+ of {len(CONTENT)} bytes") as error:
            fetch(TINY, tmp_path)
        assert error.value.retryable
        assert str(path_of(TINY, tmp_path)) in error.value.hint
        assert len(ranges(hub)) == 6
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub)[6] == f"bytes={sum(len(CONTENT) >> n for n in range(1, 7))}-"


@pytest.mark.parametrize(("faults", "tries"), [(["cut at once"], 1), (["cut", "cut at once"], 2)])
def test_a_try_that_brought_nothing_is_the_last(
    serve: Serve, tmp_path: Path, faults: list[str], tries: int
) -> None:
    with serve(FakeHub({KEY: CONTENT}, faults=faults)) as hub:
        with pytest.raises(EngineError, match="broke off after"):
            fetch(TINY, tmp_path)
        assert len(ranges(hub)) == tries


def test_a_killed_process_leaves_a_part_that_the_next_continues(serve: Serve, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from generation_functions.hub import fetch, parse;"
        "fetch(parse('hf:ann/tiny:model.gguf'), Path(sys.argv[1]))"
    )
    root = Path(library.__file__).parent.parent
    part = put_part(tmp_path, b"")
    with serve(FakeHub({KEY: CONTENT}, faults=["hang"])) as hub:
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root)
        try:
            wait_for(lambda: part.stat().st_size > HALF // 2)
        finally:
            child.kill()
        assert child.wait() == -signal.SIGKILL
        have = part.stat().st_size
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == [None, f"bytes={have}-"]


def test_a_stopped_download_goes_on_where_it_was(serve: Serve, tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_soon(so_far: int, in_all: int) -> None:
        if so_far > 50_000:
            stop.set()

    with serve(FakeHub({KEY: CONTENT})) as hub:
        with pytest.raises(EngineError, match="stopped") as error:
            fetch(TINY, tmp_path, stop_soon, stop)
        assert error.value.retryable
        [part] = (tmp_path / "ann" / "tiny").glob("*.part")
        have = part.stat().st_size
        assert 50_000 < have < len(CONTENT)
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == [None, f"bytes={have}-"]


def test_a_stop_that_is_set_already_asks_nothing(serve: Serve, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    with serve(FakeHub({KEY: CONTENT})) as hub, pytest.raises(EngineError, match="stopped"):
        fetch(TINY, tmp_path, stop=stop)
    assert hub.asked == []


# What arrives damaged


def test_a_wrong_checksum_deletes_the_part_and_says_both(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: CONTENT}, faults=["spoilt"])) as hub:
        with pytest.raises(EngineError, match="arrived damaged") as error:
            fetch(TINY, tmp_path)
        assert f"expected SHA-256 {hashlib.sha256(CONTENT).hexdigest()}" in str(error.value)
        assert f"found SHA-256 {hashlib.sha256(bytes(len(CONTENT))).hexdigest()}" in str(error.value)
        assert names(tmp_path) == []
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT
    assert ranges(hub) == [None, None]


def test_more_bytes_than_announced_are_not_the_file(serve: Serve, tmp_path: Path) -> None:
    with (
        serve(FakeHub({KEY: CONTENT}, is_large=False, faults=["long"])),
        pytest.raises(EngineError, match=rf"expected {len(CONTENT)} bytes, found 40[01]\d+ bytes"),
    ):
        fetch(TINY, tmp_path)
    assert names(tmp_path) == []


def test_the_page_of_a_proxy_does_not_replace_a_part(serve: Serve, tmp_path: Path) -> None:
    part = put_part(tmp_path, CONTENT[:1000])
    with (
        serve(FakeHub({KEY: CONTENT}, faults=["page"])),
        pytest.raises(EngineError, match=r"sends \d\d bytes where 400000 were announced"),
    ):
        fetch(TINY, tmp_path)
    assert part.read_bytes() == CONTENT[:1000]


def test_what_is_no_hub_is_said(serve: Serve, tmp_path: Path) -> None:
    with (
        serve(FakeHub({KEY: CONTENT}, is_large=False, headers={"ETag": ""})) as hub,
        pytest.raises(EngineError, match="does not say which version") as error,
    ):
        fetch(TINY, tmp_path)
    assert hub.url in error.value.hint


# Two at once


class Watched(threading.Event):
    """Tells when somebody waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = threading.Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.set()
        return super().wait(timeout)


def test_two_at_once_download_once(serve: Serve, tmp_path: Path) -> None:
    found: list[bytes] = []
    second_stop = Watched()
    with serve(FakeHub({KEY: CONTENT}, faults=["wait"])) as hub:
        first = threading.Thread(target=lambda: found.append(fetch(TINY, tmp_path).read_bytes()))
        first.start()
        wait_for(lambda: bool(hub.downloads))
        second = threading.Thread(
            target=lambda: found.append(fetch(TINY, tmp_path, stop=second_stop).read_bytes())
        )
        second.start()
        assert second_stop.waited.wait(20)
        hub.go_on.set()
        first.join()
        second.join()
    assert found == [CONTENT, CONTENT]
    assert len(hub.downloads) == 1


def test_who_waits_for_another_can_be_stopped(serve: Serve, tmp_path: Path) -> None:
    stop = threading.Event()
    with serve(FakeHub({KEY: CONTENT}, faults=["wait"])) as hub:
        first = threading.Thread(target=fetch, args=(TINY, tmp_path))
        first.start()
        wait_for(lambda: bool(hub.downloads))
        stop.set()
        with pytest.raises(EngineError, match="stopped"):
            fetch(TINY, tmp_path, stop=stop)
        hub.go_on.set()
        first.join()
    assert path_of(TINY, tmp_path).read_bytes() == CONTENT


# Split models


@pytest.mark.parametrize("named", SPLIT)
def test_a_split_model_is_fetched_whole(serve: Serve, tmp_path: Path, named: str) -> None:
    address = Address("ann", "tiny", named.removeprefix("ann/tiny/main/"))
    seen: list[tuple[int, int]] = []
    with serve(FakeHub(PIECES)):
        first = fetch(address, tmp_path, lambda *progress: seen.append(progress))
    total = sum(map(len, PIECES.values()))
    assert first == tmp_path / "ann/tiny/Q4/big-00001-of-00003.gguf"
    assert [p.read_bytes() for p in sorted(first.parent.glob("big-*"))] == list(PIECES.values())
    assert seen == sorted(seen)
    assert {in_all for _, in_all in seen} == {total}
    assert seen[-1] == (total, total)
    assert fetch(address, tmp_path) == first


def test_a_split_model_is_there_when_all_files_are(serve: Serve, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serve(FakeHub(PIECES)) as hub:
        first = fetch(Address("ann", "tiny", "Q4/big-00001-of-00003.gguf"), tmp_path)
        (first.parent / "big-00002-of-00003.gguf").unlink()
        hub.asked.clear()
        fetch(
            Address("ann", "tiny", "Q4/big-00001-of-00003.gguf"),
            tmp_path,
            lambda *progress: seen.append(progress),
        )
    assert {asked.path.split("/")[-1].split("?")[0] for asked in hub.asked} == {"big-00002-of-00003.gguf"}
    assert seen[0][0] > 180_000
    assert seen[-1] == (270_003, 270_003)


def test_a_split_model_with_a_file_missing_on_the_hub_downloads_nothing(serve: Serve, tmp_path: Path) -> None:
    with (
        serve(FakeHub({key: PIECES[key] for key in SPLIT[:2]})) as hub,
        pytest.raises(EngineError, match="big-00003-of-00003.gguf answers 404"),
    ):
        fetch(Address("ann", "tiny", "Q4/big-00001-of-00003.gguf"), tmp_path)
    assert hub.downloads == []


def test_a_name_that_only_looks_split_is_one_file(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({"ann/tiny/main/big-00004-of-00003.gguf": CONTENT})):
        assert fetch(Address("ann", "tiny", "big-00004-of-00003.gguf"), tmp_path).read_bytes() == CONTENT


# The token


def test_the_token_goes_to_the_hub_and_not_to_the_store(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}\n")
    caplog.set_level(logging.DEBUG)
    with serve(FakeHub({KEY: CONTENT}, token=TOKEN, faults=["cut"])) as hub:
        fetch(TINY, tmp_path)
    assert {(a.at, a.authorization) for a in hub.asked} == {("hub", f"Bearer {TOKEN}"), ("store", None)}
    assert caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("refuses", [400, 401, 403, 404, 429, 500, "nonsense"])
def test_no_error_shows_the_token(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: int | str
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve(FakeHub({KEY: CONTENT}, refuses=refuses)), pytest.raises(EngineError) as error:
        fetch(TINY, tmp_path)
    assert TOKEN not in str(error.value)
    assert refuses != "nonsense" or "***" in str(error.value)


@pytest.mark.parametrize("token", ["hf_a b", "hf_a\nb", "hf_ä"])
def test_an_odd_token_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ConfigError, match="HF_TOKEN holds a character") as error:
        fetch(TINY, tmp_path)
    assert token not in str(error.value)


# What the hub refuses


@pytest.mark.parametrize(
    ("status", "retryable", "words"),
    [
        (401, False, "Accept its licence on the hub and set HF_TOKEN"),
        (403, False, "Accept its licence on the hub and set HF_TOKEN"),
        (404, False, "there is no such repository, revision or file"),
        (429, True, "answers 429"),
        (500, True, "try again in a few minutes"),
        (503, True, "answers 503"),
        (400, False, "answers 400"),
    ],
)
def test_a_refusal_says_what_to_do(
    serve: Serve, tmp_path: Path, status: int, retryable: bool, words: str
) -> None:
    with serve(FakeHub({KEY: CONTENT}, refuses=status)) as hub:
        with pytest.raises(EngineError) as error:
            fetch(TINY, tmp_path)
        assert f"{hub.url}/ann/tiny/resolve/main/model.gguf answers {status}" in str(error.value)
    assert words in str(error.value)
    assert error.value.retryable is retryable


def test_a_missing_file_is_told_from_a_missing_repository(serve: Serve, tmp_path: Path) -> None:
    with serve(FakeHub({KEY: CONTENT})), pytest.raises(EngineError, match="404: there is no such file"):
        fetch(Address("ann", "tiny", "other.gguf"), tmp_path)


@pytest.mark.parametrize(("status", "retryable"), [(403, False), (503, True)])
def test_a_refusal_of_the_store_names_the_hub_and_not_the_signed_address(
    serve: Serve, tmp_path: Path, status: int, retryable: bool
) -> None:
    with serve(FakeHub({KEY: CONTENT}, faults=[status])) as hub:
        with pytest.raises(EngineError, match=f"answers {status}") as error:
            fetch(TINY, tmp_path)
        assert hub.url in str(error.value)
    assert "signature" not in str(error.value)
    assert error.value.retryable is retryable


def test_without_a_connection_the_way_by_hand_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="http://127.0.0.1:1 cannot be reached") as error:
        fetch(TINY, tmp_path)
    assert error.value.retryable
    assert f"put the file at {path_of(TINY, tmp_path)} by hand" in error.value.hint


@pytest.mark.parametrize(
    "endpoint", ["huggingface.co", "ftp://hub", "http://", "http://hub:port", "http://a:b@hub"]
)
def test_an_endpoint_that_is_no_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    with pytest.raises(ConfigError, match="HF_ENDPOINT is no address of a hub; one looks like https://hugg"):
        fetch(TINY, tmp_path)


def test_a_proxy_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://127.0.0.1:1")
    with pytest.raises(EngineError, match="no connection can be made") as error:
        fetch(TINY, tmp_path)
    assert "ALL_PROXY" in error.value.hint


# The disk


def test_too_little_room_is_said_before_anything_is_downloaded(serve: Serve, tmp_path: Path) -> None:
    with (
        serve(FakeHub({KEY: CONTENT}, headers={"X-Linked-Size": str(10**18)})) as hub,
        pytest.raises(EngineError, match=r"needs 1000000000\.0 GB more, and .* has [\d.]+ GB free"),
    ):
        fetch(TINY, tmp_path)
    assert hub.downloads == []


def test_what_is_there_of_a_file_needs_no_room(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_part(tmp_path, CONTENT[:300_000])
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(0, 0, 100_000))
    with serve(FakeHub({KEY: CONTENT})):
        assert fetch(TINY, tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "ann").touch()
    with pytest.raises(EngineError, match=r"cannot bring hf:ann/tiny:model\.gguf: .*ann.*: "):
        fetch(TINY, tmp_path)


def test_a_name_that_is_too_long_for_the_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="File name too long"):
        fetch(Address("ann", "tiny", f"{'m' * 300}.gguf"), tmp_path)
