"""Which token comes next: an exact draw from the tokens that a grammar allows, mostly without asking about all.

Asking llama.cpp's grammar about a vocabulary of 262,144 tokens takes 40 to 245 ms, more than a small model takes
to compute them; asking about the 30 likeliest takes 0.03 ms. Nothing far below the best allowed token is ever
drawn, so only those near it have to be known:

    logits   The: 21.3   A: 19.9   Reason: 17.0   reason: 15.2   262,140 others below 15
    allowed  -           -         Reason         -              (the grammar wants "Reason: ")

With temperature 0.2 and min_p 0.05 a token 0.6 below the best allowed one cannot be drawn, so what lies below
16.4 need not be asked about. If the ones looked at first do not settle it, more are, in the end all of them.

Knows nothing of llama.cpp: `allowed` is a function from token numbers to booleans.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .engine import Sampling

TAIL = 1e-6  # a token this much less likely than the best allowed one, after the temperature, is never drawn
FIRST_LOOK = (
    6.0  # logits below the best of all; about 30 tokens of gemma-3-270m, and as quick to ask about as one
)

Tokens = NDArray[np.int64]
Logits = NDArray[np.float32]
Allowed = Callable[[Tokens], NDArray[np.bool_]]


def draw(logits: Logits, allowed: Allowed, sampling: Sampling, chance: float) -> int | None:
    """The token that `chance`, uniform in [0, 1), falls on; None where nothing is allowed."""
    tokens, probabilities = choices(logits, allowed, sampling)
    if not len(tokens):
        return None
    index = int(np.searchsorted(np.cumsum(probabilities), chance, side="right"))
    return int(tokens[min(index, len(tokens) - 1)])


def choices(logits: Logits, allowed: Allowed, sampling: Sampling) -> tuple[Tokens, NDArray[np.float64]]:
    """The tokens that can be drawn, likeliest first, and their probabilities.

    What is not allowed is out first; then the temperature, the tail (TAIL), top_k, top_p and min_p, in this order,
    each on what the one before it left. Temperature 0 leaves the likeliest token; of equals the lowest number.
    """
    tokens, values = likeliest_allowed(logits, allowed, reach(sampling))
    if not len(tokens):
        return tokens, np.empty(0)
    order = np.lexsort((tokens, -values))
    tokens, scores = tokens[order], values[order].astype(np.float64)
    if sampling.temperature <= 0:
        return tokens[:1], np.ones(1)
    weights = np.exp((scores - scores[0]) / sampling.temperature)
    if sampling.top_k > 0:
        weights = weights[: sampling.top_k]
    if sampling.top_p < 1:
        before = np.cumsum(weights) - weights  # the mass of the likelier ones
        weights = weights[before < max(sampling.top_p, TAIL) * weights.sum()]
    weights = weights[weights >= min(sampling.min_p, 1.0)]
    return tokens[: len(weights)], weights / weights.sum()


def reach(sampling: Sampling) -> float:
    """How far below the best allowed logit a token can lie and still be drawn.

    top_p needs the mass of everything above the tail, so min_p cuts earlier only where top_p is off.
    """
    cut = max(sampling.min_p, TAIL) if sampling.top_p >= 1 else TAIL
    return max(0.0, -sampling.temperature * math.log(cut))


def likeliest_allowed(logits: Logits, allowed: Allowed, reach: float) -> tuple[Tokens, Logits]:
    """All allowed tokens that are at most `reach` below the best allowed one, and their logits; any order.

    Tokens with a logit of -inf are never looked at.
    """
    best = float(logits.max())
    look = max(FIRST_LOOK, reach)
    floor, above = best - look, math.inf  # all tokens in [above, inf) have been asked about
    found = np.empty(0, np.int64)
    while True:
        near = logits >= floor if floor > -math.inf else logits > -np.inf
        asked = np.flatnonzero(near if above == math.inf else near & (logits < above))
        found = np.concatenate([found, asked[allowed(asked)]]) if len(asked) else found
        if len(found):
            lowest = float(logits[found].max()) - reach
            if lowest >= floor:
                found = found[logits[found] >= lowest]
                return found, logits[found]
            above, floor = floor, lowest
        elif floor == -math.inf:
            return found, logits[found]
        else:
            look *= 2
            above, floor = floor, best - look if look < 40 else -math.inf
