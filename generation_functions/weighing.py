"""How likely a model finds each of a few answers: the probabilities of its tokens where the answers part.

    opening, rests = parted(["Verdict: Accurate", "Verdict: Inaccurate"])
    # "Verdict:", (b" Accurate", b" Inaccurate"): a space goes with the word behind it, as it does in most vocabularies
    weighing = Weighing(rests)
    weighing.see(weighing.next(), [(1, b" Acc", 0.6), (2, b" In", 0.3), (3, b" ", 0.01), (4, b"\\n", 0.02)])
    weighing.shares()
    # [0.667, 0.333]: what neither begins is left out, and the space, which both begin, is shared out as the others are

A token that begins one answer alone counts for it, whatever the model would write behind it. One that begins several
leads to another place, where they may part. A local model is asked what follows there (`next`); of a server's answer
it is known along what it wrote (`in_logprobs`). Knows nothing of engines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

import regex

NEGLIGIBLE = 1e-3  # of what has been found: places that are less likely together are not looked at
LAST_WORD = regex.compile(r"\s*\S*\Z")

Rests = tuple[bytes | None, ...]  # of each answer what is still to come, None where it can be no more
Seen = Iterable[tuple[int, bytes, float]]  # tokens with their pieces and probabilities


@dataclass(frozen=True, slots=True)
class Place:
    """Where several answers may still come. The tokens of `path` lead there, with the probability `share`."""

    path: tuple[int, ...]
    share: float
    rests: Rests


class Weighing:
    """Adds up what is seen at one place after the other."""

    def __init__(self, rests: Rests) -> None:
        self.looks = 0
        self._found = [0.0] * len(rests)
        self._open = [Place((), 1.0, rests)]

    def next(self) -> Place | None:
        """The likeliest place at which nothing was seen yet; None when no more of them matter."""
        best = max(self._open, key=lambda place: place.share, default=None)
        left = sum(place.share for place in self._open)
        return best if left > NEGLIGIBLE * sum(self._found) else None

    def see(self, place: Place, seen: Seen) -> dict[int, Place]:
        """Take in which tokens are how likely at a place; gives the places to which some of them lead.

        An answer that is whole there is what is meant wherever no other goes on.
        """
        self.looks += 1
        self._open.remove(place)
        left, leading = place.share, {}
        for token, piece, probability in seen:
            share = place.share * probability
            begun = beginning(piece, place.rests)
            if len(begun) == 1:
                self._found[begun[0]] += share
            elif begun:
                leading[token] = Place((*place.path, token), share, behind(piece, place.rests, begun))
            left -= share if begun else 0.0
        if b"" in place.rests:
            self._found[place.rests.index(b"")] += max(0.0, left)
        self._open += leading.values()
        return leading

    def shares(self) -> list[float]:
        """The probability of each answer, 1 together; [] when nothing was found of any.

        What was not looked at is shared out among the answers that begin so, as they were found elsewhere.
        """
        if not sum(self._found):
            return []
        shares = list(self._found)
        for place in self._open:
            own = [number for number, rest in enumerate(place.rests) if rest is not None]
            known = sum(self._found[number] for number in own)
            for number in own:
                part = self._found[number] / known if known else 1 / len(own)
                shares[number] += place.share * part
        return [share / sum(shares) for share in shares]


def parted(answers: Sequence[str]) -> tuple[str, Rests]:
    """What all answers begin with, up to the word in which they part, and the rest of each."""
    opening = LAST_WORD.sub("", commonprefix(list(answers)))
    return opening, tuple(answer[len(opening) :].encode() for answer in answers)


def beginning(piece: bytes, rests: Rests) -> list[int]:
    """The answers that a piece can mean when it comes next: those that it begins, and the longest that it completes."""
    if not piece:
        return []
    begun = [n for n, rest in enumerate(rests) if rest and len(piece) < len(rest) and rest.startswith(piece)]
    whole = [(len(rest), n) for n, rest in enumerate(rests) if rest and piece.startswith(rest)]
    return begun + [number for _, number in sorted(whole)[-1:]]


def behind(piece: bytes, rests: Rests, begun: Sequence[int]) -> Rests:
    """What is still to come of these answers behind the piece."""
    return tuple(
        rest[len(piece) :] if rest is not None and n in begun else None for n, rest in enumerate(rests)
    )


def fitting(pieces: Sequence[bytes], rests: Rests) -> list[int]:
    """The tokens of a vocabulary with which one of the answers can go on."""
    firsts = {rest[:1] for rest in rests if rest}
    near = (token for token, piece in enumerate(pieces) if piece[:1] in firsts)
    return [token for token in near if beginning(pieces[token], rests)]


# What a server says of an answer that it wrote


def in_logprobs(answers: Sequence[str], text: str, logprobs: Any) -> dict[str, float]:
    """The probability of each answer, 1 together, from `logprobs` as a server's choice has it.

    `text` is the answer as it was read. {} where they do not tell: there are none, or the answers were not among the
    likeliest tokens. The place where the answers part is looked for by the last word, so it does not matter what stands
    around the answer (thoughts, JSON).
    """
    ends = [answer for answer in answers if text.rstrip().endswith(answer.rstrip())]
    if not ends:
        return {}
    rests = tuple(rest and rest.strip() for rest in parted(answers)[1])
    written = rests[answers.index(max(ends, key=len))]
    weighing = Weighing(rests)
    _go_along(weighing, written or b"", _tokens(logprobs))
    return dict(zip(answers, shares, strict=True)) if (shares := weighing.shares()) else {}


@dataclass(frozen=True, slots=True)
class _Token:
    """One that was written, and the likeliest in its place with their probabilities."""

    piece: bytes
    likeliest: tuple[tuple[bytes, float], ...]


def _go_along(weighing: Weighing, written: bytes, tokens: Sequence[_Token]) -> None:
    start = b"".join(token.piece for token in tokens).rfind(written)
    place, at = weighing.next(), 0
    for token in tokens if start >= 0 else ():
        at += len(token.piece)
        if at <= start or place is None:
            continue
        before = token.piece[: max(0, start - at + len(token.piece))]  # " " of " Accurate"
        pieces = [(piece.removeprefix(before), likely) for piece, likely in token.likeliest]
        pieces += _unlisted(pieces, place.rests)
        leading = weighing.see(place, [(n, piece, likely) for n, (piece, likely) in enumerate(pieces)])
        own = token.piece.removeprefix(before)
        place = next((leading[n] for n in leading if pieces[n][0] == own), None)


def _unlisted(pieces: Sequence[tuple[bytes, float]], rests: Rests) -> list[tuple[bytes, float]]:
    """The answers that no token of a list begins where others are begun: they are at the most as likely as its last."""
    listed = {number for piece, _ in pieces for number in beginning(piece, rests)}
    least = min((likely for _, likely in pieces), default=0.0)
    return [(rest, least) for n, rest in enumerate(rests) if rest and listed and n not in listed]


def _tokens(logprobs: Any) -> list[_Token]:
    """In the form of chats, which llama.cpp's server has for all, or in that of plain completions."""
    if not isinstance(logprobs, dict):
        return []
    content = logprobs.get("content")
    if isinstance(content, list):
        listed = [one for one in content if isinstance(one, dict)]
        return [_Token(_likely(one)[0], tuple(map(_likely, one.get("top_logprobs") or ()))) for one in listed]
    rows = zip(logprobs.get("tokens") or (), logprobs.get("top_logprobs") or (), strict=False)
    return [
        _Token(piece.encode(), tuple((top.encode(), _exp(logprob)) for top, logprob in (tops or {}).items()))
        for piece, tops in rows
        if isinstance(tops, dict | None)
    ]


def _likely(one: dict[str, Any]) -> tuple[bytes, float]:
    coded = one.get("bytes")
    return bytes(coded) if coded else str(one.get("token", "")).encode(), _exp(one.get("logprob"))


def _exp(logprob: float | None) -> float:
    return math.exp(min(logprob, 0.0)) if logprob is not None else 0.0
