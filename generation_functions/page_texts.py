"""The parts of report.html on the texts that were made: how varied they are, and which sentences they use.

    "".join(coverage(run))       # a table of sources, each with a strip that shows where its used sentences lie

All of them give HTML; whatever they show of texts is escaped and cut.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from math import ceil

from .diversity import LONG, OTHER, TERSE, Pairs, Source, Talks
from .figures import Run
from .markup import (
    SHADES,
    bar,
    bars,
    columns,
    counted,
    fold,
    head,
    histogram,
    inline,
    number,
    partly,
    percent,
    strip,
    table,
)

TOP = 10  # openings, names, sources
PARTS = 160  # of a source's strip
ALIKE = 0.3  # of the texts begin the same, or of the characters have the same name: worth a look
ONE_KIND = 0.6  # of the questions are of one kind: worth a look
LEAST_ASKED = 20  # questions before their kinds are worth a look
SILENT = 0.3  # of a source in one stretch that no pair is about: worth a look


# What to look at


def sameness(run: Run) -> Iterator[str]:
    """Lines on what is too much alike and on texts that are not asked about."""
    yield from _one_kind(run.pairs)
    for what, begins in _beginnings(run).items():
        yield from (f"{share} of the {what} begin with {text}" for share, text in _too_often(begins))
    yield from (f"{share} of the characters are called {name}" for share, name in _too_often(run.talks.names))
    if run.knows_sources:
        barren = [source for source in run.sources if not source.used]
        yield from (f"no pair of {names} was kept" for names in _first_of(barren))
        silent = [source for source in run.sources if source.used and _is_silent(source)]
        for names in _first_of(silent):
            yield f"no pair is about the stretch from {_stretch(silent[0])} of {names}"


def _one_kind(pairs: Pairs) -> Iterator[str]:
    asked = len(pairs.questions)
    for kind, count in pairs.kinds.most_common(1):
        if kind != OTHER and asked >= LEAST_ASKED and count > ONE_KIND * asked:
            yield f"{percent(count, asked)} of the questions are of one kind: {kind}"


def _beginnings(run: Run) -> dict[str, Counter[str]]:
    return {
        "questions": run.pairs.questions_begin,
        "answers": run.pairs.answers_begin,
        "turns of those who ask": run.talks.asking_begins,
        "turns of those who answer": run.talks.answering_begins,
        "scenarios": run.talks.scenarios_begin,
    }


def _too_often(texts: Counter[str]) -> Iterator[tuple[str, str]]:
    """Those of which there are too many, each after its share."""
    whole = texts.total()
    for text, count in texts.most_common(int(1 / ALIKE)):
        if count > ALIKE * whole and whole >= TOP:
            yield percent(count, whole), f"\u201c{inline(text)}\u201d"


def _first_of(sources: list[Source]) -> Iterator[str]:
    if sources:
        yield f"{inline(sources[0].name)}{f' and {number(len(sources) - 1)} more' if len(sources) > 1 else ''}"


def _is_silent(source: Source) -> bool:
    start, end = source.gap
    return end - start > SILENT and source.chunks >= TOP


def _stretch(source: Source) -> str:
    start, end = source.gap
    return f"{percent(start, 1)} to {percent(end, 1)}"


# The texts made


def texts(run: Run) -> Iterator[str]:
    pairs, talks = run.pairs, run.talks
    if not pairs.total + talks.total:
        return
    yield partly(len(pairs.questions), pairs.total, "pairs")
    yield partly(len(talks.lengths), talks.total, "conversations")
    yield from _lengths(pairs, talks)
    begins = (_begins(what, texts) for what, texts in _beginnings(run).items() if texts)
    yield f"<div class='two'>{_kinds(pairs)}{''.join(begins)}</div>"


def _lengths(pairs: Pairs, talks: Talks) -> Iterator[str]:
    lengths = {"Questions": pairs.questions, "Answers": pairs.answers, "Conversations": talks.lengths}
    drawn = "".join(histogram(name, values) for name, values in lengths.items() if values)
    yield f"<div class='figures'>{drawn}</div>"
    if answers := len(pairs.answers):
        terse, long = percent(pairs.terse, answers), percent(pairs.long, answers)
        yield f"<p>{terse} of the answers have under {TERSE} characters, {long} over {LONG}.</p>"
    if turns := sorted(talks.turns):
        few, middle, many = turns[0], turns[len(turns) // 2], turns[-1]
        yield f"<p>Conversations have {few} to {many} turns, the median is {middle}.</p>"


def _kinds(pairs: Pairs) -> str:
    asked = len(pairs.questions)
    kinds = bars([(kind, count, asked) for kind, count in pairs.kinds.most_common()], "questions")
    about = "<p class='about'>By the English word that asks.</p>"
    return f"<div><h3>What questions ask</h3>{kinds}{about}</div>" if asked else ""


def _begins(what: str, texts: Counter[str]) -> str:
    shown = _repeated(texts, what.split()[0]) or "<p class='about'>No two begin alike.</p>"
    return f"<div><h3>How {what} begin</h3>{shown}</div>"


def _repeated(texts: Counter[str], what: str) -> str:
    """Those that came more than once, "" where none did."""
    whole = texts.total()
    most = [(text, count, whole) for text, count in texts.most_common(TOP) if count > 1]
    return bars(most, what) if most else ""


# Sources


def coverage(run: Run) -> Iterator[str]:
    sources = list(run.sources)
    if not sources:
        return
    yield partly(sum(source.chunks for source in sources), len(run.batch("chunks")), "chunks")
    yield f"<p>{_covered(sources)}</p>"
    if len(sources) > TOP:
        yield f"<p class='about'>The {TOP} of {number(len(sources))} sources with the smallest shares</p>"
        sources = sorted(sources, key=lambda source: source.named / source.sentences)[:TOP]
    names = ["", "", "sentences used", "", "chunks with a pair"]
    body = "".join(map(_source, sources))
    ends = "<div class='ends'><span>beginning</span><span>middle</span><span>end of the text</span></div>"
    yield f"<table class='bars strips'>{head(names)}<tbody>{body}<tr class='ends-of'><td colspan='5'>{ends}</td></tr>"
    keys = {"plain": "used", "read": "looked at, not used", "blank": "not looked at"}
    shown = " ".join(f"<span class='key {style}'>{meaning}</span>" for style, meaning in keys.items())
    yield f"</tbody></table><p class='about keys'>{shown}</p>"


def _covered(sources: list[Source]) -> str:
    named, sentences = sum(s.named for s in sources), sum(s.sentences for s in sources)
    used, chunks = sum(s.used for s in sources), sum(s.chunks for s in sources)
    return (
        f"Pairs that were kept name {number(named)} of {counted(sentences, 'sentence')} "
        f"({percent(named, sentences)}) as their evidence; {number(used)} of {counted(chunks, 'chunk')} have a pair."
    )


def _source(source: Source) -> str:
    """Its shares, and below them where its used sentences lie."""
    parts = [(part.taken > 0, ceil(SHADES * part.named)) for part in source.parts(PARTS)]
    silent = (
        f"<p class='about'>No pair is about the stretch from {_stretch(source)}.</p>"
        if _is_silent(source)
        else ""
    )
    drawn = strip(f"The longest stretch that no pair is about is from {_stretch(source)} of the text", parts)
    return (
        f"<tr class='above'><th scope='row'>{inline(source.name)}</th>"
        f"<td class='drawn'>{bar([('plain', source.named)], source.sentences)}</td>"
        f"<td>{number(source.named)} of {number(source.sentences)}</td>"
        f"<td>{percent(source.named, source.sentences)}</td>"
        f"<td>{number(source.used)} of {number(source.chunks)}</td></tr>"
        f"<tr class='below'><td colspan='5'>{drawn}{silent}</td></tr>"
    )


# Characters


def characters(run: Run) -> Iterator[str]:
    talks = run.talks
    cast = talks.names.total()
    if not cast:
        return
    yield partly(len(talks.lengths), talks.total, "conversations")
    yield f"<p>{counted(cast, 'character')} with {counted(len(talks.names), 'name')}.</p>"
    if repeated := _repeated(talks.names, "characters"):
        yield f"<h3>Names that came more than once</h3>{repeated}"
    if talks.traits:
        yield "<h3>What they were drawn from</h3><p class='about'>By traits.yaml as it is now.</p>"
        drawn = "".join(_axis(axis, values) for axis, values in talks.traits.items())
        yield f"<div class='figures'>{drawn}</div>"
        each = (f"<h3>{inline(axis)}</h3>{_values(values)}" for axis, values in talks.traits.items())
        yield fold("How often each was drawn", "".join(each))


def _axis(axis: str, values: Counter[str]) -> str:
    drawn = sum(count > 0 for count in values.values())
    [(most, count)] = values.most_common(1)
    says = f"{drawn} of {len(values)} drawn, most often: {most} ({count} of {values.total()})"
    return columns(axis, says, list(values.values()))


def _values(values: Counter[str]) -> str:
    return table((), [(value, count) for value, count in values.most_common()])
