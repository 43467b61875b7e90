"""Commands that go out in one piece on a connection of the driver's, and their replies.

The driver's pipeline takes 3 us for each command, and its client 30 us for a call: a commit takes less than that in the
server. So commands are packed by hiredis and replies are read one after the other, and the driver does the rest: it
opens connections, keeps them in its pools, and notices when one has gone.

Nothing is sent again here: only the caller knows what may be carried out twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.exceptions import ResponseError

Command = tuple[Any, ...]

JOINED_BYTES: Final = 1 << 20
"""Up to this size commands are joined and written at once; larger ones are payloads, which are not copied."""


def exchange(pool: Any, commands: Sequence[Command]) -> list[Any]:
    """Send commands on a connection of a pool and return their replies; the refusals of single ones are among them.

    Raises RedisError and OSError when the connection fails: nobody knows then what was carried out.
    """
    line = Exchange(pool)
    try:
        line.write(commands)
        return line.read()
    finally:
        line.release()


class Exchange:
    """One use of a connection of a pool: commands are written, their replies are read, the connection goes back."""

    __slots__ = ("_connection", "_pool", "_unread")

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._connection: Any = None
        self._unread = 0

    def write(self, commands: Sequence[Command]) -> None:
        """Take a connection and send commands.

        Raises RedisError and OSError.
        """
        packed = [hiredis.pack_command(command) for command in commands]
        if sum(map(len, packed)) <= JOINED_BYTES:
            packed = [b"".join(packed)]
        self._connection = self._pool.get_connection()
        self._unread = len(commands)
        self._connection.send_packed_command(packed)

    def read(self) -> list[Any]:
        """Read the replies; the refusals of single commands are among them.

        Raises RedisError and OSError when the connection fails.
        """
        if not self._unread:
            return []
        try:
            replies: list[Any] = [self._connection.read_response()]
        except ResponseError as refusal:
            replies = [refusal]
        # Once the first has come, the driver's connection has nothing to add to what its parser says of the others.
        parser = self._connection._parser
        for _ in range(1, self._unread):
            replies.append(parser.read_response())
        self._unread = 0
        return replies

    def release(self) -> None:
        """Give the connection back; one with unread replies is closed, or whoever has it next would read them."""
        if self._connection is None:
            return
        if self._unread:
            self._connection.disconnect()
        self._pool.release(self._connection)
