"""The Api engine held against a server that speaks the OpenAI protocol, well and badly; no network but 127.0.0.1."""

import asyncio
import email.utils
import json
import random
import re
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from fake_server import KEY, Body, FakeServer, Fault, from_journal, sampled
from house import ROOT, SAMPLE, SECONDS, UNCHECKED, command, copy_of_project, datasets, journal
from scripted import run, stages

from generation_functions import faults
from generation_functions import server as server_module
from generation_functions.api import CUT_SHORT, MOST_STOPS, Api
from generation_functions.engine import Completion, Message, Request, Sampling
from generation_functions.errors import ConfigError, EngineError
from generation_functions.grammar import Grammar
from generation_functions.server import TRIES, Server
from generation_functions.traffic import Traffic
from generation_functions.workbench import Workbench

GRAMMAR = Grammar.compile('root ::= "Reason: " reason\nreason ::= [a-z ]{5,20}')


def a_request(**changes: Any) -> Request:
    given: dict[str, Any] = {
        "stage": "check_question",
        "messages": (Message("system", "Be brief."), Message("user", "Why?")),
        "prompt": "Be brief.\n\n###\n\nWhy?\n",
        "shared_prompt": "Be brief.\n\n###\n\n",
        "grammar": GRAMMAR,
        "sampling": Sampling(max_tokens=60, temperature=0.3, top_p=0.9, min_p=0.05),
        "seed": 7,
        "stop": ("\n\n###",),
    }
    return Request(**{**given, **changes})


def answer(server: FakeServer, request: Request | None = None, **settings: Any) -> Completion:
    """One call of a fresh engine, closed afterwards."""
    engine = an_engine(server, **settings)
    return run(closing(engine, lambda: engine.complete(request or a_request())))


def an_engine(
    server: FakeServer, *, address: str = "", key: str = KEY, timeout_seconds: float = 30, **settings: Any
) -> Api:
    at = Server(address or server.url, key, Traffic(16), timeout_seconds=timeout_seconds)
    return Api(at, "fake-model", **{"grammar": "llama.cpp", **settings})


async def closing(engine: Api, work: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await work()
    finally:
        await engine.close()


def refusal(server: FakeServer, **settings: Any) -> EngineError:
    """The error of one call, which shows the key neither in its text nor in its traceback."""
    with pytest.raises(EngineError) as raised:
        answer(server, **settings)
    shown = "".join(traceback.format_exception(raised.value))
    assert settings.get("key", KEY).strip() not in shown
    return raised.value


# What is sent, and what comes back


def test_chat_sends_messages_and_counts_what_was_read_from_the_cache() -> None:
    with FakeServer() as server:
        got = answer(server)
        [body] = server.calls
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why?"},
    ]
    assert body["model"] == "fake-model"
    sent = {name: body[name] for name in ("max_tokens", "temperature", "top_p", "min_p", "seed")}
    assert sent == {"max_tokens": 60, "temperature": 0.3, "top_p": 0.9, "min_p": 0.05, "seed": 7}
    assert GRAMMAR.read(got.text)
    assert (got.finish, got.prompt_tokens, got.cached_tokens) == ("stop", 40, 30)
    assert got.completion_tokens == len(got.text) // 4
    assert got.seconds > 0


def test_completion_mode_sends_the_plain_prompt() -> None:
    with FakeServer() as server:
        got = answer(server, completion_mode=True)
        [body] = server.calls
    assert body["prompt"] == "Be brief.\n\n###\n\nWhy?\n"
    assert body["stop"] == ["\n\n###"]
    assert "messages" not in body
    assert GRAMMAR.read(got.text)


def test_the_grammar_goes_only_to_a_server_that_takes_one() -> None:
    with FakeServer(lambda body: "Reason: none") as server:
        answer(server)
        answer(server, grammar="none")
        taking, other = server.calls
    assert taking["grammar"] == GRAMMAR.text
    assert not {"grammar", "min_p", "cache_prompt"} & other.keys()


def test_never_more_stop_strings_than_servers_take() -> None:
    request = a_request(stop=tuple("abcdefg"))
    with FakeServer() as server:
        answer(server, request, completion_mode=True)
        answer(server, request, completion_mode=True, send_stop=False)
        answer(server, request)
        some, off, chat = server.calls
    assert some["stop"] == list("abcdefg")[:MOST_STOPS]
    assert MOST_STOPS == 4
    assert "stop" not in off
    assert "stop" not in chat


def test_an_answer_cut_at_max_tokens_says_so() -> None:
    short = a_request(sampling=Sampling(max_tokens=2))
    with FakeServer(faults=["length"]) as server:
        assert answer(server, short).finish == "length"
        assert len(server.calls) == 1


def test_an_answer_cut_off_long_before_max_tokens_is_asked_for_again_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.0)
    with FakeServer(faults=["length", None]) as server:
        got = answer(server)
        assert got.finish == "stop"
        first, second = server.calls
    assert first == second
    assert got.prompt_tokens == 80  # both were paid for
    with FakeServer(faults=repeat("length")) as server:
        assert answer(server).finish == "length"
        assert len(server.calls) == CUT_SHORT + 1


def test_many_calls_are_in_flight_at_once() -> None:
    together = threading.Barrier(16)  # no call is answered before all have come

    def answers(body: Body) -> str:
        together.wait(SECONDS)
        return sampled(body)

    with FakeServer(answers) as server:
        engine = an_engine(server)
        requests = [a_request(seed=seed, messages=(Message("user", f"{seed}?"),)) for seed in range(16)]
        got = run(closing(engine, lambda: asyncio.gather(*map(engine.complete, requests))))
    assert [one.text for one in got] == [GRAMMAR.sample(random.Random(seed)) for seed in range(16)]


# Votes: requests that differ in their seed alone


async def votes(engine: Api, seeds: Iterable[int]) -> list[Completion]:
    return await asyncio.gather(*(engine.complete(a_request(seed=seed)) for seed in seeds))


def test_votes_go_out_as_one_request_whose_prompt_is_paid_once() -> None:
    with FakeServer(gives_n=True) as server:
        engine = an_engine(server)
        got = run(closing(engine, lambda: votes(engine, [7, 8, 9])))
        [body] = server.calls
    assert (body["n"], body["seed"]) == (3, 7)
    assert [one.text for one in got] == [GRAMMAR.sample(random.Random(seed)) for seed in (7, 8, 9)]
    assert [one.prompt_tokens for one in got] == [40, 0, 0]


@pytest.mark.parametrize("refuses", [False, True], ids=["ignored", "refused"])
def test_a_server_that_does_not_give_n_is_asked_for_each_vote_and_not_for_n_again(refuses: bool) -> None:
    with FakeServer(refuses={"n"} if refuses else ()) as server:
        engine = an_engine(server)

        async def twice() -> list[Completion]:
            return [*await votes(engine, [7, 8, 9]), *await votes(engine, [10, 11])]

        got = run(closing(engine, twice))
        asked = [body.get("n", 1) for body in server.calls]
    assert [one.text for one in got] == [GRAMMAR.sample(random.Random(seed)) for seed in (7, 8, 9, 10, 11)]
    assert sorted(asked) == ([1] * 5 + [3] if refuses else [1] * 4 + [3])


def test_an_error_reaches_all_who_voted_together() -> None:
    async def outcome(engine: Api) -> list[Any]:
        asked = (engine.complete(a_request(seed=seed)) for seed in (7, 8, 9))
        return await asyncio.gather(*asked, return_exceptions=True)

    with FakeServer(faults=[401], gives_n=True) as server:
        engine = an_engine(server)
        got = run(closing(engine, lambda: outcome(engine)))
        assert len(server.calls) == 1
    assert [type(one) for one in got] == [EngineError] * 3


def test_votes_go_on_when_the_one_that_went_ahead_is_given_up() -> None:
    async def outcome(engine: Api) -> list[Completion]:
        first, *others = [asyncio.ensure_future(engine.complete(a_request(seed=seed))) for seed in (7, 8, 9)]
        while not server.calls:
            await asyncio.sleep(0.01)
        first.cancel()
        return await asyncio.gather(*others)

    with FakeServer(faults=["hang"], gives_n=True) as server:
        engine = an_engine(server)
        got = run(closing(engine, lambda: outcome(engine)))
    assert [one.text for one in got] == [GRAMMAR.sample(random.Random(seed)) for seed in (8, 9)]


# Answers that are weighed

RELEVANT, IRRELEVANT = ANSWERS = ("Verdict: Relevant", "Verdict: Irrelevant")
LIKELY = {"Relevant": 0.6, "Irr": 0.2, "It": 0.1}
WEIGHTS = {RELEVANT: pytest.approx(0.75), IRRELEVANT: pytest.approx(0.25)}
TELLING: dict[str, Any] = {"likely": LIKELY}


def a_weighing() -> Request:
    verdict = Grammar.compile('root ::= "Verdict: " verdict\nverdict ::= "Relevant" | "Irrelevant"')
    return a_request(weigh=ANSWERS, grammar=verdict)


@pytest.mark.parametrize("completion_mode", [False, True], ids=["chat", "completion"])
@pytest.mark.parametrize("grammar", ["llama.cpp", "none"])
def test_a_server_that_tells_probabilities_weighs_the_answers(grammar: str, completion_mode: bool) -> None:
    with FakeServer(lambda body: RELEVANT, **TELLING) as server:
        got = answer(server, a_weighing(), grammar=grammar, completion_mode=completion_mode)
        answer(server)
        body, other = server.calls
    assert (got.text, got.weights) == (RELEVANT, WEIGHTS)
    told = {"logprobs": 20} if completion_mode else {"logprobs": True, "top_logprobs": 20}
    assert {name: body[name] for name in told} == told
    assert "logprobs" not in other, "nobody asked how likely it is"


def test_answers_in_json_are_weighed_as_well() -> None:
    def answers(body: Body) -> str:
        return '{"verdict": "Relevant"}'

    likely = {'"Relevant"}': 0.6, '"Irr': 0.2}
    with FakeServer(answers, likely=likely) as server:
        got = answer(server, a_weighing(), grammar="json_schema")
    assert (got.text, got.weights) == (RELEVANT, WEIGHTS)


@pytest.mark.parametrize(("most", "asked"), [(5, [20, 5, 5]), (0, [20, 5, 0, 0])])
@pytest.mark.parametrize("completion_mode", [False, True], ids=["chat", "completion"])
def test_a_server_that_tells_fewer_probabilities_or_none_is_asked_for_no_more(
    most: int, asked: list[int], completion_mode: bool
) -> None:
    with FakeServer(lambda body: RELEVANT, most=most, **TELLING) as server:
        engine = an_engine(server, completion_mode=completion_mode)

        async def twice() -> tuple[list[Completion], str]:
            return [await engine.complete(a_weighing()) for _ in range(2)], engine.about

        got, about = run(closing(engine, twice))
        name = "logprobs" if completion_mode else "top_logprobs"
        assert [body.get(name, 0) for body in server.calls] == asked
    assert [one.weights for one in got] == [WEIGHTS if most else {}] * 2
    assert [one.text for one in got] == [RELEVANT] * 2
    assert about.count("it tells no probabilities") == (not most)


def test_a_server_that_ignores_the_wish_for_probabilities_says_so_once() -> None:
    with FakeServer(lambda body: RELEVANT) as server:
        engine = an_engine(server)

        async def twice() -> str:
            for _ in range(2):
                assert (await engine.complete(a_weighing())).weights == {}
            return engine.about

        about = run(closing(engine, twice))
    assert about.count("with SYSTEM.VOTING: probability a verdict counts as it is written") == 1


def test_an_answer_that_is_watched_is_weighed_too() -> None:
    with FakeServer(lambda body: RELEVANT, **TELLING) as server:
        engine = an_engine(server)
        got = run(closing(engine, lambda: engine.complete(a_weighing(), lambda piece: None)))
    assert got.weights == WEIGHTS


# What a server may refuse and an answer can do without


@pytest.mark.parametrize(
    "name", ["seed", "min_p", "cache_prompt", "temperature", "chat_template_kwargs", "stop"]
)
def test_a_setting_that_a_server_refuses_is_left_out_from_then_on(name: str) -> None:
    with FakeServer(refuses={name}) as server:
        engine = an_engine(server, completion_mode=name == "stop")

        async def twice() -> None:
            await engine.complete(a_request())
            await engine.complete(a_request())

        run(closing(engine, twice))
        assert [name in body for body in server.calls] == [True, False, False]


def test_a_model_that_counts_its_thoughts_gets_max_completion_tokens() -> None:
    with FakeServer(refuses={"max_tokens"}) as server:
        answer(server)
        first, second = server.calls
    assert (first["max_tokens"], second["max_completion_tokens"]) == (60, 60)
    assert "max_tokens" not in second


def test_a_server_that_refuses_stop_strings_whatever_they_are_says_what_to_set() -> None:
    with FakeServer(faults=repeat((400, "stop: at most 0 strings are allowed, got 5"))) as server:
        error = refusal(server, completion_mode=True)
        assert len(server.calls) == 2
    assert not error.retryable
    assert "set SYSTEM.STOP to false" in str(error)


@pytest.mark.parametrize("completion_mode", [True, False])
def test_an_answer_can_be_watched_as_it_comes(completion_mode: bool) -> None:
    heard: list[str] = []
    with FakeServer() as server:
        engine = an_engine(server, completion_mode=completion_mode)
        got = run(closing(engine, lambda: engine.complete(a_request(), heard.append)))
        whole = answer(server, completion_mode=completion_mode)
    assert "".join(heard).strip() == got.text.strip() == whole.text
    assert len(heard) > 2
    assert (got.prompt_tokens, got.cached_tokens, got.finish) == (40, 30, "stop")


def test_a_watched_answer_that_breaks_off_is_asked_for_again() -> None:
    heard: list[str] = []
    with FakeServer(faults=["cut body", 503]) as server:
        engine = an_engine(server)
        got = run(closing(engine, lambda: engine.complete(a_request(), heard.append)))
        assert GRAMMAR.read(got.text.strip())
        assert len(server.calls) == 3


def test_half_a_character_becomes_one_that_can_be_kept() -> None:
    with FakeServer(lambda body: "Reason: it is \ud83d so") as server:
        assert answer(server).text == "Reason: it is ? so"


def test_thoughts_before_an_answer_are_left_out() -> None:
    with FakeServer(lambda body: "<think>Reason: maybe not.</think>\n\nReason: it is so") as server:
        assert answer(server).text == "Reason: it is so"


# What goes wrong

HOPELESS: list[tuple[Fault, str, str]] = [
    (400, "answers 400", "SYSTEM.STOP"),
    (401, "answers 401", "API.API_KEY"),
    (402, "answers 402", "no credit"),
    (403, "answers 403", "API.API_KEY"),
    (404, "answers 404", "end in /v1"),
    (405, "answers 405", "end in /v1"),
    (501, "answers 501", ""),
    ((400, "This model's maximum context length is 4096 tokens"), "4096", "SYSTEM.CHUNK_SIZE"),
    ((400, "request (9000 tokens) exceeds the available context size (4096 tokens)"), "9000", "CHUNK_SIZE"),
    ((413, "prompt is too long: 5000 tokens"), "5000", "SYSTEM.CHUNK_SIZE"),
    ((404, "The model `fake-model` does not exist."), "not exist", "fake-model; the server has fake"),
    ((400, "invalid model ID"), "invalid model", "the server has fake"),
    ((400, "Invalid grammar specification."), "grammar", "API.GRAMMAR"),
    ((429, "You exceeded your current quota: insufficient_quota"), "quota", "no credit"),
    ((429, "Slow down", {"Retry-After": "7200"}), "Slow down", "left alone for 7200 s"),
]


@pytest.mark.parametrize("completion_mode", [False, True], ids=["chat", "completion"])
@pytest.mark.parametrize(("fault", "says", "hint"), HOPELESS, ids=[str(row[0])[:30] for row in HOPELESS])
def test_what_cannot_pass_is_asked_once_and_says_what_to_change(
    fault: Fault, says: str, hint: str, completion_mode: bool
) -> None:
    with FakeServer(faults=repeat(fault)) as server:
        error = refusal(server, completion_mode=completion_mode, send_stop=False)
        assert len(server.calls) == 1
        assert server.url in str(error)
    assert not error.retryable
    assert says in str(error)
    assert hint in error.hint
    assert len(str(error).splitlines()) == 1


PASSING: list[tuple[Fault, str]] = [
    *((status, f"answers {status}") for status in (408, 409, 425, 429, 498, 500, 502, 503, 504, 529)),
    ("hang", "gave no answer within 0.05 s"),
    ("reset", "cannot be reached"),
    ("cut body", "cannot be reached"),
    ("not json", "not JSON"),
    ("broken json", "not JSON"),
    ("empty choices", "without text"),
    ("null content", "without text"),
    ("no message", "without text"),
    ("error inside", "without text: {'message': 'provider down'"),
]


@pytest.mark.parametrize("completion_mode", [False, True], ids=["chat", "completion"])
@pytest.mark.parametrize(("fault", "says"), PASSING, ids=[str(row[0]) for row in PASSING])
def test_what_may_pass_is_asked_again_and_again_before_it_is_given_up(
    fault: Fault, says: str, completion_mode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.0)
    limit = 0.05 if fault == "hang" else SECONDS
    with FakeServer(faults=[fault, None]) as server:
        assert GRAMMAR.read(answer(server, completion_mode=completion_mode, timeout_seconds=limit).text)
        assert len(server.calls) == 2
    with FakeServer(faults=repeat(fault)) as server:
        error = refusal(server, completion_mode=completion_mode, timeout_seconds=limit)
        assert len(server.calls) == TRIES
        assert server.url in str(error)
    assert error.retryable
    assert says in str(error)
    assert len(str(error).splitlines()) == 1


@pytest.mark.parametrize("headers", [{"retry-after-ms": "300"}, {"Retry-After": "0.3"}])
def test_a_pause_that_the_server_asks_for_is_kept(
    headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.0)
    with FakeServer(faults=[(429, "busy", headers)]) as server:
        answer(server)
        first, second = server.times
    assert second - first >= 0.3


def test_a_date_after_which_to_come_again_is_understood() -> None:
    later = email.utils.format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    assert 80 < (faults.retry_after({"retry-after": later}) or 0) <= 90
    assert faults.retry_after({"retry-after": "soon"}) is None


def test_a_long_answer_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def answers(body: Body) -> str:
        threading.Event().wait(0.4)
        return sampled(body)

    monkeypatch.setattr(server_module, "TRIES", 1)
    long = a_request(sampling=Sampling(max_tokens=4000))
    with FakeServer(answers) as server:
        assert GRAMMAR.read(answer(server, long, timeout_seconds=0.25).text)
        with pytest.raises(EngineError, match="gave no answer within 0.25 s"):
            answer(server, timeout_seconds=0.25)


@pytest.mark.parametrize(("finish", "expected"), [("content_filter", "filtered"), ("max_tokens", "length")])
def test_an_answer_that_ended_before_its_end_says_so(finish: str, expected: str) -> None:
    with FakeServer(finish=finish) as server:
        assert answer(server).finish == expected


# How the grammar is told


DIALECTS = [
    ("llama.cpp", "llamacpp", 1),
    ("llama.cpp", "", 1),
    ("vllm", "vllm", 1),
    ("sglang", "", 1),
    ("json_schema", "library", 1),
    ("json_schema", "", 2),
    ("none", "", 2),
    ("none", "vllm", 2),
]
DESCRIBED = {
    "llama.cpp": "grammars as llama.cpp takes them",
    "vllm": "grammars as vllm takes them",
    "sglang": "grammars as sglang takes them",
    "json_schema": "grammars as JSON schemas",
    "none": "no grammars, answers are read from free text",
}


@pytest.mark.parametrize(("dialect", "owner", "calls"), DIALECTS)
def test_a_servers_dialect_is_found_by_asking_once(dialect: str, owner: str, calls: int) -> None:
    with FakeServer(dialect_obeyed(dialect), owner=owner) as server:
        engine = an_engine(server, grammar="auto")

        async def several() -> tuple[list[Completion], str]:
            return [await engine.complete(a_request(seed=seed)) for seed in range(3)], engine.about

        got, about = run(closing(engine, several))
    assert len(server.calls) == calls + 3
    assert f"{DESCRIBED[dialect]} (found by asking)" in about
    assert [one.held for one in got] == [dialect != "none"] * 3
    if dialect != "none":
        assert all(GRAMMAR.read(one.text) for one in got)


def dialect_obeyed(dialect: str) -> Callable[[Body], str]:
    """As a server answers that knows one way of being told a grammar and ignores the others."""

    def answers(body: Body) -> str:
        draw = random.Random(body.get("seed", 1))
        if dialect == "llama.cpp" and "grammar" in body:
            return Grammar.compile(body["grammar"]).sample(draw)
        if dialect == "vllm" and "structured_outputs" in body:
            return Grammar.compile(body["structured_outputs"]["grammar"]).sample(draw)
        if dialect == "sglang" and "regex" in body:
            probed = re.fullmatch(r"[a-z]+", body["regex"])
            return probed[0] if probed else GRAMMAR.sample(draw)
        if dialect == "json_schema" and "response_format" in body:
            [(name, kind)] = body["response_format"]["json_schema"]["schema"]["properties"].items()
            text = kind["enum"][0] if "enum" in kind else GRAMMAR.sample(draw).removeprefix("Reason: ")
            return json.dumps({name: text})
        return "Horse."

    return answers


def test_a_dialect_that_is_refused_and_not_ignored_is_none_either() -> None:
    with FakeServer(lambda body: "Horse.", refuses={"grammar", "response_format"}) as server:
        engine = an_engine(server, grammar="auto")
        assert not run(closing(engine, lambda: engine.complete(a_request()))).held
        assert "grammar" not in server.calls[-1]


def test_worked_examples_are_shown_in_the_form_that_is_asked_for() -> None:
    stage = stages("check_accuracy")["check_accuracy"]
    request = stage.request(stage.examples[0].values, seed=1)
    said = json.dumps({"reason": "It is as the text has it.", "verdict": "Accurate"})
    with FakeServer(lambda body: said) as server:
        got = answer(server, request, grammar="json_schema")
        [body] = server.calls
    shown = [json.loads(m["content"]) for m in body["messages"] if m["role"] == "assistant"]
    assert [list(one) for one in shown] == [["reason", "verdict"]] * len(stage.examples)
    assert request.grammar.read(got.text).text("verdict") == "Accurate"
    schema = body["response_format"]["json_schema"]
    assert schema["strict"]
    assert schema["schema"]["properties"]["verdict"]["enum"] == ["Accurate", "Inaccurate"]


# Before anything is asked


def test_a_server_that_is_not_there_is_not_waited_for() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        with FakeServer() as server:
            error = refusal(server, address=url)
    assert not error.retryable
    assert f"{url} cannot be reached" in str(error)
    assert "Is the server running" in error.hint


def test_a_wrong_key_is_seen_before_anything_is_asked() -> None:
    with FakeServer() as server:
        error = refusal(server, key="sk-mistyped-42")
        assert not server.calls
    assert not error.retryable
    assert "API.API_KEY" in error.hint


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY} "])
def test_white_space_around_a_key_does_no_harm(key: str) -> None:
    with FakeServer() as server:
        assert GRAMMAR.read(answer(server, key=key).text)


@pytest.mark.parametrize("key", ["sk-one\nsk-two", "sk-\u00fcber-geheim", "sk-\u2013dash"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match=r"API\.API_KEY holds a character that keys cannot have") as raised:
        Server("http://127.0.0.1:1/v1", key, Traffic(1))
    assert not set(key.split()) & set(str(raised.value).split())


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8080/v1", "http://", "http://[::1", "http://host:port/v1", "http://host:99999/v1"]
)
def test_an_address_that_is_none_is_refused_before_anything_is_tried(address: str) -> None:
    with pytest.raises(ConfigError, match=r"API\.BASE_URL .* is no address; one looks like http"):
        Server(address, KEY, Traffic(1))


def test_a_server_that_says_nothing_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "REACH_SECONDS", 0.2)
    with FakeServer(models_fault="hang") as server:
        error = refusal(server)
        assert not server.calls
    assert not error.retryable
    assert "gave no answer within 0.2 s" in str(error)


def test_a_line_that_breaks_at_the_first_word_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.0)
    with FakeServer(models_fault=iter(["reset"])) as server:
        assert GRAMMAR.read(answer(server).text)
    with FakeServer(models_fault="reset") as server:
        assert not refusal(server).retryable


@pytest.mark.parametrize("fault", [404, 500, "not json"])
def test_a_server_without_a_list_of_models_is_as_good(fault: Fault) -> None:
    with FakeServer(models_fault=fault) as server:
        assert GRAMMAR.read(answer(server).text)


# The whole house

SERVED = ("SYSTEM.MODE=api", f"API.API_KEY={KEY}", "API.LOGICAL_MODEL=fake-model", *UNCHECKED)
SERVER = tuple(word for setting in SERVED for word in ("--set", setting))
LLAMA = ("--set", "API.GRAMMAR=llama.cpp")
ASSISTANT = ("--set", "SYSTEM.ASSISTANT_MODE=true")


def at(server: FakeServer) -> tuple[str, str]:
    return "--set", f"API.BASE_URL={server.url}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with what the sample engine made, which a server has to match: the runs role-play and assistant."""
    project = copy_of_project(tmp_path_factory.mktemp("api"))
    for name, mode in {"role-play": (), "assistant": ASSISTANT}.items():
        done = command(project, "run", "--run", name, *SAMPLE, *mode)
        assert done.returncode == 0, done.stderr
    return project


@pytest.mark.parametrize("completion", ["true", "false"], ids=["completion", "chat"])
@pytest.mark.parametrize("mode", ["role-play", "assistant"])
def test_the_house_makes_the_same_of_a_servers_answers(project: Path, mode: str, completion: str) -> None:
    enforcing = (mode == "assistant") is (
        completion == "true"
    )  # each form and each mode with and without grammar
    name, known = f"{mode}-{completion}", journal(project, mode)
    told = LLAMA if enforcing else ("--set", "API.GRAMMAR=none")
    arguments = (*SAMPLE, *SERVER, *(ASSISTANT if mode == "assistant" else ()), *told)
    with FakeServer(sampled if enforcing else from_journal(known)) as server:
        form = ("--set", f"SYSTEM.COMPLETION_MODE={completion}")
        done = command(project, "run", "--run", name, *arguments, *form, *at(server))
    assert done.returncode == 0, done.stderr
    assert datasets(project, name) == datasets(project, mode)
    assert len(server.calls) == len(journal(project, name)) == len(known)
    assert all(("prompt" in body) is (completion == "true") for body in server.calls)
    assert all(("grammar" in body) is enforcing for body in server.calls)
    assert server.most_at_once <= 16
    files = [file for file in (project / "output").rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_a_configuration_of_the_lineage_runs_as_it_is(tmp_path: Path) -> None:
    project = copy_of_project(tmp_path)
    lineage = (ROOT / "tests" / "data" / "lineage_config.yaml").read_bytes()
    (project / "config.yaml").write_bytes(lineage)
    (project / "raw_text_input").rename(project / "raw_txt_input")
    settings = ("SYSTEM.CHUNK_SIZE=500", *UNCHECKED)
    more = tuple(
        word for setting in settings for word in ("--set", setting)
    )  # than one chunk has to get through what the sample engine says
    by_sample = command(project, "run", "--run", "sample", "--set", "SYSTEM.MODE=sample", *more)
    assert by_sample.returncode == 0, by_sample.stderr
    with FakeServer(from_journal(journal(project, "sample"))) as server:
        by_server = command(project, "run", "--set", f"API.API_KEY={KEY}", *at(server), *more)
    assert by_server.returncode == 0, by_server.stderr
    assert datasets(project) == datasets(project, "sample")
    assert {body["model"] for body in server.calls} == {"NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO"}
    assert (project / "config.yaml").read_bytes() == lineage


def test_a_server_that_fails_now_and_then_costs_only_time(project: Path) -> None:
    faults: list[Fault] = [None, 429, "cut body", None, 503, "empty choices"]
    with FakeServer(faults=faults) as server:
        arguments = ("--run", "faults", *SAMPLE, *SERVER, *LLAMA, *at(server))
        done = command(project, "run", *arguments, first=hurry)
    assert done.returncode == 0, done.stderr
    assert len(server.calls) == len(journal(project, "faults")) + 4
    assert datasets(project, "faults") == datasets(project, "role-play")


def test_a_server_that_fails_for_good_ends_the_step(project: Path) -> None:
    with FakeServer(faults=repeat(500)) as server:
        arguments = ("--run", "down", *SAMPLE, *SERVER, *LLAMA, *at(server))
        done = command(project, "run", *arguments, first=hurry)
    assert done.returncode == 1
    assert "judge ends: 10 of the last 10 items had engine errors" in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr
    assert not journal(project, "down")


def test_the_key_is_nowhere_also_when_the_server_says_it(project: Path) -> None:
    """The fake server repeats the key in what it says of a fault."""
    with FakeServer(faults=chain(repeat(None, 20), repeat(500))) as server:
        arguments = ("--run", "leak", *SAMPLE, *SERVER, *LLAMA, *at(server))
        done = command(project, "run", *arguments, first=hurry)
        said = command(project, "status", "--run", "leak", *SAMPLE, *SERVER, *at(server))
        wb = Workbench(
            project / "config.yaml", "leak", changes=(*SERVER[1::2], *at(server)[1:]), readonly=True
        )
        shown = [repr(wb), repr(wb.config), repr(wb.ledger()), *map(repr, wb.status())]
        shown += [batch._repr_html_() for batch in wb.status()]
        wb.close()
    assert "answers 500: no: 500, key ***" in done.stderr
    for text in (done.stdout, done.stderr, said.stdout, said.stderr, *shown):
        assert KEY not in text
    files = [file for file in (project / "output" / "leak").rglob("*") if file.is_file()]
    assert "no: 500, key ***" in (project / "output" / "leak" / "failed.jsonl").read_text()
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


def test_the_locals_of_a_traceback_do_not_show_the_key() -> None:
    with FakeServer(faults=[401]) as server:
        engine = an_engine(server)
        try:
            run(closing(engine, lambda: engine.complete(a_request())))
        except EngineError as error:
            verbose = traceback.TracebackException.from_exception(error, capture_locals=True)
    assert any("'***'" in line or "Server(" in line for line in verbose.format())
    assert KEY not in "".join(verbose.format()).replace(repr(KEY), "", 1)  # this test's own line


def test_a_run_whose_key_is_withdrawn_goes_on_later(project: Path) -> None:
    bought = 40
    with FakeServer(faults=[*repeat(None, bought), *repeat(401, 100)]) as server:
        ended = command(project, "run", "--run", "key", *SAMPLE, *SERVER, *LLAMA, *at(server))
    assert ended.returncode == 1
    assert "Is API.API_KEY right?" in ended.stderr
    kept = len(journal(project, "key"))
    assert bought - 16 < kept <= bought  # those in flight when the first was refused are lost
    with FakeServer() as server:
        done = command(project, "run", "--run", "key", *SAMPLE, *SERVER, *LLAMA, *at(server))
    assert done.returncode == 0, done.stderr
    assert len(server.calls) == len(journal(project, "key")) - kept
    assert datasets(project, "key") == datasets(project, "role-play")


def hurry() -> None:
    """Over there: no waiting before a call is tried again."""
    from generation_functions import server

    server.FIRST_PAUSE = 0.0
