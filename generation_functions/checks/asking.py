"""What a question asks for, and which of two contrary things a text is about.

    asks("How many barrels were filled?")                        # "amount"
    are_contrary(sides("with a lid"), sides("without a lid"))    # True

English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from .wording import normal, parts

# Stems of a question that do not tell what it is about.
LIGHT = frozenset(
    """what which caus reason purpos role part function point name term call mean definit defin describ
    explain list state happen make made effect result way manner mechan kind type sort thing exampl main
    use hold say said think thought come came give given get person man peopl time place be becom known
    number amount differ take work import normal usual often help event fall rise chang increas decreas
    did doe becam plural play tell told identifi mention specif particular occur form exact serv""".split()
)
_ASKED = {
    "amount": (
        r"\bhow (?:many|much|long|far|high|deep|old|tall|often|large|big|fast|quickly|slowly|hot|heavy|wide)\b",
        r"\bwhat (?:amount|number|quantity)\b",
    ),
    "when": (
        r"\bwhen (?:is|was|were|are|do|does|did|has|have|had|can|could|should|will|would|must|may|might)\b|\bwhen\?",
        r"\b(?:(?:what|which) (?:point|moment|year|month|day|date|time|century|season|decade))\b",
    ),
    "where": (r"\b(?:where|(?:what|which) (?:city|country|place|town|region)|place of)\b",),
    "why": (
        r"\bwhy",
        r"\b(?:what|which) (?:causes?|reasons?|explains?|led|is the (?:reason|cause|point|purpose))\b",
    ),
    "who": (r"\bwho(?:m|se)?\b",),
    "how": (r"\bhow\b",),
    "whether": (
        r"^(?:(?:and|so|but|then|now|\w+,) )?(?:is|are|was|were|do|does|did|can|could|may|must|should|has|have|"
        r"had|will|would)\b(?! you| one tell)",
    ),
}
_PATTERNS = {kind: re.compile("|".join(phrases)) for kind, phrases in _ASKED.items()}


def asks(question: str) -> str:
    """What kind of thing is asked for: an amount, when, where, why, who, how, whether; "" for all else."""
    plain = normal(question)
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(plain)), "")


# Of two texts with words of one line, those with other ones speak of another thing.
OPPOSITES = tuple(
    tuple(frozenset(side.split()) for side in line)
    for line in (
        ("before prior", "after following"),
        ("with", "without"),
        ("inside", "outside"),
        ("first", "second", "third", "last final"),
        ("more", "less fewer"),
        ("most largest biggest highest longest greatest", "least fewest smallest lowest shortest"),
        ("advantage advantages benefit benefits", "disadvantage disadvantages drawback drawbacks"),
        ("rise rises rising raise raises", "fall falls falling lower lowers"),
        ("open opens opened", "close closes closed"),
        ("help helps", "hinder hinders"),
        ("start starts began begin begins beginning", "end ends ended stop stops stopped"),
        ("warmer hotter", "cooler colder"),
        ("north northern", "south southern"),
        ("east eastern", "west western"),
        ("acid", "alkaline"),
        ("slow slows slower slowly", "speed speeds fast faster quicker"),
        ("hot heated heat", "cold cooled cool"),
    )
)

Sides = tuple[int, ...]  # of each line of OPPOSITES, counted from 1; 0 for none, or for several


def sides(text: str) -> Sides:
    """On which side of each line a text is."""
    said = frozenset(parts(text))
    return tuple(_side(said, line) for line in OPPOSITES)


def are_contrary(one: Sides, other: Sides) -> bool:
    return any(mine and theirs and mine != theirs for mine, theirs in zip(one, other, strict=True))


def _side(said: frozenset[str], line: Sequence[frozenset[str]]) -> int:
    found = [n for n, words in enumerate(line, 1) if not said.isdisjoint(words)]
    return found[0] if len(found) == 1 else 0
