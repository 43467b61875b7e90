"""The driver's pool, quicker where nothing is the matter: taking a connection and giving it back takes 15 us else.

That is a tenth of what a worker needs for a step, and most of it is told to instruments of the driver that nobody has
asked for. What is not in order is left to the driver: it opens connections, waits for one and notices those that broke.
"""

from __future__ import annotations

from queue import Empty
from typing import Any

import redis


class QuickPool(redis.BlockingConnectionPool):
    """Gives out connections that are open and have nothing to read by itself.

    It does not ask whose process this is, as the driver does: a forked child has pools of its own (`Connection`).
    """

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Take a connection.

        Raises RedisError and OSError.
        """
        try:
            connection = self.pool.get_nowait()
        except Empty:
            return self._by_driver()
        if _is_ready(connection) and not self._in_maintenance:
            return connection
        self.pool.put_nowait(connection)  # the last one in is the first one out
        return self._by_driver()

    def _by_driver(self) -> Any:
        return super().get_connection()  # type: ignore[no-untyped-call]

    def release(self, connection: Any) -> None:
        """Give a connection back."""
        is_plain = self.owns_connection(connection) and not self._in_maintenance
        if is_plain and not connection.should_reconnect():
            self.pool.put_nowait(connection)
        else:
            super().release(connection)  # type: ignore[no-untyped-call]


def _is_ready(connection: Any) -> bool:
    """Tell whether a command can be sent: one that was closed by its server, or has unread replies, has data."""
    if connection is None or connection._sock is None:
        return False
    try:
        return not connection.can_read()
    except (redis.ConnectionError, redis.TimeoutError, OSError):
        return False
