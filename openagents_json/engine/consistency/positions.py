"""Positions in the log as texts: told to who has written, and waited for where somebody reads behind it.

A position has the number of the last event of each partition that it is about, and of the catalog. Callers hand it on
as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from eventstore.keys import CATALOG
from eventstore.redis.projection_log import LogReader
from openagents_json.engine.consistency.errors import InvalidPosition
from openagents_json.engine.wiring.client import Core

TRUSTED_MS: Final = 500
"""How long it is taken to be so that the log has come to where it was seen: as long as the catalog is cached."""

LARGEST: Final = 2**53

Counts = Mapping[int, int]
"""How many events a partition has."""

_decode: Final = msgspec.json.Decoder(dict[int, int]).decode


def token_of(counts: Counts) -> str:
    """Return a position as the text that callers get."""
    raw = msgspec.json.encode(dict(sorted(counts.items())))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def merged(positions: Iterable[Counts]) -> dict[int, int]:
    """Return the position behind several."""
    counts: dict[int, int] = {}
    for position in positions:
        for partition, count in position.items():
            counts[partition] = max(count, counts.get(partition, 0))
    return counts


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a partition was seen to have, and until when that is trusted."""

    count: int
    until_ms: float


class LogPositions:
    """Reads where the log of a store is; safe for threads."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._seen: dict[int, _Seen] = {}

    def parse(self, text: str) -> dict[int, int]:
        """Return the position behind those of a text, which parts several by commas.

        Raises InvalidPosition.
        """
        return merged(self._parsed(part.strip()) for part in text.split(","))

    def _parsed(self, text: str) -> Counts:
        padded = text + "=" * (-len(text) % 4)
        try:
            counts = _decode(base64.b64decode(padded, altchars=b"-_", validate=True))
        except ValueError:  # of either decoder
            raise InvalidPosition from None
        places = range(CATALOG, self._core.store.keys.partitions)
        if any(p not in places or not 0 <= counts[p] < LARGEST for p in counts):
            raise InvalidPosition
        return counts

    def after(self, runs: Sequence[str] | None) -> dict[int, int]:
        """Return where the log is now for runs, or in all of it.

        Raises StoreUnavailable.
        """
        keys = self._core.store.keys
        if runs is None:
            return self._read(range(CATALOG, keys.partitions))
        return self._read({keys.partition_of(run) for run in runs})

    def is_known(self, counts: Counts) -> bool:
        """Tell whether the log was seen behind a position a moment ago."""
        now_ms = self._core.clock.steady_ms()
        nothing = _Seen(0, 0.0)
        seen = {partition: self._seen.get(partition, nothing) for partition in counts}
        return all(
            seen[partition].count >= count and seen[partition].until_ms > now_ms
            for partition, count in counts.items()
        )

    def has(self, counts: Counts) -> bool:
        """Tell whether the log is behind a position; then this process reads no older catalog from now on.

        Raises StoreUnavailable.
        """
        there = self._read(counts)
        return all(there[partition] >= count for partition, count in counts.items())

    def _read(self, partitions: Iterable[int]) -> dict[int, int]:
        store = self._core.store
        asked = sorted(partitions)
        until_ms = self._core.clock.steady_ms() + TRUSTED_MS
        there = dict(zip(asked, LogReader(store).counts(asked), strict=True))
        before = self._seen.get(CATALOG)
        if CATALOG in there and (before is None or there[CATALOG] != before.count):
            # Before it is taken as seen: what was cached of the catalog may be older.
            self._core.registered.names.look_again()
        self._seen.update({p: _Seen(n, until_ms) for p, n in there.items()})
        return there
