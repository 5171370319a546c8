"""Some of very many records, as reading all of them takes too long: spread evenly, or a few that are as good as chance.

for place, record in spread(records): ...       # all of up to 10,000, else about so many in even blocks
sample(records, 20)                             # the same ones every time
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .items import BLOCK, Records

MOST = 10_000  # records that a figure reads; a share of 10% is then known to within 1%


def spread(members: Sequence[Any], most: int = MOST) -> Iterator[tuple[int, Any]]:
    """All members after their places; of more than `most`, about so many."""
    return ((place, members[place]) for place in places(len(members), most))


def places(count: int, most: int = MOST) -> Iterator[int]:
    """All places of so many members; of more than `most`, about so many, in blocks as they are read from the disk."""
    blocks = -(-count // BLOCK)
    wanted = max(1, most // BLOCK) if count > most else blocks
    for block in (n * blocks // wanted for n in range(wanted)):
        yield from range(block * BLOCK, min((block + 1) * BLOCK, count))


def sample(records: Records, count: int) -> list[Any]:
    """`count` records, one from each stretch of the whole: that with the smallest key, which is as good as by chance
    and the same every time. No other is read.
    """
    count = min(count, len(records))
    ends = [n * len(records) // count for n in range(count + 1)] if count else [0]
    stretches = (range(start, stop) for start, stop in zip(ends, ends[1:], strict=False))
    return [records[min(stretch, key=records.keys.__getitem__)] for stretch in stretches]
