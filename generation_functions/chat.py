"""Messages as an instruct model was trained to see them: the chat template of its file, filled in.

    messages  [system "Judge.", user "Is salt a metal?"]
    text      <start_of_turn>user\\nJudge.\\n\\nIs salt a metal?<end_of_turn>\\n<start_of_turn>model\\n
    spans     (text, special)

The template's own markers become special tokens; the same characters inside a message must not, or a book that
quotes "<end_of_turn>" ends the turn. So the template is filled with placeholders, which shows where each message
ends up, and what looks like a marker there is set apart as plain text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from .engine import Message
from .errors import EngineError

_PLACE = re.compile("\ue000(\\d+)\ue001")  # private-use characters: no template writes them itself
_INSTRUCT = re.compile(r"(?<![a-z])(it|instruct|chat)(?![a-z])")


@dataclass(frozen=True, slots=True)
class Part:
    """`message`: the text is what a message says; otherwise the template's own."""

    text: str
    message: bool


@dataclass(frozen=True, slots=True)
class Span:
    """Text to be read as tokens, with markers taken for special tokens or (`special` False) for plain characters."""

    text: str
    special: bool


def looks_instructed(names: Sequence[str]) -> str:
    """The first of a model's names that says it follows instructions; "" when none does.

    Base models carry a chat template as well, so having one proves nothing.
    """
    return next((name for name in names if _INSTRUCT.search(name.lower())), "")


class ChatTemplate:
    """A template as GGUF files hold it under tokenizer.chat_template, in jinja2. It runs sandboxed.

    It gets no clock: templates that would write the date leave it out or use a fixed one.
    """

    def __init__(self, text: str, bos: str, eos: str) -> None:
        self._constants = {
            "bos_token": bos,
            "eos_token": eos,
            "tools": None,
            "enable_thinking": False,
            "raise_exception": _refuse,
        }
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        try:
            self._template = environment.from_string(text)
        except jinja2.TemplateError as error:
            raise _unusable(error) from None

    def parts(self, messages: Sequence[Message]) -> list[Part]:
        """The conversation up to where the model answers. Raises EngineError where the template cannot show it.

        A template that refuses a system message, or leaves it out, gets it in front of the first user message.
        """
        places = [f"\ue000{number}\ue001" for number in range(len(messages))]
        turns = [{"role": m.role, "content": place} for m, place in zip(messages, places, strict=True)]
        try:
            filled = self._fill(turns)
            if messages[0].role != "system" or places[0] in filled:
                return _parts(filled, messages)
        except jinja2.TemplateError as error:
            if messages[0].role != "system":
                raise _unusable(error) from None
        merged = {"role": "user", "content": f"{places[0]}\n\n{places[1]}"}
        try:
            return _parts(self._fill([merged, *turns[2:]]), messages)
        except jinja2.TemplateError as error:
            raise _unusable(error) from None

    def _fill(self, turns: Sequence[dict[str, str]]) -> str:
        try:
            return self._template.render(messages=turns, add_generation_prompt=True, **self._constants)
        except (TypeError, ValueError, LookupError) as error:  # of the template's own expressions
            raise jinja2.TemplateError(f"{type(error).__name__}: {error}") from None


def _refuse(message: str) -> None:
    """What templates call raise_exception."""
    raise jinja2.TemplateError(message)


def _unusable(error: jinja2.TemplateError) -> EngineError:
    return EngineError(
        f"the chat template in the model's file cannot be used: {error}",
        hint="SYSTEM.COMPLETION_MODE: true does without it",
    )


def _parts(filled: str, messages: Sequence[Message]) -> list[Part]:
    pieces = _PLACE.split(filled)  # text, number, text, number, ..., text
    shown = [int(number) for number in pieces[1::2]]
    if sorted(shown) != list(range(len(messages))):
        raise jinja2.TemplateError("it leaves out or repeats a message")
    parts = [Part(pieces[0], False)]
    for number, after in zip(shown, pieces[2::2], strict=True):
        parts += [Part(messages[number].content.strip(), True), Part(after, False)]
    return [part for part in parts if part.text]


def spans(parts: Sequence[Part], markers: re.Pattern[str]) -> list[Span]:
    """The whole text, cut only where a marker stands in or across a message: that one is plain.

    It is cut nowhere else, so that tokens are those of the text in one piece, as the model was trained.
    """
    text = "".join(part.text for part in parts)
    said: list[tuple[int, int]] = []
    at = 0
    for part in parts:
        if part.message:
            said.append((at, at + len(part.text)))
        at += len(part.text)
    found: list[Span] = []
    done = 0
    for marker in markers.finditer(text):
        if any(marker.start() < end and start < marker.end() for start, end in said):
            found += [Span(text[done : marker.start()], True), Span(marker.group(), False)]
            done = marker.end()
    return [span for span in [*found, Span(text[done:], True)] if span.text]
