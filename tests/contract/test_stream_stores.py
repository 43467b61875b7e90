"""Every adapter keeps the contract."""

from __future__ import annotations

import pytest

from eventstore.keys import Keyspace
from eventstore.memory.streams import MemoryStreamStore
from eventstore.redis.streams import RedisStreamStore
from eventstore.store import StreamStore
from eventstore.testing import StreamStoreContract
from tests.conftest import Server


class TestMemoryStreamStore(StreamStoreContract):
    @pytest.fixture
    def store(self) -> StreamStore:
        return MemoryStreamStore(partitions=3)

    @pytest.fixture
    def single(self) -> StreamStore:
        return MemoryStreamStore(partitions=1)


class TestRedisStreamStore(StreamStoreContract):
    @pytest.fixture
    def store(self, server: Server) -> StreamStore:
        return RedisStreamStore(server.connect(), Keyspace(server.prefix(), 3))

    @pytest.fixture
    def single(self, server: Server) -> StreamStore:
        return RedisStreamStore(server.connect(), Keyspace(server.prefix(), 1))
