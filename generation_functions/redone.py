"""What other settings would do to a run: which items begin again, which count as older, what they had cost in calls.

Nothing here decides that. Steps with the other settings look at the run on the disk as a workbench that is opened with
them does, and the two are compared, item by item:

    touched(steps, steps.config, other)
            [Touched(step="judge", of=5, gone=0, older=5, missing=0, calls=5), ...]

Nothing is written, and no model is loaded.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import text
from .background import Background
from .config import Config
from .database import opened
from .errors import WorkbenchError
from .items import Item, Items
from .models import Models
from .records import content_key
from .steps import Material, Steps, variants
from .store import Store

CUT_AT_MOST = 500_000  # bytes of texts that are cut for a look; about 1.5 s
FILES_AT_MOST = 1_000  # files of another folder of texts that are read for a look
READ_AT_MOST = 50_000_000  # bytes of them
ATTRIBUTED = 4  # settings changed together up to which it is told which of them matters
ATTRIBUTED_ITEMS = 20_000  # items of all steps, likewise: looking takes two more looks for each setting


@dataclass(frozen=True, slots=True)
class Touched:
    """What becomes of the `of` items that a step has done.

    `gone` have no place any more and stay on the disk; `older` stay in place and count as made by older settings;
    `fresh` no longer do; `missing` are to be made in addition. `calls` were bought for those gone and older.
    """

    step: str
    of: int
    gone: int = 0
    older: int = 0
    fresh: int = 0
    missing: int = 0
    calls: int = 0


State = Mapping[
    str, Mapping[str, tuple[str, bool]]
]  # of each step's inputs, by key: status, and whether it is older


def redone(steps: Steps, old: Config, new: Config) -> list[str]:
    """What the settings `new` would do to the run in place of `old`, in sentences."""
    changed = [name for name in new if new[name] != old[name]]
    if not changed:
        return []
    try:
        before = _state(steps, old)
        found = _compared(steps, before, _state(steps, new))
        return _sentences(_that_matter(steps, before, old, new, changed, found), found)
    except _Unseen as unseen:
        return [str(unseen)]
    except WorkbenchError as error:
        return [f"With these settings the set-up cell stops: {error}"]


def touched(steps: Steps, old: Config, new: Config) -> list[Touched]:
    """What becomes of each step's items, of those steps where something does. Raises WorkbenchError as opening a
    workbench with the new settings would.
    """
    return _compared(steps, _state(steps, old), _state(steps, new))


def _compared(steps: Steps, before: State, after: State) -> list[Touched]:
    found = []
    for step in before:
        was, now = before[step], after[step]
        done = [key for key, (status, _) in was.items() if status != "pending"]
        gone = [key for key in done if key not in now]
        older = [key for key in done if key in now and now[key][1] and not was[key][1]]
        fresh = sum(key in now and was[key][1] and not now[key][1] for key in done)
        waiting = {key for key, (status, _) in was.items() if status == "pending"}
        missing = sum(status == "pending" and key not in waiting for key, (status, _) in now.items())
        if step == "chunks":  # which is never pending
            missing = len(now.keys() - was.keys())
        if gone or older or fresh or missing:
            calls = _calls(steps, step, gone + older)
            found.append(Touched(step, len(done), len(gone), len(older), fresh, missing, calls))
    return found


class _Unseen(Exception):
    """What can be said without looking, where that would take too long or there is nothing to look at."""


def _state(steps: Steps, settings: Config) -> State:
    with _as_if(steps, settings) as other:
        return {batch.name: _of(batch.items) for batch in other.look()}


def _of(items: Sequence[Item]) -> dict[str, tuple[str, bool]]:
    assert isinstance(items, Items)
    states = zip(items.statuses, map(bool, items.older), strict=True)
    return dict(zip(items.inputs.keys, states, strict=True))


@contextmanager
def _as_if(steps: Steps, settings: Config) -> Iterator[Steps]:
    """The steps as they would be with these settings, to look at the same run and write nothing."""
    output = settings.path("PATH.OUTPUT")
    if output.resolve() not in steps.store.folder.resolve().parents:
        raise _Unseen(f"OUTPUT: this run stays where it is; one below {output} is gone on with, or begun.")
    models = Models(settings)
    if settings != steps.config:
        models.check()
    with Store(steps.store.folder, readonly=True) as store:
        other = Steps(settings, _material(steps, settings), store, models, Background())
        _refuse_to_cut_much(other)
        yield other


def _material(steps: Steps, settings: Config) -> Material:
    """The stages and texts of these settings; what is the same is not read again."""
    before, material = steps.config, steps.material
    names = ("PATH.PROMPTS", "PATH.DEFAULT_PROMPTS")
    if [settings.path(name) for name in names] != [before.path(name) for name in names] or (
        variants(settings) != variants(before)
    ):
        material = material.with_prompts(settings)
    folder = settings.path("PATH.INPUT")
    if folder == before.path("PATH.INPUT"):
        return material
    if _is_large(folder):
        raise _Unseen(f"INPUT: all texts below {folder} are read, and what is not there yet is begun.")
    return material.with_texts(settings)


def _is_large(folder: Path) -> bool:
    files = size = 0
    for place, _, names in os.walk(folder):
        files += 1 + len(names)  # a folder counts too, so that a disk full of empty ones is not gone through
        size += sum(os.lstat(os.path.join(place, name)).st_size for name in names[:FILES_AT_MOST])
        if files > FILES_AT_MOST or size > READ_AT_MOST:
            return True
    return False


def _refuse_to_cut_much(other: Steps) -> None:
    folder, size = other.config.path("PATH.INPUT"), other.config["SYSTEM.CHUNK_SIZE"]
    marks = {source.name: content_key(source.digest, size, text.RULES) for source in other.material.sources}
    unknown = [name for name, mark in marks.items() if other.store.cut(name, mark) is None]
    if sum((folder / name).stat().st_size for name in unknown if (folder / name).exists()) > CUT_AT_MOST:
        calls = sum(row["calls"] for row in other.store.usage())
        raise _Unseen(
            "The texts are cut anew, which takes a while, so nearly every step begins again: "
            f"{_counted(calls, 'call')} {_were(calls)} bought for the chunks as they are."
        )


def _calls(steps: Steps, step: str, keys: list[str]) -> int:
    """How many calls the step bought for these items."""
    with closing(opened(steps.store.folder / "run.db", readonly=True)) as db:
        total = 0
        for start in range(0, len(keys), 500):
            some = keys[start : start + 500]
            marks = ",".join("?" * len(some))
            [(count,)] = db.execute(
                f"select count(*) from calls where step = ? and item in ({marks})", (step, *some)
            )
            total += count
    return int(total)


# In sentences


def _that_matter(
    steps: Steps, before: State, old: Config, new: Config, changed: list[str], found: list[Touched]
) -> list[str]:
    """Those of the changed settings that do something, alone or with the others."""
    is_large = sum(map(len, before.values())) > ATTRIBUTED_ITEMS
    if len(changed) == 1 or len(changed) > ATTRIBUTED or not found or is_large:
        return changed

    def matters(name: str) -> bool:
        alone = Config({**old, name: new[name]}, old.folder)
        without = Config({**new, name: old[name]}, new.folder)
        try:
            if _compared(steps, before, _state(steps, alone)):
                return True
            return _compared(steps, before, _state(steps, without)) != found
        except (WorkbenchError, _Unseen):
            return True  # without the others it is not even allowed

    return [name for name in changed if matters(name)] or changed


def _sentences(names: list[str], found: list[Touched]) -> list[str]:
    about = ", ".join(name.partition(".")[2] for name in names)
    if not found:
        return ["Nothing that was made is touched."]
    said = []
    chunks = next((one for one in found if one.step == "chunks"), None)
    steps = [one for one in found if one.step not in ("chunks", "distinct")]
    calls = sum(one.calls for one in steps if one.gone)
    if chunks and chunks.gone:
        which = (
            f"all {chunks.of} chunks" if chunks.gone == chunks.of else f"{chunks.gone} of {chunks.of} chunks"
        )
        way = f"give way to {chunks.missing} others" if chunks.missing else "are left out, not deleted"
        again = ", so every step begins again" if chunks.gone == chunks.of else ""
        said.append(f"{which} {way}{again}: {_counted(calls, 'call')} {_were(calls)} bought for them")
    elif chunks:
        said.append(f"{_counted(chunks.missing, 'more chunk')} {_are(chunks.missing)} taken, the others stay")
    else:
        for one in steps:
            if one.gone:
                bought = f": {_counted(one.calls, 'call')} {_were(one.calls)} bought for them" * bool(
                    one.calls
                )
                said.append(f"{one.gone} of {one.of} items of {one.step} are left out, not deleted{bought}")
            if one.missing:
                said.append(f"{_counted(one.missing, 'item')} of {one.step} {_are(one.missing)} to be made")
    if older := [one for one in steps if one.older]:
        each = ", ".join(f"{one.older} of {one.step}" for one in older)
        calls = sum(one.calls for one in older)
        said.append(
            f"what was made stays and counts as made by older settings ({each}; "
            f"{_counted(calls, 'call')} {_were(calls)} bought for it); again=True redoes it, "
            "and questions that stay the same are answered from the journal"
        )
    if fresh := [one for one in steps if one.fresh]:
        said.append(f"{', '.join(f'{one.fresh} of {one.step}' for one in fresh)} no longer count as older")
    return [f"{about}: {said[0]}.", *(f"{line[0].upper()}{line[1:]}." for line in said[1:])] if said else []


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _were(number: int) -> str:
    return "was" if number == 1 else "were"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"
