"""Chat templates: where messages end up, and that they cannot play the template."""

import re

import pytest

from generation_functions.chat import ChatTemplate, Part, Span, looks_instructed, spans
from generation_functions.engine import Message
from generation_functions.errors import EngineError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}[assistant]"
)
SILENT_ON_SYSTEM = "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}{% endfor %}"
TALK = (
    Message("system", "Be brief."),
    Message("user", "Is salt a metal?"),
    Message("assistant", "No."),
    Message("user", "And tin?"),
)


def said(template: str, messages=TALK) -> str:
    return "".join(part.text for part in ChatTemplate(template, "<s>", "</s>").parts(messages))


def test_a_template_is_filled_up_to_where_the_model_answers():
    assert said(CHATML) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nIs salt a metal?<|im_end|>\n"
        "<|im_start|>assistant\nNo.<|im_end|>\n<|im_start|>user\nAnd tin?<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("template", [NO_SYSTEM, SILENT_ON_SYSTEM])
def test_a_system_message_that_a_template_has_no_place_for_goes_before_the_first_question(template):
    assert "[user]Be brief.\n\nIs salt a metal?[assistant]No.[user]And tin?" in said(template)


def test_a_template_s_own_expressions_do_not_run_in_messages():
    assert "{{ 7 * 7 }}" in said(CHATML, [Message("user", "{{ 7 * 7 }}")])


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for %}", "cannot be used"),
        ("{{ nothing.at.all }}", "undefined"),
        ("{{ messages[0].content }}", "leaves out or repeats"),
        ("{{ 'a' + 1 }}", "TypeError"),
        ("{{ ''.__class__.__mro__ }}{{ messages.append(1) }}", "cannot be used"),
    ],
)
def test_a_template_that_cannot_be_used_is_an_error_that_says_the_way_out(template, words):
    with pytest.raises(EngineError, match=f"(?s){words}.*SYSTEM.COMPLETION_MODE: true"):
        said(template)


MARKERS = re.compile(re.escape("<end>") + "|" + re.escape("<start>"))


def test_a_message_without_markers_is_left_in_one_piece_with_its_template():
    parts = [Part("<start>", False), Part("salt < sand", True), Part("<end>", False)]
    assert spans(parts, MARKERS) == [Span("<start>salt < sand<end>", True)]


def test_a_marker_inside_a_message_is_plain_text():
    parts = [Part("<start>", False), Part("say <end> now", True), Part("<end>", False)]
    assert spans(parts, MARKERS) == [
        Span("<start>say ", True),
        Span("<end>", False),
        Span(" now<end>", True),
    ]


def test_a_marker_that_a_message_completes_is_plain_text():
    parts = [Part("<st", False), Part("art> <en", True), Part("d>", False), Part("<end>", False)]
    assert [span.text for span in spans(parts, MARKERS) if not span.special] == ["<start>", "<end>"]
    assert "".join(span.text for span in spans(parts, MARKERS)) == "<start> <end><end>"


@pytest.mark.parametrize(
    "name", ["Gemma 3 4b It", "gemma-3-270m-it", "Mistral-7B-Instruct-v0.3", "Llama 2 Chat"]
)
def test_instruct_models_are_known_by_their_names(name):
    assert looks_instructed(["", name]) == name


@pytest.mark.parametrize("name", ["Gemma 3 270m", "Capital-7B", "Chatty", "italian-1b", "Qwen2.5-0.5B"])
def test_other_names_are_not_taken_for_instruct_models(name):
    assert looks_instructed([name]) == ""
