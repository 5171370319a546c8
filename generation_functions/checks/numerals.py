"""Numbers as prose writes them, in digits and in words: a text's tokens, and the number that begins at one of them.

    tokens = tokens_of("Two and a half tons, not 1,250.")
    number_at(tokens, 0)    # Number(end=4, values=(2.5,))
    number_at(tokens, 7)    # Number(end=8, values=(1250.0,))

It knows thousands marks, decimals, fractions, ordinals, "eighteen sixty-nine", "a dozen", "twofold"; nothing of units,
but that in "every tonne" there is one of it. English.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from .units import UNITS, singular
from .wording import ONES, TENS

_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth "
    "sixteenth seventeenth eighteenth nineteenth"
).split()
CARDINALS = {word: n for n, word in enumerate(ONES)} | {word: 10 * n for n, word in enumerate(TENS, 2)}
ORDINALS = (
    {word: n for n, word in enumerate(_ORDINALS, 1)}
    | {f"{word[:-1]}ieth": 10 * n for n, word in enumerate(TENS, 2)}
    | {"hundredth": 100, "thousandth": 1000}
)
DECADES = {f"{word[:-1]}ies": 10 * n for n, word in enumerate(TENS, 2)}
SCALES = {
    "dozen": 12,
    "score": 20,
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
FRACTIONS = {"half": 0.5, "halve": 0.5, "quarter": 0.25} | {
    word: 1 / n for word, n in ORDINALS.items() if n > 2
}
GLYPHS = {
    "\u00bd": 0.5,
    "\u00bc": 0.25,
    "\u00be": 0.75,
    "\u2153": 1 / 3,
    "\u2154": 2 / 3,
    "\u2155": 0.2,
    "\u215b": 0.125,
}
MULTIPLES = (
    dict.fromkeys("halved halving".split(), 0.5)
    | dict.fromkeys("twice double doubled doubling twofold".split(), 2)
    | dict.fromkeys("thrice triple tripled treble threefold".split(), 3)
    | dict.fromkeys("quadrupled fourfold".split(), 4)
    | {"tenfold": 10}
)
EACH = frozenset("a an one every each per the another full".split())
HYPHENS = "-\u2010\u2011"
HUGE = 1e30  # no "million" makes more of a number


# A literal is compared as it is written: dates in digits, times of day, versions, more digits than a float has.
_TOKEN = re.compile(
    r"(?P<literal>\d+(?:[.:/]\d+){2,}|\d{1,2}:\d\d|(?<![\w.])v?\d+(?:\.[x\d]+){2,}|\d{16,})"
    r"|(?P<fraction>\d{1,15}/\d{1,15})(?![\d/])"
    r"|(?P<digits>\d{1,3}(?:[,\u00a0\u202f]\d{3}){1,5}(?:\.\d+)?(?!\d)|\d*[.\u00b7]?\d+)"
    rf"|(?P<glyph>[{''.join(GLYPHS)}])"
    r"|(?P<unit>\u00b0\s?[CFKcfk]?(?![^\W\d_])|(?i:per[ -]?cent)\b|(?i:per mille)|[%\u2030$\u00a3\u20ac]"
    r"|km/h|m/s|(?i:m\.p\.h))"
    r"|(?P<word>[^\W\d_]+)|(?P<other>\S)"
)


class Token(NamedTuple):
    """A word, a sign, digits or a unit; `word` is its text in lower case, "" where it is none."""

    text: str
    kind: str
    start: int
    end: int
    word: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Those of a text; past its end there are words that are empty."""

    text: str
    all: list[Token]

    def word(self, at: int) -> str:
        return self.all[at].word if at < len(self.all) else ""

    def is_hyphen(self, at: int) -> bool:
        return at < len(self.all) and self.all[at].text in HYPHENS

    def touch(self, at: int) -> bool:
        """Whether there is nothing between a token and the one before it."""
        return 0 < at < len(self.all) and self.all[at - 1].end == self.all[at].start

    def said(self, start: int, end: int) -> str:
        """The text from one token to before another, on one line."""
        return " ".join(self.text[self.all[start].start : self.all[end - 1].end].split())


def tokens_of(text: str) -> Tokens:
    return Tokens(text, [_token(found) for found in _TOKEN.finditer(text)])


def _token(found: re.Match[str]) -> Token:
    kind = str(found.lastgroup)
    return Token(found[0], kind, found.start(), found.end(), found[0].lower() if kind == "word" else "")


_BEGIN = frozenset((*CARDINALS, *SCALES, *ORDINALS, *MULTIPLES, *EACH, "half", "halves"))


def may_begin(token: Token) -> bool:
    """Whether a number may begin with a token; most tokens are spared a closer look."""
    return token.word in _BEGIN if token.word else token.kind in ("digits", "fraction", "glyph", "literal")


class Number(NamedTuple):
    """Where a number ends and its readings: "a third" may be a part or a place."""

    end: int
    values: tuple[float, ...]
    is_ordinal: bool = False


def number_at(tokens: Tokens, at: int) -> Number | None:
    """The number that begins there; decades and centuries are none, as they have no one value."""
    token = tokens.all[at]
    if token.kind in ("digits", "fraction", "glyph"):
        return _in_digits(tokens, at)
    following = singular(tokens.word(at + 1))
    if token.word in ("a", "an", "one", "the") and (following in FRACTIONS or following in _COUNTED_BY):
        return _one_of(tokens, at, following)
    if token.word in EACH and following in UNITS:  # "every tonne", "a day"
        return Number(at + 1, (1.0,))
    if token.word in MULTIPLES:
        return Number(at + 1, (float(MULTIPLES[token.word]),))
    if token.word in ("half", "halves"):
        return Number(at + 1, (0.5,))
    if token.word in CARDINALS or token.word in SCALES:
        return _in_words(tokens, at)
    if ORDINALS.get(token.word, 0) > 2:  # the first and the second are seldom meant as numbers
        return Number(at + 1, (float(ORDINALS[token.word]), FRACTIONS[token.word]), is_ordinal=True)
    return None


_COUNTED_BY = frozenset("hundred thousand million billion dozen".split())  # "a hundred", but seldom "a score"


def _in_digits(tokens: Tokens, at: int) -> Number:
    """ "2 1/2", "1.5 million"."""
    value, end = _value(tokens.all[at]), at + 1
    following = tokens.all[end] if end < len(tokens.all) else None
    if following and following.kind in ("fraction", "glyph") and value >= 1:
        value, end = value + _value(following), end + 1
    if tokens.all[at].kind != "fraction":
        while (scale := SCALES.get(tokens.word(end).removesuffix("s"))) and value < HUGE:
            value, end = value * scale, end + 1
    return with_half(tokens, end, value)


def _value(token: Token) -> float:
    if token.kind == "glyph":
        return GLYPHS[token.text]
    if token.kind == "fraction":
        above, below = token.text.split("/")
        return int(above) / (int(below) or 1)
    return float(re.sub("[,\u00a0\u202f]", "", token.text).replace("\u00b7", "."))


def _one_of(tokens: Tokens, at: int, part: str) -> Number:
    """ "a third", "one hundred and five"."""
    if part in SCALES:
        return with_half(tokens, *_spelled(tokens, at if tokens.word(at) == "one" else at + 1))
    if part in ORDINALS:
        return Number(at + 2, (float(ORDINALS[part]), FRACTIONS[part]), is_ordinal=True)
    return Number(at + 2, (FRACTIONS[part],))


def _in_words(tokens: Tokens, at: int) -> Number:
    """ "two thirds", "twenty-first", "two hundred and a half"."""
    end, value = _spelled(tokens, at)
    part = singular(tokens.word(end))
    if part in FRACTIONS and value < 20:
        return Number(end + 1, (value * FRACTIONS[part],))
    place = end + tokens.is_hyphen(end)
    ordinal = ORDINALS.get(tokens.word(place), 0)
    if 0 < ordinal < 10 and value >= 20 and value % 10 == 0:
        return Number(place + 1, (value + ordinal,), is_ordinal=True)
    return with_half(tokens, end, value)


def _spelled(tokens: Tokens, at: int) -> tuple[int, float]:
    """Where a number in words ends and its value: "one hundred and five", "eighteen sixty-nine", "nineteen hundred"."""
    total, current, end, last = 0.0, 0.0, at, ""
    while end < len(tokens.all) and max(total, current) < HUGE:
        word, scale = tokens.word(end), tokens.word(end).removesuffix("s")
        if _joins(tokens, end, last):
            end += 1
        elif word in CARDINALS:
            value = CARDINALS[word]
            if last in CARDINALS and not (CARDINALS[last] >= 20 and value < 10):
                if not (10 <= current < 100 and value >= 10):
                    break
                current *= 100  # "eighteen sixty-nine"
            current, last, end = current + value, word, end + 1
        elif scale in SCALES and (last or end == at):
            current = (current or 1) * SCALES[scale]
            if SCALES[scale] >= 1000:
                total, current = total + current, 0.0
            last, end = scale, end + 1
        else:
            break
    return end, total + current


def _joins(tokens: Tokens, at: int, last: str) -> bool:
    """Whether a token goes between two words of one number: "sixty-nine", "hundred and five"."""
    following = tokens.word(at + 1)
    if tokens.is_hyphen(at):
        return last in CARDINALS and 0 <= CARDINALS.get(following, 10) < 10
    return tokens.word(at) == "and" and last in SCALES and (following in CARDINALS or following in ORDINALS)


def with_half(tokens: Tokens, end: int, value: float) -> Number:
    """ "two and a half", "one and three quarters", "two and a half thousand"; also after a unit, "a day and a half"."""
    joint, count, part = (tokens.word(end + n) for n in range(3))
    if joint != "and" or count not in ("a", "one", "three") or singular(part) not in ("half", "quarter"):
        return Number(end, (value,))
    share = FRACTIONS[singular(part)] * (3 if count == "three" else 1)
    scale = SCALES.get(tokens.word(end + 3), 0)
    return Number(end + 3 + bool(scale), ((value + share) * (scale or 1),))
