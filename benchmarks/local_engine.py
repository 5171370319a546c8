"""The local engine beside what else computes the same calls with llama.cpp, in one run.

    python benchmarks/local_engine.py [--model FILE] [--repetitions 3] [--sequences 1,2,4,8] [--in-flight 16]

The calls are those of the whole pipeline on one chunk of the sample text, grammars on, as the model itself asked
them (recorded at the start). Each contender gets all of them, in their order, with nothing in memory before:

    loop      llama-cpp-python's own Llama.create_completion, call after call; it keeps the last prompt
    server    llama.cpp's server (package xllamacpp, if it is installed), all calls over HTTP
    ours N    our engine with N sequences, through the child process, as the pipeline uses it
    ceiling   the evaluations of `ours` with the most sequences once more, by llama_decode alone, without sampling
    free N    as many tokens for each call as under its grammar, but without one

Repetitions are interleaved; a line shows medians. Contenders draw differently and so write texts of different
lengths: compare tokens a second, and calls a second where the texts are about as long.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import llama_cpp
import numpy as np

from generation_functions.cache import Cache, common
from generation_functions.engine import Request
from generation_functions.llama_child import Asking
from generation_functions.llama_model import KEPT, LlamaModel
from generation_functions.local import Local
from generation_functions.scheduler import Call, Portion, Scheduler
from generation_functions.sizing import Settings, cores
from generation_functions.workbench import Workbench

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "logical_models" / "gemma-3-270m-q4_k_m.gguf"
CONTEXT = 12000


@dataclass(frozen=True)
class Result:
    """`read`: prompt tokens evaluated; `seconds` from the first call asked to the last one answered."""

    seconds: float
    written: int
    read: int


Contender = Callable[[Sequence[Request]], Result]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--sequences", default="1,2,4,8")
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--only", default="", help="contenders whose names begin so, separated by commas")
    chosen = parser.parse_args()
    if "GOMP_SPINCOUNT" not in os.environ:  # what our child has; it is read when llama.cpp is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "GOMP_SPINCOUNT": "1000"})
    sequences = [int(number) for number in chosen.sequences.split(",")]

    calls = recorded_calls(chosen.model)
    print(f"{len(calls)} calls: {', '.join(f'{n} {s}' for s, n in Counter(c.stage for c in calls).items())}")
    print(f"{chosen.model.name}, {cores()} cores, {chosen.in_flight} calls in flight\n", flush=True)
    contenders = all_contenders(chosen.model, sequences, chosen.in_flight)
    names = [name for name in contenders if name.startswith(tuple(chosen.only.split(",")))]
    results: dict[str, list[Result]] = {name: [] for name in names}
    for repetition in range(chosen.repetitions):
        for name in names:
            results[name].append(contenders[name](calls))
            print(f"  {repetition + 1}: {name:16s} {results[name][-1]}", flush=True)
    print_table(results, len(calls))


def recorded_calls(model: Path) -> list[Request]:
    """What the pipeline asks on one chunk. A pair that the votes reject is accepted by hand if none passes, so
    that all stages occur."""
    calls: list[Request] = []
    complete = Local.complete

    async def recording(self: Local, request: Request) -> Any:
        calls.append(request)
        return await complete(self, request)

    Local.complete = recording  # type: ignore[method-assign]
    changes = ["SYSTEM.SUBSET_SIZE=1", f"API.LOGICAL_MODEL={model.absolute()}"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            changes.append(f"PATH.OUTPUT={folder}")
            with Workbench(ROOT / "config.yaml", changes=changes, report=lambda progress: None) as bench:
                vetted = bench.vet(bench.write(bench.judge()))
                if not vetted.records:
                    bench.accept(vetted.items[0].outcome.records[0])
                bench.standalone(vetted)
                bench.converse(bench.cast())
    finally:
        Local.complete = complete  # type: ignore[method-assign]
    return calls


def all_contenders(model: Path, sequences: Sequence[int], in_flight: int) -> dict[str, Contender]:
    most = max(sequences)

    def ours(number: int, how: Callable[[Request], Request] = lambda request: request) -> Contender:
        return lambda calls: asyncio.run(run_ours(model, number, in_flight, [how(call) for call in calls]))

    contenders: dict[str, Contender] = {"loop": lambda calls: run_loop(model, calls)}
    try:
        import xllamacpp  # noqa: F401
    except ImportError:
        print("xllamacpp is not installed: no race against llama.cpp's server (pip install xllamacpp)")
    else:
        for number in sorted({min(4, most), most}):
            contenders[f"server {number}"] = lambda calls, n=number: run_server(model, n, in_flight, calls)  # type: ignore[misc]
    for number in sequences:
        contenders[f"ours {number}"] = ours(number)
    contenders["ceiling"] = lambda calls: run_ceiling(model, most, in_flight, calls)
    contenders[f"free {most}"] = lambda calls: run_free(model, most, in_flight, calls)
    return contenders


def run_loop(path: Path, calls: Sequence[Request]) -> Result:
    model = llama_cpp.Llama(str(path), n_ctx=CONTEXT, n_batch=512, n_threads=cores(), verbose=False)
    before, read, written = np.empty(0, np.int32), 0, 0
    began = time.perf_counter()
    for call in calls:
        answer: Any = model.create_completion(
            call.prompt,
            max_tokens=call.sampling.max_tokens,
            temperature=call.sampling.temperature,
            top_p=call.sampling.top_p,
            top_k=call.sampling.top_k,
            min_p=call.sampling.min_p,
            repeat_penalty=1.0,
            seed=call.seed,
            stop=list(call.stop),
            grammar=llama_cpp.LlamaGrammar.from_string(call.grammar.text, verbose=False),
        )
        written += answer["usage"]["completion_tokens"]
        prompt = np.array(model.tokenize(call.prompt.encode()), np.int32)
        read += len(prompt) - common(before, prompt)
        before = prompt
    seconds = time.perf_counter() - began
    model.close()
    return Result(seconds, written, read)


def run_server(path: Path, slots: int, in_flight: int, calls: Sequence[Request]) -> Result:
    """One pool of cells for all slots, prompts kept in memory besides: the best that was found for these calls."""
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.n_ctx, settings.n_batch, settings.n_ubatch = CONTEXT + (slots - 1) * 2048, 512, 512
    settings.n_parallel, settings.kv_unified, settings.cont_batching = slots, True, True
    settings.cache_prompt, settings.cache_ram_mib, settings.swa_full = True, 4096, True
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = cores()
    settings.port, settings.warmup, settings.verbosity = 0, False, -1
    server = xllamacpp.Server(settings)
    client = httpx.Client(
        base_url=server.listening_address, timeout=600, limits=httpx.Limits(max_connections=in_flight)
    )

    def ask(call: Request) -> dict[str, Any]:
        answer = client.post(
            "/completion",
            json={
                "prompt": call.prompt,
                "grammar": call.grammar.text,
                "n_predict": call.sampling.max_tokens,
                "temperature": call.sampling.temperature,
                "top_p": call.sampling.top_p,
                "top_k": call.sampling.top_k,
                "min_p": call.sampling.min_p,
                "seed": call.seed,
                "stop": list(call.stop),
                "cache_prompt": True,
            },
        )
        answer.raise_for_status()
        timings: dict[str, Any] = answer.json()["timings"]
        return timings

    began = time.perf_counter()
    with ThreadPoolExecutor(in_flight) as pool:
        timings = list(pool.map(ask, calls))
    seconds = time.perf_counter() - began
    client.close()
    del server
    return Result(seconds, sum(t["predicted_n"] for t in timings), sum(t["prompt_n"] for t in timings))


async def run_ours(path: Path, sequences: int, in_flight: int, calls: Sequence[Request]) -> Result:
    engine, free = Local(path, Settings(context=CONTEXT, sequences=sequences)), asyncio.Semaphore(in_flight)
    await engine.start()

    async def ask(call: Request) -> tuple[int, int]:
        async with free:
            done = await engine.complete(call)
        return done.completion_tokens, done.prompt_tokens - done.cached_tokens

    began = time.perf_counter()
    counts = await asyncio.gather(*map(ask, calls))
    seconds = time.perf_counter() - began
    await engine.close()
    return Result(seconds, sum(written for written, _ in counts), sum(read for _, read in counts))


class Tape(LlamaModel):
    """Remembers what is done to the memory, to do it once more."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.done: list[tuple[str, tuple[Any, ...]]] = []

    def copy(self, *arguments: Any) -> None:
        self.done.append(("copy", arguments))
        super().copy(*arguments)

    def cut(self, *arguments: Any) -> None:
        self.done.append(("cut", arguments))
        super().cut(*arguments)

    def evaluate(self, portions: Sequence[Portion]) -> None:
        self.done.append(("evaluate", (portions,)))
        super().evaluate(portions)


def in_process(path: Path, sequences: int) -> tuple[Tape, Asking, Scheduler]:
    settings = Settings(context=CONTEXT, sequences=sequences)
    model = Tape.load(path, settings)
    exact = sequences == 1
    cache = Cache(model, model.room.cells, sequences, kept=KEPT, exact=exact)
    scheduler = Scheduler(model, cache, portion=settings.batch, exact=exact, threads=min(cores(), sequences))
    return model, Asking.of(model, path.stem, None), scheduler


def answered(
    asking: Asking, scheduler: Scheduler, in_flight: int, calls: Sequence[Request]
) -> list[dict[str, Any]]:
    waiting = [asked(asking, number, call) for number, call in enumerate(calls)][::-1]
    flying, answers = 0, []
    while waiting or flying:
        while waiting and flying < in_flight:
            scheduler.add(waiting.pop())
            flying += 1
        for answer in scheduler.step():
            flying -= 1
            answers.append({"id": answer.id, **answer.fields})
    return sorted(answers, key=lambda answer: int(answer["id"]))


def asked(asking: Asking, number: int, call: Request) -> Call:
    own = {name: getattr(call, name) for name in ("prompt", "shared_prompt", "seed", "stop", "weigh")}
    messages = [asdict(message) for message in call.messages]
    rest = {"messages": messages, "grammar": call.grammar.text, "sampling": asdict(call.sampling)}
    return asking.call({"id": number, **own, **rest, "seconds": 600.0})


def run_ceiling(path: Path, sequences: int, in_flight: int, calls: Sequence[Request]) -> Result:
    model, asking, scheduler = in_process(path, sequences)
    answers = answered(asking, scheduler, in_flight, calls)
    scheduler.cache.clear()
    tape = list(model.done)
    began = time.perf_counter()
    for name, arguments in tape:
        getattr(LlamaModel, name)(model, *arguments)
        if name == "evaluate":
            llama_cpp.llama_synchronize(model._context)
    return Result(time.perf_counter() - began, *counts_of(answers))


def run_free(path: Path, sequences: int, in_flight: int, calls: Sequence[Request]) -> Result:
    """As many tokens for each call as it writes under its grammar, but without one."""
    _, asking, scheduler = in_process(path, sequences)
    lengths = [answer["completion_tokens"] for answer in answered(asking, scheduler, in_flight, calls)]
    model, asking, scheduler = in_process(path, sequences)
    model.ends = np.empty(0, np.int64)  # whatever it is that it would end with, it goes on
    scheduler._ends = frozenset()

    def freed(number: int, call: Request) -> Call:
        made = asked(asking, number, call)
        return replace(made, grammar="", stop=(), sampling=replace(made.sampling, max_tokens=lengths[number]))

    began = time.perf_counter()
    waiting, flying, answers = [freed(n, call) for n, call in enumerate(calls)][::-1], 0, []
    while waiting or flying:
        while waiting and flying < in_flight:
            scheduler.add(waiting.pop())
            flying += 1
        step = scheduler.step()
        flying -= len(step)
        answers += [answer.fields for answer in step]
    return Result(time.perf_counter() - began, *counts_of(answers))


def counts_of(answers: Sequence[dict[str, Any]]) -> tuple[int, int]:
    written = sum(answer["completion_tokens"] for answer in answers)
    return written, sum(answer["prompt_tokens"] - answer["cached_tokens"] for answer in answers)


def print_table(results: dict[str, list[Result]], calls: int) -> None:
    base = statistics.median(r.written / r.seconds for r in results.get("loop") or [Result(1, 1, 1)])
    print(
        f"\n{'':16s} {'seconds':>8s} {'written':>8s} {'read':>8s} {'tok/s':>8s} {'calls/s':>8s} {'tok/s of loop':>14s}"
    )
    for name, runs in results.items():
        seconds = statistics.median(run.seconds for run in runs)
        speed = statistics.median(run.written / run.seconds for run in runs)
        written, read = (
            statistics.median(getattr(run, part) for run in runs) for part in ("written", "read")
        )
        ratio = f"{speed / base:13.1f}x" if "loop" in results else f"{'':14s}"
        print(
            f"{name:16s} {seconds:8.1f} {written:8.0f} {read:8.0f} {speed:8.1f} {calls / seconds:8.2f} {ratio}"
        )


if __name__ == "__main__":
    main()
