"""Files are written whole or not at all, and left alone when they would be the same."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation_functions.files import COMPARED, line, write_once, write_together, write_whole
from generation_functions.store import Store


def broken(handle: int) -> None:
    raise OSError("disk full")


def contents(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir()}


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.jsonl"
    write_whole(file, ["o", "ld"])
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk full"):
        write_whole(file, ["new"])
    assert contents(tmp_path) == {"a.jsonl": "old"}


def test_files_are_replaced_together_or_not_at_all(tmp_path: Path) -> None:
    write_together(tmp_path, ["a", "b"], [("a", "1"), ("b", "2"), ("a", "3")])

    def parts() -> Iterator[tuple[str, str]]:
        yield from (("a", "new"), ("b", "new"))
        raise ZeroDivisionError("a bug")

    with pytest.raises(ZeroDivisionError):
        write_together(tmp_path, ["a", "b"], parts())
    assert contents(tmp_path) == {"a": "13", "b": "2"}


def test_a_file_without_a_part_is_removed_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    write_together(tmp_path, ["a", "b"], [("a", "1"), ("b", "2")])
    write_together(tmp_path, ["a", "b", "c"], [("b", "3")])
    assert contents(tmp_path) == {"b": "3", "notes.txt": "mine"}


@pytest.mark.parametrize("text", ["same", "x" * (COMPARED + 1), ""])
def test_a_file_with_the_same_content_is_not_touched(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.jsonl"
    write_whole(file, [text])
    before = file.stat()
    write_whole(file, [text])
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_whole(file, [text[:-1] + "y"])
    assert file.stat().st_ino != before.st_ino


def test_a_line_holds_any_text(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", [line({"text": 'é \u2028 "\n'}), line({"text": "\ud800"})])
    assert (tmp_path / "a").read_bytes().decode() == '{"text": "é \u2028 \\"\\n"}\n{"text": "?"}\n'


def test_files_are_written_once_for_a_stamp_while_nobody_touches_them(tmp_path: Path) -> None:
    file, count = tmp_path / "a", iter(range(100))
    written = []

    def write() -> None:
        written.append(next(count))
        write_whole(file, [str(written[-1])])

    with Store(tmp_path / "run") as store:
        for stamp in ("s1", "s1", "s2", "s2", "", ""):
            write_once(store, "a", stamp, [file], write)
        assert written == [0, 1, 2, 3]
        write_once(store, "a", "s2", [file], write)  # the file is not the one that s2 gave
        file.write_text("by hand")
        write_once(store, "a", "s2", [file], write)
        file.unlink()
        write_once(store, "a", "s2", [file], write)
        write_once(None, "a", "s2", [file], write)
        assert written == list(range(8))
