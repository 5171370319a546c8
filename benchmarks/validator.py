"""How good the checks are: what they catch of planted errors, what they refuse for nothing, and what that costs.

    python benchmarks/validator.py [--labelled FOLDER] [--code-only] [--each 1] [--set SECTION.KEY=VALUE ...]

First code checks alone, on the whole labelled set and on the part that was held back from who wrote them: by kind of
error, by check, repeats, conversations. Then the votes of the model that config.yaml names, on `--each` pairs of a
kind and RIGHT_FOR_EACH times as many right ones: of 1, 3 and 5 votes a check, with early stop and without, without the
grammar, and by the probability of the verdict. Votes are drawn once: of 5 the first 3 are those of 3. Tokens are those
written, at the mean of a vote.

A set of one's own is a folder with files like those of benchmarks/labelled/.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import labelled
from labelled import Case, Repeat, Talk

from generation_functions import config, questions
from generation_functions.checks import conversations, duplicates
from generation_functions.checks.pairs import flaws
from generation_functions.config import Config
from generation_functions.engine import Completion, Engine, Hear, Request
from generation_functions.errors import OutputError
from generation_functions.models import Models
from generation_functions.records import Outcome
from generation_functions.stage import Ask, Model
from generation_functions.steps import Material
from generation_functions.store import Store

ROOT = Path(__file__).parent.parent
RIGHT_FOR_EACH = 12  # right pairs for each pair of a kind
VOTES = (1, 3, 5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labelled", type=Path, default=labelled.FOLDER, help="a folder with a labelled set")
    parser.add_argument("--code-only", action="store_true", help="no votes")
    parser.add_argument("--each", type=int, default=1, help="pairs of each kind that are voted on")
    parser.add_argument("--config", type=Path, default=ROOT / "config.yaml")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="SECTION.KEY=VALUE")
    chosen = parser.parse_args()
    if not [*chosen.labelled.glob("*.yaml")]:
        parser.error(f"{chosen.labelled} is no folder with a labelled set; see benchmarks/labelled/")
    held_back = chosen.labelled / "held_back"
    for name, folder in {"the set": chosen.labelled, "held back": held_back}.items():
        if folder.is_dir():
            print(f"# Code checks alone, {name}\n")
            code_checks(folder)
    if not chosen.code_only:
        asyncio.run(votes(chosen.config, chosen.changes, some(labelled.pairs(chosen.labelled), chosen.each)))


# Code checks


def code_checks(folder: Path) -> None:
    if cases := list(labelled.pairs(folder)):
        list(flaws(cases[0].pair))  # what is read once
        began = time.perf_counter()
        found = [[flaw.check for flaw in flaws(case.pair)] for case in cases]
        seconds = time.perf_counter() - began
        print_kinds([case.kind for case in cases], {"caught": [bool(checks) for checks in found]})
        print(f"\n{1000 * seconds / len(cases):.1f} ms a pair\n")
        print_checks(cases, found)
    if (folder / "repeats.yaml").is_file():
        print_repeats("repeats", labelled.repeats(folder))
    if (folder / "far_repeats.yaml").is_file():
        print_repeats("far repeats, in other words altogether", labelled.far_repeats(folder))
    if (folder / "conversations.yaml").is_file():
        print_talks(labelled.talks(folder))


def print_kinds(kinds: Sequence[str], columns: dict[str, Sequence[bool]]) -> None:
    """For each kind how many are refused, in every column; the right ones last, then what code can see together."""
    rows: list[tuple[str, Callable[[str], bool]]] = [
        (kind, kind.__eq__) for kind in dict.fromkeys(filter(None, kinds))
    ]
    rows += [
        ("all that code can see", labelled.VISIBLE.__contains__),
        ("all planted", bool),
        ("right, refused", "".__eq__),
    ]
    print(f"| kind | pairs | {' | '.join(columns)} |\n|---|---:|{'---:|' * len(columns)}")
    for name, wanted in rows:
        places = [n for n, kind in enumerate(kinds) if wanted(kind)]
        cells = [share(sum(refused[n] for n in places), len(places)) for refused in columns.values()]
        print(f"| {name} | {len(places)} | {' | '.join(cells)} |")


def print_checks(cases: Sequence[Case], found: Sequence[Sequence[str]]) -> None:
    """For each check how many wrong and right pairs it refuses, and the kind that it catches most of."""
    refused: dict[str, Counter[str]] = defaultdict(Counter)
    for case, checks in zip(cases, found, strict=True):
        for check in checks:
            refused[check][case.kind] += 1
    right = sum(not case.kind for case in cases)
    print("| check | wrong pairs refused | right ones | precision | mostly |\n|---|---:|---:|---:|---|")
    for check, kinds in sorted(refused.items()):
        wrong = kinds.total() - kinds[""]
        of = Counter(case.kind for case in cases)
        most = max((kind for kind in kinds if kind), key=kinds.__getitem__, default="")
        mostly = f"{most}: {kinds[most]} of {of[most]}" if most else ""
        print(f"| {check} | {wrong} | {kinds['']} of {right} | {share(wrong, kinds.total())} | {mostly} |")
    print()


def print_repeats(name: str, cases: Iterable[Repeat]) -> None:
    judged = [(case, duplicates.repeats(case.other, case.one)) for case in cases]
    true = sum(case.same and found for case, found in judged)
    print(
        f"{name}: {len(judged)} cases, precision {share(true, sum(found for _, found in judged))}, recall",
        end=" ",
    )
    print(f"{share(true, sum(case.same for case, _ in judged))}; right by kind:", end=" ")
    kinds = Counter((case.same, case.kind) for case, _ in judged)
    right = Counter((case.same, case.kind) for case, found in judged if found == case.same)
    print(", ".join(f"{kind} {right[same, kind]}/{count}" for (same, kind), count in kinds.items()), "\n")


def print_talks(cases: Iterable[Talk]) -> None:
    """Right is a good one that passes, and a bad one whose flaw and turn are named."""
    total, right = Counter[str](), Counter[str]()
    for case in cases:
        found = conversations.flaw(case.conversation, verbatim=case.verbatim)
        same_turn = not (found and found.turn and case.turn) or found.turn == case.turn
        total[case.flaw] += 1
        right[case.flaw] += (found.check if found else "") == case.flaw and same_turn
    print(
        f"conversations: {right.total()} of {total.total()} right ({share(right.total(), total.total())}):",
        end=" ",
    )
    print(", ".join(f"{flaw or 'good'} {right[flaw]}/{count}" for flaw, count in total.items()), "\n")


def share(part: int, whole: int) -> str:
    if not whole:
        return "-"
    share = 100 * part / whole
    return f"{share:.1f}%" if 0 < share < 10 else f"{share:.0f}%"


# Votes


@dataclass
class Judged:
    """What one way to vote made of the pairs; `longest` are the votes if none had been saved by stopping early."""

    refused: list[bool]
    failed: int = 0
    votes: int = 0
    longest: int = 0
    checks: int = 0
    tokens: float = 0.0
    seconds: float = 0.0
    unusable: int = 0

    @property
    def line(self) -> str:
        each = f"{self.votes / max(1, self.checks):.2f}"
        cells = (
            self.votes,
            each,
            self.longest,
            f"{self.tokens:,.0f}",
            self.failed,
            self.unusable,
            f"{self.seconds:.0f}",
        )
        return " | ".join(map(str, cells))


@dataclass
class Written:
    """Hears of every answer that is bought."""

    answers: int = 0
    tokens: int = 0

    def __call__(self, completion: Completion) -> None:
        self.answers += 1
        self.tokens += completion.completion_tokens


def some(cases: Iterable[Case], each: int) -> list[Case]:
    """The same ones every time: `each` of a kind, and RIGHT_FOR_EACH times as many right ones."""
    by_kind: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_kind[case.kind].append(case)
    draw = random.Random(1)
    wanted = {kind: each * (1 if kind else RIGHT_FOR_EACH) for kind in by_kind}
    return [
        case for kind, found in by_kind.items() for case in draw.sample(found, min(len(found), wanted[kind]))
    ]


async def votes(file: Path, changes: Sequence[str], cases: Sequence[Case]) -> None:
    settings = config.load(file, changes)
    print(f"# Votes of {settings['API.LOGICAL_MODEL']} on {len(cases)} pairs\n")
    kinds = [case.kind for case in cases]
    code = [next(flaws(case.pair), None) is not None for case in cases]
    columns: dict[str, Sequence[bool]] = {"code": code}
    lines: dict[str, Judged] = {}
    models = Models(settings)
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "drawn") as store:
        for count in VOTES:
            lines[f"{count} votes"] = await judged(cases, settings, models, store, count)
        by_chance = Config({**settings, "SYSTEM.VOTING": "probability"}, settings.folder)
        with Store(Path(folder) / "weighed") as weighed:
            lines["probability"] = await judged(cases, by_chance, models, weighed, 1)
        with Store(Path(folder) / "free") as free:
            lines["1 vote, no grammar"] = await judged(cases, settings, models, free, 1, Free)
    await models.close()
    columns |= {name: judged.refused for name, judged in lines.items()}
    columns["code + 3 votes"] = [a or b for a, b in zip(code, lines["3 votes"].refused, strict=True)]
    print_kinds(kinds, columns)
    head = "votes | a check | without early stop | tokens written | undecided | unusable answers | seconds"
    print(f"\n| way | {head} |\n|---|{'---:|' * 7}")
    for name, found in lines.items():
        print(f"| {name} | {found.line} |")


async def judged(
    cases: Sequence[Case],
    settings: Config,
    models: Models,
    store: Store,
    count: int,
    around: Callable[[Engine], Engine] = lambda engine: engine,
) -> Judged:
    """Every pair put to the three checks as `vet` does, code checks left out; no pair is written anew."""
    written = Written()
    model = models.model("small")

    async def ready() -> Engine:
        return around(await model.ready())

    limits = {"pass_probability": settings["SYSTEM.PASS_PROBABILITY"]}
    stages = Material.of(settings).stages
    ask = Ask(Model(model.name, ready, model.at_once), stages, store, hear=written, **limits)
    began = time.perf_counter()
    outcomes = await asyncio.gather(*(outcome(case, ask, count) for case in cases))
    found = Judged([made is not None and made.status == "rejected" for made in outcomes])
    found.failed = sum(made is None for made in outcomes)
    verdicts = [verdict for made in outcomes if made for verdict in made.verdicts]
    found.checks, found.votes = len(verdicts), sum(len(verdict.votes) for verdict in verdicts)
    found.longest = count * len(verdicts)
    found.unusable = sum(vote.passed is None for verdict in verdicts for vote in verdict.votes)
    found.tokens = found.votes * written.tokens / max(1, written.answers)
    found.seconds = time.perf_counter() - began
    print(f"{settings['SYSTEM.VOTING']}, votes of {count}: {found.seconds:.0f} s", file=sys.stderr)
    return found


async def outcome(case: Case, ask: Ask, count: int) -> Outcome | None:
    """None where too few votes could be used."""
    try:
        return await questions.vet(case.pair, ask, votes=count, rewrites=0, look=lambda pair: ())
    except OutputError:
        return None


class Free:
    """An engine that is not held to the grammar, so that answers are read as they come."""

    asks_again = True

    def __init__(self, engine: Engine) -> None:
        self._engine, self.name = engine, engine.name

    async def start(self) -> None:
        await self._engine.start()

    async def complete(self, request: Request, hear: Hear | None = None) -> Completion:
        free = replace(request, grammar=replace(request.grammar, text=""), stop=(*request.stop, "\n\n"))
        return await self._engine.complete(free, hear)

    async def close(self) -> None:
        pass


if __name__ == "__main__":
    main()
