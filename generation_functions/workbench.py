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

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from . import acts, config, dashboard, export, page, report, text
from .background import Background
from .batch import Batch, Files, Shown
from .dashboard import Board
from .errors import ConfigError, RunError
from .estimate import Used, estimate
from .items import Items, Records, records_of
from .models import ROLES, Models, Role, about
from .plans import PLANS, STEPS
from .progress import display_progress, in_notebook, watching
from .prompts import Stage
from .records import Act, Ledger
from .review import Review
from .shard import Shard
from .since import EDITED_SINCE
from .step import Progress
from .steps import Material, Steps
from .store import Store
from .trial import Trial, Trials

if TYPE_CHECKING:
    from .widgets.dashboard import Dashboard
    from .widgets.review import ReviewWidget
    from .widgets.settings import SettingsForm

PILOT = 3  # chunks
FOLLOWED = 3  # dashboards that are told of what goes on, the latest ones

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
        if shard:
            self.folder = shard.folder(self.folder)
        self._report = report or display_progress()
        material = Material.of(self.config)
        self._models = Models(self.config, say)
        if not readonly:
            self._models.check()
            if before := _OPEN.get(self.folder.resolve()):
                before.close()  # a set-up cell that is run a second time
        self._store = Store(self.folder, readonly=readonly)
        if not readonly:
            _OPEN[self.folder.resolve()] = self
        self._background = Background()
        how: dict[str, Any] = {"shard": shard, "report": self._heard, "rest": self._rest}
        self._steps = Steps(self.config, material, self._store, self._models, self._background, **how)
        self._trials = Trials(material.load, self._store)
        self._dashboards: deque[Dashboard] = deque(maxlen=FOLLOWED)  # those that follow the run
        self._reading = threading.Lock()

    @staticmethod
    def folder_of(config_file: str | Path, run: str, changes: Iterable[str] = ()) -> Path:
        """Where a run of that name lies, or would."""
        return config.load(config_file, changes).path("PATH.OUTPUT") / _run_name(run)

    def close(self) -> None:
        """End the models and let go of the run."""
        last = self._page(False) if self._dashboards else ""
        for live in list(self._dashboards):
            live.end(last)
        self._background.wait(self._models.close())
        self._background.close()
        self._store.close()

    def __repr__(self) -> str:
        small, large = self._models.name("small"), self._models.name("large")
        models = small if small == large else f"{small} (small), {large} (large)"
        mode = "assistant" if self.config["SYSTEM.ASSISTANT_MODE"] else "role-play"
        ignored = "".join(f"\n  note: {line}" for line in self.config.ignored)
        texts = f"texts: {len(self._steps.material.sources)}"
        return f"Workbench: run {self.folder}, {mode} mode\n  model: {models}\n  {texts}{ignored}"

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # The steps, in the order of the notebook

    def chunks(self) -> Batch:
        """The texts as chunks; a subset of them where the configuration says so."""
        return self._steps.do("chunks")

    def judge(self, chunks: Batch | None = None, *, again: bool = False) -> Batch:
        """The chunks worth asking about; the others rejected, with the model's reason."""
        return self._steps.do("judge", chunks, again)

    def write(self, judged: Batch | None = None, *, again: bool = False) -> Batch:
        """Question-answer pairs of each chunk, not yet checked."""
        return self._steps.do("write", judged, again)

    def vet(self, written: Batch | None = None, *, again: bool = False) -> Batch:
        """The pairs that pass the votes on question, relevance and accuracy, some of them rewritten.

        A pair that a person edited after it was vetted is voted on again by itself; the person's word stands.
        """
        return self._steps.do("vet", written, again)

    def standalone(self, vetted: Batch | None = None, *, again: bool = False) -> Batch:
        """The pairs that make sense without their text, some of them reworded and checked again.

        Here too a pair that a person edited is voted on by itself and stands.
        """
        return self._steps.do("standalone", vetted, again)

    def distinct(self, pairs: Batch | None = None) -> Batch:
        """The pairs without those that repeat an earlier one; each of these names the one it repeats.

        No calls.
        """
        return self._steps.do("distinct", pairs)

    def cast(self, pairs: Batch | None = None, *, again: bool = False) -> Batch:
        """Groups of pairs with a character who answers, one who asks, and a scenario."""
        return self._steps.do("cast", pairs, again)

    def converse(self, casts: Batch | None = None, *, again: bool = False) -> Batch:
        """The conversations, checked in code against their pairs. Asks the large model."""
        return self._steps.do("converse", casts, again)

    @property
    def all_chunks(self) -> Records:
        """Those of whole texts, without subset and shard."""
        return self._steps.all_chunks

    @property
    def stages(self) -> Mapping[str, Stage]:
        """What models can be asked, by name."""
        return self._steps.material.stages

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
            self._steps.material.works.traits,
            self._steps.lengths,
        )
        report_page = page.write(self.folder, run, self._store)
        return Files({**files, **export.calls(folder, self._store), page.NAME: report_page})

    # Everything at once

    def run(self) -> list[Batch]:
        """Every step, each with the batch before it, as the notebook's cells do."""
        return _through(self._steps, self.chunks())

    def pilot(self, chunks: int = PILOT) -> list[Batch]:
        """A few chunks, spread over all texts, through every step: what a run will look like, before it is paid for.

        What is made is part of the run and is not made again.
        """
        whole = self.chunks()
        few = {chunk.key for chunk in text.subset(whole.records, chunks)}
        items = [item for item in whole.items if item.input.key in few]
        note = f"a pilot of {len(items)} of {len(whole)} chunks"
        return _through(self._steps.apart(), replace(whole, items=items, notes=(*whole.notes, note)))

    def estimate(self, chunks: int = PILOT) -> Shown:
        """Calls, tokens, money and time that the whole run will take, with their range, after a pilot."""
        tried = self.pilot(chunks)[0].records
        used = self._store.used([chunk.key for chunk in tried])
        whole = len(self.chunks())
        return Shown(str(estimate([Used(*row) for row in used], whole, self._models.at_once)))

    def status(self) -> list[Batch]:
        """Every step as it stands on disk, in the order of STEPS; nothing is done."""
        found: dict[str, Batch] = {}
        steps = self._steps.look(found)
        self._steps.batches = found
        return steps

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The run at a glance: a dashboard that follows it in a notebook, a page where none runs, text elsewhere."""
        board = self._board()
        shown: dict[str, Any] = {"text/plain": dashboard.text(board), "text/html": dashboard.page(board)}
        if in_notebook():
            from .widgets.dashboard import Dashboard  # not for those who never look

            live = Dashboard(self._page, self._shown)
            self._dashboards.append(live)
            shown |= live.box._repr_mimebundle_()
        return shown

    def _board(self) -> Board:
        batches = self._steps.look()
        mode = "assistant mode" if self.config["SYSTEM.ASSISTANT_MODE"] else "role-play"
        notes = [note for batch in batches for note in batch.notes]
        return Board(self.folder.name, mode, batches, self._store.usage(), self._models.states, notes)

    def _page(self, thorough: bool) -> str:
        """The dashboard's page; a thorough one reads items, which takes seconds in a large run."""
        board = self._board()
        return dashboard.html(board, dashboard.looked(board) if thorough else None)

    def _shown(self, step: str, find: Mapping[str, str], key: str) -> ReviewWidget:
        from .widgets.review import ReviewWidget

        return ReviewWidget(Review(self._steps.looking({}).do(step), self._store), find, key)

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
        try:
            engine = self._background.wait(self._models.ready(role), tick=partial(self._show_loading, role))
        finally:
            self._rest()
        return Shown(f"{name} is ready{about(engine) or f': {role}'}")

    def _show_loading(self, role: Role) -> None:
        if note := self._models.loading:
            self._heard(Progress(f"{role} model", 0, 0, 0, Ledger(), 0.0, note))

    def unload(self) -> None:
        """End the models, whose memory is free when this returns; a step that needs one loads it again."""
        self._background.wait(self._models.close())
        self._rest()

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

        return SettingsForm(self._file, self._changes, self._steps)

    def try_prompt(self, stage: str, record: Any = None, *, draw: int = 0) -> Trial:
        """One answer of a stage about a record, by its prompt file as it is now, shown as it comes; nothing is kept.

        Without a record it is asked what its first worked example is asked. Another `draw` has another seed. Asked
        the same again, it shows both answers, and what changed in the file. Raises PromptError for a file with a
        mistake and RunError where the step would not ask this about the record.
        """
        step = next((name for name, plan in PLANS.items() if stage in plan.stages), "")
        if not step:
            raise RunError(f"{stage} is no stage; the stages are {', '.join(self.stages)}")
        inputs = self._steps.inputs(step) if step == "vet" else records_of([])
        work = self._steps.material.works.of(step, inputs)
        trial = self._trials.attempt(step, stage, record, work, self._steps.ask(step), draw)
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
        if isinstance(batch, Batch):
            self._steps.be_own(batch)
        whole = batch if isinstance(batch, Batch) and isinstance(batch.items, Items) else None
        return ReviewWidget(
            Review(whole or self._steps.batches.get(name) or self._steps.at_rest(name), self._store)
        )

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
        return acts.take_back(Path(file), self._store, self._steps.at_rest)

    def _act(self, record: Any, kind: Any, changes: tuple[tuple[str, str], ...] = ()) -> Act:
        place = acts.place_of(record, kind, self._steps.batches, self._store.overlay)
        return self._store.add_act(Act(place.step, place.key, kind, changes))

    # What dashboards are told

    def _heard(self, progress: Progress) -> None:
        self._report(progress)
        for live in list(self._dashboards):
            live.follow(progress)

    def _rest(self) -> None:
        """Show the run as it is now that no step runs: at once, and with what takes reading when it is read."""
        followed = list(self._dashboards)
        if not followed:
            return
        page = self._page(False)
        for live in followed:
            live.rest(page)
        if not self._reading.locked():
            threading.Thread(target=self._read, name="gristmill-dashboard", daemon=True).start()

    def _read(self) -> None:
        with self._reading, suppress(RunError):  # it may have been closed meanwhile
            page = self._page(True)
            for live in list(self._dashboards):
                live.rest(page)


def _through(steps: Steps, chunks: Batch) -> list[Batch]:
    batches = [chunks]
    for name in STEPS[1:]:
        batches.append(steps.do(name, batches[-1]))
    return batches


def _run_name(run: str) -> str:
    if not run or Path(run).name != run or run.startswith("."):
        raise ConfigError(f"{run!r} cannot name a run: it becomes a folder below PATH.OUTPUT")
    return run
