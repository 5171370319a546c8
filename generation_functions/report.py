"""What a run looks like: figures, and the table of what was bought.

Figures show themselves in a notebook without pyplot, whose global state a widget's thread could corrupt.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from matplotlib.figure import Figure

from .batch import Batch
from .diversity import Source, of_pairs, of_sources
from .engine import Completion, Request
from .errors import OutputError

COLOURS = {"kept": "#3a7d44", "rejected": "#b3423a", "failed": "#c98a1b", "pending": "#9aa0a6"}
BINS = 20
LONG_LABEL = 40  # characters
MOST_TEXTS, PARTS = 8, 100  # of a chart
DOTS_PER_INCH = 100


class Chart(Figure):
    """A matplotlib figure that a notebook shows without `%matplotlib inline`."""

    def _repr_png_(self) -> bytes:
        image = io.BytesIO()
        self.savefig(image, format="png", dpi=DOTS_PER_INCH)
        return image.getvalue()


def chart_of_sizes(chunks: Batch) -> Chart:
    """A histogram of the chunks' sizes in characters, a colour for each source."""
    sizes: dict[str, list[int]] = {}
    for chunk in chunks:
        sizes.setdefault(chunk.source, []).append(len(chunk.text))
    figure = Chart(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.hist(list(sizes.values()), bins=BINS, stacked=True, label=list(map(_label, sizes)))
    axes.set(xlabel="characters of a chunk", ylabel="chunks", title=f"{len(chunks)} chunks")
    if len(sizes) <= 8:
        axes.legend(fontsize=8)
    return figure


def chart_of_steps(batches: Sequence[Batch]) -> Chart:
    """How many items each step kept, rejected, failed and has still to do."""
    figure = Chart(figsize=(7, 0.9 + 0.35 * len(batches)), layout="constrained")
    axes = figure.subplots()
    names = [batch.name for batch in batches]
    left = [0] * len(batches)
    for status, colour in COLOURS.items():
        counts = [getattr(batch.ledger, status) for batch in batches]
        axes.barh(names, counts, left=left, color=colour, label=status)
        left = [so_far + count for so_far, count in zip(left, counts, strict=True)]
    axes.invert_yaxis()
    axes.set(xlabel="items", title="what each step let through")
    axes.legend(fontsize=8)
    return figure


def chart_of_pairs(chunks: Batch, pairs: Batch) -> Chart:
    """What the pairs' questions ask, and where in each text their evidence lies; of many texts those with the least."""
    sources = of_sources(chunks.passing, pairs.passing)
    sources = sorted(sources, key=lambda source: source.named / source.sentences)[:MOST_TEXTS]
    figure = Chart(figsize=(7, 3.4 + 0.25 * len(sources)), layout="constrained")
    above, below = figure.subplots(2, height_ratios=(2.2, 0.4 + 0.25 * len(sources)))
    kinds = of_pairs(pairs.passing).kinds
    above.barh(list(kinds), list(kinds.values()))
    above.invert_yaxis()
    above.tick_params(axis="y", labelsize=8)
    above.set(xlabel="questions", title="what questions ask")
    used = [[part.named if part.taken else nan for part in source.parts(PARTS)] for source in sources]
    below.imshow(
        used or [[nan]],
        aspect="auto",
        cmap="Blues",
        vmin=-0.15,
        vmax=1,
        extent=(0, 100, max(1, len(used)), 0),
    )
    below.set_yticks(
        [place + 0.5 for place in range(len(used))], [_share(source) for source in sources], fontsize=8
    )
    below.set(
        xlabel="% of the text as far as it was taken", title="where the sentences lie that pairs are about"
    )
    return figure


def _share(source: Source) -> str:
    return f"{_label(source.name)}, {100 * source.named / source.sentences:.0f}%"


def _label(source: str) -> str:
    """Cut, and without what matplotlib would read as a formula."""
    cut = source if len(source) <= LONG_LABEL else source[: LONG_LABEL - 1] + "\u2026"
    return cut.replace("$", r"\$")


def ledger_text(batches: Sequence[Batch]) -> str:
    """The ledger of every step, a line each."""
    rows: list[tuple[str, ...]] = [("step", "in", "kept", "rejected", "failed", "pending", "makes")]
    for batch in batches:
        ledger = batch.ledger
        counts = (ledger.total, ledger.kept, ledger.rejected, ledger.failed, ledger.pending, len(batch))
        rows.append((batch.name, *map(str, counts)))
    return "\n".join(f"{row[0]:<12}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def usage_text(usage: Sequence[Mapping[str, Any]]) -> str:
    """What the journal counts: calls, how many could not be used, tokens, and the share of prompts from
    cache.
    """
    if not usage:
        return "no calls"
    rows: list[tuple[str, ...]] = [
        ("stage", "calls", "unusable", "prompt", "cached", "written", "seconds", "money")
    ]
    for row in [*usage, *_by_model(usage), _total(usage)]:
        cached = f"{100 * row['cached_tokens'] / max(1, row['prompt_tokens']):.0f}%"
        counts = (row["calls"], row["unusable"], row["prompt_tokens"], cached, row["completion_tokens"])
        rows.append((row["stage"], *map(str, counts), f"{row['seconds']:.0f}", f"{row['cost']:.4f}"))
    if not rows[-1][-1].strip("0."):  # nothing has a price
        rows = [row[:-1] for row in rows]
    table = "\n".join(f"{row[0]:<30}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)
    return f"{table}\n{rows[-1][4]} of the prompts' tokens came from the cache"


def _by_model(usage: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line for each model, where there is more than one."""
    models = dict.fromkeys(row["model"] for row in usage)
    if len(models) < 2:
        return []
    each = ([row for row in usage if row["model"] == model] for model in models)
    return [_total(rows, f"all by {_short(rows[0]['model'])}") for rows in each]


def _short(model: str) -> str:
    name = model.rsplit("/", 1)[-1]
    return name if len(name) <= 22 else name[:21] + "\u2026"


def _total(usage: Sequence[Mapping[str, Any]], name: str = "all") -> dict[str, Any]:
    names = ("calls", "unusable", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost")
    return {"stage": name, **{name: sum(row[name] for row in usage) for name in names}}


def answer_text(request: Request, got: Completion) -> str:
    """One call in one line: what it took, and whether its answer follows the grammar."""
    return (
        f"a call: {got.prompt_tokens} tokens read and {got.completion_tokens} written in {got.seconds:.1f} s, "
        f"{_obeys(request, got)}: {' '.join(got.text.split())[:80]!r}"
    )


def _obeys(request: Request, got: Completion) -> str:
    if got.finish != "stop":
        return f"finish {got.finish}"
    try:
        request.grammar.read(got.text, tolerant=True)
    except OutputError as error:
        return f"which does not follow the grammar ({error})"
    return "which follows the grammar"
