"""What a call costs besides the server's own time, beside other ways to send the same calls, in one run.

    python benchmarks/api_overhead.py [--latency 0,0.05,0.5] [--in-flight 16,64,256] [--calls 5000]
                                      [--slow-calls 2000] [--repetitions 1] [--only ours,bare] [--peer NAME=PYTHON]

The mock server answers after a fixed time, always with the same answer. Each contender, in a process of its own, makes
the same calls, a vote on a question each, with the very bodies that the workbench sends (recorded at the start):

    ours        step, ask, engine and journal, as the pipeline has them; each answer read, item and call on disk
    bare        `openai.AsyncOpenAI` as it comes, behind a semaphore; each answer is thrown away
    bare post   the same, but it is handed the body as it goes out, not messages to check one by one
    bare aio    as bare, with its other transport, `openai.DefaultAioHttpClient`
    NAME        a peer, in whose environment PYTHON is: instructor, langchain, curator or distilabel

From 0.5 s of latency on there are fewer calls, as each takes so long. `of ideal` compares with calls x latency /
in flight; `ms own` is the processor time of the client's process for a call. Repetitions are interleaved; a line
shows medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from mock_server import MockServer

ROOT = Path(__file__).parent.parent
ANSWER = "Reason: It asks what was sold, and the text says how often: it is relevant.\nVerdict: Relevant"
JSON_ANSWER = '{"reason": "It asks what was sold, and the text says how often.", "verdict": "Relevant"}'
SLOW = 0.5  # seconds of latency from which there are fewer calls
OWN = ("ours", "bare", "bare post", "bare aio")  # which need no environment but this
READS_JSON = ("instructor",)
STANDARD = ("model", "messages", "max_tokens", "temperature", "top_p", "seed")  # the others are servers' own

Body = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """`processor` is the client's own time; both in seconds, for all calls."""

    seconds: float
    processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latency", default="0,0.05,0.5", help="seconds")
    parser.add_argument("--in-flight", default="16,64,256")
    parser.add_argument("--calls", type=int, default=5000)
    parser.add_argument("--slow-calls", type=int, default=2000, help=f"from {SLOW:g} s of latency on")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--contender", help="be one of them: NAME URL FILE CALLS IN_FLIGHT", nargs=5)
    chosen = parser.parse_args()
    if chosen.contender:
        name, url, file, calls, in_flight = chosen.contender
        return contend(name, url, Path(file), int(calls), int(in_flight))
    pythons = dict.fromkeys(OWN, sys.executable) | dict(peer.split("=", 1) for peer in chosen.peer)
    if chosen.only:
        pythons = {name: pythons[name] for name in chosen.only.split(",")}
    with tempfile.TemporaryDirectory() as folder:
        bodies = Path(folder) / "bodies.jsonl"
        with MockServer(answer=ANSWER, record=str(bodies)) as server:
            measured("ours", sys.executable, server, bodies, chosen.calls, 64)
        for latency, in_flight in product(numbers(chosen.latency), numbers(chosen.in_flight)):
            calls = chosen.slow_calls if latency >= SLOW else chosen.calls
            results: dict[str, list[Result]] = {name: [] for name in pythons}
            for _, (name, python) in product(range(chosen.repetitions), pythons.items()):
                answer = JSON_ANSWER if name in READS_JSON else ANSWER
                with MockServer(latency=latency, answer=answer) as server:
                    results[name].append(measured(name, python, server, bodies, calls, int(in_flight)))
            print_table(results, latency, int(in_flight), calls)


def numbers(listed: str) -> list[float]:
    return [float(number) for number in listed.split(",")]


def measured(name: str, python: str, server: MockServer, bodies: Path, calls: int, in_flight: int) -> Result:
    """One contender's result. Raises RuntimeError when it did not make its calls."""
    command = [python, __file__, "--contender", name, server.url, str(bodies), str(calls), str(in_flight)]
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True)
    counts = server.counts()
    if done.returncode or not calls <= counts.answered <= calls + 1 or counts.most_at_once > in_flight:
        raise RuntimeError(f"{name} made {counts} of {calls} calls:\n{done.stdout}\n{done.stderr}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


def print_table(results: dict[str, list[Result]], latency: float, in_flight: int, calls: int) -> None:
    ideal = f"ideal {in_flight / latency:,.0f} calls/s" if latency else "no ideal"
    print(f"\n{latency * 1000:g} ms, {in_flight} in flight, {calls} calls, {ideal}")
    print(f"{'':14s} {'seconds':>8s} {'calls/s':>8s} {'of bare':>8s} {'of ideal':>9s} {'ms own':>8s}")
    medians = {name: statistics.median(run.seconds for run in runs) for name, runs in results.items()}
    for name, seconds in medians.items():
        own = statistics.median(run.processor for run in results[name]) / calls * 1000
        of_bare = f"{medians['bare'] / seconds:7.2f}x" if "bare" in medians else ""
        of_ideal = f"{calls * latency / in_flight / seconds:8.0%}" if latency else ""
        print(f"{name:14s} {seconds:8.2f} {calls / seconds:8.0f} {of_bare:>8s} {of_ideal:>9s} {own:8.2f}")
    sys.stdout.flush()


# The contenders, each in a process of its own. Their modules are imported there: an environment has those of its own
# contender alone.


def contend(name: str, url: str, file: Path, calls: int, in_flight: int) -> None:
    if name == "ours":
        result = asyncio.run(ours(url, calls, in_flight))
    else:
        bodies = [json.loads(line) for line in file.read_bytes().splitlines()[-calls:]]
        result = OTHERS[name](url, bodies, in_flight)
    print(json.dumps({"seconds": result.seconds, "processor": result.processor}))


async def ours(url: str, calls: int, in_flight: int) -> Result:
    from functools import partial

    from generation_functions import Chunk, Pair, config, prompts, questions
    from generation_functions.models import Models
    from generation_functions.records import Sentence
    from generation_functions.stage import Ask
    from generation_functions.step import Step, carry_out
    from generation_functions.store import Store

    changes = ["SYSTEM.MODE=api", f"API.BASE_URL={url}", "API.LOGICAL_MODEL=mock", "API.GRAMMAR=llama.cpp"]
    models = Models(config.load(ROOT / "config.yaml", [*changes, f"SYSTEM.CONCURRENCY_LIMIT={in_flight}"]))
    stage = prompts.load("check_question", [ROOT / "prompts"])
    text = "In 1874 the baker sold bread by the river 12 times. In 1875 he sold none. Nobody knows why he stopped."
    chunk = Chunk("made up", tuple(Sentence(f"{part}.", 0, 0) for part in text.rstrip(".").split(". ")))
    pairs = [Pair(chunk, f"What did baker number {n} sell?", "Bread.", (1,)) for n in range(calls)]
    await models.ready("small")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        model = models.model("small")
        ask = Ask(model, {stage.name: stage}, store)
        vet = partial(questions.vet, ask=ask, votes=1, checks=questions.CHECKS[:1], rewrites=0)
        began = time.perf_counter(), time.process_time()
        items = await carry_out(Step("vet", "benchmark", vet, model.at_once), pairs, store)
        result = Result(time.perf_counter() - began[0], time.process_time() - began[1])
        await models.close()
    assert items.statuses == ["kept"] * calls, Counter(items.statuses)
    return result


def timed(call: Callable[[Body], Awaitable[Any]], bodies: list[Body], in_flight: int) -> Awaitable[Result]:
    """All the calls, so many at once."""

    async def all_of_them() -> Result:
        free = asyncio.Semaphore(in_flight)

        async def one(body: Body) -> None:
            async with free:
                await call(body)

        began = time.perf_counter(), time.process_time()
        await asyncio.gather(*map(one, bodies))
        return Result(time.perf_counter() - began[0], time.process_time() - began[1])

    return all_of_them()


def bare(url: str, bodies: list[Body], in_flight: int, transport: str = "", typed: bool = True) -> Result:
    import openai

    async def run() -> Result:
        http_client = getattr(openai, transport)() if transport else None
        async with openai.AsyncOpenAI(base_url=url, api_key="none", http_client=http_client) as client:

            async def create(body: Body) -> None:
                standard = {name: body[name] for name in STANDARD if name in body}
                own = {name: value for name, value in body.items() if name not in STANDARD}
                await client.chat.completions.create(**standard, extra_body=own)

            async def post(body: Body) -> None:
                await client.post("/chat/completions", body=body, cast_to=openai.types.chat.ChatCompletion)

            return await timed(create if typed else post, bodies, in_flight)

    return asyncio.run(run())


def bare_post(url: str, bodies: list[Body], in_flight: int) -> Result:
    return bare(url, bodies, in_flight, typed=False)


def bare_aio(url: str, bodies: list[Body], in_flight: int) -> Result:
    return bare(url, bodies, in_flight, "DefaultAioHttpClient")


# Peers, each as its own pages show it, asked for the same two fields. What it adds to the body is its own.


def instructor(url: str, bodies: list[Body], in_flight: int) -> Result:
    import instructor
    import openai

    async def run() -> Result:
        client = instructor.from_openai(
            openai.AsyncOpenAI(base_url=url, api_key="none"), mode=instructor.Mode.JSON
        )
        answer = model_of_answer()
        return await timed(
            lambda body: client.chat.completions.create(
                response_model=answer, **{name: body[name] for name in STANDARD}
            ),
            bodies,
            in_flight,
        )

    return asyncio.run(run())


def langchain(url: str, bodies: list[Body], in_flight: int) -> Result:
    from langchain_openai import ChatOpenAI

    async def run() -> Result:
        model = ChatOpenAI(base_url=url, api_key="none", model="mock", temperature=0.2, max_tokens=120)

        async def call(body: Body) -> None:
            messages = [(message["role"], message["content"]) for message in body["messages"]]
            await model.ainvoke(messages, seed=body["seed"])

        return await timed(call, bodies, in_flight)

    return asyncio.run(run())


def curator(url: str, bodies: list[Body], in_flight: int) -> Result:
    os.environ |= {
        "CURATOR_CACHE_DIR": tempfile.mkdtemp(),
        "OPENAI_API_KEY": "none",
        "TELEMETRY_ENABLED": "0",
    }
    from bespokelabs import curator

    class Vote(curator.LLM):
        def prompt(self, row: Body) -> list[Body]:
            return row["messages"]

        def parse(self, row: Body, answer: str) -> Body:
            return {"answer": answer}

    limits = {"max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10}
    vote = Vote(
        model_name="gpt-4o-mini",
        backend="openai",
        backend_params={"base_url": url, "max_concurrent_requests": in_flight, **limits},
        generation_params={"temperature": 0.2, "max_tokens": 120},
    )
    rows = [{"messages": body["messages"]} for body in bodies]
    began = time.perf_counter(), time.process_time()
    vote(rows)
    return Result(time.perf_counter() - began[0], time.process_time() - began[1])


def distilabel(url: str, bodies: list[Body], in_flight: int) -> Result:
    from distilabel.models import OpenAILLM

    model = OpenAILLM(model="mock", base_url=url, api_key="none", timeout=600)
    model.load()
    began = time.perf_counter(), time.process_time()
    for first in range(0, len(bodies), in_flight):  # its batches; one is whole before the next begins
        inputs = [body["messages"] for body in bodies[first : first + in_flight]]
        model.generate_outputs(inputs=inputs, temperature=0.2, max_new_tokens=120)
    return Result(time.perf_counter() - began[0], time.process_time() - began[1])


def model_of_answer() -> Any:
    import pydantic

    return pydantic.create_model("Answer", reason=(str, ...), verdict=(str, ...))


OTHERS = {
    "bare": bare,
    "bare post": bare_post,
    "bare aio": bare_aio,
    "instructor": instructor,
    "langchain": langchain,
    "curator": curator,
    "distilabel": distilabel,
}

if __name__ == "__main__":
    main()
