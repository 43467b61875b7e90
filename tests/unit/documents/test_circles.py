"""Circles of waits: which waits never end, and which only take long."""

from __future__ import annotations

from eventstore.redis.upkeep.inspection import Lock
from openagents_json.engine.diagnosis.deadlocks import circles

PARENTS = {"a1": "a", "b1": "b", "low": "a1"}


def above(run: str) -> list[str]:
    """Return who waits for a run; for one that is detached, nobody does."""
    return [PARENTS[run], *above(PARENTS[run])] if run in PARENTS else []


def circles_of(*locks: tuple[str, str, str]) -> list[set[str]]:
    lines = [
        Lock(f"concurrency:{name}", tuple(held.split()), tuple(line.split()))
        for name, held, line in locks
    ]
    return [{wait.run for wait in circle} for circle in circles(lines, above)]


def test_children_that_wait_for_the_places_of_each_others_parents_are_a_circle() -> (
    None
):
    assert circles_of(("a", "a|", "b1|"), ("b", "b|", "a1|")) == [{"a1", "b1"}]
    assert circles_of(("a", "a|", "b1|"), ("b", "b|", "low|")) == [{"low", "b1"}]


def test_who_waits_behind_a_circle_is_in_none() -> None:
    assert circles_of(
        ("a", "a|", "b1| late|"), ("b", "b|", "a1| later|"), ("c", "late|", "x|")
    ) == [{"a1", "b1"}]


def test_a_line_before_somebody_who_goes_on_moves() -> None:
    assert circles_of(("a", "a|", "b1|"), ("b", "b| other|", "a1|")) == []
    assert circles_of(("a", "a|", "b1|")) == []
    assert circles_of(("a", "a|", "free|")) == []
    assert circles_of(("a", "", "b1|"), ("b", "b|", "a1|")) == []
