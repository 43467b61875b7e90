"""Commands on their way to a node of a cluster, and the connection that carries them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from redis.exceptions import ConnectionError as DriverConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as DriverTimeoutError

from eventstore.redis.driver.exchange import Command, Exchange

_KEYLESS: Final = frozenset(
    ["BGREWRITEAOF", "CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "TIME"]
)
_KEY_AT: Final = {"EVALSHA": 3, "MEMORY": 2}


def key_of(command: Command) -> bytes | None:
    """Return a key of a command, None when it has none; all keys of one command lie in one slot."""
    name = text_of(command[0]).upper()
    if name in _KEYLESS:
        return None
    index = command.index(b"STREAMS") + 1 if name == "XREAD" else _KEY_AT.get(name, 1)
    key: str | bytes = command[index]
    if isinstance(key, str):
        return key.encode()
    return key


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
        self.node = node
        self.items = items
        self.broken = False
        self._exchange = Exchange(pool)

    def write(self) -> None:
        """Send the commands."""
        commands: list[Command] = []
        for item in self.items:
            if item.asking:
                commands.append((b"ASKING",))
            commands.append(item.command)
        try:
            self._exchange.write(commands)
        except (RedisError, OSError) as error:
            self._fail(error)

    def read(self) -> None:
        """Read the replies, errors among them."""
        if self.broken:
            return
        try:
            replies = iter(self._exchange.read())
        except (RedisError, OSError) as error:
            self._fail(error)
            return
        for item in self.items:
            if item.asking:
                next(replies)
            item.reply = next(replies)

    def _fail(self, error: Exception) -> None:
        """Return the error to all: a node that broke off is asked for nothing more, whatever was answered before."""
        self.broken = True
        is_plain = type(error) in (DriverConnectionError, DriverTimeoutError)
        if is_plain and self.node not in str(error):
            error = type(error)(f"node {self.node}: {error}")
        for item in self.items:
            item.reply = error

    def release(self) -> None:
        """Give the connection back."""
        self._exchange.release()


def text_of(name: Any) -> str:
    """Return a name of a command as text."""
    if isinstance(name, bytes):
        return name.decode()
    return str(name)
