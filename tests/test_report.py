"""Charts that a notebook shows: they are pictures of whatever records and names there are."""

from collections.abc import Callable

import pytest
from scripted import chunk, pair

from generation_functions import chart_of_pairs, chart_of_sizes
from generation_functions.batch import Batch
from generation_functions.items import each
from generation_functions.report import MOST_TEXTS, Chart


def is_picture(chart: Chart) -> bool:
    return chart._repr_png_().startswith(b"\x89PNG")


def batches(*names: str) -> tuple[Batch, Batch]:
    chunks = [chunk(source=name) for name in names]
    return Batch("chunks", each(chunks)), Batch("distinct", each([pair(of=of) for of in chunks]))


def test_nothing_gives_an_empty_chart() -> None:
    assert is_picture(chart_of_pairs(*batches()))


@pytest.mark.parametrize(
    "chart", [lambda chunks, pairs: chart_of_sizes(chunks), chart_of_pairs], ids=["sizes", "pairs"]
)
def test_a_name_is_no_formula(chart: Callable[..., Chart]) -> None:
    assert is_picture(chart(*batches("a $\\frac$ b.txt", "$x_{.txt", "x" * 500)))


def test_the_chart_of_pairs_counts_kinds_and_has_a_row_for_each_text() -> None:
    chart = chart_of_pairs(*batches("A.txt", "B.txt"))
    above, below = chart.axes
    assert sum(bar.get_width() for bar in above.patches) == 2
    assert [label.get_text() for label in below.get_yticklabels()] == ["A.txt, 50%", "B.txt, 50%"]


def test_of_many_texts_those_with_the_smallest_shares_are_in_the_chart() -> None:
    chunks, pairs = batches(*(f"{n}.txt" for n in range(20)))
    _, below = chart_of_pairs(chunks, Batch("distinct", each(pairs.records[:15]))).axes
    shown = [label.get_text() for label in below.get_yticklabels()]
    assert len(shown) == MOST_TEXTS
    assert shown[:5] == [f"{n}.txt, 0%" for n in range(15, 20)]
