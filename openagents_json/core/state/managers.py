"""The state managers of 0.1.4 by their names: the same manager, on a store in memory, in a directory or on a server."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from eventstore import MemoryStreamStore
from executor.clock import SystemClock, commit_ids, worker_id
from openagents_json.core.errors import NotOffered, StateError
from openagents_json.core.state.agent_log import TimedStore
from openagents_json.core.state.stream_manager import LOCK_SECONDS, StreamStateManager
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:  # the driver is for who keeps state on a server
    from eventstore import Connection

KEY_PREFIX = "openagents:state:"


class MemoryStateManager(StreamStateManager):
    """Keeps state in this process's memory, as long as it lives."""

    def __init__(self) -> None:
        store = MemoryStreamStore(now_ms=SystemClock().now_ms)
        super().__init__(store, owner=worker_id(), commit_id=commit_ids())


class RedisStateManager(StreamStateManager):
    """Keeps state on a Redis or Valkey server, in streams under a prefix; close it, or use it as a context manager.

    Raises StateError when the server cannot be reached, or is not fit to keep anything.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        serializer_name: str = "json",
        key_prefix: str = KEY_PREFIX,
        lock_timeout: float = LOCK_SECONDS,
    ) -> None:
        self._connection, store = _opened(redis_url or _redis_url(), key_prefix)
        super().__init__(
            store,
            owner=worker_id(),
            commit_id=commit_ids(),
            serializer_name=serializer_name,
            lock_timeout=lock_timeout,
        )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class FileStateManager(RedisStateManager):
    """Keeps state in a directory, with a server of its own there, which processes of this machine share.

    Raises StateError.
    """

    def __init__(
        self,
        base_path: str | Path,
        serializer_name: str = "json",
        use_locking: bool = True,
    ) -> None:
        del use_locking  # the server keeps writers apart in any case
        from eventstore import EmbeddedServer

        try:
            self._server = EmbeddedServer.open(Path(base_path).expanduser())
        except OpenAgentsError as error:
            raise StateError(f"the state in {base_path}: {error}") from error
        try:
            super().__init__(self._server.url, serializer_name)
        except BaseException:
            self._server.close()
            raise

    def close(self) -> None:
        """Close the connections, then the server if nobody else uses it."""
        super().close()
        self._server.close()


class DatabaseStateManager(StreamStateManager):
    """State in a database, which this engine does not keep.

    Raises NotOffered, always.
    """

    def __init__(self, *_arguments: Any, **_options: Any) -> None:
        refuse_database()


def refuse_database() -> NoReturn:
    """Say what to take in the place of a database.

    Raises NotOffered.
    """
    what = "state is not kept in a database"
    raise NotOffered(what, remedy="take RedisStateManager, or FileStateManager")


def _opened(url: str, key_prefix: str) -> tuple[Connection, TimedStore]:
    from eventstore import RedisStreamStore
    from openagents_json.engine.open import connected
    from openagents_json.engine.settings import read_settings

    prefix = key_prefix.strip(":").replace(":", ".")
    try:
        settings = read_settings(
            {"url": url, "prefix": prefix, "durability": "everysec"}
        )
        connection, keyspace = connected(settings, SystemClock())
    except OpenAgentsError as error:
        raise StateError(f"the store of the state: {error}") from error
    return connection, RedisStreamStore(connection, keyspace)


def _redis_url() -> str:
    """Return the URL of the settings.

    Raises StateError when they say none.
    """
    from openagents_json.settings import get_settings

    settings = get_settings()
    url = settings.state.redis_url or settings.storage.redis_url
    if not url:
        what = "no Redis URL is given, and the settings say none"
        raise StateError(what, remedy="set OPENAGENTS_STATE__REDIS_URL")
    return url
