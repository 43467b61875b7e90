"""Connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import redis

T = TypeVar("T")


class Connection:
    """A client and a blocking one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client: Any = redis.Redis.from_url(url)
        self.blocking: Any = redis.Redis.from_url(url, socket_timeout=20)

    def blocking_call(self, block_ms: int, *args: Any) -> Any:
        """Block."""
        return self.blocking.execute_command(*args)

    def close(self) -> None:
        """Close."""
        self.client.close()
        self.blocking.close()


def connect(url: str) -> Connection:
    """Connect."""
    return Connection(url)


def retrying(call: Callable[[], T]) -> T:
    """Retry."""
    return call()
