"""The sentences of a plain text: its licence cut off, its paragraphs found in wrapped lines, long ones split.

Knows text and nothing else. A text as it comes, and its sentences (the last column: opens_paragraph):

    "CHAPTER I\\n\\nSalt draws the water\\nout of meat, e.g. of ham.  It cures."
    0   9   CHAPTER I                                      True
    11  57  Salt draws the water out of meat, e.g. of ham. True
    59  68  It cures.                                      False

Punkt (Kiss and Strunk, 2006) decides where a sentence ends; it learns from the text itself and
downloads nothing. Only white space is changed, so a sentence can always be found where it stood.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .records import Sentence

LONGEST_LICENCE = 30_000  # characters; Project Gutenberg's are below 20,000: more than this outside is text
TRAINING = (
    2_000_000  # characters of a text that Punkt learns from, 7 s of work; the rest would hardly add to it
)
WIDEST_WRAP = 160  # characters; nobody wraps wider, so a longer line is a paragraph of its own
WIDEST_PAGE = 100  # characters; a text of which a tenth of the lines is longer is taken as not wrapped at all
RARE = 3  # a short word that ends sentences looks like an abbreviation to Punkt until it is seen more often


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ABBREVIATIONS = _words(  # as they stand before a period; Punkt finds the text's own besides
    """abbr adj adm al anon approx apr apt assn assoc asst aug ave b.a b.c b.c.e a.d a.m p.m bldg blvd bros
    bzw c.e ca capt cent cf ch chap chs cmdr co col comdr corp cpl ct d.c d.h dec dept dist div dr e.g
    ed eds edn eq eqn eqs esp esq est etc excl ext feb ff fig figs ft gen gov govt hon hr hrs i.e ibid
    inc incl jan jr jul jun kg km lat lb lbs lieut lt ltd m.a m.d maj messrs mgr min mins misc mlle mm
    mme mr mrs ms mss mt mts n.b nos nov obs oct op orig oz ph.d pl pp pres proc prof pt pts pub publ
    pvt q.v qt resp rev rpm sc sec secs sep sept seq ser sgt soc sp sq sr st ste supp supt tel temp
    trans transl u.k u.n u.s u.s.a u.s.s.r univ usw viz vol vols vs wt yd yr yrs z.b"""
)
NEVER_LAST = _words(  # those that no sentence ends with
    """approx capt cf dr e.g eq eqs fig figs gov hon i.e lieut lt maj messrs mlle mme mr mrs ms pp prof rev
    sgt supt viz vs"""
)
OPENERS = _words(  # with a capital, after an abbreviation, these begin a sentence: "made by Acme Inc. It is"
    """although and another because but each every he her his how however if it its many most my one our she
    since some such that the their then there these they this those thus we what when where which
    while who why you your"""
)


def find_sentences(text: str, size: int) -> Iterator[Sentence]:
    """All sentences of `text` in order; one that is longer than `size` characters comes in pieces."""
    bodies = _without_licence(text)
    punkt = _learn("\n\n".join(text[start:end] for start, end in bodies))
    for start, end in bodies:
        blocks = list(_blocks(text, start, end))
        widths = sorted(len(line.text) for block in blocks for line in block)
        page = widths[len(widths) * 9 // 10] if widths else 0
        for block in blocks:
            for paragraph in _paragraphs(block, page):
                yield from _sentences_of(text, paragraph, punkt, size)


_LICENCE = re.compile(
    r"^[ \t]*(?:"
    r"(?P<head>\*{3} ?START OF TH(?:E|IS) PROJECT GUTENBERG[^*]{0,400}\*{3}|\*END\*? ?THE SMALL PRINT!)[^\n]*"
    r"(?:\s*(?:E-text prepared|Produced|Transcribed|This e-?text was (?:produced|prepared)) by[^\n]*"
    r"(?:\n[^\n]*\S[^\n]*)*)?"
    r"|\*{3} ?END OF TH(?:E|IS) PROJECT GUTENBERG[^*]{0,400}\*{3}|End of (?:the |this )?Project Gutenberg)",
    re.MULTILINE | re.IGNORECASE,
)


def _without_licence(text: str) -> list[tuple[int, int]]:
    """Start and end of what stands between Project Gutenberg's head and tail, for each book in the file."""
    marks = [(0, 0, "")]
    marks += [(m.start(), m.end(), "head" if m["head"] else "tail") for m in _LICENCE.finditer(text)]
    marks += [(len(text), len(text), "")]
    bodies = []
    for (_, start, before), (end, _, after) in pairwise(marks):
        is_licence = (before == "tail" or after == "head") and end - start <= LONGEST_LICENCE
        if not is_licence and text[start:end].strip():
            bodies.append((start, end))
    return bodies or [(0, len(text))]


_PLAIN = str.maketrans("“”«»„‘’_\xa0؟।۔", '"""""\'\'\' ?..')


def _plain(text: str) -> str:
    """As Punkt, also an older one, understands it: one character for one, so that offsets stay."""
    return text.translate(_PLAIN).replace("&c.", "ff.")


_BEFORE_PERIOD = re.compile(r"(?<![^\s(\[\"'“‘|—-])([^\s(\[\"'“‘|—-]{2,12})\.(?:(?=\s+(\S))|(?![^\W_]))")


def _learn(text: str) -> Any:
    """Punkt with what it learned from this text alone: abbreviations, collocations and sentence openers."""
    # Imported here because it takes 0.6 s and most commands split nothing.
    from nltk.tokenize.punkt import PunktSentenceTokenizer, PunktTrainer

    trainer = PunktTrainer()
    trainer.train("\n".join(_short_lines(_plain(text[:TRAINING]))))
    learned = trainer.get_params()
    # A single letter is an initial, for which Punkt has better rules than for abbreviations.
    seen: Counter[str] = Counter()
    for word, after in _BEFORE_PERIOD.findall(text):
        seen[word.lower()] += RARE if after.islower() else 1
    own = {word for word in learned.abbrev_types if len(word) > 1 and seen[word] >= RARE}
    learned.abbrev_types = own | ABBREVIATIONS
    learned.sent_starters |= OPENERS
    # Numbered headings teach it that "1. The" belongs together, and then "in 1906. The" does, too.
    learned.collocations = {pair for pair in learned.collocations if pair[0] != "##number##"}
    return PunktSentenceTokenizer(learned)


def _short_lines(text: str) -> Iterator[str]:
    """NLTK gives up on a line that takes it more than 5 s, so it gets 200 words a line at most."""
    for line in text.split("\n"):
        words = line.split(" ")
        yield from (" ".join(words[n : n + 200]) for n in range(0, len(words), 200))


# Paragraphs -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that is not blank, its indentation kept and its end trimmed, and where it starts."""

    start: int
    text: str

    @property
    def indent(self) -> int:
        return len(self.text) - len(self.text.lstrip())

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """From its first character to its last; `keeps_lines` where its line ends mean something."""

    start: int
    end: int
    keeps_lines: bool


def _blocks(text: str, start: int, end: int) -> Iterator[list[_Line]]:
    """The lines between blank lines."""
    block: list[_Line] = []
    for raw in text[start:end].split("\n"):
        if raw.strip():
            block.append(_Line(start, raw.rstrip()))
        elif block:
            yield block
            block = []
        start += len(raw) + 1
    if block:
        yield block


def _paragraphs(block: list[_Line], page: int) -> Iterator[_Paragraph]:
    """The list items, and in them the paragraphs, of a block; `page` is the width of the text's longer lines.

    A line end is a mere wrap where the next line's first word would not have fitted into the longest line.
    """
    width = max((len(line.text) for line in block if len(line.text) <= WIDEST_WRAP), default=1)
    bullets = Counter(_bullet(line) for line in block)
    sure = {b for b, n in bullets.items() if n > 2 or (n > 1 and b in (*"1*•　", _bullet(block[0])))} - {
        "",
        "a",
    }
    item_starts = [_starts_item(*lines, width, page, sure) for lines in pairwise(block)]
    for item in _split(block, item_starts):
        if _keeps_lines(item, width, page):
            yield _Paragraph(item[0].start + item[0].indent, item[-1].end, True)
            continue
        margin = Counter(line.indent for line in item).most_common(1)[0][0]
        starts = [_starts_paragraph(*lines, width, margin) for lines in pairwise(item)]
        for lines in _split(item, starts):
            yield _Paragraph(lines[0].start + lines[0].indent, lines[-1].end, False)


def _split(lines: list[_Line], is_start: list[bool]) -> Iterator[list[_Line]]:
    """`is_start` says of each line but the first whether a part begins with it."""
    cuts = [0, *(n for n, starts in enumerate(is_start, 1) if starts), len(lines)]
    return (lines[start:end] for start, end in pairwise(cuts))


def _filled(before: _Line, line: _Line, width: int) -> float:
    """How full `before` would be with the first word of `line`; a wrapped line would be fuller than 1.0."""
    found = _FIRST_WORD.match(line.text)
    return (len(before.text) + 1 + len(found[1] if found else "")) / width


def _starts_item(before: _Line, line: _Line, width: int, page: int, sure: set[str]) -> bool:
    """`sure` are the bullets that the block has more of: such a line is an item although it looks wrapped."""
    if max(len(before.text), len(line.text)) > WIDEST_WRAP or before.text.startswith("#"):
        return True
    if page > WIDEST_PAGE and width > 0.6 * WIDEST_PAGE and not _TABULAR.match(line.text):
        return True  # the text is not wrapped: each line is a paragraph
    bullet = _bullet(line)
    if _filled(before, line, width) > 1:
        return bullet in sure
    return bullet != "" and (
        bullet != "a" or _PAUSED.search(before.text) is not None
    )  # "A. Smith" is no item


def _starts_paragraph(before: _Line, line: _Line, width: int, margin: int) -> bool:
    filled = _filled(before, line, width)
    is_indented = line.indent >= margin + 2 > before.indent
    is_paused = _PAUSED.search(before.text) is not None
    return filled <= 0.6 or (filled <= 0.85 and is_paused) or (filled <= 1 and is_indented)


_TABULAR = re.compile(r"\s*[|+]|.*\S(?:\t|   )\s*\S|.*\|$")


def _keeps_lines(lines: list[_Line], width: int, page: int) -> bool:
    """Whether this is verse, a table, an address or code."""
    if len(lines) == 1:
        return False
    short = sum(_filled(*pair, width) <= 1 for pair in pairwise(lines)) / (len(lines) - 1)
    capitals = sum(line.text.lstrip(" \t\"'“‘_(")[:1].isupper() for line in lines) / len(lines)
    tabular = sum(bool(_TABULAR.match(line.text)) for line in lines) / len(lines)
    narrow = width / min(page, WIDEST_PAGE)
    if len(lines) == 2 and lines[1].text[0].islower() and narrow >= 0.6:
        return tabular > 0.5  # of two lines the longer one says little of how wide the page is
    is_verse = len(lines) > 2 and capitals >= 0.8 and (narrow < 0.8 or short >= 0.2)
    return is_verse or tabular > 0.5 or short >= 0.5 or narrow < 0.6


_PAUSED = re.compile(r"[.!?:;,。！？][)\]\"'”’»_*-]*$")
_BULLET = re.compile(r"(　)|\s*(?:(#+|[-+*•·‣◦–—])|[(\[]?(?:(\d{1,3})|[a-zA-Z]|[ivxIVX]{1,5})[.)\]])\s+\S")
_CJK = r"\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef"
_FIRST_WORD = re.compile(rf"\s*([{_CJK}]|\S+)")


def _bullet(line: _Line) -> str:
    """What the line opens: "1" or "a" for a number or letter, the bullet, an East Asian indent, or ""."""
    found = _BULLET.match(line.text)
    if not found:
        return ""
    indent, bullet, number = found.groups()
    return indent or bullet or ("1" if number else "a")


# Sentences of a paragraph -----------------------------------------------------------------------------------


def _sentences_of(text: str, paragraph: _Paragraph, punkt: Any, size: int) -> Iterator[Sentence]:
    opens = True
    for start, end in _spans(text, paragraph, punkt):
        shown = _with_lines(text, start, end) if paragraph.keeps_lines else _unwrapped(text[start:end])
        if len(shown) <= size:
            yield Sentence(shown, start, end, opens)
        else:
            yield from _pieces(shown, text, start, opens, size)
        opens = paragraph.keeps_lines  # between two sentences, records know a line end only as a paragraph's


_EAST_ASIAN_ENDS = "。！？｡」』）”’"
_EAST_ASIAN_STOP = re.compile(rf"[。！？｡][{_EAST_ASIAN_ENDS}]*")


def _spans(text: str, paragraph: _Paragraph, punkt: Any) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence: Punkt's, less its usual mistakes; whole lines where lines are kept."""
    begin = paragraph.start
    body = text[begin : paragraph.end]
    ends = [end for _, end in punkt.span_tokenize(_plain(body))]
    if _EAST_ASIAN_STOP.search(body):
        ends = sorted({*ends, *(found.end() for found in _EAST_ASIAN_STOP.finditer(body))})
    start = 0
    for end in ends:
        end = _NOTES.match(body, end).end()  # type: ignore[union-attr]
        after = _SPACE.match(body, end).end()  # type: ignore[union-attr]
        is_inside = (
            end <= start
            or after < len(body)
            and (
                (after == end and body[end - 1] not in _EAST_ASIAN_ENDS)
                or (paragraph.keeps_lines and "\n" not in body[end:after])
                or _goes_on(body[max(start, end - 20) : end], body[after : after + 2])
            )
        )
        if not is_inside:
            yield begin + start, begin + end
            start = after


_SPACE = re.compile(r"\s*")
_NOTES = re.compile(r"(?:(?:\[\w{1,4}\]|[*†‡])+(?=\s|$))?")  # footnote marks after the full stop
_LABEL = re.compile(r"\W*(?:\d{1,4}|[IVXLC]{1,7}|[A-Za-z])[.)\]]\W*")
_LAST_WORD = re.compile(r"([^\s(\[\"'“‘—-]+)\.$")
_INITIAL = re.compile(r"[^\W\d_]\.")


def _goes_on(before: str, after: str) -> bool:
    """Whether the sentence goes on although Punkt saw an end."""
    if _LABEL.fullmatch(before):  # "1. The Beginnings"
        return True
    if after[:1].islower() and not before.endswith("."):  # "What?" he said.
        return True
    found = _LAST_WORD.search(before)
    word = found[1] if found else ""
    if len(word) == 1 and word.isupper() and _INITIAL.fullmatch(after):  # "M. R. Kapoustin"
        return True
    if after[:1].isdigit() and (
        word.lower() in ("no", "nos") or (len(word) == 1 and word.islower())
    ):  # "p. 5"
        return True
    return word.lower() in NEVER_LAST


_WORD_CUT = re.compile(
    rf"(?<=\w-)[^\S\n]*\n\s*(?=\w)(?!(?:and|or|to|und|oder|bis)\b)|(?<=--)[^\S\n]*\n\s*(?=\w)"
    rf"|(?<=[{_CJK}])[^\S\n]*\n\s*(?=[{_CJK}])"
)


def _unwrapped(text: str) -> str:
    """On one line; "well-\\nknown" is "well-known"."""
    return " ".join(_WORD_CUT.sub("", text).split())


def _with_lines(text: str, start: int, end: int) -> str:
    """With its line ends, and each line indented as far as it is more than the first."""
    margin = text[text.rfind("\n", 0, start) + 1 : start]
    first, *others = text[start:end].split("\n")
    lines = [line[len(margin) :] if not line[: len(margin)].strip() else line.lstrip() for line in others]
    return "\n".join(line.rstrip() for line in [first, *lines])


def _pieces(shown: str, text: str, start: int, opens: bool, size: int) -> Iterator[Sentence]:
    """A sentence too long for a chunk, cut at line ends or words; a word too long is cut where it must be."""
    places = iter(re.compile(r"\S").finditer(text, start))
    at = 0
    while at < len(shown):
        cut = len(shown)
        if cut - at > size:
            cut = max(shown.rfind("\n", at + size // 2, at + size + 1), 0) or shown.rfind(
                " ", at + 1, at + size + 1
            )
            cut = cut if cut > at else at + size
        piece = shown[at:cut].rstrip()
        found = [next(places).start() for character in piece if not character.isspace()]
        yield Sentence(piece, found[0], found[-1] + 1, opens)
        opens = shown[cut : cut + 1] == "\n"
        at = _SPACE.match(shown, cut).end()  # type: ignore[union-attr]
