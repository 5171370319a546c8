"""A run over several processes or machines: each takes its share of the chunks, and one puts the parts together.

    Shard.parse("3/16").has(chunk.key)       # whether the third of sixteen processes makes something of it
    Shard.parse("3/16").folder(run)        # output/big/shard-03-of-16
    shards_of(Path("output/big"))          # all sixteen, once they are there

A chunk's share hangs on its content, so every process finds its own from the same texts without a word to the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .errors import ConfigError, RunError

_NAME = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Shard:
    """The part `number`, counted from 1, of `of`."""

    of: int
    number: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """ "3/16". Raises ConfigError."""
        number, slash, of = text.partition("/")
        if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            raise ConfigError(f"{text!r} is no shard; one is written 3/16, the third of sixteen")
        return cls(int(of), int(number))

    def has(self, key: str) -> bool:
        """Whether the chunk with that key is in it."""
        return int(key, 16) % self.of == self.number - 1

    def folder(self, run: Path) -> Path:
        digits = len(str(self.of))
        return run / f"shard-{self.number:0{digits}d}-of-{self.of}"

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def shards_of(run: Path) -> list[Shard]:
    """All parts of a run. Raises RunError when there are none, when some are missing, or parts of two divisions."""
    matches = [_NAME.fullmatch(folder.name) for folder in sorted(run.glob("shard-*-of-*"))]
    found = sorted(Shard(int(m[2]), int(m[1])) for m in matches if m)
    if not found:
        raise RunError(f"{run} has no shards to merge; `run --shard 1/4` makes the first of four")
    divisions = sorted({shard.of for shard in found})
    if len(divisions) > 1:
        raise RunError(f"{run} has shards of {' and of '.join(map(str, divisions))}: move one division away")
    wanted = {Shard(divisions[0], number) for number in range(1, divisions[0] + 1)}
    if missing := sorted(wanted - set(found)):
        raise RunError(f"{run} lacks the shards {', '.join(map(str, missing))}: run or copy them here first")
    return found
