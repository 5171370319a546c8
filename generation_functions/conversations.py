"""From pairs to conversations: groups, a cast for each, and the talk, held against its pairs in code.

    groups([pair, pair, pair])  -> Group of up to 4 pairs of one chunk, in one of several orders
    cast(Group)                 -> Cast: who answers (with a character card), who asks, in which scenario
    write(Cast)                 -> Conversation | rejected: "turn 3 says 1870, which neither its pair nor its
    text has"

In assistant mode there is no card and no scenario, and nothing is asked of a model for the cast.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import text
from .checks import Flaw
from .checks.conversations import flaws
from .checks.pairs import flaw_of_prose
from .errors import CheckFailed, PromptError
from .grammar import Reading
from .items import Records, records_of
from .prompts import find
from .records import Cast, Conversation, Group, Outcome, Pair, Quotes, Turn, content_key, group_key
from .stage import Ask, Check

GROUP_SIZE = 4  # pairs of one conversation, as in the lineage
TRIES = 2  # a conversation that fails its checks is written once more
OF_CONTENT = frozenset(("number", "name", "extra", "repetition"))  # flaws that chance has as well
ASSISTANT, USER = "AI Assistant", "User"
RARE_INITIALS = "QXYZ"  # few names begin with them, so a model forced to them writes odd ones


@dataclass(frozen=True, slots=True)
class Traits:
    """What characters are drawn from: for each axis its values, and given names for those who ask."""

    axes: Mapping[str, Sequence[str]]
    names: Sequence[str]

    def drawn(self, draw: random.Random) -> str:
        """One value of each axis: "temperament: patient; trade: ship's cook"."""
        return "; ".join(f"{axis}: {value}" for axis, value in self._values(draw).items())

    def of(self, group: str) -> dict[str, str]:
        """The value of each axis that the character of the group with that key was drawn."""
        return self._values(random.Random(group))

    def _values(self, draw: random.Random) -> dict[str, str]:
        return {axis: draw.choice(values) for axis, values in self.axes.items()}


def load_traits(folders: Sequence[Path]) -> Traits:
    """traits.yaml of the first folder that has it. Raises PromptError."""
    file = find("traits.yaml", folders)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise PromptError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from None
    axes, names = (data.get("axes"), data.get("names")) if isinstance(data, dict) else (None, None)
    if not isinstance(axes, dict) or not all(isinstance(v, list) and v for v in axes.values()):
        raise PromptError(f"{file}: axes must hold a list of values for each trait")
    if not isinstance(names, list) or len({str(name).strip() for name in names} - {""}) < max(2, len(names)):
        raise PromptError(f"{file}: names must be a list of at least two given names, each once")
    return Traits(
        {str(axis): [str(v) for v in values] for axis, values in axes.items()}, [str(n) for n in names]
    )


def groups(pairs: Sequence[Pair], arrangements: int) -> Records:
    """Up to four pairs of a chunk together, each in up to `arrangements` different orders, the same ones each
    time.
    """
    records = records_of(pairs)
    by_chunk: dict[str, list[int]] = {}
    for place, chunk in enumerate(records.chunks()):
        by_chunk.setdefault(chunk, []).append(place)
    orders: list[tuple[int, Sequence[int]]] = []  # an arrangement's number, and the places of its pairs
    for places in by_chunk.values():
        for first in range(0, len(places), GROUP_SIZE):
            orders += _arranged(places[first : first + GROUP_SIZE], records.keys, arrangements)

    def load(start: int, stop: int) -> list[Group]:
        return [Group(tuple(records[n] for n in places), number) for number, places in orders[start:stop]]

    def chunks() -> Sequence[str]:
        of = records.chunks()
        return [of[places[0]] for _, places in orders]

    keys = [group_key([records.keys[n] for n in places], number) for number, places in orders]
    return Records(keys, load, records.stamp and content_key(records.stamp, arrangements), chunks)


def _arranged(
    places: Sequence[int], keys: Sequence[str], arrangements: int
) -> Iterable[tuple[int, Sequence[int]]]:
    own_order, *others = itertools.permutations(places)
    draw = random.Random(content_key([keys[place] for place in places]))
    return enumerate([own_order, *draw.sample(others, min(arrangements - 1, len(others)))])


async def cast(group: Group, ask: Ask, *, traits: Traits, assistant: bool) -> Outcome:
    """A character who can answer the group's questions, someone who asks, and where they meet.

    Four calls or none; more where a model goes round in circles, and if it does not stop, a rejection.
    """
    if assistant:
        return Outcome("kept", (Cast(group, ASSISTANT, USER),))
    try:
        return Outcome("kept", (await _cast_of_characters(group, ask, traits),))
    except CheckFailed as error:
        return Outcome("rejected", reason=f"the character or the scenario {error}")


async def _cast_of_characters(group: Group, ask: Ask, traits: Traits) -> Cast:
    draw = random.Random(group.key)
    source = text.describe(group.chunk.source)
    about = {
        "text": group.chunk.text,
        "pairs": _as_values(group),
        "source": source,
        "traits": traits.drawn(draw),
    }
    plan = await ask("plan_character", about, check=_flaw_of("plan"))
    values = {**about, "plan": plan.text("plan"), "initial": _initial(source, draw)}
    character = await ask("write_character", values, check=_flaw_of("card"))
    name, card = character.text("name").strip(), character.text("card").strip()
    asker = draw.choice([other for other in traits.names if other.split()[0] not in name.split()])
    scene = {"card": card, "name": name, "asker": asker, "pairs": _as_values(group)}
    scenario_plan = (await ask("plan_scenario", scene, check=_flaw_of("plan"))).text("plan")
    staged = {**scene, "plan": scenario_plan}
    scenario = (await ask("write_scenario", staged, check=_flaw_of("scenario"))).text("scenario")
    return Cast(group, name, asker, card, scenario.strip(), scenario_plan.strip())


def _flaw_of(field: str) -> Check:
    return lambda reading: flaw_of_prose(reading.text(field))


def _initial(source: str, draw: random.Random) -> str:
    """A capital to begin the character's name with, none of the source's, so that the author does not walk
    in.
    """
    letters = [chr(n) for n in range(ord("A"), ord("Z") + 1) if chr(n) not in RARE_INITIALS]
    return draw.choice([letter for letter in letters if letter not in source] or letters)


async def write(cast: Cast, ask: Ask, *, quotes: Quotes, borne: Collection[str] = ()) -> Outcome:
    """The conversation, written once more where code finds a flaw that is not `borne`. One or two calls."""
    flaw: Flaw | None = None
    for attempt in range(TRIES):
        conversation = Conversation(cast, _turns(cast, await ask(*_question(cast), draw=attempt)))
        found = flaws(conversation, verbatim=quotes == "verbatim")
        flaw = next((flaw for flaw in found if flaw.check not in borne), None)
        if not flaw:
            return Outcome("kept", (conversation,))
    return Outcome("rejected", (conversation,), str(flaw))


def _question(cast: Cast) -> tuple[str, dict[str, Any]]:
    pairs = _as_values(cast.group)
    if not cast.card:
        return "write_assistant_conversation", {"pairs": pairs}
    values = {"card": cast.card, "scenario": cast.scenario, "plan": cast.plan}
    return "write_conversation", {**values, "name": cast.answerer, "asker": cast.asker, "pairs": pairs}


def _as_values(group: Group) -> list[dict[str, str]]:
    return [{"question": pair.question, "answer": pair.answer} for pair in group.pairs]


def _turns(cast: Cast, reading: Reading) -> tuple[Turn, ...]:
    opening = reading.all("opens") if cast.card else []
    turns = [Turn(cast.answerer, speech.strip()) for speech in opening]
    said = itertools.zip_longest(reading.all("asks"), reading.all("answers"), fillvalue="")
    for asks, answers in said:  # a grammar of one's own may have more of the one than of the other
        turns += [Turn(cast.asker, asks.strip()), Turn(cast.answerer, answers.strip())]
    return tuple(turns)
