"""The local engine with the real default model: what it promises to those who call it."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_model import write_recurrent_model

from generation_functions import local
from generation_functions.engine import Completion, Message, Request, Sampling
from generation_functions.errors import EngineError
from generation_functions.grammar import Grammar
from generation_functions.local import Local
from generation_functions.sizing import Settings

VERDICT = Grammar.compile(
    'root ::= "Reason: " reason "\\nVerdict: " verdict\n'
    'reason ::= [^\\n]{1,50}\nverdict ::= "Relevant" | "Irrelevant"\n'
)
LONG = Grammar.compile("root ::= [a-z ]{2000}")
SYSTEM = "You say whether an answer belongs to its question.\n\n"
EXAMPLES = SYSTEM + "".join(
    f"Question: What is {thing} made of?\nAnswer: Of {stuff}.\n\n###\n\n"
    f"Reason: It names the stuff, {stuff}.\nVerdict: Relevant\n\n###\n\n"
    for thing, stuff in [("glass", "sand"), ("paper", "wood"), ("bread", "flour"), ("a bell", "bronze")]
)


def request(item: str = "Question: What is salt?\n", shared: str = EXAMPLES, **changes) -> Request:
    made = Request(
        stage="check_relevance",
        messages=(Message("user", shared + item),),
        prompt=shared + item,
        shared_prompt=shared,
        grammar=VERDICT,
        sampling=Sampling(max_tokens=80, temperature=0.9, min_p=0.02),
        seed=1,
    )
    return replace(made, **changes)


@pytest.fixture(scope="module")
def engine(model_path):
    """Four calls at once."""
    yield from loaded(model_path, 4)


@pytest.fixture(scope="module")
def single(model_path):
    """One call after the other."""
    yield from loaded(model_path, 1)


def loaded(model_path, sequences):
    engine = Local(model_path, Settings(context=4096, sequences=sequences))
    asyncio.run(engine.start())
    yield engine
    asyncio.run(engine.close())


def ask(engine: Local, *requests: Request) -> list[Completion]:
    """All at once, answers in the order asked."""

    async def asking():
        return await asyncio.gather(*(engine.complete(one) for one in requests))

    return asyncio.run(asking())


def pid(engine: Local) -> int:
    assert engine._child
    return engine._child._process.pid


def ends_soon(process: int) -> bool:
    """Gone, or a zombie, within 5 seconds."""
    for _ in range(250):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_every_answer_follows_its_grammar_and_is_that_of_its_own_question(engine):
    """Each grammar admits its own number alone, so that an answer in a wrong place cannot be read."""
    own = {n: Grammar.compile(VERDICT.text.replace('"Reason: "', f'"{n}: "')) for n in range(24)}
    asked = [request(f"Question: Is {n // 2} odd?\n", grammar=own[n], seed=n) for n in own]
    for n, answer in enumerate(ask(engine, *asked)):
        assert answer.finish == "stop"
        own[n].read(answer.text)


YES_NO = ("Verdict: Relevant", "Verdict: Irrelevant")


def test_calls_that_weigh_and_calls_that_write_do_not_disturb_each_other(engine):
    weighs = [request(f"Question: Is {n} odd?\n", weigh=YES_NO) for n in range(6)]
    writes = [request(f"Question: Is {n} odd?\n", seed=n) for n in range(6)]
    answers = ask(engine, *(one for two in zip(weighs, writes, strict=True) for one in two))
    for answer in answers[::2]:
        assert sum(answer.weights.values()) == pytest.approx(1)
        assert answer.text == max(YES_NO, key=lambda verdict: answer.weights[verdict])
    assert all(VERDICT.read(answer.text) and not answer.weights for answer in answers[1::2])


def test_votes_on_one_question_read_it_once(engine):
    fresh = EXAMPLES.replace("glass", "a mirror")
    answers = ask(engine, *(request(shared=fresh, seed=seed) for seed in range(8)))
    read = [answer.prompt_tokens - answer.cached_tokens for answer in answers]
    assert (max(read), sum(read)) == (answers[0].prompt_tokens, answers[0].prompt_tokens + 7)


def test_it_says_which_form_context_and_number_of_calls_it_chose(engine, single, model_path):
    assert engine.name == model_path.name
    form = "completion form: the file has no chat template"
    assert engine.about == f"{form}; context 4096 tokens, 4 calls at once in 10240 tokens of memory"
    assert single.about == f"{form}; context 4096 tokens, one call at a time"


def test_alone_the_same_seed_gives_the_same_text_whatever_was_computed_before(single):
    asked = [request(seed=seed) for seed in (1, 2)]
    other = request("Question: Who?\n", SYSTEM * 12)
    first = [ask(single, one)[0].text for one in asked]
    ask(single, other)
    assert [ask(single, one, other)[0].text for one in asked] == first
    asyncio.run(single.close())
    assert [answer.text for answer in ask(single, *asked)] == first
    assert len(set(first)) > 1


def test_prompt_tokens_that_were_read_before_are_counted_as_cached(engine):
    fresh = EXAMPLES.replace("glass", "a window")
    first, second = (ask(engine, request(item, fresh))[0] for item in ("Question: A?\n", "Question: B?\n"))
    assert first.cached_tokens == 0
    assert second.cached_tokens > 0.9 * second.prompt_tokens - 20


def test_a_prompt_that_cannot_fit_is_refused_before_anything_is_computed(engine):
    began = time.monotonic()
    with pytest.raises(
        EngineError, match=r"prompt of \d{5} tokens \+ 80 to write does not fit the context of 4096"
    ):
        ask(engine, request("salt and sand " * 4000))
    assert time.monotonic() - began < 2


def test_what_is_written_ends_at_max_tokens_at_a_stop_string_and_at_the_deadline(engine, monkeypatch):
    few = replace(request().sampling, max_tokens=3)
    cut, stopped = ask(engine, request(sampling=few), request(stop=("zzz", "Verdict")))
    assert (cut.finish, cut.completion_tokens) == ("length", 3)
    assert (stopped.finish, stopped.text[-1]) == ("stop", "\n")
    monkeypatch.setattr(local, "CALL_SECONDS", 0.0)
    assert ask(engine, request())[0].finish == "length"


def test_an_answer_can_be_watched_as_it_comes_beside_others(engine):
    heard, also = [], []

    async def asking():
        watched = (
            engine.complete(request(seed=1), heard.append),
            engine.complete(request(seed=2), also.append),
        )
        return await asyncio.gather(*watched, engine.complete(request(seed=3)))

    answers = asyncio.run(asking())
    assert ["".join(pieces) for pieces in (heard, also)] == [answer.text for answer in answers[:2]]
    assert len(heard) > 2


def test_characters_that_are_spread_over_tokens_come_out_whole(engine):
    text = "ß 漢字 😀 ᚠ, “café”"
    grammar = Grammar.compile(f'root ::= "{text}"')
    assert ask(engine, request(grammar=grammar))[0].text == text


def test_a_grammar_that_llama_cpp_refuses_is_an_error_and_nothing_worse(engine):
    class Broken:
        text = "root ::= ("

    with pytest.raises(EngineError, match="refuses the grammar"):
        ask(engine, request(grammar=Broken()))
    assert ask(engine, request())[0].finish == "stop"


def test_a_cancelled_call_makes_way_for_the_next(engine):
    async def cancelling():
        long = replace(request().sampling, max_tokens=2000)
        slow = [
            asyncio.ensure_future(engine.complete(request(grammar=LONG, sampling=long))) for _ in range(3)
        ]
        await asyncio.sleep(0.3)
        for task in slow:
            task.cancel()
        began = time.monotonic()
        await engine.complete(request())
        return time.monotonic() - began, [task.cancelled() for task in slow]

    seconds, cancelled = asyncio.run(cancelling())
    assert all(cancelled)
    assert seconds < 15  # the three would take minutes


def test_a_killed_child_fails_its_calls_and_the_next_call_starts_another(engine):
    async def killing():
        long = replace(request().sampling, max_tokens=2000)
        slow = [
            asyncio.ensure_future(engine.complete(request(grammar=LONG, sampling=long))) for _ in range(2)
        ]
        await asyncio.sleep(0.3)
        os.kill(pid(engine), signal.SIGKILL)
        return await asyncio.gather(*slow, return_exceptions=True)

    ask(engine, request())
    errors = asyncio.run(killing())
    assert [error.retryable for error in errors] == [True, True]
    assert "was killed by signal 9" in str(errors[0])
    assert ask(engine, request())[0].finish == "stop"


def test_a_child_that_hangs_is_ended_and_the_next_call_starts_another(engine, monkeypatch):
    monkeypatch.setattr(local, "HUNG_SECONDS", 1.0)
    ask(engine, request())
    os.kill(pid(engine), signal.SIGSTOP)
    with pytest.raises(EngineError, match="was killed by signal 9") as caught:
        ask(engine, request())
    assert caught.value.retryable
    monkeypatch.undo()
    assert ask(engine, request())[0].finish == "stop"


def test_how_far_loading_is_can_be_asked(model_path):
    engine = Local(model_path)

    async def loading():
        seen = [engine.loaded]
        task = asyncio.ensure_future(engine.start())
        while not task.done():
            await asyncio.sleep(0.01)
            seen.append(engine.loaded)
        await engine.close()
        return seen

    seen = asyncio.run(loading())
    assert (seen[0], seen[-1]) == (0, 1)
    assert seen == sorted(seen) and len(set(seen)) > 2


def test_the_third_crash_in_a_row_is_not_worth_another_try(model_path, monkeypatch):
    engine = Local(model_path)

    async def crashing():
        loading = asyncio.ensure_future(engine.complete(request()))
        await asyncio.sleep(0)
        os.kill(pid(engine), signal.SIGSEGV)
        return (await asyncio.gather(loading, return_exceptions=True))[0]

    assert [asyncio.run(crashing()).retryable for _ in range(3)] == [True, True, False]
    with pytest.raises(EngineError, match="3 times in a row"):
        ask(engine, request())
    monkeypatch.setattr(local, "GIVEN_UP_SECONDS", 0.0)
    assert asyncio.run(crashing()).retryable
    asyncio.run(engine.close())


def test_files_that_are_no_models_are_one_readable_error(model_path, tmp_path):
    text, torn = tmp_path / "notes.gguf", tmp_path / "torn.gguf"
    text.write_text("salt")
    with model_path.open("rb") as whole:
        torn.write_bytes(whole.read(20_000_000))
    for file, words in [
        (tmp_path / "no.gguf", "cannot read the model .*no.gguf: No such file"),
        (text, "notes.gguf is not a GGUF model"),
        (torn, "(?s)llama.cpp cannot load torn.gguf.*its log ends with:.*not within the file bounds"),
    ]:
        with pytest.raises(EngineError, match=words) as caught:
            asyncio.run(Local(file).start())
        assert not caught.value.retryable


def test_a_context_that_memory_cannot_hold_is_one_readable_error(model_path):
    """In a process of its own: the limit, which the child inherits, would choke what pytest has grown to."""
    script = f"""
import asyncio, resource
from pathlib import Path
from generation_functions.local import Local
from generation_functions.sizing import RopeScaling, Settings
from generation_functions.sizing import RopeScaling, Settings
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))  # 4.5 GB would be needed
asyncio.run(Local(Path({str(model_path)!r}), Settings(context=250_000, rope=RopeScaling("linear"))).start())
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120).stderr
    assert "no room for a context of 250000 tokens" in said
    assert "LOCAL.CONTEXT" in said


def test_a_model_without_a_template_cannot_be_asked_in_the_chat_form(model_path):
    with pytest.raises(EngineError, match=r"has no chat template\. SYSTEM.COMPLETION_MODE: true"):
        asyncio.run(Local(model_path, Settings(completion_mode=False)).start())


@pytest.mark.parametrize("sequences", [1, 4])
def test_a_model_whose_memory_cannot_be_shared_reads_every_prompt_whole_and_says_so(tmp_path, sequences):
    write_recurrent_model(tmp_path / "mamba.gguf")
    engine = Local(tmp_path / "mamba.gguf", Settings(context=2048, sequences=sequences))
    room = Sampling(max_tokens=400)  # it writes characters of four tokens
    asked = [request(f"Question: {seed // 3}?\n", seed=seed, sampling=room) for seed in range(12)]
    answers = ask(engine, *asked)
    asyncio.run(engine.close())
    for answer in answers:
        VERDICT.read(answer.text)
    assert {answer.cached_tokens for answer in answers} == {0}
    assert "every prompt is read whole, as this kind of model cannot share beginnings" in engine.about


def test_closing_gives_everything_back_and_nothing_is_ever_printed(model_path, capfd):
    engine = Local(model_path)

    async def closing():
        await engine.start()
        waiting = asyncio.ensure_future(engine.complete(request()))
        await asyncio.sleep(0.1)
        await engine.close()
        return (await asyncio.gather(waiting, return_exceptions=True))[0]

    error = asyncio.run(closing())
    assert "was closed" in str(error)
    assert engine._child is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("moment", ["loading", "computing"])
def test_a_killed_kernel_leaves_no_orphan(model_path, moment):
    kernel = subprocess.run(
        [sys.executable, "-c", KERNEL, str(model_path), moment], capture_output=True, text=True
    )
    assert (kernel.returncode, kernel.stderr) == (-signal.SIGKILL, "")
    assert ends_soon(int(kernel.stdout))


KERNEL = textwrap.dedent(
    """
    import asyncio, os, signal, sys
    from pathlib import Path
    sys.path.append("tests")
    from test_local import LONG, Local, Sampling, pid, request

    async def main():
        engine = Local(Path(sys.argv[1]))
        if sys.argv[2] == "computing":
            await engine.start()
        slow = request(grammar=LONG, sampling=Sampling(2000))
        working = asyncio.ensure_future(engine.complete(slow))
        await asyncio.sleep(0.5)
        print(pid(engine), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
    """
)


def test_a_program_that_forgets_to_close_ends_quietly(model_path):
    program = KERNEL.replace("os.kill(os.getpid(), signal.SIGKILL)", "working.cancel()")
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(model_path), "loading"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ends_soon(int(ended.stdout))
