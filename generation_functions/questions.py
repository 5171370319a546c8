"""From chunks to pairs that can be trusted: judge, write, vet, standalone.

Each takes one record and `ask`, and gives an Outcome. They know prompts by the name of their stage and by the
fields they read, nothing of engines or files. An OutputError that gets out of here makes the item failed, not
rejected.

    judge(Chunk)       -> kept | rejected: "Unsuitable: a list of chapter titles"
    write(Chunk)       -> kept, with up to `count` pairs
    vet(Pair)          -> kept, perhaps rewritten | rejected: "accuracy: the text says 1869"
    standalone(Pair)   -> kept, perhaps reworded | rejected: "Reject: needs the drawing"
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import text
from .checks import flaw_of_pair, normal
from .grammar import Reading
from .prompts import Values
from .records import Chunk, Outcome, Pair, Verdict
from .stage import Ask

REWRITES = 4  # new pairs written in place of one that fails; the lineage's number


@dataclass(frozen=True, slots=True)
class PairCheck:
    """A vote on pairs: the stage that asks for it and what it is called in a reason and in a rewrite's
    prompt.
    """

    stage: str
    name: str
    values: tuple[str, ...]


CHECKS = (
    PairCheck("check_question", "question", ("text", "question")),
    PairCheck("check_relevance", "relevance", ("text", "question", "answer")),
    PairCheck("check_accuracy", "accuracy", ("text", "question", "answer", "evidence")),
)


async def judge(chunk: Chunk, ask: Ask) -> Outcome:
    """Whether a chunk holds something worth asking about. One call."""
    reading = await ask("judge_paragraph", {"text": chunk.text, "source": text.describe(chunk.source)})
    if ask.passes("judge_paragraph", reading):
        return Outcome("kept", (chunk,), reading.text("reason"))
    return Outcome("rejected", (chunk,), f"{reading.text('verdict')}: {reading.text('reason')}")


async def write(chunk: Chunk, ask: Ask, *, count: int, planned: bool) -> Outcome:
    """Up to `count` pairs, never more than the chunk has sentences.

    One call, two when they are planned first.
    """
    count = min(count, len(chunk.sentences))
    values = {**_numbered(chunk), "count": count, "more": count - 1, "plan": ""}
    if planned:
        plan = await ask("plan_questions", {**values, "text": chunk.text})
        values["plan"] = plan.text("plan")
    reading = await ask("write_pairs", values)
    pairs = tuple(_pair(chunk, part) for part in reading.each("pair"))
    return Outcome("kept", pairs)


async def vet(
    pair: Pair,
    ask: Ask,
    *,
    votes: int,
    checks: Sequence[PairCheck] = CHECKS,
    rewrites: int = REWRITES,
    siblings: Collection[str] = (),
    may_name_text: bool = False,
) -> Outcome:
    """Check a pair; where a check fails, write a new one from the same chunk with the reason, and start again.

    `siblings` are the questions asked of the same chunk, which a rewrite must not ask again. At most
    (rewrites + 1) * len(checks) * votes + rewrites calls. Raises Undecided when too few votes can be used.
    """
    taken: list[Verdict] = []
    for rewrite in range(rewrites + 1):
        failed, reason = "form", flaw_of_pair(pair, may_name_text=may_name_text)
        for check in () if reason else checks:
            verdict = await ask.majority(check.stage, _values(pair, check), votes)
            taken.append(verdict)
            if not verdict.passed:
                failed, reason = check.name, verdict.reason
                break
        if not reason:
            return Outcome("kept", (pair,), f"rewritten {rewrite} times" if rewrite else "", tuple(taken))
        if rewrite < rewrites:
            pair = await _rewritten(pair, ask, failed, reason, siblings)
    return Outcome("rejected", (pair,), f"{failed}: {reason}", tuple(taken))


async def standalone(pair: Pair, ask: Ask, *, votes: int, may_name_text: bool = False) -> Outcome:
    """Whether a pair makes sense to somebody who has not read the text; reworded where that is enough.

    One call, and the votes on accuracy when it is reworded.
    """
    values = {"text": pair.chunk.text, "question": pair.question, "answer": pair.answer}
    reading = await ask("make_standalone", {**values, "source": text.describe(pair.chunk.source)})
    verdict, reason = reading.text("verdict"), reading.text("reason")
    if ask.passes("make_standalone", reading):
        return Outcome("kept", (pair,), reason)
    if not reading.text("question"):
        return Outcome("rejected", (pair,), f"{verdict}: {reason}")
    reworded = replace(pair, question=reading.text("question").strip(), answer=reading.text("answer").strip())
    if flaw := flaw_of_pair(reworded, may_name_text=may_name_text):
        return Outcome("rejected", (reworded,), f"reworded, but it {flaw}")
    checked = await ask.majority("check_accuracy", _values(reworded, CHECKS[-1]), votes)
    if not checked.passed:
        return Outcome("rejected", (reworded,), f"reworded, but accuracy: {checked.reason}", (checked,))
    return Outcome("kept", (reworded,), f"reworded: {reason}", (checked,))


async def _rewritten(pair: Pair, ask: Ask, failed: str, reason: str, siblings: Collection[str]) -> Pair:
    """Another pair of the same chunk; asked again where it is word for word the one that failed."""
    values = _numbered(pair.chunk) | {
        "question": pair.question,
        "answer": pair.answer,
        "check": failed,
        "reason": reason,
        "kept": "\n".join(f"- {question}" for question in siblings) or "none",
    }

    def is_new(reading: Reading) -> str | None:
        same = normal(reading.text("question")) == normal(pair.question)
        if same and normal(reading.text("answer")) == normal(pair.answer):
            return "the new pair is the one that failed"
        return None

    return _pair(pair.chunk, await ask("rewrite_pair", values, check=is_new))


def _pair(chunk: Chunk, reading: Reading) -> Pair:
    evidence = sorted({int(number) for number in reading.all("number")})
    return Pair(chunk, reading.text("question").strip(), reading.text("answer").strip(), tuple(evidence))


def _numbered(chunk: Chunk) -> dict[str, Any]:
    numbers = [str(n) for n in range(1, len(chunk.sentences) + 1)]
    return {"text": chunk.numbered, "numbers": numbers, "source": text.describe(chunk.source)}


def _values(pair: Pair, check: PairCheck) -> Values:
    values = {
        "text": pair.chunk.text,
        "question": pair.question,
        "answer": pair.answer,
        "evidence": pair.proof,
    }
    return {name: values[name] for name in check.values}
