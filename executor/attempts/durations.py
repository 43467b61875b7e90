"""How long steps take here: what a drain needs to know to batch short ones and to leave long ones alone."""

from __future__ import annotations

UNKNOWN_MS = 1e9
WEIGHT = 0.2
DOWN = 0.05
"""The weight of a short step in the average: what is claimed beside a long one has to be given back, so long ones
are remembered longer."""


class DurationAverages:
    """Moving averages of durations, by component and over all; racing threads lose a sample, nothing else."""

    def __init__(self) -> None:
        self._averages: dict[str, float] = {}
        self._all: float | None = None

    def ran(self, component: str, took_ms: float) -> None:
        """Take a duration into account."""
        average = self._averages.get(component, took_ms)
        self._averages[component] = average + WEIGHT * (took_ms - average)
        over_all = took_ms if self._all is None else self._all
        weight = WEIGHT if took_ms > over_all else DOWN
        self._all = over_all + weight * (took_ms - over_all)

    def expected_ms(self, component: str) -> float:
        """Return the expected duration; a component that never ran here is expected to be long."""
        return self._averages.get(component, UNKNOWN_MS)

    def all_within(self, limit_ms: float) -> bool:
        """Tell whether steps take no longer than that on the average, whatever they call; not if none is known."""
        return self._all is not None and self._all <= limit_ms

    def batch(self, most: int) -> int:
        """Return how many steps to claim at once: about 20 ms of work, one while nothing is known."""
        if self._all is None:
            return 1
        return max(1, min(most, int(20.0 / max(self._all, 0.05))))
