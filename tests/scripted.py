"""What several test files build with: an engine that answers from a script, small records, an `Ask` to put to it.

    engine = ScriptedEngine(["Reason: It says so.\\nVerdict: Accurate", EngineError("busy", retryable=True)])
    ask = asking(store, engine, "check_accuracy")

`agreeable`, `choosy` and `sampled` are functions that answer whatever is asked, in the format of the shipped stages.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from generation_functions import prompts
from generation_functions.engine import Completion, Hear, Request
from generation_functions.grammar import Reading
from generation_functions.models import Models
from generation_functions.prompts import Stage
from generation_functions.purse import Purse
from generation_functions.records import Cast, Chunk, Conversation, Group, Pair, Sentence, Turn
from generation_functions.stage import Ask, Model
from generation_functions.store import Store
from generation_functions.workbench import Workbench

ROOT = Path(__file__).parent.parent
PROMPTS = ROOT / "prompts"
PASSING = {"Suitable", "Relevant", "Accurate", "Pass"}

Answer = str | Completion | Exception


class ScriptedEngine:
    """Answers in the order of a list, or with what a function makes of the request; keeps what it was asked.

    An exception among the answers is raised. `most_at_once` is how many calls were in flight together.
    """

    name = "scripted"
    asks_again = False

    def __init__(self, answers: Iterable[Answer] | Callable[[Request], Answer]) -> None:
        self.holds = True  # to the grammar
        self._answer = answers if callable(answers) else self._next_of(list(answers))
        self.asked: list[Request] = []
        self.most_at_once = self._now = 0

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        self.asked.append(request)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        answer = self._answer(request)
        await asyncio.sleep(0)
        self._now -= 1
        if isinstance(answer, Exception):
            raise answer
        return Completion(answer, "stop", held=self.holds) if isinstance(answer, str) else answer

    def stages(self) -> list[str]:
        """The stages that were asked, in order."""
        return [request.stage for request in self.asked]

    @staticmethod
    def _next_of(answers: list[Answer]) -> Callable[[Request], Answer]:
        def answer(request: Request) -> Answer:
            assert answers, f"nothing is left to answer {request.stage} with"
            return answers.pop(0)

        return answer


def sampled(request: Request) -> str:
    """Any answer that follows the grammar, the same for the same seed."""
    return request.grammar.sample(random.Random(request.seed))


def agreeable(request: Request) -> str:
    """An answer that follows the grammar and lets the item through."""
    for seed in range(request.seed, request.seed + 100):
        text = request.grammar.sample(random.Random(seed))
        if "verdict" not in request.grammar.fields or request.grammar.read(text).text("verdict") in PASSING:
            return text
    raise AssertionError(f"{request.stage} never passes")


def choosy(request: Request) -> str:
    """An answer that follows the grammar and lets most items through, the same ones each time."""
    return agreeable(request) if request.seed % 4 else sampled(request)


def says(verdict: str, reason: str = "The text says so in its first sentence.") -> str:
    """What the verdict stages' grammars want."""
    return f"Reason: {reason}\nVerdict: {verdict}"


def like_example(stage: str, **fields: str) -> str:
    """The answer of a worked example of the shipped stage with these fields in place of its own."""
    reading = _example(stage, fields)
    return _with(reading.whole, {reading.spans[name][0]: text for name, text in fields.items()})


def like_pairs(*pairs: tuple[str, str, str]) -> str:
    """What write_pairs wants for pairs of question, sentences and answer."""
    reading = _example("write_pairs", ("pair",), least=2)
    (start, end), (following, _), *_ = reading.spans["pair"]
    own = [reading.spans[name][0] for name in ("question", "evidence", "answer")]
    blocks = [_with(reading.whole[:end], dict(zip(own, pair, strict=True)))[start:] for pair in pairs]
    return reading.whole[:start] + reading.whole[end:following].join(blocks)


def _example(name: str, fields: Iterable[str], least: int = 1) -> Reading:
    stage = stages(name)[name]
    readings = (stage.compiled(example.values).read(example.answer) for example in stage.examples)
    return next(r for r in readings if all(len(r.spans[field]) >= least for field in fields))


def _with(whole: str, texts: dict[tuple[int, int], str]) -> str:
    for (start, end), text in sorted(texts.items(), reverse=True):
        whole = whole[:start] + text + whole[end:]
    return whole


def stages(*names: str, variants: Collection[str] = ()) -> dict[str, Stage]:
    """The shipped stages of these names, or all of them."""
    return {name: _loaded(name, tuple(variants)) for name in names or prompts.STAGES}


@cache
def _loaded(name: str, variants: tuple[str, ...]) -> Stage:
    return prompts.load(name, [PROMPTS], variants)


def asking(
    store: Store,
    engine: ScriptedEngine,
    *names: str,
    enforces: bool = True,
    limit: int = 8,
    fresh: bool = False,
    purse: Purse | None = None,
) -> Ask:
    """An Ask that puts the shipped stages of these names, or all of them, to the engine."""

    async def ready() -> ScriptedEngine:
        return engine

    engine.holds = enforces
    return Ask(Model(engine.name, ready, limit), stages(*names), store, purse=purse, fresh=fresh)


def run(work: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await work

    return asyncio.run(wait())


# Records


def chunk(*sentences: str, source: str = "Salt, by A. Reed.txt") -> Chunk:
    """A chunk of these sentences, each as if it stood a space after the one before."""
    made, start = [], 0
    for text in sentences or ("Salt draws water out of meat.", "In 1869 a ton cost 12 pounds."):
        made.append(Sentence(text, start, start + len(text), opens_paragraph=not made))
        start += len(text) + 1
    return Chunk(source, tuple(made))


def pair(
    question: str = "What does salt draw out of meat?",
    answer: str = "Salt draws water out of it.",
    of: Chunk | None = None,
    evidence: tuple[int, ...] = (1,),
) -> Pair:
    return Pair(of or chunk(), question, answer, evidence)


def talk(*pairs: Pair, greeting: str = "", card: str = "Name: Ines") -> Conversation:
    """A flawless conversation over the pairs: Bo asks, Ines answers."""
    cast = Cast(Group(pairs), "Ines", "Bo", card, "Ines salts fish while Bo looks on." if card else "")
    turns = [Turn("Ines", greeting)] if greeting else []
    for one in pairs:
        turns += [Turn("Bo", one.question), Turn("Ines", one.answer)]
    return Conversation(cast, tuple(turns))


# A project of its own

TEXTS = {
    "Salt, by A. Reed.txt": "Salt draws water out of meat. A barrel of it lasts a winter.",
    "deep/Smoke.md": "Smoke keeps flies away. Alder and juniper burn slowly.",
}


class Project:
    """A folder with a config.yaml and two texts of a chunk each, on which workbenches are opened.

    `engine` answers for all models of the workbench that is opened last.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = ScriptedEngine(agreeable)
        for name, text in TEXTS.items():
            self.write(f"raw_text_input/{name}", text)
        self.write("config.yaml", f"PATH: {{PROMPTS: {PROMPTS}, DEFAULT_PROMPTS: {PROMPTS}}}")

    def write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def open(self, answers: Callable[[Request], Answer] = agreeable, *changes: str, **how: Any) -> Workbench:
        """A workbench of the run "first" whose models answer so; close it, or use it as a context manager."""
        self.engine = ScriptedEngine(answers)
        wanted = ("SYSTEM.MODE=sample", "SYSTEM.CHUNK_SIZE=100", "SYSTEM.REARRANGEMENTS_TO_TAKE=1", *changes)
        return Workbench(self.folder / "config.yaml", changes=wanted, report=lambda progress: None, **how)

    def finish(self) -> Path:
        """Carry out every step with models of its own; gives the project's folder."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Models, "_made", lambda models, role: self.engine)
            with self.open() as wb:
                wb.run()
        return self.folder

    @property
    def run(self) -> Path:
        return self.folder / "output" / "first"
