"""How long it takes to open a finished run and run every step again, and how much memory a very large one takes.

    python benchmarks/reopen.py [--calls 100000] [--pairs 1000000] [--folder FOLDER]

The first part makes a run of so many calls with the sample engine, opens it in a new process and runs every step and
the export again, so that nothing is left to do. The second writes the items of a run of so many pairs into its store,
without models: 20 pairs a chunk, each with the verdicts of the three checks on it, and a conversation of each four.
Another process then runs every step and the export, which writes their files, and a third does so once more. All show
seconds and the most memory that the process had ("peak RSS") after each step. `--calls 0` and `--pairs 0` leave a
part out; a folder that is named is kept, and what is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fault_storm import CHUNK_SIZE, ROOT, write_texts

from generation_functions import STEPS, Chunk, Pair, Workbench
from generation_functions.conversations import groups
from generation_functions.questions import CHECKS
from generation_functions.records import Cast, Conversation, Group, Outcome, Turn, Verdict, Vote
from generation_functions.step import row_of
from generation_functions.store import Store

CALLS_PER_CHUNK = 35  # of the sample engine with these settings
PAIRS_PER_CHUNK = 20
VOTES = 2  # of the three, as the third is not asked when two agree
SETTINGS = ["SYSTEM.MODE=sample", "SYSTEM.USE_SUBSET=false", f"SYSTEM.CHUNK_SIZE={CHUNK_SIZE}"]
MANY = [*SETTINGS, f"SYSTEM.PAIRS_PER_CHUNK={PAIRS_PER_CHUNK}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="keep the runs there")
    parser.add_argument("--open", nargs=2, metavar=("FOLDER", "LAST"), help="be the process that opens a run")
    chosen = parser.parse_args()
    if chosen.open:
        return show_opening(Path(chosen.open[0]), chosen.open[1])
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch)
        if chosen.calls:
            calls = make_calls(folder / "calls", chosen.calls)
            opened(folder / "calls", "export", f"{calls:,} finished calls")
        if chosen.pairs:
            make_pairs(folder / "pairs", chosen.pairs)
            opened(folder / "pairs", "export", f"{chosen.pairs:,} pairs, whose files are written")
            opened(folder / "pairs", "export", f"{chosen.pairs:,} pairs, again")


def open_run(folder: Path, settings: Sequence[str] = ()) -> Workbench:
    settings = settings or json.loads((folder / "settings.json").read_text())
    places = [f"PATH.INPUT={folder / 'texts'}", f"PATH.OUTPUT={folder}"]
    return Workbench(ROOT / "config.yaml", "run", [*settings, *places], report=lambda progress: None)


# Opening


def opened(folder: Path, last: str, what: str) -> None:
    print(f"\n{what}", flush=True)
    command = [sys.executable, __file__, "--open", str(folder), last]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})


def show_opening(folder: Path, last: str) -> None:
    """Open the run and do each step up to `last`, with a line for each."""
    steps = [*STEPS, "export"]
    before = calls_of(folder)
    print(f"  {'':11s} {'seconds':>8s} {'peak RSS':>11s}")
    began = start = time.monotonic()
    print_line("imported", 0.0)
    with open_run(folder) as bench:
        print_line("opened", time.monotonic() - start)
        for step in steps[: steps.index(last) + 1]:
            began = time.monotonic()
            batch = getattr(bench, step)()
            print_line(step, time.monotonic() - began, str(getattr(batch, "ledger", "")))
    print_line("in all", time.monotonic() - start, f"{calls_of(folder) - before} calls bought")


def print_line(what: str, seconds: float, more: str = "") -> None:
    """With the peak of this process alone; that of getrusage may be the one that it was forked from."""
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    print(f"  {what:11s} {seconds:8.2f} {peak:7,.0f} MiB  {more}", flush=True)


def calls_of(folder: Path) -> int:
    with Store(folder / "run", readonly=True) as store:
        return sum(int(row["calls"]) for row in store.usage())


# Making


def make_calls(folder: Path, calls: int) -> int:
    """A finished run of about so many calls; how many they are."""
    if not (folder / "settings.json").exists():
        began = time.monotonic()
        write_texts(folder / "texts", calls // CALLS_PER_CHUNK)
        with open_run(folder, SETTINGS) as bench:
            bench.run()
            bench.export()
        (folder / "settings.json").write_text(json.dumps(SETTINGS))
        print(f"made in {time.monotonic() - began:.0f} s", flush=True)
    return calls_of(folder)


def make_pairs(folder: Path, pairs: int) -> None:
    """The items of a run that has kept so many pairs; nothing is asked."""
    if (folder / "settings.json").exists():
        return
    began = time.monotonic()
    write_texts(folder / "texts", pairs // PAIRS_PER_CHUNK)
    with open_run(folder, MANY) as bench:
        chunks = bench.chunks().records
        for name in ("judge", "write", "vet", "standalone"):
            step = bench._steps.made(name, lambda record, ask: None)  # type: ignore[arg-type,return-value]
            for record, outcome in outcomes(name, chunks):
                bench._store.put_item(name, row_of(step, record, outcome))
        arrangements = bench.config["SYSTEM.REARRANGEMENTS_TO_TAKE"]
        for name, inputs, record_of in (
            ("cast", lambda: groups(bench._steps.at_rest("distinct").passing, arrangements), cast_of),
            ("converse", lambda: bench._steps.at_rest("cast").passing, conversation_of),
        ):
            step = bench._steps.made(name, lambda record, ask: None)  # type: ignore[arg-type,return-value]
            for record in inputs():
                bench._store.put_item(name, row_of(step, record, Outcome("kept", (record_of(record),))))
    (folder / "settings.json").write_text(json.dumps(MANY))
    print(f"made in {time.monotonic() - began:.0f} s", flush=True)


def outcomes(step: str, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk | Pair, Outcome]]:
    for number, chunk in enumerate(chunks):
        pairs = pairs_of(chunk, number)
        if step == "judge":
            yield chunk, Outcome("kept", (chunk,), "The text states who did what, and how often.")
        elif step == "write":
            yield chunk, Outcome("kept", pairs)
        else:
            verdicts = VERDICTS if step == "vet" else ()
            for pair in pairs:
                yield (
                    pair,
                    Outcome("kept", (pair,), "" if verdicts else "It names the year itself.", verdicts),
                )


def pairs_of(chunk: Chunk, number: int) -> tuple[Pair, ...]:
    """As long as those that models write: 75 and 120 characters."""
    said = chunk.sentences[0].text
    return tuple(
        Pair(
            chunk,
            f"How often did that happen by the river, case {number} with count {n}, in all those years?",
            f"It happened as often as this says, and no more than that, number {n}: {said}",
            (1 + n % len(chunk.sentences),),
        )
        for n in range(PAIRS_PER_CHUNK)
    )


def cast_of(group: Group) -> Cast:
    """As long as those that models write: a card of 600 characters, a scenario of 300."""
    card = "Ada kept the ferry for thirty years and says what she has seen, no more and no less. " * 7
    scenario = "On the landing, before the first boat, Ben asks what the old records say of the river. " * 3
    return Cast(
        group, "Ada", "Ben", card, scenario, "Ben asks; Ada answers each question from what she knows."
    )


def conversation_of(cast: Cast) -> Conversation:
    said = [(cast.asker, pair.question) for pair in cast.group.pairs]
    answers = [(cast.answerer, pair.answer) for pair in cast.group.pairs]
    turns = [Turn(*turn) for both in zip(said, answers, strict=True) for turn in both]
    return Conversation(cast, tuple(turns))


VERDICTS = tuple(
    Verdict(
        check.stage,
        True,
        tuple(
            Vote(
                check.stage,
                True,
                f"It asks how often, and the text says so in its sentence {vote}: accurate.",
            )
            for vote in range(VOTES)
        ),
    )
    for check in CHECKS
)


if __name__ == "__main__":
    main()
