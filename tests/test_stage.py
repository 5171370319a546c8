"""Asking: an answer is bought once, read by its grammar or not at all, and votes decide."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from scripted import ScriptedEngine, asking, like_example, run, sampled, says, stages

from generation_functions import stage
from generation_functions.engine import Completion, Request, Sample
from generation_functions.errors import CheckFailed, EngineError, Paused, Truncated, Undecided, Unparseable
from generation_functions.purse import Price, Purse
from generation_functions.records import Verdict
from generation_functions.stage import ATTEMPTS, Ask, Model
from generation_functions.store import Origin, Store

VALUES = {"text": "Salt keeps meat.", "question": "What keeps meat?", "answer": "Salt does.", "evidence": ""}
REWRITE = {
    "text": "[1] Salt keeps.",
    "numbers": ["1"],
    "question": "Q?",
    "answer": "A.",
    "check": "accuracy",
    "reason": "It is wrong.",
    "kept": "none",
    "source": "Salt",
}
YES, NO, JUNK = says("Accurate"), says("Inaccurate"), "I cannot say."


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "run") as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "PAUSES", (0.0, 0.0, 0.0))


def problems(store: Store, draw: int = 0) -> list[str]:
    """What the journal says was wrong with each answer, by the class of the error."""
    (key,) = {c[0] for c in store._db.execute("select distinct input from calls")}
    return [call.problem.partition(":")[0] for call in store.calls("check_accuracy", key, draw)]


# Buying


def test_what_was_answered_is_not_asked_again(store: Store) -> None:
    engine = ScriptedEngine([YES])
    for _ in range(2):
        reading = run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
        assert reading.text("verdict") == "Accurate"
    assert len(engine.asked) == 1


def test_another_draw_is_another_answer_with_another_seed(store: Store) -> None:
    engine = ScriptedEngine([YES, NO])
    ask = asking(store, engine, "check_accuracy")
    readings = [run(ask("check_accuracy", VALUES, draw=draw)) for draw in (0, 1)]
    assert [reading.text("verdict") for reading in readings] == ["Accurate", "Inaccurate"]
    assert engine.asked[0].seed != engine.asked[1].seed


def test_the_same_question_asked_twice_at_once_is_bought_once(store: Store) -> None:
    engine = ScriptedEngine([YES])
    ask = asking(store, engine, "check_accuracy")

    async def twice() -> list[str]:
        both = await asyncio.gather(ask("check_accuracy", VALUES), ask("check_accuracy", VALUES))
        return [reading.text("verdict") for reading in both]

    assert run(twice()) == ["Accurate", "Accurate"]
    assert len(engine.asked) == 1


def test_an_error_reaches_both_who_asked_at_once(store: Store) -> None:
    ask = asking(store, ScriptedEngine([EngineError("no such model")]), "check_accuracy")

    async def twice() -> list[str]:
        calls = (ask("check_accuracy", VALUES), ask("check_accuracy", VALUES))
        return [str(error) for error in await asyncio.gather(*calls, return_exceptions=True)]

    assert run(twice()) == ["no such model", "no such model"]


def test_no_more_calls_are_in_flight_than_the_limit(store: Store) -> None:
    engine = ScriptedEngine(lambda request: YES)
    ask = asking(store, engine, "check_accuracy", limit=3)

    async def many() -> None:
        await asyncio.gather(*(ask("check_accuracy", VALUES, draw=draw) for draw in range(12)))

    run(many())
    assert (len(engine.asked), engine.most_at_once) == (12, 3)


def test_seeds_are_the_same_in_every_run(tmp_path: Path) -> None:
    seeds = []
    for name in ("one", "other"):
        engine = ScriptedEngine([YES])
        with Store(tmp_path / name) as store:
            run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
        seeds.append(engine.asked[0].seed)
    assert seeds[0] == seeds[1]


# Answers that cannot be used


def test_an_unusable_answer_is_asked_again_with_another_seed(store: Store) -> None:
    engine = ScriptedEngine([JUNK, YES])
    assert (
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES)).text("verdict") == "Accurate"
    )
    assert problems(store) == ["Unparseable", ""]
    assert engine.asked[0].seed != engine.asked[1].seed


def test_asking_ends_after_four_answers_that_cannot_be_used(store: Store) -> None:
    engine = ScriptedEngine([JUNK] * ATTEMPTS)
    with pytest.raises(Unparseable, match="expected 'Reason: '"):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    assert (ATTEMPTS, problems(store)) == (4, ["Unparseable"] * 4)


def test_next_time_a_failed_question_is_asked_with_fresh_seeds(store: Store) -> None:
    engine = ScriptedEngine([JUNK] * ATTEMPTS + [YES])
    with pytest.raises(Unparseable):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    assert len({request.seed for request in engine.asked}) == len(engine.asked) == ATTEMPTS + 1


@pytest.mark.parametrize("finish", ["length", "filtered"])
@pytest.mark.parametrize("text", [YES, YES[:-5]])
def test_an_answer_that_was_cut_off_is_never_used(
    store: Store, text: str, finish: Literal["length", "filtered"]
) -> None:
    engine = ScriptedEngine([Completion(text, finish), NO])
    assert (
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES)).text("verdict") == "Inaccurate"
    )
    assert problems(store) == ["Truncated", ""]


def test_a_payload_that_ends_on_its_bound_counts_as_cut_off(store: Store) -> None:
    longest = (
        asking(store, ScriptedEngine([]), "rewrite_pair")
        .stages["rewrite_pair"]
        .compiled(REWRITE)
        .longest("question")
    )
    assert longest is not None
    answers = [
        like_example("rewrite_pair", question="W" * (n - 1) + "?", evidence="1")
        for n in (longest, longest - 1)
    ]
    engine = ScriptedEngine(answers)
    reading = run(asking(store, engine, "rewrite_pair")("rewrite_pair", REWRITE))
    assert (len(reading.text("question")), len(engine.asked)) == (longest - 1, 2)


def test_a_check_in_code_refuses_an_answer_that_follows_the_grammar(store: Store) -> None:
    ask = asking(store, ScriptedEngine([NO, YES]), "check_accuracy")
    reading = run(
        ask(
            "check_accuracy", VALUES, check=lambda r: "too harsh" if r.text("verdict") != "Accurate" else None
        )
    )
    assert reading.text("verdict") == "Accurate"
    assert problems(store) == ["CheckFailed", ""]


def test_the_last_error_is_raised(store: Store) -> None:
    ask = asking(store, ScriptedEngine([JUNK, JUNK, JUNK, YES]), "check_accuracy")
    with pytest.raises(CheckFailed, match="too kind"):
        run(ask("check_accuracy", VALUES, check=lambda reading: "too kind"))


def test_a_model_that_is_not_held_to_the_grammar_is_told_at_last_what_was_wrong(store: Store) -> None:
    engine = ScriptedEngine([*[JUNK] * (ATTEMPTS - 1), YES])
    run(asking(store, engine, "check_accuracy", enforces=False)("check_accuracy", VALUES))
    first, *others, last = (request.messages[-1].content for request in engine.asked)
    assert set(others) == {first}
    assert last.startswith(first)
    assert "could not be used: at character 1, 'I cannot say.' does not fit" in last
    assert len({request.seed for request in engine.asked}) == ATTEMPTS


def test_a_model_that_is_held_to_the_grammar_is_asked_the_same_again(store: Store) -> None:
    engine = ScriptedEngine([Completion("Reason: It", "length"), YES])
    run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    assert engine.asked[0].prompt == engine.asked[1].prompt


# Verdicts of servers that hold to no grammar: what is not exactly a verdict is asked again, and never passes

REASON = "Reason: It asks for a year, and the text gives none.\nVerdict: "


@pytest.mark.parametrize(
    "text",
    [
        *(REASON + v for v in ("Irrelevant.", "irrelevant", "IRRELEVANT", "Ir-relevant", "Ir\u00adrelevant")),
        *(
            REASON + v
            for v in ("Not Relevant", "not relevant", "Un-Relevant", "Mostly Relevant", "Relevant?")
        ),
        *(
            REASON + v
            for v in ("Relevant.", "relevant", "RELEVANT", "**Relevant**", '"Relevant"', "Relevant, mostly")
        ),
        *(
            REASON + v
            for v in (
                "Relevant or Irrelevant",
                "Relevant\nVerdict: Irrelevant",
                "Relevant\n\nNote: not sure.",
            )
        ),
        *(REASON + v for v in ("", "Yes", "Suitable", "Pass", "R\u0435levant")),
        "Verdict: Relevant",
        "Relevant",
        "The question is Irrelevant. It would be Relevant if it asked for the city.",
        "Reason: Relevant\n\nVerdict: Irrelevant",
        "",
    ],
)
def test_a_verdict_that_is_not_exactly_one_is_never_taken_for_one(store: Store, text: str) -> None:
    engine = ScriptedEngine([text, REASON + "Irrelevant"])
    ask = asking(store, engine, "check_question", enforces=False)
    reading = run(ask("check_question", {"text": "Salt.", "question": "When?"}))
    assert (reading.text("verdict"), len(engine.asked)) == ("Irrelevant", 2)
    assert not ask.passes("check_question", reading)


@pytest.mark.parametrize("verdict", ["Relevant", "Irrelevant"])
@pytest.mark.parametrize("around", ["{}", "\n {}\n\n", "Sure! Here is my judgement:\n\n{}", "{} \n"])
def test_white_space_and_a_preamble_do_not_hide_a_verdict(store: Store, verdict: str, around: str) -> None:
    engine = ScriptedEngine([around.format(REASON + verdict)])
    ask = asking(store, engine, "check_question", enforces=False)
    reading = run(ask("check_question", {"text": "Salt.", "question": "When?"}))
    assert reading.text("verdict") == verdict
    assert ask.passes("check_question", reading) is (verdict == "Relevant")


# Older answers


def with_another_prompt(ask: Ask, **changes: str) -> Ask:
    newer = replace(ask.stages["check_accuracy"], version="newer", **changes)
    ask.stages = {"check_accuracy": newer}
    return ask


def test_an_answer_to_an_older_prompt_is_kept_unless_a_fresh_one_is_wanted(store: Store) -> None:
    engine = ScriptedEngine([YES, NO])
    run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    verdicts = []
    for fresh in (False, True, True):
        ask = with_another_prompt(asking(store, engine, "check_accuracy", fresh=fresh))
        verdicts.append(run(ask("check_accuracy", VALUES)).text("verdict"))
    assert verdicts == ["Accurate", "Inaccurate", "Inaccurate"]


def test_an_older_answer_in_another_format_is_bought_again(store: Store) -> None:
    engine = ScriptedEngine([YES, "no"])
    run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    grammar = 'root ::= verdict reason\nverdict ::= "yes" | "no"\nreason ::= ""'
    for _ in range(2):
        ask = with_another_prompt(asking(store, engine, "check_accuracy"), grammar=grammar)
        assert run(ask("check_accuracy", VALUES)).text("verdict") == "no"
    assert len(engine.asked) == 2


# Engines that fail


def test_an_engine_that_recovers_is_asked_until_it_answers(store: Store) -> None:
    busy = EngineError("busy", retryable=True)
    engine = ScriptedEngine([busy, busy, busy, YES])
    assert (
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES)).text("verdict") == "Accurate"
    )
    assert problems(store) == [""]


def test_an_engine_that_does_not_recover_is_given_up(store: Store) -> None:
    engine = ScriptedEngine([EngineError("busy", retryable=True)] * 4)
    with pytest.raises(EngineError, match="busy"):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))


def test_an_error_that_will_not_go_away_is_raised_at_once(store: Store) -> None:
    engine = ScriptedEngine([EngineError("no such model", hint="is the name right?")])
    with pytest.raises(EngineError, match="no such model. is the name right"):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))
    assert len(engine.asked) == 1


def test_an_engine_error_in_one_vote_ends_the_votes(store: Store) -> None:
    engine = ScriptedEngine([YES, EngineError("no such model")])
    with pytest.raises(EngineError, match="no such model"):
        run(asking(store, engine, "check_accuracy").majority("check_accuracy", VALUES, 3))


def test_an_engine_that_asks_again_by_itself_is_not_asked_again(store: Store) -> None:
    engine = ScriptedEngine([EngineError("busy", retryable=True)])
    engine.asks_again = True
    with pytest.raises(EngineError, match="busy"):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))


# Money


def test_a_call_costs_what_its_tokens_cost_and_the_journal_keeps_it(store: Store) -> None:
    prices = {"scripted": Price(prompt=2.0, cached=0.5, completion=10.0)}
    engine = ScriptedEngine([Completion(YES, "stop", 1000, 400, 30)])
    purse = Purse(prices)
    ask = asking(store, engine, "check_accuracy", purse=purse)
    run(ask("check_accuracy", VALUES))
    assert purse.spent == pytest.approx((600 * 2.0 + 400 * 0.5 + 30 * 10.0) / 1e6)
    assert [row["cost"] for row in store.usage()] == [purse.spent]


def test_no_call_is_bought_beyond_the_limit_also_not_by_those_in_flight(store: Store) -> None:
    engine = ScriptedEngine(lambda request: Completion(YES, "stop", 1000, 0, 0))
    purse = Purse({"scripted": Price(prompt=1000.0)}, limit=5.5)  # a call costs 1
    ask = asking(store, engine, "check_accuracy", purse=purse)

    async def many() -> list[object]:
        await ask("check_accuracy", VALUES, draw=99)
        calls = (ask("check_accuracy", VALUES, draw=draw) for draw in range(20))
        return await asyncio.gather(*calls, return_exceptions=True)

    refused = [str(one) for one in run(many()) if isinstance(one, Paused)]
    assert (purse.spent, len(engine.asked), len(refused)) == (5.0, 5, 16)
    assert "is spent of API.SPENDING_LIMIT 5.5; raise it" in refused[0]


def test_a_model_without_a_price_is_never_held_up(store: Store) -> None:
    purse = Purse({}, limit=0.01, spent=1.0)
    run(asking(store, ScriptedEngine([YES]), "check_accuracy", purse=purse)("check_accuracy", VALUES))


# Who asked


def test_the_journal_knows_who_asked_and_who_asked_the_same(store: Store) -> None:
    ask = asking(store, ScriptedEngine([YES]), "check_accuracy")
    first, second = Origin("vet", "a pair", "a chunk"), Origin("vet", "its twin", "another chunk")

    async def both() -> None:
        asked = (ask.on_behalf_of(origin)("check_accuracy", VALUES) for origin in (first, second))
        await asyncio.gather(*asked)

    run(both())
    run(ask.on_behalf_of(second)("check_accuracy", VALUES))
    rows = store._db.execute("select step, item, chunk from asked order by item").fetchall()
    assert [tuple(row) for row in rows] == [
        ("vet", "a pair", "a chunk"),
        ("vet", "its twin", "another chunk"),
    ]


# Votes

T, F, A = True, False, None  # for, against, abstention: an answer that cannot be used


def voted(store: Store, votes: list[bool | None], of: int) -> tuple[bool, int, str]:
    """Whether it passed, how many votes were drawn, and the reason."""

    def answer(request: Request) -> str:
        return {T: says("Accurate", "It is right."), F: says("Inaccurate", "It is wrong."), A: JUNK}[
            by_seed[request.seed]
        ]

    by_seed: dict[int, bool | None] = {}
    engine = ScriptedEngine(answer)
    ask = asking(store, engine, "check_accuracy")
    for draw, vote in enumerate(votes):
        for attempt in range(ATTEMPTS):
            by_seed[_seed(draw, attempt)] = vote
    verdict = run(ask.majority("check_accuracy", VALUES, of))
    return verdict.passed, len(verdict.votes), verdict.reason


def _seed(draw: int, attempt: int) -> int:
    key = stage.content_key("check_accuracy", VALUES)
    return stage._seed("check_accuracy", key, draw, attempt)


@pytest.mark.parametrize(
    ("of", "votes", "passed", "drawn"),
    [
        (1, [T], True, 1),
        (1, [F], False, 1),
        (2, [T, T], True, 2),
        (2, [F], False, 1),
        (2, [T, F], False, 2),
        (3, [T, T], True, 2),
        (3, [F, F], False, 2),
        (3, [T, F, T], True, 3),
        (3, [F, T, F], False, 3),
        (4, [T, T, T], True, 3),
        (4, [F, F], False, 2),
        (4, [T, T, F, F], False, 4),
        (4, [T, F, T, T], True, 4),
        (5, [T, T, T], True, 3),
        (5, [F, F, F], False, 3),
        (5, [T, F, T, T], True, 4),
        (5, [T, F, T, F, F], False, 5),
    ],
)
def test_votes_are_drawn_until_more_than_half_agree_and_no_further(
    store: Store, of: int, votes: list[bool | None], passed: bool, drawn: int
) -> None:
    assert voted(store, votes, of)[:2] == (passed, drawn)


@pytest.mark.parametrize("even", [2, 4])
def test_an_even_number_of_votes_is_never_looser_than_the_odd_one_below(tmp_path: Path, even: int) -> None:
    for votes in itertools.product([T, F], repeat=even):
        name = "".join("FT"[vote] for vote in votes)
        with Store(tmp_path / f"{name} even") as store:
            passes_even = voted(store, list(votes), even)[0]
        with Store(tmp_path / f"{name} odd") as store:
            passes_odd = voted(store, list(votes), even - 1)[0]
        assert passes_even <= passes_odd, name


@pytest.mark.parametrize("of", [1, 2, 3, 4, 5])
def test_the_outcome_is_that_of_all_the_votes(tmp_path: Path, of: int) -> None:
    """Stopping early changes nothing: more than half for it passes, all else does not."""
    for votes in itertools.product([T, F], repeat=of):
        with Store(tmp_path / "".join("FT"[vote] for vote in votes)) as store:
            assert voted(store, list(votes), of)[0] is (sum(votes) * 2 > of)


def test_three_votes_of_which_two_agree_four_times_in_five_cost_little_more_than_two(store: Store) -> None:
    """Eight of nine sample answers say yes, so two agree with a probability of 0.80: 2.2 votes are expected."""
    shipped = stages("check_accuracy")["check_accuracy"]
    rule = 'verdict ::= "Accurate" | "Inaccurate"'
    assert rule in shipped.grammar
    mostly = replace(shipped, grammar=shipped.grammar.replace(rule, rule + ' | "Accurate"' * 7))
    ask = Ask(Model("sample", sample, 16), {"check_accuracy": mostly}, store)

    async def verdicts() -> list[Verdict]:
        asked = ({**VALUES, "answer": f"Answer {n}."} for n in range(500))
        return await asyncio.gather(*(ask.majority("check_accuracy", values, 3) for values in asked))

    votes = [len(verdict.votes) for verdict in run(verdicts())]
    assert set(votes) == {2, 3}
    assert 2.0 <= sum(votes) / len(votes) <= 2.3


async def sample() -> Sample:
    return Sample()


def test_the_votes_that_are_needed_at_the_least_are_drawn_together(store: Store) -> None:
    engine = ScriptedEngine([YES, YES, YES])
    run(asking(store, engine, "check_accuracy").majority("check_accuracy", VALUES, 5))
    assert engine.most_at_once == 3


@pytest.mark.parametrize(
    ("of", "votes", "passed", "drawn"),
    [
        (3, [T, A, T], True, 3),
        (3, [F, A, F], False, 3),
        (3, [T, F, A], False, 3),
        (5, [T, A, T, A, T], True, 5),
    ],
)
def test_a_vote_that_cannot_be_used_abstains(
    store: Store, of: int, votes: list[bool | None], passed: bool, drawn: int
) -> None:
    assert voted(store, votes, of)[:2] == (passed, drawn)


def test_a_tie_has_the_reason_of_a_vote_against(store: Store) -> None:
    assert voted(store, [T, F, A], 3) == (False, 3, "It is wrong.")


@pytest.mark.parametrize(
    ("of", "votes"), [(1, [A]), (3, [T, A, A]), (3, [F, A, A]), (5, [T, T, A, A, A]), (2, [A, T])]
)
def test_too_few_usable_votes_decide_nothing(store: Store, of: int, votes: list[bool | None]) -> None:
    usable = sum(vote is not A for vote in votes)
    with pytest.raises(Undecided, match=f"check_accuracy: {usable} of {of} votes could be used .Unparseable"):
        voted(store, votes, of)


def test_votes_keep_their_reasons_and_what_was_wrong_with_an_unusable_one(store: Store) -> None:
    engine = ScriptedEngine(
        [says("Accurate", "It is right."), *[JUNK] * 4, says("Inaccurate", "It is wrong.")]
    )
    ask = asking(store, engine, "check_accuracy", limit=1)
    verdict = run(ask.majority("check_accuracy", VALUES, 3))
    assert [vote.passed for vote in verdict.votes] == [True, None, False]
    assert (verdict.votes[0].reason, verdict.votes[2].reason) == ("It is right.", "It is wrong.")
    assert verdict.votes[1].reason.startswith("Unparseable: at character 1")


def test_votes_that_were_bought_are_not_bought_again(store: Store) -> None:
    engine = ScriptedEngine([YES, NO, YES])
    for _ in range(2):
        assert run(asking(store, engine, "check_accuracy").majority("check_accuracy", VALUES, 3)).passed
    assert len(engine.asked) == 3


def test_an_abstention_is_asked_for_again_next_time(store: Store) -> None:
    engine = ScriptedEngine([*[JUNK] * 4, YES])
    ask = asking(store, engine, "check_accuracy")
    with pytest.raises(Undecided):
        run(ask.majority("check_accuracy", VALUES, 1))
    assert run(ask.majority("check_accuracy", VALUES, 1)).passed


def test_the_sample_answers_of_every_stage_can_be_used(store: Store) -> None:
    ask = asking(store, ScriptedEngine(sampled))
    for name, asked in ask.stages.items():
        reading = run(ask(name, asked.examples[0].values))
        assert reading.whole
    assert all(row["unusable"] == 0 for row in store.usage())


def test_a_truncated_answer_that_is_a_beginning_is_called_truncated(store: Store) -> None:
    engine = ScriptedEngine([YES[:-3]] * ATTEMPTS)
    with pytest.raises(Truncated, match="stops before its end"):
        run(asking(store, engine, "check_accuracy")("check_accuracy", VALUES))


# How likely a passing verdict is, in place of votes

ANSWERS = ("Verdict: Accurate", "Verdict: Inaccurate")


def weighed(accurate: float, text: str = ANSWERS[0]) -> Completion:
    return Completion(text, "stop", weights=dict(zip(ANSWERS, (accurate, 1 - accurate), strict=True)))


def scoring(store: Store, engine: ScriptedEngine, pass_probability: float = 0.5) -> Ask:
    async def ready() -> ScriptedEngine:
        return engine

    scored = stages("check_accuracy", variants=("scored",))
    return Ask(Model(engine.name, ready), scored, store, pass_probability=pass_probability)


@pytest.mark.parametrize(
    ("accurate", "asked", "passed"),
    [(0.93, 0.5, True), (0.5, 0.5, True), (0.49, 0.5, False), (0.93, 0.95, False)],
)
def test_a_pair_passes_when_a_passing_verdict_is_likely_enough(
    store: Store, accurate: float, asked: float, passed: bool
) -> None:
    engine = ScriptedEngine([weighed(accurate)])
    verdict = run(scoring(store, engine, asked).majority("check_accuracy", VALUES, 3))
    assert (verdict.passed, len(verdict.votes), len(engine.asked)) == (passed, 1, 1)
    assert verdict.reason == f"Accurate with a probability of {accurate:.2f} ({asked:.2f} is asked)"
    assert engine.asked[0].weigh == ANSWERS


def test_what_was_weighed_is_not_bought_again_whatever_probability_is_asked(store: Store) -> None:
    engine = ScriptedEngine([weighed(0.6)])
    for asked, passed in ((0.5, True), (0.7, False)):
        ask = scoring(store, engine, asked)
        assert run(ask.majority("check_accuracy", VALUES, 3)).passed is passed
    assert len(engine.asked) == 1


def test_a_vote_that_was_drawn_is_no_probability_and_a_probability_no_vote(store: Store) -> None:
    """Also where the answers can be read: a verdict stands at the end of both."""
    engine = ScriptedEngine([YES, YES, weighed(0.1)])
    assert run(asking(store, engine, "check_accuracy").majority("check_accuracy", VALUES, 3)).passed
    assert not run(scoring(store, engine).majority("check_accuracy", VALUES, 3)).passed
    assert run(asking(store, engine, "check_accuracy").majority("check_accuracy", VALUES, 3)).passed
    assert len(engine.asked) == 3


def test_an_engine_that_tells_no_probabilities_is_taken_at_its_word_and_asked_once(store: Store) -> None:
    engine = ScriptedEngine([ANSWERS[1]])
    for _ in range(2):
        verdict = run(scoring(store, engine).majority("check_accuracy", VALUES, 3))
        assert (verdict.passed, verdict.reason) == (False, "Inaccurate, as written: no probabilities came")
    assert len(engine.asked) == 1


def test_an_answer_that_cannot_be_used_decides_nothing_when_it_is_weighed(store: Store) -> None:
    engine = ScriptedEngine([JUNK] * ATTEMPTS)
    with pytest.raises(Undecided, match="check_accuracy: 0 of 1 votes could be used .Unparseable"):
        run(scoring(store, engine).majority("check_accuracy", VALUES, 3))


def test_the_sample_engine_weighs_by_its_seed_and_says_what_is_likeliest(store: Store) -> None:
    request = scoring(store, ScriptedEngine([])).stages["check_accuracy"].request(VALUES, seed=1)
    got = [run(Sample().complete(replace(request, seed=seed))) for seed in (1, 1, *range(2, 30))]
    assert got[0] == got[1]
    assert {one.text for one in got} == set(ANSWERS)
    for one in got:
        assert sum(one.weights.values()) == pytest.approx(1)
        assert one.weights[one.text] == max(one.weights.values())
