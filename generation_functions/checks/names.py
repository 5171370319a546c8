"""Names of people, places and things, and terms like `fsync()`, H2O or NATO: which a text has, which are new to it.

    unknown_names("Nansen left Bergen.", "The ship of Nansen left Oslo.")        # ["Bergen"]
    unknown_names("The WHO said so.", "The World Health Organization said.")     # []

A name is known by its capital, and where a sentence begins a capital says nothing. English, as other languages have
other capitals.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from .units import UNITS
from .wording import WORD, begins_there, capitalised, missing, normal, parts, words

TITLE = 0.7  # share of a text's words with a capital from which it is a title
LEAST_TITLE = 5  # words of a text that can be one

# Capitals that are no names.
_NO_NAMES = frozenset(
    """i yes no mr mrs ms miss madam dr prof sir lord lady st saint king queen ok am pm ad bc ce bce celsius
    fahrenheit kelvin january february march april may june july august september october november
    december monday tuesday wednesday thursday friday saturday sunday god""".split()
)
_BEFORE = frozenset("non anti pre post ex mid half self all pro".split())
_NOT_OF_NAMES = _NO_NAMES | UNITS.keys()
_I = re.compile(r"I(?:['\u2019]\w+)?$")
_CODE = re.compile(
    r"(?<!\w)(?:[A-Za-z]+\d\w*|\d+[A-Za-z]+\d\w*|\w+_\w+|[a-z]+[A-Z]\w*|--?[a-z][\w-]+|\w+\(\))(?!\w)"
)
ROMAN = re.compile(  # to 89, and some hundreds
    r"(?<!\w)(?=[IVXLC]{2})(?:X[LC]|L?X{0,3}|C{1,3})(?:I[VX]|V?I{0,3})(?<=\w)(?!\w)"
)
_RUN = re.compile(r"\b[A-Z][\w\u2019'-]*(?:\s+(?:(?:of|the|de|von|van|du|la|le|and)\s+)?[A-Z][\w\u2019'-]*)*")
_STARTERS = frozenset(
    """the a an in on at it he she they his her its their this that these those yes no because by from to as
    when after before and under for near with only most some all both during since until according about
    around roughly""".split()
)


def unknown_names(said: str, *known: str) -> list[str]:
    """The names and codes of the one text that are not in the others."""
    told, coded = names(said), codes(said)
    there = _words_of(known) if told else frozenset()
    strange = [name for name in told if missing(_telling(name), there) and not _stands_in(name, known)]
    found = _without_initials(strange, "\n".join(known), said) if strange else []
    return found + [code for code in coded if not _stands_in(code, known)]


@lru_cache(maxsize=64)
def _words_of(texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(word for text in texts for word in (*parts(text), *words(text)))


def _stands_in(phrase: str, texts: Iterable[str]) -> bool:
    return any(normal(phrase) in normal(text) for text in texts)


def _telling(name: str) -> set[str]:
    """The parts of a name that others cannot do without: "Swedish" of "non-Swedish"."""
    return {
        part
        for part in parts(name)
        if part not in _BEFORE and not {part, part.removesuffix("s")} & _NOT_OF_NAMES
    }


def _without_initials(names: Iterable[str], known: str, said: str) -> list[str]:
    """Those that are not the initials of words of the text, nor words whose initials the text has."""
    initials = "".join(word[0] for word in parts(known))
    of_names = "".join(word[0] for word in parts(known) if word not in ("of", "the", "and", "for"))
    short = set(re.findall(r"\b[A-Z]{2,}\b", known))
    runs = (run[0] for run in _RUN.finditer(said))
    spelled_out = [run for run in runs if "".join(re.findall(r"([A-Z])\w*", run)) in short]

    def stands_for(name: str) -> bool:
        letters = re.sub(r"[^A-Za-z]", "", name)
        if ROMAN.fullmatch(letters):
            return False
        if len(letters) > 1 and letters.rstrip("s").isupper():
            return letters.rstrip("s").lower() in f"{initials} {of_names}"
        return any(name in run for run in spelled_out)

    return [name for name in names if not stands_for(name)]


def codes(text: str) -> list[str]:
    """`fsync()`, H2O, --force: in their normal form, without brackets and dashes."""
    found = (normal(code).strip("-()") for code in _CODE.findall(text))
    return [code for code in found if code not in UNITS]


@lru_cache(maxsize=1024)
def names(text: str) -> tuple[str, ...]:
    """Words with a capital that is not their sentence's; none where all words have one, as in a title."""
    inside = tuple(name for name, begins in capitalised(text) if not begins and not _I.match(name))
    return inside if len(inside) <= TITLE * max(LEAST_TITLE, len(WORD.findall(text))) else ()


def full_names(text: str, chunk: str) -> list[str]:
    """Names as wholes, "Carl Wilhelm Scheele"; a first word is part of one where the chunk has it inside a sentence."""
    known = {name for name, begins in capitalised(chunk) if not begins}
    found: list[str] = []
    for run in _RUN.finditer(text):
        first, _, rest = run[0].partition(" ")
        is_name = not begins_there(text, run.start()) or first in known
        if is_name or (rest and normal(first) not in _STARTERS):
            found.append(run[0])
        elif rest:
            found.append(rest)
    return [name for name in found if names(f"x {name}")]


def is_unknown(name: str, *known: str) -> bool:
    """Whether not a word of a whole name is in the texts."""
    alone = f"x {name}"  # where it does not begin a sentence
    return len(unknown_names(alone, *known)) == len(names(alone)) > 0
