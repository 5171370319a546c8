"""The files around the library agree with each other: dependencies, commands, notebook."""

import ast
import json
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LONGEST_CELL = 6


def test_conda_installs_what_pyproject_asks_for() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *needs, last = environment["dependencies"]
    conda = dict(re.fullmatch(r"([\w-]+)(.*)", need).groups() for need in needs)
    conda = {
        name: re.sub(r"^=", "==", version) for name, version in conda.items()
    }  # conda's "=" is pip's "=="
    python = conda.pop("python").removeprefix("==")
    conda.pop("pip")
    pip = {need.name: str(need.specifier) for need in map(Requirement, PROJECT["dependencies"])}
    assert conda == pip
    assert python in SpecifierSet(PROJECT["requires-python"])
    assert last == {"pip": ["-e ."]}
    assert environment["channels"] == ["conda-forge"]


def test_the_readme_names_only_commands_that_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"(?:^[ $]*|`)make ([a-z]+)", (ROOT / "README.md").read_text(), re.M))
    assert named <= targets
    assert {"run", "test", "lab"} <= named


def test_every_command_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony.split() == re.findall(r"^([a-z]+):  ## ", makefile, re.M)


def test_ci_runs_what_a_person_runs() -> None:
    ci = ROOT / ".ci" / "run"
    lines = [line for line in ci.read_text().splitlines() if not line.startswith("# ")]
    assert lines == ["#!/usr/bin/env bash", "set -euo pipefail", 'cd "$(dirname "$0")/.."', "make test"]
    assert ci.stat().st_mode & stat.S_IXUSR


@pytest.fixture(scope="module")
def notebook() -> dict[str, Any]:
    return json.loads((ROOT / "processing.ipynb").read_text(encoding="utf-8"))


@pytest.fixture
def code(notebook: dict[str, Any]) -> dict[str, str]:
    """The source of each code cell, by its id."""
    return {cell["id"]: "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"}


def test_the_notebook_is_kept_without_outputs(notebook: dict[str, Any]) -> None:
    for cell in notebook["cells"]:
        assert not cell.get("outputs"), cell["id"]
        assert cell.get("execution_count") is None, cell["id"]
        assert set(cell["metadata"]) <= {"tags"}, cell["id"]
    assert set(notebook["metadata"]) <= {"kernelspec", "language_info"}


def test_notebook_cells_have_ids_that_a_person_chose(notebook: dict[str, Any]) -> None:
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell_id in ids:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", cell_id), cell_id


def test_notebook_cells_are_short_and_none_is_empty(notebook: dict[str, Any], code: dict[str, str]) -> None:
    assert all("".join(cell["source"]).strip() for cell in notebook["cells"])
    long = {cell_id: source for cell_id, source in code.items() if source.count("\n") >= LONGEST_CELL}
    assert not long


def test_notebook_cells_are_plain_calls(code: dict[str, str]) -> None:
    defining = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for cell_id, source in code.items():
        assert not re.search(r"^\s*[!%]|\bpip install\b", source, re.M), cell_id
        tree = compile(source, cell_id, "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        refused = defining if cell_id == "setup" else (*defining, ast.Import, ast.ImportFrom)
        assert not [node for node in ast.walk(tree) if isinstance(node, refused)], cell_id


def test_the_notebook_begins_with_its_parameters_and_one_set_up_cell(notebook: dict[str, Any]) -> None:
    tagged = [cell["id"] for cell in notebook["cells"] if "parameters" in cell["metadata"].get("tags", [])]
    first, second = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"][:2]
    assert tagged == [first["id"]]
    assert second["id"] == "setup"
    for statement in ast.parse("".join(first["source"])).body:
        assert isinstance(statement, ast.Assign)
        ast.literal_eval(statement.value)  # papermill puts a cell with its own values after these
