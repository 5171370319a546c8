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

from generation_functions import figures, page, spread
from generation_functions.batch import Batch
from generation_functions.config import Config, Secret
from generation_functions.conversations import Traits
from generation_functions.diversity import ANSWER_WORDS, QUESTION_WORDS, TURN_WORDS, opening
from generation_functions.figures import Run
from generation_functions.items import BLOCK, Item, Records, each
from generation_functions.overlay import Overlay
from generation_functions.records import Chunk, Conversation, Outcome, Pair, Sentence, Verdict, Vote
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
    *("reason", "speaker", "turn", "card", "scenario", "axis", "value"),
)


def full_of(*texts: str) -> Run:
    """A run that has "question=" and the text in every question, and so on, for each of the texts."""
    runs = [_full_of(text) for text in texts]
    batches = []
    for of_step in zip(*(run.batches for run in runs), strict=True):
        notes = tuple(note for batch in of_step for note in batch.notes)
        batches.append(replace(of_step[0], items=[i for b in of_step for i in b.items], notes=notes))
    usage = [use for run in runs for use in run.usage]
    axes = {axis: values for run in runs for axis, values in run.traits.axes.items()}
    return replace(runs[0], batches=batches, usage=usage, traits=Traits(axes, ()))


def _full_of(text: str) -> Run:
    field = {name: f"{name}={text}" for name in FIELDS}
    of = replace(chunk(source=field["source"]), sentences=(Sentence(field["sentence"], 0, 9),))
    one = Pair(of, field["question"], field["answer"], (1,))
    said = talk(one, card=field["card"])
    turns = tuple(replace(turn, text=field["turn"], speaker=field["speaker"]) for turn in said.turns)
    cast = replace(said.cast, scenario=field["scenario"], answerer=field["speaker"])
    said = replace(said, cast=cast, turns=turns)
    verdict = Verdict(field["check"], False, (Vote(field["check"], False, field["vote"]),))
    failed = [Item(one, Outcome("failed", reason=field["reason"]))]
    batches = [
        Batch("chunks", [Item(of, Outcome("kept", (of,)))], notes=(field["note"],)),
        Batch("judge", [Item(of, Outcome("rejected", (of,), field["reason"]))]),
        Batch(
            "vet",
            [Item(one, Outcome("rejected", (one,), f"{field['reason']}: {verdict.reason}", (verdict,)))],
        ),
        Batch("standalone", failed),
        Batch("distinct", [Item(one, Outcome("kept", (one,)))]),
        Batch("converse", [Item(said.cast, Outcome("kept", (said,)))]),
    ]
    settings = {"SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG": field["setting"]}
    use = usage(model=field["model"].replace("/", "\\"), calls=1)
    traits = Traits({field["axis"]: (field["value"],)}, ())
    return Run(field["run"], batches, use, Config(settings, Path()), traits=traits)


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


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_openings_names_and_traits_are_text_wherever_they_are_counted(name: str) -> None:
    found = read(full_of(HOSTILE[name], HOSTILE[name]))
    assert is_quiet(found)
    shown = {
        section: {row[0] for row in found.rows[section]} for section in ("texts", "coverage", "characters")
    }
    words = {"question": QUESTION_WORDS, "answer": ANSWER_WORDS, "turn": TURN_WORDS, "scenario": TURN_WORDS}
    for field, count in words.items():
        assert opening(f"{field}={HOSTILE[name]}", count).translate(AS_SHOWN) in shown["texts"], field
    assert f"source={HOSTILE[name]}".translate(AS_SHOWN) in shown["coverage"]
    for field in ("speaker", "value"):
        assert f"{field}={HOSTILE[name]}".translate(AS_SHOWN) in shown["characters"], field
    labels = [value for attribute, value in found.attributes if attribute == "aria-label"]
    assert f"axis={HOSTILE[name]}: 1 of 1 drawn".translate(AS_SHOWN) in "".join(labels)


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
        vetted("rejected", "accuracy: It says so.", False, False),
        vetted("failed", "Undecided: check_accuracy: 1 of 3 votes could be used (Truncated: long)"),
    ]
    found = read(run_of([], [], Batch("vet", items)))
    assert found.row("votes", "vet: accuracy") == ["4", "2", "1", "1", "50%", "2.3"]
    widths = [value for name, value in found.attributes if name == "style"]
    assert widths[-3:] == ["width:50.00%", "width:25.00%", "width:25.00%"]


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
    assert found.row("coverage", "Barren.txt")[1:] == ["0 of 1", "0%", "0 of 1"]
    assert "no pair of Barren.txt was kept" in found.text


def test_kinds_of_questions_are_counted_and_too_many_of_one_kind_named() -> None:
    many = [pair(f"Tell {n}, what is it?") for n in range(13)] + [pair(f"Tell {n}, why?") for n in range(7)]
    found = read(run_of(many))
    assert found.row("texts", "what")[1:] == ["13 of 20", "65%"]
    assert found.row("texts", "who")[1:] == ["0 of 20", "0%"]
    assert "65% of the questions are of one kind: what" in found.text
    assert "of one kind" not in read(run_of(many[1:])).text  # 19 of them
    assert "of one kind" not in read(run_of([pair(f"Warum {n}?") for n in range(20)])).text


def test_answers_turns_scenarios_and_names_that_are_too_often_the_same_are_named() -> None:
    pairs = [pair(f"Q{n}?", "It is said to be." if n < 4 else f"A{n} is.") for n in range(10)]
    made = [talk(one, greeting="Come in, my friend!") for one in pairs]
    found = read(run_of(pairs, made))
    assert found.row("texts", "It is said")[1:] == ["4 of 10", "40%"]
    assert found.row("texts", "Come in, my friend!")[1:] == ["10 of 20", "50%"]
    assert found.row("characters", "Ines")[1:] == ["10 of 10", "100%"]
    for line in (
        "40% of the answers begin with \u201cIt is said\u201d",
        "50% of the turns of those who answer begin with \u201cCome in, my friend!\u201d",
        "100% of the scenarios begin with \u201cInes salts fish while\u201d",
        "100% of the characters are called \u201cInes\u201d",
    ):
        assert line in found.text
    assert "turns of those who ask begin with" not in found.text


def test_three_in_ten_that_begin_alike_are_not_too_many() -> None:
    pairs = [pair(f"Q{n}?", "It is said." if n < 3 else f"A{n} is.") for n in range(10)]
    assert "begin with" not in read(run_of(pairs)).text


def test_answers_that_are_very_short_or_very_long_have_their_shares() -> None:
    answers = ["Yes."] * 3 + ["x" * 400] * 2 + ["x" * 100] * 5
    text = read(run_of([pair(f"Q{n}?", answer) for n, answer in enumerate(answers)])).text
    assert "30% of the answers have under 20 characters, 20% over 300." in text


def pages(count: int, source: str = "Book.txt") -> list[Chunk]:
    """Chunks of a sentence of a hundred characters each."""
    sentences = [Sentence(f"{n:0100d}", 100 * n, 100 * n + 100) for n in range(count)]
    return [Chunk(source, (sentence,)) for sentence in sentences]


def test_used_sentences_are_counted_and_a_long_stretch_without_one_named() -> None:
    chunks = pages(20)
    run = run_of([pair(f"Q{n}?", of=of) for n, of in enumerate(chunks[:12])])
    run = replace(run, batches=[Batch("chunks", each(chunks)), *run.batches[1:]])
    found = read(run)
    assert found.row("coverage", "Book.txt")[1:] == ["12 of 20", "60%", "12 of 20"]
    whole = (
        "Pairs that were kept name 12 of 20 sentences (60%) as their evidence; 12 of 20 chunks have a pair."
    )
    assert whole in found.text
    assert "no pair is about the stretch from 60% to 100% of Book.txt" in found.text
    as_long_again = read(replace(run, lengths={"Book.txt": 4000})).text
    assert "no pair is about the stretch from 30% to 100% of Book.txt" in as_long_again


def test_a_stretch_of_a_few_chunks_is_not_named() -> None:
    chunks = pages(9)
    run = run_of([pair(of=chunks[0])], [], Batch("chunks", each(chunks)))
    assert "the stretch" not in read(run).text


def test_a_strip_is_dark_where_sentences_are_used_and_blank_where_nothing_was_taken() -> None:
    chunks = pages(4)
    run = run_of([pair(of=chunks[1])], [], Batch("chunks", each(chunks[:3])))
    whole = "".join(page.html_of(replace(run, lengths={"Book.txt": 400})))
    read_part, dark = "<rect class='read' x='0' width='40' height='1'/>", "fill-opacity='1.00'"
    assert whole.count("<rect class='read'") == 3
    assert read_part in whole
    assert f"<rect x='40' width='40' height='1' {dark}/>" in whole
    assert whole.count("fill-opacity") == 1


def test_of_many_sources_those_with_the_smallest_shares_are_shown() -> None:
    chunks = [chunk(source=f"{n}.txt") for n in range(12)]
    run = run_of([pair(of=of) for of in chunks[:4]], [], Batch("chunks", each(chunks)))
    shown = [row[0] for row in read(run).rows["coverage"] if row[0].endswith(".txt")]
    assert shown == [f"{n}.txt" for n in (*range(4, 12), 0, 1)]


def test_without_characters_the_page_says_so() -> None:
    assert "No conversation has a character." in read(run_of([pair()], [talk(pair(), card="")])).text


def test_the_traits_of_characters_are_counted_for_each_axis(real: Run) -> None:
    traits = Traits({"mood": ["calm", "wild"]}, ["Ana", "Bo"])
    made = real.batch("converse").passing
    drawn = [traits.of(one.cast.group.key)["mood"] for one in made]
    found = read(replace(real, traits=traits))
    for mood in {"calm", "wild"}:
        assert found.row("characters", mood) == [str(drawn.count(mood))]
    assert f"{len(set(drawn))} of 2 drawn, most often: " in found.text


def test_the_page_of_a_run_knows_its_traits_and_the_lengths_of_its_texts(finished: Project) -> None:
    with finished.open() as wb:
        whole = wb.export()["report.html"].read_text(encoding="utf-8")
        axes = wb._steps.material.works.traits.axes
    assert axes and all(f"<b>{axis}</b>" in whole for axis in axes)
    assert "end of the text" in whole


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
    chosen = spread.sample(records, 20)
    places = [int(one.question.split()[-1][:-1]) for one in chosen]
    assert [place // 500 for place in places] == list(range(20))
    assert chosen == spread.sample(counting(10_000)[0], 20)
    assert was_read[0] <= 20 * BLOCK
    few = counting(3)[0]
    assert spread.sample(few, 20) == list(few)


def test_of_very_many_records_a_part_is_read_and_the_page_says_so() -> None:
    records, was_read = counting(200_000)
    one = Batch("distinct", each(records))
    found = read(run_of([], [], one))
    assert was_read[0] < 3 * spread.MOST
    assert found.row("steps", "distinct")[0] == "200,000"
    assert "Counted in 9,984 of 200,000 pairs, spread evenly." in found.text
    assert found.headings["sample"] == "20 of 200,000 pairs"


def test_nothing_is_said_of_sources_that_were_looked_at_in_part() -> None:
    many = [chunk(f"Number {n}.", source=f"{n // 100}.txt") for n in range(spread.MOST + BLOCK)]
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
