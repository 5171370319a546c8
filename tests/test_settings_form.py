"""The settings form: what it shows, what it saves, what it keeps to itself, and a person using it in JupyterLab."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
from house import copy_of_project, journal
from lab import Lab, Notebook, browser, server
from playwright.sync_api import Browser
from scripted import ROOT, Project

from generation_functions import config
from generation_functions.config import SETTINGS
from generation_functions.config_text import changed
from generation_functions.widgets.settings import SettingsForm

SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8")
KEY = "sk-123456"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(SHIPPED, encoding="utf-8")
    (tmp_path / "raw_text_input").mkdir()
    return file


@pytest.fixture
def form(file: Path) -> SettingsForm:
    return SettingsForm(file)


@pytest.fixture(autouse=True)
def _no_widgets_of_other_tests() -> Iterator[None]:
    yield
    ipywidgets.Widget.close_all()


def enter(form: SettingsForm, name: str, value: Any) -> None:
    form.rows[name].control.value = value


def shown(form: SettingsForm) -> str:
    return str(form.said.value + form.preview.value)


def state() -> str:
    """All that a saved notebook could hold of widgets."""
    return json.dumps(ipywidgets.Widget.get_manager_state(), default=str)


# What it shows


def test_every_setting_has_a_control_with_its_value(form: SettingsForm, file: Path) -> None:
    loaded = config.load(file)
    assert form.rows.keys() == {setting.name for setting in SETTINGS}
    for name, row in form.rows.items():
        value = "" if name.endswith("_KEY") else loaded[name]
        assert (row.control.value, type(row.control.value)) == (value, type(value)), name
        assert row.control.description == name.partition(".")[2]
    assert form.save_button.disabled
    assert "Nothing differs" in shown(form)
    assert repr(form) == f"settings of {file}"


@pytest.mark.parametrize(
    ("name", "control"),
    [
        ("API.API_KEY", ipywidgets.Password),
        ("SYSTEM.MODE", ipywidgets.Dropdown),
        ("SYSTEM.COMPLETION_MODE", ipywidgets.Dropdown),
        ("SYSTEM.STOP", ipywidgets.Checkbox),
        ("SYSTEM.CHUNK_SIZE", ipywidgets.IntText),
        ("LOCAL.ROPE_FREQ_SCALE", ipywidgets.FloatText),
        ("SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", ipywidgets.Textarea),
        ("PATH.INPUT", ipywidgets.Text),
    ],
)
def test_a_control_is_of_its_settings_type(form: SettingsForm, name: str, control: type) -> None:
    assert type(form.rows[name].control) is control


def test_what_it_means_and_its_range_stand_beside_it(form: SettingsForm) -> None:
    assert "characters of a chunk" in form.rows["SYSTEM.CHUNK_SIZE"].about.value
    assert "(100 to 20,000)" in form.rows["SYSTEM.CHUNK_SIZE"].about.value


def test_search_shows_the_settings_that_have_all_the_words(form: SettingsForm) -> None:
    form.search.value = "large price"
    [found] = form.body.children
    assert [row.box for name, row in form.rows.items() if "LARGE" in name and "PRICE" in name] == [
        *found.children[1:]
    ]
    form.search.value = "nothing of the kind"
    assert "No setting" in form.body.children[0].children[0].value
    form.search.value = ""
    assert form.body.children == (form.tabs,)


def test_a_value_of_the_environment_is_shown_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("SYSTEM: {SUBSET_SIZE: '${N}', STOP: 'False'}\nAPI: {BASE_URL: 'http://${HOST}'}\n")
    form = SettingsForm(file)
    assert form.rows["SYSTEM.SUBSET_SIZE"].control.value == "${N}"
    assert form.rows["SYSTEM.STOP"].control.value is False
    assert form.rows["API.BASE_URL"].control.value == "http://${HOST}"
    assert "reads ${" in form.head.value


def test_a_number_may_take_the_place_of_a_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("N", "5")
    file = tmp_path / "config.yaml"
    file.write_text("SYSTEM: {SUBSET_SIZE: '${N}'}\n")
    form = SettingsForm(file)
    enter(form, "SYSTEM.SUBSET_SIZE", "many")
    assert "must be a whole number" in form.rows["SYSTEM.SUBSET_SIZE"].about.value
    enter(form, "SYSTEM.SUBSET_SIZE", "7")
    form.save_button.click()
    assert file.read_text() == "SYSTEM: {SUBSET_SIZE: 7}\n"
    assert isinstance(form.rows["SYSTEM.SUBSET_SIZE"].control, ipywidgets.IntText)


def test_text_from_files_is_shown_as_text(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("API: {BASE_URL: '<img src=x>'}\n")
    form = SettingsForm(file, ["SYSTEM.MODE=<b>api"])
    enter(form, "API.BASE_URL", "<script>")
    everything = shown(form) + form.head.value + "".join(row.about.value for row in form.rows.values())
    assert "<img" not in everything and "<script" not in everything and "<b>api" not in everything
    assert "&lt;img src=x&gt;" in everything


# What it saves


def test_what_differs_is_marked_and_saved_and_nothing_else(form: SettingsForm, file: Path) -> None:
    enter(form, "SYSTEM.CHUNK_SIZE", 700)
    enter(form, "SYSTEM.COMPLETION_MODE", False)
    assert "gm-changed" in form.rows["SYSTEM.CHUNK_SIZE"].box._dom_classes
    assert "was <code>1900</code>" in form.rows["SYSTEM.CHUNK_SIZE"].about.value
    assert form.tabs.titles[2] == "SYSTEM (2)"
    assert "+  CHUNK_SIZE: 700             # characters, 100 to 20000" in shown(form)
    assert not form.save_button.disabled
    form.save_button.click()
    assert file.read_text() == SHIPPED.replace("1900  ", "700   ").replace("MODE: auto ", "MODE: false")
    assert "Saved. Run the set-up cell again" in shown(form)
    assert form.save_button.disabled
    assert form.tabs.titles[2] == "SYSTEM"
    assert "gm-changed" not in form.rows["SYSTEM.CHUNK_SIZE"].box._dom_classes


def test_what_is_put_back_is_no_change(form: SettingsForm) -> None:
    enter(form, "SYSTEM.STOP", False)
    enter(form, "SYSTEM.STOP", True)
    assert form.save_button.disabled and form.typed == {}


def test_a_setting_of_several_lines_is_saved(form: SettingsForm, file: Path) -> None:
    enter(form, "SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", "Read:\n\n{data}\n")
    form.save_button.click()
    assert config.load(file)["SYSTEM.FINAL_ASSISTANT_PROMPT_RAG"] == "Read:\n\n{data}\n"
    assert "    Read:\n\n    {data}\n" in file.read_text()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SYSTEM.CHUNK_SIZE", 5, "must be from 100 to 20000"),
        ("LOCAL.ROPE_FREQ_SCALE", 1.5, "must be from 0.0 to 1.0"),
        ("API.BASE_URL", "${GM_NOT_THERE}", "which the environment does not have"),
        ("SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", "no place", "must have {data}"),
        ("API.API_KEY", "${GM_NOT_THERE}", "which the environment does not have"),
    ],
)
def test_an_error_stands_at_its_setting_and_is_not_saved(
    form: SettingsForm, file: Path, name: str, value: Any, words: str
) -> None:
    enter(form, name, value)
    assert words in form.rows[name].about.value
    assert form.save_button.disabled
    form.save()  # as if the button had been faster
    assert file.read_text() == SHIPPED


def test_a_file_that_was_changed_meanwhile_is_not_written(form: SettingsForm, file: Path) -> None:
    enter(form, "SYSTEM.STOP", False)
    file.write_text("SYSTEM: {MODE: api}\n")
    form.save_button.click()
    assert "config.yaml has been changed since; load it again" in shown(form)
    assert file.read_text() == "SYSTEM: {MODE: api}\n"
    form.load_button.click()
    assert form.rows["SYSTEM.MODE"].control.value == "api"
    assert form.rows["SYSTEM.STOP"].control.value is True and form.save_button.disabled


def test_a_file_that_cannot_be_written_is_for_looking(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    form = SettingsForm(file)
    assert "cannot be written" in form.head.value
    assert all(row.control.disabled for row in form.rows.values())
    enter(form, "SYSTEM.STOP", False)
    assert form.save_button.disabled


@pytest.mark.parametrize(
    ("text", "words"),
    [("SYSTEM: [", "not readable as YAML"), ("SYSTEM: {MOD: api}", "did you mean"), (None, "is not there")],
)
def test_a_file_that_does_not_load_says_why(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    form = SettingsForm(tmp_path / "config.yaml")
    assert words in form.head.value and form.save_button.disabled


def test_a_wrong_value_in_the_file_can_be_set_right(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("SYSTEM:\n  CHUNK_SIZE: big  # c\n")
    form = SettingsForm(file)
    assert "must be a whole number" in form.rows["SYSTEM.CHUNK_SIZE"].about.value
    enter(form, "SYSTEM.CHUNK_SIZE", "300")
    form.save_button.click()
    assert file.read_text() == "SYSTEM:\n  CHUNK_SIZE: 300  # c\n"


def test_what_the_notebook_says_instead_is_told(file: Path) -> None:
    form = SettingsForm(file, ["SYSTEM.MODE=sample", f"API.API_KEY={KEY}"])
    assert "CHANGES in the notebook says sample, which counts" in form.rows["SYSTEM.MODE"].about.value
    assert form.rows["SYSTEM.MODE"].control.value == "local"
    assert KEY not in state()


# Keys


def test_a_key_is_in_no_widget_before_and_after_it_is_saved(form: SettingsForm, file: Path) -> None:
    assert form.rows["API.API_KEY"].control.placeholder == "not set"
    enter(form, "API.API_KEY", KEY)
    assert form.rows["API.API_KEY"].control.placeholder == "typed, not saved yet"
    assert KEY not in state() and not form.save_button.disabled
    form.save_button.click()
    assert config.load(file)["API.API_KEY"] == KEY
    assert form.rows["API.API_KEY"].control.placeholder == "set"
    assert KEY not in state() and KEY not in repr(vars(form.rows["API.API_KEY"].control))
    assert KEY not in state() + repr(SettingsForm(file))


def test_a_key_that_is_not_touched_stays_and_a_space_takes_it_out(file: Path) -> None:
    file.write_text(f"API: {{API_KEY: {KEY}, RPM: 1}}\n")
    form = SettingsForm(file)
    enter(form, "API.RPM", 2)
    form.save_button.click()
    assert file.read_text() == f"API: {{API_KEY: {KEY}, RPM: 2}}\n"
    enter(form, "API.API_KEY", " ")
    form.save_button.click()
    assert file.read_text() == 'API: {API_KEY: "", RPM: 2}\n'


def test_the_name_of_a_keys_variable_is_shown(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_KEY", KEY)
    file.write_text("API:\n  API_KEY: ${GM_KEY}\n")
    form = SettingsForm(file)
    assert form.rows["API.API_KEY"].control.placeholder == "${GM_KEY}"
    enter(form, "SYSTEM.STOP", False)
    form.save_button.click()
    assert "API_KEY: ${GM_KEY}\n" in file.read_text()
    assert KEY not in state()


# A run beside it


def test_what_a_run_would_redo_is_said_before_it_is_saved(finished: Project) -> None:
    changes = ("SYSTEM.MODE=sample", "SYSTEM.CHUNK_SIZE=100", "SYSTEM.REARRANGEMENTS_TO_TAKE=1")
    bought = journal(finished.folder)
    with finished.open() as wb:
        form = SettingsForm(finished.folder / "config.yaml", changes, wb._steps)
        enter(form, "SYSTEM.GRAPH", False)
        assert "Nothing that was made is touched." in shown(form)
        enter(form, "SYSTEM.DOUBLE_CHECK_COUNTER", 5)
        assert "DOUBLE_CHECK_COUNTER: what was made stays and counts as made by older settings" in shown(form)
        form.save_button.click()
        assert "until then wb works with the settings that it was opened with" in shown(form)
        assert sum(batch.older for batch in wb.status()) == 0
    with finished.open() as wb:
        assert sum(batch.older for batch in wb.status()) > 0
    assert journal(finished.folder) == bought


# Texts


def upload(form: SettingsForm, name: str, content: bytes) -> str:
    file = {"name": name, "type": "text/plain", "size": len(content), "content": memoryview(content)}
    form.upload.button.value = ({**file, "last_modified": datetime.now(UTC)},)
    return str(form.upload.said.value)


def test_texts_come_into_the_folder_of_texts(form: SettingsForm, tmp_path: Path) -> None:
    said = upload(form, "../Salt & <b>.txt", b"Salt draws water. " * 400)
    assert "Salt &amp; b.txt was taken: 7,200 characters, about 4 chunks" in said
    assert (tmp_path / "raw_text_input" / "Salt & b.txt").read_bytes().startswith(b"Salt draws")
    assert "Run the set-up cell" in said
    assert form.upload.button.value == () and "Salt draws" not in state()
    assert "is there already" in upload(form, "Salt & <b>.txt", b"Salt draws water. " * 400)


def test_another_text_of_the_same_name_stays_unless_it_is_to_be_replaced(form: SettingsForm) -> None:
    upload(form, "a.txt", b"Salt.")
    assert "there is another text of that name, which stays" in upload(form, "a.txt", b"Smoke.")
    form.upload.replace.value = True
    assert "a.txt was replaced: 6 characters, about 1 chunk<" in upload(form, "a.txt", b"Smoke.")


def test_what_is_no_text_is_refused_with_the_reason(form: SettingsForm, tmp_path: Path) -> None:
    assert "not plain text" in upload(form, "a.pdf", b"%PDF")
    assert "binary" in upload(form, "a.txt", bytes(range(256)))
    assert os.listdir(tmp_path / "raw_text_input") == []


# In JupyterLab


@pytest.fixture(scope="module")
def chromium(browser_path: str) -> Iterator[Browser]:
    with browser(browser_path) as chromium:
        yield chromium


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Lab]:
    root = tmp_path_factory.mktemp("lab")
    project = copy_of_project(root)
    source = "from generation_functions.widgets.settings import SettingsForm\nSettingsForm()"
    cell = {"cell_type": "code", "id": "form", "metadata": {}, "execution_count": None, "outputs": []}
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": [{**cell, "source": source}]}
    (project / "form.ipynb").write_text(json.dumps(document))
    with server(root) as lab:
        yield lab


def test_a_person_changes_settings_in_a_notebook(lab: Lab, chromium: Browser) -> None:
    project = lab.root / "project"
    notebook = Notebook(chromium, lab, "project/form.ipynb")
    page = notebook.page
    try:
        notebook.run_all()
        assert notebook.errors() == []
        form = notebook.shown("form").locator(".gm-settings")
        save = form.get_by_role("button", name="Save")
        form.get_by_label("CHUNK_SIZE").fill("700")
        form.get_by_label("CHUNK_SIZE").press("Tab")
        form.get_by_text("+  CHUNK_SIZE: 700 ").wait_for()
        form.get_by_label("STOP", exact=True).uncheck()
        form.get_by_text("2 changed").wait_for()
        for key in "ddxb":  # which would be the notebook's: delete, cut, add a cell
            page.keyboard.press(key)
        form.get_by_role("tab", name="API").click()
        secret = form.get_by_label("API_KEY", exact=True)
        secret.fill(KEY)
        secret.press("Tab")
        form.get_by_text("3 changed").wait_for()
        assert secret.input_value() == "" and KEY not in page.content()
        save.click()
        form.get_by_text("Saved. Run the set-up cell again").wait_for()
        assert secret.get_attribute("placeholder") == "set"
        page.keyboard.press("Control+s")
        page.locator(".jp-Dialog").wait_for(state="detached")
        wanted = {"SYSTEM.CHUNK_SIZE": 700, "SYSTEM.STOP": False, "API.API_KEY": KEY}
        assert (project / "config.yaml").read_text() == changed(SHIPPED, wanted)
        assert page.locator(".jp-NotebookPanel .jp-CodeCell").count() == 1
        assert KEY not in (project / "form.ipynb").read_text()
        assert notebook.complaints == [] and notebook.outside == []
    finally:
        notebook.close()
