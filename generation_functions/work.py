"""What each step does with one record, as the configuration has it.

    works = Works(config, traits)
    await works.of("vet", pairs)(pair, ask)       # Outcome("kept", (pair,), "rewritten once", verdicts)

It knows the steps' own modules and the settings; nothing of runs.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from . import conversations, questions
from .config import Config
from .conversations import Traits
from .items import Records
from .records import Outcome, Pair
from .stage import Ask

Work = Callable[[Any, Ask], Coroutine[Any, Any, Outcome]]


class Works:
    """The work of every step."""

    def __init__(self, config: Config, traits: Traits) -> None:
        self._config, self.traits = config, traits

    def of(self, step: str, inputs: Records) -> Work:
        """The step's work on one of these inputs."""
        setting = self._config
        if step == "judge":
            return _pass_on if setting["SKIP.FILTER_CHUNKS"] else questions.judge
        if step == "write":
            planned = not setting["SKIP.PLAN_QUESTIONS"]
            return partial(questions.write, count=setting["SYSTEM.PAIRS_PER_CHUNK"], planned=planned)
        if step == "vet":
            return self._vet(inputs)
        if step == "standalone":
            votes, may_name_text = setting["SYSTEM.DOUBLE_CHECK_COUNTER"], setting["SYSTEM.USE_FILENAMES"]
            work = partial(questions.standalone, votes=votes, may_name_text=may_name_text)
            return _pass_on if setting["SKIP.REPAIR_QA_TUPLES"] else work
        if step == "cast":
            assistant = setting["SYSTEM.ASSISTANT_MODE"]
            return partial(conversations.cast, traits=self.traits, assistant=assistant)
        assert step == "converse", step
        return partial(conversations.write, quotes=setting["SYSTEM.CONVERSATION_QUOTES"])

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
            "may_name_text": self._config["SYSTEM.USE_FILENAMES"],
        }


async def _pass_on(record: Any, ask: Ask) -> Outcome:
    return Outcome("kept", (record,))
