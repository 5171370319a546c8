"""Drawing a token, held against the plain way: ask about all, drop what is out, step by step."""

import math
import random

import numpy as np
import pytest

from generation_functions.engine import Sampling
from generation_functions.sampler import TAIL, choices, draw, likeliest_allowed

SIZE = 3000


def plainly(logits: np.ndarray, allowed: np.ndarray, sampling: Sampling) -> dict[int, float]:
    """Every token's probability, by the order that `choices` documents, over the whole vocabulary."""
    tokens = [t for t in range(len(logits)) if allowed[t] and logits[t] > -math.inf]
    tokens.sort(key=lambda t: (-logits[t], t))
    if sampling.temperature <= 0 or not tokens:
        return dict.fromkeys(tokens[:1], 1.0)
    best = float(logits[tokens[0]])
    weight = {t: math.exp((float(logits[t]) - best) / sampling.temperature) for t in tokens}
    tokens = [t for t in tokens if weight[t] >= TAIL]
    if sampling.top_k:
        tokens = tokens[: sampling.top_k]
    whole, mass, kept = sum(weight[t] for t in tokens), 0.0, []
    for token in tokens:
        if sampling.top_p < 1 and mass >= sampling.top_p * whole:
            break
        mass += weight[token]
        kept.append(token)
    kept = [t for t in kept if weight[t] >= sampling.min_p]
    return {t: weight[t] / sum(weight[k] for k in kept) for t in kept}


def case(seed: int) -> tuple[np.ndarray, np.ndarray, Sampling]:
    rng = random.Random(seed)
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, rng.choice([0.5, 3, 12]), SIZE).astype(np.float32)
    logits[generator.integers(0, SIZE, 50)] = -np.inf
    allowed = generator.random(SIZE) < rng.choice([0.001, 0.05, 0.9])
    allowed[np.argsort(-logits)[: rng.choice([0, 5, 500])]] = False
    allowed[rng.randrange(SIZE)] = True
    sampling = Sampling(
        max_tokens=1,
        temperature=rng.choice([0.2, 0.7, 1.0, 2.0]),
        top_p=rng.choice([1.0, 1.0, 0.9, 0.5]),
        top_k=rng.choice([0, 0, 1, 40]),
        min_p=rng.choice([0.0, 0.05, 0.5]),
    )
    return logits, allowed, sampling


@pytest.mark.parametrize("seed", range(300))
def test_the_distribution_is_that_of_asking_about_the_whole_vocabulary(seed):
    logits, allowed, sampling = case(seed)
    tokens, probabilities = choices(logits, lambda asked: allowed[asked], sampling)
    expected = plainly(logits, allowed, sampling)
    assert dict(zip(tokens.tolist(), probabilities, strict=True)) == pytest.approx(expected, rel=1e-4)


def test_no_token_is_asked_about_twice():
    for seed in range(50):
        logits, allowed, sampling = case(seed)
        asked: list[int] = []

        def answer(tokens, asked=asked, allowed=allowed):
            asked.extend(tokens.tolist())
            return allowed[tokens]

        choices(logits, answer, sampling)
        assert len(asked) == len(set(asked))


def test_few_tokens_are_asked_about_where_the_likeliest_fit():
    logits, asked = np.linspace(30, 0, SIZE, dtype=np.float32), []

    def all_fit(tokens):
        asked.extend(tokens.tolist())
        return np.ones(len(tokens), bool)

    choices(logits, all_fit, Sampling(1, temperature=0.2, min_p=0.05))
    assert len(asked) < SIZE / 4


def test_temperature_0_takes_the_likeliest_allowed_token_and_the_lowest_of_equals():
    logits = np.array([1, 5, 4, 4, 3], np.float32)
    tokens, probabilities = choices(logits, lambda asked: asked != 1, Sampling(1, temperature=0))
    assert tokens.tolist() == [2]
    assert probabilities.tolist() == [1.0]


def test_nothing_allowed_draws_nothing():
    logits = np.zeros(10, np.float32)
    assert draw(logits, lambda asked: np.zeros(len(asked), bool), Sampling(1), 0.5) is None


def test_every_chance_draws_a_token_that_can_be_drawn():
    logits, allowed, sampling = case(7)
    possible = plainly(logits, allowed, sampling)
    for chance in [0.0, 0.3, 0.999999, math.nextafter(1, 0)]:
        assert draw(logits, lambda asked: allowed[asked], sampling, chance) in possible


def test_draws_are_as_frequent_as_they_are_probable():
    logits, sampling = np.array([2, 1, 0, -1], np.float32), Sampling(1, temperature=1)
    rng = random.Random(1)
    drawn = [draw(logits, lambda asked: asked != 1, sampling, rng.random()) for _ in range(5000)]
    expected = plainly(logits, np.array([True, False, True, True]), sampling)
    for token in range(4):
        assert drawn.count(token) / 5000 == pytest.approx(expected.get(token, 0), abs=0.02)


def test_a_token_that_is_never_text_is_not_even_asked_about():
    logits = np.array([-np.inf, 1, -np.inf], np.float32)
    found, _ = likeliest_allowed(logits, lambda asked: asked != 1, 0.0)
    assert found.tolist() == []
