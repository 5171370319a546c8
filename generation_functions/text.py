"""Text files in, chunks out: read, cut the licence off, find the paragraphs and sentences, pack them.

Knows nothing of models, prompts or runs. What happens to two lines of a book:

    raw_text_input/Salt, by A. Reed.txt   "Salt draws the water out of\\nmeat.  Few microbes survive that.\\n"
    Source(name="Salt, by A. Reed.txt", load=..., title="Salt", author="A. Reed")
    Chunk(source="Salt, by A. Reed.txt", sentences=(
        Sentence("Salt draws the water out of meat.", start=0, end=33, opens_paragraph=True),
        Sentence("Few microbes survive that.", start=35, end=61)))

Nothing but white space is ever changed: the chunks of a source, joined, are its text without the licence.
The same text gives the same chunks on every machine.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from .errors import ConfigError
from .paragraphs import find_sentences
from .records import Chunk, Sentence, content_key

TEXT_SUFFIXES = ("", ".txt", ".text", ".md", ".markdown", ".rst")
BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
ENOUGH = 0.6  # of a chunk's size: rather end there with a paragraph than go on into the middle of the next
SHORT_TAIL = 200  # a last chunk below this joins the one before it where it fits
RULES = 1  # of cutting, here and in paragraphs; with another number every run cuts its texts anew


@dataclass(frozen=True, slots=True)
class Source:
    """A text file. `name` is its path below the folder; title, author and year are from the file's name.

    `load` gives its text anew each time, as all texts of a run may be more than memory holds; `digest` is its key.
    """

    name: str
    load: Callable[[], str] = field(compare=False)
    title: str = ""
    author: str = ""
    year: str = ""
    digest: str = ""

    @property
    def text(self) -> str:
        return self.load()

    @property
    def description(self) -> str:
        """Title, by Author, published Year: as much of it as is known."""
        author = f", by {self.author}" if self.author else ""
        return f"{self.title}{author}" + (f", published {self.year}" if self.year else "")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not read, and why."""

    name: str
    reason: str


# Reading ----------------------------------------------------------------------------------------------------


def read_sources(folder: Path) -> tuple[list[Source], list[Skipped]]:
    """All texts in `folder` and the folders in it, by name, and what was left out, less hidden files.

    Raises ConfigError when there is no folder or nothing in it can be read.
    """
    if not folder.is_dir():
        found = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ConfigError(
            f"PATH.INPUT: folder {folder} {found}; put .txt or .md files into a folder and name it"
        )
    sources, skipped = [], []
    for name, path, reason in _files(folder, "", {}):
        try:
            text = "" if reason else read(name, path)
        except Unreadable as unreadable:
            reason = str(unreadable)
        if reason:
            skipped.append(Skipped(name, reason))
        else:
            load = partial(_read_again, name, path)
            sources.append(replace(_named(name), load=load, digest=content_key(text)))
    sources.sort(key=lambda source: source.name)
    skipped.sort(key=lambda file: file.name)
    if not sources:
        listed = "; ".join(f"{file.name}: {file.reason}" for file in skipped[:5]) or "the folder is empty"
        more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
        raise ConfigError(f"PATH.INPUT: no text to read in {folder} (.txt or .md files): {listed}{more}")
    return sources, skipped


class Unreadable(Exception):
    """Why a file is skipped."""


def _files(folder: Path, prefix: str, seen: dict[tuple[int, int], str]) -> Iterator[tuple[str, Path, str]]:
    """Every file's name, path and the reason why it is not read ("" when it may be).

    `seen` holds what was visited already, by device and inode, so a link back up does not go round for ever.
    """
    try:
        status = folder.stat()
        seen[status.st_dev, status.st_ino] = prefix or "the folder itself"
        paths = sorted(folder.iterdir(), key=lambda path: (path.is_symlink(), path.name))
    except OSError as error:
        yield prefix or str(folder), folder, f"cannot be opened: {error.strerror}"
        return
    for path in paths:
        if path.name.startswith("."):
            continue
        name = prefix + os.fsencode(path.name).decode("utf-8", "replace")
        try:
            status = path.stat()
        except OSError as error:  # a link to nothing, or to itself
            yield name, path, f"cannot be read: {error.strerror}"
            continue
        twin = seen.setdefault((status.st_dev, status.st_ino), name)
        if twin != name:
            yield name, path, f"{'a link to' if path.is_symlink() else 'the same file as'} {twin}"
        elif stat.S_ISDIR(status.st_mode):
            yield from _files(path, f"{name}/", seen)
        else:
            yield name, path, "" if stat.S_ISREG(status.st_mode) else "not a file but a device or pipe"


def _read_again(name: str, path: Path) -> str:
    try:
        return read(name, path)
    except Unreadable as unreadable:
        raise ConfigError(f"PATH.INPUT: {path} was read before and cannot be now: {unreadable}") from None


def read(name: str, path: Path) -> str:
    suffix = _split_suffix(name)[1]
    if suffix.lower() not in TEXT_SUFFIXES:
        raise Unreadable(f"{suffix} is not plain text; convert it to .txt")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error
    text = _decode(data).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Unreadable("empty")
    return text


def describe(name: str) -> str:
    """What a source's name tells of it: "Title, by Author, published Year", as far as it does."""
    return _named(name).description


def _named(name: str) -> Source:
    """The source of that name, its text still missing."""
    stem = _split_suffix(name)[0]
    found = _FILE_NAME.fullmatch(stem)
    if not found:
        return Source(name, str, stem)
    return Source(name, str, found["title"], found["author"], found["year"] or "")


_FILE_NAME = re.compile(
    r"(?P<title>.+), by (?P<author>.+?)(?:,? published (?P<year>[^()]*?\d[^()]*?))?(?: *\([^()]*\))*"
)
_SUFFIX = re.compile(r"\.(?=\w*[A-Za-z])\w{1,8}")  # "Walden, by H. D. Thoreau" and "Volume 1.2" have none


def _split_suffix(name: str) -> tuple[str, str]:
    """A source's file name without the folders, in two: what comes before its suffix, and the suffix."""
    name = name.rpartition("/")[2]
    stem, dot, last = name.rpartition(".")
    return (stem, dot + last) if stem and _SUFFIX.fullmatch(dot + last) else (name, "")


# Those that old editors, printers and terminals leave in texts are not counted.
_CONTROL = re.compile(r"[\x00-\x06\x0e-\x19\x1c-\x1f\x7f]")


def _decode(data: bytes) -> str:
    """The text of a file: by its byte-order mark, else UTF-8, else Western European (cp1252, Latin-1)."""
    mark, encoding = next((m for m in BYTE_ORDER_MARKS if data.startswith(m[0])), (b"", "utf-8"))
    text = data[len(mark) :].decode(encoding, "replace")
    damaged = text.count("\ufffd") - data.count("\ufffd".encode(encoding))
    if encoding != "utf-8" and damaged > len(text) / 100:
        raise Unreadable(f"begins as {encoding} but is something else")
    # A few bad bytes among good UTF-8 are damage, as at the end of a file that was cut; else it is not UTF-8.
    is_western = encoding == "utf-8" and damaged * 10 > _foreign(text)
    if is_western:
        text = _decode_western(data)
    if "\0" in text:
        raise Unreadable("binary, or UTF-16 without a byte-order mark")
    if len(_CONTROL.findall(text)) > len(text) / 50:
        raise Unreadable("binary")
    if is_western and _foreign(text) > 0.4 * len("".join(text.split())):
        raise Unreadable("neither UTF-8 nor Western European; save it as UTF-8")
    return text


def _decode_western(data: bytes) -> str:
    try:
        return data.decode("cp1252")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _foreign(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


# Chunks -----------------------------------------------------------------------------------------------------


def chunks(sources: Sequence[Source], size: int) -> list[Chunk]:
    """Whole sentences of one source each, `size` characters of chunk.text at most, in text order."""
    made: list[Chunk] = []
    for source in sources:
        repeats: Counter[str] = Counter()
        for sentences in _pack(list(find_sentences(source.text, size)), size):
            chunk = Chunk(source.name, tuple(sentences))
            made.append(replace(chunk, repeat=repeats[chunk.text]))
            repeats[chunk.text] += 1
    return made


def _pack(sentences: list[Sentence], size: int) -> list[list[Sentence]]:
    packed: list[list[Sentence]] = []
    begin = 0
    while begin < len(sentences):
        lengths = _lengths(sentences, begin, size)
        end = begin + len(lengths)
        if end < len(sentences):
            end = begin + _good_end(sentences[begin : end + 1], lengths, size)
        packed.append(sentences[begin:end])
        begin = end
    if len(packed) > 1 and sum(len(s.text) for s in packed[-1]) < SHORT_TAIL:
        both = packed[-2] + packed[-1]
        if len(_lengths(both, 0, size)) == len(both):
            packed[-2:] = [both]
    return packed


def _lengths(sentences: list[Sentence], begin: int, size: int) -> list[int]:
    """How long the chunk's text is with 1, 2, ... sentences from `begin`, as far as it fits."""
    lengths: list[int] = []
    length = 0
    for sentence in sentences[begin : begin + size]:
        gap = 0 if not lengths else 2 if sentence.opens_paragraph else 1
        length += gap + len(sentence.text)
        if length > size:
            break
        lengths.append(length)
    return lengths


def _good_end(sentences: list[Sentence], lengths: list[int], size: int) -> int:
    """How many to take of more: up to a paragraph's end where that fills enough, and no heading last."""
    fitting = len(lengths)
    for count in range(fitting, 0, -1):
        if lengths[count - 1] < size * ENOUGH:
            break
        if sentences[count].opens_paragraph and not _leads_on(sentences[count - 1]):
            return count
    for count in range(fitting, 0, -1):
        if lengths[count - 1] < size / 2:
            break
        if not _leads_on(sentences[count - 1]):
            return count
    return fitting


_LEADS_ON = re.compile(r":[-—]*$")
_FINISHED = re.compile(r"[.!?;,…。！？][)\]\"'”’»_*]*$")


def _leads_on(sentence: Sentence) -> bool:
    """Whether it is a heading or a lead-in, which say little without what follows them."""
    heading = sentence.opens_paragraph and len(sentence.text) <= 80 and not _FINISHED.search(sentence.text)
    return heading or _LEADS_ON.search(sentence.text) is not None


# Subset -----------------------------------------------------------------------------------------------------


def subset(chunks: Sequence[Chunk], size: int) -> list[Chunk]:
    """`size` chunks spread over all sources and over each of them, in the order of the text.

    Every source gets one while there are enough, the rest go by length. Which ones hangs on content alone: a
    bigger subset holds the smaller one, and another source or an edit changes few of the others.
    """
    by_source: dict[str, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        by_source[chunk.source].append(chunk)
    turns: list[tuple[bool, float, str, str]] = []
    for source, own in by_source.items():
        for taken, key in enumerate(_spread([chunk.key for chunk in own])):
            # As Sainte-Laguë gives out seats: the next goes to who has the fewest for its size.
            share = (2 * taken + 1) / len(own) if taken else 0.0
            turns.append((taken > 0, share, content_key(source), key))
    chosen = {key for *_, key in sorted(turns)[:size]}
    return [chunk for chunk in chunks if chunk.key in chosen]


def _spread(keys: list[str]) -> list[str]:
    """In an order whose every beginning is spread evenly: one of all, of each half, of each quarter ..."""
    order: list[str] = []
    taken: set[str] = set()
    cells = 1
    while len(order) < len(keys):
        borders = [len(keys) * cell // cells for cell in range(cells + 1)]
        inside = [keys[start:end] for start, end in pairwise(borders)]
        order += sorted(min(cell) for cell in inside if cell and taken.isdisjoint(cell))
        taken.update(order)
        cells *= 2
    return order
