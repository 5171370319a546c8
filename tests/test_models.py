"""Which engine plays which role: models that make way for each other, and models that come from a hub."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import psutil
import pytest
from fake_hub import FakeHub
from house import copy_of_project

from generation_functions import config
from generation_functions.engine import Message, Request, Sampling
from generation_functions.errors import ConfigError, EngineError
from generation_functions.grammar import Grammar
from generation_functions.models import Models
from generation_functions.workbench import Workbench

HELLO = Request(
    stage="check_relevance",
    messages=(Message("user", "Say yes.\n"),),
    prompt="Say yes.\n",
    shared_prompt="",
    grammar=Grammar.compile('root ::= "yes"'),
    sampling=Sampling(5),
    seed=1,
)
ON_HUB = "hf:ann/tiny:model.gguf"


def models(folder: Path, *changes: str, small: str, large: str = "") -> Models:
    (folder / "config.yaml").write_text("{}")
    names = [f"API.LOGICAL_MODEL={small}", f"API.LARGE_LOGICAL_MODEL={large}", "LOCAL.CONTEXT=2048"]
    made = Models(config.load(folder / "config.yaml", [*names, *changes]))
    made.check()
    return made


def model_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "generation_functions.llama_child" in p.cmdline()]


def test_two_local_models_are_never_in_memory_together(model_path: Path, tmp_path: Path) -> None:
    """The large one is the same file under another name, so its process has to be about as large as the first."""
    (tmp_path / "large.gguf").symlink_to(model_path)
    made = models(tmp_path, small=str(model_path), large=str(tmp_path / "large.gguf"))
    seen: list[tuple[int, int]] = []

    async def swapping() -> None:
        for role in ("small", "large", "small"):
            engine = await made.ready(role)
            assert (await engine.complete(HELLO)).text == "yes"
            [process] = model_processes()
            seen.append((process.pid, process.memory_info().rss))
        await made.close()

    asyncio.run(swapping())
    assert len({pid for pid, _ in seen}) == 3
    assert max(size for _, size in seen) < 1.2 * min(size for _, size in seen)
    assert model_processes() == []


def test_two_roles_with_one_model_load_it_once(model_path: Path, tmp_path: Path) -> None:
    made = models(tmp_path, small=str(model_path))

    async def both() -> bool:
        small, large = await made.ready("small"), await made.ready("large")
        await made.close()
        return small is large

    assert asyncio.run(both())


def test_a_model_that_is_not_there_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LARGE_LOGICAL_MODEL: there is no model file .*no.gguf"):
        models(tmp_path, small=ON_HUB, large="no.gguf")
    with pytest.raises(ConfigError, match="'hf:ann' is no model of a hub"):
        models(tmp_path, small="hf:ann")


def test_loading_is_shown_while_a_cell_waits_for_it(model_path: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    changes = [f"API.LOGICAL_MODEL={model_path}", "LOCAL.CONTEXT=2048", "SYSTEM.SUBSET_SIZE=1"]
    project = copy_of_project(tmp_path)
    with Workbench(project / "config.yaml", changes=changes, report=lambda p: seen.append(str(p))) as wb:
        said = str(wb.use("small"))
        assert re.fullmatch(rf"small model: loading {model_path.name}: \d+%", seen[0])
        assert said.endswith("context 2048 tokens, 8 calls at once in 16384 tokens of memory")
        assert "context 2048 tokens" in wb.try_models()[0]


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.upper().endswith("_PROXY") or name == "HF_TOKEN"]:
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_proxy")
def test_a_model_of_a_hub_is_downloaded_once_and_answers(
    model_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: set[str] = set()

    async def answered() -> str:
        made = models(tmp_path, small=ON_HUB)
        ready = asyncio.ensure_future(made.ready("small"))
        while not ready.done():
            said.add(made.loading.partition(":")[0])
            await asyncio.sleep(0.01)
        text = (await (await ready).complete(HELLO)).text
        await made.close()
        return text

    with FakeHub({"ann/tiny/main/model.gguf": model_path.read_bytes()}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        assert asyncio.run(answered()) == "yes"
    assert {"downloading model.gguf", "loading model.gguf"} <= said
    assert asyncio.run(answered()) == "yes"  # the hub is gone
    assert (tmp_path / "logical_models/ann/tiny/model.gguf").stat().st_size == model_path.stat().st_size
    shutil.rmtree(tmp_path / "logical_models")


@pytest.mark.usefixtures("no_proxy")
def test_a_hub_that_has_no_such_model_is_one_readable_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = models(tmp_path, small=ON_HUB)
    with FakeHub({}) as hub, pytest.raises(EngineError, match="answers 404") as caught:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        asyncio.run(made.ready("small"))
    assert not caught.value.retryable
    assert made.loading == ""
