"""A thread of a worker process that has the ledger's key: it seals what comes in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from eventstore.errors import LockTaken
from eventstore.redis.driver.outages import level_of
from openagents_json.errors import OpenAgentsError
from projections.ledger.sealer import Sealer

log = logging.getLogger(__name__)

SEAL_SECONDS: Final = 1.0
"""How often what has come into the log is sealed."""

CLOSE_SECONDS: Final = 60.0
"""How often epochs are closed that are not full: as long may an event wait for its signature."""


class SealingService:
    """Seals the partitions of this process; `sealer` is made when the thread begins, and again when it fails."""

    def __init__(
        self,
        sealer: Callable[[], Sealer],
        partitions: Callable[[], Sequence[int]],
        steady_ms: Callable[[], float],
        *,
        close_seconds: float = CLOSE_SECONDS,
    ) -> None:
        self._new_sealer = sealer
        self._partitions = partitions
        self._steady_ms = steady_ms
        self._close_ms = close_seconds * 1000
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(
            target=self._loop, name="openagents-ledger", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End; what is not sealed yet will be, by whoever comes next."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        sealer: Sealer | None = None
        closed = self._steady_ms()
        while not self._stop.wait(SEAL_SECONDS):
            close = self._steady_ms() >= closed + self._close_ms
            try:
                sealer = sealer or self._new_sealer()
                sealer.seal(self._partitions(), close=close)
            except LockTaken:
                continue  # another process seals: this one looks again in a second
            except OpenAgentsError as error:
                log.log(level_of(error), "the log could not be sealed: %s", error)
                # The next look makes it anew: the ledger of the store, or the key, may be another one by then.
                sealer = None
                continue
            except Exception:
                # The ledger may fall behind; the runs of this process must not.
                log.exception("the ledger met a defect of the engine")
                continue
            if close:
                closed = self._steady_ms()
