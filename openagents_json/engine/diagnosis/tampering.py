"""What `openagents doctor` finds of what somebody has changed in the store, beside the log."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from eventstore import codec
from eventstore.errors import EventStoreError
from eventstore.redis.driver.fitness.findings import Finding
from executor.encryption import RunKey
from executor.errors import EncryptionError
from executor.integrity.derived_state import DerivedStateCheck, definition_faults
from executor.runs.snapshots import SNAPSHOT
from openagents_json.engine.wiring.client import Core
from openagents_json.errors import RunUnreadable
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.snapshot import FORMAT, dump
from openagents_json.workflow.core.state import initial

PAGE: Final = 200
PAYLOADS_AT_ONCE: Final = 20
"""How many payloads are held in memory together; each may have some MB."""

_BACK: Final = "restore it from a backup of the store; runs that need it wait for that"


def changed_beside(core: Core, *, deep: bool = False) -> Iterator[Finding]:
    """Check definitions against their hashes; with `deep`, heads, payloads and snapshots too, for which all is read."""
    for names in _pages(core.store.stored_definitions()):
        for _, what in definition_faults(core.store, names):
            yield Finding(level="error", code="definition", what=what, remedy=_BACK)
    if deep:
        yield from _heads(core)
        yield from _payloads(core)
        yield from _snapshots(core)


def _pages(names: Sequence[str], size: int = PAGE) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]


def _heads(core: Core) -> Iterator[Finding]:
    remedy = "`openagents doctor --repair` writes it anew where the log says how"
    for streams in core.ledger.streams().values():
        standings = DerivedStateCheck(core.store)
        for _ in standings.over(core.ledger.each_event(streams)):
            pass  # it notes what heads should be, as events go by
        for fault in standings.faults():
            if fault.kind == "head":
                yield Finding(
                    level="error",
                    code="head",
                    what=f"run {fault.run}: {fault.what}",
                    remedy=remedy,
                )


def _payloads(core: Core) -> Iterator[Finding]:
    for partition in range(core.store.partitions):
        for sha in _changed_payloads(core, partition):
            what = f"payload {sha} of partition {partition} is not what its hash says"
            yield Finding(level="error", code="payload", what=what, remedy=_BACK)


def _changed_payloads(core: Core, partition: int) -> Iterator[str]:
    """Return the names of payloads that are not what is stored under them."""
    names = core.store.stored_payloads(partition)
    for shas in _pages(names, PAYLOADS_AT_ONCE):
        raws = core.store.payloads(partition, shas)
        for sha, raw in zip(shas, raws, strict=True):
            if raw is not None and hashlib.sha256(raw).hexdigest() != sha:
                yield sha


def _snapshots(core: Core) -> Iterator[Finding]:
    """Name the snapshots that say something else than the log; nobody believes them who has not made them."""
    for run in core.store.runs_with_snapshots():
        try:
            difference = _difference(core, run)
        except (RunUnreadable, EventStoreError):
            continue  # what is wrong there is named elsewhere
        if difference:
            what = f"run {run}: its snapshot {difference}"
            remedy = "it is not believed, and derived again; delete it, and find out who wrote it"
            yield Finding("warning", "snapshot", what, remedy)


def _difference(core: Core, run: str) -> str:
    """Say how the snapshot of a run differs from its log; "" when it does not, or is none of ours to read."""
    session = core.sessions.load(run)
    raw = core.store.snapshot(run)
    if raw is None:
        return ""
    try:
        form, version, commit, data = codec.decode(_plain(raw, session.key))
    except (EncryptionError, EventStoreError, zlib.error, ValueError, TypeError):
        return "cannot be read"
    if form != FORMAT:
        return ""  # another version of the engine has kept it
    [history] = core.store.read([(run, 0)])
    recorded = history[: version if type(version) is int else 0]
    last = recorded[-1] if recorded else None
    if last is None or (last.version, last.commit) != (version, commit):
        return "is of another history"
    state: Any = dump(evolve_all(initial(), core.sessions.payloads.decode(recorded)))
    if codec.encode(state) != codec.encode(data):
        return "is not what the events come to"
    return ""


def _plain(raw: bytes, key: RunKey | None) -> bytes:
    packed = raw if key is None else key.decrypt(raw, SNAPSHOT)
    return zlib.decompressobj().decompress(packed)  # behind it is its seal
