"""Chooses revisions by percent: smooth weighted round robin, so that shares are exact over each 100 requests."""

from collections.abc import Iterable


class Balancer:
    """Hands out names in proportion to their weights, spread as evenly as whole requests allow.

    Each turn all weights are added to their counters; the highest counter is chosen and pays the sum of all weights.
    """

    def __init__(self, weights: Iterable[tuple[str, int]]) -> None:
        self._weights = [(name, weight) for name, weight in weights if weight > 0]
        self._total = sum(weight for _, weight in self._weights)
        self._counters = dict.fromkeys((name for name, _ in self._weights), 0)

    def next(self) -> str | None:
        """The next name, or None if nothing has a weight."""
        if len(self._weights) == 1:
            return self._weights[0][0]
        counters = self._counters
        best: str | None = None
        for name, weight in self._weights:
            counters[name] += weight
            if best is None or counters[name] > counters[best]:
                best = name
        if best is not None:
            counters[best] -= self._total
        return best
