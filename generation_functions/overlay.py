"""What people's acts come to: an overlay on what was made, which is never changed itself.

Overlay.of(store.acts())
# Overlay(edits={"9e41..": {"answer": "In 1869."}}, ruling={"b07d..": "accept"}, flags=frozenset())
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from .records import Act, Status


def standing(acts: Iterable[Act]) -> list[Act]:
    """Those that no undo took back: it takes back the last one on its record."""
    left: dict[int, Act] = {}
    places: dict[str, list[int]] = {}
    for place, act in enumerate(acts):
        if act.kind != "undo":
            left[place] = act
            places.setdefault(act.key, []).append(place)
        elif own := places.get(act.key):
            del left[own.pop()]
    return list(left.values())


@dataclass(frozen=True, slots=True)
class Overlay:
    """What people's acts come to, by the key of the record that they were about.

    `edits` has the changed fields; `ruling` is "accept" or "reject"; a second flag takes the first back; an undone act
    is as if it had not been.
    """

    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    ruling: Mapping[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()

    @property
    def keys(self) -> set[str]:
        return {*self.edits, *self.ruling, *self.flags}

    @classmethod
    def of(cls, acts: list[Act]) -> Overlay:
        edits: dict[str, dict[str, str]] = {}
        ruling: dict[str, str] = {}
        flags: set[str] = set()
        for act in standing(acts):
            if act.kind == "edit":
                edits.setdefault(act.key, {}).update(act.changes)
            elif act.kind == "flag":
                flags ^= {act.key}
            else:
                ruling[act.key] = act.kind
        return cls(edits, ruling, frozenset(flags))

    def lets_go_on(self, key: str, status: Status) -> bool:
        """Whether a record of an item with that status goes on to the next step."""
        if status in ("failed", "pending"):
            return False
        ruling = self.ruling.get(key)
        return ruling == "accept" or (ruling is None and (status == "kept" or key in self.edits))
