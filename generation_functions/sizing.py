"""How a local model is set up: how many tokens it sees, how many calls it computes at once, in how much memory.

    context 12000 tokens, 8 calls at once in 26336 cells (462 MiB of 18 KiB each)

Knows nothing of llama.cpp: numbers go in and come out. It reads how much memory the system has left.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

CALLS_ON_CPU = 8  # two cores and gemma-3-270m: 62 tokens a second for one, 109 for 4, 143 for 8
CALLS_ON_GPU = 32
USUAL_CALL = 2048  # tokens that a call takes for itself, with room for what is kept of others
SHARE_OF_MEMORY = 0.5  # of what is free; the rest is for evaluating and for the system

GROUP = "/sys/fs/cgroup"

KvType = Literal["f16", "q8_0", "q4_0"]


@dataclass(frozen=True, slots=True)
class RopeScaling:
    """How positions are stretched to see more tokens than the model was trained on.

    `scale` is trained length / context (0.33: three times as many), 0 for as much as the context needs; `base`
    replaces the model's own frequency base, 0 leaves it.
    """

    kind: Literal["none", "linear", "yarn"] = "none"
    base: float = 0.0
    scale: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What may be chosen for a model.

    `context` is in tokens, for one call; `sequences` is how many calls are computed at once, 0 for what suits the
    machine. `gpu_layers` -1 puts all on the GPU where there is one; `threads` 0 is one for each core; `batch`
    tokens are evaluated at once. `completion_mode` None asks instruct models through their chat template and others
    in the completion form.
    """

    context: int = 12000
    rope: RopeScaling = field(default_factory=RopeScaling)
    sequences: int = 0
    gpu_layers: int = -1
    threads: int = 0
    batch: int = 512
    flash_attention: bool | None = None  # None: where llama.cpp can
    kv_type: KvType = "f16"
    completion_mode: bool | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """How many tokens the model sees, and how its positions are stretched for that; `remark` for people.

    A base or scale of 0 is the model's own.
    """

    tokens: int
    rope: RopeScaling = field(default_factory=RopeScaling)
    remark: str = ""


def fit_context(asked: int, trained: int, rope: RopeScaling) -> Context:
    """The context for a model trained on `trained` tokens (0: it does not say).

    Without stretching nobody gets more than was trained. With it, a scale of 0 is taken as just enough.
    """
    if rope.kind == "none":
        if not trained or asked <= trained or rope.base:
            return Context(asked, RopeScaling(base=rope.base))
        scale = math.floor(100 * trained / asked) / 100
        remark = f"asked for {asked}; ROPE_SCALING yarn with ROPE_FREQ_SCALE {scale:.2f} reaches it"
        return Context(trained, remark=remark)
    scale = rope.scale or (min(1.0, trained / asked) if trained else 1.0)
    reached = min(asked, round(trained / scale)) if trained else asked
    remark = f"asked for {asked}; a smaller ROPE_FREQ_SCALE reaches it" if reached < asked else ""
    made = RopeScaling(rope.kind, rope.base, scale)
    return Context(reached, made, remark or f"{rope.kind} scaling {scale:.2f}")


@dataclass(frozen=True, slots=True)
class Room:
    """`calls` are computed at once, and `cells` tokens of them and of what is kept fit into memory."""

    calls: int
    cells: int


def fit_room(context: int, asked: int, cell_bytes: int, free_bytes: int, on_gpu: bool) -> Room:
    """Room for `asked` calls (0: what suits the machine), each of the usual length and one of the whole context.

    Where memory is short there are fewer calls, or if their number was asked for fewer cells, but never fewer than
    `context`: a call may have to wait until others make room. One call gets no more than it needs.
    """
    calls = asked or (CALLS_ON_GPU if on_gpu else CALLS_ON_CPU)
    affordable = int(free_bytes * SHARE_OF_MEMORY / cell_bytes)
    if not asked:
        calls = max(1, min(calls, 1 + (affordable - context) // USUAL_CALL))
    wanted = context + (calls - 1) * USUAL_CALL
    return Room(calls, max(context, min(wanted, affordable)))


def free_memory() -> int:
    """Bytes that this process may still take: what the system has available, or its control group if that is less."""
    free = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            free = [int(rest.split()[0]) * 1024]
    limit, used = _read(f"{GROUP}/memory.max"), _read(f"{GROUP}/memory.current")
    if limit.isdigit() and used.isdigit():
        found = re.search(r"^inactive_file (\d+)$", _read(f"{GROUP}/memory.stat"), re.MULTILINE)
        files = int(found[1]) if found else 0  # copies of files, which count as used and can be dropped
        free.append(max(0, int(limit) - int(used) + files))
    return min(free)


def _read(file: str) -> str:
    try:
        return Path(file).read_text().strip()
    except OSError:
        return ""


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
