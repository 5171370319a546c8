"""report.html: what a run came to, on one page that a person shows to a colleague.

    write(folder, Run("first", wb.status(), store.usage(), wb.config))     # folder/report.html

The page is one file without scripts and outside links; it opens from the disk, in light and dark, on a phone and on
paper. Whatever it shows of texts and models is escaped and cut; no key is on it. The same run gives the same bytes.
"""

from __future__ import annotations

import html
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from . import figures, page_texts
from .batch import Batch
from .config import SETTINGS, Secret
from .detail import label, title
from .figures import Reason, Run, Votes
from .files import write_once, write_whole
from .markup import (
    SHORT,
    bar,
    block,
    counted,
    fold,
    head,
    inline,
    number,
    partly,
    percent,
    row,
    section,
    table,
    words,
)
from .records import Chunk, Conversation, Group, Pair, chunk_of, content_key, pairs_of
from .spread import sample
from .store import Store

NAME = "report.html"
FORM = 2  # of the page; with another number it is written anew
STYLE = Path(__file__).parent / "widgets" / "static" / "report.css"
SAMPLED = 20  # conversations that are shown
TOP = 10  # reasons of a step
WORST = 3  # steps
UNUSABLE = 0.1  # of the calls: worth a look
LEAST_KEY = 8  # characters of a key that is looked for; a local server's "none" is no secret
STATUSES = ("kept", "rejected", "failed", "pending")
AGREEMENT = {
    "unanimous": "plain",
    "split": "failed",
    "undecided": "pending",
}  # after the colours that they have


def write(folder: Path, run: Run, store: Store | None = None) -> Path:
    """Write the page into `folder` and give it. A `store` remembers what it was written from."""
    file = folder / NAME
    write_once(store, NAME, _stamp(run), [file], lambda: write_whole(file, html_of(run)))
    return file


def _stamp(run: Run) -> str:
    """Another one when anything that the page shows has changed; "" where that would take looking at all."""
    if not all(batch.stamp for batch in run.batches):
        return ""
    steps = [[batch.name, batch.stamp, batch.notes] for batch in run.batches]
    rest = [[*map(dict, run.usage)], _safe(run.settings), run.name, run.ended]
    made_of = [dict(run.traits.axes), dict(run.lengths)]
    return content_key(FORM, STYLE.read_text(encoding="utf-8"), steps, rest, made_of)


def html_of(run: Run) -> Iterator[str]:
    """The page, in parts."""
    keys = [key for key in run.settings.values() if isinstance(key, Secret) and len(key) >= LEAST_KEY]
    for part in _parts(run):
        for key in keys:  # a server may have quoted it in what became a reason
            part = part.replace(html.escape(key), "***")
        yield part


def _parts(run: Run) -> Iterator[str]:
    sample, sampled = _sampled(run)
    sections: dict[str, tuple[str, Iterator[str], str]] = {
        "look": ("What to look at first", _striking(run), "Nothing stands out."),
        "steps": ("What each step let through", _steps(run), ""),
        "reasons": ("Why items were lost", _reasons(run), "No step lost anything."),
        "votes": ("How votes agreed", _votes(run), "No votes were taken."),
        "calls": ("Calls", _calls(run), "No calls were made."),
        "people": (
            "What people did",
            _acts(run),
            "Nobody has edited, accepted, rejected or flagged anything.",
        ),
        "texts": ("The texts made", page_texts.texts(run), "Nothing was kept."),
        "coverage": ("What of the texts was used", page_texts.coverage(run), "There are no chunks."),
        "characters": ("Characters", page_texts.characters(run), "No conversation has a character."),
        "settings": ("Settings", _settings(run.settings), ""),
        "sample": (sample, sampled, ""),
    }
    yield _HEAD.format(title=words(run.name[:SHORT]), style=STYLE.read_text(encoding="utf-8"))
    links = " ".join(f"<a href='#{place}'>{place.capitalize()}</a>" for place in sections)
    yield f"{_opening(run)}<nav>{links}</nav></header>\n"
    for place, (heading, parts, nothing) in sections.items():
        yield from section(place, heading, parts, nothing)
    yield "</main></body></html>\n"


_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style></head><body><main>
"""


def _opening(run: Run) -> str:
    models = Counter[str]()
    for use in run.usage:
        models[use["model"]] += use["calls"]
    by = ", ".join(f"{inline(_file(model))} ({counted(calls, 'call')})" for model, calls in models.items())
    when = time.strftime("Last call %Y-%m-%d %H:%M UTC", time.gmtime(run.ended)) if run.ended else ""
    about = " \u00b7 ".join(filter(None, (when, by and f"made by {by}")))
    lead = f"<p class='lead'>{_headline(run)}</p><p class='about'>{about}</p>"
    return f"<header><p class='about'>Gristmill, the run</p><h1>{inline(run.name)}</h1>{lead}"


def _headline(run: Run) -> str:
    chunks, pairs, talks = run.batch("chunks"), run.batch("distinct"), run.batch("converse")
    made = counted(len(pairs), "pair")
    if not run.settings.get("SKIP.CONVERSATION_GENERATION"):
        made += f" and {counted(len(talks), 'conversation')}"
    of = f" of {counted(len(run.sources), 'source')}" if run.knows_sources else ""
    prompt = run.used("prompt_tokens")
    bought = f"{counted(run.used('calls'), 'call')}, {counted(prompt, 'prompt token')}"
    share = f", {percent(run.used('cached_tokens'), prompt)} from the cache" if prompt else ""
    return f"{made} from {counted(len(chunks), 'chunk')}{of}; {bought}{share}."


def _file(model: str) -> str:
    return model.rsplit("/", 1)[-1]


# What to look at


def _striking(run: Run) -> Iterator[str]:
    found = [*_losses(run), *_left(run), *page_texts.sameness(run)]
    if found:
        yield f"<ul class='look'>{''.join(f'<li>{line}</li>' for line in found)}</ul>"


def _losses(run: Run) -> Iterator[str]:
    """The steps that lost the largest shares."""
    for batch in sorted(filter(_lost, run.batches), key=lambda b: -_lost(b) / _done(b))[:WORST]:
        most = next(
            (f", most often for: {inline(reason.name)}" for reason in run.looked[batch.name].reasons), ""
        )
        share = f"{number(_lost(batch))} of {counted(_done(batch), 'item')} ({percent(_lost(batch), _done(batch))})"
        yield f"<b>{batch.name}</b> lost {share}{most}"
    unusable, calls = run.used("unusable"), run.used("calls")
    if unusable > UNUSABLE * calls:
        yield f"{number(unusable)} of {counted(calls, 'call')} gave an answer that could not be used"


def _lost(batch: Batch) -> int:
    return batch.ledger.rejected + batch.ledger.failed


def _done(batch: Batch) -> int:
    return batch.ledger.total - batch.ledger.pending


def _left(run: Run) -> Iterator[str]:
    for batch in run.batches:
        if failed := batch.ledger.failed:
            yield f"<b>{batch.name}</b>: {counted(failed, 'item')} failed and will be tried again when it is run again"
        if pending := batch.ledger.pending:
            yield f"<b>{batch.name}</b>: {counted(pending, 'item')} still to do"
        yield from (f"<b>{batch.name}</b>: {inline(note)}" for note in batch.notes)


# Steps


def _steps(run: Run) -> Iterator[str]:
    most = max((batch.ledger.total for batch in run.batches), default=0)
    keys = [f"<span class='key {status}'>{status}</span>" for status in STATUSES]
    yield f"<div class='wide'><table class='numbers'>{head(['step', 'in', *keys, 'makes'])}<tbody>"
    for batch in run.batches:
        counts = [getattr(batch.ledger, status) for status in STATUSES]
        yield row([batch.name, batch.ledger.total, *counts, len(batch)], "above")
        drawn = bar(zip(STATUSES, counts, strict=True), most)
        yield f"<tr class='below'><td colspan='7'>{drawn}</td></tr>"
    yield "</tbody></table></div>"


def _reasons(run: Run) -> Iterator[str]:
    for batch in run.batches:
        looked = run.looked[batch.name]
        if not looked.reasons:
            continue
        yield f"<h3>{batch.name}</h3>{partly(looked.seen, len(batch.items), 'items')}<table class='words'><tbody>"
        yield from (_reason(batch, reason) for reason in looked.reasons[:TOP])
        yield "</tbody></table>"
        if rest := looked.reasons[TOP:]:
            items = counted(sum(reason.count for reason in rest), "item")
            yield f"<p class='about'>and {counted(len(rest), 'other reason')} for {items}</p>"


def _reason(batch: Batch, reason: Reason) -> str:
    """The reason with an example: what was lost, and what was said of it."""
    item = batch.items[reason.first]
    record = (*item.outcome.records, item.input)[0]
    lost = chunk_of(record).text if isinstance(record, Chunk | Group) else title(record)
    kind, _, rest = item.outcome.reason.partition(": ")
    said = "" if reason.name in (figures.BY_HAND, item.outcome.reason) else rest or kind
    name = f"<p><span class='key {reason.status}'>{inline(reason.name)}</span></p>"
    example = block(lost, "example", SHORT) + block(said, "about", SHORT)
    return f"<tr><th scope='row'>{number(reason.count)}</th><td>{name}{example}</td></tr>"


def _votes(run: Run) -> Iterator[str]:
    voted = [(batch, run.looked[batch.name]) for batch in run.batches if run.looked[batch.name].votes]
    if not voted:
        return
    yield from (partly(own.seen, len(batch.items), f"items of {batch.name}") for batch, own in voted)
    keys = [f"<span class='key {style}'>{name}</span>" for name, style in AGREEMENT.items()]
    names = ["check", "verdicts", *keys, "passed", "votes each"]
    yield f"<div class='wide'><table class='numbers'>{head(names)}<tbody>"
    for batch, own in voted:
        yield from (_vote(f"{batch.name}: {label(check)}", votes) for check, votes in own.votes.items())
    yield "</tbody></table></div>"


def _vote(name: str, own: Votes) -> str:
    """The numbers of a check, and below them how its verdicts came about."""
    each = f"{own.votes / max(1, own.total - own.undecided):.1f}"
    counts = [own.unanimous, own.split, own.undecided]
    drawn = bar(zip(AGREEMENT.values(), counts, strict=True), own.total)
    cells = row([name, own.total, *counts, percent(own.passed, own.total), each], "above")
    return f"{cells}<tr class='below'><td colspan='7'>{drawn}</td></tr>"


# Calls and people


def _calls(run: Run) -> Iterator[str]:
    if not run.usage:
        return
    several = len({use["model"] for use in run.usage}) > 1
    priced = any(use["cost"] for use in run.usage)
    total = {name: run.used(name) for name in run.usage[0] if name not in ("stage", "model")}
    rows = [_use(use, several, priced) for use in [*run.usage, {"stage": "all", "model": "", **total}]]
    names = ["stage", *["model"] * several, "calls", "unusable", "prompt tokens", "cached", "written tokens"]
    yield table([*names, "seconds", *["cost"] * priced], rows, "numbers summed")
    yield "<p class='about'>The seconds of calls that ran at once are added up.</p>"


def _use(use: Mapping[str, Any], several: bool, priced: bool) -> list[Any]:
    model = [_file(use["model"])] if several else []
    cached = percent(use["cached_tokens"], use["prompt_tokens"])
    cost = [f"{use['cost']:,.4f}"] if priced else []
    counts = (use["calls"], use["unusable"], use["prompt_tokens"], cached, use["completion_tokens"])
    return [use["stage"], *model, *counts, f"{use['seconds']:,.1f}", *cost]


def _acts(run: Run) -> Iterator[str]:
    rows = []
    for batch in run.batches:
        overlay, rulings = batch.overlay, Counter(batch.overlay.ruling.values())
        if overlay.keys:
            counts = (len(overlay.edits), rulings["accept"], rulings["reject"], len(overlay.flags))
            rows.append((batch.name, *counts))
    if rows:
        yield table(("step", "edited", "accepted", "rejected", "flagged"), rows)


# Settings


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    usual = {setting.name: setting.default for setting in SETTINGS}
    safe = _safe(settings)
    changed = [(name, _written(value)) for name, value in safe.items() if value != usual.get(name)]
    rest = [(name, _written(value)) for name, value in safe.items() if value == usual.get(name)]
    yield "<p class='about'>Keys are never shown.</p>"
    if changed:
        yield table((), changed, "named")
    yield fold(f"{counted(len(rest), 'setting')} as they usually are", table((), rest, "named"))


def _written(value: Any) -> str:
    """As config.yaml has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _safe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without keys, nor what an address may have of them."""
    secret = {setting.name for setting in SETTINGS if setting.kind is Secret}
    own = {n: v for n, v in settings.items() if n not in secret and not isinstance(v, Secret)}
    return {name: _address(value) if name.endswith("_URL") else value for name, value in own.items()}


def _address(url: str) -> str:
    return re.sub(r"//[^/\s]*@", "//", url).partition("?")[0]


# The sample


def _sampled(run: Run) -> tuple[str, Iterator[str]]:
    """The heading and what stands under it."""
    talks, pairs = run.batch("converse").passing, run.batch("distinct").passing
    if talks:
        chosen = enumerate(sample(talks, SAMPLED), 1)
        return _some(len(talks), "conversation"), (_conversation(n, talk) for n, talk in chosen)
    chosen = enumerate(sample(pairs, SAMPLED), 1)
    why = f"<p>There are no conversations: {_why_none(run)}</p>"
    return _some(len(pairs), "pair"), chain([why], (_lone(n, pair) for n, pair in chosen))


def _some(count: int, noun: str) -> str:
    return f"{SAMPLED} of {counted(count, noun)}" if count > SAMPLED else counted(count, noun)


def _why_none(run: Run) -> str:
    ledger = run.batch("converse").ledger
    if run.settings.get("SKIP.CONVERSATION_GENERATION"):
        return "the configuration skips them (SKIP.CONVERSATION_GENERATION)."
    if not ledger.total:
        return "nothing came as far as the step that writes them."
    most = next((f"; most often: {inline(reason.name)}" for reason in run.looked["converse"].reasons), "")
    return f"converse let none through ({ledger}){most}."


def _conversation(place: int, talk: Conversation) -> str:
    cast = talk.cast
    stage = block(cast.card) + block(cast.scenario)
    folded = fold("Character and scenario", stage) if stage else ""
    turns = "".join(_turn(turn.speaker, turn.text) for turn in talk.turns)
    pairs = "".join(
        fold(f"Pair: {inline(pair.question)}", f"{block(pair.answer)}{_quoted(pair)}")
        for pair in pairs_of(talk)
    )
    return _article(place, talk, f"{folded}{turns}{pairs}")


def _lone(place: int, pair: Pair) -> str:
    turns = _turn("Question", pair.question) + _turn("Answer", pair.answer)
    return _article(place, pair, turns + fold("What the text says", _quoted(pair)))


def _article(place: int, record: Any, content: str) -> str:
    return f"<article><h3>{place} <small>{inline(chunk_of(record).source)}</small></h3>{content}</article>\n"


def _turn(speaker: str, said: str) -> str:
    return f"<div class='turn'><b>{inline(speaker)}</b><div>{block(said)}</div></div>"


def _quoted(pair: Pair) -> str:
    """The sentences that prove the pair, and where they stand."""
    sentences = [pair.chunk.sentences[n - 1] for n in pair.evidence]
    if not sentences:
        return "<p class='about'>It names no sentence of its text.</p>"
    place = f"characters {number(sentences[0].start)} to {number(sentences[-1].end)}"
    source = f"<p class='about'>{inline(pair.chunk.source)}, {place}</p>"
    return f"<blockquote>{block(pair.proof)}{source}</blockquote>"
