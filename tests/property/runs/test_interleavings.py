"""Whatever decisions are lost on the way: a run ends as if none had been."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as s

from tests.examples import examples
from tests.interleavings import case

ROOT = Path(__file__).resolve().parents[3]


@settings(max_examples=examples(60), deadline=None)
@given(s.integers(0, 2**32))
def test_a_run_that_loses_decisions_ends_as_if_it_had_lost_none(seed: int) -> None:
    case(seed, racy=False)


@settings(max_examples=examples(60), deadline=None)
@given(s.integers(0, 2**32))
def test_where_the_order_of_outcomes_matters_a_run_ends_as_if_they_had_been_recorded_together(
    seed: int,
) -> None:
    case(seed, racy=True)


def test_many_are_played_by_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/interleavings", "--count", "20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 cases from seed 0")
    assert " 0 differ" in done.stdout
