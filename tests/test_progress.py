"""What a cell shows of the step that it runs."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from generation_functions import progress
from generation_functions.engine import Completion
from generation_functions.progress import Latest, Meter, bundle, display_progress
from generation_functions.records import Ledger
from generation_functions.step import Pause, Progress


def test_what_calls_came_to_is_said_with_their_speed() -> None:
    meter = Meter()
    meter.add(Completion("", "stop", prompt_tokens=100, cached_tokens=0, completion_tokens=1000))
    before = Meter(1, 100, 0, 1000)
    assert meter.since(before, 10.0) == ""
    meter.add(Completion("", "stop", prompt_tokens=300, cached_tokens=150, completion_tokens=40))
    meter.add(Completion("", "stop", prompt_tokens=100, cached_tokens=150, completion_tokens=60))
    assert meter.since(before, 10.0) == "2 calls, 10 tokens/s, 75% of the prompts' tokens from the cache"
    assert meter.since(before, 0.1) == "2 calls, 75% of the prompts' tokens from the cache"


def test_a_step_shows_a_bar_until_it_ends_in_one_line() -> None:
    running = bundle(Progress("vet", 4, 8, 2, Ledger(kept=4, pending=4), 10.0, "<loading>"))
    assert "<progress value='4' max='8'" in running["text/html"]
    assert "&lt;loading&gt;" in running["text/html"]
    ended = Progress("vet", 8, 8, 2, Ledger(kept=8), 10.0)
    assert bundle(ended) == {"text/plain": str(ended)}


def test_a_wish_to_pause_is_shown_at_once_and_only_once() -> None:
    heard: list[Progress] = []
    pause = Pause()
    latest = Latest(heard.append, pause=pause)
    latest.hear(Progress("vet", 4, 8, 2, Ledger(kept=4, pending=4), 10.0))
    latest.show()
    pause.requested = True
    latest.show()
    latest.show()
    assert [progress.pausing for progress in heard] == [False, True]
    assert str(heard[-1]) == (
        "vet: pausing at 4 of 8, when what is in flight is done; stop once more to end at once"
    )


def test_what_came_too_soon_after_the_last_is_shown_later(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("generation_functions.progress.time.monotonic", lambda: now)
    heard: list[Progress] = []
    latest = Latest(heard.append)
    for done in (1, 2):
        latest.hear(Progress("vet", done, 8, done, Ledger(kept=done, pending=8 - done), 10.0))
        latest.show()
    assert [progress.done for progress in heard] == [1]
    now += 0.6
    latest.show()
    assert [progress.done for progress in heard] == [1, 2]


class Cell:
    """A running cell: what it shows now, an output for each that was displayed."""

    def __init__(self) -> None:
        self.outputs: list[dict[str, str]] = []

    def display(self, data: dict[str, str], **how: object) -> "Output":
        self.outputs.append(data)
        return Output(self, len(self.outputs) - 1)


@dataclass
class Output:
    cell: Cell
    place: int

    def update(self, data: dict[str, str], **how: object) -> None:
        self.cell.outputs[self.place] = data


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Cell:
    cell, shell = Cell(), SimpleNamespace(kernel=None, execution_count=1)
    monkeypatch.setattr(progress, "get_ipython", lambda: shell)
    monkeypatch.setattr(progress, "display", cell.display)
    return cell


def test_a_model_that_is_loaded_shows_how_far_it_is(cell: Cell) -> None:
    report = display_progress()
    for done in ("loading gemma.gguf: 10%", "loading gemma.gguf: 90%"):
        report(Progress("small model", 0, 0, 0, Ledger(), 0.0, done))
    (output,) = cell.outputs
    assert output["text/plain"] == "small model: loading gemma.gguf: 90%"
    assert "<progress  style" in output["text/html"]


def test_a_step_with_nothing_to_do_shows_nothing(cell: Cell) -> None:
    display_progress()(Progress("vet", 8, 8, 0, Ledger(kept=8), 0.0))
    assert cell.outputs == []


def test_a_step_that_was_stopped_leaves_one_line_without_a_bar(cell: Cell) -> None:
    pause = Pause()
    latest = Latest(display_progress(), pause=pause)
    latest.hear(Progress("vet", 4, 8, 2, Ledger(kept=4, pending=4), 10.0))
    latest.show()
    pause.requested = True
    latest.show()
    latest.end()
    (output,) = cell.outputs
    assert output == {"text/plain": "vet: 4 of 8 done (8 in: 4 kept, 0 rejected, 0 failed, 4 pending)"}


def test_a_step_that_ended_is_not_said_to_end_again() -> None:
    heard: list[Progress] = []
    latest = Latest(heard.append)
    latest.hear(Progress("vet", 8, 8, 2, Ledger(kept=8), 10.0))
    latest.show()
    latest.end()
    assert len(heard) == 1
