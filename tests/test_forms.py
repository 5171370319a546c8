"""Other forms of a grammar: they admit what it admits, and what was said in them comes back as its sentences."""

import contextlib
import json
import random
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest
import regex
from scripted import PROMPTS
from test_grammar import PAIRS, TURNS, VERDICT, random_grammar, random_text

from generation_functions import prompts, shapes
from generation_functions.errors import GrammarError, OutputError, Truncated, Unparseable
from generation_functions.forms import JsonForm, regex_of
from generation_functions.grammar import MAX_PATTERN, Grammar, Reading

NAMES = list(prompts.STAGES)
SAMPLES = 400  # sentences of each stage, in all its grammars
RANDOM_GRAMMARS = 400

# What every engine reads: an escaped character, one that means nothing, an operator. Never a dot, a $ or a (?=.
PIECE = re.compile(
    r"""\\[\\.+*?()\[\]{}|^$nrt] | [^\\.+*?()\[\]{}|^$\n\r\t] | \(\?: | [)|?*+] | \{[0-9]+(?:,[0-9]*)?\}
    | \[\^?(?!\\\^)(?:\\[\\\[\]^\-nrt] | [^\\\[\]^\n\r\t])+\]""",
    re.VERBOSE,
)

KEYS = {
    **dict.fromkeys(
        ["judge_paragraph", "check_question", "check_relevance", "check_accuracy"], "reason verdict"
    ),
    **dict.fromkeys(["plan_questions", "plan_character", "plan_scenario"], "plan"),
    "write_pairs": "pair",
    "rewrite_pair": "question evidence answer",
    "make_standalone": "reason verdict question answer",
    "write_character": "name traits background manner",
    "write_scenario": "scenario",
    "write_conversation": "opens asks_1 answers_1 asks_2 answers_2",
    "write_assistant_conversation": "asks_1 answers_1 asks_2 answers_2",
}


def grammars(name: str) -> Iterator[tuple[Grammar, list[str]]]:
    """The stage's grammars, plain and in its variants, each with the answers of worked examples that it holds."""
    found: dict[str, tuple[Grammar, list[str]]] = {}
    for variants in ((), ("filenames",), ("free",), ("scored",)):
        stage = prompts.load(name, [PROMPTS], variants)
        for example in stage.examples:
            grammar = stage.compiled(example.values)
            found.setdefault(grammar.text, (grammar, []))[1].append(example.answer)
    yield from found.values()


def sentences(name: str) -> Iterator[tuple[Grammar, str]]:
    """Worked examples and random sentences, every fourth of any characters at all."""
    every = list(grammars(name))
    rng = random.Random(name)
    for grammar, answers in every:
        yield from ((grammar, answer) for answer in answers)
        for n in range(SAMPLES // len(every)):
            yield grammar, grammar.sample(rng, wild=n % 4 == 0)


def changed(text: str, rng: random.Random) -> str:
    """The text with a character put in, taken out or in the place of another, or without its end."""
    place = rng.randrange(len(text))
    new = rng.choice("ab é漢\nA0-.:?\u2003¡")
    return rng.choice(
        [text[:place], text[:place] + text[place + 1 :], text[:place] + new + text[place:]]
        + [text[:place] + new + text[place + 1 :]]
    )


def admits(grammar: Grammar, text: str) -> bool:
    try:
        return bool(grammar.read(text))
    except OutputError:
        return False


@cache
def validator(form: JsonForm) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(form.schema)


def form_of(text: str) -> JsonForm:
    form = JsonForm.of(Grammar.compile(text))
    assert form
    return form


# As a regular expression


@pytest.mark.parametrize("name", NAMES)
def test_the_pattern_of_a_stage_fits_what_the_grammar_admits_and_nothing_else(name: str) -> None:
    rng = random.Random(name)
    refused = 0
    for grammar, text in sentences(name):
        pattern = regex_of(grammar)
        assert pattern
        assert re.fullmatch(pattern, text) and regex.fullmatch(pattern, text)
        other = changed(text, rng)
        fits = admits(grammar, other)
        assert bool(re.fullmatch(pattern, other)) == fits, other
        assert bool(regex.fullmatch(pattern, other)) == fits, other
        refused += not fits
    assert refused > SAMPLES / 4


def test_the_patterns_of_random_grammars_fit_what_these_admit_and_nothing_else() -> None:
    seen = {True: 0, False: 0}
    for seed in range(RANDOM_GRAMMARS):
        rng = random.Random(seed)
        try:
            grammar = Grammar.compile(random_grammar(rng))
        except GrammarError:
            continue
        pattern = regex_of(grammar)
        assert pattern is not None
        for _ in range(8):
            text = random_text(grammar, rng)[:20]
            fits = admits(grammar, text)
            assert bool(re.fullmatch(pattern, text)) == fits, (grammar.text, pattern, text)
            seen[fits] += 1
    assert min(seen.values()) > 300, seen


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_is_written_with_what_all_engines_read(name: str) -> None:
    for grammar, _ in grammars(name):
        assert PIECE.sub("", regex_of(grammar) or "") == ""


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        (r'"Verdict: " ("Yes" | "No")', "Verdict: (?:Yes|No)"),
        (r"[^\n]{1,1990}", r"[^\n]{1,1990}"),
        (r'"a"? "b"* "c"+ "d"{2} "e"{2,} "fg"{0,3} "h"{1} "i"{0}', "a?b*c+d{2}e{2,}(?:fg){0,3}h"),
        (r'("a" | ) "b"', "(?:a)?b"),
        (r'"a"?? ("b"*)+', "(?:a?)?(?:b*)+"),  # a?? would be the lazy a?
        (r'"3.5 (a|b)* [x]{2} ^$ \\n\n\t/#&~-"', r"3\.5 \(a\|b\)\* \[x\]\{2\} \^\$ \\n\n\t/#&~-"),
        (r"[\]\[\\-a^]", r"[\[-a]"),
        (r"[\-\]\[\\]", r"[\-\[-\]]"),
        (r"[\x5e-`\n]", "[\\n\\^-`]"),
        (r"[\x5e_z]", r"[_z\^]"),  # first it would negate the class for xgrammar
        (r"[\x5e]", r"\^"),
        (r"[é-ë漢]", "[é-ë漢]"),
        (r'[^"<>\u00A1-\u00BF\u2000-\u200B]', '["<>'.replace("[", "[^") + "¡-¿\u2000-\u200b]"),
        (".", r"(?:[^\n]|\n)"),
        ('"" ()', ""),
        ('("" | ) "a" (()){2}', "a"),
    ],
)
def test_the_pattern_of_a_grammar_is_what_a_person_would_write(body: str, pattern: str) -> None:
    assert regex_of(Grammar.compile(f"root ::= {body}")) == pattern


def test_a_pattern_is_made_once_and_not_when_it_is_too_long() -> None:
    assert regex_of(Grammar.compile(VERDICT)) is regex_of(Grammar.compile(VERDICT))
    dots = "." * 1000
    long = "\n".join(f"a{n} ::= a{n + 1} a{n + 1}" for n in range(6))
    grammar = Grammar.compile(f"root ::= a0\n{long}\na6 ::= {dots}")
    assert len(dots) * 64 < MAX_PATTERN and regex_of(grammar) is None


# As a JSON schema


@pytest.mark.parametrize("name", NAMES)
def test_every_stage_has_a_schema_with_its_fields_in_their_order(name: str) -> None:
    stage = prompts.load(name, [PROMPTS])
    values = {**stage.examples[0].values}
    values |= {"pairs": values["pairs"][:1] * 2} if "pairs" in values else {}
    assert list(form_of(stage.compiled(values).text).schema["properties"]) == KEYS[name].split()


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_that_strict_servers_take(name: str) -> None:
    for grammar, _ in grammars(name):
        schema = form_of(grammar.text).schema
        assert schema["type"] == "object"
        jsonschema.Draft202012Validator.check_schema(schema)
        assert_strict(schema)


def assert_strict(schema: dict[str, Any]) -> None:
    assert schema.keys() <= {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "enum",
        "items",
        "anyOf",
    }
    if schema.get("type") == "object":
        assert schema["required"] == list(schema["properties"]) and schema["additionalProperties"] is False
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    for one in [*inner, *([schema["items"]] if "items" in schema else [])]:
        assert_strict(one)


@pytest.mark.parametrize("name", NAMES)
def test_a_sentence_comes_back_from_its_document_with_the_same_fields(name: str) -> None:
    for grammar, text in sentences(name):
        form = form_of(grammar.text)
        document = form.to_json(text)
        assert validator(form).is_valid(json.loads(document))
        assert_same_fields(grammar.read(form.to_text(document)), grammar.read(text))


def assert_same_fields(one: Reading, other: Reading) -> None:
    """Root holds all, and so white space that a document leaves out; a rule of white space is left out itself."""
    for name in one.spans.keys() - {"root"}:
        texts = [[text for text in reading.all(name) if text.strip()] for reading in (one, other)]
        assert texts[0] == texts[1], (name, one.whole, other.whole)


def test_sentences_of_random_grammars_come_back_from_their_documents() -> None:
    shaped = 0
    for seed in range(3 * RANDOM_GRAMMARS):
        rng = random.Random(seed)
        try:
            grammar = Grammar.compile(random_form(rng) if seed % 2 else random_grammar(rng))
        except GrammarError:
            continue
        form = JsonForm.of(grammar)
        for _ in range(4 if form else 0):
            assert form
            text = grammar.sample(rng, wild=rng.random() < 0.3)
            document = form.to_json(text)
            assert validator(form).is_valid(json.loads(document))
            assert_same_fields(grammar.read(form.to_text(document)), grammar.read(text))
            shaped += 1
    assert shaped > 500


def random_form(rng: random.Random) -> str:
    """A grammar such as a stage might have: labels, values, lists, options."""
    bodies = [
        r"[^\n]{0,9}",
        '"Yes" | "No"',
        "[1-4]",
        'word (", " word){0,3}',
        'line{1,3}',
        'line{0,2} "."?',
        '"\\nA: " word "\\nB: " word-2',
        "word | line line",
    ]  # fmt: skip
    rules = {f"x-{n}": rng.choice(bodies) for n in range(4)}

    def part(depth: int) -> str:
        name = rng.choice([*rules, "word", "line"])
        inner = [f'"{rng.choice("PQRS")}: " {name} ', name, f'"\\n" {name}']
        if depth < 2:
            inner.append(f"({part(depth + 1)} | {part(depth + 1)})")
            inner.append(f"({part(depth + 1)} {part(depth + 1)})?")
        return rng.choice(inner)

    root = " ".join(part(0) for _ in range(rng.randint(1, 3)))
    listed = "\n".join(f"{name} ::= {body}" for name, body in rules.items())
    return (
        f'root ::= {root}\n{listed}\nword ::= [a-z]{{1,5}}\nword-2 ::= "up" | "down"\nline ::= "\\n- " word'
    )


def test_lists_labels_and_choices_become_arrays_objects_and_enums() -> None:
    form = form_of(PAIRS)
    document = json.loads(
        form.to_json(
            "Question: Is salt a mineral?\nSentences: 1,3\nAnswer: It is one.\n"
            "Question: Is sand one?\nSentences: 2\nAnswer: It is many.\n"
        )
    )
    pairs = [{"question": "Is salt a mineral?", "number": ["1", "3"], "answer": "It is one."}]
    pairs += [{"question": "Is sand one?", "number": ["2"], "answer": "It is many."}]
    assert document == {"pair": pairs, "note": None}
    pair = form.schema["properties"]["pair"]["items"]["properties"]
    assert pair["number"] == {"type": "array", "items": {"type": "string", "enum": ["1", "2", "3"]}}
    assert form.schema["properties"]["note"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}


def test_rules_of_one_field_that_come_together_keep_their_numbers() -> None:
    assert list(form_of(TURNS).schema["properties"]) == ["asks_1", "answers_1", "asks_2", "answers_2"]


REWORD = r"""
root      ::= "Verdict: " (verdict-1 | verdict-2 "\nQuestion: " question)
verdict-1 ::= "Pass" | "Reject"
verdict-2 ::= "Reword"
question  ::= [^\n]{3,90} "?"
"""


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"verdict": "Pass", "question": None}, "Verdict: Pass"),
        ({"verdict": "Pass", "question": ""}, "Verdict: Pass"),
        ({"verdict": "Pass"}, "Verdict: Pass"),
        ({"verdict": "Pass", "question": "Why then?"}, "Verdict: Pass"),
        ({"verdict": "Reword", "question": "Why then?"}, "Verdict: Reword\nQuestion: Why then?"),
        ({"question": "Why then?", "verdict": "Reword", "more": 1}, "Verdict: Reword\nQuestion: Why then?"),
        ({"verdict": "Maybe", "question": None}, "Verdict: Maybe"),
    ],
)
def test_the_option_that_fits_the_values_is_taken(document: dict[str, Any], text: str) -> None:
    form = form_of(REWORD)
    assert form.schema["properties"]["verdict"]["enum"] == ["Pass", "Reject", "Reword"]
    assert form.to_text(json.dumps(document)) == text


def test_a_value_that_is_lacking_for_an_option_is_named() -> None:
    with pytest.raises(Unparseable, match="the JSON object lacks question"):
        form_of(REWORD).to_text('{"verdict": "Reword", "question": null}')


def test_an_option_within_an_option_is_found_by_its_values() -> None:
    form = form_of('root ::= "X" (" P" v-1 | " Q" v-2)?\nv-1 ::= "a"\nv-2 ::= "b"')
    documents = ['{"v": "a"}', '{"v": "b"}', '{"v": null}']
    assert [form.to_text(document) for document in documents] == ["X Pa", "X Qb", "X"]


def test_an_empty_string_where_there_can_be_none_is_left_out() -> None:
    form = form_of('root ::= "X" (" (" note ")")? (" [" more "]")?\nnote ::= [a-z]{1,9}\nmore ::= [a-z]{0,9}')
    assert form.to_text('{"note": "", "more": ""}') == "X []"


def test_a_document_holds_characters_as_they_are_and_no_white_space_from_the_end() -> None:
    form = form_of('root ::= "Name: " name "\\n"{1,3}\nname ::= [^\\n]{1,9}')
    document = form.to_json("Name: é漢😀\n\n\n")
    assert document == '{"name": "é漢😀"}'
    assert form.to_text(document) == "Name: é漢😀\n"


def test_a_value_that_breaks_the_grammar_is_left_to_its_reader() -> None:
    form = form_of(VERDICT)
    for document, message in [
        (
            {"reason": "two\nlines", "verdict": "Relevant"},
            r"at character 13, .* expected '\\nVerdict: ' \(root\)",
        ),
        ({"reason": "x" * 301, "verdict": "Relevant"}, "at character 309"),
        ({"reason": "", "verdict": "Relevant"}, "at character 9, .* expected more of reason"),
        ({"reason": "It fits.", "verdict": "Maybe"}, "'Maybe' does not fit"),
    ]:
        with pytest.raises(Unparseable, match=message):
            form.grammar.read(form.to_text(json.dumps(document)))
    with pytest.raises(Truncated):
        form.grammar.read(form.to_text('{"reason": "It fits.", "verdict": "Rel"}'))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "it is not JSON: Expecting value"),
        ("Reason: It fits.\nVerdict: Relevant", "it is not JSON: Expecting value"),
        ('{"reason": "It', "it is not JSON: Unterminated string"),
        ('{"reason": "It fits.",}', "it is not JSON: "),
        ("[" * 100_000 + "]" * 100_000, "it is not JSON: "),
        ('{"pair": ' + "9" * 5000 + "}", "it is not JSON: "),
        ('["a"]', "it must be a JSON object, not a list"),
        ("null", "it must be a JSON object, not null"),
        ("{}", "the JSON object lacks pair"),
        ('{"pair": "one"}', "pair must be a list, not text"),
        ('{"pair": ["one"]}', "pair 1 must be an object, not text"),
        ('{"pair": [{"question": true}]}', "pair 1: question must be text, not true or false"),
        ('{"pair": [{"question": 1.5}]}', "pair 1: question must be text, not a number"),
        ('{"pair": [{"question": "Why?", "number": [[]]}]}', "pair 1: number 1 must be text, not a list"),
        ('{"pair": [{"question": "Why?", "number": ["1"]}]}', "the JSON object lacks pair 1: answer"),
    ],
)
def test_a_document_that_cannot_be_used_says_why(document: str, message: str) -> None:
    with pytest.raises(Unparseable, match=re.escape(message)) as raised:
        form_of(PAIRS).to_text(document)
    assert raised.value.text == document


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Sure! Here you are:\n{} I hope this helps."])
def test_what_stands_around_the_object_is_skipped(around: str) -> None:
    document = around.replace("{}", '{"reason": "It fits.", "verdict": "Relevant"}')
    assert form_of(VERDICT).to_text(document) == "Reason: It fits.\nVerdict: Relevant"


def test_a_whole_number_stands_for_its_digits() -> None:
    form = form_of('root ::= "Sentences: " number (", " number){0,2}\nnumber ::= "1" | "2"')
    assert form.to_text('{"number": [1, "2"]}') == "Sentences: 1, 2"


def test_only_a_sentence_becomes_a_document() -> None:
    with pytest.raises(Truncated):
        form_of(VERDICT).to_json("Reason: It fits.\nVer")
    with pytest.raises(Unparseable):
        form_of(VERDICT).to_json("Reason: It fits.\nVerdict: Maybe")


def test_a_form_is_made_once() -> None:
    assert JsonForm.of(Grammar.compile(PAIRS)) is JsonForm.of(Grammar.compile(PAIRS))


def test_more_strings_than_an_enum_takes_are_any_string() -> None:
    for most, is_enum in [(shapes.MAX_VALUES, True), (shapes.MAX_VALUES + 1, False)]:
        numbers = " | ".join(f'"{n}"' for n in range(most))
        schema = form_of(f'root ::= "No. " number\nnumber ::= {numbers}').schema
        assert ("enum" in schema["properties"]["number"]) is is_enum


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "always the same"',
        r"root ::= [^\n]{1,90}",  # no rule tells what it is
        'root ::= "Verdict: " ("Yes" | "No")',
        'root ::= word (" " word){0,9}\nword ::= [a-z]{1,9}',  # prose and no list
        "root ::= digit{4}\ndigit ::= [0-9]",
        'root ::= "Ann: " said "\\nBob: " said\nsaid ::= [a-z]{1,9}',  # two fields of one name
        'root ::= ("Q: " q "\\nA: " a "\\n"){2}\nq ::= [a-z]\na ::= [a-z]',  # a list without a name
        'root ::= "A: " x | "B: " (x ", " x)\nx ::= [a-z]',
        'root ::= "No. " d{4}\nd ::= digit\ndigit ::= [0-9]',
        'root ::= x-1 "=" y-1 | x-2 "=" y-2\nx-1 ::= w (", " w){1,2}\nx-2 ::= w\ny-1 ::= "a"\ny-2 ::= "b"\nw ::= [a-z]',
        'root ::= "A: " x | "B: " x\nx ::= [a-z]',  # a document would not tell which
        'root ::= x-1 | "B: " x-2\nx-1 ::= "a" | "b"\nx-2 ::= "b" | "c"',
    ],
)  # fmt: skip
def test_a_grammar_without_a_shape_in_json_has_no_form(text: str) -> None:
    assert JsonForm.of(Grammar.compile(text)) is None


def test_no_grammar_that_compiles_is_nested_too_deep_for_an_answer() -> None:
    deepest = 0
    for depth in range(10, 200, 10):
        rules = "\n".join(f'a{n} ::= ("x: " a{n + 1})?' for n in range(depth))
        with contextlib.suppress(GrammarError):
            grammar = Grammar.compile(f"root ::= a0\n{rules}\na{depth} ::= [a-z]")
            assert re.fullmatch(regex_of(grammar) or "", "x: " * depth + "z") and JsonForm.of(grammar)
            deepest = depth
    assert deepest >= 30


@pytest.mark.parametrize(
    ("body", "sentence", "value"),
    [
        ('before ":" ("\\n- " point){1,3} | [a-z]+', "up:\n- a\n- b", "up:\n- a\n- b"),  # one of two ways
        ('point " " point', "a b", "a b"),
        ('"\\n- " point', "\n- a", "a"),
        ('"Points:" ("\\n- " point){1,3}', "Points:\n- a\n- b", ["a", "b"]),
        ('point ("; " point)*', "a; b", ["a", "b"]),
        ('point (" and " point)*', "a and b", "a and b"),
        ('( before " " )? "fixed."', "up fixed.", "up fixed."),
        ('"\\nA: " before "\\nB: " point', "\nA: up\nB: a", {"before": "up", "point": "a"}),
        ('"A: " before " B " point', "A: up B a", "A: up B a"),
        ("before point", "upa", "upa"),
        ('point ("; " before){1,2}', "a; up", "a; up"),
        ('"Points:" ("\\n- " point)?', "Points:\n- a", "Points:\n- a"),
    ],
)
def test_a_rule_is_taken_apart_where_it_is_laid_out_as_a_form(body: str, sentence: str, value: Any) -> None:
    form = form_of(f'root ::= "X=" x "\\nY=" point\nx ::= {body}\nbefore ::= "up" | "on"\npoint ::= [a-z]')
    assert json.loads(form.to_json(f"X={sentence}\nY=z")) == {"x": value, "point": "z"}
