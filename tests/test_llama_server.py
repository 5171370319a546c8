"""The whole pipeline through a real server of the OpenAI protocol: llama.cpp's, with the default model."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import llama_server
import pytest
from house import UNCHECKED, command, copy_of_project, journal
from scripted import run, stages

from generation_functions.api import Api
from generation_functions.engine import Completion, Request
from generation_functions.errors import Truncated
from generation_functions.prompts import FORMS, SCORED
from generation_functions.server import Server
from generation_functions.traffic import Traffic

SETTINGS = (
    *("SYSTEM.MODE=api", "SYSTEM.CONCURRENCY_LIMIT=4", "SYSTEM.SUBSET_SIZE=1", "SYSTEM.CHUNK_SIZE=400"),
    *("SYSTEM.PAIRS_PER_CHUNK=1", "SYSTEM.DOUBLE_CHECK_COUNTER=1", "SYSTEM.COMPLETION_MODE=true"),
    *("SKIP.FILTER_CHUNKS=true", "API.LOGICAL_MODEL=gemma"),
)


@pytest.fixture(scope="module")
def address(model_path: Path) -> Iterator[str]:
    with llama_server.running(model_path) as address:
        yield address


def settings(address: str) -> list[str]:
    return [word for setting in (*SETTINGS, f"API.BASE_URL={address}") for word in ("--set", setting)]


def test_doctor_finds_out_what_the_server_is_and_takes(address: str, tmp_path: Path) -> None:
    done = command(copy_of_project(tmp_path), "doctor", *settings(address))
    assert done.returncode == 0, done.stderr
    assert "grammars as llama.cpp takes them (found by asking); context 4096 tokens" in done.stdout
    assert "which follows the grammar: 'Reason: " in done.stdout


def test_a_prompt_beyond_the_context_ends_the_step_with_what_to_change(address: str, tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    for sample in (project / "raw_text_input").iterdir():
        sample.unlink()
    (project / "raw_text_input" / "long.txt").write_text("The miller ground the grain. " * 900)
    long = ("--set", "SYSTEM.CHUNK_SIZE=20000", "--set", "SYSTEM.USE_SUBSET=false")
    done = command(project, "run", *settings(address), *long)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("give the server a longer context.")
    assert "set a smaller SYSTEM.CHUNK_SIZE" in done.stderr


def test_every_answer_of_a_chunk_through_the_whole_pipeline_follows_its_grammar(
    address: str, tmp_path: Path
) -> None:
    project = copy_of_project(tmp_path)
    unchecked = [word for setting in UNCHECKED for word in ("--set", setting)]
    done = command(project, "run", *settings(address), *unchecked)
    calls = journal(project)
    assert done.returncode == 0 or "There is nothing to export" in done.stderr, done.stderr
    assert {"write_pairs", "check_question"} <= {call["stage"] for call in calls}
    assert not [call["problem"] for call in calls if call["problem"].startswith("Unparseable")]
    assert sum(call["cached_tokens"] for call in calls) > 0


def test_every_stage_is_answered_in_its_grammar(address: str) -> None:
    """Of some stages the pipeline may have asked nothing; a small model lets little through."""
    requests = [stage.request(stage.examples[0].values, seed=1) for stage in stages().values()]

    async def asked() -> list[Completion]:
        engine = Api(Server(address, "none", Traffic(4)), "gemma")
        try:
            return await asyncio.gather(*map(engine.complete, map(shortened, requests)))
        finally:
            await engine.close()

    for request, got in zip(requests, run(asked()), strict=True):
        assert got.held
        try:
            assert request.grammar.read(got.text)
        except Truncated:  # but as far as it goes
            assert got.finish == "length"


@pytest.mark.parametrize("completion_mode", [True, False], ids=["completion", "chat"])
def test_the_checks_are_weighed_by_what_the_server_tells(address: str, completion_mode: bool) -> None:
    checks = stages(*FORMS[SCORED][0], variants=(SCORED,)).values()
    requests = [check.request(check.examples[0].values, seed=1) for check in checks]

    async def asked() -> list[Completion]:
        engine = Api(Server(address, "none", Traffic(4)), "gemma", completion_mode=completion_mode)
        try:
            return await asyncio.gather(*map(engine.complete, requests))
        finally:
            await engine.close()

    for request, got in zip(requests, run(asked()), strict=True):
        assert request.grammar.read(got.text)
        assert set(got.weights) == set(request.weigh)
        assert sum(got.weights.values()) == pytest.approx(1)
        # The server takes the likeliest token, which may begin the answer that is a little less likely as a whole.
        assert got.weights[got.text] > max(got.weights.values()) - 0.2


def shortened(request: Request) -> Request:
    """Without its worked examples: the grammar holds as well, and the test is over sooner."""
    messages = (request.messages[0], request.messages[-1])
    return replace(request, messages=messages, sampling=replace(request.sampling, max_tokens=16))
