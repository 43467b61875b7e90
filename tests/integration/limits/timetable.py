"""A store of schedules with a time of its own, for tests of what fires when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from eventstore.errors import StoreUnavailable
from eventstore.redis.coordination.schedules import ScheduleStore
from executor.coordination.schedule_times import (
    Schedule,
)
from executor.coordination.schedules import ScheduleService
from openagents_json import Registry
from openagents_json.engine import Engine
from openagents_json.workflow.times import moment_of
from tests.conftest import Server

DOCUMENT = {
    "id": "report",
    "inputs": {"at": {"type": "string"}, "n": {"type": "integer", "default": 1}},
    "steps": [{"id": "s", "wait_for": "go"}],
    "output": {"at": "{{input.at}}"},
}


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    with Engine.connect(
        server.url, prefix=server.prefix(), components=Registry(), partitions=4
    ) as opened:
        opened.publish(DOCUMENT)
        yield opened


class Clock(ScheduleStore):
    """A store of schedules with a time of its own, that can fail when it is written to.

    `meanwhile` is what somebody else does just before it is written to the next time.
    """

    now = 0
    broken = False
    meanwhile: Callable[[], object] | None = None

    def now_ms(self) -> int:
        return self.now

    def put(self, *args: Any) -> bool:
        if self.broken:
            raise StoreUnavailable("the test says so", "the connection is gone")
        act = self.meanwhile
        self.meanwhile = None
        if act is not None:
            act()
        return super().put(*args)


def service(engine: Engine, clock: Clock) -> ScheduleService:
    core = engine.core
    return ScheduleService(core.handler, core.starter, core.workflows, clock)


def clock_at(engine: Engine, now: int) -> Clock:
    clock = Clock(engine.core.store)
    clock.now = now
    return clock


@pytest.fixture
def clock(engine: Engine) -> Clock:
    return clock_at(engine, moment_of("2030-01-01T00:00:00Z"))


@pytest.fixture
def table(engine: Engine, clock: Clock) -> ScheduleService:
    return service(engine, clock)


def schedule(**more: Any) -> Schedule:
    return Schedule(
        **{
            "name": "nightly",
            "workflow": "report",
            "every_seconds": 60,
            "overlap": "allow",
            **more,
        }
    )


def fired(engine: Engine) -> list[str]:
    return sorted(
        (engine.state(r.id).labels or {})["scheduled_for"]
        for r in engine.runs(limit=1000)
    )
