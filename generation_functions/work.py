"""What each step does with one record, as the configuration has it.

    works = Works(config, traits)
    await works.of("vet", pairs)(pair, ask)       # Outcome("kept", (pair,), "rewritten once", verdicts)

It knows the steps' own modules and the settings; nothing of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from functools import lru_cache, partial
from typing import Any

from . import conversations, questions
from .checks.pairs import CHECKS, Asked, flaws
from .config import Config
from .conversations import Traits
from .items import Records
from .records import Outcome, Pair
from .stage import Ask
from .text import Source

TEXTS = 4  # of sources that are kept in memory, to hold evidence against

Work = Callable[[Any, Ask], Coroutine[Any, Any, Outcome]]


class Works:
    """The work of every step."""

    def __init__(self, config: Config, traits: Traits, sources: Iterable[Source] = ()) -> None:
        self._config, self.traits = config, traits
        named = {source.name: source for source in sources}
        text_of = lru_cache(maxsize=TEXTS)(lambda name: named[name].text if name in named else None)
        switched_on = [name for name in CHECKS if config[f"CHECKS.{name.upper()}"]]
        if self._random:
            switched_on = []
        asked = Asked(config["SYSTEM.LANGUAGE"], config["SYSTEM.USE_FILENAMES"], text_of)
        self._look = partial(flaws, switched_on=switched_on, asked=asked)

    @property
    def _random(self) -> bool:
        """Whether answers are drawn at random, which say nothing of the text."""
        return bool(self._config["SYSTEM.MODE"] == "sample")

    def over(self, sources: Iterable[Source]) -> Works:
        """The same over other texts."""
        return Works(self._config, self.traits, sources)

    def of(self, step: str, inputs: Records) -> Work:
        """The step's work on one of these inputs."""
        setting = self._config
        if step == "judge":
            return _pass_on if setting["SKIP.FILTER_CHUNKS"] else questions.judge
        if step == "write":
            planned = not setting["SKIP.PLAN_QUESTIONS"]
            count = setting["SYSTEM.PAIRS_PER_CHUNK"]
            return partial(questions.write, count=count, planned=planned, quoted=self._quoted)
        if step == "vet":
            return self._vet(inputs)
        if step == "standalone":
            votes = setting["SYSTEM.DOUBLE_CHECK_COUNTER"]
            work = partial(questions.standalone, votes=votes, look=self._look)
            return _pass_on if setting["SKIP.REPAIR_QA_TUPLES"] else work
        if step == "cast":
            assistant = setting["SYSTEM.ASSISTANT_MODE"]
            return partial(conversations.cast, traits=self.traits, assistant=assistant)
        assert step == "converse", step
        unchecked = self._random or not setting["CHECKS.CONVERSATIONS"]
        borne = conversations.OF_CONTENT if unchecked else ()
        return partial(conversations.write, quotes=setting["SYSTEM.CONVERSATION_QUOTES"], borne=borne)

    @property
    def _quoted(self) -> bool:
        return bool(self._config["SYSTEM.EVIDENCE"] == "quotation")

    def votes(self) -> Work:
        """The votes on a pair as it is; it is not rewritten."""
        return partial(questions.vet, rewrites=0, **self._vetting())

    def _vet(self, pairs: Records) -> Work:
        places: dict[str, list[int]] = {}
        for place, chunk in enumerate(pairs.chunks()):
            places.setdefault(chunk, []).append(place)

        async def work(pair: Pair, ask: Ask) -> Outcome:
            asked = [pairs[place].question for place in places.get(pair.chunk.key, ())]
            siblings = [question for question in asked if question != pair.question]
            return await questions.vet(pair, ask, siblings=siblings, **self._vetting())

        return work

    def _vetting(self) -> dict[str, Any]:
        skipped = ("SKIP.QUESTION_CHECK", "SKIP.ANSWER_RELEVANCY_CHECK", "SKIP.ANSWER_ACCURACY_CHECK")
        checks = zip(questions.CHECKS, skipped, strict=True)
        return {
            "votes": self._config["SYSTEM.DOUBLE_CHECK_COUNTER"],
            "checks": [check for check, skip in checks if not self._config[skip]],
            "look": self._look,
            "quoted": self._quoted,
        }


async def _pass_on(record: Any, ask: Ask) -> Outcome:
    return Outcome("kept", (record,))
