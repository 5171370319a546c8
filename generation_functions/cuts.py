"""The chunks of a run's texts: cut once, kept in run.db, read from there when somebody looks at them.

Cutting learns from each text how its sentences end and takes about 3 s for a million characters; finding a cut that was
made takes none. A text that was changed is cut anew, the others are not.

    made = chunks(sources, 1900, store)        # Records: made.keys, made[0], len(made)
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from . import text
from .errors import ConfigError
from .items import Records, records_of
from .records import Chunk, Sentence, content_key, with_key
from .store import Store
from .text import Source


def chunks(sources: Sequence[Source], size: int, store: Store) -> Records:
    """Whole sentences of one source each, `size` characters at most, in the order of the sources and their texts."""
    marks = [_mark(source, size) for source in sources]
    numbers: list[range] = []
    for source, of in zip(sources, marks, strict=True):
        known = store.cut(source.name, of)
        if known is None and store.readonly:
            return records_of(text.chunks(sources, size))
        numbers.append(known if known is not None else _cut(source, size, of, store))
    keys = [key for own in numbers for key in store.chunk_keys(own)]
    ends = list(accumulate(map(len, numbers)))

    def load(start: int, stop: int) -> list[Chunk]:
        owners = [bisect_right(ends, place) for place in range(start, stop)]
        first = [ends[owner] - len(numbers[owner]) for owner in owners]
        ids = [numbers[o][p - f] for o, p, f in zip(owners, range(start, stop), first, strict=True)]
        rows = store.chunks(ids)
        return [_unpacked(sources[o].name, rows[id]) for o, id in zip(owners, ids, strict=True)]

    names = [source.name for source in sources]
    return Records(keys, load, content_key(names, marks), lambda: keys)


def lengths(sources: Sequence[Source], size: int, store: Store) -> dict[str, int]:
    """The characters of each source that was cut, to the end of its last chunk; no text is read for that."""
    known = {source.name: store.cut(source.name, _mark(source, size)) for source in sources}
    last = {name: numbers[-1] for name, numbers in known.items() if numbers}
    rows = store.chunks(list(last.values()))
    return {name: _unpacked(name, rows[id]).end for name, id in last.items()}


def _mark(source: Source, size: int) -> str:
    return content_key(source.digest, size, text.RULES)


def _cut(source: Source, size: int, of: str, store: Store) -> range:
    body = source.text
    if content_key(body) != source.digest:
        raise ConfigError(
            f"PATH.INPUT: {source.name} was changed since it was listed; open the workbench again"
        )
    rows = [
        (chunk.key, chunk.repeat, [[s.text, s.start, s.end, s.opens_paragraph] for s in chunk.sentences])
        for chunk in text.chunks([replace(source, load=lambda: body)], size)
    ]
    return store.add_cut(source.name, of, rows)


def _unpacked(source: str, row: tuple[str, int, Any]) -> Chunk:
    key, repeat, sentences = row
    chunk: Chunk = with_key(Chunk(source, tuple(Sentence(*own) for own in sentences), repeat), key)
    return chunk
