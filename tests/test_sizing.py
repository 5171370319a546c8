"""How many tokens a model sees, and how many calls fit into memory."""

import re

import pytest

from generation_functions import sizing
from generation_functions.sizing import (
    CALLS_ON_CPU,
    CALLS_ON_GPU,
    USUAL_CALL,
    Room,
    RopeScaling,
    cores,
    fit_context,
    fit_room,
    free_memory,
)

GIB = 1 << 30
CELL = 18 << 10  # bytes, of gemma-3-270m


# Context


@pytest.mark.parametrize(
    ("asked", "trained", "rope", "tokens", "scale"),
    [
        (12000, 32768, RopeScaling(), 12000, 0),
        (12000, 4096, RopeScaling(), 4096, 0),
        (12000, 0, RopeScaling(), 12000, 0),
        (12000, 4096, RopeScaling(base=40000.0), 12000, 0),
        (12000, 4096, RopeScaling("linear", scale=0.25), 12000, 0.25),
        (12000, 4096, RopeScaling("yarn", scale=0.5), 8192, 0.5),
        (8192, 4096, RopeScaling("yarn"), 8192, 0.5),
        (12000, 32768, RopeScaling("yarn"), 12000, 1.0),
        (12000, 0, RopeScaling("linear"), 12000, 1.0),
        (12000, 0, RopeScaling("linear", scale=0.25), 12000, 0.25),
    ],
)
def test_the_context_is_what_was_trained_unless_positions_are_stretched(
    asked: int, trained: int, rope: RopeScaling, tokens: int, scale: float
) -> None:
    fit = fit_context(asked, trained, rope)
    assert (fit.tokens, fit.rope.scale, fit.rope.base) == (tokens, scale, rope.base)
    assert bool(fit.remark) == (tokens < asked or scale > 0)


def test_positions_are_stretched_as_asked() -> None:
    assert fit_context(8192, 4096, RopeScaling("yarn", 1e6, 0.5)).rope == RopeScaling("yarn", 1e6, 0.5)
    assert fit_context(8192, 4096, RopeScaling("none", 0.0, 0.5)).rope == RopeScaling()


def test_what_falls_short_says_what_was_asked_and_what_to_do() -> None:
    assert fit_context(12000, 4096, RopeScaling()).remark == (
        "asked for 12000; ROPE_SCALING yarn with ROPE_FREQ_SCALE 0.34 reaches it"
    )
    assert fit_context(12000, 4096, RopeScaling("yarn", scale=0.5)).remark == (
        "asked for 12000; a smaller ROPE_FREQ_SCALE reaches it"
    )
    assert fit_context(8192, 4096, RopeScaling("linear")).remark == "linear scaling 0.50"


@pytest.mark.parametrize("trained", [512, 2048, 4096, 8192, 32768, 131072])
@pytest.mark.parametrize("asked", [12000, 33000, 100_000, 1_000_000])
def test_the_scale_that_is_proposed_reaches_what_was_asked_for(asked: int, trained: int) -> None:
    if proposed := re.search(r"ROPE_FREQ_SCALE ([\d.]+)", fit_context(asked, trained, RopeScaling()).remark):
        assert fit_context(asked, trained, RopeScaling("yarn", scale=float(proposed[1]))).tokens == asked


@pytest.mark.parametrize("asked", [1, 513, 4097, 12000, 99_999])
def test_a_scale_of_0_reaches_what_was_asked_for(asked: int) -> None:
    for trained in (1, 511, 4096, 32768):
        assert fit_context(asked, trained, RopeScaling("linear")).tokens == asked


# Room


@pytest.mark.parametrize(
    ("context", "asked", "free", "on_gpu", "room"),
    [
        (12000, 0, 16 * GIB, False, Room(CALLS_ON_CPU, 12000 + 7 * USUAL_CALL)),
        (12000, 0, 80 * GIB, True, Room(CALLS_ON_GPU, 12000 + 31 * USUAL_CALL)),
        (12000, 1, 16 * GIB, False, Room(1, 12000)),
        (12000, 64, 16 * GIB, False, Room(64, 12000 + 63 * USUAL_CALL)),
        (12000, 0, (12000 + 3 * USUAL_CALL) * 2 * CELL, False, Room(4, 12000 + 3 * USUAL_CALL)),
        (12000, 0, (12000 + 3 * USUAL_CALL) * 2 * CELL - 1, False, Room(3, 12000 + 2 * USUAL_CALL)),
        (12000, 0, 12000 * CELL, False, Room(1, 12000)),
        (12000, 0, 0, True, Room(1, 12000)),
        (12000, 4, 14000 * 2 * CELL, False, Room(4, 14000)),
        (12000, 4, 0, False, Room(4, 12000)),
    ],
)
def test_calls_are_as_many_as_memory_has_room_for_or_as_were_asked(
    context: int, asked: int, free: int, on_gpu: bool, room: Room
) -> None:
    assert fit_room(context, asked, CELL, free, on_gpu) == room


def test_room_is_never_less_than_one_call_may_need_nor_more_than_half_of_memory_otherwise() -> None:
    for context in (1, 512, 12000, 131072):
        for asked in (0, 1, 2, 128):
            for free in (0, 1, GIB, 7 * GIB, 300 * GIB):
                for cell in (1, CELL, 1 << 20):
                    room = fit_room(context, asked, cell, free, False)
                    assert room.calls == asked or not asked and 1 <= room.calls <= CALLS_ON_CPU
                    assert room.cells == context or room.cells > context and room.cells * cell <= free / 2
                    assert room.calls > 1 or room.cells == context


# What the system has


def test_this_system_has_memory_and_a_core() -> None:
    assert free_memory() > 1 << 20
    assert cores() >= 1


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"/proc/meminfo": "MemTotal: 900 kB\nMemAvailable:     500 kB\nCached: 7 kB"}, 500 * 1024),
        ({"memory.max": "300000", "memory.current": "100000"}, 200_000),
        ({"memory.max": "300000", "memory.current": "300001"}, 0),
        ({"memory.max": "max", "memory.current": "100000"}, 500 * 1024),
        ({"memory.max": "9000000000", "memory.current": "1"}, 500 * 1024),
    ],
)
def test_free_memory_is_what_the_system_has_or_the_control_group_if_that_is_less(
    files: dict[str, str], free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = {"/proc/meminfo": "MemAvailable: 500 kB", **files}
    monkeypatch.setattr(sizing, "_read", lambda file: system.get(file.removeprefix("/sys/fs/cgroup/"), ""))
    assert free_memory() == free


def test_a_system_without_these_files_has_free_memory_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizing, "_read", lambda file: "")
    assert free_memory() > 1 << 20
