"""A GGUF model through llama.cpp's C API: load, tokens, evaluate, logits, memory, grammars.

    model = LlamaModel.load(Path("gemma.gguf"), settings)
    model.evaluate([Portion(sequence=0, tokens=[2, 818], at=0, wanted=True)])
    model.logits(0)                      # one number for each token of the vocabulary; a view, not a copy

It runs in the child process only (see llama_child) and knows nothing of requests.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as llama
import numpy as np
from numpy.typing import NDArray

from .errors import EngineError
from .llama_grammar import GrammarState
from .llama_vocabulary import Vocabulary
from .scheduler import Portion
from .sizing import Context, KvType, Room, Settings, cores, fit_context, fit_room, free_memory

ALL_LAYERS = 1_000_000
KEPT = 24  # sequences for what is kept of calls that have ended: the stages' beginnings and the last texts
ROPE_TYPES = {
    "none": llama.LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED,
    "linear": llama.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    "yarn": llama.LLAMA_ROPE_SCALING_TYPE_YARN,
}
KV_TYPES = {"f16": llama.GGML_TYPE_F16, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}
FLASH_ATTENTION = {
    None: llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
    False: llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    True: llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}
GPU_DEVICE = 1  # of ggml's kinds of devices: 0 CPU, 1 GPU, 2 integrated GPU, 3 accelerator
LOUD = 2  # ggml's log levels: 1 debug, 2 info, 3 warning, 4 error, 5 continues the line before


class LlamaModel:
    """A loaded model with one context. Not for use from several threads."""

    def __init__(self, model: Any, context: Any, fit: Context, room: Room) -> None:
        self._model, self._context, self.fit, self.room = model, context, fit, room
        self.vocabulary = Vocabulary(llama.llama_model_get_vocab(model))
        self.pieces, self.parts = self.vocabulary.pieces, self.vocabulary.parts
        self.ends = self.vocabulary.ends
        self._memory = llama.llama_get_memory(context)
        self._batch = _Batch(llama.llama_n_batch(context))
        self._rows: list[int] = []
        self.trained_on: int = llama.llama_model_n_ctx_train(model)
        self.shares: bool = not (llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model))

    @classmethod
    def load(
        cls, path: Path, settings: Settings, progress: Callable[[float], None] = lambda part: None
    ) -> LlamaModel:
        """Read the file and make the context. Raises EngineError; what llama.cpp says goes to stderr.

        `progress` hears how much has been read, from 0 to 1.
        """

        @llama.llama_progress_callback
        def hear(part: float, _: Any) -> bool:
            progress(part)
            return True

        llama.llama_log_set(_log, ctypes.c_void_p(0))
        llama.llama_backend_init()
        how = llama.llama_model_default_params()
        how.n_gpu_layers = settings.gpu_layers if settings.gpu_layers >= 0 else ALL_LAYERS
        how.progress_callback = hear
        model = llama.llama_model_load_from_file(os.fsencode(path), how)
        if not model:
            raise EngineError(
                f"llama.cpp cannot load {path.name}", hint="is the file complete, and its kind known?"
            )
        fit = fit_context(settings.context, llama.llama_model_n_ctx_train(model), settings.rope)
        gpu_bytes = _free_on_gpu() if settings.gpu_layers else 0
        room = fit_room(
            fit.tokens,
            settings.sequences,
            _cell_bytes(model, settings.kv_type),
            gpu_bytes or free_memory() - llama.llama_model_size(model),  # the file is mapped, not yet read
            bool(gpu_bytes),
        )
        made = llama.llama_init_from_model(model, _context_settings(settings, fit, room))
        if not made:
            raise EngineError(
                f"no room for a context of {fit.tokens} tokens",
                hint="a smaller LOCAL.CONTEXT or LOCAL.SEQUENCES needs less memory",
            )
        return cls(model, made, fit, room)

    # What the file says

    def about(self, key: str) -> str:
        """The file's metadata under a key, "" when it has none. Shortened to 1,000 characters."""
        return _about(self._model, key)

    @property
    def chat_template(self) -> str:
        return (llama.llama_model_chat_template(self._model, None) or b"").decode("utf-8", "replace")

    # The memory and the model, as the scheduler wants them

    def copy(self, source: int, target: int, length: int) -> None:
        llama.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def cut(self, sequence: int, length: int) -> None:
        if not llama.llama_memory_seq_rm(self._memory, sequence, length or -1, -1):
            raise RuntimeError(f"sequence {sequence} cannot be cut to {length} tokens")

    def evaluate(self, portions: Sequence[Portion]) -> None:
        """Read the portions, at most `portion` tokens together."""
        self._rows = self._batch.fill(portions)
        code = llama.llama_decode(self._context, self._batch.raw)
        if code:
            raise RuntimeError(f"llama_decode gave {code} for {portions}"[:500])

    def logits(self, portion: int) -> NDArray[np.float32]:
        """For the token after a portion of the last evaluation; valid until the next. Tokens that are never text
        are out."""
        pointer = llama.llama_get_logits_ith(self._context, self._rows[portion])
        logits = np.ctypeslib.as_array(pointer, (self.vocabulary.size,))
        logits[self.vocabulary.hidden] = -np.inf
        return logits

    def grammar(self, text: str) -> GrammarState:
        return GrammarState(self.vocabulary, text)


def _context_settings(settings: Settings, fit: Context, room: Room) -> Any:
    how = llama.llama_context_default_params()
    how.n_ctx = room.cells
    how.n_batch = how.n_ubatch = settings.batch
    how.n_threads = how.n_threads_batch = settings.threads or cores()
    how.n_seq_max = room.calls + KEPT if room.calls > 1 else 1
    how.kv_unified = True  # so that sequences can share cells
    how.swa_full = True  # or what has left a sliding window could not be cut back to
    how.type_k = how.type_v = KV_TYPES[settings.kv_type]
    how.flash_attn_type = FLASH_ATTENTION[settings.flash_attention]
    how.rope_scaling_type = ROPE_TYPES[fit.rope.kind]
    how.rope_freq_base, how.rope_freq_scale = fit.rope.base, fit.rope.scale
    return how


def _cell_bytes(model: Any, kv_type: KvType) -> int:
    """What the keys and values of one token take in all layers."""
    arch = _about(model, "general.architecture")
    head = llama.llama_model_n_embd(model) // max(1, llama.llama_model_n_head(model))
    lengths = [_about(model, f"{arch}.attention.{name}_length") for name in ("key", "value")]
    numbers = sum(int(length) if length.isdigit() else head for length in lengths)
    numbers *= llama.llama_model_n_layer(model) * llama.llama_model_n_head_kv(model)
    return max(1, round(numbers * {"f16": 2, "q8_0": 34 / 32, "q4_0": 18 / 32}[kv_type]))


def _about(model: Any, key: str) -> str:
    text = ctypes.create_string_buffer(1000)
    found = llama.llama_model_meta_val_str(model, key.encode(), text, len(text))
    return text.value.decode("utf-8", "replace") if found > 0 else ""


def _free_on_gpu() -> int:
    """Bytes free on all GPUs together; 0 where there is none or the build does not use them."""
    if not llama.llama_supports_gpu_offload():
        return 0
    ggml, total = llama._lib, 0
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p, *[ctypes.POINTER(ctypes.c_size_t)] * 2]
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    for number in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(number)
        if ggml.ggml_backend_dev_type(device) == GPU_DEVICE:
            free, all_of_it = ctypes.c_size_t(), ctypes.c_size_t()
            ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(all_of_it))
            total += free.value
    return total


@llama.llama_log_callback
def _log(level: int, text: bytes, user_data: Any) -> None:
    if level >= LOUD:
        sys.stderr.write(text.decode("utf-8", "replace"))


class _Batch:
    """llama.cpp's batch over arrays of our own, filled again for each evaluation."""

    def __init__(self, room: int) -> None:
        self._token, self._position = np.zeros(room, np.int32), np.zeros(room, np.int32)
        self._sequence, self._ones = np.zeros(room, np.int32), np.ones(room, np.int32)
        self._wanted = np.zeros(room, np.int8)
        each = self._sequence.ctypes.data + 4 * np.arange(room, dtype=np.uintp)
        self._sequences = np.ascontiguousarray(each)  # an address for each token
        self.raw = llama.llama_batch(
            0,
            self._token.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            None,
            self._position.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._ones.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)),
            self._sequences.ctypes.data_as(ctypes.POINTER(ctypes.POINTER(ctypes.c_int32))),
            self._wanted.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )

    def fill(self, portions: Sequence[Portion]) -> list[int]:
        """Gives the row of each portion's last token."""
        rows, end = [], 0
        for portion in portions:
            start, end = end, end + len(portion.tokens)
            self._token[start:end] = portion.tokens
            self._position[start:end] = np.arange(portion.at, portion.at + len(portion.tokens))
            self._sequence[start:end] = portion.sequence
            self._wanted[start:end] = 0
            self._wanted[end - 1] = portion.wanted
            rows.append(end - 1)
        self.raw.n_tokens = end
        return rows
