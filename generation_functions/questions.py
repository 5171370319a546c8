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

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import text
from .checks import Flaw
from .checks.pairs import flaws
from .checks.wording import normal
from .grammar import Reading
from .prompts import Values
from .records import Chunk, Outcome, Pair, Verdict
from .stage import Ask

Look = Callable[[Pair], Iterable[Flaw]]  # what code finds wrong with a pair

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


async def write(chunk: Chunk, ask: Ask, *, count: int, planned: bool, quoted: bool = False) -> Outcome:
    """Up to `count` pairs, never more than the chunk has sentences; `quoted` ones name their evidence by quoting it.

    One call, two when they are planned first.
    """
    count = min(count, len(chunk.sentences))
    values = {**_numbered(chunk, quoted), "count": count, "more": count - 1, "plan": ""}
    if planned:
        about = {name: value for name, value in values.items() if name != "sentences"}
        plan = await ask("plan_questions", {**about, "text": chunk.text})
        values["plan"] = plan.text("plan")
    reading = await ask("write_pairs", values)
    pairs = tuple(_pair(chunk, part, quoted) for part in reading.each("pair"))
    return Outcome("kept", pairs)


async def vet(
    pair: Pair,
    ask: Ask,
    *,
    votes: int,
    checks: Sequence[PairCheck] = CHECKS,
    rewrites: int = REWRITES,
    siblings: Collection[str] = (),
    look: Look = flaws,
    quoted: bool = False,
) -> Outcome:
    """Check a pair; where a check fails, write a new one from the same chunk with the reason, and start again.

    What code finds (`look`) is found first, and no vote is bought on it. `siblings` are the questions asked of the same
    chunk, which a rewrite must not ask again; `quoted` ones name their evidence by quoting it. At most
    (rewrites + 1) * len(checks) * votes + rewrites calls. Raises Undecided when too few votes can be used.
    """
    taken: list[Verdict] = []
    for rewrite in range(rewrites + 1):
        failed, reason = _found(look(pair))
        for check in () if failed else checks:
            verdict = await ask.majority(check.stage, _values(pair, check), votes)
            taken.append(verdict)
            if not verdict.passed:
                failed, reason = check.name, verdict.reason
                break
        if not failed:
            return Outcome("kept", (pair,), f"rewritten {rewrite} times" if rewrite else "", tuple(taken))
        if rewrite < rewrites:
            pair = await _rewritten(pair, ask, failed, reason, siblings, quoted)
    return Outcome("rejected", (pair,), f"{failed}: {reason}", tuple(taken))


def _found(flaws: Iterable[Flaw]) -> tuple[str, str]:
    """The first flaw's check, and the reasons of all; empty where there are none."""
    first, *others = [*flaws] or [Flaw("", "")]
    return first.check, "; ".join([first.reason, *map(str, others)])


async def standalone(pair: Pair, ask: Ask, *, votes: int, look: Look = flaws) -> Outcome:
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
    failed, found = _found(look(reworded))
    if failed:
        return Outcome("rejected", (reworded,), f"reworded, but {failed}: {found}")
    checked = await ask.majority("check_accuracy", _values(reworded, CHECKS[-1]), votes)
    if not checked.passed:
        return Outcome("rejected", (reworded,), f"reworded, but accuracy: {checked.reason}", (checked,))
    return Outcome("kept", (reworded,), f"reworded: {reason}", (checked,))


async def _rewritten(
    pair: Pair, ask: Ask, failed: str, reason: str, siblings: Collection[str], quoted: bool
) -> Pair:
    """Another pair of the same chunk; asked again where it is word for word the one that failed."""
    values = _numbered(pair.chunk, quoted) | {
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

    return _pair(pair.chunk, await ask("rewrite_pair", values, check=is_new), quoted)


def _pair(chunk: Chunk, reading: Reading, quoted: bool) -> Pair:
    if quoted:
        quotations = reading.all("quotation")
        evidence = {n for n, sentence in enumerate(chunk.sentences, 1) if sentence.text in quotations}
    else:
        evidence = {int(number) for number in reading.all("number")}
    question, answer = reading.text("question").strip(), reading.text("answer").strip()
    return Pair(chunk, question, answer, tuple(sorted(evidence)))


def _numbered(chunk: Chunk, quoted: bool) -> dict[str, Any]:
    """The text and what a grammar admits as evidence. Sentences only where they are used: values are a call's key."""
    numbers = [str(n) for n in range(1, len(chunk.sentences) + 1)]
    sentences = {"sentences": [sentence.text for sentence in chunk.sentences]} if quoted else {}
    return {"text": chunk.numbered, "numbers": numbers, "source": text.describe(chunk.source), **sentences}


def _values(pair: Pair, check: PairCheck) -> Values:
    values = {
        "text": pair.chunk.text,
        "question": pair.question,
        "answer": pair.answer,
        "evidence": pair.proof,
    }
    return {name: values[name] for name in check.values}
