"""The vocabulary of a model: text to tokens, tokens to bytes, and which of them are never text.

vocabulary.tokens("Salt")      # [2, 65208]: the token that opens a prompt, and one for the word
vocabulary.pieces[65208]       # b"Salt"
"""

from __future__ import annotations

import ctypes
import re
from functools import cached_property, lru_cache
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from .cache import Tokens

OPENING = (*range(1, 128), *range(0xC2, 0xF5))  # the bytes that a character of UTF-8 can begin with


class Vocabulary:
    """`ends` are the tokens that end a text, `hidden` others that are never text; `parts` tells of each token whether
    it is less than whole characters."""

    def __init__(self, vocab: Any) -> None:
        """`vocab` is llama.cpp's own."""
        self.vocab = vocab
        self.size: int = llama.llama_vocab_n_tokens(vocab)
        hidden = (
            llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN | llama.LLAMA_TOKEN_ATTR_UNUSED
        )
        tokens = range(self.size)
        buffer = ctypes.create_string_buffer(4096)
        attributes = np.array([llama.llama_vocab_get_attr(vocab, token) for token in tokens])
        self.ends = np.array([token for token in tokens if llama.llama_vocab_is_eog(vocab, token)], np.int64)
        self.hidden = np.setdiff1d(np.flatnonzero(attributes & hidden), self.ends)
        self.pieces = []  # the bytes of each token; UTF-8 characters may be spread over several
        for token in tokens:
            length = llama.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, False)
            self.pieces.append(ctypes.string_at(buffer, max(length, 0)))
        self.parts = np.array([not (piece.isascii() or _is_whole(piece)) for piece in self.pieces])

    @property
    def bos(self) -> str:
        return self._marker(llama.llama_vocab_bos(self.vocab))

    @property
    def eos(self) -> str:
        return self._marker(llama.llama_vocab_eos(self.vocab))

    def _marker(self, token: int) -> str:
        text = llama.llama_vocab_get_text(self.vocab, token) if token >= 0 else b""
        return (text or b"").decode("utf-8", "replace")

    @cached_property
    def markers(self) -> re.Pattern[str]:
        """What llama.cpp takes for a special token when it may."""
        kinds = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
        control = [t for t in range(self.size) if llama.llama_vocab_get_attr(self.vocab, t) & kinds]
        texts = sorted({self._marker(token) for token in control} - {""}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, texts)) or r"(?!)")

    @cached_property
    def first_bytes(self) -> NDArray[np.uint8]:
        """The byte each token begins with; 255, which begins no character, for those that end the text."""
        first = np.array([piece[0] if piece else 0 for piece in self.pieces], np.uint8)
        first[self.ends] = 255
        return first

    @cached_property
    def single_bytes(self) -> NDArray[np.int64]:
        """A token for each byte that UTF-8 text can begin with, as far as there is one."""
        found = {self.pieces[t]: t for t in range(self.size) if len(self.pieces[t]) == 1}
        return np.array([found[bytes([b])] for b in OPENING if bytes([b]) in found])

    @lru_cache(maxsize=64)  # noqa: B019 - one model a process
    def tokens(self, text: str, special: bool = False, first: bool = True) -> Tokens:
        """`special`: markers such as <end_of_turn> are special tokens; `first`: the text opens a prompt, and gets
        the token that the model wants there. The result must not be written to."""
        data = text.encode("utf-8", "replace")  # a lone surrogate would end the process
        room = len(data) + 8
        out = (llama.llama_token * room)()
        count = llama.llama_tokenize(self.vocab, data, len(data), out, room, first, special)
        assert count >= 0, "a token is at least one byte long"
        return np.array(out[:count], np.int32)


def _is_whole(piece: bytes) -> bool:
    try:
        piece.decode()
    except UnicodeDecodeError:
        return False
    return True
