"""A grammar as a regular expression and as a JSON schema, for servers that do not take GBNF.

The grammar that `grammar` shows, in its other forms:

    regex_of     Reason: [^\\n]{1,300}\\nVerdict: (?:Relevant|Irrelevant)
    schema       {"type": "object", "properties": {"reason": {"type": "string"}, "verdict": {...}}, ...}
    a document   {"reason": "It names the year.", "verdict": "Relevant"}

A document is turned back into a text, which the grammar's own strict reader then checks: what a schema leaves open
(lengths, line ends, counts) is found there. Knows nothing of servers, stages and requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any

import regex

from .derivation import Rules
from .errors import Unparseable
from .gbnf import UNWRITABLE, Characters, Choice, Literal, Node, Ranges, Reference, Repeat, complement
from .grammar import MAX_PATTERN, READ_SECONDS, Grammar
from .shapes import Array, Fixed, Object, Options, Part, Property, String, Value, counts, properties, shape_of

SPECIAL = frozenset("\\.+*?()[]{}|^$")  # what every engine lets be escaped
SPECIAL_IN_CLASS = frozenset("\\[]^-")
LINE_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


# As a regular expression


@lru_cache(maxsize=512)
def regex_of(grammar: Grammar) -> str | None:
    """The pattern that the whole of a text must fit to be a sentence; None when it is longer than MAX_PATTERN.

    It is written with what Python, Rust, xgrammar, llguidance and interegular read alike: literals, classes, counts,
    and alternatives in (?:...). Characters beyond ASCII stand for themselves, as interegular has no \\u. Classes that
    GBNF negates stay negated: interegular lists every character of the others, and until 2026 xgrammar refused all
    beyond ASCII in them. (Some versions overlook those in a negated one, so that one may come through; the reader
    refuses it.) Unlike GBNF's, a negated class holds NUL and surrogates.
    """
    try:
        return _Regex(grammar.rules).node(Reference("root", 0)).text
    except _TooLong:
        return None


class _TooLong(Exception):
    pass


ALTERNATIVES, SEQUENCE, ATOM = range(3)  # how strongly a pattern holds together


@dataclass(frozen=True, slots=True)
class _Pattern:
    text: str
    binds: int

    def within(self, binds: int) -> str:
        return self.text if self.binds >= binds else f"(?:{self.text})"


class _Regex:
    """Puts rules into one pattern, each as often as it is referred to."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.ready: dict[str, _Pattern] = {}

    def node(self, node: Node) -> _Pattern:
        match node:
            case Literal(text=text):
                return _Pattern("".join(map(_plain, text)), ATOM if len(text) == 1 else SEQUENCE)
            case Characters(ranges=ranges):
                return _Pattern(_class(ranges), ATOM)
            case Choice(options=options):
                return self._choice([self.sequence(option) for option in options])
            case Repeat():
                return self._repeat(node)
            case Reference(name=name):
                if name not in self.ready:
                    self.ready[name] = self.node(self.rules[name])
                return self.ready[name]

    def sequence(self, nodes: tuple[Node, ...]) -> _Pattern:
        if len(nodes) == 1:
            return self.node(nodes[0])
        text = ""
        for node in nodes:
            text += self.node(node).within(SEQUENCE)
            _check_size(text)
        return _Pattern(text, SEQUENCE)

    def _choice(self, options: list[_Pattern]) -> _Pattern:
        """An option that is nothing makes the others optional, since not every engine reads (?:a|) so."""
        texts = [option.text for option in options if option.text]
        if len(options) == 1 or not texts:
            return options[0]
        chosen = _Pattern("|".join(texts), ALTERNATIVES)
        _check_size(chosen.text)
        return chosen if len(texts) == len(options) else _Pattern(f"(?:{chosen.text})?", SEQUENCE)

    def _repeat(self, node: Repeat) -> _Pattern:
        repeated, times = self.node(node.node), _times(node.least, node.most)
        if node.most == 0 or not repeated.text:
            return _Pattern("", SEQUENCE)
        return _Pattern(repeated.within(ATOM) + times, SEQUENCE) if times else repeated


def _check_size(pattern: str) -> None:
    if len(pattern) > MAX_PATTERN:
        raise _TooLong


def _times(least: int, most: int | None) -> str:
    short = {(0, 1): "?", (0, None): "*", (1, None): "+", (1, 1): ""}
    if (least, most) in short:
        return short[least, most]
    return f"{{{least}}}" if least == most else f"{{{least},{'' if most is None else most}}}"


def _plain(character: str, special: frozenset[str] = SPECIAL) -> str:
    return f"\\{character}" if character in special else LINE_ESCAPES.get(character, character)


def _class(ranges: Ranges) -> str:
    left_out = complement((*ranges, *UNWRITABLE))
    if not left_out:
        return r"(?:[^\n]|\n)"  # a dot is any character to some engines and any but line ends to others
    if len(left_out) < len(ranges):
        return f"[^{''.join(map(_member, left_out))}]"
    low, high = ranges[0]
    if len(ranges) == 1 and low == high:
        return _plain(chr(low))
    if low == ord("^"):  # xgrammar drops the backslash before it, so it must not come first
        ranges = (*([(low + 1, high)] if low < high else []), *ranges[1:], (low, low))
    return f"[{''.join(map(_member, ranges))}]"


def _member(span: tuple[int, int]) -> str:
    low, high = (_plain(chr(code), SPECIAL_IN_CLASS) for code in span)
    return low if low == high else f"{low}-{high}"


# As a JSON schema


@dataclass(frozen=True, slots=True)
class JsonForm:
    """`schema` asks for an object with every property of the grammar, null where the grammar lets it be left out.

    It says nothing of counts and lengths, which not every server takes (Groq and Cerebras refuse minItems). All users
    of a grammar share it: it is not to be changed.
    """

    grammar: Grammar
    schema: dict[str, Any] = field(compare=False)
    _shape: Object = field(compare=False, repr=False)

    @classmethod
    def of(cls, grammar: Grammar) -> JsonForm | None:
        """None for a grammar that has no shape in JSON: see `shape_of`. The last few hundred are kept ready."""
        return _form(grammar)

    def to_json(self, text: str) -> str:
        """A sentence as a document. Raises OutputError when it is none. The last few hundred are kept: worked examples
        come again and again.
        """
        return _document(self, text)

    def to_text(self, document: str) -> str:
        """The text that a document stands for; the grammar's reader tells whether it is a sentence.

        What a model wrote around the object is skipped. Raises Unparseable when it is no JSON object, or one without
        those properties.
        """
        try:
            return _joined(self._shape.parts, _object_in(document), "")
        except Unparseable as error:
            raise Unparseable(str(error), document) from None


@lru_cache(maxsize=512)
def _form(grammar: Grammar) -> JsonForm | None:
    shape = shape_of(grammar.rules)
    return JsonForm(grammar, _schema(shape), shape) if shape else None


@lru_cache(maxsize=512)
def _document(form: JsonForm, text: str) -> str:
    form.grammar.read(text)
    return json.dumps(_Reader(form.grammar.rules).read(form._shape, text), ensure_ascii=False)


def _schema(value: Value) -> dict[str, Any]:
    match value:
        case String(values=()):
            return {"type": "string"}
        case String(values=values):
            return {"type": "string", "enum": list(values)}
        case Array(entry=entry):
            return {"type": "array", "items": _schema(entry)}
        case Object(parts=parts, bare=True):
            return _schema(next(properties(parts)).value)
        case Object(parts=parts):
            return _object_schema(parts)


def _object_schema(parts: tuple[Part, ...]) -> dict[str, Any]:
    schemas: dict[str, dict[str, Any]] = {}
    for found in properties(parts):
        schemas[found.key] = _either(schemas.get(found.key), _schema(found.value))
    for key, (least, _) in counts(parts, lambda found: found.key).items():
        if least == 0:
            schemas[key] = {"anyOf": [schemas[key], {"type": "null"}]}
    return {
        "type": "object",
        "properties": schemas,
        "required": list(schemas),
        "additionalProperties": False,
    }


def _either(one: dict[str, Any] | None, other: dict[str, Any]) -> dict[str, Any]:
    """The schema of what fits one or the other: they are the same, or both of strings."""
    if one is None or one == other:
        return other
    if "enum" in one and "enum" in other:
        return {"type": "string", "enum": list(dict.fromkeys(one["enum"] + other["enum"]))}
    return {"type": "string"}


# From a sentence to a document


class _Reader:
    """Reads what is known to fit, level by level: the properties of an object, the entries of a list, their own."""

    def __init__(self, rules: Rules) -> None:
        self.regex = _Regex(rules)

    def read(self, value: Value, text: str) -> Any:
        match value:
            case String():
                return text
            case Array():
                entries = _fitted(self._entries(value), text).captures("entry")
                return [self.read(value.entry, entry) for entry in entries]
            case Object():
                document = self._document(value.parts, text)
                return document[""] if value.bare else document

    def _document(self, parts: tuple[Part, ...], text: str) -> dict[str, Any]:
        found = list(properties(parts))
        document: dict[str, Any] = {one.key: None for one in found}
        fitted = _fitted(self._groups(parts, count()), text)
        for number, one in enumerate(found):
            if (own := fitted[f"p{number}"]) is not None:
                document[one.key] = self.read(one.value, own)
        return document

    def _entries(self, array: Array) -> str:
        entry = f"(?P<entry>{self.regex.sequence(array.nodes).text})"
        separator = "".join(map(_plain, array.separator))
        return f"{entry if separator else ''}(?:{separator}{entry})*"

    def _groups(self, parts: tuple[Part, ...], numbers: Iterator[int]) -> str:
        pattern = ""
        for part in parts:
            match part:
                case Fixed(node=node):
                    pattern += self.regex.node(node).within(SEQUENCE)
                case Property(nodes=nodes):
                    pattern += f"(?P<p{next(numbers)}>{self.regex.sequence(nodes).text})"
                case Options(options=options):
                    pattern += f"(?:{'|'.join(self._groups(option, numbers) for option in options)})"
        return pattern


def _fitted(pattern: str, text: str) -> regex.Match[str]:
    try:
        fitted = regex.fullmatch(pattern, text, timeout=READ_SECONDS, concurrent=True)
    except TimeoutError:
        raise Unparseable(f"it could not be read within {READ_SECONDS:g} seconds", text) from None
    assert fitted, (pattern, text)
    return fitted


# From a document to a text


def _object_in(document: str) -> dict[str, Any]:
    start, end = document.find("{"), document.rfind("}")
    try:
        found = json.loads(document[start : end + 1] if 0 <= start < end else document)
    except (ValueError, RecursionError) as error:  # ValueError alone: a number of thousands of digits
        raise Unparseable(f"it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise Unparseable(f"it must be a JSON object, not {_kind(found)}")
    return found


def _joined(parts: tuple[Part, ...], document: dict[str, Any], where: str) -> str:
    text = ""
    for part in parts:
        match part:
            case Fixed():
                text += part.text
            case Property(key=key, value=value):
                text += _text_of(value, document.get(key), where + key)
            case Options(options=options):
                best = min(options, key=lambda option: _misfit(option, document))
                text += _joined(best, document, where)
    return text


def _text_of(value: Value, given: Any, where: str) -> str:
    if given is None:
        raise Unparseable(f"the JSON object lacks {where}")
    match value:
        case Object(parts=parts, bare=True):
            return _joined(parts, {"": given}, where)
        case Object(parts=parts) if isinstance(given, dict):
            return _joined(parts, given, f"{where}: ")
        case Array(entry=entry, separator=separator) if isinstance(given, list):
            return separator.join(_text_of(entry, one, f"{where} {n}") for n, one in enumerate(given, 1))
        case String() if isinstance(given, (str, int)) and not isinstance(given, bool):
            return str(given)
    wanted = {String: "text", Array: "a list", Object: "an object"}[type(value)]
    raise Unparseable(f"{where} must be {wanted}, not {_kind(given)}")


def _kind(given: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(given), "a number")


def _misfit(parts: tuple[Part, ...], document: dict[str, Any]) -> tuple[int, int, int]:
    """How badly an option fits: how many values it does not admit, how many it lacks, minus how many it uses."""
    wrong = missing = used = 0
    for part in parts:
        match part:
            case Property(key=key, value=value):
                given = document.get(key)
                if given is None or (given == "" and isinstance(value, String) and not value.may_be_empty):
                    missing += 1
                else:
                    used += 1
                    wrong += (
                        isinstance(value, String) and value.values != () and str(given) not in value.values
                    )
            case Options(options=options):
                best = min(_misfit(option, document) for option in options)
                wrong, missing, used = wrong + best[0], missing + best[1], used - best[2]
    return wrong, missing, -used
