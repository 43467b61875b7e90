"""Waves of a heal on whose runs nobody works: who lacks is told, once nobody has been there for the whole time."""

from __future__ import annotations

from typing import Any

import pytest

from openagents_json.engine.errors import NobodyWorks
from openagents_json.engine.healing.idleness import IdleWatch


class Store:
    """What a store tells of workers, and a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = self
        self.ms = 0.0
        self.alive = True
        self.lacks: dict[str, str] = {}

    def steady_ms(self) -> float:
        return self.ms

    def workers(self) -> list[str]:
        return ["w"] if self.alive else []

    def lacking(self, run: str) -> dict[str, str]:
        return self.lacks


def watch_of(store: Any) -> IdleWatch:
    return IdleWatch(store, "h", 1, 10.0)


def test_workers_that_do_not_have_a_component_are_nobody() -> None:
    store = Store()
    store.lacks = {"a": "needs mended@^2"}
    watch = watch_of(store)
    watch.look("0-r")
    store.ms = 10_000
    with pytest.raises(NobodyWorks, match="step a needs mended"):
        watch.look("0-r")


def test_time_begins_anew_when_somebody_has_been_there() -> None:
    store = Store()
    watch = watch_of(store)
    for ms, alive in [(0, False), (9_000, True), (10_000, False), (19_000, False)]:
        store.ms, store.alive = ms, alive
        watch.look("0-r")
    store.ms = 20_000
    with pytest.raises(NobodyWorks, match="no worker is alive"):
        watch.look("0-r")
