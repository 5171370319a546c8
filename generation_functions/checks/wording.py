"""Words as the checks compare them: one form for what reads the same, stems for what means nearly the same.

    normal("\u201cIt\u2019s\n a  trap\u201d")                  # '"it\'s a trap"'
    stems("The salted meats kept.")               # {"salt", "meat", "kept"}
    missing({"norwegian", "whale"}, {"norway"})   # {"whale"}

Stems and lists of words are English; what they are asked about texts in other languages, the callers know. A chunk is
asked about again with every pair of its own, so what is read from a text is kept for a while.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache, lru_cache

TEXTS = 1024  # whose words are kept
WORD = re.compile(r"[^\W_]+(?:['\u2019-][^\W_]+)*")

_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2013\u2014\u2212", "''\"\"-----")


@lru_cache(TEXTS)
def normal(text: str) -> str:
    """One form for what reads the same: quotes, dashes, case and white space do not count."""
    text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    return " ".join(text.casefold().split())


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"'\u201d\u2019)\]]*\s+|\n+")


@lru_cache(TEXTS)
def sentences(text: str) -> tuple[str, ...]:
    """Roughly: at full stops and line ends."""
    return tuple(part.strip() for part in _SENTENCE_END.split(text) if part.strip())


@lru_cache(TEXTS)
def words(text: str) -> tuple[str, ...]:
    """The words in their normal form, "Nansen's" as "nansen"."""
    return tuple(word.removesuffix("'s") for word in WORD.findall(normal(text)))


_PART = re.compile(r"[^\W_]+(?:['\u2019](?:s|t|re|ve|ll|d|m)\b)?")


@lru_cache(TEXTS)
def parts(text: str) -> tuple[str, ...]:
    """The same, and those of hyphened words each for itself."""
    return tuple(word.removesuffix("'s") for word in _PART.findall(normal(text)))


@lru_cache(TEXTS)
def capitalised(text: str) -> tuple[tuple[str, bool], ...]:
    """The words with a capital, as they stand, and whether they begin a sentence, a line or a quotation."""
    found = (match for match in WORD.finditer(text) if any(letter.isupper() for letter in match[0]))
    return tuple((match[0], begins_there(text, match.start())) for match in found)


def begins_there(text: str, at: int) -> bool:
    """Whether a word there begins a sentence, a line or a quotation."""
    before = text[max(0, at - 20) : at].rstrip(" \"'\u201c\u2018([_")
    return not before or before[-1] in ".!?:\n-\u2013\u2014\u2022*)]\u201d\u2026"


# Stems

STOP_WORDS = frozenset(
    """a an the of in on at to for from by with about and or nor is are was were be been being am do does
    did doing done have has had having what which who whom whose how why when where it its they them
    their theirs this that these those as into onto upon than then there here he him his she her hers you
    your we our us i me my one ones if so such can could will would shall should may might must not no
    yes also only just very too any some each every all both either neither but because while although
    though during through under over between within after before per via out up down off own same other
    another more most much many less least few""".split()
)
ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_NUMBER_WORDS = frozenset([*ONES, *TENS, "hundred", "thousand", "million", "billion", "trillion", "dozen"])


@lru_cache(TEXTS)
def stems(text: str) -> frozenset[str]:
    """The stems of all words that carry meaning, numbers left out."""
    told = set(parts(text)) - STOP_WORDS - _NUMBER_WORDS
    return frozenset(stem(word) for word in told if not word[0].isdigit())


@lru_cache(65536)
def stem(word: str) -> str:
    """Snowball's, for a word in its normal form."""
    return str(_stemmer()(word))


@cache
def _stemmer() -> Callable[[str], str]:
    # Imported here because it takes 0.4 s and most commands stem nothing.
    from nltk.stem.snowball import SnowballStemmer

    stemmed: Callable[[str], str] = SnowballStemmer("english").stem
    return stemmed


# Families of words

# What words of one family have in common from their beginnings: "Norway" and "Norwegian", not "contain", "continent".
RELATED_SHARE = 2 / 3  # of the shorter word
RELATED_LETTERS = 4  # at the least
LONGEST = 40  # letters of a word that has a family
# Adjectives of peoples that do not begin like their country.
PEOPLES = {
    name: frozenset(countries.split())
    for name, countries in {
        "dutch": "netherlands holland",
        "french": "france",
        "danish": "denmark dane",
        "dane": "denmark",
        "spanish": "spain spaniard",
        "spaniard": "spain",
        "swiss": "switzerland",
        "welsh": "wales",
        "irish": "ireland",
        "polish": "poland",
        "pole": "poland",
        "finnish": "finland finn",
        "chinese": "china",
        "roman": "rome",
        "martian": "mars",
        "british": "britain england uk",
        "english": "england",
        "scot": "scotland",
        "greek": "greece",
        "norse": "norway norseman",
        "russian": "russia ussr",
        "american": "america usa states",
        "portuguese": "portugal",
        "athenian": "athens",
        "venetian": "venice",
        "parisian": "paris",
        "neapolitan": "naples",
        "genoese": "genoa",
        "muscovite": "moscow",
        "mancunian": "manchester",
        "siamese": "siam thailand",
        "filipino": "philippines",
        "turk": "turkey ottoman",
        "ottoman": "turkey",
        "persian": "persia iran",
        "soviet": "ussr russia",
    }.items()
}


def missing(wanted: Iterable[str], among: Collection[str]) -> set[str]:
    """Those that are not among the others, nor of a family with any: "acidity" and "acidic", "Dutch" and "Holland"."""
    left = {word for word in wanted if word not in among}
    if not left:
        return left
    families = _families(frozenset(among))
    return {word for word in left if not any(families.have(form) for form in _forms(word))}


def share_known(wanted: Collection[str], among: Collection[str]) -> float:
    """How much of the one is in the other, from 0 to 1; 1 for nothing."""
    return 1 - len(missing(wanted, among)) / len(wanted) if wanted else 1.0


def _forms(word: str) -> tuple[str, ...]:
    """A word, and the countries or peoples that it may stand for."""
    return (word, *PEOPLES.get(word, PEOPLES.get(word.removesuffix("s"), ())))


@dataclass(frozen=True, slots=True)
class _Families:
    """Words, and the lengths of the shortest ones that begin so: {"norw": 6, "norwa": 6, "norway": 6}."""

    words: frozenset[str]
    shortest: dict[str, int]

    def have(self, word: str) -> bool:
        if word in self.words:
            return True
        for letters in range(RELATED_LETTERS, min(len(word), LONGEST) + 1):
            shortest = self.shortest.get(word[:letters])
            if shortest is None:
                return False
            if letters >= RELATED_SHARE * min(len(word), shortest):
                return True
        return False


@lru_cache(TEXTS)
def _families(words: frozenset[str]) -> _Families:
    """Looked up by their beginnings, as each word held against each other takes a long text seconds."""
    shortest: dict[str, int] = {}
    for word in words:
        for letters in range(RELATED_LETTERS, min(len(word), LONGEST) + 1):
            beginning = word[:letters]
            shortest[beginning] = min(len(word), shortest.get(beginning, len(word)))
    countries = (country for word in words for country in PEOPLES.get(word, ()))
    return _Families(words.union(countries), shortest)
