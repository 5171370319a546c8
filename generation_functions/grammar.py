"""A grammar that reads what was written under it.

The engine holds a model to the stage's GBNF and the same GBNF reads the answer, so the two cannot drift apart.
The rule names are the fields of what is read:

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
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import regex

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
READ_SECONDS = 5.0  # most answers take under a millisecond; an ambiguous grammar may take for ever
MAX_TRIED = 50  # literals tried to explain a misfit
SHOWN = 30  # characters that an error shows of an answer
UNREADABLE = regex.compile("[\\0\ud800-\udfff]")

WORDS = tuple(  # for samples, so that what is shown of them looks like text
    """about across again almost amber apple autumn basket before bell beneath between bread bridge bright
    calm candle careful carries chalk clay cloud copper corner every early evening fallen farther field
    finds follows forest garden gentle glass grain green harbour holds honey inside island keeps kettle
    lantern later leaves letter linen long market meadow mill morning mostly narrow never north often
    older open orchard paper pepper plain quiet rain reaches river round salt seldom shade silver slowly
    small stone summer table thread through timber turns under until upper valley water weather while
    willow window winter with wooden yellow""".split()
)
LETTERS = "abcdefghijklmnopqrstuvwxyz"
ODD = "\t 0Aaz~\x7f\x85\xa0é\u0301א\u200b\u2028\u3000\ufeff\uffff漢😀\U000e0001\U0010ffff"


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
    body: Choice
    shape: Shape


@dataclass(frozen=True, slots=True)
class Reading:
    """What the fields hold: `spans` are their places in `whole`, in the order of the text."""

    whole: str
    spans: Mapping[str, tuple[tuple[int, int], ...]]

    def text(self, field: str) -> str:
        """The field's first text, "" where the grammar let it be left out. KeyError if there is no such field."""
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
    _rules: Mapping[str, Rule] = field(compare=False)
    _pattern: regex.Pattern[str] = field(compare=False)

    @classmethod
    def compile(cls, text: str, file: str = "grammar", first_line: int = 1) -> Grammar:
        """Raises GrammarError "file:line: rule x: ...". The last few hundred grammars are kept ready."""
        return _compiled(text, file, first_line)

    def longest(self, field: str) -> int | None:
        """The most characters that the field can have, None without a limit."""
        lengths = {rule.shape.longest for rule in self._rules.values() if field_of(rule.name) == field}
        if not lengths:
            raise KeyError(field)
        return None if math.inf in lengths else int(max(lengths))

    def read(self, text: str, payload: Collection[str] = (), tolerant: bool = False) -> Reading:
        """The fields of `text`, the whole of which must be a sentence of the grammar.

        Truncated when it is the beginning of one, or when a field named in `payload` is as long as the grammar
        lets it be, which is where a model is stopped, not where it ends. Unparseable otherwise. `tolerant` is
        for servers that do not enforce grammars: what stands before the grammar's first literal is skipped, and
        so is white space around the answer.
        """
        deadline = time.monotonic() + READ_SECONDS
        candidates = _candidates(text, self._opening()) if tolerant else [text]
        match = next((m for c in candidates if (m := self._match(c, deadline))), None)
        if match is None:
            raise self._refusal(candidates[-1], deadline)
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
        return "".join(_written(self._rules["root"].body, self._rules, rng, wild))

    def _match(self, text: str, deadline: float, partial: bool = False) -> regex.Match[str] | None:
        """The match of the whole text, or, if `partial`, of the beginning of a sentence."""
        if UNREADABLE.search(text):
            return None
        try:
            seconds = max(deadline - time.monotonic(), 0.001)
            return self._pattern.fullmatch(text, partial=partial, timeout=seconds, concurrent=True)
        except TimeoutError:
            message = f"it could not be read within {READ_SECONDS:g} seconds; the grammar is too ambiguous"
            raise Unparseable(message, text) from None

    def _opening(self) -> str:
        """The literal that every sentence begins with, "" when there is none."""
        node: Node = self._rules["root"].body
        while not isinstance(node, Literal):
            match node:
                case Reference(name=name):
                    node = self._rules[name].body
                case Choice(options=((first, *_),)):
                    node = first
                case Repeat(node=inner, least=least) if least:
                    node = inner
                case _:
                    return ""
        return node.text

    def _refusal(self, text: str, deadline: float) -> Truncated | Unparseable:
        if self._match(text, deadline, partial=True):
            return Truncated(f"it stops before its end, after {text[-SHOWN:]!r}", text)
        low, high = 0, len(text)  # text[:low] is the beginning of a sentence, text[:high] is not
        while high - low > 1:
            middle = (low + high) // 2
            if self._match(text[:middle], deadline, partial=True):
                low = middle
            else:
                high = middle
        before, after = text[max(0, low - SHOWN) : low], text[low : low + SHOWN]
        message = f"at character {low + 1}, {after!r} does not fit" + (f" after {before!r}" if before else "")
        expected = " or ".join(self._expected(text[:low], deadline))
        return Unparseable(f"{message}; expected {expected}" if expected else message, text)

    def _expected(self, start: str, deadline: float) -> list[str]:
        """Up to three literals that `start` can go on with, first those that it breaks off in."""
        if self._match(start, deadline):
            return ["the end"]
        begun: list[tuple[int, str, str]] = []
        for rule in self._rules.values():
            for text in _literals(rule.body):
                begun += [(n, text, rule.name) for n in range(len(text)) if start.endswith(text[:n])]
        begun.sort(key=lambda one: -one[0])
        fitting: list[str] = []
        for n, text, name in begun[:MAX_TRIED]:
            if len(fitting) < 3 and self._match(start + text[n:], deadline, partial=True):
                fitting.append(f"{text!r} ({name})")
        return fitting


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


def _literals(node: Node) -> Iterator[str]:
    match node:
        case Literal(text=text) if text:
            yield text
        case Choice(options=options):
            for option in options:
                for part in option:
                    yield from _literals(part)
        case Repeat(node=inner):
            yield from _literals(inner)


@lru_cache(maxsize=512)
def _compiled(text: str, file: str, first_line: int) -> Grammar:
    parser = Parser(text, file, first_line)
    if odd := UNREADABLE.search(text):
        raise parser.error(f"no text can hold the character U+{ord(odd[0]):04X}")
    try:
        linker = _Linker(parser)
        pattern = regex.compile("(?s)" + linker.link(), cache_pattern=False)
    except RecursionError:
        raise parser.error("rules and parentheses are nested too deep") from None
    return Grammar(text, frozenset(map(field_of, linker.rules)), linker.rules, pattern)


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
            self.rules[name] = Rule(name, f"r{len(self.rules)}", self.bodies[name], shape)
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


def _written(node: Node, rules: Mapping[str, Rule], rng: random.Random, wild: bool) -> Iterator[str]:
    match node:
        case Literal(text=text):
            yield text
        case Characters():
            yield _character(node, rng, wild)
        case Reference(name=name):
            yield from _written(rules[name].body, rules, rng, wild)
        case Choice(options=options):
            for part in rng.choice(options):
                yield from _written(part, rules, rng, wild)
        case Repeat(node=inner, least=least, most=most):
            if characters := _one_of(inner, rules):
                yield _free_text(characters, least, most, rng, wild)
                return
            for _ in range(rng.randint(least, least + 4 if most is None else min(most, least + 4))):
                yield from _written(inner, rules, rng, wild)


def _one_of(node: Node, rules: Mapping[str, Rule]) -> Characters | None:
    """The characters that `node` is one of; None when it is not always one character."""
    match node:
        case Characters():
            return node
        case Literal(text=text) if len(text) == 1:
            return Characters(((ord(text), ord(text)),))
        case Reference(name=name):
            return _one_of(rules[name].body, rules)
        case Choice(options=options):
            each = [_one_of(option[0], rules) if len(option) == 1 else None for option in options]
            ranges = [span for one in each if one for span in one.ranges]
            return Characters(complement(complement(ranges))) if all(each) else None
    return None


def _free_text(characters: Characters, least: int, most: int | None, rng: random.Random, wild: bool) -> str:
    top = least + 200 if most is None else max(least, most - 1, min(most, 1))
    words = [] if wild else [word for word in WORDS if all(letter in characters for letter in word)]
    if not words or top < 3:
        length = rng.randint(least, rng.choice([top, min(top, least + 12)]))
        return "".join(_character(characters, rng, wild) for _ in range(length))
    space = " " if " " in characters else ""
    low = min(top, max(least, 20 if space else 3))
    goal = rng.randint(low, min(top, low + (80 if space else 7)))
    text = rng.choice(words)
    while len(text) < goal:
        text += space + rng.choice(words)
    if len(text) > (top if space else goal):
        text = text[:goal] if text[goal - 1] != " " else text[: goal - 1] + text[0]
    return text[0].upper() + text[1:] if space and text[0].upper() in characters else text


def _character(characters: Characters, rng: random.Random, wild: bool) -> str:
    usual = [character for character in (ODD if wild else LETTERS) if character in characters]
    if usual and (not wild or rng.random() < 0.5):
        return rng.choice(usual)
    return chr(rng.randint(*rng.choice(characters.ranges)))
