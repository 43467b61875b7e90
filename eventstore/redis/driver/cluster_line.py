"""Commands on their way to a node of a cluster, and the connection that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ConnectionError as DriverConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as DriverTimeoutError

_KEYLESS: Final = frozenset(
    ["BGREWRITEAOF", "CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "TIME"]
)
_KEY_AT: Final = {"EVALSHA": 3, "MEMORY": 2}

Command = tuple[Any, ...]


def key_of(command: Command) -> bytes | None:
    """Return a key of a command, None when it has none; all keys of one command lie in one slot."""
    name = text_of(command[0]).upper()
    if name in _KEYLESS:
        return None
    place = command.index(b"STREAMS") + 1 if name == "XREAD" else _KEY_AT.get(name, 1)
    key = command[place]
    return key.encode() if isinstance(key, str) else key


@dataclass(slots=True)
class RoutedCommand:
    """A command on its way: where it goes, whether that node has to be told to take it, and what came back."""

    command: Command
    slot: int | None
    node: Any = None
    asking: bool = False
    reply: Any = None


class NodeConnection:
    """A connection to one node for some commands; one that fails fails for all of them."""

    def __init__(self, node: str, pool: Any, items: list[RoutedCommand]) -> None:
        self.node, self.items = node, items
        self.broken = False
        self._pool = pool
        self._connection: Any = None
        self._unread = 0

    def write(self) -> None:
        """Send the commands."""
        packed = []
        for item in self.items:
            packed += [("ASKING",), item.command] if item.asking else [item.command]
        try:
            self._connection = self._pool.get_connection()
            self._unread = len(packed)
            self._connection.send_packed_command(self._connection.pack_commands(packed))
        except (RedisError, OSError) as error:
            self._fail(error)

    def read(self) -> None:
        """Read the replies, errors among them."""
        if self.broken:
            return
        for item in self.items:
            try:
                if item.asking:
                    self._read()
                item.reply = self._read()
            except (RedisError, OSError) as error:
                self._fail(error)
                return

    def _read(self) -> Any:
        try:
            reply = self._connection.read_response()
        except (DriverConnectionError, DriverTimeoutError, OSError):
            raise
        except RedisError as error:
            reply = error
        self._unread -= 1
        return reply

    def _fail(self, error: Exception) -> None:
        """Return the error to all: a node that broke off is asked for nothing more, whatever was answered before."""
        self.broken = True
        if type(error) in (
            DriverConnectionError,
            DriverTimeoutError,
        ) and self.node not in str(error):
            error = type(error)(f"node {self.node}: {error}")
        for item in self.items:
            item.reply = error

    def release(self) -> None:
        """Return the connection back; one with unread replies is closed, or whoever has it next would read them."""
        if self._connection is not None:
            if self._unread:
                self._connection.disconnect()
            self._pool.release(self._connection)


def text_of(name: Any) -> str:
    """Return a name of a command as text."""
    return name.decode() if isinstance(name, bytes) else str(name)
