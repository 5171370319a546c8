"""Grammars: what is accepted is what llama.cpp accepts, and what is written under a grammar is read back."""

import ctypes
import itertools
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest

from generation_functions import grammar
from generation_functions.errors import GrammarError, Truncated, Unparseable
from generation_functions.grammar import Grammar, alternatives, literal

VERDICT = r"""
root    ::= "Reason: " reason "\nVerdict: " verdict
reason  ::= [^\n]{1,300}
verdict ::= "Relevant" | "Irrelevant"
"""
PAIRS = r"""
# two or three pairs, each with the sentences that prove it
root     ::= pair{2,3} note?
pair     ::= "Question: " question "\nSentences: " number ("," number)* "\nAnswer: " answer "\n"
question ::= [^\n?]{5,100} "?"
number   ::= "1" | "2" | "3"
answer   ::= [^\n]{5,100}
note     ::= "(" [a-z ]{1,20} ")"
"""
TURNS = r"""
root      ::= "Ann: " asks-1 "\nBob: " answers-1 "\nAnn: " asks-2 "\nBob: " answers-2
asks-1    ::= lead "Why?"
asks-2    ::= lead "How?"
answers-1 ::= [^\n]{1,50}
answers-2 ::= [^\n]{1,90}
lead      ::= ([A-Z] [a-z]{1,9} ", ")?
"""
TWO_PAIRS = (
    "Question: Is salt a mineral?\nSentences: 1,3\nAnswer: It is one.\n"
    "Question: Is sand one?\nSentences: 2\nAnswer: It is many.\n"
)
AMBIGUOUS = 'root ::= "R: " ([a-z ]{1,50}){1,20} "."'


def reads(text: str, **how) -> grammar.Reading:
    return Grammar.compile(VERDICT).read(text, **how)


def refused(text: str, **place) -> str:
    with pytest.raises(GrammarError) as raised:
        Grammar.compile(text, **place)
    return str(raised.value)


# Reading


def test_rule_names_are_the_fields_of_an_answer():
    reading = reads('Reason: It says "12 May", §4.\nVerdict: Irrelevant')
    assert reading.text("reason") == 'It says "12 May", §4.'
    assert reading.text("verdict") == "Irrelevant"
    assert Grammar.compile(VERDICT).fields == {"root", "reason", "verdict"}


def test_a_repeated_rule_gives_every_text_in_order():
    reading = Grammar.compile(PAIRS).read(TWO_PAIRS)
    assert reading.all("answer") == ["It is one.", "It is many."]
    assert reading.all("number") == ["1", "3", "2"]


def test_each_keeps_together_what_belongs_together():
    first, second = Grammar.compile(PAIRS).read(TWO_PAIRS).each("pair")
    assert (first.text("question"), first.all("number")) == ("Is salt a mineral?", ["1", "3"])
    assert (second.text("question"), second.all("number")) == ("Is sand one?", ["2"])


def test_what_was_left_out_is_empty_and_what_never_was_is_an_error():
    reading = Grammar.compile(PAIRS).read(TWO_PAIRS)
    assert reading.text("note") == "" and reading.all("note") == []
    with pytest.raises(KeyError):
        reading.text("notes")


def test_rules_that_differ_in_a_last_number_are_one_field():
    reading = Grammar.compile(TURNS).read("Ann: Why?\nBob: So.\nAnn: Dear, How?\nBob: Thus.")
    assert reading.all("asks") == ["Why?", "Dear, How?"]
    assert reading.all("answers") == ["So.", "Thus."]
    assert reading.all("lead") == ["", "Dear, "]


def test_texts_that_were_tried_and_given_up_are_not_read():
    """The pattern goes back from `long` to `short`; the number it saw on the way must not stay."""
    reading = Grammar.compile(
        'root ::= long | short\nlong ::= n n "!"\nshort ::= n ","? n\nn ::= [0-9]+'
    ).read("12,3")
    assert reading.all("n") == ["12", "3"] and reading.all("long") == []


@pytest.mark.parametrize("text", ["é", "e\u0301", "😀", "漢", "\u2028", "\x85", "\xa0", "\ufeff", "İ"])
def test_characters_are_code_points_and_stay_what_they_are(text):
    once = Grammar.compile(f"root ::= x{{{len(text)}}}\nx ::= [^\\n]")
    assert once.read(text).all("x") == list(text)
    assert Grammar.compile(f"root ::= {literal(text)}").read(text).text("root") == text
    with pytest.raises(Unparseable):
        Grammar.compile(f"root ::= {literal(text)}").read("i")


@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"])
def test_a_text_with_nul_or_a_surrogate_is_unparseable(text):
    with pytest.raises(Unparseable, match="at character 2"):
        Grammar.compile("root ::= .*").read(text)


# What cannot be used


def test_every_beginning_of_a_sentence_is_truncated():
    whole = "Reason: It names the year.\nVerdict: Relevant"
    for end in range(len(whole)):
        with pytest.raises(Truncated) as raised:
            reads(whole[:end])
        assert raised.value.text == whole[:end]


def test_a_payload_on_its_bound_is_truncated_and_one_below_is_not():
    answer = "Reason: {}\nVerdict: Relevant"
    assert reads(answer.format("x" * 299), payload=["reason"]).text("verdict") == "Relevant"
    assert reads(answer.format("x" * 300)).text("verdict") == "Relevant"
    with pytest.raises(Truncated, match="reason has 300 characters"):
        reads(answer.format("x" * 300), payload=["reason"])
    assert reads(answer.format("x"), payload=["verdict"])


def test_each_rule_of_a_field_has_its_own_bound():
    turns = "Ann: Why?\nBob: {}\nAnn: How?\nBob: {}"
    assert Grammar.compile(TURNS).read(turns.format("x" * 49, "x" * 89), payload=["answers"])
    for at_bound in [(50, 1), (1, 90)]:
        with pytest.raises(Truncated):
            Grammar.compile(TURNS).read(turns.format(*("x" * n for n in at_bound)), payload=["answers"])


def test_a_payload_of_fixed_length_has_no_bound_to_land_on():
    assert Grammar.compile("root ::= year\nyear ::= [0-9]{4}").read("1912", payload=["year"])


def test_longest_is_the_longest_a_field_can_be():
    turns = Grammar.compile(TURNS)
    assert [turns.longest(name) for name in ("answers", "asks", "lead")] == [90, 16, 12]
    assert Grammar.compile('root ::= x\nx ::= "a"*').longest("x") is None
    with pytest.raises(KeyError):
        turns.longest("answers-1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "Reason: a\nVerdict: Maybe",
            r"at character 20, 'Maybe' does not fit after .*expected 'Relevant' \(verdict\)",
        ),
        ("Reason: a\nVerdict: Irregular", r"at character 24, 'gular' .*; expected 'Irrelevant' \(verdict\)"),
        ("Reason: a\nVerdict: Relevant.", r"at character 28, '.' does not fit .*; expected the end"),
        ("Reason: a\nJudgement", r"at character 11, 'Judgement' .*expected '\\nVerdict: ' \(root\)"),
        ("Reason: \nVerdict: Relevant", r"at character 9, .*; expected more of reason"),
        ("Reason: " + "x" * 301, r"at character 309, .*; expected '\\nVerdict: ' \(root\)"),
        ("no", r"at character 1, 'no' does not fit; expected 'Reason: ' \(root\)"),
    ],
)
def test_unparseable_says_where_and_what_was_expected(text, message):
    with pytest.raises(Unparseable, match=message) as raised:
        reads(text)
    assert raised.value.text == text


def test_a_relevant_with_more_to_it_is_not_relevant():
    for verdict in ["Irrelevant.", "Relevant?", "relevant", "Not Relevant", "Relevant\n"]:
        with pytest.raises(Unparseable):
            reads(f"Reason: a\nVerdict: {verdict}")


@pytest.mark.parametrize(
    "text",
    ["{}", "\n {}\n\n", "Sure! Here you are.\n\n{}", "{}  ", "\n\nAnswer:\n{}\n"],
)
def test_tolerant_skips_what_stands_around_the_answer(text):
    answer = "Reason: It fits.\nVerdict: Relevant"
    assert reads(text.format(answer), tolerant=True).text("reason") == "It fits."


def test_tolerant_is_not_lenient():
    with pytest.raises(Unparseable):
        reads("Reason: It fits.\nVerdict: Relevant\nI hope this helps!", tolerant=True)
    with pytest.raises(Truncated):
        reads("Sure!\nReason: It fits.\n", tolerant=True)
    with pytest.raises(Unparseable):
        reads("\nReason: It fits.\nVerdict: Relevant")


@pytest.mark.parametrize(("end", "error"), [("!", Unparseable), ("", Truncated)])
def test_an_ambiguous_grammar_cannot_hold_the_reader_up(monkeypatch, end, error):
    monkeypatch.setattr(grammar, "READ_SECONDS", 0.2)
    started = time.monotonic()
    with pytest.raises(error):
        Grammar.compile(AMBIGUOUS).read("R: " + "ab cd " * 30 + end)
    assert time.monotonic() - started < 30  # it would go on for years


# Compiling


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('root ::= "a"\nx ::= "b', "stage.yaml:8: rule x: a literal is not closed"),
        ('root ::= "a" [b\n', "stage.yaml:7: rule root: a class is not closed"),
        ('root ::= "a" x\n', "stage.yaml:7: rule root: there is no rule named x"),
        ('root ::=\n  "a" |\n  x', "stage.yaml:9: rule root: there is no rule named x"),
        ('top ::= "a"', "stage.yaml:7: there is no rule named root"),
        ("", "stage.yaml:7: there is no rule named root"),
        ('root ::= "a"\n\nx ::= "b" x | ""', "stage.yaml:9: rule x: is recursive.*: x -> x"),
        ('root ::= x\nx ::= "b" y\ny ::= "c" x?', "stage.yaml:9: rule y: is recursive.*: x -> y -> x"),
        ('root ::= x*\nx ::= "a" |', "stage.yaml:7: rule root: something that can be empty is repeated"),
        ("root ::= *", "stage.yaml:7: rule root: there is nothing to repeat"),
        ('root ::= "a"{2001}', "stage.yaml:7: rule root: a repetition of 2001 is above 2000"),
        ('root ::= "a"{50}{41}', "stage.yaml:7: rule root: repetitions of repetitions come to"),
        ('root ::= "a"{,3}', r"stage.yaml:7: rule root: a repetition looks like \{3\}"),
        ('root ::= "a"{3,2}', "stage.yaml:7: rule root: a repetition of at least 3 and at most 2"),
        (
            'root ::= ("a" | "b"',
            r"stage.yaml:7: rule root: expected \) to close the parenthesis, found the end",
        ),
        (
            'root ::= "a"\n  | "b"',
            r"""stage.yaml:8: rule root: expected the name of the next rule, found '| "b"'""",
        ),
        ('root = "a"', "stage.yaml:7: rule root: expected ::= after the name"),
        ('root ::= "a" x_y\nx ::= "b"', "stage.yaml:7: rule root: cannot go on with '_y"),
        (r'root ::= "\d"', r"stage.yaml:7: rule root: \\d is not an escape"),
        (r'root ::= "\u12"', r"stage.yaml:7: rule root: \\u takes 4 hexadecimal digits"),
        ("root ::= <think>", "stage.yaml:7: rule root: token references"),
        ("root ::= [z-a]", r"stage.yaml:7: rule root: \[z-a\] admits no character"),
        (r'root ::= "\uD800"', "stage.yaml:7: rule root: no text can hold the character U.D800"),
        ('root ::= "\0"', "stage.yaml:7: no text can hold the character U.0000"),
    ],
)
def test_a_grammar_is_refused_with_file_line_and_rule(text, message):
    assert re.match(message, refused(text, file="stage.yaml", first_line=7))


def test_a_grammar_too_large_to_put_together_is_refused():
    doubling = "\n".join(f"a{n} ::= a{n + 1} a{n + 1}" for n in range(40))
    assert "rule a27: comes to more than 200000" in refused(f'root ::= a0\n{doubling}\na40 ::= "x"')
    assert "nested too deep" in refused("root ::= " + "(" * 9000 + '"a"' + ")" * 9000)
    assert "nested too deep" in refused(
        "root ::= a0\n" + "\n".join(f"a{n} ::= a{n + 1}" for n in range(2000)) + "\na2000 ::= ."
    )


def test_a_grammar_is_compiled_once():
    assert Grammar.compile(PAIRS) is Grammar.compile(PAIRS)


HOSTILE = [
    'a"b',
    "back\\slash",
    'x" | [^\\n]* | "y',
    "line\nend\r\ttab",
    "é漢😀\u2028\x85\x7f",
    "[a-z]{1,3}",
    "#",
    "",
]


def test_a_literal_stands_for_exactly_its_value():
    for value in HOSTILE:
        assert Grammar.compile(f"root ::= {literal(value)}").read(value).whole == value
    either = Grammar.compile(f"root ::= {alternatives(HOSTILE)}")
    assert all(either.read(value) for value in HOSTILE)
    with pytest.raises((Unparseable, Truncated)):
        either.read("anything else")


# Samples


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize("text", [VERDICT, PAIRS, TURNS])
def test_every_sample_is_read_back_and_no_payload_lands_on_its_bound(text, wild):
    compiled = Grammar.compile(text)
    payload = {"reason", "question", "answer", "answers"}
    for seed in range(400):
        sample = compiled.sample(random.Random(seed), wild=wild)
        assert compiled.read(sample, payload).whole == sample


def test_samples_repeat_with_the_seed_and_differ_without():
    samples = [Grammar.compile(VERDICT).sample(random.Random(seed)) for seed in (1, *range(1, 10))]
    assert samples[0] == samples[1] and len(set(samples)) == 9
    assert {reads(sample).text("verdict") for sample in samples} == {"Relevant", "Irrelevant"}


def test_samples_have_one_capital_where_the_grammar_asks_for_one():
    said = Grammar.compile('root ::= [A-Z] [^\\n0-9:.]{20,90} "."')
    for seed in range(100):
        assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+\.", said.sample(random.Random(seed)))


def test_samples_look_like_words_and_wild_ones_like_anything():
    reason = reads(Grammar.compile(VERDICT).sample(random.Random(5))).text("reason")
    assert re.fullmatch(r"[A-Z][a-z]+( [a-z]+){2,}", reason)
    wild = "".join(Grammar.compile(VERDICT).sample(random.Random(seed), wild=True) for seed in range(20))
    assert {"\u2028", "😀", "\x85", "\t"} <= set(wild) and "\0" not in wild


# Against llama.cpp itself


class LlamaCpp:
    """llama.cpp's own grammar, asked through its C API; only the vocabulary of a model is loaded."""

    def __init__(self, path: Path) -> None:
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.end = llama_cpp.llama_vocab_eos(self.vocabulary)
        pieces = {llama_cpp.llama_vocab_get_text(self.vocabulary, token): token for token in range(600)}
        self.bytes = {byte: pieces[b"<0x%02X>" % byte] for byte in range(256)}
        self.candidate = (llama_cpp.llama_token_data * 1)()

    def accepts(self, grammar: str) -> bool:
        sampler = llama_cpp.llama_sampler_init_grammar(self.vocabulary, grammar.encode(), b"root")
        if sampler:
            llama_cpp.llama_sampler_free(sampler)
        return bool(sampler)

    def judge(self, grammar: str, text: str) -> str:
        """Whether `text` is a "whole" sentence, the "beginning" of one, or "neither"."""
        sampler = llama_cpp.llama_sampler_init_grammar(self.vocabulary, grammar.encode(), b"root")
        try:
            for token in (token for character in text for token in self.tokens(character)):
                if not self.allows(sampler, token):
                    return "neither"
                llama_cpp.llama_sampler_accept(sampler, token)
            return "whole" if self.allows(sampler, self.end) else "beginning"
        finally:
            llama_cpp.llama_sampler_free(sampler)

    def tokens(self, character: str) -> list[int]:
        """The character's own token, or its bytes. (Of a character in bytes llama.cpp refuses the first where a class
        excludes another character with that first byte; no class in these tests excludes any but ASCII.)"""
        encoded = character.encode()
        found = (llama_cpp.llama_token * 8)()
        count = llama_cpp.llama_tokenize(self.vocabulary, encoded, len(encoded), found, 8, False, False)
        return [found[0]] if count == 1 else [self.bytes[byte] for byte in encoded]

    def allows(self, sampler: int, token: int) -> bool:
        self.candidate[0] = llama_cpp.llama_token_data(token, 0.0, 0.0)
        candidates = llama_cpp.llama_token_data_array(self.candidate, 1, -1, False)
        llama_cpp.llama_sampler_apply(sampler, ctypes.byref(candidates))
        return self.candidate[0].logit == 0.0


@pytest.fixture(scope="module")
def llama(model_path: Path) -> Iterator[LlamaCpp]:
    judge = LlamaCpp(model_path)
    yield judge
    llama_cpp.llama_model_free(judge.model)


def accepts(text: str) -> bool:
    try:
        return bool(Grammar.compile(text))
    except GrammarError:
        return False


def judge(text: str, sentence: str) -> str:
    try:
        return "whole" if Grammar.compile(text).read(sentence) else ""
    except Truncated:
        return "beginning"
    except Unparseable:
        return "neither"


# Bodies of a rule, two spaces between them; ⏎ is a line end. x, e and new are rules of the test.
BODIES = r"""
""  []  [^]  ()  (())  |  | "a"  "a" |  "a" |⏎ "b"  ⏎"a"  # why⏎ "a"  "a" # why  ("a"⏎| "b")  "a"⏎| "b"  "a"⏎"b"
("a"  "a")  ("a" (  "a" "b  'a'  "a"; x  "a" - "b"  é  a_b  <  <x>  !  missing  (missing)  x  x ::= x  "a" x ::= "b"
root  root "a" | "b"  .  [.]  [[]  []]  [^]]  [a-]  [-a]  [^-a]  [--a]  [a\-z]  [\]a]  [a  [a-  [^\n  [a⏎]  "a⏎b"
"\-"  "\t\r\n\\\"\[\]"  "\/"  "\q"  "\x4"  "\x41\u00e9\U0001F600"  "\X41"  "\  [\  *  | *  {2}  ""*  []*  [^]{2}  ()*
(())*  "a"{0}*  "a"**  "a"*+  "a"+*  "a"+?  "a"?+  "a"??  "a"?*  "a"{2}?  "a"?{2,}  ("a"?)*  ("a"*)+  ("a"|)+
("a"?){2,5}  e*  e{3}  x*  "a"{2}  "a" {2}  "a"{ 1 , 3 }  "a"{,3}  "a"{1,}  "a"{1, }  "a"{}  "a"{-1}  "a"{1  "a"{2⏎}
("a"{2⏎,3})  "a"⏎{2}  ("a"⏎{2})  "a"{0,0}  "a"{2000}  "a"{2001}  "a"{2000,}  "a"{1,2001}  "a"{2001,2002}
"a"{99999999999999999999999}  "a"{1,99999999999999999999999}  "a"{50}{40}  "a"{50}{41}  ("a" "b"){2000}
("a" ("b")){1000}  ("a" ("b")){1001}  ("a"{1,100}){20}  ("a"{1,100}){21}  ("a"{2,3}){1000}  ("a"{2,3}){1001}
x (x){2000}  (new){1000}  (new){1001}  ("a"*){1000}  ("a"*){1001}  ("a"{100}){2000}
"""


def with_body(body: str) -> str:
    return 'root ::= {}\nx ::= "a"\ne ::= | "b"\nnew ::= "n"\n'.format(body.replace("⏎", "\n"))


@pytest.mark.parametrize("body", ["", *re.split(r"  |\n", BODIES.strip())])
def test_a_grammar_is_accepted_just_when_llama_cpp_accepts_it(llama, body):
    assert accepts(with_body(body)) == llama.accepts(with_body(body))


def test_the_bodies_are_of_both_kinds():
    accepted = [accepts(with_body(body)) for body in re.split(r"  |\n", BODIES.strip())]
    assert accepted.count(True) > 50 and accepted.count(False) > 50


@pytest.mark.parametrize(
    "text",
    [
        *[
            'root::="a"',
            '\t root ::= "a"',
            'root\n::= "a"',
            'root ::= "a"\r\nx ::= "b"',
            'root ::= "a"\rx ::= "b"',
        ],
        *[
            'rö ::= "a"',
            'root_1 ::= "a"',
            '9 ::= "a"\nroot ::= 9',
            'root ::= -\n- ::= "a"',
            "\n# c\n",
            'x ::= "a"',
        ],
        *[
            'root ::= "a"\nroot ::= "b"',
            'root ::= (x)\nroot ::= "b"',
            'root := "a"',
            'Root ::= "a"',
            "root ::=",
        ],
    ],
)
def test_a_layout_is_accepted_just_when_llama_cpp_accepts_it(llama, text):
    assert accepts(text) == llama.accepts(text)


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "a" x\nx ::= "b" x | "c"',
        "root ::= <[3]>",
        "root ::= [z-a]",
        r'root ::= "\uD800"',
        r'root ::= "\x00"',
    ],
)
def test_what_only_llama_cpp_accepts_is_what_cannot_be_read(llama, text):
    assert llama.accepts(text) and not accepts(text)


def random_grammar(rng: random.Random) -> str:
    """Two rules and a root of random shape, most of them valid."""

    def node(depth: int, names: list[str]) -> str:
        kind = rng.random()
        if kind < 0.3 or depth > 2:
            text = (
                '"'
                + "".join(
                    rng.choices(
                        ["a", "b", "\\n", "é", "漢", r"\x41", r"\u00e9", " "],
                        k=rng.choice([0, 1, 1, 2, 2, 3]),
                    )
                )
                + '"'
            )
        elif kind < 0.6:
            text = (
                "["
                + rng.choice(["", "^"])
                + "".join(rng.choices(["a", "b-y", "0-9", "\\n", "-", "."], k=2))
                + "]"
            )
        elif kind < 0.75:
            text = rng.choice([*names, ".", "[é-ë漢]"])
        else:
            text = f"({choice(depth + 1, names)})"
        return text + rng.choice([*[""] * 9, "?", "*", "+", "{2}", "{1,3}", "{0,2}", "{2,}", "{0}", "?+"])

    def choice(depth: int, names: list[str]) -> str:
        options = [
            " ".join(node(depth, names) for _ in range(rng.randint(1, 3))) for _ in range(rng.randint(1, 2))
        ]
        return " | ".join(options)

    return f"root ::= {choice(0, ['x', 'y-1'])}\nx ::= {choice(1, ['y-1'])}\ny-1 ::= {choice(1, [])}"


def random_text(compiled: Grammar, rng: random.Random) -> str:
    """A sentence, or what is left of one after a character was put in, taken out or all cut off there."""
    text = compiled.sample(rng, wild=rng.random() < 0.3)[:60]
    place = rng.randint(0, len(text))
    changed = [
        text,
        text[:place],
        text[:place] + text[place + 1 :],
        text[:place] + rng.choice("ab é漢\nA0-.") + text[place:],
    ]
    return rng.choice(changed)


def test_random_grammars_and_texts_are_judged_as_llama_cpp_judges_them(llama):
    seen: dict[str, int] = {}
    for seed in range(500):
        rng = random.Random(seed)
        text = random_grammar(rng)
        assert accepts(text) == llama.accepts(text), text
        for _ in range(8 if accepts(text) else 0):
            sentence = random_text(Grammar.compile(text), rng)
            ours, theirs = judge(text, sentence), llama.judge(text, sentence)
            assert ours == theirs, (text, sentence)
            seen[ours] = seen.get(ours, 0) + 1
    assert min(seen.get(kind, 0) for kind in ("whole", "beginning", "neither")) >= 100, seen


# All sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('root ::= "Verdict: " v\nv ::= "Yes" | "No"', ("Verdict: Yes", "Verdict: No")),
        ('root ::= "a"? ("b" | "b" | [cd])', ("b", "c", "d", "ab", "ac", "ad")),
        ('root ::= "a"{2,3}', ("aa", "aaa")),
        ('root ::= ("a" | "b"){4}', tuple("".join(four) for four in itertools.product("ab", repeat=4))),
        ('root ::= ("a" | "b"){5}', ()),
        ('root ::= "Reason: " [a-z]{1,9}', ()),
        ('root ::= "a"*', ()),
        ('root ::= "a"{0,2000}', ()),
    ],
)
def test_all_sentences_are_named_where_they_are_few(text: str, expected: tuple[str, ...]) -> None:
    assert Grammar.compile(text).sentences() == expected
    assert all(Grammar.compile(text).read(sentence) for sentence in expected)
