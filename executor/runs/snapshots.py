"""Snapshots of runs as bytes that only those who hold a secret can make: whoever else writes one is not believed.

A snapshot decides what a run does next, and the store keeps it beside the log for everybody who can write there. With
master keys, all processes that have them believe each other; without, each process believes itself, and derives the
state from the log where another one has kept it.
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from collections.abc import Sequence
from typing import Final

from eventstore import codec
from openagents_json.workflow.core.snapshot import FORMAT, dump
from openagents_json.workflow.core.state import RunState

_ABOUT: Final = b"openagents-snapshot/1"
_SEAL_BYTES: Final = 32
SNAPSHOT: Final = "snapshot"


class SnapshotSeals:
    """Seals snapshots; `secrets` are those that are believed, the first one seals.

    `shared` tells that other processes have the same.
    """

    def __init__(self, secrets: Sequence[bytes], *, shared: bool) -> None:
        self._keys = [hmac.digest(secret, _ABOUT, "sha256") for secret in secrets]
        self.shared = shared

    def sealed(self, run: str, raw: bytes) -> bytes:
        """Return a snapshot with its seal behind it."""
        return raw + self._seal(self._keys[0], run, raw)

    def opened(self, run: str, raw: bytes) -> bytes | None:
        """Return a snapshot without its seal, None when none of the secrets has made that for this run."""
        data = raw[:-_SEAL_BYTES]
        seal = raw[-_SEAL_BYTES:]
        is_believed = any(
            hmac.compare_digest(seal, self._seal(key, run, data)) for key in self._keys
        )
        return data if is_believed else None

    def _seal(self, key: bytes, run: str, raw: bytes) -> bytes:
        named = hashlib.sha256(run.encode("utf-8", "surrogatepass")).digest()
        return hmac.digest(key, named + raw, "sha256")


def packed(version: int, commit: str, state: RunState) -> bytes:
    """Return a state as the bytes of a snapshot, without its seal."""
    return zlib.compress(codec.encode([FORMAT, version, commit, dump(state)]), 1)
