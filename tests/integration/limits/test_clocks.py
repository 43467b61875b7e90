"""Machines whose clocks are wrong by an hour: what is alive, due and open to others is judged by the server's clock."""

from __future__ import annotations

from typing import Any

import pytest

from eventstore.redis.driver.scripts import PlainCall
from eventstore.run_model import ClaimRequest
from executor.coordination.schedule_times import Schedule
from openagents_json.catalog.loader import load
from openagents_json.engine import Engine
from tests.acceptance.processes import COMPONENTS
from tests.conftest import Server, wait_for
from tests.integration.limits.skewed import PARTITIONS, open_skewed

HOUR = 3600


def test_a_dead_worker_whose_clock_ran_ahead_keeps_nothing(server: Server) -> None:
    prefix, registry = server.prefix(), load([str(COMPONENTS)])
    with Engine.connect(
        server.url, prefix=prefix, components=registry, partitions=PARTITIONS
    ) as engine:
        store = engine.core.store
        runs = engine.start_many(
            [({"id": "w", "steps": [{"id": "a", "component": "quick"}]}, {})] * 32
        )
        for partition in range(PARTITIONS):
            store.tell(partition, "dead", {"quick": True})
        requests = [
            ClaimRequest(p, "tool", 50, f"claim-{p}", "dead") for p in range(PARTITIONS)
        ]
        claims = store.claim(requests, worker="dead:1:aaaaa/1", lease_ms=50)
        assert sum(len(reply.claimed) for reply in claims) == 32
        entry = f'{{"queues":["tool"],"seen_ms":{store.now_ms() + HOUR * 1000}}}'  # as older versions wrote it
        store.call(
            [PlainCall((b"HSET", f"{prefix}:workers".encode(), "dead:1:aaaaa", entry))]
        )
        assert engine.core.directory.workers() == {}
        with Engine.connect(server.url, prefix=prefix, components=registry, workers=2):
            assert all(engine.wait(run, timeout=10).ok for run in runs)
        assert engine.doctor() == []


@pytest.mark.parametrize("ahead_s", [HOUR, -HOUR])
def test_a_wrong_clock_makes_nothing_early_or_late(
    server: Server, ahead_s: int
) -> None:
    prefix, registry = server.prefix(), load([str(COMPONENTS)])
    steps: list[dict[str, Any]] = [
        {"id": "sleep", "sleep": 0.05},
        {
            "id": "flaky",
            "component": "flaky",
            "retry": {"max_retries": 2, "delay_seconds": 0.05},
        },
        {
            "id": "rated",
            "component": "quick",
            "rate_limit": {"limit": 1, "per_seconds": 0.1},
        },
        {
            "id": "locked",
            "component": "quick",
            "mutex": "m",
            "timeouts": {"schedule_to_start": 30},
        },
        {"id": "async", "component": "waits", "timeout": 30},
    ]
    engine = open_skewed(server.url, prefix, ahead_s, registry)
    with (
        engine,
        Engine.connect(
            server.url,
            prefix=prefix,
            components=registry,
            workers=2,
            partitions=PARTITIONS,
        ) as ok,
    ):
        for run in engine.start_many(
            [({"id": "w", "steps": steps, "timeout": 60}, {})] * 4
        ):
            result = ok.wait(run, timeout=40)
            assert (result.status, result.error) == ("completed", None)
        assert (
            len(ok.core.directory.workers())
            == len(engine.core.directory.workers())
            == 2
        )
        engine.publish(
            {
                "id": "tick",
                "version": "1.0.0",
                "steps": [{"id": "a", "component": "quick"}],
            }
        )
        engine.schedules.create(Schedule("each", "tick", every_seconds=1))
        wait_for(lambda: engine.schedules.get("each")[1].last_run != "")
        engine.schedules.delete("each")
        assert ok.doctor() == []
