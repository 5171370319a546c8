"""What several test files need: the default model, a browser, and a finished run to compare with.

Where one of the first two is missing, a person's tests are skipped and say why; where CI=true they fail, so that
none is lost unseen.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest
from house import SAMPLE, command, copy_of_project
from scripted import Project

from bootstrap import BROWSERS, MODEL
from generation_functions.models import Models


@pytest.fixture(scope="session")
def model_path() -> Path:
    """The default model's GGUF file."""
    if not MODEL.is_file():
        missing(f"no {MODEL}: `make test` fetches it")
    return MODEL


@pytest.fixture(scope="session")
def browser_path() -> str:
    """A Chromium or Chrome, for playwright's `executable_path`."""
    for name in BROWSERS:
        if path := shutil.which(name):
            return path
    missing(f"none of {', '.join(BROWSERS)} is on PATH")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the run that the sample engine makes with the settings SAMPLE, all at once."""
    project = copy_of_project(tmp_path_factory.mktemp("undisturbed"))
    done = command(project, "run", *SAMPLE)
    assert done.returncode == 0, done.stderr
    return project


def missing(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def _done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Project(tmp_path_factory.mktemp("done")).finish()


@pytest.fixture
def finished(project: Project, _done: Path) -> Project:
    """A small project of which every step is done."""
    shutil.copytree(_done / "output", project.folder / "output")
    return project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A small project whose models are scripted."""
    made = Project(tmp_path)
    monkeypatch.setattr(Models, "_made", lambda self, role: made.engine)
    return made
