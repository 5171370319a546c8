"""Does a model find a sentence again beyond the length that it was trained on, with RoPE scaling and without?

    python benchmarks/long_context.py [--model FILE] [--tokens 8000,40000] [--ways none,linear,yarn]

A long text of plain sentences with a four-digit number here and there ("The number of Ada's house is 4093."), read
once; then one question for each of them, whose answer the grammar holds to four digits. Prints how many of the
numbers come back, by where in the text they stand. Chance is 1 in 9,000.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from pathlib import Path

from local_engine import MODEL

from generation_functions.engine import Message, Request, Sampling
from generation_functions.grammar import Grammar
from generation_functions.local import Local
from generation_functions.sizing import RopeScaling, Settings

NAMES = (
    *("Ada", "Bruno", "Clara", "Dimitri", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas"),
    *("Kenji", "Lena", "Mateo", "Nadia", "Omar", "Petra", "Quentin", "Rosa", "Samir", "Tilda"),
)
SUBJECTS = (
    "The baker|A gardener|The old sailor|Our neighbour|The teacher|A young clerk|The miller|The widow".split(
        "|"
    )
)
VERBS = "carried|mended|painted|sold|forgot|cleaned|borrowed|counted|found|kept".split("|")
OBJECTS = (
    "a basket|the gate|two chairs|a lamp|the ladder|some rope|a kettle|the boat|a letter|the fence".split("|")
)
PLACES = (
    "by the river|in the market|before noon|after the rain|behind the church|near the bridge|at home".split(
        "|"
    )
)
TOKENS_A_SENTENCE = 9.6  # of the filling, in gemma's vocabulary
ANSWER = Grammar.compile("root ::= [1-9] [0-9]{3}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--tokens", default="8000,40000")
    parser.add_argument("--ways", default="none,linear,yarn")
    chosen = parser.parse_args()
    for tokens in map(int, chosen.tokens.split(",")):
        text, numbers = haystack(tokens)
        for way in chosen.ways.split(","):
            asyncio.run(measure(chosen.model, way, tokens, text, numbers))


def haystack(tokens: int) -> tuple[str, dict[str, str]]:
    """The text and each name's number; the names stand in their order, at even distances."""
    draw = random.Random(5)
    numbers = {name: str(draw.randint(1000, 9999)) for name in NAMES}
    sentences = [
        " ".join(draw.choice(part) for part in (SUBJECTS, VERBS, OBJECTS, PLACES)) + "."
        for _ in range(int(tokens / TOKENS_A_SENTENCE))
    ]
    for place, name in enumerate(NAMES[::-1], 1):
        at = len(sentences) * (len(NAMES) - place) // len(NAMES)
        sentences.insert(at, f"The number of {name}'s house is {numbers[name]}.")
    return " ".join(sentences), numbers


async def measure(model: Path, way: str, tokens: int, text: str, numbers: dict[str, str]) -> None:
    """`way` none means the model's own frequency base, given as one's own so that nothing limits the context."""
    rope = RopeScaling(base=1_000_000.0) if way == "none" else RopeScaling(way)  # type: ignore[arg-type]
    engine = Local(model, Settings(context=int(tokens * 1.1) + 500, rope=rope, sequences=4, batch=2048))
    await engine.start()
    examples = "Question: What is the number of Yan's house?\nAnswer: "
    shared = f"{text} The number of Yan's house is 5120.\n\n{examples}5120\n\n"
    began = time.monotonic()

    async def found(name: str) -> tuple[bool, int]:
        prompt = f"{shared}Question: What is the number of {name}'s house?\nAnswer: "
        request = Request("find", (Message("user", prompt),), prompt, shared, ANSWER, Sampling(8, 0.0), 1)
        answer = await engine.complete(request)
        return answer.text == numbers[name], answer.prompt_tokens

    each = await asyncio.gather(*map(found, numbers))
    await engine.close()
    quarters = [sum(hit for hit, _ in each[n : n + 5]) for n in range(0, 20, 5)]
    print(
        f"{way:7s} {each[0][1]:6d} tokens: {sum(quarters)} of 20 found, by quarter of the text {quarters}, "
        f"{time.monotonic() - began:.0f} s ({engine.about})",
        flush=True,
    )


if __name__ == "__main__":
    main()
