"""The widgets' messages through a real kernel, without a browser: what any front end that speaks the protocol gets."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import SECONDS, copy_of_project, jupyter_environment
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from scripted import Project

from generation_functions.store import Store

VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def client(finished: Project, tmp_path: Path) -> Iterator[BlockingKernelClient]:
    """A kernel in which `wb` is the finished run; it has nothing left to do."""
    environment = jupyter_environment(copy_of_project(tmp_path).parent)
    manager, client = start_new_kernel(env={**os.environ, **environment}, cwd=str(finished.folder))
    changes = ["SYSTEM.MODE=sample", "SYSTEM.CHUNK_SIZE=100", "SYSTEM.REARRANGEMENTS_TO_TAKE=1"]
    try:
        ran(
            client,
            f"from generation_functions import Workbench\nwb = Workbench('config.yaml', 'first', {changes})",
        )
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def ran(client: BlockingKernelClient, code: str) -> list[dict[str, Any]]:
    """What a cell shows, as the data of its outputs."""
    shown: list[dict[str, Any]] = []

    def hear(message: dict[str, Any]) -> None:
        assert message["msg_type"] != "error", "\n".join(message["content"]["traceback"])
        if message["msg_type"] in ("execute_result", "display_data"):
            shown.append(message["content"]["data"])

    client.execute_interactive(code, timeout=SECONDS, output_hook=hear)
    return shown


def opened(client: BlockingKernelClient, code: str) -> str:
    """The model of the view that a cell shows."""
    [data] = ran(client, code)
    return str(data[VIEW]["model_id"])


def answered(client: BlockingKernelClient, model: str, **question: Any) -> dict[str, Any]:
    """What the widget answers; it echoes the number of the question."""
    content = {"comm_id": model, "data": {"method": "custom", "content": {**question, "req": 1}}}
    client.shell_channel.send(client.session.msg("comm_msg", content))
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        data = message["content"].get("data", {}) if message["msg_type"] == "comm_msg" else {}
        if data.get("method") == "custom" and data["content"].get("req") == 1:
            answer: dict[str, Any] = data["content"]
            return answer


def test_a_review_answers_and_keeps_what_it_is_told(client: BlockingKernelClient, finished: Project) -> None:
    view = opened(client, "wb.review('standalone')")
    page = answered(client, view, op="page", offset=0, limit=9, sort="order", find={"status": "kept"})
    assert [row["status"] for row in page["rows"]] == ["kept"] * page["total"]
    row = page["rows"][0]
    edit = {"op": "act", "n": row["n"], "kind": "edit", "changes": {"answer": "Over the wire."}}
    saved = answered(client, view, **edit, version=row["version"])
    assert saved["item"]["fields"][1]["text"] == "Over the wire."
    with Store(finished.run, readonly=True) as store:
        assert [(act.number, act.changes) for act in store.acts()] == [
            (saved["saved"]["number"], (("answer", "Over the wire."),))
        ]
    assert answered(client, view, **edit, version=row["version"])["refused"]
    *_, shown = ran(client, "wb.standalone()[0].answer")
    assert shown["text/plain"] == "'Over the wire.'"


def test_two_views_of_one_step_hear_of_each_other(client: BlockingKernelClient) -> None:
    one, other = (opened(client, "wb.review('vet')") for _ in range(2))
    assert answered(client, one, op="act", n=0, kind="flag", version=0)["saved"]
    page = answered(client, other, op="page", offset=0, limit=9, sort="order", find={"status": "flagged"})
    assert [row["n"] for row in page["rows"]] == [0]


def test_a_message_that_makes_no_sense_is_answered_with_an_error(client: BlockingKernelClient) -> None:
    view = opened(client, "wb.review('vet')")
    for nonsense in ({"op": "nothing"}, {"op": "item", "n": 10**6}, {"op": "act", "n": 0}):
        assert "error" in answered(client, view, **nonsense)


def test_the_dashboard_has_a_page_for_those_without_widgets(client: BlockingKernelClient) -> None:
    [data] = ran(client, "wb")
    assert {"text/plain", "text/html", VIEW} <= data.keys()
    assert len(json.dumps(data)) < 50_000
