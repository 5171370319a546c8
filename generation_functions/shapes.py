"""What the sentences of a grammar look like as JSON: which parts are the same in all, and which a document has.

    root    ::= "Reason: " reason "\\nVerdict: " verdict
    reason  ::= [^\\n]{1,300}
    verdict ::= "Relevant" | "Irrelevant"

    Object((Fixed("Reason: "), Property("reason", String(())), Fixed("\\nVerdict: "),
            Property("verdict", String(("Relevant", "Irrelevant")))))

Works on rules as `gbnf` takes them apart; `forms` writes schemas and documents by the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations, pairwise, product

import regex

from .derivation import Rules
from .gbnf import Characters, Choice, Literal, Node, Reference, Repeat
from .grammar import field_of

MAX_VALUES = 250  # strings of an enum; beyond, OpenAI limits the sum of their lengths as well
LAYOUT = regex.compile(r"\n|[:>] *$")  # in a literal that parts fields ("\nAnswer: ") and is no prose
SEPARATOR = regex.compile(r"[^\w ]")  # what a literal between list entries has: ", " is one, " and " is not


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a document leaves out: `text` stands for it, `node` is what a sentence may have there."""

    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class Property:
    """What a document has under `key`: what `nodes` come to, which are the rule or a list of it."""

    rule: str
    nodes: tuple[Node, ...]
    value: Value
    key: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    options: tuple[tuple[Part, ...], ...]


@dataclass(frozen=True, slots=True)
class String:
    """One of `values`, any text when there are none."""

    values: tuple[str, ...]
    may_be_empty: bool


@dataclass(frozen=True, slots=True)
class Array:
    """Entries, each of which `nodes` come to, with the separator between them."""

    entry: Value
    nodes: tuple[Node, ...]
    separator: str


@dataclass(frozen=True, slots=True)
class Object:
    """With `bare` no object at all, but the value of its only property, which has no key."""

    parts: tuple[Part, ...]
    bare: bool = False


Part = Fixed | Property | Options
Value = String | Array | Object


def shape_of(rules: Rules) -> Object | None:
    """The shape of a sentence; None where text that varies has no rule of its own, two fields would share a name, or
    a document would not tell which option it took.

    Root is taken apart, options and all. Another rule is only where its literals part fields or entries as a form does
    ("Question: " ... "\\nAnswer: " ...); else its text is a string, written as the model would write it anyway.
    White space that varies at the end of all is fixed at its shortest.
    """
    try:
        return _Shaper(rules).root()
    except _Shapeless:
        return None


def properties(parts: tuple[Part, ...]) -> Iterator[Property]:
    """Those of all options too, in the order of the grammar."""
    for part in parts:
        if isinstance(part, Property):
            yield part
        elif isinstance(part, Options):
            for option in part.options:
                yield from properties(option)


def counts(parts: tuple[Part, ...], name: Callable[[Property], str]) -> dict[str, tuple[int, int]]:
    """How often a property of each name comes, at least and at most."""
    total: dict[str, tuple[int, int]] = {}
    for part in parts:
        more: dict[str, tuple[int, int]] = {}
        if isinstance(part, Property):
            more = {name(part): (1, 1)}
        elif isinstance(part, Options):
            each = [counts(option, name) for option in part.options]
            for key in {key for one in each for key in one}:
                ranges = [one.get(key, (0, 0)) for one in each]
                more[key] = min(least for least, _ in ranges), max(most for _, most in ranges)
        for key, (least, most) in more.items():
            before = total.get(key, (0, 0))
            total[key] = before[0] + least, before[1] + most
    return total


class _Shapeless(Exception):
    """These nodes have no shape in JSON."""


class _Shaper:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ready: dict[str, Value] = {}
        self.known: dict[str, list[str] | None] = {}

    def root(self) -> Object:
        nodes = self._flat((self.rules["root"],))
        end = self._blanks(nodes[-1:])
        parts = self._parts(nodes[:-1] if end else nodes, with_options=True)
        found = list(properties(parts))
        if not found:
            raise _Shapeless
        only = found[0]
        if len(found) == 1 and isinstance(only.value, Object) and not only.value.bare and only in parts:
            at = parts.index(only)
            parts = (*parts[:at], *only.value.parts, *parts[at + 1 :])
        return Object((*_keyed(parts), *end))

    def _blanks(self, nodes: list[Node]) -> tuple[Fixed, ...]:
        """The node if all that it can be is white space."""
        values = [value for node in nodes for value in self._values(node) or ["?"]]
        if any(value.strip() for value in values):
            return ()
        return tuple(Fixed(min(values, key=len), node) for node in nodes)

    def _value(self, rule: str) -> Value:
        if rule not in self.ready:
            body = self.rules[rule]
            try:
                self.ready[rule] = self._object((body,))
            except _Shapeless:
                self.ready[rule] = String(tuple(self._values(body) or ()), self._may_be_empty(body))
        return self.ready[rule]

    def _object(self, nodes: tuple[Node, ...]) -> Object:
        parts = self._parts(self._flat(nodes), with_options=False)
        found = list(properties(parts))
        if not found or not _is_laid_out(parts):
            raise _Shapeless
        return Object(parts, bare=True) if len(found) == 1 else Object(_keyed(parts))

    def _flat(self, nodes: tuple[Node, ...]) -> list[Node]:
        """The nodes without needless parentheses, and literals that follow each other as one."""
        flat: list[Node] = []
        for node in nodes:
            match node:
                case Choice(options=(only,)):
                    inner = self._flat(only)
                case Repeat(most=0) | Literal(text=""):
                    inner = []
                case _:
                    inner = [node]
            if flat and inner and isinstance(flat[-1], Literal) and isinstance(inner[0], Literal):
                flat[-1:], inner = [Literal(flat[-1].text + inner[0].text)], inner[1:]
            flat += inner
        return flat

    def _parts(self, nodes: list[Node], with_options: bool) -> tuple[Part, ...]:
        parts: list[Part] = []
        while nodes:
            array = self._separated(nodes)
            parts.append(array or self._part(nodes[0], with_options))
            nodes = nodes[2 if array else 1 :]
        return tuple(parts)

    def _part(self, node: Node, with_options: bool) -> Part:
        if isinstance(node, Literal):
            return Fixed(node.text, node)
        match node:
            case Reference(name=name):
                return Property(name, (node,), self._value(name))
            case Choice(options=options) if with_options:
                return Options(tuple(self._parts(self._flat(option), True) for option in options))
            case Repeat(node=inner, least=0, most=1) if with_options:
                return Options((self._parts(self._flat((inner,)), True), ()))
            case Repeat(least=least, most=most) if (least, most) != (0, 1):
                return self._repeated(node)
        raise _Shapeless

    def _separated(self, nodes: list[Node]) -> Property | None:
        """The list that the first two nodes are: `number (", " number){0,2}`."""
        match nodes:
            case [Reference(name=name) as first, Repeat(node=inner) as rest, *_]:
                match self._flat((inner,)):
                    case [Literal(text=text), Reference(name=again)] if again == name and SEPARATOR.search(
                        text
                    ):
                        array = Array(self._value(name), (first,), text)
                        return Property(name, (first, rest), array)
        return None

    def _repeated(self, repeat: Repeat) -> Property:
        """The list of `pair{2,3}` or `("\\n- " point){2,5}`, whose entries each have a label or a line of their own."""
        nodes = self._flat((repeat.node,))
        match nodes:
            case [Reference(name=rule)]:
                entry = self._value(rule)
            case _:
                entry = self._object(tuple(nodes))
                rule = next(properties(entry.parts)).rule if entry.bare else ""
        if not rule or not isinstance(entry, Object) or not any(isinstance(p, Fixed) for p in entry.parts):
            raise _Shapeless
        return Property(rule, (repeat,), Array(entry, tuple(nodes), ""))

    def _values(self, node: Node) -> list[str] | None:
        """All texts that the node can be, None when they are more than MAX_VALUES."""
        match node:
            case Literal(text=text):
                return [text]
            case Characters(ranges=ranges):
                if sum(high - low + 1 for low, high in ranges) > MAX_VALUES:
                    return None
                return [chr(code) for low, high in ranges for code in range(low, high + 1)]
            case Reference(name=name):
                if name not in self.known:
                    self.known[name] = self._values(self.rules[name])
                return self.known[name]
            case Choice(options=options):
                return _union(_joined([self._values(part) for part in option]) for option in options)
            case Repeat(node=inner, least=least, most=most):
                values = self._values(inner)
                if values is None or most is None or most > MAX_VALUES:
                    return None
                return _union(_joined([values] * times) for times in range(least, most + 1))

    def _may_be_empty(self, node: Node) -> bool:
        match node:
            case Literal(text=text):
                return not text
            case Characters():
                return False
            case Reference(name=name):
                return self._may_be_empty(self.rules[name])
            case Choice(options=options):
                return any(all(map(self._may_be_empty, option)) for option in options)
            case Repeat(node=inner, least=least):
                return least == 0 or self._may_be_empty(inner)


def _joined(lists: list[list[str] | None]) -> list[str] | None:
    texts = [""]
    for values in lists:
        if values is None or len(texts) * len(values) > MAX_VALUES:
            return None
        texts = [text + value for text, value in product(texts, values)]
    return texts


def _union(lists: Iterator[list[str] | None]) -> list[str] | None:
    union: dict[str, None] = {}
    for values in lists:
        if values is None:
            return None
        union |= dict.fromkeys(values)
    return list(union) if len(union) <= MAX_VALUES else None


def _is_laid_out(parts: tuple[Part, ...]) -> bool:
    """Whether every literal is layout and one stands between each property and the next."""
    labels = [isinstance(part, Fixed) for part in parts]
    if not all(LAYOUT.search(part.text) for part in parts if isinstance(part, Fixed)):
        return False
    places = [place for place, part in enumerate(parts) if isinstance(part, Property)]
    return all(any(labels[one:other]) for one, other in pairwise(places))


def _keyed(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """The properties under the names of their rules; `verdict-1` and `verdict-2` under their field's name if they never
    come together.
    """
    if any(most > 1 for _, most in counts(parts, lambda found: found.rule).values()):
        raise _Shapeless
    together = counts(parts, lambda found: field_of(found.rule))
    rules = {found.rule for found in properties(parts)}
    keys = {rule: rule.replace("-", "_") for rule in rules}
    for rule in rules:
        if together[field_of(rule)][1] == 1 and sum(field_of(other) == field_of(rule) for other in rules) > 1:
            keys[rule] = field_of(rule)
    values: dict[str, Value] = {}
    for found in properties(parts):
        first = values.setdefault(keys[found.rule], found.value)
        if first != found.value and not (isinstance(first, String) and isinstance(found.value, String)):
            raise _Shapeless
    named = _renamed(parts, keys)
    _check_options(named)
    return named


def _check_options(parts: tuple[Part, ...]) -> None:
    """A document must tell which option it took."""
    for part in parts:
        if isinstance(part, Options):
            for option in part.options:
                _check_options(option)
            if not all(_differ(one, other) for one, other in combinations(part.options, 2)):
                raise _Shapeless


def _differ(one: tuple[Part, ...], other: tuple[Part, ...]) -> bool:
    """Whether one always has a key that the other never has, or both one with different values."""
    ours, theirs = (counts(parts, lambda found: found.key) for parts in (one, other))
    if any(ours.get(key, (0, 0))[1] != theirs.get(key, (0, 0))[1] for key in _always(ours) | _always(theirs)):
        return True
    both = [(_strings(one, key), _strings(other, key)) for key in _always(ours) & _always(theirs)]
    return any(some and others and some.isdisjoint(others) for some, others in both)


def _always(found: dict[str, tuple[int, int]]) -> set[str]:
    return {key for key, (least, _) in found.items() if least}


def _strings(parts: tuple[Part, ...], key: str) -> set[str]:
    """All that stands under the key, nothing when that can be any text."""
    strings: set[str] = set()
    for found in properties(parts):
        if found.key == key:
            if not isinstance(found.value, String) or not found.value.values:
                return set()
            strings |= set(found.value.values)
    return strings


def _renamed(parts: tuple[Part, ...], keys: dict[str, str]) -> tuple[Part, ...]:
    def renamed(part: Part) -> Part:
        match part:
            case Property(rule=rule):
                return replace(part, key=keys[rule])
            case Options(options=options):
                return Options(tuple(_renamed(option, keys) for option in options))
        return part

    return tuple(map(renamed, parts))
