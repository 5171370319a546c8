"""The steps of a run over the texts of a configuration: what goes into each, what the disk has of it, what is done.

    steps = Steps(config, material, store, models, background)
    steps.do("vet", written)        # the batch; what is missing is done first
    steps.look()                    # every step's batch as it stands on the disk; nothing is done

What a step does with one record is `work`'s to know, doing it for many `step`'s, showing it other modules'.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

from . import conversations, cuts, export, prompts, text
from .background import Background
from .batch import Batch
from .checks.duplicates import RULES, duplicates
from .config import Config
from .errors import Paused, RunError
from .items import Item, Items, Records, each, edited, holding, records_of
from .models import Models
from .overlay import Overlay
from .plans import PLANS, STEPS
from .progress import Latest, Meter, Report
from .prompts import QUOTED, SCORED, Stage
from .purse import Purse
from .records import Outcome, chunk_of, content_key
from .shard import Shard
from .since import REVOTED, edited_since
from .stage import Ask
from .step import Pause, Progress, Step, at_rest, carry_out
from .store import Origin, Store
from .text import Skipped, Source
from .trial import tried_cost
from .work import Work, Works

VOTED = ("vet", "standalone")  # whose edited pairs are voted on again by themselves
CORRECTED = "corrected by hand, so it stands; the model: "


@dataclass(frozen=True)
class Material:
    """What a configuration names: the stages' files, the texts, and what was left out of these."""

    load: Callable[[str], Stage]
    stages: dict[str, Stage]
    works: Works
    sources: Sequence[Source]
    skipped: Sequence[Skipped]

    @classmethod
    def of(cls, config: Config) -> Material:
        """Raises PromptError, GrammarError or ConfigError for what cannot be used."""
        sources, skipped = text.read_sources(config.path("PATH.INPUT"))
        return cls(*_prompts(config, sources), sources, skipped)

    def with_prompts(self, config: Config) -> Material:
        return Material(*_prompts(config, self.sources), self.sources, self.skipped)

    def with_texts(self, config: Config) -> Material:
        sources, skipped = text.read_sources(config.path("PATH.INPUT"))
        return replace(self, works=self.works.over(sources), sources=sources, skipped=skipped)


def _prompts(
    config: Config, sources: Sequence[Source]
) -> tuple[Callable[[str], Stage], dict[str, Stage], Works]:
    folders = list(dict.fromkeys(config.path(name) for name in ("PATH.PROMPTS", "PATH.DEFAULT_PROMPTS")))
    load = partial(prompts.load, folders=folders, variants=variants(config))
    stages = {name: load(name) for name in prompts.STAGES}
    return load, stages, Works(config, conversations.load_traits(folders), sources)


def variants(config: Config) -> list[str]:
    """Which forms of the stages' files the configuration asks for."""
    return [
        *(["filenames"] if config["SYSTEM.USE_FILENAMES"] else []),
        *(["free"] if config["SYSTEM.CONVERSATION_QUOTES"] == "free" else []),
        *([SCORED] if config["SYSTEM.VOTING"] == "probability" else []),
        *([QUOTED] if config["SYSTEM.EVIDENCE"] == "quotation" else []),
    ]


class Steps:
    """The steps of the run in `store`. `report` hears of progress, `rest` when a step has ended, however it did."""

    def __init__(
        self,
        config: Config,
        material: Material,
        store: Store,
        models: Models,
        background: Background,
        *,
        shard: Shard | None = None,
        report: Report = lambda progress: None,
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self.config, self.material, self.store, self.models = config, material, store, models
        self.readonly, self._writes_files = store.readonly, not store.readonly
        self.batches: dict[str, Batch] = {}  # by step, the one that was looked at last at the end
        self._background, self._shard = background, shard
        self._report, self._rest = report, rest
        spent = sum(row["cost"] for row in store.usage()) + tried_cost(store)
        self._purse = Purse(models.prices, config["API.SPENDING_LIMIT"], spent)
        self._meter = Meter()

    # A step's batch

    def do(self, name: str, batch: Batch | None = None, again: bool = False) -> Batch:
        """The step's batch, made of the one before it; what is missing or failed is done, `again` also what is older.

        Raises Paused when a person stopped it, EngineError when its models cannot go on.
        """
        if not self.readonly:
            self.store.be_open()
        if name == "chunks":
            return self._kept(self._chunks())
        records = self.inputs(name, batch)
        if name == "distinct":
            return self._kept(self._distinct(records))
        return self._step(name, records, again)

    def inputs(self, name: str, batch: Batch | None = None) -> Records:
        """What goes into a step: the records of the batch before it with the acts of this moment, or of the run's."""
        before = STEPS[STEPS.index(name) - 1]
        if name == "cast" and self.config["SKIP.CONVERSATION_GENERATION"]:
            return records_of([])
        if batch is None:
            batch = self.batches.get(before) or self.at_rest(before)
        self.be_own(batch)
        records = replace(batch, overlay=self.store.overlay(batch.name)).passing
        if name == "cast":
            return conversations.groups(records, self.config["SYSTEM.REARRANGEMENTS_TO_TAKE"])
        return records

    def be_own(self, batch: Batch) -> None:
        """Raises RunError for a batch of another run."""
        if batch.run not in ("", str(self.store.folder)):
            raise RunError(f"that batch is of {batch.run}, and this workbench of {self.store.folder}")

    def at_rest(self, name: str) -> Batch:
        """A step's batch as the disk has it."""
        return self.looking(self.batches).do(name)

    def look(self, batches: dict[str, Batch] | None = None) -> list[Batch]:
        """Every step as it stands on disk, with what people's edits leave to be done; kept in `batches`."""
        found = {} if batches is None else batches
        looking = self.looking(found)
        steps = [looking.do(name) for name in STEPS]
        for place, batch in enumerate(steps):
            steps[place] = found[batch.name] = self._with_edits(batch, steps[place + 1 :])
        return steps

    def looking(self, batches: dict[str, Batch]) -> Steps:
        """The same that does nothing and remembers its batches there; a step may run beside it."""
        looking = copy.copy(self)
        looking.readonly, looking._writes_files, looking.batches = True, False, batches
        return looking

    def apart(self) -> Steps:
        """The same, for a part of the run: what it does is done for good, its batches and files are not the run's."""
        apart = copy.copy(self)
        apart._writes_files, apart.batches = False, {}
        return apart

    @cached_property
    def all_chunks(self) -> Records:
        """Those of whole sources."""
        return cuts.chunks(self.material.sources, self.config["SYSTEM.CHUNK_SIZE"], self.store)

    @property
    def lengths(self) -> dict[str, int]:
        """Of whole sources, in characters."""
        return cuts.lengths(self.material.sources, self.config["SYSTEM.CHUNK_SIZE"], self.store)

    def ask(self, step: str, fresh: bool = False) -> Ask:
        """What puts the step's stages to its model, and pays."""
        plan = PLANS[step]
        stages = {name: self.material.stages[name] for name in plan.stages}
        model = self.models.model(plan.role)
        how: dict[str, Any] = {"purse": self._purse, "hear": self._meter.add, "fresh": fresh}
        return Ask(model, stages, self.store, pass_probability=self.config["SYSTEM.PASS_PROBABILITY"], **how)

    def made(self, name: str, work: Work, again: bool = False) -> Step:
        """The step as it is carried out with that work."""
        plan, ask = PLANS[name], self.ask(name, again)
        versions = [self.material.stages[stage].version for stage in plan.stages]
        made_by = content_key(versions, ask.model.name, self.config.fingerprint(plan.settings))

        def asking(record: Any) -> Coroutine[Any, Any, Outcome]:
            return work(record, ask.on_behalf_of(Origin(name, record.key, chunk_of(record).key)))

        return Step(name, made_by, asking, ask.model.at_once)

    # Without models

    def _chunks(self) -> Batch:
        made = self.all_chunks
        notes = [f"{skipped.name} was skipped: {skipped.reason}" for skipped in self.material.skipped]
        if self.config["SYSTEM.USE_SUBSET"] and self.config["SYSTEM.SUBSET_SIZE"] < len(made):
            notes.append(
                f"{self.config['SYSTEM.SUBSET_SIZE']} of {len(made)} chunks are taken (SYSTEM.USE_SUBSET)"
            )
            made = records_of(text.subset(made, self.config["SYSTEM.SUBSET_SIZE"]))
        if self._shard:
            notes.append(f"of {len(made)} chunks this is shard {self._shard}")
            made = made.only([place for place, key in enumerate(made.keys) if self._shard.has(key)])
        return Batch("chunks", each(made), notes=(*self.config.ignored, *notes))

    def _distinct(self, records: Records) -> Batch:
        def repeats() -> list[tuple[int, str]]:
            return [(n, f"repeats: {records[of].question}") for n, of in duplicates(records).items()]

        stamp = records.stamp and content_key(records.stamp, RULES)
        found = dict(self.store.remembered("distinct", stamp, repeats))
        return Batch("distinct", each(records, found), self.store.overlay("distinct"))

    # With models

    def _step(self, name: str, inputs: Records, again: bool) -> Batch:
        work = self._with_corrections(name, self.material.works.of(name, inputs))
        overlay = self.store.overlay(name)
        try:
            items = self._items(name, inputs, work, again)
            if name in VOTED:
                items = self._voted_again(items, overlay, again)
        except Paused:
            done = at_rest(self.made(name, work, again), inputs, self.store)
            self._kept(Batch(name, done, overlay))
            raise
        batch = self._kept(Batch(name, items, overlay))
        if self.readonly or not overlay.edits:
            return batch
        looking = self.looking({name: batch})
        return self._with_edits(batch, [looking.do(later) for later in STEPS[STEPS.index(name) + 1 :]])

    def _with_corrections(self, name: str, work: Work) -> Work:
        """The same, but what a person corrected in an earlier step stands, whatever the models say of it."""
        before = {"vet": ("write",), "standalone": ("write", "vet")}.get(name, ())
        corrected = {key for step in before for key in self._corrected(step)}
        if not corrected or self.readonly:
            return work

        async def unless_corrected(record: Any, ask: Ask) -> Outcome:
            if record.key not in corrected:
                return await work(record, ask)
            said = await (self.material.works.votes() if name == "vet" else work)(record, ask)
            if said.status == "kept" and said.records == (record,):
                return said
            return replace(said, status="kept", records=(record,), reason=f"{CORRECTED}{said.reason}")

        return unless_corrected

    def _corrected(self, step: str) -> list[str]:
        """The keys of the records of a step as people left them."""
        overlay = self.store.overlay(step)
        if not overlay.edits:
            return []
        found = holding(self.at_rest(step).items, overlay.edits)
        records = (record for _, item in found for record in item.outcome.records)
        return [edited(record, overlay).key for record in records if record.key in overlay.edits]

    def _items(self, name: str, inputs: Sequence[Any], work: Work, again: bool, kept_as: str = "") -> Items:
        step = replace(self.made(name, work, again), name=kept_as or name)
        if self.readonly:
            return at_rest(step, inputs, self.store)
        return self._carried_out(step, inputs, again)

    def _carried_out(self, step: Step, inputs: Sequence[Any], again: bool) -> Items:
        """The step's items, with progress shown from here. Raises Paused when a person stopped it."""
        pause = Pause()
        latest = Latest(self._report, self._note(), pause)
        work = carry_out(step, inputs, self.store, again=again, report=latest.hear, pause=pause)
        try:
            items: Items = self._background.wait(work, pause, latest.show)
            latest.show()
        finally:
            latest.end()
            self._rest()
        if pause.requested:  # also when all that was left was in flight: the next step is not wanted
            states = zip(items.statuses, items.older, strict=True)
            left = sum(status == "pending" or (again and bool(older)) for status, older in states)
            why = pause.why or f"Paused at {len(items) - left} of {len(items)}; run the cell again to go on."
            raise Paused(why)
        return items

    def _note(self) -> Callable[[Progress], str]:
        """What a step that begins now waits for, has bought, has spent and will spend, for its line of progress."""
        before, meter, began = self._purse.spent, replace(self._meter), time.monotonic()

        def note(progress: Progress) -> str:
            spent = self._purse.spent - before
            left = spent / progress.bought * (progress.total - progress.done) if progress.bought else 0.0
            money = f"{spent:.4f} spent, about {spent + left:.4f} in all" if spent else ""
            calls = self._meter.since(meter, time.monotonic() - began)
            return "; ".join(filter(None, (self.models.waiting, calls, money)))

        return note

    def _voted_again(self, items: Items, overlay: Overlay, again: bool) -> Items:
        """The votes on what a person edited after vetting, shown in place of those on the text that was."""
        changed = {
            place: edited(record, overlay)
            for place, item in holding(items, overlay.edits)
            for record in item.outcome.records
            if record.key in overlay.edits
        }
        if not changed:
            return items
        votes = self.material.works.votes()
        revoted = self._items("vet", list(changed.values()), votes, again, kept_as="votes")

        def shown(item: Item) -> Item:
            reason = f"{REVOTED}{item.outcome.status}"
            return replace(item, outcome=replace(item.outcome, reason=reason))

        return items.with_votes(dict(zip(changed, map(shown, revoted), strict=True)))

    # What is told and kept

    def _with_edits(self, batch: Batch, later: Sequence[Batch]) -> Batch:
        note = edited_since(batch, later, self.store.made_of) if batch.overlay.edits else ""
        return replace(batch, notes=(*batch.notes, note)) if note else batch

    def _kept(self, batch: Batch) -> Batch:
        """The batch with its notes, remembered, and readable on disk."""
        notes = list(batch.notes)
        if batch.older:
            notes.append(
                f"{batch.older} of {len(batch.items)} were made by an older prompt, model or setting; "
                "again=True redoes them"
            )
        if batch.lost:
            notes.append(
                f"{batch.lost} edited or ruled on by hand are not here any more: "
                "regenerated, or not in this subset"
            )
        if self._writes_files and (apart := export.kept_apart(self.store.folder, batch, self.store)):
            notes.append(
                f"{export.FILES[batch.name]} was changed by hand and not taken back; it is kept as {apart.name}, which "
                "wb.import_edits takes"
            )
        batch = replace(batch, notes=tuple(dict.fromkeys(notes)), run=str(self.store.folder))
        self.batches.pop(batch.name, None)
        self.batches[batch.name] = batch
        if self._writes_files:
            export.readable(self.store.folder, batch, self.store)
            export.failures(self.store.folder, [batch])
        return batch
