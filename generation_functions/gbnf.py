"""GBNF, llama.cpp's grammar language: its text, taken apart the way llama.cpp takes it apart.

Knows nothing of answers or how they are read. `verdict ::= "Pass" | [0-9]{1,2}` becomes

    {"verdict": Choice(((Literal("Pass"),), (Repeat(Characters(((48, 57),)), 1, 2),)))}

What llama.cpp refuses is refused, its limits on repetition included; what it accepts is accepted, oddities
and all ([] is nothing, of two rules with one name the last counts). The exceptions are refused: token references
(<...>), which belong to one model; counts such as {3,2}, on which llama.cpp runs out of memory; characters
that no text can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

from .errors import GrammarError

MAX_REPEATS = 2000  # llama.cpp's MAX_REPETITION_THRESHOLD, for counts and for counts times what they copy
LAST_CHARACTER = 0x10FFFF
UNWRITABLE = ((0, 0), (0xD800, 0xDFFF))  # llama.cpp's texts end at NUL; surrogates have no UTF-8
ESCAPES = {"t": "\t", "r": "\r", "n": "\n", **{c: c for c in '\\"[]-'}}
HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
KNOWN_ESCAPES = " ".join("\\" + letter for letter in [*ESCAPES, *HEX_DIGITS])

SPACE = regex.compile(r"(?:[ \t]|#[^\r\n]*)*")
LINES = regex.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
LINE_END = regex.compile(r"\r\n?|\n")
NAME = regex.compile(r"[A-Za-z0-9-]+")
NUMBER = regex.compile(r"[0-9]+")
HEXADECIMAL = regex.compile(r"[0-9A-Fa-f]+")

Ranges = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Literal:
    text: str


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a class or of `.`: any in `ranges`, which are sorted and do not touch."""

    ranges: Ranges

    def __contains__(self, character: str) -> bool:
        return any(low <= ord(character) <= high for low, high in self.ranges)


@dataclass(frozen=True, slots=True)
class Choice:
    """The body of a rule or of a pair of parentheses: options, each a sequence of nodes."""

    options: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`most` is None when there is no upper limit."""

    node: Node
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    line: int


Node = Literal | Characters | Choice | Repeat | Reference


def literal(value: str) -> str:
    """The GBNF literal that stands for exactly `value`."""
    return '"' + "".join(map(_escaped, value)) + '"'


def alternatives(values: Sequence[str]) -> str:
    """GBNF for any one of `values`."""
    return "(" + " | ".join(map(literal, values)) + ")"


def _escaped(character: str) -> str:
    for letter in 'trn\\"':
        if character == ESCAPES[letter]:
            return "\\" + letter
    return character if character.isprintable() else f"\\U{ord(character):08X}"


def is_nothing(node: Node) -> bool:
    """Whether llama.cpp makes no element of `node`, so that nothing is there to be repeated."""
    return node == Literal("") or (isinstance(node, Repeat) and node.most == 0)


def complement(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """All characters but those in `ranges`, which may overlap and be reversed (reversed ones are empty)."""
    clipped = ((low, min(high, LAST_CHARACTER)) for low, high in ranges)
    gaps = []
    start = 0
    for low, high in sorted((low, high) for low, high in clipped if low <= high):
        if start < low:
            gaps.append((start, low - 1))
        start = max(start, high + 1)
    return (*gaps, (start, LAST_CHARACTER)) if start <= LAST_CHARACTER else tuple(gaps)


class Parser:
    """One pass over the text. `at` is the next character, `name` the rule that it belongs to."""

    def __init__(self, text: str, file: str, first_line: int) -> None:
        self.text, self.file, self.first_line = text, file, first_line
        self.at = 0
        self.name = ""
        self.lines: dict[str, int] = {}
        self.references: list[tuple[str, Reference]] = []
        self.names: set[str] = set()  # these and `synthesized` are the rules that llama.cpp has by now
        self.synthesized = 0

    def parse(self) -> dict[str, Choice]:
        """The body of each rule, `root` and all that are referred to among them. Raises GrammarError."""
        bodies = {}
        self._take(LINES)
        while self.at < len(self.text):
            self._head()
            bodies[self.name] = self._choice(nested=False)
            if not self._take(LINE_END) and self.at < len(self.text):
                raise self.error(f"cannot go on with {self._ahead()}")
            self._take(LINES)
        if "root" not in bodies:
            raise self.error("there is no rule named root, where every sentence begins", rule="")
        for rule, reference in self.references:
            if reference.name not in bodies:
                raise self.error(f"there is no rule named {reference.name}", rule, reference.line)
        return bodies

    def error(self, message: str, rule: str | None = None, line: int | None = None) -> GrammarError:
        """The error to raise, at `rule` and `line` or else where the parser stands."""
        rule = self.name if rule is None else rule
        place = f"{self.file}:{self._line() if line is None else line}: "
        return GrammarError(place + (f"rule {rule}: " if rule else "") + message)

    def _head(self) -> None:
        line = self._line()
        name = self._take(NAME)
        if not name:
            raise self.error(f"expected the name of the next rule, found {self._ahead()}")
        self.name, self.lines[name] = name, line
        self.names.add(name)
        self._space(nested=False)
        if not self._next("::="):
            raise self.error(f"expected ::= after the name, found {self._ahead()}")
        self._space(nested=True)

    def _choice(self, nested: bool) -> Choice:
        options = [self._sequence(nested)]
        while self._next("|"):
            self._space(nested=True)
            options.append(self._sequence(nested))
        return Choice(tuple(options))

    def _sequence(self, nested: bool) -> tuple[Node, ...]:
        nodes: list[Node] = []
        weight = 1  # how many rules llama.cpp copies to repeat the last node
        while True:
            before = self._rules_so_far()
            if count := self._count(nested):
                if not nodes or is_nothing(nodes[-1]):
                    raise self.error("there is nothing to repeat before a repetition")
                nodes[-1], weight = self._repeat(nodes[-1], *count, weight)
            elif node := self._node():
                self._space(nested)
                nodes.append(node)
                weight = self._rules_so_far() - before if isinstance(node, Choice) else 1
            else:
                return tuple(nodes)

    def _repeat(self, node: Node, least: int, most: int | None, weight: int) -> tuple[Repeat, int]:
        weight *= most or least or 1
        if weight > MAX_REPEATS:
            raise self.error(f"repetitions of repetitions come to {weight}, and {MAX_REPEATS} is the limit")
        self.synthesized += 1 if most is None else most - least
        return Repeat(node, least, most), weight

    def _count(self, nested: bool) -> tuple[int, int | None] | None:
        """How often the last node comes, at least and at most, if a repetition stands here."""
        count: tuple[int, int | None] | None = None
        if self._next("*"):
            count = 0, None
        elif self._next("+"):
            count = 1, None
        elif self._next("?"):
            count = 0, 1
        elif self._next("{"):
            count = self._counts(nested)
        self._space(nested)
        return count

    def _counts(self, nested: bool) -> tuple[int, int | None]:
        least = most = self._number(nested)
        if self._next(","):
            most = self._number(nested)
        if least is None or not self._next("}"):
            raise self.error("a repetition looks like {3}, {3,} or {3,5}")
        if least > MAX_REPEATS or (most or 0) >= 2**64:
            raise self.error(f"a repetition of {max(least, most or 0)} is above {MAX_REPEATS}")
        if most is not None and most < least:
            raise self.error(f"a repetition of at least {least} and at most {most}")
        return least, None if most is None or most > MAX_REPEATS else most

    def _number(self, nested: bool) -> int | None:
        self._space(nested)
        digits = self._take(NUMBER)
        self._space(nested)
        return int(digits[:30]) if digits else None

    def _node(self) -> Node | None:
        if self._next('"'):
            return self._literal()
        if self._next("["):
            return self._class()
        if self._next("."):
            return Characters(complement(UNWRITABLE))
        if self._next("("):
            return self._group()
        if self._next("<") or self._next("!"):
            raise self.error("token references (<...>) belong to one model; write the text instead")
        name = self._take(NAME)
        return self._reference(name) if name else None

    def _group(self) -> Choice:
        self.synthesized += 1
        self._space(nested=True)
        choice = self._choice(nested=True)
        if not self._next(")"):
            raise self.error(f"expected ) to close the parenthesis, found {self._ahead()}")
        return choice

    def _reference(self, name: str) -> Reference:
        self.names.add(name)
        reference = Reference(name, self._line())
        self.references.append((self.name, reference))
        return reference

    def _literal(self) -> Literal:
        opened = self._line()
        characters = []
        while not self._next('"'):
            code = self._character("literal", opened)
            if code > LAST_CHARACTER or any(low <= code <= high for low, high in UNWRITABLE):
                raise self.error(f"no text can hold the character U+{code:04X}")
            characters.append(chr(code))
        return Literal("".join(characters))

    def _class(self) -> Node:
        start, opened = self.at - 1, self._line()
        negated = self._next("^")
        ranges = []
        while not self._next("]"):
            low = high = self._character("class", opened)
            if self.text.startswith("-", self.at) and not self.text.startswith("-]", self.at):
                self.at += 1
                high = self._character("class", opened)
            ranges.append((low, high))
        if not ranges:
            return Literal("")
        admitted = complement((*(ranges if negated else complement(ranges)), *UNWRITABLE))
        if not admitted:
            raise self.error(f"{self.text[start : self.at]} admits no character")
        return Characters(admitted)

    def _character(self, where: str, opened: int) -> int:
        """The code point of the next character of the literal or class that was opened on that line."""
        character, letter = self.text[self.at : self.at + 1], self.text[self.at + 1 : self.at + 2]
        if not character or (character == "\\" and not letter):
            raise self.error(f"a {where} is not closed", line=opened)
        if character != "\\":
            self.at += 1
            return ord(character)
        self.at += 2
        if letter in HEX_DIGITS:
            return self._hexadecimal(letter)
        if letter not in ESCAPES:
            raise self.error(f"\\{letter} is not an escape (those are {KNOWN_ESCAPES})")
        return ord(ESCAPES[letter])

    def _hexadecimal(self, letter: str) -> int:
        digits = self.text[self.at : self.at + HEX_DIGITS[letter]]
        if len(digits) < HEX_DIGITS[letter] or not HEXADECIMAL.fullmatch(digits):
            raise self.error(f"\\{letter} takes {HEX_DIGITS[letter]} hexadecimal digits, found {digits!r}")
        self.at += len(digits)
        return int(digits, 16)

    def _rules_so_far(self) -> int:
        return len(self.names) + self.synthesized

    def _line(self) -> int:
        return self.first_line + self.text.count("\n", 0, self.at)

    def _ahead(self) -> str:
        return repr(self.text[self.at : self.at + 12]) if self.at < len(self.text) else "the end"

    def _space(self, nested: bool) -> None:
        self._take(LINES if nested else SPACE)

    def _take(self, pattern: regex.Pattern[str]) -> str:
        """What of the text ahead fits the pattern, as much as does; it is gone past."""
        found = pattern.match(self.text, self.at)
        self.at += len(found[0]) if found else 0
        return found[0] if found else ""

    def _next(self, characters: str) -> bool:
        """Whether exactly these come next; they are gone past if so."""
        found = self.text.startswith(characters, self.at)
        self.at += len(characters) if found else 0
        return found
