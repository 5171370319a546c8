"""config.yaml edited: the text stays as it was but for the values, and what saving would redo is what happens."""

import os
import random
import stat
from pathlib import Path
from typing import Any

import pytest
from house import journal
from scripted import ROOT, Project, agreeable

from generation_functions import config
from generation_functions.config import SETTINGS, Secret, Setting, parsed
from generation_functions.config_text import FILE, changed
from generation_functions.errors import ConfigError
from generation_functions.redone import redone, touched
from generation_functions.settings import difference, save, state_of_key
from generation_functions.uploads import safe_name, take_text

SHIPPED = (ROOT / "config.yaml").read_text(encoding="utf-8")
BEGINNING = SHIPPED[: SHIPPED.index("  USE_FILENAMES:")]
KEY = "sk-123456"
ODD = (
    *(
        "",
        "a",
        "true",
        "False",
        "null",
        "~",
        "0o7",
        "0x1f",
        "1e3",
        "1_000",
        ".5",
        "2024-01-01",
        "on",
        "=",
        "<<",
    ),
    *(
        " leads",
        "trails ",
        "\tleads",
        "a: b",
        "a:",
        "a #b",
        "#b",
        "'q'",
        '"d"',
        "it's",
        "C:\\new",
        "{data}",
        "[1",
    ),
    *(
        "a,b",
        "a]b}",
        "- a",
        "? a",
        "*a",
        "&a",
        "!t",
        "%x",
        "@x",
        "`x",
        "| a",
        "> a",
        "---",
        "...",
        "é",
        "漢😀",
    ),
    *(
        "two\nlines",
        "ends\n",
        "\n",
        "\nleads",
        "  deep\nx",
        "a\n\n\n",
        "a\n \nb",
        "a\r\nb",
        "\x07",
        "\x85",
        "\u2028",
    ),
    *("\ufeff", "\ud83d", "a\t", "x\n# no comment\ny", "x\n--- \n", "longer " * 40),
)
FILES = {
    "shipped": BEGINNING,
    "shipped with CRLF": BEGINNING.replace("\n", "\r\n"),
    "shipped without a last newline": BEGINNING.rstrip("\n"),
    "empty": "",
    "comments alone": "# nothing yet\n",
    "braces": "API: {BASE_URL: 'http://a', API_KEY: '${K}'}  # c\nSYSTEM: {}\n",
    "braces in braces": "{API: {BASE_URL: x}, SYSTEM: {STOP: true}}\n",
    "no values": "API:\n  BASE_URL:      # none yet\n  API_KEY:\nSYSTEM:   # none\n  # not one\nSKIP: ~\n",
    "four columns": "API:\n    BASE_URL: \"x\"   # c\n\n\n# between\nSYSTEM:\n    STOP: 'no'\n\n",
    "a mark and umlauts": "\ufeff# Größe 😀\nAPI:\n  BASE_URL: http://ü   # Höhe 😀\n",
    "blocks": "SYSTEM:\n  FINAL_ASSISTANT_PROMPT_NO_RAG: |   # said\n    Know.\n\n     All.\n\n"
    "  FINAL_ASSISTANT_PROMPT_RAG: >-\n    Look:\n    {data}\n# end\nAPI:\n  BASE_URL: |+\n    a\n\n",
}  # fmt: skip


def random_value(setting: Setting, rng: random.Random) -> Any:
    if setting.name.endswith("PROMPT_RAG"):
        return rng.choice(ODD) + "{data}" + rng.choice(ODD)
    if setting.kind in (str, Secret):
        texts = [text for text in ODD if "{data}" not in text or not setting.name.endswith("_NO_RAG")]
        return rng.choice(setting.allowed or texts)
    if setting.kind is bool:
        return rng.random() < 0.5
    low, high = setting.allowed
    return (
        rng.randint(low, high)
        if setting.kind is int
        else rng.choice([low, high, rng.uniform(low, high), 1e-5])
    )


def load(folder: Path, text: str) -> config.Config:
    (folder / "config.yaml").write_bytes(text.encode("utf-8"))
    return config.load(folder / "config.yaml")


# What changes and what does not


@pytest.mark.parametrize("name", FILES)
def test_any_text_comes_back_as_it_was_given(name: str) -> None:
    for value in ODD:
        for setting in ("API.BASE_URL", "SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG", "PATH.INPUT"):
            new = changed(FILES[name], {setting: value})
            assert config.written(new, FILE) == {**config.written(FILES[name], FILE), setting: value}, (
                setting,
                value,
            )


@pytest.mark.parametrize("seed", range(8))
def test_random_settings_load_with_just_their_values_changed(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", KEY)
    rng = random.Random(seed)
    text = FILES[rng.choice(["shipped", "shipped with CRLF", "braces", "blocks", "empty", "no values"])]
    before = dict(load(tmp_path, text))
    chosen = {setting.name: random_value(setting, rng) for setting in rng.sample(SETTINGS, 6)}
    after = load(tmp_path, changed(text, chosen))
    assert dict(after) == {**before, **chosen}
    assert all(isinstance(after[name], type(value)) for name, value in chosen.items())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_other_lines_and_all_comments_stay_and_keep_their_columns(newline: str) -> None:
    text = SHIPPED.replace("\n", newline)
    short = {"SYSTEM.CHUNK_SIZE": 700, "SYSTEM.MODE": "aphrodite", "LOCAL.FLASH_ATTENTION": True}
    new = changed(text, {**short, "API.BASE_URL": "https://an.address.that.is.longer/v1"})
    pairs = [(a, b) for a, b in zip(text.split(newline), new.split(newline), strict=True) if a != b]
    assert [b.split()[0] for _, b in pairs] == ["BASE_URL:", "MODE:", "CHUNK_SIZE:", "FLASH_ATTENTION:"]
    assert pairs[0][
        1
    ] == '  BASE_URL: "https://an.address.that.is.longer/v1"  # an OpenAI-compatible address, ' + (
        "usually ending in /v1"
    )
    for a, b in pairs[1:]:
        assert (a[a.index("#") :], a.index("#")) == (b[b.index("#") :], b.index("#"))
    assert new.count("\r") == text.count("\r")


def test_what_is_changed_back_is_the_text_that_was() -> None:
    new = changed(SHIPPED, {"SYSTEM.CHUNK_SIZE": 20, "LOCAL.ROPE_FREQ_SCALE": 0.33, "EXPORT.GREETING": True})
    assert (
        changed(new, {"SYSTEM.CHUNK_SIZE": 1900, "LOCAL.ROPE_FREQ_SCALE": 0.0, "EXPORT.GREETING": False})
        == SHIPPED
    )


def test_a_value_that_is_there_already_changes_no_character() -> None:
    for name, text in FILES.items():
        assert changed(text, config.written(text, FILE)) == text, name
    assert changed("API: {TIMEOUT: 0x10, RPM: 1_000}", {"API.TIMEOUT": 16, "API.RPM": 1000}) == (
        "API: {TIMEOUT: 0x10, RPM: 1_000}"
    )


def test_quotes_stay_of_their_kind() -> None:
    text = "API:\n  BASE_URL: 'a'\n  LOGICAL_MODEL: \"b\"\n  API_KEY: c\n"
    new = changed(text, {"API.BASE_URL": "x", "API.LOGICAL_MODEL": "y", "API.API_KEY": "z"})
    assert new == "API:\n  BASE_URL: 'x'\n  LOGICAL_MODEL: \"y\"\n  API_KEY: z\n"


def test_a_setting_that_is_not_there_comes_at_the_end_of_its_section() -> None:
    text = "SYSTEM:\n    MODE: api  # c\n    # STOP comes later\n\n# the rest\nSKIP:\n"
    assert changed(text, {"SYSTEM.STOP": False, "SKIP.PLAN_QUESTIONS": False}) == (
        "SYSTEM:\n    MODE: api  # c\n    # STOP comes later\n    STOP: false\n\n"
        "# the rest\nSKIP:\n    PLAN_QUESTIONS: false\n"
    )
    assert changed("API: {RPM: 1}", {"API.TPM": 2}) == "API: {RPM: 1, TPM: 2}"


def test_a_section_that_is_not_there_comes_at_the_end() -> None:
    assert changed("API:\n   RPM: 1", {"SYSTEM.STOP": False}) == "API:\n   RPM: 1\n\nSYSTEM:\n   STOP: false"
    assert changed("", {"SYSTEM.STOP": False}) == "SYSTEM:\n  STOP: false\n"
    assert changed("{API: {RPM: 1}}", {"SYSTEM.STOP": False}) == "{API: {RPM: 1}, SYSTEM: {STOP: false}}"


def test_a_block_stays_a_block_with_its_comment() -> None:
    new = changed(FILES["blocks"], {"SYSTEM.FINAL_ASSISTANT_PROMPT_NO_RAG": "One.\n\nTwo.\n"})
    assert "NO_RAG: |   # said\n    One.\n\n    Two.\n\n  FINAL_ASSISTANT_PROMPT_RAG: >-\n" in new


def test_an_alias_is_replaced_and_its_anchor_stays() -> None:
    text = "SYSTEM:\n  CHUNK_SIZE: &size 1900\n  SUBSET_SIZE: *size   # as many\n"
    assert changed(text, {"SYSTEM.SUBSET_SIZE": 7}) == text.replace("*size ", "7     ")


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        ("SYSTEM:\n  STOP: false\n  STOP: true\n", "SYSTEM.STOP", "SYSTEM.STOP stands on lines 2 and 3"),
        ("SYSTEM: {STOP: true}\nSYSTEM: {}\n", "SYSTEM.STOP", "SYSTEM stands on lines 1 and 2"),
        ("SYSTEM:\n  STOP: &a true\n  GRAPH: *a\n", "SYSTEM.STOP", "has a name (&...)"),
        (
            "SYSTEM: &a\n  STOP: true\nSKIP: *a\n",
            "SYSTEM.STOP",
            "cannot be changed here without changing more",
        ),
        ("SYSTEM:\n\tSTOP: true\n", "SYSTEM.STOP", "line 2: found character '\\t'"),
        ("SYSTEM: 5\n", "SYSTEM.STOP", "SYSTEM must hold keys"),
        ("- a\n", "SYSTEM.STOP", "must hold sections"),
        ("API: 2024-99-99\n", "SYSTEM.STOP", "is not readable as YAML"),
        ("", "SYSTEM.STOPS", "did you mean SYSTEM.STOP?"),
    ],
)
def test_what_cannot_be_changed_alone_is_refused_in_a_line(text: str, name: str, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        changed(text, {name: False})
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_no_reference_is_looked_up_on_its_way_to_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GM_KEY", KEY)
    text = "API: {API_KEY: '${GM_KEY}', RPM: 1}"
    assert changed(text, {"API.RPM": 2}) == "API: {API_KEY: '${GM_KEY}', RPM: 2}"
    assert changed("API:\n  API_KEY:\n", {"API.API_KEY": "${GM_KEY}"}) == "API:\n  API_KEY: ${GM_KEY}\n"
    assert parsed(text, Path("config.yaml"))["API.API_KEY"] == KEY


# Keys


def test_no_difference_shows_a_key() -> None:
    old = changed(SHIPPED, {"API.API_KEY": KEY, "API.LARGE_API_KEY": f"{KEY}: 'x'"})
    new = changed(old, {"API.API_KEY": f"{KEY}7", "API.LARGE_API_KEY": "${LARGE}", "SYSTEM.STOP": False})
    shown = "\n".join(difference(old, new))
    assert KEY not in shown
    assert '-  API_KEY: "***"' in shown and "+  LARGE_API_KEY: " in shown and "${LARGE}" in shown
    assert KEY not in "\n".join(difference(old, changed(old, {"SYSTEM.STOP": False})))


def test_the_lines_that_differ_stand_in_pairs() -> None:
    lines = difference(SHIPPED, changed(SHIPPED, {"SYSTEM.CHUNK_SIZE": 700, "SYSTEM.USE_FILENAMES": True}))
    assert [line.split()[0] + line.split()[1] for line in lines] == [
        *("-CHUNK_SIZE:", "+CHUNK_SIZE:", "-USE_FILENAMES:", "+USE_FILENAMES:")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "said"),
    [(KEY, "set"), ("", "not set"), (None, "not set"), (" ${K} ", "${K}"), ("a${K}", "set")],
)
def test_of_a_key_only_its_state_is_told(value: Any, said: str) -> None:
    assert state_of_key(value) == said


# Saving


def test_a_file_is_replaced_when_it_is_what_was_read(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(SHIPPED)
    file.chmod(0o640)
    save(file, SHIPPED, changed(SHIPPED, {"SYSTEM.STOP": False}))
    assert config.load(file)["SYSTEM.STOP"] is False
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["config.yaml"]


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "config.yaml"
    real.write_text("")
    link.symlink_to(real)
    save(link, "", "SYSTEM: {STOP: false}")
    assert link.is_symlink() and real.read_text() == "SYSTEM: {STOP: false}"


def test_a_file_that_was_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("SYSTEM: {STOP: true}")
    with pytest.raises(ConfigError, match="config.yaml has been changed since; load it again"):
        save(file, "", "SYSTEM: {STOP: false}")
    assert file.read_text() == "SYSTEM: {STOP: true}"


def test_what_would_not_load_is_not_saved(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"SYSTEM\.CHUNK_SIZE must be from 100 to 20000"):
        save(file, "", changed("", {"SYSTEM.CHUNK_SIZE": 5}))
    assert file.read_text() == ""


# Texts


def test_a_text_is_taken_and_is_there_already_the_second_time(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    assert take_text(folder, "a.txt", b"Salt.\r\n").how == "taken"
    assert take_text(folder, "a.txt", b"Salt.\r\n").how == "there already"
    assert (folder / "a.txt").read_bytes() == b"Salt.\r\n"
    assert os.listdir(folder) == ["a.txt"]


def test_another_text_of_the_same_name_is_replaced_only_when_that_is_wanted(tmp_path: Path) -> None:
    take_text(tmp_path, "a.txt", b"Salt.")
    with pytest.raises(
        ConfigError, match="a.txt was not taken: there is another text of that name, which stays"
    ):
        take_text(tmp_path, "a.txt", b"Smoke.")
    assert (tmp_path / "a.txt").read_bytes() == b"Salt."
    assert take_text(tmp_path, "a.txt", b"Smoke.", replace=True).how == "replaced"
    assert os.listdir(tmp_path) == ["a.txt"] and (tmp_path / "a.txt").read_bytes() == b"Smoke."


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.pdf", b"%PDF", "a.pdf was not taken: .pdf is not plain text"),
        ("a.txt", bytes(range(256)), "a.txt was not taken: binary"),
        ("a.txt", b" \n", "a.txt was not taken: empty"),
        (".hidden", b"Salt.", "names no file that would be read"),
        ("..", b"Salt.", "names no file that would be read"),
        ("x/", b"Salt.", "names no file that would be read"),
        ("a" * 300, b"Salt.", "its name is too long"),
        ("folder", b"Salt.", "there is a folder of that name"),
    ],
)
def test_what_no_run_would_read_is_refused_with_the_reason(
    tmp_path: Path, name: str, data: bytes, words: str
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError) as raised:
        take_text(tmp_path, name, data)
    assert words in str(raised.value)
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\texts\\Salt, by A. Reed.txt", "Salt, by A. Reed.txt"),
        ("a\x00b\x1b[31m\u202ec.txt", "ab[31mc.txt"),
        ("漢字.md", "漢字.md"),
    ],
)
def test_a_name_is_without_folders_and_characters_that_act(name: str, safe: str) -> None:
    assert safe_name(name) == safe


# What saving would redo


def settings_of(project: Project, *changes: str) -> config.Config:
    usual = ("SYSTEM.MODE=sample", "SYSTEM.CHUNK_SIZE=100", "SYSTEM.REARRANGEMENTS_TO_TAKE=1")
    return config.load(project.folder / "config.yaml", (*usual, *changes))


CHANGES = [
    ("SYSTEM.USE_FILENAMES=true",),
    ("SYSTEM.DOUBLE_CHECK_COUNTER=5",),
    ("SYSTEM.PAIRS_PER_CHUNK=1",),
    ("SYSTEM.CONVERSATION_QUOTES=free",),
    ("SYSTEM.ASSISTANT_MODE=true",),
    ("SYSTEM.REARRANGEMENTS_TO_TAKE=3",),
    ("SYSTEM.USE_SUBSET=true", "SYSTEM.SUBSET_SIZE=1"),
    ("SKIP.CONVERSATION_GENERATION=true",),
    ("SKIP.REPAIR_QA_TUPLES=true",),
    ("LOCAL.KV_TYPE=q8_0",),
    ("API.RPM=5", "SYSTEM.GRAPH=false", "EXPORT.GREETING=true"),
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: changes[0])
def test_what_is_said_of_a_change_is_what_happens(finished: Project, changes: tuple[str, ...]) -> None:
    assert_it_happens(finished, *changes)


@pytest.mark.parametrize("change", ["SYSTEM.CHUNK_SIZE=200", "PATH.INPUT=./other"])
def test_what_is_said_of_other_chunks_is_what_happens(project: Project, change: str) -> None:
    long = " ".join(f"Sentence number {n} tells of salt and of smoke." for n in range(6))
    project.write("raw_text_input/Long.txt", long)
    project.write("other/Long.txt", long)
    with project.open() as wb:
        wb.run()
        [first, *_] = redone(wb._steps, wb.config, settings_of(project, change))
    assert "give way to" in first if "SIZE" in change else "are left out, not deleted" in first
    assert_it_happens(project, change)


def test_what_is_said_of_other_prompts_is_what_happens(finished: Project) -> None:
    own = (ROOT / "prompts" / "check_question.yaml").read_text(encoding="utf-8")
    finished.write(
        "own/check_question.yaml", own.replace("without any other knowledge", "without knowing more", 1)
    )
    with finished.open() as wb:
        [said] = redone(wb._steps, wb.config, settings_of(finished, "PATH.PROMPTS=./own"))
    assert said.startswith("PROMPTS: ") and " of vet;" in said
    assert_it_happens(finished, "PATH.PROMPTS=./own")


def assert_it_happens(finished: Project, *changes: str) -> None:
    """What `touched` says of the changes is what a workbench that is opened with them finds."""
    with finished.open() as wb:
        before = {batch.name: set(batch.items.inputs.keys) for batch in wb.status()}  # type: ignore[attr-defined]
        told = {one.step: one for one in touched(wb._steps, wb.config, settings_of(finished, *changes))}
    bought = journal(finished.folder)
    with finished.open(agreeable, *changes) as wb:
        for batch in wb.status():
            one = told.pop(batch.name, None)
            keys = set(batch.items.inputs.keys)  # type: ignore[attr-defined]
            gone = before[batch.name] - keys
            new = len(keys - before[batch.name]) if batch.name == "chunks" else batch.ledger.pending
            assert (
                (one.gone, one.older, one.missing) == (len(gone), batch.older, new)
                if one
                else not (gone or batch.older or new)
            )
            if one and one.gone:
                calls = [call for call in bought if call["step"] == batch.name and call["item"] in gone]
                assert one.calls == len(calls)
        assert not told


def test_what_is_put_back_is_no_longer_older(finished: Project) -> None:
    with finished.open() as wb:
        five = settings_of(finished, "SYSTEM.DOUBLE_CHECK_COUNTER=5")
        found = touched(wb._steps, five, wb.config)
        assert found and all((one.older, one.calls, one.fresh) == (0, 0, one.of) for one in found)
        assert "no longer count as older" in redone(wb._steps, five, wb.config)[0]
        assert touched(wb._steps, five, settings_of(finished, "SYSTEM.DOUBLE_CHECK_COUNTER=7")) == []


def test_what_is_to_be_made_is_counted_in_an_unfinished_run(project: Project) -> None:
    with project.open() as wb:
        wb.write(wb.judge(wb.chunks()))
        found = touched(
            wb._steps, wb.config, settings_of(project, "SYSTEM.USE_SUBSET=true", "SYSTEM.SUBSET_SIZE=1")
        )
    assert {one.step: (one.of, one.gone, one.missing) for one in found} == {
        "chunks": (2, 1, 0),
        "judge": (2, 1, 0),
        "write": (2, 1, 0),
    }


KEPT = "select * from states union all select 'cuts', count(*) from cuts"


def test_saying_it_changes_nothing_in_the_run(finished: Project) -> None:
    with finished.open() as wb:
        before = [
            tuple(row)
            for row in wb._store._rows("select * from states union all select 'cuts', count(*) from cuts")
        ]
        for changes in [*CHANGES, ("SYSTEM.CHUNK_SIZE=200",)]:
            redone(wb._steps, wb.config, settings_of(finished, *changes))
        after = [
            tuple(row)
            for row in wb._store._rows("select * from states union all select 'cuts', count(*) from cuts")
        ]
        assert after == before
        assert wb.config["SYSTEM.CHUNK_SIZE"] == 100
        assert [batch.ledger.pending for batch in wb.status()] == [0] * 8


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("API.RPM=5",), "Nothing that was made is touched."),
        (("PATH.OUTPUT=./other",), "OUTPUT: this run stays where it is"),
        (("PATH.INPUT=/",), "INPUT: all texts below / are read"),
        (("PATH.INPUT=./none",), "the set-up cell stops: PATH.INPUT: folder"),
        (("SYSTEM.MODE=api",), "the set-up cell stops: API.BASE_URL is empty"),
        (("SYSTEM.DOUBLE_CHECK_COUNTER=5", "API.RPM=5"), "DOUBLE_CHECK_COUNTER: what was made stays and counts as"),
        (("SYSTEM.USE_SUBSET=true", "SYSTEM.SUBSET_SIZE=1"), "USE_SUBSET, SUBSET_SIZE: 1 of 2 chunks are left out"),
    ],
)  # fmt: skip
def test_what_would_be_redone_is_said_in_a_sentence(
    finished: Project, changes: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the models as they are, which is what refuses them
    with finished.open() as wb:
        said = redone(wb._steps, wb.config, settings_of(finished, *changes))
        assert said[0].startswith(words) or words in said[0], said
        assert redone(wb._steps, wb.config, wb.config) == []


def test_many_texts_are_not_cut_for_a_look(finished: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generation_functions.redone.CUT_AT_MOST", 10)
    with finished.open() as wb:
        [said] = redone(wb._steps, wb.config, settings_of(finished, "SYSTEM.CHUNK_SIZE=120"))
    calls = len(journal(finished.folder))
    assert said.startswith("The texts are cut anew") and f"{calls} calls were bought" in said


def test_a_key_is_in_no_sentence(finished: Project) -> None:
    with finished.open() as wb:
        said = redone(wb._steps, wb.config, settings_of(finished, f"API.API_KEY={KEY}", "SYSTEM.MODE=api"))
    assert KEY not in " ".join(said)
