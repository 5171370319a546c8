"""What a cell shows of the step that it runs."""

import pytest

from generation_functions.engine import Completion
from generation_functions.progress import Latest, Meter, bundle
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
