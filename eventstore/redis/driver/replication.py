"""What replicas have to confirm before an answer counts: the level of durability that outlives a failover.

WAIT asks for what its own connection has written last. A commit that is sent again on another connection, and is there
already, writes nothing, and WAIT would say at once that all is well (Valkey 9.1.2). So a key is written before each
WAIT: what replicas have then is all that the server had by that time, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eventstore.driver_errors import translate
from eventstore.errors import InvalidRequest, NotReplicated

REPLICATED: Final = "replicated"
"""The level of durability at which replicas confirm."""

MOST_MS: Final = 4000
"""How long replicas may be waited for at a time: less than what the driver waits for a reply."""

_MARK: Final = b"#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], '1')"
"""Written whole each time: a server does not forget it, and carries it out at its memory limit too."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """So many replicas have to confirm, each time within so many ms; 0 stands for all that are connected."""

    count: int = 0
    timeout_ms: int = 2000

    def __post_init__(self) -> None:
        if self.count < 0 or not 1 <= self.timeout_ms <= MOST_MS:
            raise InvalidRequest(
                f"{self.count} replicas within {self.timeout_ms} ms: there must be 0 (all that are connected) or more, "
                f"within 1 to {MOST_MS} ms"
            )


class Quorum:
    """How many replicas have to confirm what is written on the server that is the primary now.

    Any replica that could be promoted has to be among them. A server that had two replicas and has one has perhaps lost
    the other one to a failover that it does not know of yet, so of one server the number never falls.
    """

    def __init__(self, asked: Replicas) -> None:
        self.asked = asked
        self.doubted = False
        self._server = ""
        self._count = max(1, asked.count)

    @property
    def count(self) -> int:
        """Return the number of replicas."""
        return self._count

    def look(self, info: Mapping[str, str], least: int = 0) -> None:
        """Take note of what a primary says of its replicas; `least` is how many it insists on itself."""
        self.doubted = False
        if self.asked.count or info.get("role") != "master":
            return
        seen = max(1, least, online(info))
        server = info.get("run_id", "")
        if server == self._server:
            seen = max(seen, self._count)
        self._server = server
        self._count = seen

    @property
    def server(self) -> str:
        """Return the run id of the primary whose replicas are counted."""
        return self._server

    def confirmed(self, count: int, server: str) -> None:
        """Take note of how many replicas of a server have confirmed: where one has come, it is asked from now on."""
        if not self.asked.count and server == self._server:
            self._count = max(self._count, count)


def quorum_of(durability: str, count: int, timeout_ms: int) -> Quorum | None:
    """Return what a level asks of replicas."""
    if durability == REPLICATED:
        return Quorum(Replicas(count, timeout_ms))
    return None


def online(info: Mapping[str, str]) -> int:
    """Count the replicas that follow a server: those that are being copied to confirm nothing yet."""
    return sum(
        name.startswith("slave") and "state=online" in value
        for name, value in info.items()
    )


def confirming(
    key: bytes, count: int, within_ms: int
) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return the commands that go behind what was written in the store of a key: a mark, and the wait for replicas."""
    mark = key.split(b":", 1)[0] + b":confirmed"
    return (b"EVAL", _MARK, 1, mark), (b"WAIT", count, within_ms)


def check_confirmed(replies: Sequence[Any], count: int, where: str) -> None:
    """Look at the replies to those commands.

    Raises StoreUnavailable and NotReplicated.
    """
    marked, confirmed = replies
    if isinstance(marked, Exception):
        if not str(marked).startswith("NOREPLICAS"):
            raise translate(marked, where) from marked
        raise NotReplicated(where, count, 0)
    if not isinstance(confirmed, int):
        raise NotReplicated(where, count, 0)
    if confirmed < count:
        raise NotReplicated(where, count, confirmed)


_TOLD_TO_NOBODY: Final = frozenset(
    {
        "due",
        "snapshot",
        "view_read",
        "view_seek",
        "view_rows",
        "project",
        "bell",
        "members",
        "survey",
        "emit",
        "await",
        "look_back",
    }
)
"""Scripts that read, or whose writes are hints, views and caches: nothing is acknowledged by them."""

_WRITES: Final = frozenset(
    {b"SADD", b"SET", b"HSET", b"HSETNX", b"HDEL", b"DEL", b"ZADD"}
)


def script_counts(name: str, args: Sequence[Any]) -> bool:
    """Tell whether somebody relies on what a script has written; of heartbeats, on those that begin steps."""
    if name == "beat":
        return len(args) > 1 and args[1] == "begin"
    if name == "essential":
        return command_counts(args)
    return name not in _TOLD_TO_NOBODY


def command_counts(args: Sequence[Any]) -> bool:
    """Tell whether somebody relies on what a command has written."""
    return args[0] in _WRITES
