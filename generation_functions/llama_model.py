"""A GGUF model through llama.cpp's C API: load, tokens, evaluate, logits, memory, grammars.

    model = LlamaModel.load(Path("gemma.gguf"), settings)
    model.evaluate(tokens, at=0, last=True)
    model.logits()                       # one number for each token of the vocabulary; a view, not a copy

It runs in the child process only (see llama_child) and knows nothing of requests. One sequence is computed at a
time. Sequence WORKING is what is evaluated; sequence LOADED holds on to the cells of what was loaded, since
llama.cpp would otherwise write over those that a sliding window has left behind.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .prefixes import Tokens

WORKING, LOADED = 0, 1
ALL_LAYERS = 1_000_000
LOUD = 2  # ggml's log levels: 1 debug, 2 info, 3 warning, 4 error, 5 continues the line before
MANY = 256  # candidates from which on it pays to ask about first bytes before asking the grammar
OPENING = (*range(1, 128), *range(0xC2, 0xF5))  # the bytes that a character of UTF-8 can begin with

TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


@dataclass(frozen=True, slots=True)
class Context:
    """How many tokens the model sees, and how its positions are stretched for that; `remark` for people."""

    tokens: int
    rope_type: int = llama.LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED
    rope_base: float = 0.0  # 0: the model's own, also for rope_scale
    rope_scale: float = 0.0
    remark: str = ""


def fit_context(asked: int, trained: int, kind: str, base: float, scale: float) -> Context:
    """The context for a model trained on `trained` tokens (0: it does not say); `kind` none, linear or yarn.

    Without stretching nobody gets more than was trained. With it, a scale of 0 is taken as just enough.
    """
    if kind == "none":
        if not trained or asked <= trained or base:
            return Context(asked, rope_base=base)
        remark = f"asked for {asked}; ROPE_SCALING yarn with ROPE_FREQ_SCALE {trained / asked:.2f} reaches it"
        return Context(trained, remark=remark)
    types = {"linear": llama.LLAMA_ROPE_SCALING_TYPE_LINEAR, "yarn": llama.LLAMA_ROPE_SCALING_TYPE_YARN}
    scale = scale or (min(1.0, trained / asked) if trained else 1.0)
    reached = min(asked, round(trained / scale)) if trained else asked
    remark = f"asked for {asked}; a smaller ROPE_FREQ_SCALE reaches it" if reached < asked else ""
    return Context(reached, types[kind], base, scale, remark or f"{kind} scaling {scale:.2f}")


class LlamaModel:
    """A loaded model with one context. Not for use from several threads."""

    def __init__(self, model: Any, context: Any, fit: Context) -> None:
        self._model, self._context, self.fit = model, context, fit
        self._vocab = llama.llama_model_get_vocab(model)
        self._memory = llama.llama_get_memory(context)
        self._batch = _Batch(llama.llama_n_batch(context))
        self.trained_on: int = llama.llama_model_n_ctx_train(model)
        self.size: int = llama.llama_vocab_n_tokens(self._vocab)
        self._read_vocabulary()

    @classmethod
    def load(
        cls,
        path: Path,
        *,
        context: int,
        rope: tuple[str, float, float],
        gpu_layers: int,
        threads: int,
        batch: int,
    ) -> LlamaModel:
        """Read the file and make the context. Raises EngineError; what llama.cpp says goes to stderr."""
        llama.llama_log_set(_log, ctypes.c_void_p(0))
        llama.llama_backend_init()
        settings = llama.llama_model_default_params()
        settings.n_gpu_layers = gpu_layers if gpu_layers >= 0 else ALL_LAYERS
        model = llama.llama_model_load_from_file(os.fsencode(path), settings)
        if not model:
            raise EngineError(
                f"llama.cpp cannot load {path.name}", hint="is the file complete, and its kind known?"
            )
        fit = fit_context(context, llama.llama_model_n_ctx_train(model), *rope)
        made = llama.llama_init_from_model(model, _context_settings(fit, threads or cores(), batch))
        if not made:
            raise EngineError(
                f"no room for a context of {fit.tokens} tokens",
                hint="a smaller LOCAL.CONTEXT needs less memory",
            )
        return cls(model, made, fit)

    # What the file says

    def about(self, key: str) -> str:
        """The file's metadata under a key, "" when it has none. Shortened to 1,000 characters."""
        text = ctypes.create_string_buffer(1000)
        found = llama.llama_model_meta_val_str(self._model, key.encode(), text, len(text))
        return text.value.decode("utf-8", "replace") if found > 0 else ""

    @property
    def chat_template(self) -> str:
        return (llama.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")

    @property
    def bos(self) -> str:
        return self._marker(llama.llama_vocab_bos(self._vocab))

    @property
    def eos(self) -> str:
        return self._marker(llama.llama_vocab_eos(self._vocab))

    def _marker(self, token: int) -> str:
        text = llama.llama_vocab_get_text(self._vocab, token) if token >= 0 else b""
        return (text or b"").decode("utf-8", "replace")

    # Tokens

    def _read_vocabulary(self) -> None:
        hidden = (
            llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN | llama.LLAMA_TOKEN_ATTR_UNUSED
        )
        tokens = range(self.size)
        vocab, buffer = self._vocab, ctypes.create_string_buffer(4096)
        attributes = np.array([llama.llama_vocab_get_attr(vocab, token) for token in tokens])
        self.ends = np.array([token for token in tokens if llama.llama_vocab_is_eog(vocab, token)], np.int64)
        self.hidden = np.setdiff1d(np.flatnonzero(attributes & hidden), self.ends)
        self.pieces = []  # the bytes of each token; UTF-8 characters may be spread over several
        for token in tokens:
            length = llama.llama_token_to_piece(vocab, token, buffer, len(buffer), 0, False)
            self.pieces.append(ctypes.string_at(buffer, max(length, 0)))

    @cached_property
    def markers(self) -> re.Pattern[str]:
        """What llama.cpp takes for a special token when it may."""
        kinds = llama.LLAMA_TOKEN_ATTR_CONTROL | llama.LLAMA_TOKEN_ATTR_UNKNOWN
        control = [t for t in range(self.size) if llama.llama_vocab_get_attr(self._vocab, t) & kinds]
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
        return np.array(
            [found[bytes([b])] for b in (*range(1, 128), *range(0xC2, 0xF5)) if bytes([b]) in found]
        )

    @lru_cache(maxsize=64)  # noqa: B019 - one model a process
    def tokens(self, text: str, special: bool = False, first: bool = True) -> Tokens:
        """`special`: markers such as <end_of_turn> are special tokens; `first`: the text opens a prompt, and gets
        the token that the model wants there. The result must not be written to."""
        data = text.encode("utf-8", "replace")  # a lone surrogate would end the process
        room = len(data) + 8
        out = (llama.llama_token * room)()
        count = llama.llama_tokenize(self._vocab, data, len(data), out, room, first, special)
        assert count >= 0, "a token is at least one byte long"
        return np.array(out[:count], np.int32)

    # The memory, as prefixes.Memory wants it

    def clear(self) -> None:
        llama.llama_memory_clear(self._memory, False)

    def cut(self, length: int) -> bool:
        return bool(llama.llama_memory_seq_rm(self._memory, WORKING, length, -1))

    def save(self) -> Any | None:
        size = llama.llama_state_seq_get_size(self._context, WORKING)
        saved = (ctypes.c_uint8 * size)()
        return saved if llama.llama_state_seq_get_data(self._context, saved, size, WORKING) else None

    def restore(self, saved: Any) -> bool:
        if not llama.llama_state_seq_set_data(self._context, saved, len(saved), LOADED):
            return False
        llama.llama_memory_seq_cp(self._memory, LOADED, WORKING, -1, -1)
        return True

    def evaluate(self, tokens: Tokens, at: int, last: bool) -> None:
        """Read at most `batch` tokens that stand at `at`; with `last`, logits() is then about what comes next."""
        code = llama.llama_decode(self._context, self._batch.filled(tokens, at, last))
        if code:
            raise RuntimeError(f"llama_decode gave {code} for {len(tokens)} tokens at {at}")

    def logits(self) -> NDArray[np.float32]:
        """For the token after the last one; valid until the next evaluate. Tokens that are never text are out."""
        pointer = llama.llama_get_logits_ith(self._context, -1)
        logits = np.ctypeslib.as_array(pointer, (self.size,))
        logits[self.hidden] = -np.inf
        return logits


def _context_settings(fit: Context, threads: int, batch: int) -> Any:
    settings = llama.llama_context_default_params()
    settings.n_ctx = fit.tokens
    settings.n_batch = settings.n_ubatch = batch
    settings.n_threads = settings.n_threads_batch = threads
    settings.n_seq_max = 2
    settings.kv_unified = True  # so that the two sequences can share cells
    settings.swa_full = True  # or what has left a sliding window could not be cut back to
    settings.rope_scaling_type = fit.rope_type
    settings.rope_freq_base, settings.rope_freq_scale = fit.rope_base, fit.rope_scale
    return settings


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@llama.llama_log_callback
def _log(level: int, text: bytes, user_data: Any) -> None:
    if level >= LOUD:
        sys.stderr.write(text.decode("utf-8", "replace"))


class _Batch:
    """llama.cpp's batch, filled again for each evaluation."""

    def __init__(self, room: int) -> None:
        self._batch = llama.llama_batch_init(room, 0, 1)
        self._token = np.ctypeslib.as_array(self._batch.token, (room,))
        self._position = np.ctypeslib.as_array(self._batch.pos, (room,))
        self._wanted = np.ctypeslib.as_array(self._batch.logits, (room,))
        for index in range(room):
            self._batch.n_seq_id[index] = 1
            self._batch.seq_id[index][0] = WORKING

    def filled(self, tokens: Tokens, at: int, last: bool) -> Any:
        count = len(tokens)
        self._token[:count] = tokens
        self._position[:count] = np.arange(at, at + count)
        self._wanted[:count] = 0
        self._wanted[count - 1] = last
        self._batch.n_tokens = count
        return self._batch


class GrammarState:
    """What may be written next under a GBNF grammar; one for each call, ended by close()."""

    def __init__(self, model: LlamaModel, text: str) -> None:
        """Raises EngineError for a grammar that llama.cpp refuses."""
        self._model = model
        self._state = llama.llama_sampler_init_grammar(model._vocab, text.encode(), b"root")
        if not self._state:
            raise EngineError("llama.cpp refuses the grammar", hint=text[:500])
        self._data = np.zeros(model.size, TOKEN_DATA)
        self._starts: NDArray[np.bool_] | None = None  # by byte: can what comes next begin with it?

    def allows(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each token, whether it may come next. Those that end the text may where a sentence is complete."""
        if len(tokens) <= MANY:
            return self._ask(tokens)
        allowed = self._first_bytes_allowed()[self._model.first_bytes[tokens]]
        allowed[allowed] = self._ask(tokens[allowed])
        return allowed

    def accept(self, token: int) -> None:
        """Go on behind an allowed token."""
        llama.llama_sampler_accept(self._state, token)
        self._starts = None

    def is_finished(self) -> bool:
        """Whether the text is a whole sentence of the grammar to which nothing can be added."""
        if not self._ask(self._model.ends).any():
            return False
        single = self._model.single_bytes
        return len(single) == len(OPENING) and not self._ask(single).any()

    def close(self) -> None:
        llama.llama_sampler_free(self._state)

    def _first_bytes_allowed(self) -> NDArray[np.bool_]:
        """A token can only come next if its first byte can. Asked for ASCII alone, where a byte is a character."""
        if self._starts is None:
            single = self._model.single_bytes
            first = self._model.first_bytes[single]
            ascii_ = first < 128
            self._starts = np.ones(256, np.bool_)
            self._starts[first[ascii_]] = self._ask(single[ascii_])
        return self._starts

    def _ask(self, tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
        data = self._data[: len(tokens)]
        data["id"], data["logit"] = tokens, 0
        pointer = data.ctypes.data_as(llama.llama_token_data_p)
        array = llama.llama_token_data_array(pointer, len(tokens), -1, False)
        llama.llama_sampler_apply(self._state, ctypes.byref(array))
        return data["logit"] == 0
