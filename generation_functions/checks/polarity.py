"""Whether an answer says yes where its evidence says no, or more than its evidence does.

    negation(pair)     # 'denies what the evidence does not: "Salt draws water out of meat."'
    overclaim(pair)    # 'says "all" where the evidence says "some"'

Clauses are held against each other where they have the same words; what a "not" reaches beyond its clause is not known.
English.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ..records import Pair
from . import Asked
from .wording import STOP_WORDS, missing, normal, parts, sentences, share_known, stem, stems

LIKE = 0.8  # share of a clause's stems that the clause it is held against must have
LIKE_BACK = 0.65  # the same the other way round
LEAST_STEMS = 3  # of a clause that can be held against another
DENIED = 2  # stems after a "not" that tell what it denies
ASKED_OF = 0.55  # share of a question's stems from which a clause is about what it asks
CLAUSES = 60  # of a text that are held against those of another
REACH = 200  # characters after a "not" that what it denies is looked for in
SHOWN = 120  # characters of a clause that a reason shows


def _any_of(*phrases: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(phrases)})\b", re.IGNORECASE)


_NOT = _any_of(
    "not|never|no|none|nobody|nothing(?! but)|nowhere|neither|nor|cannot|without",
    r"fails? to|failed to|unable to|\w+n[\u2019']t",
)
_INSTEAD = _any_of("instead of|rather than")  # denies what comes after it alone
# With these a clause may say no without a "not", or a "not" may say yes.
_HALF_NOT = _any_of(
    r"incapable|impossible|unable|insoluble|unlikely|unusual|unharmed|unaffected|uncommon|absent|missing",
    r"lack\w*|refus\w*|reject\w*|den(?:y|ies|ied)|avoid\w*|prevent\w*|stop\w*",
    "hardly|scarcely|seldom|rarely|free of|free from",
)
_UNLESS = _any_of("unless|except|only|until|but|however|otherwise|although|though|if")
_COMPARES = _any_of(r"first|before|than|so \w+ as|as \w+ as")
_CLAUSE_END = re.compile(
    r"[,;:]\s+|\s(?:but|although|though|while|whereas|because|since|so that|which|who)\s|\s[-\u2013\u2014]\s"
)
_YES_NO = re.compile(
    r"(?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|had|may|might|must|shall)\b"
)


def denies(clause: str) -> bool:
    """Whether a clause says no; "No, it does not" says it once."""
    clause = re.sub(r"^\W*no[,.;:]\s+", "", clause, flags=re.IGNORECASE)
    return len(_NOT.findall(clause)) % 2 == 1


def has_negative(text: str) -> bool:
    """Whether there is a "not" in a text, or a word like it."""
    return _NOT.search(text) is not None


def asks_yes_or_no(question: str) -> bool:
    return _YES_NO.match(normal(question)) is not None


def negation(pair: Pair, asked: Asked) -> str | None:
    """A clause of the answer that says what a clause of the evidence does must not deny it, nor the other way round."""
    if _UNLESS.search(pair.proof) and has_negative(pair.question):
        return None
    if clause := _against_yes_or_no(pair):
        return f'says "{_yes_or_no(pair)}" where the evidence says: "{clause[:SHOWN]}"'
    answer = _as_statement(pair)
    if contrary := _contrary(answer, pair.proof):
        one, other = contrary
        said = "denies" if one.denies else "affirms"
        return f'{said} what the evidence does not: "{other.text[:SHOWN]}"'
    if not has_negative(answer) and not _UNLESS.search(answer) and (clause := _affirmed(answer, pair.proof)):
        return f'affirms what the evidence denies: "{clause[:SHOWN]}"'
    return None


def _yes_or_no(pair: Pair) -> str:
    """With which of them the answer begins; "" for neither."""
    said = re.match(r"\W*(yes|no)\b", pair.answer, re.IGNORECASE)
    return said[1].lower() if said else ""


def _against_yes_or_no(pair: Pair) -> str | None:
    """The clause that says no of what is asked where the answer says "yes", or yes where it says "no"."""
    said, question = _yes_or_no(pair), pair.question
    if not said or not asks_yes_or_no(question) or has_negative(question) or _HALF_NOT.search(question):
        return None
    if said == "no" and has_negative(pair.proof):
        return None
    asked, enough = stems(question), ASKED_OF if said == "yes" else LIKE
    near = [clause for clause in _clauses(pair.proof) if share_known(asked, stems(clause)) >= enough]
    if any(_UNLESS.search(clause) or _HALF_NOT.search(clause) for clause in near):
        return None
    return near[0] if near and all(denies(clause) == (said == "yes") for clause in near) else None


def _as_statement(pair: Pair) -> str:
    """What a "Yes." or "No." comes to is the question's statement."""
    if re.match(r"(?:yes|no)\W*$", pair.answer, re.IGNORECASE):
        return pair.answer.strip(" .!") + ", " + pair.question
    return pair.answer


def _clauses(text: str) -> list[str]:
    parts = (part.strip() for sentence in sentences(text) for part in _CLAUSE_END.split(sentence))
    return [part for part in parts if part]


@dataclass(frozen=True, slots=True)
class _Clause:
    """What a clause says, and whether it denies that."""

    text: str
    stems: frozenset[str]
    denies: bool


def _contrary(answer: str, proof: str) -> tuple[_Clause, _Clause] | None:
    """A clause of the answer, and the one of the proof that says the contrary; no other there says the same."""
    theirs = [clause for clause in islice(_plain_clauses(proof), CLAUSES) if not _UNLESS.search(clause.text)]
    for clause in islice(_plain_clauses(answer), CLAUSES):
        alike = [other for other in theirs if _is_like(clause, other)]
        if alike and all(other.denies != clause.denies for other in alike):
            return clause, alike[0]
    return None


def _plain_clauses(text: str) -> Iterator[_Clause]:
    """Those of which it can be told whether they say yes or no."""
    for clause in _clauses(text):
        said = stems(_NOT.sub(" ", clause))
        if said and not _HALF_NOT.search(clause) and not _COMPARES.search(clause):
            yield _Clause(clause, said, denies(clause))


def _is_like(clause: _Clause, other: _Clause) -> bool:
    return (
        len(clause.stems) >= LEAST_STEMS
        and share_known(clause.stems, other.stems) >= LIKE
        and share_known(other.stems, clause.stems) >= LIKE_BACK
    )


def _affirmed(answer: str, proof: str) -> str | None:
    """The clause of the proof that denies what the answer says."""
    own = stems(answer)
    if share_known(own, stems(proof)) < LIKE:
        return None
    for denied, clause in _denied(proof):
        if not _COMPARES.search(clause) and not missing(denied, own):
            elsewhere = stems(proof.replace(clause, " "))
            if missing(denied, elsewhere):
                return clause
    return None


def _denied(text: str) -> Iterator[tuple[set[str], str]]:
    """The first stems after each "not", and the clause."""
    for clause in _clauses(text):
        for cue in (*_NOT.finditer(clause), *_INSTEAD.finditer(clause)):
            after = parts(clause[cue.end() :][:REACH])
            found = [stem(word) for word in after if word not in STOP_WORDS and word.isalpha()][:DENIED]
            if len(found) == DENIED:
                yield set(found), clause


# The words that claim more, and those of the evidence that claim less.
_CLAIMS = tuple(
    (re.compile(rf"\b(?:{more})\b(?! the same)"), re.compile(rf"\b(?:{less})\b"))
    for more, less in (
        (
            r"all|everyone|everybody|everything|each|every(?! (?:\w+ )?(?:day|night|year|month|week|hour|minute|"
            r"second|morning|evening|time|few|other)s?\b)",
            r"some|many|most(?= of\b| \w+s\b)|several|few|fewer|almost|nearly|often|usually|half|majority|mostly|"
            r"largely|certain|may|sometimes|chiefly",
        ),
        (
            "nobody|none|no one|never",
            "few|hardly|rarely|seldom|scarcely|almost no|occasionally|infrequently|not often",
        ),
        (
            "always|invariably|without exception|in every case|constantly",
            "usually|often|sometimes|mostly|generally|commonly|normally|frequently|rarely|seldom|may|might|can|tends?|"
            "occasionally|as a rule|hardly|most|some|typically|likely|probably",
        ),
        (
            "certainly|definitely|proves?|proved|undoubtedly|guarantees?|inevitably|(?:sure|certain|bound) to",
            "may|might|perhaps|probably|possibly|likely|seems?|appears?|suggests?|believed|thought|supposed|could|"
            "tends?|indicates?|some",
        ),
        (
            "only|sole|solely|entirely|exclusively|completely|totally|wholly|alone|the whole",
            "mainly|chiefly|mostly|partly|largely|one of|among|primarily|in part|often|usually|nearly|almost|"
            "probably|perhaps|possibly|for the most part|principally|partially|slightly|somewhat|some|several",
        ),
    )
)
# Where the evidence has one of these, the answer may have another of the line.
_SYNONYMS = tuple(
    frozenset(line.split())
    for line in (
        "all every each everyone everybody everything always",
        "completely entirely wholly totally fully whole",
        "only sole solely alone exclusively",
        "never no none nobody not nothing",
        "proves proved prove showed shows shown proof",
    )
)


def overclaim(pair: Pair, asked: Asked) -> str | None:
    """ "All" and "always" must come from the evidence where that has "some" and "usually"."""
    proof, answer = normal(pair.proof), normal(pair.answer)
    known = set(re.findall(r"\w+", f"{proof}\n{normal(pair.question)}"))
    for more, less in _CLAIMS:
        hedge = less.search(proof)
        for claim in more.finditer(answer) if hedge else ():
            same = next((line for line in _SYNONYMS if claim[0] in line), {claim[0]})
            if hedge and not same & known:
                return f'says "{claim[0]}" where the evidence says "{hedge[0]}"'
    return None
