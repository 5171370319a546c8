"""Stage files: the shipped ones hold together, and one that could not work is refused with file and line."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted import PROMPTS

from generation_functions import prompts
from generation_functions.conversations import load_traits
from generation_functions.errors import OutputError, PromptError, WorkbenchError
from generation_functions.grammar import Grammar
from generation_functions.prompts import BLOCK_END, FIELDS, QUOTED, STAGES, Stage, names_in

RANDOM_STRINGS = 10_000  # of each stage's grammar
NAMES = list(STAGES)
VARIANTS = ("filenames", "free", "scored", "quoted")
GOOD = {
    "system": "You judge.",
    "item": "Text: $text\nQuestion: $question\nPrice: $$5",
    "grammar": 'root ::= "Reason: " reason "\\nVerdict: " verdict\nreason ::= [^\\n]{1,90}\n'
    'verdict ::= "Yes" | "No"\n',
    "pass": "Yes",
    "sampling": {"max_tokens": 50},
    "examples": [
        {"values": {"text": "Salt.", "question": "What?"}, "answer": "Reason: It says.\nVerdict: Yes"},
        {"values": {"text": "Sand.", "question": "Why?"}, "answer": "Reason: It does not.\nVerdict: No\n"},
    ],
}


@pytest.fixture(scope="module")
def shipped() -> dict[str, dict[str, Any]]:
    return {name: yaml.safe_load((PROMPTS / f"{name}.yaml").read_text(encoding="utf-8")) for name in NAMES}


def written(folder: Path, name: str, data: Any) -> Stage:
    """The stage that `data` makes, by way of a file."""
    text = data if isinstance(data, str) else yaml.safe_dump(data, allow_unicode=True, sort_keys=False)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return prompts.load(name, [folder])


def refused(folder: Path, data: Any, name: str = "check_question") -> str:
    with pytest.raises(WorkbenchError) as raised:
        written(folder, name, data)
    assert f"{name}.yaml" in str(raised.value)
    return str(raised.value)


# The shipped files


def test_every_stage_of_the_flow_has_a_file_and_no_file_is_of_no_stage() -> None:
    files = {path.stem for path in PROMPTS.glob("*.yaml")}
    assert files == {*STAGES, "traits"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("variants", [(), *((variant,) for variant in VARIANTS), VARIANTS])
def test_every_worked_example_obeys_its_grammar_in_every_variant(
    name: str, variants: tuple[str, ...]
) -> None:
    stage = prompts.load(name, [PROMPTS], variants)
    assert len(stage.examples) >= 2
    for example in stage.examples:
        reading = stage.compiled(example.values).read(example.answer, stage.payload)
        assert reading.text(stage.fields[0])


@pytest.mark.parametrize("name", NAMES)
def test_every_name_in_a_file_is_one_that_the_step_gives(name: str) -> None:
    for variants in ((), VARIANTS):
        required, optional = (set(names.split()) for names in STAGES[name])
        stage = prompts.load(name, [PROMPTS], variants)
        if stage.form == QUOTED:
            required = required - {"numbers"} | {"sentences"}
        used = stage.placeholders()
        assert required <= used <= required | optional


@pytest.mark.parametrize("name", NAMES)
def test_a_filled_request_has_no_name_left_in_it(name: str) -> None:
    stage = prompts.load(name, [PROMPTS])
    request = stage.request(stage.examples[0].values, seed=1)
    for text in (request.prompt, request.grammar.text, *(message.content for message in request.messages)):
        assert "$" not in text
        assert not names_in(text)


@pytest.mark.parametrize("name", NAMES)
def test_random_strings_of_a_grammar_are_read(name: str) -> None:
    """All that the grammar lets a model write can be read, odd characters and all: 10,000 of each stage."""
    grammars = _grammars(name)
    rng = random.Random(name)
    for n in range(RANDOM_STRINGS):
        stage, grammar = grammars[n % len(grammars)]
        text = grammar.sample(rng, wild=n % 4 == 0)
        reading = grammar.read(text, stage.payload)
        assert reading.whole == text


@pytest.mark.parametrize("name", NAMES)
def test_no_field_of_a_stage_is_without_bound(name: str) -> None:
    for _, grammar in _grammars(name):
        assert {
            field: grammar.longest(field) for field in grammar.fields if grammar.longest(field) is None
        } == {}


def _grammars(name: str) -> list[tuple[Stage, Grammar]]:
    """The stage's grammar as each of its worked examples fills it, plain and in its variants."""
    found = {}
    for variants in ((), *((variant,) for variant in VARIANTS)):
        stage = prompts.load(name, [PROMPTS], variants)
        for example in stage.examples:
            grammar = stage.compiled(example.values)
            found[grammar.text] = (stage, grammar)
    return list(found.values())


@pytest.mark.parametrize("name", [name for name in NAMES if "verdict" in FIELDS[name]])
@pytest.mark.parametrize("variants", [(), ("scored",)])
def test_a_verdict_stage_shows_verdicts_that_pass_and_verdicts_that_do_not(
    name: str, variants: tuple[str, ...]
) -> None:
    stage = prompts.load(name, [PROMPTS], variants)
    verdicts = {stage.compiled(e.values).read(e.answer).text("verdict") for e in stage.examples}
    assert verdicts & stage.passing
    assert verdicts - stage.passing


# How a request is made


def test_everything_but_the_item_is_the_same_for_all_items(tmp_path: Path) -> None:
    stage = written(tmp_path, "check_question", GOOD)
    one, other = (stage.request({"text": text, "question": "Q?"}, seed=1) for text in ("A.", "B."))
    assert one.shared_prompt == other.shared_prompt
    assert one.messages[:-1] == other.messages[:-1]
    assert one.prompt.removeprefix(one.shared_prompt) == "Text: A.\nQuestion: Q?\nPrice: $5\n"


def test_chat_and_completion_say_the_same(tmp_path: Path) -> None:
    request = written(tmp_path, "check_question", GOOD).request({"text": "A.", "question": "Q?"}, seed=1)
    system, *turns, item = [message.content for message in request.messages]
    blocks = [f"{user}\n{answer}" for user, answer in zip(turns[::2], turns[1::2], strict=True)]
    assert request.prompt == BLOCK_END.join([system, *blocks, item + "\n"])
    assert [message.role for message in request.messages] == [
        "system", "user", "assistant", "user", "assistant", "user"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "value", ['He said "yes"', "back\\slash", "two\nlines", "$text and $$", "é — 漢 😀", "] [ ^ -"]
)
def test_a_value_stands_in_the_grammar_as_it_is(tmp_path: Path, value: str) -> None:
    talk = {
        "system": "Talk.",
        "item": "$pairs_text",
        "for_each_pair": {
            "pairs_text": "$question $answer\n",
            "talk": '"U: " asks-$n "\\nA: " answers-$n "\\n" ',
            "rules": "asks-$n ::= $question\nanswers-$n ::= $answer\n",
        },
        "grammar": 'root ::= $talk"End"\n$rules',
        "sampling": {"max_tokens": 9},
        "examples": [
            {"values": {"pairs": [{"question": "Q?", "answer": "A."}]}, "answer": "U: Q?\nA: A.\nEnd"}
        ],
    }
    stage = written(tmp_path, "write_assistant_conversation", talk)
    values = {"pairs": [{"question": value, "answer": "One."}, {"question": "Two?", "answer": value}]}
    reading = stage.compiled(values).read(f"U: {value}\nA: One.\nU: Two?\nA: {value}\nEnd")
    assert (reading.all("asks"), reading.all("answers")) == ([value, "Two?"], ["One.", value])
    assert stage.fill(values) == f"{value} One.\nTwo? {value}"


def test_a_list_is_alternatives_in_the_grammar_and_a_number_a_count(tmp_path: Path) -> None:
    stage = prompts.load("write_pairs", [PROMPTS])
    values = dict(stage.examples[0].values)
    assert f'("{values["numbers"][0]}" | ' in stage.compiled(values).text


def test_a_complaint_is_told_with_the_item_alone(tmp_path: Path) -> None:
    stage = written(tmp_path, "check_question", GOOD)
    values = {"text": "A.", "question": "Q?"}
    plain, told = stage.request(values, seed=1), stage.request(values, seed=1, complaint="no verdict")
    assert told.shared_prompt == plain.shared_prompt
    assert told.messages[-1].content.endswith("could not be used: no verdict)")


# Overrides


def test_a_file_in_the_first_folder_overrides_the_second_for_its_stage_alone(tmp_path: Path) -> None:
    (tmp_path / "check_question.yaml").write_text(yaml.safe_dump(GOOD), encoding="utf-8")
    own = prompts.load("check_question", [tmp_path, PROMPTS])
    other = prompts.load("check_accuracy", [tmp_path, PROMPTS])
    assert (own.system, Path(other.file).parent) == ("You judge.", PROMPTS)


def test_a_stage_that_no_folder_has_is_refused_with_every_place(tmp_path: Path) -> None:
    with pytest.raises(PromptError) as raised:
        prompts.load("check_question", [tmp_path / "a", tmp_path / "b"])
    assert str(tmp_path / "a" / "check_question.yaml") in str(raised.value)
    assert str(tmp_path / "b" / "check_question.yaml") in str(raised.value)


def test_a_variant_replaces_its_keys_and_nothing_else(tmp_path: Path) -> None:
    data = {**GOOD, "variants": {"filenames": {"system": "You judge a book."}}}
    plain = written(tmp_path, "check_question", data)
    named = prompts.load("check_question", [tmp_path], ["filenames"])
    assert (plain.system, named.system, named.item) == ("You judge.", "You judge a book.", plain.item)


SCORED = {
    "grammar": 'root ::= "Verdict: " verdict\nverdict ::= "Yes" | "No"\n',
    "examples": [{"values": GOOD["examples"][0]["values"], "answer": "Verdict: Yes"}],
}


def scored(folder: Path, **variants: Any) -> Stage:
    (folder / "check_question.yaml").write_text(yaml.safe_dump({**GOOD, "variants": variants}))
    return prompts.load("check_question", [folder], ["scored"])


def test_a_scored_stage_has_no_reason_and_asks_how_likely_each_answer_is(tmp_path: Path) -> None:
    stage, values = scored(tmp_path, scored=SCORED), {"text": "A.", "question": "Q?"}
    assert stage.fields == ["verdict"]
    assert stage.request(values, seed=1).weigh == ("Verdict: Yes", "Verdict: No")
    drawn = prompts.load("check_question", [tmp_path])
    assert (drawn.fields, drawn.request(values, seed=1).weigh) == (["reason", "verdict"], ())


def test_a_stage_without_the_scored_form_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"check_question.yaml: has no variant scored.* SYSTEM.VOTING"):
        scored(tmp_path, filenames={"system": "You judge a book."})


def test_a_quoted_stage_admits_nothing_but_sentences_of_the_text_as_evidence() -> None:
    stage = prompts.load("rewrite_pair", [PROMPTS], [QUOTED])
    values = {**stage.examples[0].values, "sentences": ['Salt keeps "meat".', "Ice\nmelts [fast]."]}
    grammar = stage.compiled(values)
    written = "Question: What does salt keep?\nQuotation: {}\nAnswer: It keeps meat."
    for quoted in ('Salt keeps "meat".', 'Salt keeps "meat". ... Ice\nmelts [fast].'):
        assert grammar.read(written.format(quoted)).all("quotation") == quoted.split(" ... ")
    for quoted in ("Salt keeps.", "1", "Ice melts [fast].", ""):
        with pytest.raises(OutputError):
            grammar.read(written.format(quoted))


def test_a_stage_without_the_quoted_form_says_what_is_missing(tmp_path: Path) -> None:
    data = yaml.safe_load((PROMPTS / "write_pairs.yaml").read_text(encoding="utf-8"))
    (tmp_path / "write_pairs.yaml").write_text(yaml.safe_dump({**data, "variants": {}}), encoding="utf-8")
    with pytest.raises(
        PromptError, match=r"write_pairs.yaml: has no variant quoted.* SYSTEM.EVIDENCE: quotation"
    ):
        prompts.load("write_pairs", [tmp_path], [QUOTED])


@pytest.mark.parametrize("rule", ["[A-Z]", '"Yes"', '"Yes" | [a-z]{1,20}'])
def test_a_scored_stage_with_too_few_or_too_many_answers_is_refused(tmp_path: Path, rule: str) -> None:
    grammar = f'root ::= "Verdict: " verdict\nverdict ::= {rule}\n'
    with pytest.raises(PromptError, match="variant scored must have from 2 to 16 whole answers"):
        scored(tmp_path, scored={**SCORED, "grammar": grammar})


def test_a_change_of_the_prompt_changes_its_version_and_a_remark_does_not(tmp_path: Path) -> None:
    version = written(tmp_path, "check_question", GOOD).version
    assert written(tmp_path, "check_question", {**GOOD, "about": "A remark."}).version == version
    assert written(tmp_path, "check_question", {**GOOD, "variants": {"x": {"item": "y"}}}).version == version
    for key, value in (
        ("system", "You judge well."),
        ("sampling", {"max_tokens": 51}),
        ("pass", ["Yes", "No"]),
    ):
        assert written(tmp_path, "check_question", {**GOOD, key: value}).version != version


# What is refused

Change = Callable[[dict[str, Any]], Any]

CHANGES: list[tuple[Change, str]] = [
    (lambda d: d.update(grammer=d.pop("grammar")), "grammer is not a key of a stage file"),
    (lambda d: d.pop("system"), "system is missing"),
    (lambda d: d.pop("item"), "item is missing"),
    (lambda d: d.pop("sampling"), "sampling is missing"),
    (lambda d: d.update(item=d["item"] + "$weather"), "asks for $weather; the step gives $question, $text"),
    (lambda d: d.update(item="$text"), "does not use $question, without which the model cannot answer"),
    (lambda d: d.update(item=d["item"] + " 5 $ "), "item has a $ that is neither a $name nor $$"),
    (lambda d: d.update(system="Judge $text."), "system is the same for every item and cannot use $text"),
    (lambda d: d.update(grammar=d["grammar"].replace("verdict", "ruling")), "no rule verdict"),
    (lambda d: d.update(SCORED), "grammar has no rule reason, which the step reads"),
    (lambda d: d.update(examples=[]), "examples is empty"),
    (lambda d: d["examples"][1].update(answer="Verdict: No"), "example 2 does not follow the grammar"),
    (lambda d: d["examples"][0]["values"].pop("text"), "example 1 has no value for $text"),
    (lambda d: d["examples"][0].update(reply="x"), "example 1 must have `values` and `answer`"),
    (lambda d: d["examples"].append("x"), "example 3 must have `values` and `answer`"),
    (lambda d: d.update(payload=["answer"]), "payload names answer, which the grammar has no rule for"),
    (lambda d: d.update({"pass": "yes"}), "pass names yes, which no example has for a verdict; theirs are No, Yes"),
    (lambda d: d.pop("pass"), "pass names nothing, which no example has"),
    (lambda d: d.update({"pass": True}), "pass must be text or a list of texts, not True; put it in quotes"),
    (lambda d: d.update(sampling={"max_tokens": 5.5}), "sampling.max_tokens must be a whole number"),
    (lambda d: d.update(sampling={"temperature": 1}), "sampling.max_tokens is missing"),
    (lambda d: d.update(sampling={"max_tokens": 5, "temp": 1}), "sampling.temp is not known"),
    (lambda d: d.update(sampling={"max_tokens": -5}), "sampling.max_tokens must be a number from 0 up"),
    (lambda d: d.update(variants={"filenames": {"sistem": "x"}}), "variants.filenames: sistem is not a key"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=[words for _, words in CHANGES])
def test_a_stage_that_could_not_work_is_refused(tmp_path: Path, change: Change, words: str) -> None:
    data = yaml.safe_load(yaml.safe_dump(GOOD))
    change(data)
    assert words in refused(tmp_path, data)


def test_yaml_that_cannot_be_read_is_refused_with_its_line(tmp_path: Path) -> None:
    assert "line 4" in refused(tmp_path, "system: x\nitem: y\ngrammar: [\n}")


def test_a_file_that_is_no_mapping_or_no_text_is_refused(tmp_path: Path) -> None:
    assert "must hold the keys" in refused(tmp_path, "- system")
    (tmp_path / "check_question.yaml").write_bytes(b"system: \xff\xfe\n")
    with pytest.raises(PromptError, match="check_question.yaml: not readable"):
        prompts.load("check_question", [tmp_path])


@pytest.mark.parametrize("name", NAMES)
def test_an_error_in_a_grammar_is_shown_with_the_line_of_the_file(tmp_path: Path, name: str) -> None:
    lines = (PROMPTS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("  root"))
    for line in range(at, at + _length(lines, at)):
        broken = [*lines[:line], lines[line].replace("::=", ":=", 1), *lines[line + 1 :]]
        if broken != lines:
            assert f"{name}.yaml:{line + 1}: " in refused(tmp_path, "\n".join(broken), name)


def test_a_line_below_a_fragment_is_not_shifted_by_what_the_fragment_writes(tmp_path: Path) -> None:
    text = """system: Talk.
item: $shown
for_each_pair: {shown: "$question $answer", rules: "asks-$n ::= $question\\nanswers-$n ::= $answer\\n"}
examples:
  - values: {pairs: [{question: "Q?", answer: A.}, {question: "R?", answer: B.}]}
    answer: "Q?A."
grammar: |
  root ::= asks-1 answers-1
  $rules
  lead := "x"
sampling: {max_tokens: 9}
"""
    assert "conversation.yaml:10: rule lead:" in refused(tmp_path, text, "write_assistant_conversation")


def _length(lines: list[str], at: int) -> int:
    """How many lines the indented block that begins there has."""
    return next(
        (n for n, line in enumerate(lines[at:]) if line and not line.startswith(" ")), len(lines) - at
    )


@pytest.mark.parametrize("name", ["check_accuracy", "write_pairs", "write_conversation"])
def test_junk_in_a_stage_file_is_refused_and_is_never_a_traceback(
    tmp_path: Path, name: str, shipped: dict[str, dict[str, Any]]
) -> None:
    junk = [
        5,
        -1.5,
        True,
        None,
        "",
        "x",
        "$",
        "$$ ${",
        [],
        [5],
        ["x"],
        {},
        {"x": 5},
        {"x": "$"},
        [{"values": 5, "answer": 5}],
    ]
    data = shortened(shipped[name])
    for key in [*data, "variants"]:
        for value in junk:
            try:
                written(tmp_path, name, {**data, key: value})
            except WorkbenchError as error:
                assert f"{name}.yaml" in str(error)


@pytest.mark.parametrize("name", ["check_accuracy", "write_pairs", "write_conversation"])
def test_junk_in_an_example_is_refused_and_is_never_a_traceback(
    tmp_path: Path, name: str, shipped: dict[str, dict[str, Any]]
) -> None:
    data = shortened(shipped[name])
    first, *others = data["examples"]
    for key in first["values"]:
        for value in (5, None, [], [5], {}, {"x": 5}, [{"question": "Q?"}], [[]]):
            example = {**first, "values": {**first["values"], key: value}}
            try:
                written(tmp_path, name, {**data, "examples": [example, *others]})
            except WorkbenchError as error:
                assert f"{name}.yaml" in str(error)


def shortened(data: dict[str, Any]) -> dict[str, Any]:
    """With two examples and no variants, which is quicker to read a hundred times."""
    return {**{key: data[key] for key in data if key != "variants"}, "examples": data["examples"][:2]}


# Traits


def test_the_shipped_traits_are_many_and_drawn_by_the_seed() -> None:
    traits = load_traits([PROMPTS])
    assert len(traits.names) >= 2
    assert all(len(set(values)) == len(values) >= 2 for values in traits.axes.values())
    drawn = [traits.drawn(random.Random(seed)) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("axes: [", "not readable as YAML"),
        ("- mood", "axes must hold a list of values for each trait"),
        ("axes: {mood: calm}\nnames: [A, B]", "axes must hold a list of values for each trait"),
        ("axes: {mood: []}\nnames: [A, B]", "axes must hold a list of values for each trait"),
        ("axes: {mood: [calm]}", "names must be a list of at least two given names"),
        ("axes: {mood: [calm]}\nnames: [A]", "names must be a list of at least two given names"),
        ("axes: {mood: [calm]}\nnames: [A, '']", "names must be a list of at least two given names"),
        ("axes: {mood: [calm]}\nnames: [A, A]", "names must be a list of at least two given names"),
    ],
)
def test_traits_that_cannot_be_drawn_from_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "traits.yaml").write_text(text)
    with pytest.raises(PromptError) as raised:
        load_traits([tmp_path])
    assert words in str(raised.value)
    assert "traits.yaml" in str(raised.value)
