"""The shards of a run as one dataset.

    merged = merge("config.yaml", "big")
    merged.files        # output/big/export/simplified_data.jsonl ...
    merged.notes        # "3 pairs repeat one of another shard; 1 conversation with them is left out"

What was said twice in two shards is found here, where all of them are at hand. Nothing is asked, and no shard is
changed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from . import export
from .batch import Files
from .checks.duplicates import duplicates
from .errors import RunError
from .records import Conversation, Pair, chunk_of
from .shard import shards_of
from .store import Store
from .workbench import STEPS, Workbench


@dataclass(frozen=True, slots=True)
class Merged:
    files: Files
    notes: tuple[str, ...]


def merge(config_file: str | Path, run: str, changes: Iterable[str] = ()) -> Merged:
    """Write the datasets of all shards into the run's own export/, in the order of the texts.

    Raises RunError when a shard is missing or when there is nothing in any of them.
    """
    changes = tuple(changes)
    with contextlib.ExitStack() as opened:
        parts = [
            opened.enter_context(Workbench(config_file, run, changes, readonly=True, shard=shard))
            for shard in shards_of(Workbench.folder_of(config_file, run, changes))
        ]
        chunks = parts[0].all_chunks
        place = {chunk.key: number for number, chunk in enumerate(chunks)}
        pairs: list[Pair] = []
        made: list[Conversation] = []
        pending = []
        for part in parts:
            batches = {batch.name: batch for batch in part.status()}
            pairs += batches["distinct"].records
            made += batches["converse"].records
            left = sum(batches[name].ledger.pending for name in STEPS)
            pending += [f"shard {part.folder.name} has {left} items still to do"] if left else []
        pairs.sort(key=lambda pair: place[chunk_of(pair).key])
        made.sort(key=lambda conversation: place[chunk_of(conversation).key])
        config, folder = parts[0].config, parts[0].folder.parent
        pairs, made, notes = _without_repeats(pairs, made)
        if not (pairs if config["SKIP.CONVERSATION_GENERATION"] else made):
            raise RunError(f"the {len(parts)} shards of {folder} have nothing to export yet; status says why")
        files = export.datasets(folder / "export", config, chunks, pairs, made)
        stores = [opened.enter_context(Store(part.folder, readonly=True)) for part in parts]
        calls = export.calls(folder / "export", *stores)
    return Merged(Files({**files, **calls}), (*pending, *notes))


def _without_repeats(
    pairs: list[Pair], made: list[Conversation]
) -> tuple[list[Pair], list[Conversation], tuple[str, ...]]:
    """What is left when a pair that repeats one of another shard goes, with the conversations that have it."""
    found = duplicates(pairs)
    gone = {pairs[number].key for number in found}
    talks = [talk for talk in made if not gone & {pair.key for pair in talk.cast.group.pairs}]
    kept = [pair for number, pair in enumerate(pairs) if number not in found]
    lost = len(made) - len(talks)
    note = f"{len(found)} pairs repeat one of another shard; {lost} conversations are left out with them"
    return kept, talks, (note,) if found else ()
