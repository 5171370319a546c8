"""The Api engine held against a server that speaks the OpenAI protocol, well and badly; no network but 127.0.0.1."""

import asyncio
import random
import socket
import threading
import traceback
from collections.abc import Awaitable, Callable
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest
from fake_server import KEY, Body, FakeServer, Fault, from_journal, sampled
from house import ROOT, SAMPLE, SECONDS, command, copy_of_project, exported, journal
from scripted import run

from generation_functions import api
from generation_functions.api import MOST_STOPS, Api
from generation_functions.engine import Completion, Message, Request, Sampling
from generation_functions.errors import ConfigError, EngineError
from generation_functions.grammar import Grammar

GRAMMAR = Grammar.compile('root ::= "Reason: " [a-z ]{5,20}')


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
    settings = {"key": KEY, "grammar": "llama.cpp", **settings}
    engine = Api(settings.pop("address", server.url), settings.pop("key"), "fake-model", **settings)
    return run(closing(engine, lambda: engine.complete(request or a_request())))


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
    with FakeServer(faults=["length"]) as server:
        assert answer(server).finish == "length"


def test_many_calls_are_in_flight_at_once() -> None:
    together = threading.Barrier(20)  # no call is answered before all have come

    def answers(body: Body) -> str:
        together.wait(SECONDS)
        return sampled(body)

    with FakeServer(answers) as server:
        engine = Api(server.url, KEY, "fake-model", grammar="llama.cpp")
        requests = [a_request(seed=seed) for seed in range(20)]
        got = run(closing(engine, lambda: asyncio.gather(*map(engine.complete, requests))))
    assert [one.text for one in got] == [GRAMMAR.sample(random.Random(seed)) for seed in range(20)]


# What goes wrong

FAULTS: list[tuple[Fault, bool, str, str]] = [
    (400, False, "answers 400", "SYSTEM.STOP"),
    (401, False, "answers 401", "API.API_KEY"),
    (403, False, "answers 403", "API.API_KEY"),
    (404, False, "answers 404", "API.LOGICAL_MODEL"),
    (429, True, "answers 429", ""),
    (500, True, "answers 500", ""),
    (503, True, "answers 503", ""),
    ("hang", True, "gave no answer within 0.3 s", ""),
    ("cut body", True, "cannot be reached", "API.BASE_URL"),
    ("not json", True, "not JSON", ""),
    ("empty choices", True, "without text", ""),
    ("null content", True, "without text", ""),
    ("no message", True, "without text", ""),
]


@pytest.mark.parametrize("completion_mode", [False, True], ids=["chat", "completion"])
@pytest.mark.parametrize(("fault", "retryable", "says", "hint"), FAULTS, ids=[str(row[0]) for row in FAULTS])
def test_a_fault_says_what_happened_and_whether_to_try_again(
    fault: Fault, retryable: bool, says: str, hint: str, completion_mode: bool
) -> None:
    with FakeServer(faults=[fault]) as server:
        limit = 0.3 if fault == "hang" else SECONDS
        error = refusal(server, completion_mode=completion_mode, timeout_seconds=limit)
        assert server.url in str(error)
    assert error.retryable is retryable
    assert says in str(error)
    assert hint in error.hint
    assert len(str(error).splitlines()) <= 2


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
        Api("http://127.0.0.1:1/v1", key, "fake-model")
    assert not set(key.split()) & set(str(raised.value).split())


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8080/v1", "http://", "http://[::1", "http://host:port/v1", "http://host:99999/v1"]
)
def test_an_address_that_is_none_is_refused_before_anything_is_tried(address: str) -> None:
    with pytest.raises(ConfigError, match=r"API\.BASE_URL .* is no address; one looks like http"):
        Api(address, KEY, "fake-model")


def test_a_server_that_says_nothing_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "REACH_SECONDS", 0.2)
    with FakeServer(models_fault="hang") as server:
        error = refusal(server)
        assert not server.calls
    assert not error.retryable
    assert "gave no answer within 0.2 s" in str(error)


@pytest.mark.parametrize("fault", [404, 500, "not json"])
def test_a_server_without_a_list_of_models_is_as_good(fault: Fault) -> None:
    with FakeServer(models_fault=fault) as server:
        assert GRAMMAR.read(answer(server).text)


# The whole house

SERVER = ("--set", "SYSTEM.MODE=api", "--set", f"API.API_KEY={KEY}", "--set", "API.LOGICAL_MODEL=fake-model")
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
    arguments = (*SAMPLE, *SERVER, *(ASSISTANT if mode == "assistant" else ()), *(LLAMA if enforcing else ()))
    with FakeServer(sampled if enforcing else from_journal(known)) as server:
        form = ("--set", f"SYSTEM.COMPLETION_MODE={completion}")
        done = command(project, "run", "--run", name, *arguments, *form, *at(server))
    assert done.returncode == 0, done.stderr
    assert exported(project, name) == exported(project, mode)
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
    by_sample = command(project, "run", "--run", "sample", "--set", "SYSTEM.MODE=sample")
    assert by_sample.returncode == 0, by_sample.stderr
    with FakeServer(from_journal(journal(project, "sample"))) as server:
        by_server = command(project, "run", "--set", f"API.API_KEY={KEY}", *at(server))
    assert by_server.returncode == 0, by_server.stderr
    assert exported(project) == exported(project, "sample")
    assert {body["model"] for body in server.calls} == {"NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO"}
    assert (project / "config.yaml").read_bytes() == lineage


def test_a_server_that_fails_now_and_then_costs_only_time(project: Path) -> None:
    faults: list[Fault] = [None, 429, "cut body", None, 503, "empty choices"]
    with FakeServer(faults=faults) as server:
        arguments = ("--run", "faults", *SAMPLE, *SERVER, *LLAMA, *at(server))
        done = command(project, "run", *arguments, first=hurry)
    assert done.returncode == 0, done.stderr
    assert len(server.calls) == len(journal(project, "faults")) + 4
    assert exported(project, "faults") == exported(project, "role-play")


def test_a_server_that_fails_for_good_ends_the_step(project: Path) -> None:
    with FakeServer(faults=repeat(500)) as server:
        arguments = ("--run", "down", *SAMPLE, *SERVER, *LLAMA, *at(server))
        done = command(project, "run", *arguments, first=hurry)
    assert done.returncode == 1
    assert "judge ends: 10 of the last 10 items had engine errors" in done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr
    assert not journal(project, "down")


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
    assert exported(project, "key") == exported(project, "role-play")


def hurry() -> None:
    """Over there: no waiting before a call is tried again."""
    from generation_functions import stage

    stage.PAUSES = (0.0, 0.0, 0.0)
