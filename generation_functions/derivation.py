"""The sentences of a grammar: one at random, all where they are few, and where a text stops being the beginning of one.

Works on rules as `gbnf` takes them apart. Along `verdict ::= "Relevant" | "Irrelevant"` the text "Irregular"
goes four characters:

    Trail(followed=4, expected=("'Irrelevant' (verdict)",), ends=frozenset())
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from .gbnf import Characters, Choice, Literal, Node, Reference, Repeat, complement

SHOWN = 30  # characters of a literal or an answer that an error shows

WORDS = (
    "about across again almost amber apple autumn basket before bell beneath between bread bridge bright",
    "calm candle careful carries chalk clay cloud copper corner every early evening fallen farther field",
    "finds follows forest garden gentle glass grain green harbour holds honey inside island keeps kettle lantern",
    "later leaves letter linen long market meadow mill morning mostly narrow never north often older open",
    "orchard paper pepper plain quiet rain reaches river round salt seldom shade silver slowly small stone",
    "summer table thread through timber turns under until upper valley water weather while willow window",
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ODD = "\t 0Aaz~\x7f\x85\xa0é\u0301א\u200b\u2028\u3000\ufeff\uffff漢😀\U000e0001\U0010ffff"

Rules = Mapping[str, Choice]


@dataclass(frozen=True, slots=True)
class Trail:
    """How far a text goes along with a grammar.

    Its first `followed` characters begin some sentence, and `expected` says how such sentences go on. After each
    number of characters in `ends` it has been a whole sentence.
    """

    followed: int
    expected: tuple[str, ...]
    ends: frozenset[int]


def follow(rules: Rules, text: str) -> Trail:
    """Go all ways at once, so that the time is polynomial however ambiguous the grammar is."""
    follower = _Follower(rules, text)
    ends = follower.after(rules["root"], {0}, "root")
    followed = max(follower.furthest, *ends, 0)
    expected = list(follower.expected) if follower.furthest == followed else []
    return Trail(followed, tuple(expected + ["the end"] * (followed in ends)), frozenset(ends))


class _Follower:
    """Remembers the furthest place at which a literal or a class was looked for in vain, and which those were."""

    def __init__(self, rules: Rules, text: str) -> None:
        self.rules = rules
        self.text = text
        self.furthest = -1
        self.expected: dict[str, None] = {}

    def after(self, node: Node, places: set[int], rule: str) -> set[int]:
        """Where `node`, which stands in `rule`, can end if it begins at any of `places`."""
        match node:
            case Literal():
                return {place + len(node.text) for place in places if self._begins(node.text, place, rule)}
            case Characters():
                return self._run(node, 1, 1, places, rule)
            case Reference():
                return self.after(self.rules[node.name], places, node.name)
            case Choice():
                return set().union(*(self._sequence(option, places, rule) for option in node.options))
            case Repeat(node=Characters() as characters):
                return self._run(characters, node.least, node.most, places, rule)
            case Repeat():
                return self._repeat(node, places, rule)

    def _begins(self, literal: str, place: int, rule: str) -> bool:
        if self.text.startswith(literal, place):
            return True
        rest = self.text[place : place + len(literal)]
        same = next((n for n, (a, b) in enumerate(zip(literal, rest, strict=False)) if a != b), len(rest))
        shown = literal if len(literal) <= SHOWN else literal[same : same + SHOWN]
        self._miss(place + same, f"{shown!r} ({rule})")
        return False

    def _run(
        self, characters: Characters, least: int, most: int | None, places: set[int], rule: str
    ) -> set[int]:
        ends: set[int] = set()
        leaves = next_end = 0  # where the text leaves the class; the first place that is not in `ends` yet
        for place in sorted(places):
            leaves = max(leaves, place)
            while leaves < len(self.text) and self.text[leaves] in characters:
                leaves += 1
            last = leaves if most is None else min(leaves, place + most)
            if most is None or leaves < place + most:
                self._miss(leaves, f"more of {rule}")
            ends.update(range(max(place + least, next_end), last + 1))
            next_end = max(next_end, last + 1)
        return ends

    def _sequence(self, nodes: tuple[Node, ...], places: set[int], rule: str) -> set[int]:
        for node in nodes:
            places = self.after(node, places, rule)
        return places

    def _repeat(self, node: Repeat, places: set[int], rule: str) -> set[int]:
        ends = set(places) if node.least == 0 else set()
        count = 0
        while places and (node.most is None or count < node.most):
            places = self.after(node.node, places, rule)
            count += 1
            if count >= node.least:
                places = places - ends  # from the others it has gone on already, with more repetitions left
                ends |= places
        return ends

    def _miss(self, place: int, expected: str) -> None:
        if place > self.furthest:
            self.furthest, self.expected = place, {}
        if place == self.furthest:
            self.expected[expected] = None


def sentences(rules: Rules, most: int) -> tuple[str, ...]:
    """All sentences, in the order of the grammar; () where there are more than `most`."""
    try:
        return tuple(_all_of(rules["root"], rules, most))
    except _TooMany:
        return ()


class _TooMany(Exception):
    pass


def _all_of(node: Node, rules: Rules, most: int) -> list[str]:
    match node:
        case Literal(text=text):
            return [text]
        case Characters(ranges=ranges):
            if sum(high + 1 - low for low, high in ranges) > most:
                raise _TooMany
            return [chr(code) for low, high in ranges for code in range(low, high + 1)]
        case Reference(name=name):
            return _all_of(rules[name], rules, most)
        case Choice(options=options):
            each = [_one_after_another([_all_of(n, rules, most) for n in option], most) for option in options]
            return _few([text for texts in each for text in texts], most)
        case Repeat(node=inner, least=least, most=times):
            if times is None or times > most:
                raise _TooMany
            texts = _all_of(inner, rules, most) if times else []
            each = [_one_after_another([texts] * count, most) for count in range(least, times + 1)]
            return _few([text for texts in each for text in texts], most)


def _one_after_another(parts: list[list[str]], most: int) -> list[str]:
    texts = [""]
    for part in parts:
        texts = _few([begun + text for begun in texts for text in part], most)
    return texts


def _few(texts: list[str], most: int) -> list[str]:
    """The texts, each once."""
    once = list(dict.fromkeys(texts))
    if len(once) > most:
        raise _TooMany
    return once


def write(rules: Rules, rng: random.Random, wild: bool) -> str:
    """A random sentence. Free text stays below its upper bound, so it is never taken for truncated.

    Where there is room for words there are words, or any characters at all when `wild`.
    """
    writer = _Writer(rules, rng, wild)
    writer.write(rules["root"])
    return writer.text


class _Writer:
    def __init__(self, rules: Rules, rng: random.Random, wild: bool) -> None:
        self.rules, self.rng, self.wild = rules, rng, wild
        self.text = ""

    def write(self, node: Node) -> None:
        match node:
            case Literal():
                self.text += node.text
            case Characters():
                self.text += _any_of(node, 1, self.rng, self.wild)
            case Reference():
                self.write(self.rules[node.name])
            case Choice():
                for part in self.rng.choice(node.options):
                    self.write(part)
            case Repeat(node=inner, least=least, most=most):
                if characters := _one_of(inner, self.rules):
                    self.text += self._free_text(characters, least, most)
                    return
                for _ in range(self.rng.randint(least, least + 4 if most is None else min(most, least + 4))):
                    self.write(inner)

    def _free_text(self, characters: Characters, least: int, most: int | None) -> str:
        rng = self.rng
        top = least + 200 if most is None else max(least, most - 1, min(most, 1))
        words = [] if self.wild else _words(characters)
        if not words or top < 3:
            return _any_of(
                characters, rng.randint(least, rng.choice([top, min(top, least + 12)])), rng, self.wild
            )
        space = " " if " " in characters else ""
        low = min(top, max(least, 20 if space else 3))
        goal = rng.randint(low, min(top, low + (80 if space else 7)))
        text = self._first_word(words, characters, bool(space))
        while len(text) < goal:
            text += space + rng.choice(words)
        if len(text) > (top if space else goal):
            text = text[:goal] if text[goal - 1] != " " else text[: goal - 1] + text[0].lower()
        return text

    def _first_word(self, words: list[str], characters: Characters, prose: bool) -> str:
        """With a capital, unless the grammar has just written one: then the rest of a word that it begins."""
        initial = self.text[-1:] if self.text[-1:].isupper() else ""
        if begun := [word for word in words if initial and word[0] == initial.lower()]:
            return self.rng.choice(begun)[1:]
        word = self.rng.choice(words)
        capital = word[0].upper()
        return capital + word[1:] if prose and not initial and capital in characters else word


def _one_of(node: Node, rules: Rules) -> Characters | None:
    """The characters that `node` is one of; None when it is not always one character."""
    match node:
        case Characters():
            return node
        case Literal(text=text) if len(text) == 1:
            return Characters(((ord(text), ord(text)),))
        case Reference():
            return _one_of(rules[node.name], rules)
        case Choice():
            each = [_one_of(option[0], rules) if len(option) == 1 else None for option in node.options]
            ranges = [span for one in each if one for span in one.ranges]
            return Characters(complement(complement(ranges))) if all(each) else None
    return None


@lru_cache(maxsize=256)
def _words(characters: Characters) -> list[str]:
    words = [word for line in WORDS for word in line.split()]
    return [word for word in words if all(letter in characters for letter in word)]


def _any_of(characters: Characters, count: int, rng: random.Random, wild: bool) -> str:
    """`count` characters: letters where there are any, when `wild` every second one odd."""
    usual = _usual(characters, wild)
    text = ""
    for _ in range(count):
        if usual and (not wild or rng.random() < 0.5):
            text += rng.choice(usual)
        else:
            text += chr(rng.randint(*rng.choice(characters.ranges)))
    return text


@lru_cache(maxsize=256)
def _usual(characters: Characters, wild: bool) -> str:
    return "".join(character for character in (ODD if wild else LETTERS) if character in characters)
