"""report.html: whatever is in it is text, its numbers are the run's, and it is the same every time."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from house import SETTINGS
from lab import browser
from playwright.sync_api import Browser
from scripted import Project, agreeable, chunk, pair, talk

from generation_functions import figures, page
from generation_functions.batch import Batch
from generation_functions.config import Config, Secret
from generation_functions.figures import Run
from generation_functions.items import BLOCK, Item, Records, each
from generation_functions.overlay import Overlay
from generation_functions.records import Conversation, Outcome, Pair, Sentence, Verdict, Vote
from generation_functions.store import Store
from generation_functions.workbench import STEPS, Workbench

HOSTILE = {
    "image": "<img src=x onerror=alert(1)>",
    "script": "</script><script>alert(1)</script>",
    "style": "</style><style>*{display:none}</style></title></details></article>",
    "attribute": "' onmouseover='alert(1)' x=\" autofocus onfocus=\"alert(1)",
    "link": "<a href='https://example.org/?q=1'>&lt;b&gt; &amp;amp;</a><!-- ",
    "terminal": "\x1b[31mred\x07\r",
    "direction": "\u202eright to left \u05e9\u05dc\u05d5\u05dd",
    "nothing": "a\0b",
    "half": "a\ud800b",
}
AS_SHOWN = {ord(c): "\ufffd" for c in "\x1b\x07\r\0\ud800"}


class Read(HTMLParser):
    """A page as a parser sees it: its tags and attributes, its text, and by section its headings and rows."""

    def __init__(self, parts: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.headings: dict[str, str] = {}
        self.rows: dict[str, list[list[str]]] = {}
        self._section = self._at = ""
        self.feed(parts)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attributes]
        if tag == "section":
            self._section = dict(attributes)["id"] or ""
        elif tag == "tr":
            self.rows.setdefault(self._section, []).append([])
        elif tag in ("th", "td"):
            self.rows[self._section][-1].append("")
        if tag in ("h2", "th", "td"):
            self._at = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == self._at:
            self._at = ""

    def handle_data(self, data: str) -> None:
        if not self._section and data.startswith("\n:root"):
            return  # the style
        self.text += data
        if self._at == "h2":
            self.headings[self._section] = data
        elif self._at:
            self.rows[self._section][-1][-1] += data

    def row(self, section: str, name: str) -> list[str]:
        """The cells after the one with that name."""
        [found] = [row for row in self.rows[section] if row[0] == name]
        return found[1:]


def read(run: Run) -> Read:
    return Read("".join(page.html_of(run)))


def usage(**changes: Any) -> list[dict[str, Any]]:
    names = ("calls", "unusable", "prompt_tokens", "cached_tokens", "completion_tokens", "seconds", "cost")
    return [{"stage": "write_pairs", "model": "m", **dict.fromkeys(names, 0), **changes}]


def run_of(
    pairs: Sequence[Pair] = (), talks: Sequence[Conversation] = (), *more: Batch, **settings: Any
) -> Run:
    """A run in which every record is kept, and whatever other batches."""
    chunks = list({one.chunk.key: one.chunk for one in pairs}.values())
    batches = [
        Batch("chunks", each(chunks)),
        Batch("distinct", each(list(pairs))),
        Batch("converse", each(talks)),
    ]
    named = {batch.name: batch for batch in [*batches, *more]}
    values = {name.replace("__", "."): value for name, value in settings.items()}
    return Run("first", list(named.values()), [], Config(values, Path()))


# Whatever is in it is text

FIELDS = (
    *("run", "model", "note", "setting", "source", "sentence", "question", "answer", "check", "vote"),
    *("reason", "speaker", "turn", "card", "scenario"),
)


def full_of(*texts: str) -> Run:
    """A run that has "question=" and the text in every question, and so on, for each of the texts."""
    runs = [_full_of(text) for text in texts]
    batches = []
    for of_step in zip(*(run.batches for run in runs), strict=True):
        notes = tuple(note for batch in of_step for note in batch.notes)
        batches.append(replace(of_step[0], items=[i for b in of_step for i in b.items], notes=notes))
    return replace(runs[0], batches=batches, usage=[use for run in runs for use in run.usage])


def _full_of(text: str) -> Run:
    field = {name: f"{name}={text}" for name in FIELDS}
    of = replace(chunk(source=field["source"]), sentences=(Sentence(field["sentence"], 0, 9),))
    one = Pair(of, field["question"], field["answer"], (1,))
    said = talk(one, card=field["card"])
    turns = tuple(replace(turn, text=field["turn"], speaker=field["speaker"]) for turn in said.turns)
    said = replace(said, cast=replace(said.cast, scenario=field["scenario"]), turns=turns)
    verdict = Verdict(field["check"], False, (Vote(field["check"], False, field["vote"]),))
    failed = [Item(one, Outcome("failed", reason=field["reason"]))]
    batches = [
        Batch("chunks", [Item(of, Outcome("kept", (of,)))], notes=(field["note"],)),
        Batch("judge", [Item(of, Outcome("rejected", (of,), field["reason"]))]),
        Batch("vet", [Item(one, Outcome("rejected", (one,), field["reason"], (verdict,)))]),
        Batch("standalone", failed),
        Batch("distinct", [Item(one, Outcome("kept", (one,)))]),
        Batch("converse", [Item(said.cast, Outcome("kept", (said,)))]),
    ]
    settings = {"SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG": field["setting"]}
    use = usage(model=field["model"].replace("/", "\\"), calls=1)
    return Run(field["run"], batches, use, Config(settings, Path()))


def is_quiet(read: Read) -> bool:
    """Whether nothing in the page can act or load."""
    names = {name for name, _ in read.attributes}
    links = [value for name, value in read.attributes if name == "href"]
    return (
        not read.tags & {"script", "img", "iframe", "link", "object", "base", "form"}
        and not [name for name in names if name.startswith("on")]
        and "src" not in names
        and all(link.startswith("#") for link in links)
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_shown_as_the_text_it_is(name: str) -> None:
    found = read(full_of(HOSTILE[name]))
    assert is_quiet(found)
    shown = HOSTILE[name].translate(AS_SHOWN)
    for field in set(FIELDS) - {"vote", "model"}:  # votes are counted
        assert f"{field}={shown}" in found.text, field
    assert f"model={shown}".replace("/", "\\") in found.text


def test_a_very_long_line_is_cut_and_its_length_said() -> None:
    found = read(full_of("x" * 1_000_000))
    assert len(found.text) < 100_000
    for field in set(FIELDS) - {"vote", "reason", "check"}:
        length = len(f"{field}=") + 1_000_000
        assert f"{field}=xxx" in found.text
        assert f"({length:,} characters in all)" in found.text, field


@pytest.fixture(scope="module")
def chromium(browser_path: str) -> Iterator[Browser]:
    with browser(browser_path) as chromium:
        yield chromium


@pytest.mark.parametrize("width", [420, 1400])
def test_a_browser_shows_hostile_texts_and_nothing_happens(
    chromium: Browser, tmp_path: Path, width: int
) -> None:
    file = page.write(tmp_path, full_of(*HOSTILE.values(), "x" * 1_000_000))
    tab = chromium.new_page(viewport={"width": width, "height": 900})
    happened: list[str] = []
    tab.on("dialog", lambda dialog: (happened.append(f"dialog {dialog.message}"), dialog.dismiss()))
    tab.on("console", lambda message: happened.append(f"console {message.text}"))
    tab.on("pageerror", lambda error: happened.append(f"error {error}"))
    requests: list[str] = []
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(file.as_uri())
    tab.locator("summary").first.click()
    assert requests == [file.as_uri()]
    assert happened == []
    assert HOSTILE["script"] in tab.locator("main").inner_text()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator("article").first.bounding_box()["width"] <= width
    tab.close()


# Its numbers are the run's


@pytest.fixture(scope="module")
def real(undisturbed: Path) -> Iterator[Run]:
    """The run of the sample engine."""
    with Workbench(
        undisturbed / "config.yaml", changes=SETTINGS, readonly=True, report=lambda progress: None
    ) as wb:
        with Store(wb.folder, readonly=True) as store:
            bought = store.usage()
        yield Run("first", wb.status(), bought, wb.config, 86_400.0)


def test_the_steps_have_the_numbers_of_their_ledgers(real: Run) -> None:
    found = read(real)
    assert [batch.name for batch in real.batches] == list(STEPS)
    for batch in real.batches:
        one = batch.ledger
        counts = [one.total, one.kept, one.rejected, one.failed, one.pending, len(batch)]
        assert found.row("steps", batch.name) == [f"{count:,}" for count in counts]
        reasons = figures.look(batch).reasons
        assert sum(reason.count for reason in reasons) == one.rejected + one.failed


def test_the_calls_have_the_numbers_of_the_journal(real: Run) -> None:
    found = read(real)
    for use in real.usage:
        calls, unusable, prompt, _, written, _ = found.row("calls", use["stage"])
        assert [calls, unusable, prompt, written] == [
            f"{use[name]:,}" for name in ("calls", "unusable", "prompt_tokens", "completion_tokens")
        ]
    assert found.row("calls", "all")[0] == f"{sum(use['calls'] for use in real.usage):,}"


def test_the_first_lines_say_what_was_made_and_when(real: Run) -> None:
    text = read(real).text
    pairs, talks = len(real.batch("distinct")), len(real.batch("converse"))
    calls = sum(use["calls"] for use in real.usage)
    assert f"{pairs} pairs and {talks} conversations from 14 chunks of 1 source; {calls} calls, " in text
    assert "Last call 1970-01-02 00:00 UTC \u00b7 made by sample" in text


def test_costs_and_models_have_columns_where_there_are_several_and_prices() -> None:
    two = [*usage(calls=3, cost=0.5, model="models/small"), *usage(calls=4, cost=0.25, model="large")]
    found = read(replace(run_of([pair()]), usage=two))
    first, second = (row for row in found.rows["calls"] if row[0] == "write_pairs")
    assert (first[1:3], first[-1]) == (["small", "3"], "0.5000")
    assert (second[1:3], second[-1]) == (["large", "4"], "0.2500")
    assert found.row("calls", "all")[-1] == "0.7500"


def vetted(status: Any, reason: str, *passed: bool | None, asked: str = "Why?") -> Item:
    one = pair(asked)
    votes = tuple(Vote("check_accuracy", vote, "It says so.") for vote in passed)
    verdicts = (Verdict("check_accuracy", passed.count(True) > 1, votes),) if passed else ()
    return Item(one, Outcome(status, (one,) if status != "failed" else (), reason, verdicts))


def test_votes_are_unanimous_split_or_undecided() -> None:
    items = [
        vetted("kept", "", True, True),
        vetted("kept", "", True, False, True),
        vetted("rejected", "accuracy: no", False, False),
        vetted("failed", "Undecided: check_accuracy: 1 of 3 votes could be used (Truncated: long)"),
    ]
    found = read(run_of([], [], Batch("vet", items)))
    assert found.row("votes", "vet: accuracy") == ["4", "2", "1", "1", "50%", "2.3"]


def test_reasons_are_counted_by_what_stands_before_the_colon_each_with_an_example() -> None:
    items = [
        vetted("rejected", "accuracy: the text says 1869", asked="When?"),
        vetted("rejected", "accuracy: the text says 1870"),
        vetted("rejected", "turn 3 is empty"),
        vetted("rejected", "turn 5 is empty"),
        vetted("rejected", "turn 7 is empty"),
        vetted("kept", "rewritten 2 times", asked="Who?"),
    ]
    overlay = Overlay(ruling={pair("Who?").key: "reject"})
    found = read(run_of([], [], Batch("vet", items, overlay)))
    assert [row[:1] for row in found.rows["reasons"]] == [["3"], ["2"], ["1"]]
    turns, accuracy, by_hand = (row[1] for row in found.rows["reasons"])
    assert turns == "turn N is emptyWhy?turn 3 is empty"
    assert accuracy == "accuracyWhen?the text says 1869"
    assert by_hand == "rejected by handWho?"
    assert found.row("people", "vet") == ["0", "0", "1", "0"]
    assert "vet lost 6 of 6 items (100%), most often for: turn N is empty" in found.text


def test_what_failed_and_what_is_left_is_named_first() -> None:
    left = Item(pair(), Outcome("pending"))
    batch = Batch("vet", [vetted("failed", "Truncated: long"), left], notes=("2 of 2 are older",))
    text = read(run_of([], [], batch)).text
    assert "vet: 1 item failed and will be tried again when it is run again" in text
    assert "vet: 1 item still to do" in text
    assert "vet: 2 of 2 are older" in text


def test_questions_that_begin_alike_and_sources_without_a_pair_are_named() -> None:
    alike = [pair(f"What is number {n}?") for n in range(8)] + [pair(f"Why not {n}?") for n in range(4)]
    other = chunk("Nothing to ask.", source="Barren.txt")
    found = read(run_of(alike, [], Batch("chunks", each([alike[0].chunk, other]))))
    assert found.row("texts", "What is")[1:] == ["8 of 12", "67%"]
    assert "67% of the questions begin with \u201cWhat is\u201d" in found.text
    assert found.row("sources", "Barren.txt")[1:] == ["0 of 1", "0%"]
    assert "no pair of Barren.txt was kept" in found.text


# The sample


def counting(count: int) -> tuple[Records, list[int]]:
    """So many records, and how many of them were read."""
    of, was_read = chunk(), [0]

    def load(start: int, stop: int) -> list[Pair]:
        was_read[0] += stop - start
        return [Pair(of, f"What is {n}?", "It is.", (1,)) for n in range(start, stop)]

    keys = [f"{n * 7919 % 1_000_003:016x}" for n in range(count)]
    return Records(keys, load, chunks=lambda: [of.key] * count), was_read


def test_a_sample_is_spread_over_all_and_the_same_every_time() -> None:
    records, was_read = counting(10_000)
    chosen = figures.sample(records, 20)
    places = [int(one.question.split()[-1][:-1]) for one in chosen]
    assert [place // 500 for place in places] == list(range(20))
    assert chosen == figures.sample(counting(10_000)[0], 20)
    assert was_read[0] <= 20 * BLOCK
    few = counting(3)[0]
    assert figures.sample(few, 20) == list(few)


def test_of_very_many_records_a_part_is_read_and_the_page_says_so() -> None:
    records, was_read = counting(200_000)
    one = Batch("distinct", each(records))
    found = read(run_of([], [], one))
    assert was_read[0] < 3 * figures.MOST
    assert found.row("steps", "distinct")[0] == "200,000"
    assert "Counted in 9,984 of 200,000 pairs, spread evenly." in found.text
    assert found.headings["sample"] == "20 of 200,000 pairs"


def test_nothing_is_said_of_sources_that_were_looked_at_in_part() -> None:
    many = [chunk(f"Number {n}.", source=f"{n // 100}.txt") for n in range(figures.MOST + BLOCK)]
    text = read(run_of([], [], Batch("chunks", each(many)))).text
    assert f"0 pairs and 0 conversations from {len(many):,} chunks; 0 calls" in text
    assert "txt and" not in text
    assert f"Counted in 9,984 of {len(many):,} chunks, spread evenly." in text


def test_conversations_are_shown_with_their_pairs_and_the_words_that_prove_them(real: Run) -> None:
    found = read(real)
    talks = real.batch("converse")
    assert found.headings["sample"] == f"{len(talks)} conversations"
    for one in talks:
        for turn in one.turns:
            assert turn.text in found.text
        for own in one.cast.group.pairs:
            assert own.proof in found.text


def test_without_conversations_pairs_are_shown_and_it_is_said_why() -> None:
    one = talk(pair())
    none = Batch("converse", [Item(one.cast, Outcome("rejected", (one,), "turn 2 is empty"))])
    runs = {
        "the configuration skips them (SKIP.CONVERSATION_GENERATION)": run_of(
            [pair()], SKIP__CONVERSATION_GENERATION=True
        ),
        "nothing came as far as the step that writes them": run_of([pair()]),
        "converse let none through (1 in: 0 kept, 1 rejected, 0 failed); most often: turn N is empty": run_of(
            [pair()], [], none
        ),
    }
    for why, run in runs.items():
        found = read(run)
        assert f"There are no conversations: {why}." in found.text
        assert found.headings["sample"] == "1 pair"
        assert pair().answer in found.text
        assert pair().proof in found.text


def test_a_run_without_anything_has_a_page() -> None:
    text = read(run_of()).text
    assert "0 pairs and 0 conversations from 0 chunks of 0 sources; 0 calls, 0 prompt tokens." in text
    assert "No calls were made." in text
    assert "Nothing was kept." in text


# The same every time, and no key


def test_the_same_run_gives_the_same_bytes(real: Run, undisturbed: Path, tmp_path: Path) -> None:
    with Workbench(undisturbed / "config.yaml", changes=SETTINGS, readonly=True) as wb:
        again = replace(real, batches=wb.status())
        files = [page.write(tmp_path / name, run) for name, run in (("a", real), ("b", again))]
    assert files[0].name == "report.html"
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_page_is_left_alone_until_something_changes(finished: Project, monkeypatch: Any) -> None:
    with finished.open(agreeable) as wb:
        run = Run("first", wb.status(), wb._store.usage(), wb.config)
        page.write(finished.run, run, wb._store)
        written: list[Path] = []
        monkeypatch.setattr(page, "write_whole", lambda file, parts: written.append(file))
        page.write(finished.run, replace(run), wb._store)
        assert written == []
        wb.flag(wb.vet()[0])
        page.write(finished.run, replace(run, batches=wb.status()), wb._store)
        assert written == [finished.run / "report.html"]


def test_a_page_that_cannot_be_finished_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = page.write(tmp_path, run_of([pair()])).read_bytes()
    monkeypatch.setattr(page, "_settings", lambda settings: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.write(tmp_path, run_of([pair("Who?")]))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == before


def test_no_key_is_on_the_page_wherever_it_stands() -> None:
    key = Secret("sk-abc&123456")
    failed = vetted("failed", f"EngineError: 401 for {key}")
    run = run_of(
        [],
        [],
        Batch("vet", [failed]),
        API__API_KEY=key,
        API__BASE_URL=f"https://me:{key}@models.example/v1?key=abcdef",
        API__LARGE_API_KEY=Secret("short"),
    )
    whole = "".join(page.html_of(run))
    for secret in ("abc&123456", "abc&amp;123456", "abcdef", "short", "API_KEY", "me:sk"):
        assert secret not in whole
    assert "https://models.example/v1" in whole
    assert "401 for ***" in whole
