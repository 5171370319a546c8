"""The review view in a bare browser: the widget's own module and style, joined to a real `Review` without Jupyter.

    page = ReviewPage(chromium)
    page.start(wb.review("vet").review)
    page.press("a", "a")
    page.lose.add("act")        # from here on the kernel is as good as gone for acts

The model that the module is given keeps two facts of anywidget: a message goes to all views, and a view can be closed
and shown again at any time. `hold`, `lose` and `fail` say what becomes of questions, by their `op`.

`Library` is a project whose run reads well: texts, pairs and votes as a good model would give them.
"""

import json
import random
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Locator, Page
from scripted import PROMPTS, Project, like_example, like_pairs, says

from generation_functions.engine import Request
from generation_functions.widgets.review import STATIC
from generation_functions.workbench import Workbench

LIMIT = 20_000  # milliseconds until what a test waits for counts as never coming

PAGE = """
<!doctype html>
<style>body { margin: 8px } %s</style>
<div id="views"></div>
"""
START = """
async ([source, patience]) => {
  const hearing = new Set();
  const model = {
    get: (name) => ({ patience })[name],
    on: (event, hear) => event === "msg:custom" && hearing.add(hear),
    off: (event, hear) => event === "msg:custom" && hearing.delete(hear),
    send: (message) => window.kernel(JSON.stringify(message)).then(window.hear),
  };
  window.hear = (answers) => {
    for (const answer of JSON.parse(answers)) for (const hear of [...hearing]) hear(structuredClone(answer));
  };
  const widget = (await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })))).default;
  window.views = [];
  window.show = () => {
    const el = document.createElement("div");
    document.querySelector("#views").append(el);
    window.views.push({ el, close: widget.render({ model, el }) });
  };
  window.close = (place) => {
    window.views[place].close();
    window.views[place].el.replaceChildren();
  };
  window.reached = []; // keys that came as far as a notebook listens
  document.addEventListener("keydown", (event) => window.reached.push(event.key));
}
"""


class ReviewPage:
    """A tab with a review's view in it; `show` adds another view, `start` begins anew with another review.

    `asked` are the messages that the kernel was sent, `complaints` the page's errors and what it asked the network for.
    """

    def __init__(self, chromium: Browser) -> None:
        self.page: Page = chromium.new_page()
        self.page.set_default_timeout(LIMIT)
        self.page.on("console", lambda said: self._complain(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self._complain(str(error)))
        self.page.on("request", lambda request: self._went(request.url))
        self.page.expose_function("kernel", self._answers)

    def start(self, review: Any, *, patience: int = LIMIT) -> None:
        """Show a `Review` in an empty page; `patience` in milliseconds."""
        self.page.goto("about:blank")
        self.review = review
        self.asked: list[dict[str, Any]] = []
        self.hold: set[str] = set()  # done, and answered when `release` is called
        self.lose: set[str] = set()  # neither done nor answered
        self.fail: dict[str, str] = {}  # answered with this error
        self.complaints: list[str] = []
        self._held: list[dict[str, Any]] = []
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": 1400, "height": 900})
        self.page.set_content(PAGE % (STATIC / "review.css").read_text(encoding="utf-8"))
        self.page.evaluate(START, [(STATIC / "review.js").read_text(encoding="utf-8"), patience])
        review.changed = lambda: self._hear([{"changed": True, "counts": review.counts()}])
        self.show()
        self.find(".gm-row[aria-selected=true]").wait_for()
        self.find(".gm-body[aria-busy=false]").wait_for()

    def show(self) -> None:
        """One more view of the same model, as when an output is opened in a second place."""
        self.page.evaluate("() => window.show()")

    def close_view(self, place: int) -> None:
        self.page.evaluate("place => window.close(place)", place)

    def release(self) -> None:
        """Give the answers that were held."""
        held, self._held = self._held, []
        self._hear(held)

    def _answers(self, text: str) -> str:
        message = json.loads(text)
        self.asked.append(message)
        op, req = message["op"], message["req"]
        if op in self.lose:
            return "[]"
        error = self.fail.get(op)
        answer = {**({"error": error} if error else self.review.handle(message)), "req": req}
        if op not in self.hold:
            return json.dumps([answer])
        self._held.append(answer)
        return "[]"

    def _hear(self, answers: list[dict[str, Any]]) -> None:
        self.page.evaluate("answers => window.hear(answers)", json.dumps(answers))

    def _complain(self, words: str) -> None:
        self.complaints.append(words)

    def _went(self, url: str) -> None:
        if not url.startswith(("about:", "blob:", "data:")):
            self._complain(f"the page asked for {url}")

    # What a person does and sees

    def view(self, place: int = 0) -> Locator:
        return self.page.locator("#views > div").nth(place)

    def find(self, selector: str, **how: Any) -> Locator:
        return self.view().locator(selector, **how)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)


# A run that a person can look at

TEXTS = {
    "Salt.txt": "Salt preserves by drawing water out of living cells. When a microbe finds itself in strong brine, "
    "water leaves it through its membrane by osmosis, and the cell shrinks and stops growing.\n\nWater can dissolve "
    "about 36 grams of common salt per 100 millilitres, and such a saturated brine has a water activity of about 0.75. "
    "A few stubborn yeasts live even there. Cod was split, salted and dried on the rocks of Newfoundland from 1550.",
    "Smoke.txt": "Wood smoke keeps meat in two ways: it dries the surface, and it leaves phenols and formaldehyde "
    "there, which slow bacteria down. Cold smoking is done below 30 degrees and cooks nothing. Hot smoking is done "
    "between 70 and 90 degrees, so that the meat is cooked as well. Alder, beech and juniper are burned slowly and "
    "with little air. Resinous pine gives a bitter taste and is avoided.",
    "The cold/Ice.txt": "In 1806 Frederic Tudor of Boston shipped 130 tons of pond ice to Martinique and lost money on "
    "it. Sawdust between the blocks kept them from melting together, and by 1833 his ships reached Calcutta after four "
    "months at sea with two thirds of the cargo still frozen. Ice houses had double walls filled with straw. The trade "
    "ended when machines made ice on the spot, from about 1880 on.",
    "Contents.txt": "Contents. Salt, page 7. Smoke, page 19. Drying, page 28. Cold and the trade in ice, page 41. The "
    "sealed can, page 60. Fermenting, page 74. Index of names and of places, page 90. List of plates, page 96.",
}
PAIRS = {  # by a word of the text: question, evidence, answer
    "brine": [
        (
            "How does strong brine stop a microbe from growing?",
            "1, 2",
            "Water leaves the microbe through its membrane by osmosis, and the cell shrinks.",
        ),
        (
            "How much common salt can 100 millilitres of water dissolve?",
            "3",
            "Water can dissolve about 40 grams of salt per 100 millilitres.",
        ),
        (
            "Where was cod split, salted and dried from 1550?",
            "5",
            "It was dried on the rocks of Newfoundland.",
        ),
    ],
    "smoking": [
        (
            "In which two ways does wood smoke keep meat?",
            "1",
            "It dries the surface of the meat and leaves phenols and formaldehyde there, which slow bacteria down.",
        ),
        (
            "What is the difference between cold smoking and hot smoking?",
            "2, 3",
            "Cold smoking is done below 30 degrees and cooks nothing, hot smoking between 70 and 90 degrees cooks the "
            "meat.",
        ),
        (
            "Why is resinous pine avoided for smoking?",
            "5",
            "Resinous pine gives a bitter taste and is forbidden by law.",
        ),
    ],
    "Tudor": [
        (
            "What did Frederic Tudor ship to Martinique in 1806?",
            "1",
            "He shipped 130 tons of pond ice from Boston.",
        ),
        (
            "How much of the ice that reached Calcutta by 1833 was still frozen?",
            "2",
            "Two thirds of the cargo was still frozen after four months at sea.",
        ),
        (
            "Why did the trade in natural ice end?",
            "4",
            "Machines made ice on the spot from about 1880 on.",
        ),
    ],
}
REWRITTEN = {  # by a word of the text: the same mistake in other words, so that a pair that is wrong stays rejected
    "brine": [
        (
            "What is the most common salt that 100 millilitres of water take up?",
            "3",
            "They take up 40 grams of it.",
        ),
        ("How strong is a saturated brine?", "3", "It holds 40 grams of salt per 100 millilitres."),
    ],
    "smoking": [
        (
            "Why do people who smoke meat not burn pine?",
            "5",
            "Its resin gives a bitter taste, and burning it is forbidden.",
        ),
        ("What is wrong with the smoke of pine?", "5", "It tastes bitter and is forbidden."),
    ],
}
DOUBTS = {  # by words of an answer: the check that doubts it, how many times of three, and why
    "40 grams": ("check_accuracy", 3, "The text says about 36 grams and the answer 40: it is inaccurate."),
    "forbidden": (
        "check_relevance",
        3,
        "The answer adds that pine is forbidden, which is not in the text: it is irrelevant.",
    ),
    "slow bacteria": ("check_accuracy", 1, "How phenols act on bacteria is left open: it is inaccurate."),
    "pond ice from": (
        "check_accuracy",
        1,
        "The text does not say that the ice was cut in Boston: it is inaccurate.",
    ),
}
NAMES = dict(
    zip(
        "ABCDEFGHIJKLMNOPRSTUVW",
        "Ada Bruno Clara Davit Edda Farid Greta Hugo Irma Jonas Karin Lior Marta Nils Olga Pavel Rosa Sven Tilda Udo "
        "Vera Wanda".split(),
        strict=True,
    )
)
ALWAYS = {
    "check_question": says("Relevant", "It asks for what the text says in so many words: it is relevant."),
    "check_relevance": says(
        "Relevant", "The answer gives what is asked, and the text has it: it is relevant."
    ),
    "check_accuracy": says("Accurate", "Number, name and cause are those of the text: it is accurate."),
    "make_standalone": says("Pass", "Question and answer name what they are about."),
    "plan_character": like_example("plan_character"),
    "plan_scenario": "Plan: in a smokehouse by the harbour on the first cold morning; one hangs fish, the other asks",
}


def well_read(request: Request) -> str:
    """The answer of a model that has read TEXTS and errs now and then."""
    asked = request.messages[-1].content
    match request.stage:
        case "judge_paragraph" if "Contents." in asked:
            return says("Unsuitable", "A table of contents, from which a reader can learn nothing.")
        case "judge_paragraph":
            return says("Suitable", "An account of how food is kept, from which a reader can learn.")
        case "write_pairs":
            return like_pairs(*next(pairs for word, pairs in PAIRS.items() if word in asked))
        case "rewrite_pair":
            text, before = asked.split("Turned down:")
            versions = next(versions for word, versions in REWRITTEN.items() if word in text)
            pair = next(pair for pair in versions if pair[0] not in before)
            return like_example(
                "rewrite_pair", **dict(zip(("question", "evidence", "answer"), pair, strict=True))
            )
        case "write_character" | "write_scenario" | "write_conversation":
            return _scene(request.stage, asked)
    for words, (check, times, why) in DOUBTS.items():
        if request.stage == check and words in asked and random.Random(request.seed).randrange(3) < times:
            return says("Inaccurate" if check == "check_accuracy" else "Irrelevant", why)
    return ALWAYS[request.stage]


def _scene(stage: str, asked: str) -> str:
    said = [line.split(": ", 1) for line in asked.splitlines() if ": " in line]
    values = dict(said)
    if stage == "write_character":
        name = NAMES[asked.strip()[-1]]
        return (
            f"Name: {name} Halvorsen\nTraits: patient, dry, exact with tools\nBackground: {name} took over the "
            "smokehouse from an aunt and has run it ever since, with one apprentice at a time.\n"
            "Manner: Speaks in short sentences, and answers with a nod before answering with words."
        )
    if stage == "write_scenario":
        return f"Scenario: In a smokehouse by the harbour, {values['Asks']} helps {values['Answers']} hang the fish."
    pairs = [value for label, value in said if label in ("Question", "Answer")]
    name, asker = values["Name"], values["Asks"]
    turns = [f"{speaker}: {text}" for speaker, text in zip([asker, name] * len(pairs), pairs, strict=False)]
    return "\n".join([f"{name}: Good morning, {asker}. Take an apron before you ask me anything.", *turns])


class Library(Project):
    """A project on TEXTS, a chunk each, whose model is `well_read`."""

    def __init__(self, folder: Path) -> None:
        for name, text in TEXTS.items():
            self.folder = folder
            self.write(f"raw_text_input/{name}", text)
        self.write("config.yaml", f"PATH: {{PROMPTS: {PROMPTS}, DEFAULT_PROMPTS: {PROMPTS}}}")

    def open(self, answers: Any = well_read, *changes: str, **how: Any) -> Workbench:
        wanted = ("SYSTEM.CHUNK_SIZE=600", "SYSTEM.PAIRS_PER_CHUNK=3", *changes)
        return super().open(answers, *wanted, **how)
