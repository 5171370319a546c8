"""What a whole run will take, from what a few of its chunks took.

    48 of 600 chunks ...
    calls                    31,200   (27,100 to 35,900)
    money                     11.40   (9.90 to 13.20)

The range is what other samples of as many chunks would have said, 9 times in 10 (a bootstrap over chunks). It knows
nothing of models: it counts what the journal has for each chunk.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import astuple, dataclass

RESAMPLES = 1000
LOW, HIGH = 0.05, 0.95


@dataclass(frozen=True, slots=True)
class Used:
    """What the calls for one chunk came to; `seconds` is the time that they took one after the other."""

    calls: float = 0
    prompt_tokens: float = 0
    cached_tokens: float = 0
    completion_tokens: float = 0
    cost: float = 0
    seconds: float = 0


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    mean: float
    high: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """For `chunks` chunks, from `pilot` of them; each figure in the order of Used."""

    pilot: int
    chunks: int
    ranges: tuple[Range, ...]
    at_once: int

    def __str__(self) -> str:
        calls, prompt, cached, written, cost, seconds = self.ranges
        share = f" ({cached.mean / prompt.mean:.0%} of them cached)" if prompt.mean else ""
        lines = [
            f"{self.pilot} of {self.chunks} chunks were tried; all of them will take about",
            _line("calls", calls, ",.0f"),
            _line("prompt tokens", prompt, ",.0f") + share,
            _line("answer tokens", written, ",.0f"),
        ]
        if cost.mean:
            lines.append(_line("money", cost, ",.4g"))
        least = Range(*(figure / self.at_once for figure in (seconds.low, seconds.mean, seconds.high)))
        lines.append(
            f"{'time':<15} {_time(least.mean):>12}   ({_time(least.low)} to {_time(least.high)}), "
            f"with {self.at_once} calls at a time"
        )
        return "\n".join(lines)


def estimate(pilot: Sequence[Used], chunks: int, at_once: int) -> Estimate:
    """What `chunks` chunks take when those of the pilot took this."""
    draw = random.Random(len(pilot))
    columns = list(zip(*(astuple(used) for used in pilot), strict=True))
    samples = [draw.choices(range(len(pilot)), k=len(pilot)) for _ in range(RESAMPLES)]
    return Estimate(len(pilot), chunks, tuple(_range(column, samples, chunks) for column in columns), at_once)


def _range(column: Sequence[float], samples: Sequence[Sequence[int]], chunks: int) -> Range:
    each = chunks / len(column)
    sums = sorted(sum(column[i] for i in sample) * each for sample in samples)
    return Range(sums[int(LOW * len(sums))], sum(column) * each, sums[int(HIGH * len(sums))])


def _line(name: str, figure: Range, form: str) -> str:
    low, mean, high = (format(value, form) for value in (figure.low, figure.mean, figure.high))
    return f"{name:<15} {mean:>12}   ({low} to {high})"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
