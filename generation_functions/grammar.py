"""A grammar that reads what was written under it.

The engine holds a model to the stage's GBNF and the same GBNF reads the answer, so the two cannot drift
apart. The rule names are the fields of what is read:

    root    ::= "Reason: " reason "\\nVerdict: " verdict
    reason  ::= [^\\n]{1,300}
    verdict ::= "Relevant" | "Irrelevant"

    >>> Grammar.compile(text).read("Reason: It names the year.\\nVerdict: Relevant").text("verdict")
    'Relevant'

All rules are put into one pattern, each as a named group, so a rule must not contain itself. Knows nothing of
stages and models; `sample` writes sentences for those who have none.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import regex

from .derivation import SHOWN, follow, sentences, write
from .errors import Truncated, Unparseable
from .gbnf import (
    UNWRITABLE,
    Characters,
    Choice,
    Literal,
    Node,
    Parser,
    Ranges,
    Reference,
    Repeat,
    alternatives,
    complement,
    is_nothing,
    literal,
)

__all__ = ["Grammar", "Reading", "alternatives", "field_of", "literal"]

MAX_PATTERN = 200_000  # characters of the pattern, all rules put in
READ_SECONDS = 2.0  # processor time; a usual answer takes a tenth of a millisecond, an ambiguous one years
FEW = 16  # sentences that all can be named
MAX_EXPECTED = 3  # of the things that could have followed, how many an error names
UNREADABLE = regex.compile("[\\0\ud800-\udfff]")  # gbnf.UNWRITABLE: in no class and in no sentence


@dataclass(frozen=True, slots=True)
class Shape:
    """What a node comes to as a pattern, and its lengths in characters (math.inf: no limit)."""

    pattern: str
    shortest: int
    longest: float


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    group: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Reading:
    """What the fields hold: `spans` are their places in `whole`, in the order of the text."""

    whole: str
    spans: Mapping[str, tuple[tuple[int, int], ...]]

    def text(self, field: str) -> str:
        """The field's first text, "" where the grammar let it be left out. KeyError for an unknown field."""
        return next(iter(self.all(field)), "")

    def all(self, field: str) -> list[str]:
        return [self.whole[start:end] for start, end in self.spans[field]]

    def each(self, field: str) -> list[Reading]:
        """A reading of each text of the field by itself, which keeps together what belongs together."""
        return [Reading(self.whole, self._inside(*span)) for span in self.spans[field]]

    def _inside(self, start: int, end: int) -> dict[str, tuple[tuple[int, int], ...]]:
        return {
            name: tuple((low, high) for low, high in spans if start <= low and high <= end)
            for name, spans in self.spans.items()
        }


@dataclass(frozen=True, slots=True, repr=False)
class Grammar:
    """`text` is the GBNF as engines get it; `fields` are the names that its readings answer to."""

    text: str
    fields: frozenset[str] = field(compare=False)
    _bodies: Mapping[str, Choice] = field(compare=False)
    _rules: Mapping[str, Rule] = field(compare=False)
    _pattern: regex.Pattern[str] = field(compare=False)

    @classmethod
    def compile(cls, text: str, file: str = "grammar", first_line: int = 1) -> Grammar:
        """Raises GrammarError "file:line: rule x: ...". The last few hundred grammars are kept ready."""
        return _compiled(text, file, first_line)

    @property
    def rules(self) -> Mapping[str, Choice]:
        """What the grammar says, taken apart."""
        return self._bodies

    def longest(self, field: str) -> int | None:
        """The most characters that the field can have, None without a limit."""
        lengths = {rule.shape.longest for rule in self._rules.values() if field_of(rule.name) == field}
        if not lengths:
            raise KeyError(field)
        return None if math.inf in lengths else int(max(lengths))

    def read(self, text: str, payload: Collection[str] = (), tolerant: bool = False) -> Reading:
        """The fields of `text`, the whole of which must be a sentence of the grammar.

        Truncated when it is the beginning of one, or when a field named in `payload` is as long as the
        grammar lets it be, which is where a model is stopped, not where it ends. Unparseable otherwise.
        `tolerant` is for servers that do not enforce grammars: what stands before the grammar's first literal
        is skipped, and so is white space around the answer.
        """
        deadline = time.monotonic() + READ_SECONDS
        candidates = _candidates(text, self._opening()) if tolerant else [text]
        match = next((m for c in candidates if (m := self._match(c, deadline))), None)
        if match is None:
            raise self._refusal(candidates[-1])
        spans: dict[str, list[tuple[int, int]]] = {name: [] for name in self.fields}
        for rule in self._rules.values():
            found = match.spans(rule.group) if rule.group in self._pattern.groupindex else []
            if field_of(rule.name) in payload:
                _check_bound(rule, found, match.string)
            spans[field_of(rule.name)] += found
        return Reading(match.string, {name: tuple(sorted(places)) for name, places in spans.items()})

    def sample(self, rng: random.Random, wild: bool = False) -> str:
        """A random sentence: plain words where there is room for words, any characters at all if `wild`.

        Free text stays below its upper bound, so it is never taken for truncated.
        """
        return write(self._bodies, rng, wild)

    def sentences(self) -> tuple[str, ...]:
        """All sentences, in the order of the grammar; () where there are more than FEW."""
        return sentences(self._bodies, FEW)

    def _match(self, text: str, deadline: float) -> regex.Match[str] | None:
        if UNREADABLE.search(text):
            return None
        try:
            seconds = max(deadline - time.monotonic(), 0.001)
            return self._pattern.fullmatch(text, timeout=seconds, concurrent=True)
        except TimeoutError:
            return None

    def _opening(self) -> str:
        """The literal that every sentence begins with, "" when there is none."""
        node: Node = self._bodies["root"]
        while not isinstance(node, Literal):
            match node:
                case Reference(name=name):
                    node = self._bodies[name]
                case Choice(options=((first, *_),)):
                    node = first
                case Repeat(node=inner, least=least) if least:
                    node = inner
                case _:
                    return ""
        return node.text

    def _refusal(self, text: str) -> Truncated | Unparseable:
        trail = follow(self._bodies, text)
        end = trail.followed
        if len(text) in trail.ends:
            message = f"it could not be read within {READ_SECONDS:g} seconds: the grammar is too ambiguous"
            return Unparseable(message, text)
        if end == len(text):
            return Truncated(f"it stops before its end, after {text[-SHOWN:]!r}", text)
        after = f" after {text[max(0, end - SHOWN) : end]!r}" if end else ""
        expected = " or ".join(trail.expected[:MAX_EXPECTED])
        message = (
            f"at character {end + 1}, {text[end : end + SHOWN]!r} does not fit{after}; expected {expected}"
        )
        return Unparseable(message, text)


def field_of(rule: str) -> str:
    """The field that a rule is read into; `asks-1` and `asks-2` both are "asks"."""
    return (regex.sub(r"-[0-9]+$", "", rule) or rule).replace("-", "_")


def _candidates(text: str, opening: str) -> list[str]:
    """What may be meant by a loosely written text, the likeliest last."""
    start = text.find(opening) if opening else -1
    text = text[start:] if start >= 0 else text.lstrip()
    return [text, text.rstrip()]


def _check_bound(rule: Rule, spans: list[tuple[int, int]], text: str) -> None:
    longest = rule.shape.longest
    if rule.shape.shortest < longest and any(end - start == longest for start, end in spans):
        raise Truncated(f"{rule.name} has {longest:g} characters, all that the grammar gives it", text)


@lru_cache(maxsize=512)
def _compiled(text: str, file: str, first_line: int) -> Grammar:
    parser = Parser(text, file, first_line)
    if odd := UNREADABLE.search(text):
        parser.at = odd.start()
        raise parser.error(f"no text can hold the character U+{ord(odd[0]):04X}")
    try:
        linker = _Linker(parser)
        pattern = regex.compile("(?s)" + linker.link(), cache_pattern=False)
    except RecursionError:
        raise parser.error("rules and parentheses are nested too deep") from None
    return Grammar(text, frozenset(map(field_of, linker.rules)), linker.bodies, linker.rules, pattern)


class _Linker:
    """Gives each rule its shape, with the shapes of the rules that it refers to put in."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.bodies = parser.parse()
        self.rules: dict[str, Rule] = {}

    def link(self) -> str:
        """Fill `rules`, those that root does not need as well; the pattern of root."""
        for name in self.bodies:
            self._rule(name, ())
        return self._named(self.rules["root"]).pattern

    def _rule(self, name: str, path: tuple[str, ...]) -> Rule:
        """`path` leads from rule to rule to this one."""
        if name not in self.rules:
            shape = self._shape(self.bodies[name], (*path, name))
            self.rules[name] = Rule(name, f"r{len(self.rules)}", shape)
        return self.rules[name]

    def _named(self, rule: Rule) -> Shape:
        return Shape(f"(?P<{rule.group}>{rule.shape.pattern})", rule.shape.shortest, rule.shape.longest)

    def _shape(self, node: Node, path: tuple[str, ...]) -> Shape:
        match node:
            case Literal(text=text):
                return Shape("".join(map(_plain, text)), len(text), len(text))
            case Characters(ranges=ranges):
                return Shape(_class_pattern(ranges), 1, 1)
            case Choice(options=options):
                return self._chosen([self._joined(option, path) for option in options], path)
            case Repeat():
                return self._repeated(node, path)
            case Reference(name=name, line=line):
                if name in path:
                    circle = " -> ".join([*path[path.index(name) :], name])
                    raise self.parser.error(f"is recursive, which cannot be read: {circle}", path[-1], line)
                return self._named(self._rule(name, path))

    def _joined(self, nodes: tuple[Node, ...], path: tuple[str, ...]) -> Shape:
        pattern, shortest, longest = "", 0, 0.0
        for node in nodes:
            shape = self._shape(node, path)
            pattern += shape.pattern
            shortest += shape.shortest
            longest += shape.longest
            self._check_size(pattern, path)
        return Shape(pattern, shortest, longest)

    def _chosen(self, options: list[Shape], path: tuple[str, ...]) -> Shape:
        pattern = "|".join(option.pattern for option in options)
        self._check_size(pattern, path)
        shortest, longest = min(o.shortest for o in options), max(o.longest for o in options)
        return Shape(f"(?:{pattern})", shortest, longest)

    def _repeated(self, node: Repeat, path: tuple[str, ...]) -> Shape:
        if node.most is None and self._skips(node.node):
            message = "something that can be empty is repeated without end"
            raise self.parser.error(message, path[-1], self.parser.lines[path[-1]])
        shape = self._shape(node.node, path)
        if node.most == 0:
            return Shape("", 0, 0)
        most = math.inf if node.most is None else node.most
        pattern = f"(?:{shape.pattern}){{{node.least},{'' if node.most is None else node.most}}}"
        return Shape(pattern, shape.shortest * node.least, shape.longest * most if shape.longest else 0)

    def _skips(self, node: Node) -> bool:
        """Whether llama.cpp sees that `node` can be empty: it looks one rule deep, and so do we."""
        match node:
            case Reference(name=name):
                return self._skips(self.bodies[name])
            case Choice(options=options):
                return any(all(map(is_nothing, option)) for option in options)
            case Repeat(node=inner, least=least):
                return least == 0 or self._skips(inner)
            case _:
                return is_nothing(node)

    def _check_size(self, pattern: str, path: tuple[str, ...]) -> None:
        if len(pattern) > MAX_PATTERN:
            message = f"comes to more than {MAX_PATTERN} characters with the rules it refers to put in"
            raise self.parser.error(message, path[-1], self.parser.lines[path[-1]])


def _plain(character: str) -> str:
    return character if character.isalnum() or character == " " else f"\\U{ord(character):08X}"


def _class_pattern(ranges: Ranges) -> str:
    """The class, said by what it leaves out where that is shorter: [^\\n] matches faster so."""
    negated = len(complement((*ranges, *UNWRITABLE))) < len(ranges)
    if negated:
        ranges = complement((*ranges, *UNWRITABLE))
    inside = "".join(f"\\U{low:08X}-\\U{high:08X}" for low, high in ranges)
    return f"[{'^' if negated else ''}{inside}]" if inside else "."
