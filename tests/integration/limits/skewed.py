"""Engines on machines whose clocks are wrong."""

from __future__ import annotations

from eventstore.keys import Keyspace
from eventstore.redis.driver.connection import connect
from executor.clock import SystemClock
from executor.worker.runtime import WorkSettings
from openagents_json.catalog.registry import Registry
from openagents_json.engine import Engine
from openagents_json.engine.open import OpenStore
from openagents_json.engine.wiring.client import build_core

PARTITIONS = 8


class SkewedClock(SystemClock):
    """A clock that is ahead."""

    def __init__(self, ahead_s: int) -> None:
        self.ahead_ms = ahead_s * 1000

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def open_skewed(url: str, prefix: str, ahead_s: int, components: Registry) -> Engine:
    """Open an engine whose machine's clock is ahead, or behind."""
    core = build_core(
        connect(url), Keyspace(prefix, PARTITIONS), clock=SkewedClock(ahead_s)
    )
    engine = Engine(
        OpenStore(core, components, url, core.connection.close), actor="skewed"
    )
    engine.work(WorkSettings(queues=("tool",), concurrency=2, lease_ms=600))
    return engine
