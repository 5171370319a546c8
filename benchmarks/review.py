"""How fast the review view answers in a large run: the kernel's half alone, and all of it in JupyterLab.

    python benchmarks/review.py [--pairs 50000] [--folder FOLDER] [--no-browser]

Makes a run of so many pairs without models, 20 a chunk and a conversation of each four: from several texts, some of
them rejected, failed or pending, with votes that are split here and there. Then it asks `Review.handle` what the view
asks, for the step vet and for converse, and shows the median and the worst time of each question in milliseconds;
what is above the aim has a mark. The last part drives JupyterLab in Chromium: from the event of a key or of the mouse
to the frame that has the answer. A folder that is named is kept, and what is there already is not made again; people's
acts go to a copy.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from fault_storm import OBJECTS, PLACES, ROOT, SUBJECTS, VERBS
from reopen import CHECKS, cast_of, conversation_of, open_run

from generation_functions import Chunk, Pair, figures, page
from generation_functions.conversations import groups
from generation_functions.export import editable
from generation_functions.records import Outcome, Verdict, Vote
from generation_functions.review import Review
from generation_functions.step import row_of

sys.path.insert(0, str(ROOT / "tests"))

PAIRS_PER_CHUNK = 20
CHUNK_SIZE = 1900  # characters, as config.yaml has it; the last one of a text is shorter
SOURCES = 25
SETTINGS = [
    *("SYSTEM.MODE=sample", "SYSTEM.USE_SUBSET=false"),
    *(f"SYSTEM.CHUNK_SIZE={CHUNK_SIZE}", f"SYSTEM.PAIRS_PER_CHUNK={PAIRS_PER_CHUNK}"),
]
STEPS = ("vet", "converse")
MEANWHILE = 5  # pages that are turned at once
TIMES = 20  # that each thing is done
AIM, AIM_IN_BROWSER = 100, 300  # milliseconds
AIM_OF_NOTEBOOK = 200_000  # bytes
OLDER_VIEWS = 2  # of the same step, from a cell that was run before
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
TYPING_PAUSE = 200  # milliseconds that the view waits for another letter before it searches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, help="keep the run there")
    parser.add_argument("--no-browser", action="store_true", help="leave JupyterLab out")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        made = (chosen.folder or Path(scratch) / "made").resolve()
        make_run(made, chosen.pairs)
        for part in (show_handling, show_files, *([] if chosen.no_browser else [show_browser])):
            with copy_of(made, Path(scratch) / "copy") as folder:
                part(folder)


# A run


def make_run(folder: Path, pairs: int) -> None:
    """The items of a run in which about so many pairs were written; nothing is asked."""
    if (folder / "settings.json").exists():
        return
    began = time.monotonic()
    write_texts(folder / "texts", pairs // PAIRS_PER_CHUNK)
    with open_run(folder, SETTINGS) as wb:
        for name, records, outcome in (
            (
                "judge",
                lambda: wb.chunks().records,
                lambda n, chunk: Outcome("kept", (chunk,), "It has facts."),
            ),
            ("write", lambda: wb._steps.at_rest("judge").passing, written),
            ("vet", lambda: wb._steps.at_rest("write").passing, vetted),
            ("standalone", lambda: wb._steps.at_rest("vet").passing, reworded),
            (
                "cast",
                lambda: groups(wb._steps.at_rest("distinct").passing, 1),
                lambda n, group: kept(cast_of(group)),
            ),
            ("converse", lambda: wb._steps.at_rest("cast").passing, said),
        ):
            step = wb._steps.made(name, lambda record, ask: None)  # type: ignore[arg-type,return-value]
            for n, record in enumerate(records()):
                if made := outcome(n, record):
                    wb._store.put_item(name, row_of(step, record, made))
    (folder / "settings.json").write_text(json.dumps(SETTINGS))
    print(f"made in {time.monotonic() - began:.0f} s", flush=True)


def write_texts(folder: Path, chunks: int) -> None:
    """Made-up prose in several files that comes to so many chunks, near enough."""
    folder.mkdir(parents=True)
    draw, parts = random.Random(1), [words.split("|") for words in (SUBJECTS, VERBS, OBJECTS, PLACES)]
    for number in range(1, SOURCES + 1):
        with open(folder / f"Annals, part {number}.txt", "w", encoding="utf-8") as file:
            while file.tell() < chunks * CHUNK_SIZE * FULL / SOURCES:
                what = " ".join(draw.choice(part) for part in parts)
                end = "\n\n" if draw.random() < 0.2 else " "
                file.write(f"In {draw.randint(1100, 1990)} {what} {draw.randint(2, 9999)} times.{end}")


FULL = 0.89  # of a chunk's size, on average


def kept(record: Any) -> Outcome:
    return Outcome("kept", (record,))


def written(number: int, chunk: Chunk) -> Outcome:
    return Outcome(
        "kept", tuple(pair_of(chunk, number * PAIRS_PER_CHUNK + n) for n in range(PAIRS_PER_CHUNK))
    )


def pair_of(chunk: Chunk, number: int) -> Pair:
    """About as long as those that models write; `entry` has six digits, so that 100 share the first four."""
    place = number % len(chunk.sentences)
    fact = chunk.sentences[place].text
    question = (
        f"According to entry {number:06}, how often did it come to that in {fact.split()[1]}, and where?"
    )
    answer = f"The entry tells who it was, what was done and how often that happened: {fact}"
    return Pair(chunk, question, answer, (place + 1,))


def vetted(number: int, pair: Pair) -> Outcome | None:
    """Of a hundred pairs about 83 are kept, 15 rejected, one failed and one is pending."""
    draw = random.Random(number)
    if draw.random() < 0.01:
        return None
    if draw.random() < 0.01:
        return Outcome("failed", reason="OutputError: the answer ends in the middle of a sentence")
    verdicts = []
    for check in CHECKS:
        verdicts.append(verdict_of(check.stage, draw.random() < 0.95, draw))
        if not verdicts[-1].passed:
            return Outcome("rejected", (pair,), f"{check.name}: {draw.choice(FAULTS)}", tuple(verdicts))
    rewritten = draw.choice((1, 2)) if draw.random() < 0.1 else 0
    return Outcome("kept", (pair,), f"rewritten {rewritten} times" if rewritten else "", tuple(verdicts))


def verdict_of(check: str, passed: bool, draw: random.Random) -> Verdict:
    """Two votes that agree, or three of which one does not."""
    votes = [passed, passed] if draw.random() < 0.8 else [passed, not passed, passed]
    reason = "It asks how often, and the text says so in the sentence that is named; the year is the one asked for."
    return Verdict(check, passed, tuple(Vote(check, vote, reason) for vote in votes))


FAULTS = (
    "the text says so of another year",
    "it asks for two things at once",
    "the answer has more than the text",
)


def reworded(number: int, pair: Pair) -> Outcome:
    if random.Random(-number).random() < 0.05:
        return Outcome("rejected", (pair,), "Reject: nobody knows which entry is meant")
    return Outcome("kept", (pair,), "It names the year itself.")


def said(number: int, cast: Any) -> Outcome:
    conversation = conversation_of(cast)
    if random.Random(number).random() < 0.05:
        return Outcome(
            "rejected", (conversation,), "turn 3 says 1870, which neither its pair nor its text has"
        )
    return kept(conversation)


@contextmanager
def copy_of(made: Path, folder: Path) -> Iterator[Path]:
    shutil.copytree(made, folder)
    yield folder
    shutil.rmtree(folder)


# Times


@dataclass
class Times:
    """Milliseconds of each thing that was timed, in the order of the first of its kind."""

    aim: float
    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, milliseconds: float) -> None:
        self.of.setdefault(what, []).append(milliseconds)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.add(what, 1000 * (time.perf_counter() - began))

    def show(self, title: str) -> None:
        print(f"\n{title:48s} {'median':>9s} {'worst':>9s}  ms, of")
        for what, times in self.of.items():
            mark = " !" if max(times) > self.aim else ""
            print(f"  {what:46s} {median(times):9,.1f} {max(times):9,.1f} {len(times):7d}{mark}")
        sys.stdout.flush()


# The kernel's half

PAGE: dict[str, Any] = {"op": "page", "offset": 0, "limit": 50, "find": {}, "sort": "order"}


def show_handling(folder: Path) -> None:
    opening = Times(AIM)
    for _ in range(3):
        with opening.timed("open the workbench"):
            wb = open_run(folder)
        with opening.timed("look at every step (wb.status)"):
            batches = {batch.name: batch for batch in wb.status()}
        for name in STEPS:
            with opening.timed(f"make the review of {name} (wb.review)"):
                review = wb.review(batches[name]).review
            wait_for_index(review)
        wb.close()
    opening.show("a run that is opened again")
    with open_run(folder) as wb:
        batches = {batch.name: batch for batch in wb.status()}
        for name in STEPS:
            times = Times(AIM)
            time_while_index_is_built(partial(Review, batches[name], wb._store), times)
            review = wb.review(batches[name]).review
            answered(review, {"op": "open"})
            wait_for_index(review)
            time_questions(Asker(review, times))
            time_acts(Asker(review, times))
            older = [wb.review(batches[name]) for _ in range(OLDER_VIEWS)]
            time_bulks(Asker(review, times), f"accept those of 100 pairs, with {len(older)} older views")
            wait_for_index(review)
            times.show(f"{name}: {len(review):,} rows")


def wait_for_index(review: Review) -> None:
    """Until its thread has ended; what waits for it meanwhile would be another's."""
    for thread in threading.enumerate():
        if thread.name == "gristmill-review":
            thread.join()


def time_while_index_is_built(made: Callable[[], Review], times: Times) -> None:
    """What a view asks when it comes, one after the other; each answer is timed from when the review was made."""
    search = PAGE | {"find": {"text": "gate"}}
    for _ in range(3):
        review = made()
        with times.timed("all rows looked through, when nothing else is asked"):
            answered(review, {"op": "open"})
            wait_for_index(review)
        review, began = made(), time.perf_counter()
        for what, message in (
            ("meanwhile: open", {"op": "open"}),
            ("meanwhile: first page", PAGE),
            ("meanwhile: facets", {"op": "facets"}),
            ("meanwhile: the first item", {"op": "item", "n": 0}),
        ):
            answered(review, message)
            times.add(what, 1000 * (time.perf_counter() - began))
        wait_for_index(review)
        review, began = made(), time.perf_counter()
        later = review.handle(search).get("later")
        answered(review, {"op": "item", "n": 0})
        times.add("meanwhile: an item, after a search", 1000 * (time.perf_counter() - began))
        if later:  # the view asks again when it hears that all rows were looked through
            wait_for_index(review)
            answered(review, search)
        times.add("meanwhile: until that search is answered", 1000 * (time.perf_counter() - began))
        wait_for_index(review)


def answered(review: Review, message: dict[str, Any]) -> dict[str, Any]:
    reply = review.handle(message)
    assert not reply.keys() & {"error", "refused"}, (message, reply)
    return reply


@dataclass
class Asker:
    review: Review
    times: Times

    def __call__(self, what: str, **message: Any) -> dict[str, Any]:
        with self.times.timed(what):
            return answered(self.review, message)

    def page(
        self, what: str, find: dict[str, str] | None = None, offset: int = 0, sort: str = "order"
    ) -> dict[str, Any]:
        return self(what, op="page", offset=offset, limit=50, find=find or {}, sort=sort)


def time_questions(ask: Asker) -> None:
    facets = ask("facets", op="facets")
    rows, draw = len(ask.review), random.Random(2)
    words = "|".join((SUBJECTS, VERBS, OBJECTS, PLACES)).split("|")
    for number in range(TIMES):
        ask("open", op="open")
        ask("facets", op="facets")
        ask.page("first page")
        ask.page("page in the middle", offset=draw.randrange(rows // 50) * 50)
        ask.page("search, first time", {"text": words[number]})
        ask.page("search, again", {"text": words[number]})
        ask.page("search for what is not there", {"text": f"nothing says this {number}"})
        ask.page("filter: status", {"status": ("rejected", "kept", "failed", "split")[number % 4]})
        for name in ("check", "source", "reason"):
            if choices := facets[f"{name}s"]:
                ask.page(f"filter: {name}", {name: choices[number % len(choices)][0]})
        ask.page("sort by disagreement", sort="disagreement")
        ask("item", op="item", n=draw.randrange(rows))


def time_acts(ask: Asker) -> None:
    review = ask.review
    with_records = [n for n in range(len(review)) if review._has_record(n)]
    places = iter(random.Random(3).sample(with_records, 3 * TIMES))

    def edit(what: str) -> None:
        n = next(places)
        field = editable(review._record(n))[-1]
        version = review.handle({"op": "item", "n": n})["item"]["version"]
        ask(what, op="act", n=n, kind="edit", changes={field: "By hand, and better."}, version=version)

    def bulk(what: str, find: dict[str, str]) -> None:
        count = review.handle(PAGE | {"find": find})["total"]
        ask(f"{what} {count:,}", op="bulk", kind="accept", find=find, count=count)

    for _ in range(TIMES):
        edit("edit")
    for _ in range(TIMES):
        ask("undo", op="undo")
    time_bulks(ask, "accept those of 100 pairs (bulk)")
    for _ in range(TIMES):
        edit(f"edit, after {TIMES} bulks")
    bulk("accept all of a filter:", {"text": "entry 00"})
    acts = len(review._acts)
    for _ in range(TIMES):
        edit(f"edit, after {acts:,} acts")
        ask.page(f"first page, after {acts:,} acts")
    ask(f"undo, after {acts:,} acts", op="undo")


def time_bulks(ask: Asker, what: str) -> None:
    for number in range(TIMES):
        find = {"text": f"entry {number:04}"}
        count = answered(ask.review, PAGE | {"find": find})["total"]
        if count:
            ask(what, op="bulk", kind="accept", find=find, count=count)


# What reads or writes the whole run


def show_files(folder: Path) -> None:
    times = Times(float("inf"))
    with open_run(folder) as wb:
        for _ in range(5):
            with times.timed("the dashboard's page"):
                wb._page(False)
            with times.timed("the dashboard's page with reasons and votes"):
                wb._page(True)
        for name in STEPS:
            batch = wb._steps.at_rest(name)
            csv_file, changed = folder / f"{name}.csv", folder / f"{name}, changed.csv"
            with times.timed(f"{name}: to_csv"):
                wb.review(batch).to_csv(csv_file)
            with times.timed(f"{name}: import_edits, nothing changed"):
                assert wb.import_edits(csv_file) == []
            count = change_rows(csv_file, changed)
            with times.timed(f"{name}: import_edits, {count} changed"):
                assert len(wb.import_edits(changed)) == count
        with times.timed("export, all of it"):
            wb.export()
        with times.timed("export, again"):
            wb.export()
        run = figures.Run("run", wb.status(), wb._store.usage(), wb.config)
        with times.timed("report.html alone"):
            page.write(folder, run)
    times.show("the whole run")


def change_rows(file: Path, changed: Path) -> int:
    """Another status for a hundred rows, or for half of those that are kept; how many they are."""
    with open(file, encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    mine = [row for row in rows if row["status"] == "kept"]
    mine = mine[:: max(1, len(mine) // 100)][:100]
    for row in mine:
        row["status"] = "rejected"
    with open(changed, "w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(mine)


# In JupyterLab


def show_browser(folder: Path) -> None:
    from lab import Notebook, browser, server

    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    assert path, f"none of {', '.join(CHROMIUM)} is on PATH"
    cells = {
        "setup": SETUP.format(config=str(ROOT / "config.yaml"), changes=[*SETTINGS, *places_of(folder)]),
        **{name: f"wb.review(batches[{name!r}])" for name in STEPS},
        "memory": MEMORY,
    }
    write_notebook(folder / "review.ipynb", cells)
    with server(folder) as lab, browser(path) as chromium:
        notebook = Notebook(chromium, lab, "review.ipynb")
        began = time.monotonic()
        notebook.run("setup")
        notebook.shown("setup").get_by_text("How votes fell").wait_for()
        print(f"\n  opened and the dashboard shown in whole after {time.monotonic() - began:.1f} s")
        for name in STEPS:
            times = Times(AIM_IN_BROWSER)
            time_view(View(notebook, name), times)
            times.show(f"{name} in JupyterLab")
        notebook.run("memory")
        notebook.save()
        notebook.page.wait_for_timeout(3000)
        assert not notebook.errors(), notebook.errors()
        size = (folder / "review.ipynb").stat().st_size
        print(f"\n  the notebook's file  {size:11,d} bytes{' !' if size > AIM_OF_NOTEBOOK else ''}")
        print(f"  the page's heap      {heap(notebook) / 2**20:7,.0f} MiB")
        print(f"  the kernel's memory  {notebook.shown('memory').inner_text()}", flush=True)
        notebook.close()


SETUP = """from generation_functions import Workbench

wb = Workbench({config!r}, "run", {changes!r})
batches = {{batch.name: batch for batch in wb.status()}}
wb"""
MEMORY = """lines = open("/proc/self/status").read().splitlines()
print(*(" ".join(line.split()) for line in lines if line.startswith(("VmHWM", "VmRSS"))))"""


def places_of(folder: Path) -> list[str]:
    return [f"PATH.INPUT={folder / 'texts'}", f"PATH.OUTPUT={folder}"]


def write_notebook(file: Path, cells: dict[str, str]) -> None:
    own: dict[str, Any] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    document = {
        "cells": [{**own, "id": name, "source": source} for name, source in cells.items()],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    file.write_text(json.dumps(document), encoding="utf-8")


def heap(notebook: Any) -> int:
    """Bytes that the page's scripts hold."""
    session = notebook.page.context.new_cdp_session(notebook.page)
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


class View:
    """The review view in the output of a cell, in which things are timed by the page's own clock."""

    def __init__(self, notebook: Any, cell: str) -> None:
        self.notebook, self.cell, self.page = notebook, cell, notebook.page
        self.box = notebook.shown(cell).locator(".gm-review")
        self.place = STEPS.index(cell)

    def timed(
        self, act: Callable[[], Any], begins: str, shown: dict[str, str], pause: float = 0
    ) -> dict[str, float]:
        """Milliseconds from the event to the frames in which each of the conditions holds, less the pause."""
        self.page.evaluate(WATCH, [self.place, begins, shown])
        act()
        times: dict[str, float] = self.page.evaluate("() => window.gristmillTimed")
        return {name: time - pause for name, time in times.items()}

    def press(self, key: str) -> None:
        self.page.keyboard.press(key)

    def focus(self) -> None:
        self.box.locator(".gm-list").focus()

    def selected(self) -> str:
        """The number of the selected row, as it stands in the view."""
        said = self.box.locator('[aria-selected="true"] .gm-under').inner_text()
        return str(re.match(r"#[\d,]+", said)[0])  # type: ignore[index]


# Begins to watch: `window.gristmillTimed` will be the milliseconds from the first event `begins` (its type, and the key
# where it is one) to the frames in which each of the conditions on `view` and on how it was `before` holds.
WATCH = """([place, begins, shown]) => {
    const look = (view) => ({
        rows: view?.querySelectorAll('[data-n]').length ?? 0,
        page: view && view.querySelector('.gm-range').textContent + view.querySelector('[data-n]')?.dataset.n,
        selected: view?.querySelector('[aria-selected="true"]')?.dataset.n,
        item: view?.querySelector('.gm-body:not([inert])') && view.querySelector('.gm-headline .gm-under')?.textContent,
        drawn: view?.querySelector('.gm-field') != null,
        says: view?.querySelector('.gm-status').textContent ?? '',
        focus: document.activeElement.tagName,
    });
    const root = () => document.querySelectorAll('.gm-review')[place];
    const before = look(root());
    const test = (text) => new Function('now', 'before', 'return ' + text);
    const left = new Map(Object.entries(shown).map(([name, text]) => [name, test(text)]));
    let start;
    const [type, key] = begins.split(' ');
    const begin = (event) => {
        if (key && event.key !== key) return;
        document.removeEventListener(type, begin, true);
        start = performance.now();
    };
    document.addEventListener(type, begin, true);
    window.gristmillTimed = new Promise((done, fail) => {
        const times = {};
        setTimeout(() => fail(new Error(`never came: ${[...left.keys()]}; ${JSON.stringify(look(root()))}`)), 60000);
        const frame = () => {
            if (start !== undefined && root()) {
                const now = look(root());
                for (const [name, test] of left) {
                    if (!test(now, before)) continue;
                    times[name] = performance.now() - start;
                    left.delete(name);
                }
            }
            if (left.size) requestAnimationFrame(frame);
            else done(times);
        };
        requestAnimationFrame(frame);
    });
}"""
ANOTHER_PAGE = "now.page !== before.page"


def time_view(view: View, times: Times) -> None:
    def timed(act: Callable[[], Any], begins: str, pause: float = 0, **shown: str) -> None:
        names = {what.replace("_", " "): test for what, test in shown.items()}
        for what, milliseconds in view.timed(act, begins, names, pause).items():
            times.add(what, milliseconds)
        view.page.wait_for_timeout(150)  # a key that is held down has pauses of its own

    cell = view.notebook._cell(view.cell)
    cell.locator(".cm-content").first.click()
    timed(
        partial(view.press, "Control+Enter"),
        "keydown Enter",
        cell_run_to_first_rows="now.rows > 0",
        cell_run_to_first_item="now.drawn",
    )
    next_page = view.box.locator('[data-turn="next"]')
    for _ in range(MEANWHILE):
        timed(next_page.click, "click", next_page_while_all_rows_are_looked_through=ANOTHER_PAGE)
    view.box.locator('[data-find="source"] option').nth(1).wait_for(state="attached")
    for _ in range(TIMES):
        if next_page.is_enabled():
            timed(next_page.click, "click", next_page=ANOTHER_PAGE)
    search = view.box.locator('input[type="search"]')
    for number in range(TIMES):
        begun = partial(search.fill, f"entry {number + 1:04}")
        timed(begun, "input", TYPING_PAUSE, search_typed_to_rows_less_the_pause=ANOTHER_PAGE)
    timed(partial(search.fill, ""), "input", TYPING_PAUSE, search_emptied_to_rows_less_the_pause=ANOTHER_PAGE)
    for number in range(TIMES):
        choice = view.box.locator(f'[data-filter="{("rejected", "kept", "failed", "all")[number % 4]}"]')
        if view.cell != "vet":
            choice = view.box.locator(f'[data-filter="{("rejected", "all")[number % 2]}"]')
        timed(choice.click, "click", filter_clicked_to_rows=ANOTHER_PAGE)
    view.focus()
    for _ in range(TIMES):
        timed(partial(view.press, "j"), "keydown j", j_to_next_row="now.selected !== before.selected")
    for number in range(TIMES):
        timed(partial(view.press, "e"), "keydown e", e_to_field_focused="now.focus === 'TEXTAREA'")
        view.page.keyboard.insert_text(f" By hand {number}.")
        saved = f"now.says === 'saved: edited {view.selected()}'"
        timed(partial(view.press, "Control+Enter"), "keydown Enter", ctrl_enter_to_saved=saved)
        view.focus()
        timed(
            partial(view.press, "a"),
            "keydown a",
            a_to_next_row="now.selected !== before.selected",
            a_to_its_text="now.item && now.selected !== before.selected && now.item !== before.item",
            a_to_saved=f"now.says === 'saved: accepted {view.selected()}'",
        )


if __name__ == "__main__":
    main()
