"""What a proof of inclusion holds.

A proof of several events holds each signed record once; a receipt is the proof of one event, with the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Where an event stands in the ledger: `salt` opens the commitment to its payload, empty once that is erased.

    `path` leads up to the root of its epoch; it is empty where the proof has all leaves of the epoch.
    """

    n: int
    record: int
    path: tuple[bytes, ...]
    salt: bytes
    committed: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """Signed records, the public keys that the ledger names for them, and where events stand, by version of the run.

    `leaves` are all those of an epoch, by the index of its record, where that is shorter than a path for each event.
    """

    records: tuple[tuple[bytes, bytes], ...]
    keys: Mapping[str, bytes]
    events: Mapping[int, Inclusion]
    leaves: Mapping[int, bytes] = field(default_factory=dict)
