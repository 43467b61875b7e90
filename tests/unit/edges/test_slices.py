"""Runs that are started a slice at a time: what has begun is told, whatever becomes of the slices behind it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventstore.errors import StoreRefused, StoreUnavailable
from executor.coordination.concurrency import ConcurrencyLimiter
from executor.coordination.starts import SLICE, RunStarter
from executor.errors import RunExists
from executor.runs.beginnings import Start
from executor.runs.codec import Limits
from executor.runs.handler import Handler


class Answering:
    """Answers the first slice, and is then of no use any more."""

    limits = Limits()

    def __init__(self, error: Exception) -> None:
        self.error, self.asked = error, 0
        self.beginnings = self

    def check(self, starts: Sequence[Start], *, actor: str) -> None:
        """Refuse nothing."""

    def start_each(self, starts: Sequence[Start], *, actor: str) -> list[Exception]:
        self.asked += 1
        if self.asked > 1:
            raise self.error
        return [RunExists(start.run) for start in starts]


@pytest.mark.parametrize(
    "error", [StoreUnavailable("here", "away"), StoreRefused("no user", "make one")]
)
def test_the_results_of_a_slice_are_not_lost_with_the_next_one(
    error: Exception,
) -> None:
    starter = RunStarter(
        cast(Handler, Answering(error)), cast(ConcurrencyLimiter, None)
    )
    plan: Any = None
    starts = [Start(f"0-{n}", plan, {}) for n in range(SLICE + 1)]
    results = starter.start_each(starts, actor="me")
    assert [type(run.error) for run in results] == [RunExists] * SLICE + [type(error)]
