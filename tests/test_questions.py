"""From chunks to pairs: what is asked of the model, what is made of its answers, and what a failed vote leads to."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from scripted import (
    PROMPTS,
    ScriptedEngine,
    agreeable,
    asking,
    chunk,
    like_example,
    like_pairs,
    pair,
    run,
    says,
)

from generation_functions import prompts, questions
from generation_functions.checks import Flaw
from generation_functions.checks.pairs import Asked, flaws
from generation_functions.engine import Request
from generation_functions.errors import Undecided, Unparseable
from generation_functions.records import Outcome, Pair
from generation_functions.store import Store

SALT = chunk("Salt draws water out of meat.", "In 1869 a ton cost 12 pounds.", "Smoke keeps flies away.")
GOOD = pair(of=SALT)
REASON = "It says 1870, but the text says 1869."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


def except_for(stage: str, *answers: str) -> ScriptedEngine:
    """An engine that agrees to everything, but gives one stage these answers first."""
    left = list(answers)
    return ScriptedEngine(lambda r: left.pop(0) if r.stage == stage and left else agreeable(r))


def unlooked(pair: Pair) -> Iterable[Flaw]:
    """Where votes are what a test is about."""
    return ()


def only_mentions(pair: Pair) -> Iterable[Flaw]:
    return flaws(pair, ["mention"])


def shown(request: Request) -> str:
    return request.messages[-1].content


# Judge


def test_a_suitable_chunk_goes_on_with_its_reason(store: Store) -> None:
    engine = ScriptedEngine([says("Suitable", "It explains curing.")])
    outcome = run(questions.judge(SALT, asking(store, engine)))
    assert outcome == Outcome("kept", (SALT,), "It explains curing.")
    assert SALT.text in shown(engine.asked[0])


def test_an_unsuitable_chunk_is_rejected_with_verdict_and_reason(store: Store) -> None:
    engine = ScriptedEngine([says("Unsuitable", "It is a table of contents.")])
    outcome = run(questions.judge(SALT, asking(store, engine)))
    assert outcome == Outcome("rejected", (SALT,), "Unsuitable: It is a table of contents.")


def test_the_name_of_the_file_is_in_no_request_unless_file_names_are_used(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    ask = asking(store, engine)
    run(questions.judge(SALT, ask))
    run(questions.write(SALT, ask, count=2, planned=True))
    run(questions.standalone(GOOD, ask, votes=1))
    assert [r.stage for r in engine.asked if "A. Reed" in r.prompt] == []


# Write

ANSWERS = [
    "It keeps three things:\n- meat, for 3 months\n- fish (cod and herring)\n- 1914: butter",
    "1914 was the year in which it ended.",
    "1869:\n- 1870\n- 1871",
    "1. It draws water out. 2. It keeps flies away.",
    "Both a) and (b) would do; (c) or d) would not.",
    "He wrote \"keep it dry\" and 'never in the sun' on “the” barrel.",
    "C:\\salt\\new is a folder, \\n two characters and \\u0041 six.",
    "12.",
    "Yes.",
    "Answer: so it is. Question: is it so? Sentences: 3.",
    "It costs $5, or $text, and {data} is <b>100 %</b> & more.",
    "Größe — 漢字 😀 \u2028 e\u0301 and a tab\there!",
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_comes_through_as_it_was_written(store: Store, answer: str) -> None:
    text = like_pairs(
        ("What does salt do to meat?", "1", answer),
        ("What did a ton cost in 1869?", "2, 3", "12 pounds."),
        ('Why "smoke" (the last) of \\all\\ 3 things?', "3", answer),
    )
    outcome = run(questions.write(SALT, asking(store, ScriptedEngine([text])), count=3, planned=False))
    assert outcome.status == "kept"
    assert outcome.records == (
        Pair(SALT, "What does salt do to meat?", answer, (1,)),
        Pair(SALT, "What did a ton cost in 1869?", "12 pounds.", (2, 3)),
        Pair(SALT, 'Why "smoke" (the last) of \\all\\ 3 things?', answer, (3,)),
    )


def test_no_more_pairs_are_asked_for_than_the_chunk_has_sentences(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    assert len(run(questions.write(SALT, asking(store, engine), count=9, planned=False)).records) == 3
    assert len(run(questions.write(SALT, asking(store, engine), count=2, planned=False)).records) == 2


def test_one_sentence_gives_one_pair(store: Store) -> None:
    one = chunk("Salt draws water out of meat.")
    outcome = run(questions.write(one, asking(store, ScriptedEngine(agreeable)), count=4, planned=False))
    assert [made.evidence for made in outcome.records] == [(1,)]


def test_evidence_is_sentences_that_exist_each_once_in_their_order(store: Store) -> None:
    text = like_pairs(("What does salt do to meat?", "3, 1, 3", "It dries it."))
    (made,) = run(
        questions.write(SALT, asking(store, ScriptedEngine([text])), count=1, planned=False)
    ).records
    assert made.evidence == (1, 3)
    assert made.proof == "Salt draws water out of meat. Smoke keeps flies away."


@pytest.mark.parametrize("number", ["4", "0", "1, 2, 3, 1", "one"])
def test_evidence_that_does_not_exist_cannot_be_read(store: Store, number: str) -> None:
    text = like_pairs(("What does salt do to meat?", number, "It dries it."))
    with pytest.raises(Unparseable):
        run(questions.write(SALT, asking(store, ScriptedEngine([text] * 4)), count=1, planned=False))


def test_a_plan_is_asked_for_first_and_shown_to_the_writer(store: Store) -> None:
    plans: list[str] = []

    def answer(request: Request) -> str:
        text = agreeable(request)
        plans.extend(request.grammar.read(text).all("plan") if request.stage == "plan_questions" else [])
        return text

    engine = ScriptedEngine(answer)
    run(questions.write(SALT, asking(store, engine), count=3, planned=True))
    assert engine.stages() == ["plan_questions", "write_pairs"]
    assert plans[0] in shown(engine.asked[1])


def test_the_writer_sees_the_sentences_with_their_numbers(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    run(questions.write(SALT, asking(store, engine), count=3, planned=False))
    assert engine.stages() == ["write_pairs"]
    assert "[1] Salt draws water out of meat. [2] In 1869 a ton" in shown(engine.asked[0])


# Vet


def vetted(store: Store, engine: ScriptedEngine, of: Pair = GOOD, **how: Any) -> Outcome:
    outcome: Outcome = run(questions.vet(of, asking(store, engine), **{"votes": 3, "look": unlooked, **how}))
    return outcome


NEW = ("When did a ton cost 12 pounds?", "2", "In 1869.")
REWRITTEN = like_example("rewrite_pair", question=NEW[0], evidence=NEW[1], answer=NEW[2])


def test_a_pair_that_passes_all_checks_is_kept_with_its_votes(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    outcome = vetted(store, engine)
    assert (outcome.status, outcome.records, outcome.reason) == ("kept", (GOOD,), "")
    assert [(v.check, v.passed, len(v.votes)) for v in outcome.verdicts] == [
        ("check_question", True, 2),
        ("check_relevance", True, 2),
        ("check_accuracy", True, 2),
    ]
    assert len(engine.asked) == 6


@pytest.mark.parametrize(
    ("stage", "name", "verdict", "before"),
    [
        ("check_question", "question", "Irrelevant", 0),
        ("check_relevance", "relevance", "Irrelevant", 1),
        ("check_accuracy", "accuracy", "Inaccurate", 2),
    ],
)
def test_a_failed_check_leads_to_a_new_pair_with_the_reason_and_all_checks_anew(
    store: Store, stage: str, name: str, verdict: str, before: int
) -> None:
    engine = except_for(stage, says(verdict, REASON))
    outcome = vetted(store, engine, votes=1)
    checks = ["check_question", "check_relevance", "check_accuracy"]
    assert engine.stages() == [*checks[:before], stage, "rewrite_pair", *checks]
    rewrite = shown(engine.asked[before + 1])
    for told in (GOOD.question, GOOD.answer, name, REASON, SALT.numbered):
        assert told in rewrite
    assert (outcome.status, outcome.reason) == ("kept", "rewritten 1 times")
    assert outcome.records != (GOOD,)
    assert outcome.verdicts[before].reason == REASON


def test_a_rewritten_pair_takes_the_place_of_the_one_that_failed(store: Store) -> None:
    left = [REWRITTEN]
    engine = ScriptedEngine(
        lambda r: (
            says("Irrelevant")
            if len(engine.asked) == 1
            else left.pop()
            if r.stage == "rewrite_pair"
            else agreeable(r)
        )
    )
    assert vetted(store, engine, votes=1).records == (Pair(SALT, *NEW[::2], (2,)),)


def test_a_pair_is_rewritten_four_times_at_most_and_then_rejected_with_the_last_reason(store: Store) -> None:
    failing = ScriptedEngine(
        lambda r: says("Inaccurate", REASON) if r.stage == "check_accuracy" else agreeable(r)
    )
    outcome = vetted(store, failing)
    assert failing.stages().count("rewrite_pair") == questions.REWRITES == 4
    assert (outcome.status, outcome.reason) == ("rejected", f"accuracy: {REASON}")
    assert len(outcome.verdicts) == 5 * 3
    assert outcome.records[0] != GOOD


def test_a_flaw_that_code_sees_costs_no_vote(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    outcome = vetted(store, engine, pair("What does the passage say of salt?", of=SALT), look=only_mentions)
    assert engine.stages()[0] == "rewrite_pair"
    assert "Failed the check of: mention" in shown(engine.asked[0])
    assert "which a reader of the pair does not have" in shown(engine.asked[0])
    assert outcome.status == "kept"


def test_all_that_code_finds_is_told_to_who_writes_anew(store: Store) -> None:
    engine = ScriptedEngine(lambda r: REWRITTEN if r.stage == "rewrite_pair" else agreeable(r))
    bad = pair("When, as the passage says, did a ton cost 12 pounds?", "It did in 1896.", SALT, (2,))
    assert vetted(store, engine, bad, look=flaws).records[0].question == NEW[0]
    assert "the passage" in shown(engine.asked[0])
    assert "numbers: says 1896, which the sentences named as evidence do not" in shown(engine.asked[0])


def test_a_pair_that_code_refuses_to_the_end_is_rejected_by_its_check(store: Store) -> None:
    outcome = vetted(
        store, ScriptedEngine([]), pair("Why?", "Because of it all |a|b|", SALT), rewrites=0, look=flaws
    )
    assert (outcome.status, outcome.verdicts) == ("rejected", ())
    assert outcome.reason.startswith("evidence: the sentences named as evidence (1) have not a word of it; ")
    assert "detritus: has a remainder of layout" in outcome.reason


def test_a_pair_may_name_its_text_where_file_names_are_used(store: Store) -> None:
    named = pair("What does the article say of salt?", "It draws water out of meat.", SALT)
    look = partial(flaws, asked=Asked(may_name_text=True))
    assert vetted(store, ScriptedEngine(agreeable), named, look=look).records == (named,)


def test_the_one_that_failed_is_no_new_pair(store: Store) -> None:
    same = like_example("rewrite_pair", question=GOOD.question.upper(), evidence="1", answer=GOOD.answer)
    votes = iter([says("Irrelevant")])
    rewrites = iter([same, REWRITTEN])

    def answer(request: Request) -> str:
        if request.stage == "rewrite_pair":
            return next(rewrites)
        return next(votes, agreeable(request))

    outcome = vetted(store, ScriptedEngine(answer), votes=1)
    assert outcome.records[0].question == NEW[0]
    assert [row["unusable"] for row in store.usage() if row["stage"] == "rewrite_pair"] == [1]


def test_a_rewrite_is_shown_the_other_questions_of_the_chunk(store: Store) -> None:
    engine = except_for("check_question", says("Irrelevant"))
    vetted(store, engine, votes=1, siblings=["What keeps flies away?", "What did a ton cost?"])
    assert "- What keeps flies away?\n- What did a ton cost?" in shown(engine.asked[1])


def test_checks_that_are_skipped_are_not_asked(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    outcome = vetted(store, engine, checks=questions.CHECKS[2:])
    assert set(engine.stages()) == {"check_accuracy"}
    assert vetted(store, ScriptedEngine([]), checks=[]).status == outcome.status == "kept"


def test_votes_that_decide_nothing_make_no_verdict(store: Store) -> None:
    engine = ScriptedEngine(lambda r: "I cannot say." if r.stage == "check_relevance" else agreeable(r))
    with pytest.raises(Undecided, match="check_relevance: 0 of 3 votes could be used"):
        vetted(store, engine)


def test_without_rewrites_a_failed_pair_is_rejected_as_it_is(store: Store) -> None:
    engine = except_for("check_question", says("Irrelevant", "It asks for a name."))
    outcome = vetted(store, engine, votes=1, rewrites=0)
    assert (outcome.status, outcome.records, outcome.reason) == (
        "rejected",
        (GOOD,),
        "question: It asks for a name.",
    )


# Standalone

REWORDED = ("What does salt draw out of meat that is cured?", "Water.")


def reworded(question: str = REWORDED[0], answer: str = REWORDED[1]) -> str:
    reason = "It does not say which meat."
    return like_example("make_standalone", reason=reason, question=question, answer=answer)


def stood(store: Store, engine: ScriptedEngine, **how: Any) -> Outcome:
    outcome: Outcome = run(questions.standalone(GOOD, asking(store, engine), votes=3, **how))
    return outcome


def test_a_pair_that_stands_by_itself_is_kept_for_one_call(store: Store) -> None:
    engine = ScriptedEngine([says("Pass", "All is named.")])
    assert stood(store, engine) == Outcome("kept", (GOOD,), "All is named.")
    for seen in (SALT.text, GOOD.question, GOOD.answer):
        assert seen in shown(engine.asked[0])


def test_a_pair_that_cannot_be_mended_is_rejected(store: Store) -> None:
    engine = ScriptedEngine([says("Reject", "It asks about the drawing.")])
    assert stood(store, engine) == Outcome("rejected", (GOOD,), "Reject: It asks about the drawing.")


def test_a_reworded_pair_is_checked_for_accuracy_again(store: Store) -> None:
    engine = ScriptedEngine([reworded(), says("Accurate"), says("Accurate")])
    outcome = stood(store, engine)
    assert engine.stages() == ["make_standalone", "check_accuracy", "check_accuracy"]
    assert REWORDED[0] in shown(engine.asked[1])
    assert outcome.records == (Pair(SALT, *REWORDED, GOOD.evidence),)
    assert (outcome.status, outcome.reason) == ("kept", "reworded: It does not say which meat.")


def test_a_reworded_pair_that_is_no_longer_accurate_is_rejected(store: Store) -> None:
    verdicts = [says("Inaccurate", "The text says water."), says("Inaccurate")]
    outcome = stood(store, ScriptedEngine([reworded(answer="Air."), *verdicts]))
    assert (outcome.status, outcome.reason) == ("rejected", "reworded, but accuracy: The text says water.")
    assert outcome.records == (Pair(SALT, REWORDED[0], "Air.", GOOD.evidence),)


def test_a_rewording_that_still_points_at_the_text_is_rejected_without_a_vote(store: Store) -> None:
    engine = ScriptedEngine([reworded("What does the text say salt draws out of meat?")])
    outcome = stood(store, engine)
    assert outcome.status == "rejected"
    assert outcome.reason.startswith("reworded, but mention: mentions ")


def test_a_reworded_answer_with_a_list_comes_through(store: Store) -> None:
    answer = "It draws out:\n- water (most of it)\n- 2 % of the salts"
    engine = ScriptedEngine([reworded(answer=answer), says("Accurate"), says("Accurate")])
    assert stood(store, engine).records[0].answer == answer


# Quoted evidence


def test_a_quotation_names_the_sentences_that_it_is(store: Store) -> None:
    text = f"Question: {NEW[0]}\nQuotation: {SALT.sentences[1].text} ... {SALT.sentences[0].text}\nAnswer: In 1869."
    stages = {
        name: prompts.load(name, [PROMPTS], [prompts.QUOTED]) for name in ("rewrite_pair", "check_question")
    }
    engine = ScriptedEngine(lambda r: text if r.stage == "rewrite_pair" else says("Relevant"))
    ask = asking(store, engine).without_journal(store, stages)
    flawed = pair("What does the passage say?", of=SALT)
    made = run(
        questions.vet(flawed, ask, votes=1, checks=questions.CHECKS[:1], look=only_mentions, quoted=True)
    )
    assert made.records == (Pair(SALT, NEW[0], "In 1869.", (1, 2)),)
    assert made.records[0].evidence == (1, 2)


def test_sentences_are_put_to_a_stage_only_where_evidence_is_quoted(store: Store) -> None:
    engine = ScriptedEngine(agreeable)
    run(questions.write(SALT, asking(store, engine), count=1, planned=True))
    grammars = [request.grammar.text for request in engine.asked]
    assert not [text for text in grammars if SALT.sentences[1].text in text]
