"""The pieces of a page: texts made safe, numbers, tables, bars, histograms; all of them give HTML.

    inline("<b>salt</b>\\0")                         # "<bdi>&lt;b&gt;salt&lt;/b&gt;\ufffd</bdi>"
    bars([("Salt.txt", 12, 40)], "chunks")          # a table: the name, a bar, 12 of 40, 30%

It knows nothing of runs. What is given to `inline`, `block` or as a table's cell is text; all else is HTML already.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from .detail import shown

SHORT, LONG = 300, 4_000  # characters of a text in passing, and of one that is to be read
BINS = 24
SHADES = 4


def words(value: Any, most: int = SHORT) -> str:
    """Any text as HTML: escaped, without what no screen has a sign for, cut with its length said."""
    whole = str(value)
    cut = html.escape(shown(whole[:most], most))
    if len(whole) <= most:
        return cut
    return f"{cut}\u2026 <small dir='ltr'>({number(len(whole))} characters in all)</small>"


def inline(value: Any) -> str:
    """A text among others, whatever direction it is written in."""
    return f"<bdi>{words(value)}</bdi>"


def block(value: Any, style: str = "said", most: int = LONG) -> str:
    """A text as a paragraph of its own; nothing for none."""
    return f"<p class='{style}' dir='auto'>{words(value, most)}</p>" if value else ""


def number(value: int | float) -> str:
    return f"{value:,}"


def counted(count: int, noun: str) -> str:
    """ "1 pair", "1,200 pairs"."""
    return f"{number(count)} {noun}{'' if count == 1 else 's'}"


def percent(part: float, whole: float) -> str:
    """A share that is neither none nor all does not look as if it were."""
    if not whole:
        return "\u2013"
    if 0 < part < whole:
        return f"{min(99, max(1, round(100 * part / whole)))}%"
    return f"{round(100 * part / whole)}%"


def partly(seen: int, total: int, what: str) -> str:
    """A line on what a figure was counted in, where that is not all."""
    if seen == total:
        return ""
    return f"<p class='about'>Counted in {number(seen)} of {number(total)} {what}, spread evenly.</p>"


def fold(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>"


def section(place: str, heading: str, parts: Iterable[str], nothing: str = "") -> Iterator[str]:
    """A part of the page under its heading; `nothing` is said where there is nothing in it."""
    yield f"<section id='{place}'><h2>{heading}</h2>"
    empty = True
    for part in parts:
        empty = empty and not part
        yield part
    yield f"<p>{nothing}</p></section>\n" if empty else "</section>\n"


def row(cells: Sequence[Any], style: str = "") -> str:
    """A row of a table that begins with what it is about; numbers that are nothing stand back."""
    first, *rest = cells
    tail = "".join(_cell(cell) for cell in rest)
    styled = f" class='{style}'" if style else ""
    return f"<tr{styled}><th scope='row'>{inline(first)}</th>{tail}</tr>"


def _cell(cell: Any) -> str:
    if isinstance(cell, int):
        return f"<td class='zero'>{number(cell)}</td>" if not cell else f"<td>{number(cell)}</td>"
    return f"<td>{inline(cell)}</td>"


def head(names: Sequence[str]) -> str:
    """The names of columns; they are HTML."""
    cells = "".join(f"<th scope='col'>{name}</th>" for name in names)
    return f"<thead><tr>{cells}</tr></thead>" if names else ""


def table(names: Sequence[str], rows: Iterable[Sequence[Any]], style: str = "numbers") -> str:
    """`numbers` stand to the right; in a table of `named` things the second cell is to be read."""
    body = "".join(map(row, rows))
    return f"<div class='wide'><table class='{style}'>{head(names)}<tbody>{body}</tbody></table></div>"


def bar(parts: Iterable[tuple[str, int]], most: int) -> str:
    """Parts of the class and the count given, side by side; `most` is as wide as it gets."""
    own = "".join(
        f"<i class='{style}' style='width:{100 * count / most:.2f}%'></i>" for style, count in parts if count
    )
    return f"<div class='bar' aria-hidden='true'>{own}</div>"


def bars(rows: Iterable[tuple[str, int, int]], what: str) -> str:
    """A table of names and shares: how many of how many."""
    body = "".join(
        f"<tr><th scope='row'>{inline(name)}</th><td class='drawn'>{bar([('plain', count)], whole)}</td>"
        f"<td>{number(count)} of {number(whole)}</td><td>{percent(count, whole)}</td></tr>"
        for name, count, whole in rows
    )
    return f"<table class='bars'>{head(['', '', what, ''])}<tbody>{body}</tbody></table>"


def histogram(name: str, values: Sequence[int]) -> str:
    """Bars over lengths in characters. What is over four times the middle one is counted in the last bar, as one very
    long text would press all others into the first.
    """
    ranked = sorted(values)
    low, middle, longest = ranked[0], ranked[len(ranked) // 2], ranked[-1]
    high = min(longest, max(4 * middle, low + BINS))
    bins = min(BINS, high - low + 1)
    counts = [0] * bins
    for value in ranked:
        counts[min(bins - 1, (value - low) * bins // (high - low + 1))] += 1
    says = f"{number(low)} to {number(longest)} characters, median {number(middle)}"
    return columns(name, says, counts, (number(low), f"{number(high)}{' and more' * (longest > high)}"))


def columns(name: str, says: str, counts: Sequence[int], ends: tuple[str, str] = ("", "")) -> str:
    """A figure of a column for each count; `name` and `says` are text. `ends` stand below the first and the last."""
    most = max(counts, default=0) or 1
    drawn = "".join(_column(place, 100 * count / most) for place, count in enumerate(counts) if count)
    below = f"<div class='ends'><span>{ends[0]}</span><span>{ends[1]}</span></div>" if any(ends) else ""
    return (
        f"<figure><figcaption><b>{words(name)}</b><br>{words(says)}</figcaption>"
        f"<svg class='columns' viewBox='0 0 {len(counts)} 100' role='img' preserveAspectRatio='none' "
        f"aria-label='{_attribute(f'{name}: {says}')}'>{drawn}</svg>{below}</figure>"
    )


def _column(place: int, height: float) -> str:
    return f"<rect x='{place + 0.06:.2f}' y='{100 - height:.1f}' width='0.88' height='{height:.1f}'/>"


def strip(says: str, parts: Iterable[tuple[bool, int]]) -> str:
    """What is done with a text from its beginning to its end, a part of it after the other: whether it was looked at,
    and which of SHADES shows how much of it is used; 0 for nothing of it. `says` is text.
    """
    runs, width = [], 0
    for (taken, shade), same in groupby(parts):
        count = sum(1 for _ in same)
        if taken:
            runs.append(f"<rect class='read' x='{width}' width='{count}' height='1'/>")
        if shade:
            dark = f"{shade / SHADES:.2f}"
            runs.append(f"<rect x='{width}' width='{count}' height='1' fill-opacity='{dark}'/>")
        width += count
    return (
        f"<svg class='strip' viewBox='0 0 {width} 1' role='img' preserveAspectRatio='none' "
        f"shape-rendering='crispEdges' aria-label='{_attribute(says)}'>{''.join(runs)}</svg>"
    )


def _attribute(value: Any) -> str:
    """Any text as what stands between an attribute's quotes."""
    return html.escape(shown(str(value)[:SHORT], SHORT), quote=True)
