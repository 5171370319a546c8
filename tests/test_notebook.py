"""processing.ipynb in real kernels, without a browser: run, run again, restarted, interrupted.

Each is held against what the command line makes with the same settings.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from house import (
    SECONDS,
    SETTINGS,
    cells,
    copy_of_project,
    exported,
    journal,
    jupyter_environment,
    set_parameters,
)
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

from generation_functions import STEPS

NOTEBOOK = "processing.ipynb"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = copy_of_project(tmp_path)
    set_parameters(project / NOTEBOOK, CHANGES=list(SETTINGS))
    return project


class Kernel:
    """A kernel in a project's folder, as JupyterLab has it."""

    def __init__(self, project: Path) -> None:
        self.cells = cells(project / NOTEBOOK)
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(cwd=str(project), env=jupyter_environment(project.parent))
        self._connect()

    def run(self, *ids: str) -> Any:
        """Run cells; gives what the last one showed: its HTML, and the lines of its error."""
        for cell_id in ids:
            shown = self.wait(self.start(self.cells[cell_id]))
        return shown

    def start(self, source: str) -> str:
        return str(self._client.execute(source))

    def wait(self, message_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = {"html": "", "error": []}
        while True:
            message = self._client.get_iopub_msg(timeout=SECONDS)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return shown
            if message["msg_type"] == "error":
                shown["error"] = content["traceback"]
            shown["html"] += content.get("data", {}).get("text/html", "")

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        self._client.stop_channels()
        self._manager.restart_kernel()
        self._connect()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def _connect(self) -> None:
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=SECONDS)


@pytest.fixture
def kernel(project: Path) -> Iterator[Kernel]:
    kernel = Kernel(project)
    try:
        yield kernel
    finally:
        kernel.close()


def test_each_step_of_the_library_has_its_cell(project: Path) -> None:
    document = nbformat.read(project / NOTEBOOK, as_version=4)
    tags = [tag for cell in document.cells for tag in cell.metadata.get("tags", [])]
    assert tuple(tag.removeprefix("step:") for tag in tags if tag.startswith("step:")) == STEPS


def test_every_cell_runs_and_all_of_them_twice(
    project: Path, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in jupyter_environment(project.parent).items():
        monkeypatch.setenv(name, value)
    document = nbformat.read(project / NOTEBOOK, as_version=4)
    client = NotebookClient(document, timeout=SECONDS, resources={"metadata": {"path": str(project)}})
    with client.setup_kernel():
        shown = [_run_all(client, document) for _ in range(2)]
        bought = len(journal(project))
    for step in STEPS:
        assert f"<b>{step}: " in shown[0][step]
    assert exported(project) == exported(undisturbed)
    assert bought == len(journal(undisturbed))
    assert {step: shown[0][step] for step in STEPS} == {step: shown[1][step] for step in STEPS}


def _run_all(client: NotebookClient, document: Any) -> dict[str, str]:
    """The HTML that each cell showed, by the cell's id."""
    for index, cell in enumerate(document.cells):
        client.execute_cell(cell, index)
    return {
        cell.id: "".join(output.get("data", {}).get("text/html", "") for output in cell.outputs)
        for cell in document.cells
        if cell.cell_type == "code"
    }


def test_the_set_up_cell_may_be_run_at_any_time(kernel: Kernel, project: Path) -> None:
    assert not kernel.run("parameters", "setup", "chunks", "judge")["error"]
    bought = len(journal(project))
    assert not kernel.run("setup")["error"]
    assert "<b>judge: " in kernel.run("judge")["html"]
    assert len(journal(project)) == bought


def test_a_restarted_kernel_goes_on_with_the_next_cell(
    kernel: Kernel, project: Path, undisturbed: Path
) -> None:
    ids = list(kernel.cells)
    middle = ids.index("standalone")
    assert not kernel.run(*ids[:middle])["error"]
    bought = len(journal(project))
    kernel.restart()
    assert not kernel.run("parameters", "setup")["error"]
    for cell_id in ids[middle:]:
        assert not kernel.run(cell_id)["error"], cell_id
    assert bought > 0
    assert len(journal(project)) == len(journal(undisturbed))
    assert exported(project) == exported(undisturbed)


def test_the_stop_button_pauses_a_step_and_the_next_run_goes_on(
    kernel: Kernel, project: Path, undisturbed: Path
) -> None:
    ids = list(kernel.cells)
    log = project.parent / "asked.txt"
    brakes = f"from brakes import *; Brakes(Path({str(log)!r}), 'hold', 3, stage='check_relevance')()"
    kernel.wait(kernel.start(brakes))
    kernel.run(*ids[: ids.index("vet")])
    running = kernel.start(kernel.cells["vet"])
    wait_for(lambda: log.exists() and log.read_text().count("check_relevance ") >= 3)
    kernel.interrupt()
    [line] = kernel.wait(running)["error"]
    assert line.startswith("Paused at ")
    assert line.endswith("run the cell again to go on.")
    for cell_id in ids[ids.index("vet") :]:
        assert not kernel.run(cell_id)["error"], cell_id
    assert exported(project) == exported(undisturbed)
    assert len(log.read_text().splitlines()) == len(journal(undisturbed))


def wait_for(happened: Any) -> None:
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)
