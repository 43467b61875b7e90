"""Every adapter of RunStore keeps the contract with telemetry in front of it."""

from __future__ import annotations

import pytest

from eventstore.keys import Keyspace
from eventstore.memory.runs import MemoryRunStore
from eventstore.redis.runs import RedisRunStore
from eventstore.runs import RunStore
from eventstore.testing.runs import Later, RunStoreContract
from openagents_json.engine import InMemoryTelemetry
from openagents_json.engine.telemetry.run_store import MeasuredRunStore
from tests.aging import age
from tests.conftest import Server


def measured(store: RunStore) -> MeasuredRunStore:
    return MeasuredRunStore(store, InMemoryTelemetry(), steady_ms=lambda: 0.0)


class TestMeasuredMemoryRunStore(RunStoreContract):
    @pytest.fixture
    def clock(self) -> list[int]:
        return [1_000_000_000_000]

    @pytest.fixture
    def store(self, clock: list[int]) -> RunStore:
        return measured(MemoryRunStore(now_ms=lambda: clock[0]))

    @pytest.fixture
    def later(self, clock: list[int]) -> Later:
        def later(ms: int) -> None:
            clock[0] += ms

        return later


@pytest.mark.damages_store("its events are made up, and its runs are left as they are")
class TestMeasuredRedisRunStore(RunStoreContract):
    @pytest.fixture
    def adapter(self, server: Server) -> RedisRunStore:
        return RedisRunStore(server.connect(), Keyspace(server.prefix(), 1))

    @pytest.fixture
    def store(self, adapter: RedisRunStore) -> RunStore:
        return measured(adapter)

    @pytest.fixture
    def later(self, adapter: RedisRunStore) -> Later:
        return lambda ms: age(adapter, ms)
