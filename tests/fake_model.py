"""A model that holds the tokens themselves, and refuses whatever a real one could not do.

    model = FakeModel(cells=500)
    model.evaluate([Portion(sequence=0, tokens=[7, 4, 11], at=0, wanted=True)])
    model.logits(0)                  # depends on all tokens of the sequence: any mix-up of two changes what is written
    model.held                       # 3: a cell for each token that some sequence holds

Its tokens are the letters, a space, a line break, and two that end a text. Its grammars are letters, a length and
whatever else is allowed, "abcdef 5": five tokens out of these; "?" is one that it refuses.
"""

import random
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from generation_functions.errors import EngineError
from generation_functions.sampler import draw
from generation_functions.scheduler import Call, Portion

PIECES = [bytes([letter]) for letter in b"abcdefghijklmnopqrstuvwxyz \n"] + [b"", b""]
ENDS = (28, 29)
END_BIAS = 1.0  # logits that an end is less likely than a letter: texts of some 40 tokens


class FakeModel:
    """`drifts`: the logits also tell in which portions the tokens were evaluated, as a real model's do in their last
    digits. Without `shares` a sequence can only be forgotten whole."""

    pieces = PIECES
    parts = np.zeros(len(PIECES), np.bool_)
    ends = np.array(ENDS, np.int64)

    def __init__(
        self, cells: int, *, portion: int = 10_000, drifts: bool = False, shares: bool = True
    ) -> None:
        self._cells, self._portion, self._drifts, self._shares = cells, portion, drifts, shares
        self._sequences: dict[
            int, list[tuple[int, int, int, int]]
        ] = {}  # cell, token, and its portion: at, length
        self._holders = Counter[int]()
        self._made = 0
        self._last: Sequence[Portion] = ()
        self.portions: list[list[Portion]] = []  # of each evaluation
        self.grammars: list[FakeGrammar] = []

    # The memory

    def copy(self, source: int, target: int, length: int) -> None:
        assert self._shares, "this memory cannot be copied"
        assert not self.tokens(target), f"{target} is not empty"
        assert 0 < length <= len(self.tokens(source)), f"{source} holds less than {length} tokens"
        self._sequences[target] = self._sequences[source][:length]
        self._holders.update(cell for cell, *_ in self._sequences[target])

    def cut(self, sequence: int, length: int) -> None:
        assert self._shares or not length, "this memory can only be forgotten whole"
        assert length <= len(self.tokens(sequence)), f"{sequence} holds less than {length} tokens"
        self._holders.subtract(cell for cell, *_ in self._sequences[sequence][length:])
        self._holders += Counter()  # forgets those that nobody holds
        del self._sequences[sequence][length:]

    def tokens(self, sequence: int) -> list[int]:
        return [token for _, token, *_ in self._sequences.get(sequence, [])]

    @property
    def held(self) -> int:
        return len(self._holders)

    def held_by(self, sequences: Sequence[int]) -> int:
        """The cells that these sequences hold together."""
        return len({cell for number in sequences for cell, *_ in self._sequences.get(number, [])})

    # Evaluating

    def evaluate(self, portions: Sequence[Portion]) -> None:
        assert portions, "nothing to evaluate"
        assert sum(len(portion.tokens) for portion in portions) <= self._portion
        assert len({portion.sequence for portion in portions}) == len(portions)
        for portion in portions:
            assert portion.tokens, "a portion without tokens"
            held = self._sequences.setdefault(portion.sequence, [])
            assert portion.at == len(held), f"{portion} follows {len(held)} tokens"
            for token in portion.tokens:
                self._made += 1
                self._holders[self._made] = 1
                held.append((self._made, token, portion.at, len(portion.tokens)))
        assert self.held <= self._cells, f"{self.held} of {self._cells} cells"
        self._last = portions
        self.portions.append(list(portions))

    @property
    def read(self) -> int:
        """How many tokens have been evaluated."""
        return sum(len(portion.tokens) for portions in self.portions for portion in portions)

    def logits(self, portion: int) -> np.ndarray:
        assert self._last[portion].wanted
        held = self._sequences[self._last[portion].sequence]
        return logits_after([row[1:] if self._drifts else row[1] for row in held])

    # Grammars

    def grammar(self, text: str) -> "FakeGrammar":
        if text == "?":
            raise EngineError("the fake refuses the grammar")
        self.grammars.append(FakeGrammar(text))
        return self.grammars[-1]


class FakeGrammar:
    def __init__(self, text: str) -> None:
        letters, length = text.rsplit(" ", 1)
        self._letters = np.array([bool(p) and p.decode() in letters for p in PIECES])
        self._left = int(length)
        self.is_open = True

    def allows(self, tokens: np.ndarray) -> np.ndarray:
        assert self.is_open
        return self._letters[tokens]

    def accept(self, token: int) -> None:
        assert self.is_open and self._letters[token] and self._left
        self._left -= 1

    def is_finished(self) -> bool:
        assert self.is_open
        return not self._left

    def close(self) -> None:
        assert self.is_open, "closed twice"
        self.is_open = False


def logits_after(tokens: Sequence[int] | Sequence[tuple[int, ...]]) -> np.ndarray:
    """What may follow: another thing after each row of tokens."""
    known = np.random.default_rng(zlib.crc32(np.array(tokens, np.int32).tobytes()))
    logits = known.normal(0, 2, len(PIECES)).astype(np.float32)
    logits[list(ENDS)] -= END_BIAS
    return logits


def text_alone(call: Call) -> tuple[str, str]:
    """A call's text and how it ended, written token by token without cache or scheduler."""
    tokens, text, rng = call.prompt.tokens.tolist(), "", random.Random(call.seed)
    grammar = FakeGrammar(call.grammar) if call.grammar else None
    for _ in range(call.sampling.max_tokens):
        allowed = grammar.allows if grammar else lambda tokens: np.ones(len(tokens), np.bool_)
        token = draw(logits_after(tokens), allowed, call.sampling, rng.random())
        assert token is not None
        if token in ENDS:
            return text, "stop"
        tokens.append(token)
        text += PIECES[token].decode()
        if ends := [at for stop in call.stop if (at := text.find(stop.decode())) >= 0]:
            return text[: min(ends)], "stop"
        if grammar:
            grammar.accept(token)
            if grammar.is_finished():
                return text, "stop"
    return text, "length"
