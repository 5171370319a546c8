"""A run that is killed or interrupted anywhere goes on where it stopped, to the same datasets, and buys nothing twice.

The moments are counted by tests/brakes.py, so that nothing here depends on how fast the machine is.
"""

import json
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from brakes import Brakes, Place
from house import SAMPLE, Done, command, copy_of_project, exported, journal, readable

STAGES = (  # those that a run with the shipped settings asks, in the order of the steps
    "judge_paragraph",
    "write_pairs",
    "check_question",
    "check_relevance",
    "check_accuracy",
    "rewrite_pair",
    "make_standalone",
    "plan_character",
    "write_character",
    "plan_scenario",
    "write_scenario",
    "write_conversation",
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_of_project(tmp_path)


class Lives:
    """A run that takes several processes. Keeps what each asked for and what it lost by its end."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.asked: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()

    def live(self, *arguments: str, **brakes: object) -> Done:
        log = self.project.parent / "asked.txt"
        log.write_text("")
        done = command(self.project, "run", *SAMPLE, *arguments, first=Brakes(log, **brakes))  # type: ignore[arg-type]
        asked = log.read_text().split("\n")[:-1]
        self.asked.update(asked)
        kept = set(self._journalled()) if (self.project / "output").exists() else set()
        self.lost.update(call for call in asked if call not in kept)
        return done

    def check(self, undisturbed: Path) -> None:
        """The same files as without the disturbance, and only what was lost was asked for again."""
        assert exported(self.project) == exported(undisturbed)
        assert readable(self.project) == readable(undisturbed)
        assert self._journalled() == Counter(f"{c['stage']} {c['seed']}" for c in journal(undisturbed))
        assert self.asked == self._journalled() + self.lost
        assert not [file for file in self.project.rglob(".*") if file.is_file()]  # left by half a write

    def _journalled(self) -> Counter[str]:
        calls = journal(self.project)
        keys = Counter((c["stage"], c["input"], c["draw"], c["attempt"]) for c in calls)
        assert set(keys.values()) <= {1}
        return Counter(f"{call['stage']} {call['seed']}" for call in calls)


def test_a_run_killed_in_every_stage_goes_on_where_it_stopped(project: Path, undisturbed: Path) -> None:
    assert set(STAGES) == {call["stage"] for call in journal(undisturbed)}
    lives = Lives(project)
    for stage in STAGES:
        assert lives.live(stage=stage, nth=2).returncode == -signal.SIGKILL, stage
    assert lives.live().returncode == 0
    assert max(lives.lost.values()) <= len(STAGES)
    lives.check(undisturbed)


@pytest.mark.parametrize(("place", "every"), [("journal", 60), ("item", 12), ("file", 4)])
def test_a_run_killed_before_any_write_goes_on_where_it_stopped(
    project: Path, undisturbed: Path, place: Place, every: int
) -> None:
    lives, killed = Lives(project), 0
    while (done := lives.live(place=place, nth=every)).returncode:
        assert done.returncode == -signal.SIGKILL, done.stderr
        killed += 1
    assert killed > 2
    lives.check(undisturbed)


ONE_LINE = r"Paused at (\d+) of (\d+); run the cell again to go on\."


def last_words(done: Done) -> list[str]:
    """What was said besides the steps' progress."""
    progress = re.compile(r"\w+: (\d+ of \d+ done |pausing at )")
    return [line for line in done.stderr.splitlines() if not progress.match(line)]


@pytest.mark.parametrize(
    ("stage", "file"),
    [
        ("judge_paragraph", "worthy_for_questions.jsonl"),
        ("check_question", "qatuples_vetted.jsonl"),
        ("write_conversation", "multiturn_convs.jsonl"),
    ],
)
def test_the_first_interrupt_finishes_what_is_in_flight_and_pauses(
    project: Path, undisturbed: Path, stage: str, file: str
) -> None:
    lives = Lives(project)
    done = lives.live("--set", "SYSTEM.CONCURRENCY_LIMIT=2", then="interrupt", stage=stage, nth=2)
    assert done.returncode == 130
    [line] = last_words(done)
    made, total = map(int, re.fullmatch(ONE_LINE, line).groups())  # type: ignore[union-attr]
    assert 0 < made < total
    rows = [json.loads(row)["status"] for row in readable(project)[file].splitlines()]
    assert (rows.count("pending"), len(rows)) == (total - made, total)
    assert not lives.lost
    assert not (project / "output" / "first" / "export").exists()
    assert lives.live().returncode == 0
    lives.check(undisturbed)


def test_an_interrupt_pauses_even_when_everything_left_is_in_flight(project: Path, undisturbed: Path) -> None:
    lives = Lives(project)
    done = lives.live(then="interrupt", stage="write_conversation", nth=1)
    assert done.returncode == 130
    [line] = last_words(done)
    made, total = map(int, re.fullmatch(ONE_LINE, line).groups())  # type: ignore[union-attr]
    assert made == total
    assert not (project / "output" / "first" / "export").exists()
    assert lives.live().returncode == 0
    lives.check(undisturbed)


@pytest.mark.parametrize("stage", ["judge_paragraph", "rewrite_pair", "write_scenario"])
def test_the_second_interrupt_stops_at_once(project: Path, undisturbed: Path, stage: str) -> None:
    lives = Lives(project)
    done = lives.live(then="interrupt twice", stage=stage, nth=2)
    assert done.returncode == 130
    assert last_words(done) == ["Stopped; what was done is kept. Run the cell again to go on."]
    assert lives.lost
    assert lives.live().returncode == 0
    lives.check(undisturbed)


@pytest.mark.parametrize("nth", [1, 7, 12])
def test_an_interrupt_between_the_steps_leaves_no_half_written_file(
    project: Path, undisturbed: Path, nth: int
) -> None:
    lives = Lives(project)
    done = lives.live(then="interrupt", place="file", nth=nth)
    assert done.returncode == 130
    assert last_words(done) == ["Stopped; what was done is kept."]
    assert lives.live().returncode == 0
    lives.check(undisturbed)
