"""API keys that a process has seen lately: most requests are answered without a look into the store."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Final

from openagents_json.engine import ApiKey

TRUSTED_MS: Final = 2_000
"""How long a key counts that was seen: so long may one work on that was taken back."""

MOST: Final = 10_000


class KnownKeys:
    """Finds the API key of a secret; safe for threads."""

    def __init__(
        self, find: Callable[[str], ApiKey | None], steady_ms: Callable[[], float]
    ) -> None:
        self._find = find
        self._steady_ms = steady_ms
        self._lock = Lock()
        self._seen: OrderedDict[bytes, tuple[ApiKey, float]] = OrderedDict()

    def known(self, secret: str) -> ApiKey | None:
        """Return the key of a secret that was seen lately."""
        with self._lock:
            seen = self._seen.get(_digest(secret))
        if seen is None:
            return None
        key, until_ms = seen
        return key if self._steady_ms() < until_ms else None

    def find(self, secret: str) -> ApiKey | None:
        """Return the key of a secret from the store, None where there is none.

        Raises StoreUnavailable.
        """
        key = self._find(secret)
        if key is None:
            return None
        with self._lock:
            self._seen[_digest(secret)] = (key, self._steady_ms() + TRUSTED_MS)
            self._seen.move_to_end(_digest(secret))
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
        return key


def _digest(secret: str) -> bytes:
    """Return what stands for a secret in memory: who reads that, has no secrets yet."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
