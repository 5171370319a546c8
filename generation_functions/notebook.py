"""A notebook executed without a browser, showing on the way what it would show.

The cells run in a kernel of their own, exactly as in JupyterLab; this only listens. The executed copy is not
kept: what a run makes is in its folder.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, TextIO

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .errors import RunError

QUIET = ["--IPKernelApp.log_level=40"]  # a warning of every kernel about its own pipes tells users nothing
SECONDS_BETWEEN = 5.0  # of two progress lines of one cell


def execute(file: Path, out: TextIO) -> int:
    """Run every cell of the notebook in its own folder; 0 when all ended, 1 at the first error, which is
    shown.
    """
    try:
        notebook = nbformat.read(file, as_version=4)
    except (OSError, ValueError) as error:
        raise RunError(f"{file} is not a readable notebook: {error}") from None
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    client = _Listener(
        notebook,
        out,
        timeout=None,
        kernel_name="python3",
        extra_arguments=QUIET,
        resources={"metadata": {"path": str(file.resolve().parent)}},
    )
    try:
        client.execute()
    except CellExecutionError:
        return 1
    return 0


class _Listener(NotebookClient):
    """Writes headings, plain texts and progress as they come."""

    def __init__(self, notebook: Any, out: TextIO, **settings: Any) -> None:
        super().__init__(notebook, **settings)
        self._out, self._last = out, 0.0

    async def async_execute_cell(self, cell: Any, cell_index: int, *place: Any, **settings: Any) -> Any:
        if cell.cell_type == "markdown":
            heading = next((line for line in cell.source.splitlines() if line.startswith("#")), "")
            self._say(f"\n{heading.lstrip('# ')}\n{'-' * len(heading.lstrip('# '))}" if heading else "")
        self._last = 0.0
        return await super().async_execute_cell(cell, cell_index, *place, **settings)

    def process_message(self, message: Any, cell: Any, cell_index: int) -> Any:
        content, kind = message["content"], message["msg_type"]
        if kind == "stream":
            self._say(content["text"].rstrip("\n"))
        elif kind == "update_display_data":
            self._progress(content["data"].get("text/plain", ""))
        elif kind == "error":
            self._say("\n".join(content["traceback"]))
        elif kind in ("display_data", "execute_result"):
            self._say(content["data"].get("text/plain", ""))
        return super().process_message(message, cell, cell_index)

    def _progress(self, line: str) -> None:
        if time.monotonic() - self._last >= SECONDS_BETWEEN:
            self._last = time.monotonic()
            self._say(line)

    def _say(self, text: str) -> None:
        if text and not text.startswith("<Chart"):
            self._out.write(text + "\n")
            self._out.flush()
