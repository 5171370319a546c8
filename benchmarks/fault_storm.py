"""A run through a server that fails 30% of all requests, in every way that servers do, beside a run without faults.

    python benchmarks/fault_storm.py [--chunks 64] [--fail 0.3] [--in-flight 64] [--seed 1]

The whole pipeline by the command line, with the mock server in place of a model; 64 chunks are about 2,000 calls.
Answers depend on the messages alone, as a truncated one may be asked for again with another seed. Items that failed
are tried again by running the command once more, as a person would. Ends with exit status 1 when the datasets differ
from those of the quiet run, an answer was bought twice or lost, a call came back before its Retry-After, or more
calls than the limit were in flight.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

from mock_server import FAULTS, PROCESSES, Counts, MockServer, call_key, question_key

from generation_functions.config import KNOWN

ROOT = Path(__file__).parent.parent
CHUNK_SIZE = 500  # characters; the sentences below come to some 70
TIMEOUT = 2  # seconds that the workbench gives a call, so that hanging ones do not take up the time
ROUNDABOUT = "calls_preferences.jsonl"  # of the files, the one that tells of answers that could not be used
RUNS = 5  # of the command, until no item is left that failed
SETTINGS = (
    "SYSTEM.MODE=api",
    "API.LOGICAL_MODEL=mock",
    "API.GRAMMAR=llama.cpp",
    f"API.TIMEOUT={TIMEOUT}",
    "SYSTEM.USE_SUBSET=false",
    f"SYSTEM.CHUNK_SIZE={CHUNK_SIZE}",
    *(f"{name}=false" for name in KNOWN if name.startswith("CHECKS.")),  # answers say nothing of the text
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--chunks", type=int, default=64)
    parser.add_argument("--fail", type=float, default=0.3, help="share of the requests")
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds")
    parser.add_argument("--seed", type=int, default=1, help="of the faults")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), chosen.chunks, chosen.in_flight)
        found = storm(project, fail=chosen.fail, latency=chosen.latency, seed=chosen.seed)
    print(found)
    return 1 if found.wrong else 0


# A project to run


class JournalledCall(NamedTuple):
    """Which answer it is (stage, input, draw, attempt), by what the mock server knows its question and itself, and
    whether it is whole.
    """

    place: tuple[str, str, int, int]
    question: str
    key: str
    whole: bool


class Project:
    """Texts, and runs of the command line over them, each in a process of its own."""

    def __init__(
        self,
        folder: Path,
        chunks: int,
        in_flight: int,
        settings: Sequence[str] = (),
        first: Callable[[], None] | None = None,
    ) -> None:
        """`settings` come on top of SETTINGS; `first` is called before each command, in its process."""
        self.folder, self.in_flight, self._first = folder, in_flight, first
        self._settings = [*SETTINGS, f"SYSTEM.CONCURRENCY_LIMIT={in_flight}", *settings]
        write_texts(folder / "texts", chunks)

    def start(self, run: str, server: MockServer) -> BaseProcess:
        """The command `run`; what it says goes to a file."""
        arguments = ["run", "--config", str(ROOT / "config.yaml"), "--run", run]
        arguments += ["--input", str(self.folder / "texts"), "--output", str(self.folder)]
        for setting in (*self._settings, f"API.BASE_URL={server.url}"):
            arguments += ["--set", setting]
        process = PROCESSES.Process(
            target=_command, args=(arguments, self.folder / f"{run}.log", self._first)
        )
        process.start()
        return process

    def run(self, run: str, server: MockServer) -> None:
        """The command from beginning to end. Raises RuntimeError with what it said when it fails."""
        process = self.start(run, server)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{run} ended with {process.exitcode}:\n{self.said(run)}")

    def said(self, run: str) -> str:
        return (self.folder / f"{run}.log").read_text(encoding="utf-8")

    def journal(self, run: str) -> list[JournalledCall]:
        rows = self._rows(run, "select stage, input, draw, attempt, question, seed, finish from calls")
        return [
            JournalledCall(tuple(place), question_key(question), call_key(question, seed), finish != "length")
            for *place, question, seed, finish in rows
        ]

    def failed(self, run: str) -> int:
        return int(self._rows(run, "select count(*) from latest where status = 'failed'")[0][0])

    def _rows(self, run: str, query: str) -> list[tuple]:
        file = self.folder / run / "run.db"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    def exported(self, run: str) -> dict[str, bytes]:
        """The datasets, by the name of their file."""
        return {file.name: file.read_bytes() for file in sorted((self.folder / run / "export").iterdir())}


def write_texts(folder: Path, chunks: int) -> None:
    """The sample text and as much of made-up prose as comes to so many chunks in all, near enough."""
    folder.mkdir(parents=True)
    sample = sum(
        shutil.copy(file, folder) and file.stat().st_size for file in (ROOT / "raw_text_input").iterdir()
    )
    draw = random.Random(1)
    parts = [words.split("|") for words in (SUBJECTS, VERBS, OBJECTS, PLACES)]
    with open(folder / "made up.txt", "w", encoding="utf-8") as file:
        while file.tell() < chunks * CHUNK_SIZE * FULL - sample:
            said = " ".join(draw.choice(part) for part in parts)
            end = "\n\n" if draw.random() < 0.2 else " "
            file.write(f"In {draw.randint(1100, 1990)} {said} {draw.randint(2, 9999)} times.{end}")


FULL = 0.875  # of a chunk's size, on average
SUBJECTS = "the baker|a gardener|the old sailor|our neighbour|the teacher|a young clerk|the miller|the widow"
VERBS = "carried|mended|painted|sold|forgot|cleaned|borrowed|counted|found|kept"
OBJECTS = "a basket|the gate|two chairs|a lamp|the ladder|some rope|a kettle|the boat|a letter|the fence"
PLACES = "by the river|in the market|before noon|after the rain|behind the church|near the bridge|at home"


def _command(arguments: list[str], log: Path, first: Callable[[], None] | None) -> None:
    """Over there: `python -m generation_functions` in a process that has imported it already."""
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(opened, number)
    from generation_functions.__main__ import main

    if first:
        first()
    sys.exit(main(arguments))


# The storm


@dataclass(frozen=True)
class Storm:
    """What came of it. `lost` whole answers were sent and are not in the journal, `unknown` ones are there and were
    not sent, both counted question by question. `cut` are the truncated ones in the journal.
    """

    calls: int
    quiet_calls: int
    cut: int
    in_flight: int
    counts: Counts
    most_at_once: int
    lost: int
    unknown: int
    failed: int
    runs: int
    different: tuple[str, ...]
    seconds: float
    quiet_seconds: float

    @property
    def wrong(self) -> list[str]:
        counts = self.counts
        claims = {
            f"{', '.join(self.different)} differ from the quiet run's": self.different,
            f"{self.failed} items failed for good": self.failed,
            f"{counts.again} answers were bought twice": counts.again,
            f"{self.lost} answers were lost": self.lost,
            f"{self.unknown} calls of the journal were never answered": self.unknown,
            f"{counts.early} calls came back before their Retry-After": counts.early,
            f"{self.most_at_once} calls were in flight": self.most_at_once > self.in_flight,
        }
        return [claim for claim, holds in claims.items() if holds]

    def __str__(self) -> str:
        counts = self.counts
        faults = ", ".join(f"{kind} {times}" for kind, times in sorted(counts.faults.items()) if times)
        return "\n".join(
            [
                f"quiet run   {self.quiet_calls} calls in {self.quiet_seconds:.1f} s",
                f"storm       {self.calls} calls in {self.seconds:.1f} s, {self.runs} runs of the command",
                f"server      {counts.received} requests, {counts.answered} whole answers, {counts.truncated} "
                f"truncated ones ({self.cut} of them journalled), {counts.faults.total()} faults: {faults}",
                f"in flight   {self.most_at_once} at most, of {self.in_flight}; {counts.most_at_once} in the storm",
                *(f"WRONG       {claim}" for claim in self.wrong),
                *(["all as it should be"] if not self.wrong else []),
            ]
        )


def storm(
    project: Project,
    *,
    fail: float = 0.3,
    latency: float = 0.02,
    seed: int = 1,
    retry_after: float = 0.2,
    faults: Sequence[str] = FAULTS,
) -> Storm:
    """A quiet run and one with faults, compared."""
    began = time.monotonic()
    with MockServer(latency=latency, seeded=False) as server:
        project.run("quiet", server)
        most_at_once = server.counts().most_at_once
    quiet_seconds, began = time.monotonic() - began, time.monotonic()
    options = {"fail": fail, "seed": seed, "retry_after": retry_after, "faults": tuple(faults)}
    with MockServer(latency=latency, seeded=False, **options) as server:
        runs = 0
        while not runs or (project.failed("storm") and runs < RUNS):
            project.run("storm", server)
            runs += 1
        counts, texts = server.counts(), server.texts()
    journal = project.journal("storm")
    journalled = Counter(call.question for call in journal if call.whole)
    quiet, stormy = project.exported("quiet"), project.exported("storm")
    return Storm(
        calls=len(journal),
        quiet_calls=len(project.journal("quiet")),
        cut=sum(not call.whole for call in journal),
        in_flight=project.in_flight,
        counts=counts,
        most_at_once=max(most_at_once, counts.most_at_once),
        lost=(texts - journalled).total(),
        unknown=(journalled - texts).total(),
        failed=project.failed("storm"),
        runs=runs,
        different=tuple(
            name for name in quiet | stormy if quiet.get(name) != stormy.get(name) and name != ROUNDABOUT
        ),
        seconds=time.monotonic() - began,
        quiet_seconds=quiet_seconds,
    )


if __name__ == "__main__":
    sys.exit(main())
