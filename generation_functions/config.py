"""config.yaml: every setting, its type and range, and one readable error for anything else.

The section and key names are those of the Augmentoolkit lineage, so that a config.yaml written for it loads;
ours are further sections. A row of `SETTINGS` is the one place where a setting is defined:

    SYSTEM.CHUNK_SIZE   int   1900   100 .. 20000   characters of a chunk

`${NAME}` in a value reads the environment. A key is a Secret: it shows itself as "***" and is never stored.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .errors import ConfigError
from .records import content_key

ASSISTANT_PROMPT = "You are a helpful, knowledgeable assistant. Answer plainly, completely and truthfully."
RAG_PROMPT = (
    "You are a helpful, knowledgeable assistant. Answer with the help of this document, "
    "which may or may not bear on the question:\n\n{data}"
)


class Secret(str):
    """A key: usable as the string it is, never shown."""

    def __repr__(self) -> str:
        return "'***'" if self else "''"


@dataclass(frozen=True, slots=True)
class Setting:
    """`allowed` is a (lowest, highest) range for numbers or the tuple of words for text; () means anything.

    `result` tells whether a change of it can change what is generated (and so makes older items "made by
    older settings") or just how (concurrency, paths, keys).
    """

    name: str
    default: Any
    allowed: tuple[Any, ...] = ()
    about: str = ""
    result: bool = False

    @property
    def kind(self) -> type:
        return type(self.default)


DIALECTS = ("llama.cpp", "vllm", "sglang", "together", "json_schema", "none")
MODES = ("local", "api", "aphrodite", "cohere", "sample")

SETTINGS = (
    Setting("API.API_KEY", Secret(""), (), "key of the server; ${NAME} reads the environment"),
    Setting("API.BASE_URL", "", (), "an OpenAI-compatible address, usually ending in /v1"),
    Setting(
        "API.LOGICAL_MODEL", "logical_models/gemma-3-270m-q4_k_m.gguf", (), "judges, writes pairs, votes"
    ),
    Setting("API.LARGE_LOGICAL_MODEL", "", (), "writes conversations; empty: LOGICAL_MODEL does it all"),
    Setting("API.LARGE_BASE_URL", "", (), "where the large model lives, if elsewhere"),
    Setting("API.LARGE_API_KEY", Secret(""), (), "its key, if another"),
    Setting("API.GRAMMAR", "auto", ("auto", *DIALECTS), "how the server is told a grammar; auto asks it"),
    Setting("API.TIMEOUT", 120, (1, 86400), "seconds for an answer of up to 1,000 tokens"),
    Setting("API.RPM", 0, (0, 10000000), "calls a minute; 0: as many as go"),
    Setting("API.TPM", 0, (0, 10**12), "tokens a minute; 0: as many as go"),
    Setting("API.PROMPT_PRICE", 0.0, (0.0, 1e6), "money for a million prompt tokens"),
    Setting("API.CACHED_PRICE", -1.0, (-1.0, 1e6), "for those that come from the cache; -1: as the others"),
    Setting("API.COMPLETION_PRICE", 0.0, (0.0, 1e6), "money for a million tokens of answers"),
    Setting("API.LARGE_PROMPT_PRICE", 0.0, (0.0, 1e6), "the same for the large model"),
    Setting("API.LARGE_CACHED_PRICE", -1.0, (-1.0, 1e6), "the same for the large model"),
    Setting("API.LARGE_COMPLETION_PRICE", 0.0, (0.0, 1e6), "the same for the large model"),
    Setting("API.SPENDING_LIMIT", 0.0, (0.0, 1e9), "money at which a run pauses; 0: none"),
    Setting("PATH.INPUT", "./raw_text_input", (), "folder of texts, nested folders allowed"),
    Setting("PATH.OUTPUT", "./output", (), "folder of runs"),
    Setting("PATH.DEFAULT_PROMPTS", "./prompts", (), "stage files that PROMPTS does not have"),
    Setting("PATH.PROMPTS", "./prompts", (), "stage files that are looked at first"),
    Setting("SYSTEM.MODE", "local", MODES, "where answers come from"),
    Setting("SYSTEM.CHUNK_SIZE", 1900, (100, 20000), "characters of a chunk"),
    Setting("SYSTEM.USE_FILENAMES", False, (), "prompts see title and author", True),
    Setting("SYSTEM.ASSISTANT_MODE", False, (), "user and assistant instead of characters", True),
    Setting("SYSTEM.EVIDENCE", "sentences", ("sentences", "quotation"), "how a pair names its proof", True),
    Setting("SYSTEM.DOUBLE_CHECK_COUNTER", 3, (1, 15), "votes per check", True),
    Setting("SYSTEM.VOTING", "drawn", ("drawn", "probability"), "how a check is decided", True),
    Setting(
        "SYSTEM.PASS_PROBABILITY", 0.5, (0.0, 1.0), "of a passing verdict, from which a pair passes", True
    ),
    Setting("SYSTEM.USE_SUBSET", False, (), "take SUBSET_SIZE chunks only"),
    Setting("SYSTEM.SUBSET_SIZE", 10, (1, 1000000), "chunks, spread over all sources"),
    Setting("SYSTEM.PAIRS_PER_CHUNK", 4, (1, 20), "pairs asked for per chunk", True),
    Setting("SYSTEM.REARRANGEMENTS_TO_TAKE", 3, (1, 24), "orders of a group's pairs, a conversation each"),
    Setting("SYSTEM.CONVERSATION_QUOTES", "verbatim", ("verbatim", "free"), "how pairs stand in turns", True),
    Setting("SYSTEM.LANGUAGE", "", (), "of the pairs, as en or de; empty: that of the text", True),
    Setting("SYSTEM.CONCURRENCY_LIMIT", 16, (1, 4096), "calls in flight"),
    Setting(
        "SYSTEM.COMPLETION_MODE", "auto", ("auto", True, False), "plain completion instead of chat", True
    ),
    Setting("SYSTEM.STOP", True, (), "send stop strings"),
    Setting("SYSTEM.GRAPH", True, (), "show figures"),
    Setting("SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG", ASSISTANT_PROMPT, (), "system message of assistant rows"),
    Setting("SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", RAG_PROMPT, (), "the same with the chunk at {data}"),
    Setting("SKIP.FILTER_CHUNKS", False, (), "keep every chunk unjudged"),
    Setting("SKIP.PLAN_QUESTIONS", True, (), "write pairs without planning them first", True),
    Setting("SKIP.QUESTION_CHECK", False, (), "no votes on questions", True),
    Setting("SKIP.ANSWER_RELEVANCY_CHECK", False, (), "no votes on relevance", True),
    Setting("SKIP.ANSWER_ACCURACY_CHECK", False, (), "no votes on accuracy", True),
    Setting("SKIP.REPAIR_QA_TUPLES", False, (), "pairs need not stand without their text"),
    Setting("SKIP.CONVERSATION_GENERATION", False, (), "end with the pairs"),
    Setting(
        "CHECKS.EVIDENCE",
        True,
        (),
        "named sentences exist, stand in the source, and have something of the pair",
        True,
    ),
    Setting("CHECKS.DETRITUS", True, (), "no remains of exercises, tables and page layout", True),
    Setting("CHECKS.MENTION", True, (), 'no "the passage says" (USE_FILENAMES allows it)', True),
    Setting("CHECKS.DANGLING", True, (), 'no question about "this" or "these circumstances"', True),
    Setting("CHECKS.STRUCTURE", True, (), "nothing about chapters, figures and tables", True),
    Setting("CHECKS.TRUNCATION", True, (), "nothing that ends in the middle", True),
    Setting("CHECKS.LOOPS", True, (), "no phrase that comes again and again", True),
    Setting("CHECKS.LANGUAGE", True, (), "in the language asked for", True),
    Setting("CHECKS.REPETITION", True, (), "the answer says more than the question", True),
    Setting("CHECKS.RELEVANCE", True, (), "the answer is of the kind that is asked for", True),
    Setting("CHECKS.NUMBERS", True, (), "numbers, dates and units of the answer are in the evidence", True),
    Setting(
        "CHECKS.NAMES", True, (), "names and terms are in the text, those of the answer in the evidence", True
    ),
    Setting(
        "CHECKS.NEGATION", True, (), "the answer does not deny what the evidence says, nor the reverse", True
    ),
    Setting("CHECKS.OVERCLAIM", True, (), 'no "all" where the evidence says "some"', True),
    Setting("CHECKS.CONVERSATIONS", True, (), "turns state nothing of their own and repeat nothing", True),
    Setting("LOCAL.CONTEXT", 12000, (512, 1048576), "tokens of context"),
    Setting("LOCAL.ROPE_SCALING", "none", ("none", "linear", "yarn"), "how positions are stretched", True),
    Setting("LOCAL.ROPE_FREQ_BASE", 0.0, (0.0, 1e9), "0: the model's own", True),
    Setting(
        "LOCAL.ROPE_FREQ_SCALE", 0.0, (0.0, 1.0), "trained length / context; 0: what CONTEXT needs", True
    ),
    Setting("LOCAL.SEQUENCES", 0, (0, 128), "calls computed at once; 0: what suits the machine"),
    Setting("LOCAL.GPU_LAYERS", -1, (-1, 1000), "layers on the GPU, -1 for all"),
    Setting("LOCAL.THREADS", 0, (0, 1024), "0: one for each core"),
    Setting("LOCAL.BATCH", 512, (128, 16384), "tokens evaluated at once"),
    Setting("LOCAL.FLASH_ATTENTION", "auto", ("auto", True, False), "auto: where llama.cpp can"),
    Setting("LOCAL.KV_TYPE", "f16", ("f16", "q8_0", "q4_0"), "how keys and values are kept", True),
    Setting("EXPORT.GREETING", False, (), "conversations begin with the answering side's greeting"),
)

KNOWN = {setting.name: setting for setting in SETTINGS}

# At their defaults these leave no mark in fingerprints, so that what was made before they were known is not older.
YOUNGER = ("SYSTEM.VOTING", "SYSTEM.PASS_PROBABILITY", "SYSTEM.EVIDENCE", "SYSTEM.LANGUAGE", "CHECKS.")

# Settings of the lineage that have no meaning here; they are read, and named once as ignored.
RETIRED = {
    "API.QUANTIZATION_SMALL": "a server knows its own model",
    "API.QUANTIZATION_LARGE": "a server knows its own model",
    "PHASE.WORK_IN_PHASES": "steps are run one by one anyway",
    "PHASE.PHASE_INDEX": "steps are run one by one anyway",
    "HUGGINGFACE.HUB_PATH": "nothing is uploaded",
    "HUGGINGFACE.PRIVATE": "nothing is uploaded",
    "HUGGINGFACE.PUSH_TO_HUB": "nothing is uploaded",
}

COHERE_URL = "https://api.cohere.ai/compatibility/v1"


class Config(Mapping[str, Any]):
    """All settings by their full name, checked: config["SYSTEM.CHUNK_SIZE"].

    Settings not given have their default.
    """

    def __init__(self, values: Mapping[str, Any], folder: Path, ignored: tuple[str, ...] = ()) -> None:
        self._values = {setting.name: values.get(setting.name, setting.default) for setting in SETTINGS}
        self.folder = folder
        self.ignored = ignored

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Any:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def path(self, name: str) -> Path:
        """A PATH setting or a model path, relative ones taken from the folder of config.yaml."""
        return self.folder / os.path.expanduser(self[name])

    def fingerprint(self, names: Iterable[str]) -> str:
        """A key of those settings that can change what a step makes."""
        marking = [
            name for name in names if not name.startswith(YOUNGER) or self[name] != KNOWN[name].default
        ]
        return content_key({name: self[name] for name in marking})

    def __repr__(self) -> str:
        changed = [f"{s.name}={self[s.name]!r}" for s in SETTINGS if self[s.name] != s.default]
        return f"Config({', '.join(changed) or 'defaults'})"


def load(file: str | Path, changes: Iterable[str] = ()) -> Config:
    """The settings of `file` with `changes` ("SYSTEM.MODE=sample") on top. Raises ConfigError, one line."""
    path = Path(file)
    return parsed(read(path), path, changes)


def read(file: Path) -> str:
    """The file's text with its line ends as they are. Raises ConfigError."""
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{file} is not there; a config.yaml comes with the project") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parsed(text: str, file: Path, changes: Iterable[str] = ()) -> Config:
    """The settings that `load` gives when the file has this text."""
    given = written(text, file)
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            said = re.match(r"[\w.]*", change)  # no more of it: a key may be in the rest
            raise ConfigError(f"{said and said[0]}: a change is written SECTION.KEY=value")
        given[name.strip()] = typed(name.strip(), value)
    return _checked(file, given)


def written(text: str, file: Path) -> dict[str, Any]:
    """The values as they stand in the text, by their full names; ${NAME} is not looked up. Raises ConfigError."""
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not readable as YAML: {_said(error)}") from None
    except (ValueError, RecursionError, TypeError) as error:  # a date such as 2024-99-99, a list as a key
        raise ConfigError(f"{file} is not readable as YAML: {type(error).__name__}") from None
    return _flat(file, data or {})


def checked(name: str, value: Any, file: Path = Path("config.yaml")) -> Any:
    """The value in its setting's own type. Raises ConfigError where the setting cannot have it."""
    return _value(file, KNOWN[name], value)


def _said(error: yaml.YAMLError) -> str:
    """Where and what, without the line itself, in which a key may stand."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return str(getattr(error, "reason", "it is no YAML"))


def _flat(path: Path, data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: must hold sections such as SYSTEM, each with its keys")
    flat: dict[str, Any] = {}
    for section, keys in data.items():
        if not isinstance(keys, (dict, type(None))):
            raise ConfigError(
                f"{path}: {section} must hold keys, not a {type(keys).__name__}{nearest(str(section))}"
            )
        flat.update({f"{section}.{key}": value for key, value in (keys or {}).items()})
    return flat


def typed(name: str, text: str) -> Any:
    """The value that a person wrote for a setting. Raises ConfigError."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"{name}: the value is not readable as YAML; quote it") from None


def _checked(path: Path, given: Mapping[str, Any]) -> Config:
    values, ignored = {}, []
    for name, value in given.items():
        if name in RETIRED:
            ignored.append(f"{name} is ignored: {RETIRED[name]}")
        elif name not in KNOWN:
            raise ConfigError(f"{path}: {name} is not a setting{nearest(name)}")
        else:
            values[name] = _value(path, KNOWN[name], value)
    _check_data_place(path, values)
    return Config(values, path.resolve().parent, tuple(ignored))


def _check_data_place(path: Path, values: Mapping[str, Any]) -> None:
    """The chunk goes where {data} stands, which only the one of the two prompts has that is meant to show it."""
    with_data, without = "SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", "SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"
    if "{data}" not in values.get(with_data, "{data}"):
        raise ConfigError(f"{path}: {with_data} must have {{data}}, the place of the chunk")
    if "{data}" in values.get(without, ""):
        raise ConfigError(f"{path}: {without} cannot have {{data}}: its rows are without the chunk")


def nearest(name: str) -> str:
    """What may have been meant, for the end of an error."""
    names = [setting.name for setting in SETTINGS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else f"; settings are {', '.join(names)}"


def _value(path: Path, setting: Setting, value: Any) -> Any:
    """The value in the setting's own type: a boolean typed as text is a boolean, a whole number will do for a
    float.
    """
    if isinstance(value, str):
        written, value = value, _from_environment(path, setting.name, value)
        if value != written and setting.kind in (int, float):
            value = typed(setting.name, value)
        elif setting.kind is not str or setting.allowed:
            value = {"true": True, "false": False}.get(value.strip().lower(), value)
    kind = setting.kind
    if value is None and kind in (str, Secret):
        value = ""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if setting.allowed and kind is str:
        if not any(value == word and type(value) is type(word) for word in setting.allowed):
            raise _refusal(path, setting, value, f"one of {', '.join(map(str, setting.allowed))}")
        return value
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", Secret: "text"}
        raise _refusal(path, setting, value, names[kind])
    if setting.allowed and not setting.allowed[0] <= value <= setting.allowed[1]:
        raise _refusal(path, setting, value, f"from {setting.allowed[0]} to {setting.allowed[1]}")
    return value


def _refusal(path: Path, setting: Setting, value: Any, allowed: str) -> ConfigError:
    shown = "the value given" if setting.kind is Secret else repr(value)
    return ConfigError(f"{path}: {setting.name} must be {allowed} ({setting.about}), not {shown}")


def _from_environment(path: Path, name: str, value: str) -> str:
    def read(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{path}: {name} reads ${{{match[1]}}}, which the environment does not have")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", read, value)  # "${TOGETHER_KEY}"
