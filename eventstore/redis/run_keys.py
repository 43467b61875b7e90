"""Where the wrapped data keys of encrypted runs are kept: one text for each run, beside its log."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from eventstore.redis.client import RedisClient
from eventstore.redis.driver.scripts import PlainCall, Script, ScriptCall, load_text


class KeyStore:
    """Reads and writes wrapped keys; that of a new run is written by the commit that begins it."""

    def __init__(self, store: RedisClient) -> None:
        self._store = store
        self._keys = store.keys
        self._rekey = Script("rekey", load_text("rekey.lua"))

    def get(self, runs: Sequence[str]) -> list[bytes | None]:
        """Read the wrapped keys of runs; None where there is none."""
        if not runs:
            return []
        calls = [PlainCall((b"GET", self._keys.key(run))) for run in runs]
        return self._store.call(calls)

    def add(self, run: str, record: str) -> bytes:
        """Keep the wrapped key of a run that has none; gives what is there then."""
        name = self._keys.key(run)
        # Only where there is none: a second key for a run would make what the first one has encrypted unreadable.
        keep = PlainCall((b"SET", name, record, b"NX"))
        _, stored = self._store.call([keep, PlainCall((b"GET", name))])
        return bytes(stored)

    def remove(self, run: str) -> None:
        """Destroy the wrapped key of a run."""
        self._store.call([PlainCall((b"DEL", self._keys.key(run)))])

    def swap(self, run: str, old: bytes, new: str) -> bool:
        """Put another wrapping in the place of the one that was read; False when that is there no more."""
        # Compared with what was read: a key that was shredded meanwhile must not come back by its rotation.
        swap = ScriptCall(self._rekey, [self._keys.key(run)], [old, new])
        [is_swapped] = self._store.call([swap])
        return bool(is_swapped)

    def runs(self) -> Iterator[str]:
        """Return the runs that have keys; walks the whole keyspace."""
        prefix = self._keys.prefix
        pattern = re.compile(rf"{re.escape(prefix)}:\{{\d+\}}:key:(.+)", re.DOTALL)
        for name in self._store.scan(f"{prefix}:{{*}}:key:*".encode()):
            match = pattern.fullmatch(name.decode("utf-8", "surrogatepass"))
            if match:
                yield match[1]
