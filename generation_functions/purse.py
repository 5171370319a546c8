"""What calls cost in money, and the limit at which buying stops.

    purse = Purse({"large-70b": Price(prompt=0.6, cached=0.3, completion=0.9)}, limit=5.0, spent=1.25)
    with purse.buying("large-70b", request) as bill:
        completion = ...
        bill(completion)          # 0.00092, added to what is spent

Prices are in any currency, for a million tokens. A model without a price costs nothing, as one's own machine does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .engine import Completion, Request
from .errors import Paused

MILLION = 1_000_000
LETTERS_A_TOKEN = 3  # or more, in the languages that models know best


@dataclass(frozen=True, slots=True)
class Price:
    """For a million tokens: of the prompt, of the part of it that a server had in its cache, of the answer."""

    prompt: float = 0.0
    cached: float = 0.0
    completion: float = 0.0

    def of(self, completion: Completion) -> float:
        read = completion.prompt_tokens - completion.cached_tokens
        cost = read * self.prompt + completion.cached_tokens * self.cached
        return (cost + completion.completion_tokens * self.completion) / MILLION

    def at_most(self, request: Request) -> float:
        read = len(request.prompt) // LETTERS_A_TOKEN
        return (read * self.prompt + request.sampling.max_tokens * self.completion) / MILLION


FREE = Price()


class Purse:
    """What a run has spent. `limit` 0: none.

    Calls in flight are counted at the average price of those before, the first ones at the most that they can cost,
    so that they too stay below the limit.
    """

    def __init__(self, prices: Mapping[str, Price], limit: float = 0.0, spent: float = 0.0) -> None:
        self.spent = spent
        self._prices, self._limit = prices, limit
        self._bought, self._paid, self._in_flight = 0, 0.0, 0

    @contextlib.contextmanager
    def buying(self, model: str, request: Request) -> Iterator[Callable[[Completion], float]]:
        """A call, which `bill` has to be told of when it was answered. Raises Paused where the limit is reached."""
        price = self._prices.get(model, FREE)
        if price == FREE:
            yield lambda completion: 0.0
            return
        expected = self._paid / self._bought if self._bought else price.at_most(request)
        if self._limit and self.spent + (self._in_flight + 1) * expected >= self._limit:
            raise Paused(
                f"Paused: {self.spent:.4f} is spent of API.SPENDING_LIMIT {self._limit:g}; "
                "raise it and run the cell again to go on."
            )

        def bill(completion: Completion) -> float:
            cost = price.of(completion)
            self.spent += cost
            self._paid += cost
            self._bought += 1
            return cost

        self._in_flight += 1
        try:
            yield bill
        finally:
            self._in_flight -= 1
