"""Kills the workbench at random moments under load, and runs it again each time: is anything lost, doubled, bought
again?

    python benchmarks/kills.py [--kills 200] [--chunks 100] [--in-flight 64] [--latency 0.05] [--seconds 1.5]

`kill -9` of the command line, with the mock server in place of a model, at a moment drawn evenly from the first
seconds after the first call of each life. A run that ends before is compared with one that nobody disturbed, and a
new one is begun. What the server had sent and the journal did not have at a kill was in flight; it is bought again,
and nothing else may be. Ends with exit status 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

from fault_storm import Project
from mock_server import Counts, MockServer


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--chunks", type=int, default=100)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--seconds", type=float, default=1.5, help="from the first call of a life, at most")
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), chosen.chunks, chosen.in_flight)
        killed = kills(
            project, chosen.kills, longest=chosen.seconds, latency=chosen.latency, seed=chosen.seed, show=True
        )
    print(killed)
    return 1 if killed.wrong else 0


@dataclass
class Kills:
    """`in_flight` has, for each kill, how many answers the server had sent that the journal did not have yet;
    `busy` kills came while it worked on calls. `rebought` were in the journal when they were bought again.
    """

    limit: int
    runs: int = 0
    busy: int = 0
    in_flight: list[int] = field(default_factory=list)
    calls: int = 0
    answered: int = 0
    again: int = 0
    rebought: int = 0
    missing: int = 0
    doubled: int = 0
    more: int = 0
    different: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        claims = {
            f"{self.missing} calls of the undisturbed run are missing": self.missing,
            f"{self.more} calls are there that the undisturbed run does not have": self.more,
            f"{self.doubled} calls are in the journal twice": self.doubled,
            f"{self.rebought} answers were bought again although the journal had them": self.rebought,
            f"{self.again} answers were bought again, {sum(self.in_flight)} in flight at a kill": (
                self.again > sum(self.in_flight)
            ),
            f"{max(self.in_flight, default=0)} answers were lost by one kill": (
                max(self.in_flight, default=0) > self.limit
            ),
            f"{', '.join(self.different)} differ from the undisturbed run's": self.different,
            f"{self.most_at_once} calls were in flight": self.most_at_once > self.limit,
        }
        return [claim for claim, holds in claims.items() if holds]

    def __str__(self) -> str:
        lost = sum(self.in_flight)
        kills = len(self.in_flight)
        return "\n".join(
            [
                f"kills       {kills} in {self.seconds:.0f} s, {self.busy} of them with calls in flight; "
                f"{self.runs} runs finished",
                f"server      {self.answered} answers sent, {self.calls} calls in the journals",
                f"lost        {lost} answers sent and not journalled, {lost / max(kills, 1):.1f} a kill, "
                f"{max(self.in_flight, default=0)} at most, of {self.limit} in flight; {self.again} bought again",
                *(f"WRONG       {claim}" for claim in self.wrong),
                *(["all as it should be"] if not self.wrong else []),
            ]
        )


def kills(
    project: Project, wanted: int, *, longest: float, latency: float, seed: int = 1, show: bool = False
) -> Kills:
    """An undisturbed run, then as many runs as it takes to be killed `wanted` times; the last goes to its end."""
    draw, found, began = random.Random(seed), Kills(project.in_flight), time.monotonic()
    moments = [draw.uniform(0, longest) for _ in range(wanted)]
    server_of_a_run = partial(MockServer, latency=latency, gives_n=False)  # each vote is a call of its own
    with server_of_a_run() as server:
        project.run("undisturbed", server)
    while moments:
        with server_of_a_run() as server:
            _killed_run(project, f"run {found.runs}", server, moments, found)
        found.runs += 1
        if show:
            print(f"  {len(found.in_flight)} kills, {found.runs} runs: {found.wrong or 'well'}", flush=True)
    found.seconds = time.monotonic() - began
    return found


def _killed_run(project: Project, run: str, server: MockServer, moments: list[float], found: Kills) -> None:
    """A run until it ends by itself; each of its lives uses up one of the moments."""
    journalled: dict[str, int] = {}  # calls that were there at a kill, with the times they had been answered
    known = 0
    while True:
        life = project.start(run, server)
        _wait_for_a_call(life, server)
        life.join(moments[-1] if moments else None)
        if life.exitcode is not None:
            break
        moments.pop()
        found.busy += server.counts().now > 0
        life.kill()
        life.join()
        counts, journal, calls = _at_rest(server), project.journal(run), server.calls()
        found.in_flight.append(counts.answered - len(journal) - known)
        known += found.in_flight[-1]
        journalled |= {call.key: calls[call.key] for call in journal if call.key not in journalled}
    if life.exitcode:
        raise RuntimeError(f"{run} ended with {life.exitcode}:\n{project.said(run)}")
    _compare(project, run, server, journalled, found)


def _wait_for_a_call(life: BaseProcess, server: MockServer) -> None:
    before = server.counts().received
    while life.is_alive() and server.counts().received == before:
        time.sleep(0.02)


def _at_rest(server: MockServer) -> Counts:
    """Its counts when it has seen that nobody is there any more."""
    while (counts := server.counts()).now:
        time.sleep(0.001)
    return counts


def _compare(
    project: Project, run: str, server: MockServer, journalled: dict[str, int], found: Kills
) -> None:
    counts, answered, files = server.counts(), server.calls(), project.exported(run)
    calls = Counter(call.place for call in project.journal(run))
    wanted = Counter(call.place for call in project.journal("undisturbed"))
    found.calls += calls.total()
    found.answered += counts.answered
    found.again += (answered - Counter(set(answered))).total()
    found.rebought += sum(answered[key] - times for key, times in journalled.items())
    found.missing += (wanted - calls).total()
    found.more += (calls - wanted).total()
    found.doubled += calls.total() - len(calls)
    found.most_at_once = max(found.most_at_once, counts.most_at_once)
    for name, data in project.exported("undisturbed").items():
        if files.get(name) != data:
            found.different[name] += 1


if __name__ == "__main__":
    sys.exit(main())
