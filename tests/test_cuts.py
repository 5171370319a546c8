"""Chunks are cut once: what is read back is what was cut, and only a text that changed is cut again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted import TEXTS

from generation_functions import cuts, text
from generation_functions.errors import ConfigError
from generation_functions.records import Chunk
from generation_functions.store import Store

SIZE = 100


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Texts of several chunks, some of them in the same words, some in odd ones."""
    folder = tmp_path / "texts"
    odd = 'It is odd: \u2028 \x85 é 😀 "quotes" and \\ slashes. '
    for name, words in {**TEXTS, "Same.txt": "Salt keeps meat all winter long. " * 12 + odd}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(words, encoding="utf-8")
    return folder


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that are cut from now on."""
    names: list[str] = []
    chunks = text.chunks

    def noted(sources: list[text.Source], size: int) -> list[Chunk]:
        names.extend(source.name for source in sources)
        return chunks(sources, size)

    monkeypatch.setattr(text, "chunks", noted)
    return names


def sources(folder: Path) -> list[text.Source]:
    return text.read_sources(folder)[0]


def test_chunks_from_disk_are_those_that_were_cut(folder: Path, store: Store) -> None:
    expected = text.chunks(sources(folder), SIZE)
    for _ in range(2):
        made = cuts.chunks(sources(folder), SIZE, store)
        assert made == expected
        assert list(made.keys) == [own.key for own in made] == [own.key for own in expected]
        assert made.chunks() == made.keys
    assert len(made) > 5
    assert {own.repeat for own in expected} != {0}


def test_only_a_text_that_was_changed_is_cut_again(folder: Path, store: Store, cut: list[str]) -> None:
    first = cuts.chunks(sources(folder), SIZE, store)
    assert len(cut) == 3
    (folder / "deep" / "Smoke.md").write_text("Smoke keeps flies away. It stings.")
    again = cuts.chunks(sources(folder), SIZE, store)
    assert cut[3:] == ["deep/Smoke.md"]
    assert (again.stamp == first.stamp, len(again)) == (False, len(first))
    assert cuts.chunks(sources(folder), SIZE, store).stamp == again.stamp
    cuts.chunks(sources(folder), SIZE + 1, store)
    assert len(cut) == 7


def test_other_rules_cut_everything_again(
    folder: Path, store: Store, cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuts.chunks(sources(folder), SIZE, store)
    monkeypatch.setattr(text, "RULES", text.RULES + 1)
    cuts.chunks(sources(folder), SIZE, store)
    assert len(cut) == 6


def test_a_run_that_is_only_read_is_not_changed(folder: Path, store: Store) -> None:
    expected = text.chunks(sources(folder), SIZE)
    with Store(store.folder, readonly=True) as read:
        assert cuts.chunks(sources(folder), SIZE, read) == expected
        assert read.cut("Same.txt", "any") is None
        cuts.chunks(sources(folder), SIZE, store)
        assert cuts.chunks(sources(folder), SIZE, read) == expected


def test_a_text_that_changes_while_it_is_cut_is_an_error(folder: Path, store: Store) -> None:
    listed = sources(folder)
    (folder / "Same.txt").write_text("Another text.")
    with pytest.raises(
        ConfigError, match="Same.txt was changed since it was listed; open the workbench again"
    ):
        cuts.chunks(listed, SIZE, store)


def test_a_text_that_goes_while_it_is_cut_is_an_error(folder: Path, store: Store) -> None:
    listed = sources(folder)
    (folder / "Same.txt").unlink()
    with pytest.raises(ConfigError, match="Same.txt was read before and cannot be now: cannot be read"):
        cuts.chunks(listed, SIZE, store)


def test_a_source_is_as_long_as_to_the_end_of_its_last_chunk(
    folder: Path, store: Store, cut: list[str]
) -> None:
    made = cuts.chunks(sources(folder), SIZE, store)
    cut.clear()
    lengths = cuts.lengths(sources(folder), SIZE, store)
    assert lengths == {chunk.source: chunk.end for chunk in made}
    assert lengths["Same.txt"] == len((folder / "Same.txt").read_text(encoding="utf-8").rstrip())
    assert cut == []


def test_a_source_that_was_not_cut_has_no_length(folder: Path, store: Store) -> None:
    assert cuts.lengths(sources(folder), SIZE, store) == {}
