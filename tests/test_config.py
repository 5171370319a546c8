"""Settings: what is accepted, what is refused and how, and that a key never shows."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted import ROOT

from generation_functions import config
from generation_functions.config import SETTINGS, Config
from generation_functions.errors import ConfigError

KEY = "sk-123456"


def loaded(folder: Path, text: str = "", changes: tuple[str, ...] = ()) -> Config:
    file = folder / "config.yaml"
    file.write_text(text, encoding="utf-8")
    return config.load(file, changes)


def refused(folder: Path, text: str = "", changes: tuple[str, ...] = ()) -> str:
    with pytest.raises(ConfigError) as raised:
        loaded(folder, text, changes)
    assert "\n" not in str(raised.value)
    return str(raised.value)


# What is accepted


def test_an_empty_file_means_the_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert dict(settings) == {setting.name: setting.default for setting in SETTINGS}
    assert repr(settings) == "Config(defaults)"


def test_every_default_is_allowed_by_its_own_range(tmp_path: Path) -> None:
    sections: dict[str, dict[str, Any]] = {}
    for setting in SETTINGS:
        section, key = setting.name.split(".")
        value = str(setting.default) if type(setting.default) is config.Secret else setting.default
        sections.setdefault(section, {})[key] = value
    assert dict(loaded(tmp_path, yaml.safe_dump(sections))) == dict(loaded(tmp_path))


def test_the_shipped_file_shows_every_setting_that_is_not_a_long_text() -> None:
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    named = {f"{section}.{key}" for section, keys in shipped.items() for key in keys}
    hidden = {"SYSTEM.FINAL_ASSISTANT_PROMPT_RAG", "SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG"}
    assert named == {setting.name for setting in SETTINGS} - hidden
    assert isinstance(config.load(ROOT / "config.yaml"), Config)


@pytest.mark.parametrize("name", ["lineage_config.yaml", "lineage_later_config.yaml"])
def test_a_file_of_the_lineage_loads_as_it_is(name: str) -> None:
    file = ROOT / "tests" / "data" / name
    written = yaml.safe_load(file.read_text(encoding="utf-8"))
    given = {f"{section}.{key}": v for section, keys in written.items() for key, v in keys.items()}
    settings = config.load(file)
    assert {k: settings[k] for k in given if k in settings} == {
        k: v for k, v in given.items() if k in settings
    }
    assert given.keys() - settings.keys() == {line.split()[0] for line in settings.ignored}


def test_a_retired_setting_of_the_lineage_is_named_as_ignored(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "PHASE: {WORK_IN_PHASES: true}\nHUGGINGFACE: {PUSH_TO_HUB: false}")
    assert [line.partition(":")[0] for line in settings.ignored] == [
        "PHASE.WORK_IN_PHASES is ignored",
        "HUGGINGFACE.PUSH_TO_HUB is ignored",
    ]


@pytest.mark.parametrize("text", ['"False"', "'false'", "False", '" FALSE "'])
def test_false_written_as_text_is_false(tmp_path: Path, text: str) -> None:
    settings = loaded(tmp_path, f"SYSTEM: {{STOP: {text}, COMPLETION_MODE: {text}}}")
    assert settings["SYSTEM.STOP"] is False
    assert settings["SYSTEM.COMPLETION_MODE"] is False


@pytest.mark.parametrize("key, text", [("RAG", "Know it."), ("NO_RAG", "Know {data}.")])
def test_the_chunk_has_a_place_in_just_the_prompt_that_shows_it(tmp_path: Path, key: str, text: str) -> None:
    said = refused(tmp_path, f"SYSTEM: {{FINAL_ASSISTANT_PROMPT_{key}: '{text}'}}")
    assert f"SYSTEM.FINAL_ASSISTANT_PROMPT_{key} " in said and "{data}" in said


def test_a_text_setting_may_say_true(tmp_path: Path) -> None:
    assert loaded(tmp_path, "API: {LOGICAL_MODEL: 'True'}")["API.LOGICAL_MODEL"] == "True"


def test_a_whole_number_will_do_for_a_setting_with_decimals(tmp_path: Path) -> None:
    value = loaded(tmp_path, "LOCAL: {ROPE_FREQ_SCALE: 1}")["LOCAL.ROPE_FREQ_SCALE"]
    assert (value, type(value)) == (1.0, float)


def test_a_change_on_the_command_line_comes_before_the_file(tmp_path: Path) -> None:
    settings = loaded(tmp_path, "SYSTEM: {CHUNK_SIZE: 500}", ("SYSTEM.CHUNK_SIZE=700", "SYSTEM.MODE=sample"))
    assert (settings["SYSTEM.CHUNK_SIZE"], settings["SYSTEM.MODE"]) == (700, "sample")


def test_paths_are_taken_from_where_the_file_is(tmp_path: Path) -> None:
    assert loaded(tmp_path, "PATH: {INPUT: ./texts}").path("PATH.INPUT") == tmp_path / "texts"
    assert loaded(tmp_path, "PATH: {INPUT: /texts}").path("PATH.INPUT") == Path("/texts")


# The environment


def test_a_value_may_name_a_variable_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GM_KEY", KEY)
    monkeypatch.setenv("GM_HOST", "box")
    settings = loaded(tmp_path, "API: {API_KEY: '${GM_KEY}', BASE_URL: 'http://${GM_HOST}:80/v1'}")
    assert (settings["API.API_KEY"], settings["API.BASE_URL"]) == (KEY, "http://box:80/v1")


@pytest.mark.parametrize(
    ("name", "text", "value"), [("SUBSET_SIZE", "12", 12), ("USE_SUBSET", "false", False)]
)
def test_a_variable_may_hold_a_number_or_a_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any
) -> None:
    monkeypatch.setenv("GM_VALUE", text)
    assert loaded(tmp_path, f"SYSTEM: {{{name}: '${{GM_VALUE}}'}}")[f"SYSTEM.{name}"] is value


def test_a_variable_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GM_NOT_THERE", raising=False)
    message = refused(tmp_path, "API: {API_KEY: '${GM_NOT_THERE}'}")
    assert "API.API_KEY reads ${GM_NOT_THERE}, which the environment does not have" in message


# What is refused


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SYSTEM: {DOUBLE_CHEK_COUNTER: 3}", "did you mean SYSTEM.DOUBLE_CHECK_COUNTER?"),
        ("SYTEM: {MODE: api}", "SYTEM.MODE is not a setting; did you mean SYSTEM.MODE?"),
        ("SYSTEM: {CHUNK_SIZ: 1900}", "did you mean SYSTEM.CHUNK_SIZE?"),
        ("API: {XQZW: 1}", "API.XQZW is not a setting"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(
    tmp_path: Path, text: str, words: str
) -> None:
    message = refused(tmp_path, text)
    assert words in message
    assert str(tmp_path / "config.yaml") in message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SYSTEM: {CHUNK_SIZE: '1900'}", "SYSTEM.CHUNK_SIZE must be a whole number"),
        ("SYSTEM: {CHUNK_SIZE: 19.5}", "SYSTEM.CHUNK_SIZE must be a whole number"),
        ("SYSTEM: {CHUNK_SIZE: true}", "SYSTEM.CHUNK_SIZE must be a whole number"),
        ("SYSTEM: {CHUNK_SIZE: }", "SYSTEM.CHUNK_SIZE must be a whole number"),
        ("SYSTEM: {STOP: 1}", "SYSTEM.STOP must be true or false"),
        ("SYSTEM: {STOP: 'no thanks'}", "SYSTEM.STOP must be true or false"),
        ("SYSTEM: {COMPLETION_MODE: 1}", "SYSTEM.COMPLETION_MODE must be one of auto, True, False"),
        ("SYSTEM: {MODE: llamacpp}", "SYSTEM.MODE must be one of local, api"),
        ("SYSTEM: {MODE: [api]}", "SYSTEM.MODE must be one of local, api"),
        ("SYSTEM: {DOUBLE_CHECK_COUNTER: 0}", "SYSTEM.DOUBLE_CHECK_COUNTER must be from 1 to 15"),
        ("SYSTEM: {SUBSET_SIZE: -1}", "SYSTEM.SUBSET_SIZE must be from 1 to"),
        ("LOCAL: {ROPE_FREQ_SCALE: .nan}", "LOCAL.ROPE_FREQ_SCALE must be from 0.0 to 1.0"),
        ("PATH: {INPUT: 5}", "PATH.INPUT must be text"),
        ("SYSTEM: 5", "SYSTEM must hold keys"),
        ("- SYSTEM", "must hold sections such as SYSTEM"),
        ("SYSTEM:\n  MODE: [}", "is not readable as YAML: line 2: expected the node content"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(tmp_path: Path, text: str, words: str) -> None:
    assert words in refused(tmp_path, text)


def test_a_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere.yaml is not there"):
        config.load(tmp_path / "nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"API: \xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("SYSTEM.MODE", "a change is written SECTION.KEY=value"),
        ("SYSTEM.MODE=[", "the value is not readable as YAML; quote it"),
        ("SYSTEM.MOD=api", "did you mean SYSTEM.MODE?"),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(tmp_path: Path, change: str, words: str) -> None:
    assert words in refused(tmp_path, changes=(change,))


# Keys


def test_a_key_is_usable_but_not_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, f"API: {{API_KEY: {KEY}, LARGE_API_KEY: {KEY}}}")
    assert f"Bearer {settings['API.API_KEY']}" == f"Bearer {KEY}"
    for shown in (
        repr(settings),
        str(settings),
        f"{settings}",
        repr(dict(settings)),
        repr(settings["API.API_KEY"]),
    ):
        assert KEY not in shown
    assert "API.API_KEY='***'" in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        f"API: {{API_KEY: [{KEY}]}}",
        f"API: {{API_KEY: '{KEY}}}",
        f"API:\n  API_KEY: {KEY}: x",
        f"API: {KEY}",
        f"API_KEY: {KEY}",
        f"API: {{API_KEY: {KEY}, API_KEX: {KEY}}}",
    ],
)
def test_no_error_shows_a_key(tmp_path: Path, text: str) -> None:
    assert KEY not in refused(tmp_path, text)


@pytest.mark.parametrize("change", [f"API.API_KEY='{KEY}", f"API.API_KEY:{KEY}", f"API.API_KEY=[{KEY}]"])
def test_no_error_of_a_change_shows_a_key(tmp_path: Path, change: str) -> None:
    assert KEY not in refused(tmp_path, changes=(change,))


def test_a_younger_setting_leaves_older_fingerprints_alone_until_it_is_changed(tmp_path: Path) -> None:
    older = ("SYSTEM.DOUBLE_CHECK_COUNTER",)
    names = (*older, "SYSTEM.VOTING", "SYSTEM.PASS_PROBABILITY")
    settings = [loaded(tmp_path, text) for text in ("", "SYSTEM: {PASS_PROBABILITY: 0.7}")]
    assert [one.fingerprint(names) == one.fingerprint(older) for one in settings] == [True, False]


def test_a_setting_that_changes_results_changes_the_fingerprint(tmp_path: Path) -> None:
    names = ("SYSTEM.DOUBLE_CHECK_COUNTER",)
    prints = [
        loaded(tmp_path, f"SYSTEM: {{DOUBLE_CHECK_COUNTER: {n}}}").fingerprint(names) for n in (3, 3, 5)
    ]
    assert prints[0] == prints[1] != prints[2]
