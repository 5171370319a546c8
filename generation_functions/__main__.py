"""The workbench without Jupyter: python -m generation_functions run | estimate | status | export | doctor | notebook.

Prints progress to standard error, results to standard output. Exit codes: 0 done, 1 an error that one line
explains, 130 stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import STEPS, Workbench
from .errors import Paused, WorkbenchError
from .merge import merge
from .shard import Shard
from .step import Progress
from .workbench import PILOT

LOG_SECONDS = 5.0  # between two progress lines of a running step


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        result: int = options.do(options)
        return result
    except Paused as paused:
        print(paused, file=sys.stderr)
        return 130
    except KeyboardInterrupt:
        print("Stopped; what was done is kept.", file=sys.stderr)
        return 130
    except WorkbenchError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace) -> int:
    with _workbench(options) as wb:
        wb.run()
        files = wb.export()
        print(wb.ledger())
        print()
        print(files)
    return 0


def _estimate(options: argparse.Namespace) -> int:
    with _workbench(options) as wb:
        print(wb.estimate(options.chunks))
    return 0


def _status(options: argparse.Namespace) -> int:
    with _workbench(options, readonly=True) as wb:
        print(wb.ledger())
        for batch in wb.status():
            for reason, count in batch.reasons().items():
                print(f"{batch.name}: {count} x {reason}")
    return 0


def _export(options: argparse.Namespace) -> int:
    if options.merge:
        merged = merge(options.config, options.run, _changes(options))
        for note in merged.notes:
            print(f"note: {note}")
        print(merged.files)
        return 0
    with _workbench(options, readonly=True) as wb:  # so that it may be done while a notebook holds the run
        print(wb.export())
    return 0


def _doctor(options: argparse.Namespace) -> int:
    """Each thing that a run needs, a line each; the first that is wrong is the error."""
    with _workbench(options) as wb:
        print(f"config.yaml: {wb.config!r}")
        print(f"prompts: {len(wb.stages)} stages, each with worked examples that obey its grammar")
        print(f"texts: {wb.chunks().summary}")
        for line in wb.try_models():
            print(line)
    return 0


def _notebook(options: argparse.Namespace) -> int:
    from .notebook import execute  # half of all the seconds that importing everything takes

    return execute(Path(options.file), sys.stdout)


def _workbench(options: argparse.Namespace, readonly: bool = False) -> Workbench:
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr)  # noqa: E731
    shard = Shard.parse(options.shard) if options.shard else None
    how: dict[str, Any] = {"report": _log(), "say": say, "readonly": readonly, "shard": shard}
    return Workbench(options.config, options.run, _changes(options), **how)


def _changes(options: argparse.Namespace) -> list[str]:
    changes = list(options.set)
    changes += [f"PATH.INPUT={_quoted(options.input)}"] if options.input else []
    changes += [f"PATH.OUTPUT={_quoted(options.output)}"] if options.output else []
    return changes


def _quoted(path: str) -> str:
    """An absolute path as a YAML text: on the command line it is relative to the caller, not to config.yaml."""
    return "'" + str(Path(path).resolve()).replace("'", "''") + "'"


def _log() -> Callable[[Progress], None]:
    """A progress line every few seconds, and one when a step ends."""
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LOG_SECONDS or progress.done == progress.total or progress.pausing:
            last = now
            print(progress, file=sys.stderr, flush=True)

    return report


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m generation_functions", description=__doc__.split("\n")[0]
    )
    names = "run | estimate | status | export | doctor | notebook"
    commands = parser.add_subparsers(required=True, metavar=names)
    steps = ", ".join(STEPS)
    for name, do, about in (
        ("run", _run, f"do what is missing of every step ({steps}), then export"),
        ("estimate", _estimate, "take a few chunks through every step and say what all of them will take"),
        ("status", _status, "show how far the run is; changes nothing"),
        ("export", _export, "write the datasets from what is done"),
        ("doctor", _doctor, "check settings, prompts, texts and models, with one small call to each model"),
    ):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--config", default="config.yaml", help="settings (config.yaml)")
        command.add_argument(
            "--run", default="first", help="name of the run, a folder below PATH.OUTPUT (first)"
        )
        command.add_argument(
            "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="one setting"
        )
        command.add_argument("--input", help="folder of texts, in place of PATH.INPUT")
        command.add_argument("--output", help="folder of runs, in place of PATH.OUTPUT")
        command.add_argument(
            "--shard", metavar="3/16", help="only this part of the chunks, in a folder of its own"
        )
        if name == "export":
            command.add_argument("--merge", action="store_true", help="put the shards of the run together")
        if name == "estimate":
            command.add_argument("--chunks", type=int, default=PILOT, help=f"chunks to try ({PILOT})")
        command.set_defaults(do=do)
    command = commands.add_parser(
        "notebook", help="execute a notebook from top to bottom, showing what it shows"
    )
    command.add_argument("file", nargs="?", default="processing.ipynb")
    command.set_defaults(do=_notebook)
    return parser


if __name__ == "__main__":
    sys.exit(main())
