"""Stage files: what a model is asked, what it may answer, and how it is drawn.

`prompts/check_accuracy.yaml` holds the system text, worked examples, the item's template, the GBNF grammar
and the sampling of one stage; contents of the keys are described at `KEYS`. This module loads such a file,
refuses one that could not work, and fills it with an item's values. It does not know engines or answers; what
a step passes to each stage, and so what a stage file may use, is the table `STAGES`.

    stage = load("check_accuracy", folders=[Path("prompts")])
    request = stage.request({"text": "...", "question": "...", "answer": "..."}, seed=7)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, cached_property
from itertools import accumulate
from math import inf
from pathlib import Path
from string import Template
from typing import Any

import yaml

from .engine import Message, Request, Sampling
from .errors import GrammarError, OutputError, PromptError
from .grammar import FEW, Grammar, alternatives, literal
from .records import content_key

# What a step passes: the names a stage file must use, then those it may use. `source` describes the file as
# far as its name tells ("Title, by Author, published Year") and is for the variant `filenames`.
STAGES: dict[str, tuple[str, str]] = {
    "judge_paragraph": ("text", "source"),
    "plan_questions": ("text count", "source"),
    "write_pairs": ("text numbers count", "sentences more plan source"),
    "check_question": ("text question", ""),
    "check_relevance": ("text question answer", ""),
    "check_accuracy": ("text question answer", "evidence"),
    "rewrite_pair": ("text numbers question answer reason", "sentences check kept source"),
    "make_standalone": ("text question answer", "source"),
    "plan_character": ("text traits", "pairs source"),
    "write_character": ("plan initial", "text traits pairs source"),
    "plan_scenario": ("card name asker pairs", ""),
    "write_scenario": ("plan name asker", "card pairs"),
    "write_conversation": ("card scenario name asker pairs", "plan"),
    "write_assistant_conversation": ("pairs", ""),
}

# The fields that a step reads; the grammar must have a rule for each.
FIELDS: dict[str, str] = {
    "judge_paragraph": "reason verdict",
    "plan_questions": "plan",
    "write_pairs": "pair question answer evidence number",
    "check_question": "reason verdict",
    "check_relevance": "reason verdict",
    "check_accuracy": "reason verdict",
    "rewrite_pair": "question answer number",
    "make_standalone": "reason verdict question answer",
    "plan_character": "plan",
    "write_character": "name card",
    "plan_scenario": "plan",
    "write_scenario": "scenario",
    "write_conversation": "opens asks answers",
    "write_assistant_conversation": "asks answers",
}

# Variants that change what a step reads, the stages that have them, and the settings that ask for them. A scored one
# has no reason: a few whole answers, of which each one's probability is asked instead of drawing some. A quoted one
# names its evidence by quoting it, and its grammar admits the chunk's own sentences alone.
SCORED, QUOTED = "scored", "quoted"
FORMS = {
    SCORED: (("check_question", "check_relevance", "check_accuracy"), "SYSTEM.VOTING: probability"),
    QUOTED: (("write_pairs", "rewrite_pair"), "SYSTEM.EVIDENCE: quotation"),
}

KEYS = {
    "about": "one sentence for people",
    "system": "the instruction; the same for every item",
    "examples": "worked examples: `values` for the template and the `answer`",
    "item": "the template of the item, filled for the examples and for the item itself",
    "grammar": "GBNF; a $name in it becomes a literal, a list of alternatives, or a number",
    "for_each_pair": "fragments that are written once for each pair, usable as $fragment in item and grammar",
    "pass": "the verdict or verdicts that let the item through",
    "payload": "fields that may not end on their length bound",
    "sampling": "max_tokens, temperature, top_p, top_k, min_p",
    "variants": "name of a variant -> the keys that it replaces",
}
REQUIRED_KEYS = ("system", "item", "grammar", "sampling")
SAMPLING_KEYS = tuple(f.name for f in fields(Sampling))
BLOCK_END = "\n\n###\n\n"  # stands between the blocks of the completion form; also a stop string there

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    values: Values
    answer: str


@dataclass(frozen=True)
class Stage:
    """One loaded stage file; `version` changes with anything that could change an answer.

    `form` is SCORED where the probabilities of all its answers are asked, QUOTED where it quotes its evidence.
    """

    name: str
    file: str
    system: str
    examples: tuple[Example, ...]
    item: str
    grammar: str
    grammar_line: int
    for_each_pair: Mapping[str, str]
    passing: frozenset[str]
    payload: frozenset[str]
    sampling: Sampling
    version: str = field(default="")
    form: str = ""

    @property
    def scored(self) -> bool:
        return self.form == SCORED

    @property
    def fields(self) -> list[str]:
        """What the step reads of an answer."""
        known = FIELDS[self.name].split()
        if self.form == QUOTED:
            return ["quotation" if name == "number" else name for name in known]
        return [name for name in known if name != "reason" or not self.scored]

    def request(self, values: Values, *, seed: int, complaint: str = "") -> Request:
        """The filled request. `complaint` is what was wrong with the last answer, told to the model again."""
        item = self.fill(values)
        if complaint:
            item += f"\n(An earlier answer could not be used: {complaint})"
        return Request(
            stage=self.name,
            messages=(*self._shared_messages, Message("user", item)),
            prompt=f"{self._shared_prompt}{item}\n",
            shared_prompt=self._shared_prompt,
            grammar=self.compiled(values),
            sampling=self.sampling,
            seed=seed,
            stop=(BLOCK_END.rstrip(),),
            example_grammars=self._example_grammars,
            weigh=self.answers(values),
        )

    def answers(self, values: Values) -> tuple[str, ...]:
        """All answers to this item, of a stage that is scored; () of others."""
        return self.compiled(values).sentences() if self.scored else ()

    def fill(self, values: Values) -> str:
        """The item as the model sees it."""
        return self._substitute(self.item, values, str_of).rstrip("\n")

    def compiled(self, values: Values) -> Grammar:
        """The grammar of the answer to this item. Raises GrammarError with the file's own line."""
        text = self._substitute(self.grammar, values, gbnf_of)
        try:
            return Grammar.compile(text, self.file, self.grammar_line)
        except GrammarError as error:
            line, _, message = str(error).removeprefix(f"{self.file}:").partition(":")
            own = self.grammar_line + self._template_line(int(line) - self.grammar_line, values)
            raise GrammarError(f"{self.file}:{own}:{message}") from None

    def _template_line(self, line: int, values: Values) -> int:
        """Which line of the grammar's template a line of the filled one comes from, both counted from 0; a fragment
        fills many.
        """
        template = self.grammar.split("\n")
        ends = accumulate(self._substitute(one, values, gbnf_of).count("\n") + 1 for one in template)
        return next((n for n, end in enumerate(ends) if line < end), len(template) - 1)

    def placeholders(self) -> set[str]:
        """Every $name that the file's templates use, fragments' own names taken apart."""
        fragments = self.for_each_pair
        names = {*names_in(self.item), *names_in(self.grammar)}
        for text in fragments.values():
            names |= names_in(text) - {"n", "question", "answer"}
        if fragments.keys() & (names_in(self.item) | names_in(self.grammar)):
            names.add("pairs")
        return names - fragments.keys()

    def _substitute(self, template: str, values: Values, form: Any) -> str:
        used = names_in(
            template
        )  # to put a whole chunk into GBNF's quotes for nothing takes longer than all else
        fragments = {n: self._each(text, values, form) for n, text in self.for_each_pair.items() if n in used}
        filled = {name: form(value) for name, value in values.items() if name in used and name != "pairs"}
        return Template(template).substitute({**filled, **fragments})

    def _each(self, fragment: str, values: Values, form: Any) -> str:
        used = names_in(fragment)
        shared = {name: form(value) for name, value in values.items() if name in used and name != "pairs"}
        written = []
        for n, pair in enumerate(values.get("pairs", ()), 1):
            own = {name: form(value) for name, value in pair.items()}
            written.append(Template(fragment).substitute({**shared, **own, "n": str(n)}))
        return "".join(written)

    # The same for every item, and made once.

    @cached_property
    def _shared_prompt(self) -> str:
        examples = [f"{self.fill(example.values)}\n{example.answer}" for example in self.examples]
        return "".join(block + BLOCK_END for block in [self.system.strip(), *examples])

    @cached_property
    def _shared_messages(self) -> tuple[Message, ...]:
        messages = [Message("system", self.system.strip())]
        for example in self.examples:
            messages += [Message("user", self.fill(example.values)), Message("assistant", example.answer)]
        return tuple(messages)

    @cached_property
    def _example_grammars(self) -> tuple[Grammar, ...]:
        return tuple(self.compiled(example.values) for example in self.examples)


def str_of(value: Any) -> str:
    """A value as a person would write it in running text."""
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def gbnf_of(value: Any) -> str:
    """A value as GBNF: a literal, alternatives of literals, or a bare number."""
    if isinstance(value, int):
        return str(value)
    return literal(value) if isinstance(value, str) else alternatives([str(v) for v in value])


@cache
def names_in(template: str) -> frozenset[str]:
    return frozenset(Template(template).get_identifiers())


def load(name: str, folders: Sequence[Path], variants: Collection[str] = ()) -> Stage:
    """The stage `name` from the first folder that has it, with those of its variants that are asked for.

    Raises PromptError or GrammarError, with the file and, where there is one, the line.
    """
    file = find(f"{name}.yaml", folders)
    try:
        text = file.read_text(encoding="utf-8")
        data = yaml.safe_load(text)
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise PromptError(f"{file}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise PromptError(f"{file}: must hold the keys {', '.join(KEYS)}")
    own = _named(file, "variants", data.get("variants"))
    form = next((form for form, (stages, _) in FORMS.items() if form in variants and name in stages), "")
    if form and form not in own:
        raise PromptError(
            f"{file}: has no variant {form}, the form that {FORMS[form][1]} asks; prompts/{name}.yaml of the project "
            "shows one"
        )
    for variant, replaced in own.items():
        _check_keys(file, replaced, where=f"variants.{variant}: ")
        if variant in variants:
            data = {**data, **replaced}
    _check_keys(file, data)
    stage = _stage(name, file, data, _line_of(text, str(data.get("grammar", ""))), form)
    _check_names(stage)
    _check_examples(stage)
    return stage


def find(file_name: str, folders: Sequence[Path]) -> Path:
    """The first of the folders' files of that name. Raises PromptError that names every place looked at."""
    for folder in folders:
        if (folder / file_name).is_file():
            return folder / file_name
    looked = " nor ".join(str(folder / file_name) for folder in folders)
    raise PromptError(f"neither {looked} is there" if len(folders) > 1 else f"{looked} is not there")


def _check_keys(file: Path, data: Any, where: str = "") -> None:
    if not isinstance(data, dict):
        raise PromptError(f"{file}: {where}must hold keys of a stage file: {', '.join(KEYS)}")
    for key in data:
        if key not in KEYS:
            raise PromptError(
                f"{file}: {where}{key} is not a key of a stage file; those are {', '.join(KEYS)}"
            )
    missing = [key for key in REQUIRED_KEYS if not data.get(key)]
    if missing and not where:
        raise PromptError(f"{file}: {missing[0]} is missing: {KEYS[missing[0]]}")


def _stage(name: str, file: Path, data: dict[str, Any], grammar_line: int, form: str) -> Stage:
    fragments = _named(file, "for_each_pair", data.get("for_each_pair"))
    return Stage(
        name=name,
        file=str(file),
        system=_constant(file, "system", data["system"]),
        examples=tuple(_examples(file, data.get("examples") or ())),
        item=_text(file, "item", data["item"]),
        grammar=_text(file, "grammar", data["grammar"]),
        grammar_line=grammar_line,
        for_each_pair={n: _text(file, f"for_each_pair.{n}", text) for n, text in fragments.items()},
        passing=_words(file, "pass", data.get("pass")),
        payload=_words(file, "payload", data.get("payload")),
        sampling=_sampling(file, data["sampling"]),
        version=content_key({key: value for key, value in data.items() if key not in ("about", "variants")}),
        form=form,
    )


def _text(file: Path, key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PromptError(f"{file}: {key} must be text, not {type(value).__name__}")
    if not Template(value).is_valid():
        raise PromptError(f"{file}: {key} has a $ that is neither a $name nor $$")
    return value


def _constant(file: Path, key: str, value: Any) -> str:
    text = _text(file, key, value)
    if found := names_in(text):
        raise PromptError(f"{file}: {key} is the same for every item and cannot use ${min(found)}")
    return Template(text).substitute()


def _words(file: Path, key: str, value: Any) -> frozenset[str]:
    words = [value] if isinstance(value, str) else value or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise PromptError(f"{file}: {key} must be text or a list of texts, not {value!r}; put it in quotes")
    return frozenset(words)


def _named(file: Path, key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, (dict, type(None))) or not all(isinstance(name, str) for name in value or ()):
        raise PromptError(f"{file}: {key} must hold names, each with what it stands for")
    return value or {}


def _examples(file: Path, listed: Any) -> Iterable[Example]:
    if not isinstance(listed, (list, tuple)):
        raise PromptError(f"{file}: examples must be a list")
    for number, example in enumerate(listed, 1):
        where = f"{file}: example {number}"
        if not isinstance(example, dict) or set(example) != {"values", "answer"}:
            raise PromptError(f"{where} must have `values` and `answer`")
        if not isinstance(example["answer"], str):
            raise PromptError(f"{where}: answer must be text; put it in quotes")
        yield Example(_example_values(where, example["values"]), example["answer"].rstrip("\n"))


def _example_values(where: str, values: Any) -> Values:
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise PromptError(f"{where}: values must hold a value for each $name")
    for name, value in values.items():
        if name == "pairs":
            pairs = value if isinstance(value, list) else [value]
            texts = [p.get(part) if isinstance(p, dict) else None for p in pairs for part in _PAIR]
            fits = all(isinstance(text, str) for text in texts)
        else:
            parts = value if isinstance(value, list) else [value]
            fits = all(isinstance(part, (str, int)) for part in parts)
        if not fits:
            wanted = "pairs, each with question and answer" if name == "pairs" else "text or a list of texts"
            raise PromptError(f"{where}: ${name} must be {wanted}; put texts in quotes")
    return values


_PAIR = ("question", "answer")


def _sampling(file: Path, given: Any) -> Sampling:
    if not isinstance(given, dict):
        raise PromptError(f"{file}: sampling must hold {', '.join(SAMPLING_KEYS)}")
    for key, value in given.items():
        if key not in SAMPLING_KEYS:
            raise PromptError(f"{file}: sampling.{key} is not known; known are {', '.join(SAMPLING_KEYS)}")
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
            raise PromptError(f"{file}: sampling.{key} must be a number from 0 up, not {value!r}")
        if key in ("max_tokens", "top_k") and not isinstance(value, int):
            raise PromptError(f"{file}: sampling.{key} must be a whole number, not {value!r}")
    if not given.get("max_tokens"):
        raise PromptError(f"{file}: sampling.max_tokens is missing")
    return Sampling(**given)


def _check_names(stage: Stage) -> None:
    if stage.name not in STAGES:
        raise PromptError(f"{stage.file}: no step asks a stage {stage.name}; those are {', '.join(STAGES)}")
    required, optional = (set(names.split()) for names in STAGES[stage.name])
    if stage.form == QUOTED:
        required = {"sentences" if name == "numbers" else name for name in required}
        optional = optional | {"numbers"}
    used = stage.placeholders()
    for name in sorted(used - required - optional):
        gives = ", ".join(f"${n}" for n in sorted(required | optional))
        raise PromptError(f"{stage.file}: asks for ${name}; the step gives {gives}")
    for name in sorted(required - used):
        raise PromptError(f"{stage.file}: does not use ${name}, without which the model cannot answer")


def _check_examples(stage: Stage) -> None:
    """Every worked example must fill the template and obey the grammar; the grammar must have the fields
    read.
    """
    verdicts = set()
    for number, example in enumerate(stage.examples, 1):
        where = f"{stage.file}: example {number}"
        missing = stage.placeholders() - set(example.values)
        if missing:
            raise PromptError(f"{where} has no value for ${min(missing)}")
        compiled = stage.compiled(example.values)
        lacking = [name for name in stage.fields if name not in compiled.fields]
        if lacking:
            raise PromptError(f"{stage.file}: grammar has no rule {lacking[0]}, which the step reads")
        if stage.scored and len(compiled.sentences()) < 2:
            raise PromptError(
                f"{stage.file}: the grammar of the variant {SCORED} must have from 2 to {FEW} whole answers, since the "
                "probability of each is asked"
            )
        try:
            reading = compiled.read(example.answer, stage.payload)
        except OutputError as error:
            raise PromptError(f"{where} does not follow the grammar: {error}") from None
        if unknown := stage.payload - compiled.fields:
            raise PromptError(
                f"{stage.file}: payload names {min(unknown)}, which the grammar has no rule for"
            )
        verdicts |= {reading.text("verdict")} if "verdict" in stage.fields else set()
    if verdicts and not verdicts & stage.passing:
        raise PromptError(
            f"{stage.file}: pass names {', '.join(sorted(stage.passing)) or 'nothing'}, which no example has "
            f"for a verdict; theirs are {', '.join(sorted(verdicts))}"
        )
    if not stage.examples:
        raise PromptError(
            f"{stage.file}: examples is empty: a small model copies outlines, it needs a worked example"
        )


def _line_of(text: str, grammar: str) -> int:
    """The line of the file on which the grammar's text begins; 1 where YAML wrote it in some other way."""
    first = grammar.strip("\n").split("\n", 1)[0].strip()
    lines = text.split("\n")
    return next((n for n, line in enumerate(lines, 1) if first and line.strip() == first), 1)
