"""Positions in the log as texts: told to who has written, and waited for where somebody reads behind it.

A position has the number of the last event of each partition that it is about, and of the catalog. Callers hand it on
as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

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

_Count = Annotated[int, msgspec.Meta(ge=0, lt=LARGEST)]
_decode: Final = msgspec.json.Decoder(dict[int, _Count]).decode


def token_of(counts: Counts) -> str:
    """Return a position as the text that callers get."""
    raw = msgspec.json.encode(dict(sorted(counts.items())))
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def merged(positions: Iterable[Counts]) -> dict[int, int]:
    """Return the position behind several."""
    counts: dict[int, int] = {}
    for position in positions:
        counts |= {each: max(n, counts.get(each, 0)) for each, n in position.items()}
    return counts


@dataclass(frozen=True, slots=True)
class _Seen:
    """How many events a partition was seen to have, and until when that is trusted."""

    count: int
    until_ms: float


_NEVER: Final = _Seen(-1, 0.0)


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
        there_are = range(CATALOG, self._core.store.keys.partitions)
        if not counts.keys() <= set(there_are):
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

    def of(self, run: str, count: int) -> dict[int, int]:
        """Return the position behind so many events of the partition of a run."""
        return {self._core.store.partition_of(run): count}

    def is_known(self, counts: Counts) -> bool:
        """Tell whether the log was seen behind a position a moment ago."""
        now_ms = self._core.clock.steady_ms()
        return all(self._has_seen(*each, now_ms) for each in counts.items())

    def _has_seen(self, partition: int, count: int, now_ms: float) -> bool:
        seen = self._seen.get(partition, _NEVER)
        return seen.count >= count and seen.until_ms > now_ms

    def has(self, counts: Counts) -> bool:
        """Tell whether the log is behind a position; then this process reads no older catalog from now on.

        Raises StoreUnavailable.
        """
        there = self._read(counts)
        return merged([there, counts]) == there

    def _read(self, partitions: Iterable[int]) -> dict[int, int]:
        asked = sorted(partitions)
        until_ms = self._core.clock.steady_ms() + TRUSTED_MS
        counts = LogReader(self._core.store).counts(asked)
        there = dict(zip(asked, counts, strict=True))
        catalog = self._seen.get(CATALOG, _NEVER).count
        if there.get(CATALOG, catalog) != catalog:
            # Before it is taken as seen: what was cached of the catalog may be older.
            self._core.registered.names.look_again()
        self._seen |= {each: _Seen(n, until_ms) for each, n in there.items()}
        return there
