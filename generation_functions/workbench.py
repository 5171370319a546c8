"""The workbench: one method a step, one notebook cell each, everything on disk.

    wb = Workbench("config.yaml", run="first")
    chunks = wb.chunks()
    judged = wb.judge(chunks)        # goes on where it stopped; costs nothing when it is done
    judged                           # shows itself

A method loads what the run has, does what is missing and gives the batch. The models work on a loop of their
own behind it, while the cell waits in short ticks: the first interrupt lets the items in flight finish, the
second cancels them. Nothing is loaded, asked or written at import.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, WeakValueDictionary

from . import acts, checks, config, conversations, cuts, dashboard, export, page, prompts, report, text
from .background import Background
from .batch import Batch, Files, Shown
from .dashboard import Board
from .errors import ConfigError, Paused, RunError
from .estimate import Used, estimate
from .items import Item, Items, Records, each, edited, holding, records_of
from .models import ROLES, Models, Role, about
from .plans import PLANS, STEPS
from .progress import Latest, Meter, display_progress, in_notebook, watching
from .purse import Purse
from .records import Act, Ledger, Outcome, chunk_of, content_key
from .review import Review
from .shard import Shard
from .since import EDITED_SINCE, REVOTED, edited_since
from .stage import Ask
from .step import Pause, Progress, Step, at_rest, carry_out
from .store import Origin, Overlay, Store
from .trial import Trial, Trials
from .work import Work, Works

if TYPE_CHECKING:
    from .widgets.dashboard import Dashboard
    from .widgets.review import ReviewWidget
    from .widgets.settings import SettingsForm

PILOT = 3  # chunks

_OPEN: WeakValueDictionary[Path, Workbench] = WeakValueDictionary()  # by the run's folder, in this process


class Workbench:
    """A configuration and a run, opened. `report` hears of progress; as a context manager it closes itself.

    Raises ConfigError, PromptError or GrammarError for anything that can be seen wrong before work begins,
    and RunError when another process holds the run.
    """

    def __init__(
        self,
        config_file: str | Path = "config.yaml",
        run: str = "first",
        changes: Iterable[str] = (),
        *,
        report: Callable[[Progress], None] | None = None,
        say: Callable[[str], None] = lambda line: None,
        readonly: bool = False,
        shard: Shard | None = None,
    ) -> None:
        self._file, self._changes = Path(config_file), tuple(changes)
        self.config = config.load(self._file, self._changes)
        self.folder = self.config.path("PATH.OUTPUT") / _run_name(run)
        self._shard = shard
        if shard:
            self.folder = shard.folder(self.folder)
        self._report = report or display_progress()
        self._readonly = readonly
        folders = [self.config.path("PATH.PROMPTS"), self.config.path("PATH.DEFAULT_PROMPTS")]
        folders = list(dict.fromkeys(folders))
        load = partial(prompts.load, folders=folders, variants=self._variants())
        self.stages = {name: load(name) for name in prompts.STAGES}
        self._works = Works(self.config, conversations.load_traits(folders))
        self._models = Models(self.config, say)
        if not readonly:
            self._models.check()
        self._sources, self.skipped = text.read_sources(self.config.path("PATH.INPUT"))
        if not readonly and (before := _OPEN.get(self.folder.resolve())):
            before.close()  # a set-up cell that is run a second time
        self._store = Store(self.folder, readonly=readonly)
        if not readonly:
            _OPEN[self.folder.resolve()] = self
        self._trials = Trials(load, self._store)
        spent = sum(row["cost"] for row in self._store.usage())
        self._purse = Purse(self._models.prices, self.config["API.SPENDING_LIMIT"], spent)
        self._meter = Meter()
        self._background = Background()
        self._batches: dict[str, Batch] = {}
        self._dashboards: WeakSet[Dashboard] = WeakSet()

    @staticmethod
    def folder_of(config_file: str | Path, run: str, changes: Iterable[str] = ()) -> Path:
        """Where a run of that name lies, or would."""
        return config.load(config_file, changes).path("PATH.OUTPUT") / _run_name(run)

    def close(self) -> None:
        """End the models and let go of the run."""
        self._background.wait(self._models.close())
        self._background.close()
        self._store.close()

    def __repr__(self) -> str:
        small, large = self._models.name("small"), self._models.name("large")
        models = small if small == large else f"{small} (small), {large} (large)"
        mode = "assistant" if self.config["SYSTEM.ASSISTANT_MODE"] else "role-play"
        ignored = "".join(f"\n  note: {line}" for line in self.config.ignored)
        texts = f"texts: {len(self._sources)}"
        return f"Workbench: run {self.folder}, {mode} mode\n  model: {models}\n  {texts}{ignored}"

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # The steps, in the order of the notebook

    def chunks(self) -> Batch:
        """The texts as chunks; a subset of them where the configuration says so."""
        made = self.all_chunks
        notes = [f"{skipped.name} was skipped: {skipped.reason}" for skipped in self.skipped]
        if self.config["SYSTEM.USE_SUBSET"] and self.config["SYSTEM.SUBSET_SIZE"] < len(made):
            notes.append(
                f"{self.config['SYSTEM.SUBSET_SIZE']} of {len(made)} chunks are taken (SYSTEM.USE_SUBSET)"
            )
            made = records_of(text.subset(made, self.config["SYSTEM.SUBSET_SIZE"]))
        if self._shard:
            notes.append(f"of {len(made)} chunks this is shard {self._shard}")
            made = made.only([place for place, key in enumerate(made.keys) if self._shard.has(key)])
        return self._kept(Batch("chunks", each(made), notes=(*self.config.ignored, *notes)))

    @cached_property
    def all_chunks(self) -> Records:
        return cuts.chunks(self._sources, self.config["SYSTEM.CHUNK_SIZE"], self._store)

    def judge(self, chunks: Batch | None = None, *, again: bool = False) -> Batch:
        """The chunks worth asking about; the others rejected, with the model's reason."""
        return self._step("judge", self._records(chunks, "chunks"), again)

    def write(self, judged: Batch | None = None, *, again: bool = False) -> Batch:
        """Question-answer pairs of each chunk, not yet checked."""
        return self._step("write", self._records(judged, "judge"), again)

    def vet(self, written: Batch | None = None, *, again: bool = False) -> Batch:
        """The pairs that pass the votes on question, relevance and accuracy, some of them rewritten.

        A pair that a person edited after it was vetted is voted on again by itself; the person's word stands.
        """
        return self._step("vet", self._records(written, "write"), again)

    def standalone(self, vetted: Batch | None = None, *, again: bool = False) -> Batch:
        """The pairs that make sense without their text, some of them reworded and checked again.

        Here too a pair that a person edited is voted on by itself and stands.
        """
        return self._step("standalone", self._records(vetted, "vet"), again)

    def distinct(self, pairs: Batch | None = None) -> Batch:
        """The pairs without those that repeat an earlier one; each of these names the one it repeats.

        No calls.
        """
        records = self._records(pairs, "standalone")

        def repeats() -> list[tuple[int, str]]:
            return [(n, f"repeats: {records[of].question}") for n, of in checks.duplicates(records).items()]

        stamp = records.stamp and content_key(records.stamp, checks.RULES)
        found = dict(self._store.remembered("distinct", stamp, repeats))
        return self._kept(Batch("distinct", each(records, found), self._store.overlay("distinct")))

    def cast(self, pairs: Batch | None = None, *, again: bool = False) -> Batch:
        """Groups of pairs with a character who answers, one who asks, and a scenario."""
        wanted = [] if self.config["SKIP.CONVERSATION_GENERATION"] else self._records(pairs, "distinct")
        groups = conversations.groups(wanted, self.config["SYSTEM.REARRANGEMENTS_TO_TAKE"])
        return self._step("cast", groups, again)

    def converse(self, casts: Batch | None = None, *, again: bool = False) -> Batch:
        """The conversations, checked in code against their pairs. Asks the large model."""
        return self._step("converse", self._records(casts, "cast"), again)

    def export(self) -> Files:
        """Write the datasets into the run's export/, and report.html, which shows the run; give their paths.

        Raises RunError when there is nothing to write, saying which step lost the items.
        """
        batches = {batch.name: batch for batch in self.status()}
        last = "distinct" if self.config["SKIP.CONVERSATION_GENERATION"] else "converse"
        if error := export.explain_empty([batches[name] for name in STEPS[: STEPS.index(last) + 1]]):
            raise error
        pairs, made = batches["distinct"].passing, batches["converse"].passing
        folder = self.folder / "export"
        files = export.datasets(folder, self.config, self.all_chunks, pairs, made, self._store)
        run = page.Run(
            self.folder.name,
            list(batches.values()),
            self._store.usage(),
            self.config,
            self._store.last_call_at,
        )
        report_page = page.write(self.folder, run, self._store)
        return Files({**files, **export.calls(folder, self._store), page.NAME: report_page})

    # Everything at once

    def run(self) -> list[Batch]:
        """Every step, each with the batch before it, as the notebook's cells do."""
        return self._through(self.chunks())

    def pilot(self, chunks: int = PILOT) -> list[Batch]:
        """A few chunks, spread over all texts, through every step: what a run will look like, before it is paid for.

        What is made is part of the run and is not made again.
        """
        whole = self.chunks()
        few = {chunk.key for chunk in text.subset(whole.records, chunks)}
        items = [item for item in whole.items if item.input.key in few]
        note = f"a pilot of {len(items)} of {len(whole)} chunks"
        return self._through(replace(whole, items=items, notes=(*whole.notes, note)))

    def estimate(self, chunks: int = PILOT) -> Shown:
        """Calls, tokens, money and time that the whole run will take, with their range, after a pilot."""
        tried = self.pilot(chunks)[0].records
        used = self._store.used([chunk.key for chunk in tried])
        whole = len(self.chunks())
        return Shown(str(estimate([Used(*row) for row in used], whole, self._models.at_once)))

    def _through(self, chunks: Batch) -> list[Batch]:
        batches = [chunks]
        for name in STEPS[1:]:
            batches.append(getattr(self, name)(batches[-1]))
        return batches

    def status(self) -> list[Batch]:
        """Every step as it stands on disk, in the order of STEPS; nothing is done."""
        found: dict[str, Batch] = {}
        steps = self._looked(found)
        self._batches = found
        return steps

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The run at a glance: a dashboard that follows it in a notebook, a page where none runs, text elsewhere."""
        board = self._board()
        shown: dict[str, Any] = {"text/plain": dashboard.text(board), "text/html": dashboard.page(board)}
        if in_notebook():
            from .widgets.dashboard import Dashboard  # not for those who never look

            live = Dashboard(self._page, self._shown)
            self._dashboards.add(live)
            shown |= live.box._repr_mimebundle_()
        return shown

    def _board(self) -> Board:
        batches = self._looked({})
        mode = "assistant mode" if self.config["SYSTEM.ASSISTANT_MODE"] else "role-play"
        notes = [note for batch in batches for note in batch.notes]
        return Board(self.folder.name, mode, batches, self._store.usage(), self._models.states, notes)

    def _page(self, thorough: bool) -> str:
        """The dashboard's page; a thorough one reads items, which takes seconds in a large run."""
        board = self._board()
        return dashboard.html(board, dashboard.looked(board) if thorough else None)

    def _shown(self, step: str, find: Mapping[str, str], key: str) -> ReviewWidget:
        from .widgets.review import ReviewWidget

        return ReviewWidget(Review(self._looking({})._at_rest(step), self._store), find, key)

    def ledger(self) -> Shown:
        """What became of every step's items, and what was bought for it."""
        steps = self.status()
        edits = "".join(f"\n{b.name}: {note}" for b in steps for note in b.notes if EDITED_SINCE in note)
        return Shown(f"{report.ledger_text(steps)}{edits}\n\n{report.usage_text(self._store.usage())}")

    def use(self, role: Role) -> Shown:
        """Load the role's model now, ending the other; it is left where it is when none of its steps needs
        it.
        """
        name = self._models.name(role)
        left = sum(
            batch.ledger.pending
            for batch in self.status()
            if batch.name in PLANS and PLANS[batch.name].role == role
        )
        if not left:
            return Shown(f"{name} is not loaded: its steps have nothing left to do")
        engine = self._background.wait(self._models.ready(role), tick=partial(self._show_loading, role))
        return Shown(f"{name} is ready{about(engine) or f': {role}'}")

    def _show_loading(self, role: Role) -> None:
        if note := self._models.loading:
            self._heard(Progress(f"{role} model", 0, 0, 0, Ledger(), 0.0, note))

    def unload(self) -> None:
        """End the models, whose memory is free when this returns; a step that needs one loads it again."""
        self._background.wait(self._models.close())

    def try_models(self) -> list[str]:
        """What each model is, and one small call to it, two lines each.

        The first that is wrong is raised as an EngineError.
        """
        stage = self.stages["check_question"]
        request = stage.request(stage.examples[0].values, seed=1)
        lines = []
        for role in ROLES if self._models.name("small") != self._models.name("large") else ROLES[:1]:
            engine = self._background.wait(self._models.ready(role))
            lines.append(f"{role} model {engine.name}{about(engine)}")
            got = self._background.wait(engine.complete(request))
            lines.append(report.answer_text(request, got))
        return lines

    def settings(self) -> SettingsForm:
        """config.yaml as a form, which says what saving would do to this run; texts can be brought there as well."""
        from .widgets.settings import SettingsForm

        return SettingsForm(self._file, self._changes, self)

    def try_prompt(self, stage: str, record: Any = None, *, draw: int = 0) -> Trial:
        """One answer of a stage about a record, by its prompt file as it is now, shown as it comes; nothing is kept.

        Without a record it is asked what its first worked example is asked. Another `draw` has another seed. Asked
        the same again, it shows both answers, and what changed in the file. Raises PromptError for a file with a
        mistake and RunError where the step would not ask this about the record.
        """
        step = next((name for name, plan in PLANS.items() if stage in plan.stages), "")
        if not step:
            raise RunError(f"{stage} is no stage; the stages are {', '.join(self.stages)}")
        inputs = self._records(None, STEPS[STEPS.index(step) - 1]) if step == "vet" else records_of([])
        trial = self._trials.attempt(
            step, stage, record, self._works.of(step, inputs), self._ask(step, False), draw
        )
        with watching() as watched:
            return self._background.wait(trial(watched.hear), tick=watched.show)

    # Acts of people

    def review(self, batch: Batch | str) -> ReviewWidget:
        """A view of all that a step made, to rule on and to correct; of the batch's step whole, or of a step by name.

        Every act is on the disk when the view says so. What stands on it is done anew when its step is run again.
        Raises RunError for a step without records that can be ruled on.
        """
        from .widgets.review import ReviewWidget  # not for those who never look: it takes a third of a second

        name = batch if isinstance(batch, str) else batch.name
        if name not in STEPS:
            raise RunError(f"{name} is no step; the steps are {', '.join(STEPS)}")
        whole = batch if isinstance(batch, Batch) and isinstance(batch.items, Items) else None
        return ReviewWidget(Review(whole or self._batches.get(name) or self._at_rest(name), self._store))

    def edit(self, record: Any, **changes: str) -> Act:
        """Change a record by hand: a pair's question and answer, a cast's card, scenario and plan, a conversation's
        turns (**{"turn 2": "..."}). What stands on it is done anew.
        """
        return self._act(record, "edit", acts.checked(record, changes))

    def accept(self, record: Any) -> Act:
        return self._act(record, "accept")

    def reject(self, record: Any) -> Act:
        return self._act(record, "reject")

    def flag(self, record: Any) -> Act:
        return self._act(record, "flag")

    def undo(self, record: Any) -> Act:
        """Take back the last act on a record; the act stays in the run's history."""
        return self._act(record, "undo")

    def import_edits(self, file: str | Path) -> list[Act]:
        """Take a file of this run that was changed by hand back as acts: changed texts, and changed `status`.

        It is a readable file of a step (.jsonl) or one that `review(...).to_csv` wrote. Raises RunError, before
        anything is kept, for a row that cannot be read, whose `id` the run does not have, or that file and run both
        changed.
        """
        return acts.take_back(Path(file), self._store, self._at_rest)

    def _act(self, record: Any, kind: Any, changes: tuple[tuple[str, str], ...] = ()) -> Act:
        place = acts.place_of(record, kind, self._batches, self._store.overlay)
        return self._store.add_act(Act(place.step, place.key, kind, changes))

    # How a step is done

    def _variants(self) -> list[str]:
        return [
            *(["filenames"] if self.config["SYSTEM.USE_FILENAMES"] else []),
            *(["free"] if self.config["SYSTEM.CONVERSATION_QUOTES"] == "free" else []),
        ]

    def _records(self, batch: Batch | None, step: str) -> Records:
        """What goes into a step: the batch's records with the acts of this moment, or the run's own batch."""
        if batch is None:
            batch = self._batches.get(step) or self._at_rest(step)
        return replace(batch, overlay=self._store.overlay(batch.name)).passing

    def _at_rest(self, name: str) -> Batch:
        """A step's batch as the disk has it."""
        batch: Batch = getattr(self._looking(self._batches), name)()
        return batch

    def _looking(self, batches: dict[str, Batch]) -> Workbench:
        """The same that does nothing and remembers its batches there; a step may run beside it."""
        looking = copy.copy(self)
        looking._readonly, looking._batches = True, batches
        return looking

    def _looked(self, batches: dict[str, Batch]) -> list[Batch]:
        """Every step as it stands on disk, with what people's edits leave to be done."""
        looking = self._looking(batches)
        steps = [getattr(looking, name)() for name in STEPS]
        for place, batch in enumerate(steps):
            steps[place] = batches[batch.name] = self._with_edits(batch, steps[place + 1 :])
        return steps

    def _with_edits(self, batch: Batch, later: Sequence[Batch]) -> Batch:
        note = edited_since(batch, later, self._store.made_of) if batch.overlay.edits else ""
        return replace(batch, notes=(*batch.notes, note)) if note else batch

    def _step(self, name: str, inputs: Records, again: bool) -> Batch:
        work = self._works.of(name, inputs)
        try:
            items = self._items(name, inputs, work, again)
        except Paused:
            done = at_rest(self._made_step(name, work, again), inputs, self._store)
            self._kept(Batch(name, done, self._store.overlay(name)))
            raise
        overlay = self._store.overlay(name)
        if name in ("vet", "standalone"):
            items = self._voted_again(items, overlay, again)
        batch = self._kept(Batch(name, items, overlay))
        if self._readonly or not overlay.edits:
            return batch
        looking = self._looking({name: batch})
        return self._with_edits(
            batch, [getattr(looking, later)() for later in STEPS[STEPS.index(name) + 1 :]]
        )

    def _items(self, name: str, inputs: Sequence[Any], work: Work, again: bool) -> Items:
        step = self._made_step(name, work, again)
        if self._readonly:
            return at_rest(step, inputs, self._store)
        return self._carried_out(step, inputs, again)

    def _made_step(self, name: str, work: Work, again: bool) -> Step:
        plan = PLANS[name]
        model = self._models.model(plan.role)
        versions = [self.stages[stage].version for stage in plan.stages]
        made_by = content_key(versions, model.name, self.config.fingerprint(plan.settings))
        ask = self._ask(name, again)

        def asking(record: Any) -> Coroutine[Any, Any, Outcome]:
            return work(record, ask.on_behalf_of(Origin(name, record.key, chunk_of(record).key)))

        return Step(name, made_by, asking, model.at_once)

    def _ask(self, step: str, fresh: bool) -> Ask:
        model, stages = self._models.model(PLANS[step].role), {n: self.stages[n] for n in PLANS[step].stages}
        return Ask(model, stages, self._store, purse=self._purse, hear=self._meter.add, fresh=fresh)

    def _carried_out(self, step: Step, inputs: Sequence[Any], again: bool) -> Items:
        """The step's items, with progress shown from here. Raises Paused when a person stopped it."""
        pause = Pause()
        latest = Latest(self._heard, self._note(), pause)
        work = carry_out(step, inputs, self._store, again=again, report=latest.hear, pause=pause)
        try:
            items = self._background.wait(work, pause, latest.show)
            latest.show()
        finally:
            for live in list(self._dashboards):
                live.rest()
        if pause.requested:  # also when all that was left was in flight: the next step is not wanted
            states = zip(items.statuses, items.older, strict=True)
            left = sum(status == "pending" or (again and bool(older)) for status, older in states)
            why = pause.why or f"Paused at {len(items) - left} of {len(items)}; run the cell again to go on."
            raise Paused(why)
        return items

    def _heard(self, progress: Progress) -> None:
        self._report(progress)
        for live in list(self._dashboards):
            live.follow(progress)

    def _note(self) -> Callable[[Progress], str]:
        """What a step that begins now waits for, has bought, has spent and will spend, for its line of progress."""
        before, meter, began = self._purse.spent, replace(self._meter), time.monotonic()

        def note(progress: Progress) -> str:
            spent = self._purse.spent - before
            left = spent / progress.bought * (progress.total - progress.done) if progress.bought else 0.0
            money = f"{spent:.4f} spent, about {spent + left:.4f} in all" if spent else ""
            calls = self._meter.since(meter, time.monotonic() - began)
            return "; ".join(filter(None, (self._models.waiting, calls, money)))

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
        revoted = self._items("vet", list(changed.values()), self._works.votes(), again)

        def shown(item: Item) -> Item:
            reason = f"{REVOTED}{item.outcome.status}"
            return replace(item, outcome=replace(item.outcome, reason=reason))

        return items.with_votes(dict(zip(changed, map(shown, revoted), strict=True)))

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
        batch = replace(batch, notes=tuple(dict.fromkeys(notes)))
        self._batches.pop(batch.name, None)
        self._batches[batch.name] = batch  # the last is the one that was looked at last
        if not self._readonly:
            export.readable(self.folder, batch, self._store)
            export.failures(self.folder, [batch])
        return batch


def _run_name(run: str) -> str:
    if not run or Path(run).name != run or run.startswith("."):
        raise ConfigError(f"{run!r} cannot name a run: it becomes a folder below PATH.OUTPUT")
    return run
