"""JupyterLab and Notebook in a browser, driven as a person drives them.

    with server(folder, "lab") as lab, browser(path) as chromium:
        notebook = Notebook(chromium, lab, "project/processing.ipynb")
        notebook.run_all()
        notebook.shown("judge").get_by_text("judge: 14 in")

Everything that depends on Jupyter's own page, its class names and menus, is in this file. Times are only limits.
"""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from house import SECONDS, jupyter_environment
from playwright.sync_api import Browser, Locator, Page, sync_playwright

FLAGS = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-component-update --disable-sync"
OPTIONS = ("--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0")
LAB_OPTIONS = (
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.news_url=None",
    "--LabApp.expose_app_in_browser=True",
)
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
WHOLE = {"@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}}  # all cells stay in the page
KINDS = {  # module, options, changed settings, and where notebooks are
    "lab": ("jupyterlab", LAB_OPTIONS, {**QUIET, **WHOLE}, "lab/tree"),
    "notebook": ("notebook", (), WHOLE, "notebooks"),
}
WHILE_LOADING = (
    "Cannot read properties of undefined (reading 'schema')"  # Notebook 7.6's own, of any notebook
)
CODE = ".jp-NotebookPanel .jp-CodeCell"


@dataclass(frozen=True)
class Lab:
    url: str
    token: str
    root: Path
    kind: str


@contextmanager
def server(root: Path, kind: str = "lab") -> Iterator[Lab]:
    """A JupyterLab or a Notebook of its own on this folder; it and its kernels are ended afterwards."""
    module, options, overrides, _ = KINDS[kind]
    environment = jupyter_environment(root)
    settings = Path(environment["JUPYTER_CONFIG_DIR"]) / "labconfig" / "default_setting_overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(overrides))
    lab = Lab(f"http://127.0.0.1:{_free_port()}", token_hex(16), root, kind)
    where = (f"--ServerApp.port={lab.url.rsplit(':')[-1]}", f"--ServerApp.root_dir={root}")
    words = [
        sys.executable,
        "-m",
        module,
        *OPTIONS,
        *options,
        *where,
        f"--IdentityProvider.token={lab.token}",
    ]
    with (root / "server.log").open("w") as log:
        process = subprocess.Popen(words, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_for_answer(lab, process)
            yield lab
        finally:
            _end(lab, process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + SECONDS
    while True:
        try:
            _asked(lab, "status")
            return
        except OSError:
            log = (lab.root / "server.log").read_text()
            assert process.poll() is None, log
            assert time.monotonic() < end, log
            time.sleep(0.1)


def _end(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    """Asked to, it ends its kernels and waits for them; a signal alone would leave them behind for a while."""
    try:
        _asked(lab, "shutdown", "POST")
        process.wait(20)
    except (OSError, subprocess.TimeoutExpired):
        process.kill()
        process.wait()


def _asked(lab: Lab, what: str, method: str = "GET") -> bytes:
    headers = {"Authorization": f"token {lab.token}"}
    request = urllib.request.Request(f"{lab.url}/api/{what}", method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return bytes(answer.read())


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        try:
            yield chromium
        finally:
            chromium.close()


class Notebook:
    """A notebook opened in a tab of its own, with its kernel. `complaints` is what the page said of errors, `outside`
    the requests that went anywhere but to the server.
    """

    def __init__(self, chromium: Browser, lab: Lab, path: str) -> None:
        document = json.loads((lab.root / path).read_text(encoding="utf-8"))
        self._ids = [cell["id"] for cell in document["cells"] if cell["cell_type"] == "code"]
        self.lab = lab
        self.page: Page = chromium.new_page(viewport={"width": 1300, "height": 1000})
        self.page.set_default_timeout(SECONDS * 1000)
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self._listen(lab.url.removeprefix("http"))
        self._path = path
        self.open()

    def open(self) -> None:
        """Load the page, for the first time or again; the kernel goes on."""
        self.page.goto(f"{self.lab.url}/{KINDS[self.lab.kind][3]}/{self._path}?token={self.lab.token}&reset")
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
        self.page.locator(CODE).first.wait_for()
        self._wait_for_kernel()
        if self.lab.kind == "notebook":
            self.complaints = [said for said in self.complaints if said != WHILE_LOADING]

    def run_all(self) -> None:
        """Until every cell has run, or one has failed."""
        _forget_number(self.page.locator(f"{CODE} .jp-InputPrompt"))
        self._menu("Run", "Run All Cells")
        self._wait_until_run(len(self._ids))

    def run(self, *ids: str) -> None:
        for cell_id in ids:
            self.start(cell_id)
            self._wait_until_run(self._ids.index(cell_id))

    def restart(self) -> None:
        self._menu("Kernel", "Restart Kernel\u2026")
        with self.page.expect_response(lambda answer: answer.url.split("?")[0].endswith("/restart")):
            self.page.locator(".jp-Dialog button", has_text=re.compile("^Restart$")).click()
        self._wait_for_kernel()

    def stop(self) -> None:
        """Press the stop button."""
        self.page.locator(
            '.jp-NotebookPanel-toolbar [data-command="notebook:interrupt-kernel"]'
        ).first.click()

    def start(self, cell_id: str) -> None:
        """Run a cell without waiting for it."""
        _forget_number(self._cell(cell_id).locator(".jp-InputPrompt"))
        self._cell(cell_id).locator(".cm-content").first.click()
        self.page.keyboard.press("Control+Enter")

    def save(self) -> None:
        self._menu("File", "Save Notebook" if self.lab.kind == "lab" else "Save Notebook")

    def cells(self) -> list[str]:
        """What stands in the notebook's cells on the disk, prose too."""
        end = time.monotonic() + SECONDS
        while True:
            text = (self.lab.root / self._path).read_text(encoding="utf-8")
            if text.endswith("\n"):  # else it is just being written
                return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]
            assert time.monotonic() < end, "never written whole"
            self.page.wait_for_timeout(50)

    def shown(self, cell_id: str) -> Locator:
        """The output of a cell."""
        return self._cell(cell_id).locator(".jp-OutputArea-output")

    def errors(self) -> list[str]:
        """The errors that cells ended with."""
        return self.page.locator('[data-mime-type="application/vnd.jupyter.stderr"]').all_inner_texts()

    def picture(self, file: Path) -> None:
        """The whole notebook as an image."""
        height = self.page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollHeight")
        self.page.set_viewport_size({"width": 1300, "height": height + 120})
        self.page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
        self.page.screenshot(path=file)
        self.page.set_viewport_size({"width": 1300, "height": 1000})

    def view(self, cell_id: str, file: Path) -> None:
        """The window as a person sees it with this cell at its top."""
        self._cell(cell_id).evaluate("cell => cell.scrollIntoView()")
        self.page.screenshot(path=file)

    def seen(self, cell_id: str) -> bytes:
        """The output of a cell as an image."""
        return self.shown(cell_id).first.screenshot()

    def write(self, cell_id: str, text: str) -> None:
        """Put this in the place of what a cell says."""
        self._cell(cell_id).locator(".cm-content").first.click()
        self.page.keyboard.press("Control+a")
        self.page.keyboard.insert_text(text)

    def hide_sidebar(self) -> None:
        self.page.keyboard.press("Control+b")

    def close(self) -> None:
        self.page.close()

    def _listen(self, own: str) -> None:
        page = self.page
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        at_home = re.compile(rf"(http|ws){re.escape(own)}/|data:|blob:")
        page.on("request", lambda request: self._went(request.url, at_home))
        page.on("websocket", lambda connection: self._went(connection.url, at_home))

    def _went(self, url: str, at_home: re.Pattern[str]) -> None:
        if not at_home.match(url):
            self.outside.append(url)

    def _cell(self, cell_id: str) -> Locator:
        return self.page.locator(CODE).nth(self._ids.index(cell_id))

    def _menu(self, name: str, entry: str) -> None:
        self.page.locator("#jp-MainMenu .lm-MenuBar-itemLabel", has_text=re.compile(f"^{name}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{re.escape(entry)}$")).click()

    def _wait_for_kernel(self) -> None:
        """The page's own sign says idle before there is a kernel, and a cell that is run then is asked for one."""
        end = time.monotonic() + SECONDS
        while not self._has_kernel():
            assert time.monotonic() < end, "no kernel"
            self.page.wait_for_timeout(100)

    def _has_kernel(self) -> bool:
        sessions = json.loads(_asked(self.lab, "sessions"))
        kernels = [session["kernel"] for session in sessions if session["path"] == self._path]
        return any(k["connections"] >= 1 and k["execution_state"] == "idle" for k in kernels)

    def _wait_until_run(self, which: int) -> None:
        """Until cell `which` (all, for one more than there are) has a number, or a cell failed."""
        self.page.wait_for_function(
            """([code, which]) => {
                const cells = [...document.querySelectorAll(code)];
                const prompts = cells.map(c => c.querySelector('.jp-InputPrompt').textContent.trim());
                const asked = which < cells.length ? [prompts[which]] : prompts;
                const ran = asked.every(prompt => /^\\[\\d+\\]:$/.test(prompt));
                const failed = document.querySelector('[data-mime-type="application/vnd.jupyter.stderr"]');
                return (ran || failed) && !prompts.includes('[*]:');
            }""",
            arg=[CODE, which],
        )


def _forget_number(prompts: Locator) -> None:
    """A cell that is run again after a restart may get the number that it had."""
    prompts.evaluate_all("prompts => prompts.forEach(prompt => { prompt.textContent = ''; })")
