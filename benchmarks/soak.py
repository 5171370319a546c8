"""The local engine under mixed calls, cancellations and kills: does it lose, double or leak anything?

    python benchmarks/soak.py [--model FILE] [--minutes 30]

The calls are those that the pipeline asks on a chunk of the sample text (recorded at the start), drawn at random with
new seeds; some are cancelled after a while, and now and then the child process is killed. Each grammar begins with
the call's own number, so an answer that went to another call cannot be read. Ends with exit status 1 when an answer
is lost, doubled or not in its grammar; prints memory every minute, to be seen not to grow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from local_engine import MODEL, recorded_calls

from generation_functions.engine import Request
from generation_functions.errors import EngineError, OutputError
from generation_functions.grammar import Grammar
from generation_functions.local import Local
from generation_functions.sizing import Settings

IN_FLIGHT = 24
CANCELLED = 0.1  # of the calls
KILL_SECONDS = 40.0  # between two kills, on average
RETRIES = 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--minutes", type=float, default=30.0)
    chosen = parser.parse_args()
    calls = recorded_calls(chosen.model)
    engine = Local(chosen.model, Settings())
    counts = asyncio.run(soak(engine, calls, chosen.minutes * 60))
    print(dict(counts))
    return 1 if counts["lost"] or counts["doubled"] or counts["unreadable"] else 0


async def soak(engine: Local, calls: list[Request], seconds: float) -> Counter[str]:
    draw, counts, answered = random.Random(1), Counter[str](), Counter[int]()
    end, numbers = time.monotonic() + seconds, iter(range(10**9))
    await engine.start()
    print(engine.about, flush=True)

    async def one(number: int) -> None:
        call = own(draw.choice(calls), number)
        patience = draw.uniform(0, 20) if draw.random() < CANCELLED else None
        try:
            text, finish = await asyncio.wait_for(asked(engine, call, counts), patience)
        except TimeoutError:
            counts["cancelled"] += 1
            return
        answered[number] += 1
        counts[finish] += 1
        try:
            if finish == "stop":
                call.grammar.read(text)
        except OutputError as error:
            counts["unreadable"] += 1
            print(number, error, flush=True)

    async def worker() -> None:
        while time.monotonic() < end:
            number = next(numbers)
            counts["asked"] += 1
            await one(number)

    watching = asyncio.ensure_future(watch(engine, counts, draw))
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    watching.cancel()
    await asyncio.sleep(1)
    print(f"at rest: {memory(engine)}")
    counts["doubled"] = sum(times > 1 for times in answered.values())
    counts["lost"] = counts["asked"] - counts["cancelled"] - len(answered)
    await engine.close()
    return counts


def own(call: Request, number: int) -> Request:
    """The call with a seed and an answer of its own."""
    rules = call.grammar.text.replace("root", "answer-of-root")
    grammar = Grammar.compile(f'root ::= "{number}: " answer-of-root\n{rules}')
    sampling = replace(call.sampling, max_tokens=call.sampling.max_tokens + 12)
    return replace(call, grammar=grammar, seed=number, sampling=sampling)


async def asked(engine: Local, call: Request, counts: Counter[str]) -> tuple[str, str]:
    """As a step asks: again when the child was killed, which fails the calls in flight."""
    for _ in range(RETRIES):
        try:
            answer = await engine.complete(call)
        except EngineError as error:
            if not error.retryable:
                raise
            counts["failed by a kill"] += 1
        else:
            return answer.text, answer.finish
    raise AssertionError(f"no answer in {RETRIES} tries")


async def watch(engine: Local, counts: Counter[str], draw: random.Random) -> None:
    """Kill the child now and then, not before it has answered: the third time without an answer is for good. Say
    every minute how much memory there is."""
    began = said = time.monotonic()
    before = 0
    while True:
        await asyncio.sleep(1)
        answered = counts["stop"] + counts["length"]
        if draw.random() < 1 / KILL_SECONDS and answered > before and (child := process(engine)):
            os.kill(child, draw.choice([signal.SIGKILL, signal.SIGSEGV]))
            counts["kills"] += 1
            before = answered
        if time.monotonic() > said + 60:
            said = time.monotonic()
            print(f"{(said - began) / 60:5.1f} min: {memory(engine)}, {dict(counts)}", flush=True)


def memory(engine: Local) -> str:
    child = process(engine)
    return f"parent {resident(os.getpid())} MiB, child {resident(child)} MiB, {engine.cells} cells"


def process(engine: Local) -> int:
    return engine._child._process.pid if engine._child and not engine._child.is_over else 0


def resident(pid: int) -> int:
    """MiB in memory; 0 for a process that is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0)


if __name__ == "__main__":
    sys.exit(main())
