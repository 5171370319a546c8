"""Files that are written part by part, whole or not at all, and left alone when they would be the same.

    write_together(folder, ("a.jsonl", "b.jsonl"), [("a.jsonl", line(one)), ("b.jsonl", line(two)), ...])

It knows nothing of what is in them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from .store import Store

COMPARED = 1 << 20  # bytes of two files that are compared at once


def line(row: Mapping[str, Any]) -> str:
    """The row as a line of JSON."""
    return _encode(row) + "\n"


_encode = json.JSONEncoder(ensure_ascii=False).encode


def write_whole(file: Path, parts: Iterable[str]) -> None:
    """Replace the file by what the parts come to or leave it as it was; it is never seen in between.

    A file that holds the same is left alone.
    """
    with _replacing(file) as stream:
        stream.writelines(parts)


def write_together(folder: Path, names: Sequence[str], parts: Iterable[tuple[str, str]]) -> None:
    """Replace all files of these names or none, from parts in any order; one without a part is removed."""
    with ExitStack() as opened:
        streams: dict[str, IO[str]] = {}
        for name, part in parts:
            if name not in streams:
                streams[name] = opened.enter_context(_replacing(folder / name))
            streams[name].write(part)
    for name in set(names) - set(streams):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def _replacing(file: Path) -> Iterator[IO[str]]:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.part")  # one name, so that what a kill leaves is replaced later
    try:
        with temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
            yield stream
            stream.flush()
            is_new = not _same(temporary, file)
            if is_new:
                os.fsync(stream.fileno())
        if is_new:
            os.replace(temporary, file)
        else:
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _same(one: Path, other: Path) -> bool:
    if not other.is_file() or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while block := first.read(COMPARED):
            if block != second.read(COMPARED):
                return False
    return True


def write_once(
    store: Store | None, name: str, stamp: str, files: Sequence[Path], write: Callable[[], None]
) -> None:
    """Call `write` unless the store remembers the files as they are, written from what has this stamp.

    Without a store or a stamp nothing is remembered.
    """
    if store is None or store.readonly or not stamp:
        write()
    elif store.state(name) != _state(stamp, files):
        write()
        store.set_state(name, _state(stamp, files))


def _state(stamp: str, files: Iterable[Path]) -> str:
    return " ".join([stamp, *map(mark, files)])


def mark(file: Path) -> str:
    """Another one when somebody has written the file."""
    if not file.is_file():
        return "none"
    status = file.stat()
    return f"{status.st_size}:{status.st_mtime_ns}"
