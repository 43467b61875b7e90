"""Runs that leave a store as one value, and come into another one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from eventstore import codec
from eventstore.errors import BlobChanged
from eventstore.event import Json
from eventstore.redis.driver.scripts import PlainCall
from eventstore.redis.raw import RawEvent, read_raw
from executor.errors import AnotherHistory, BrokenHistory, HistoryUnfit, RunNotFound
from executor.histories.importing import Arrived, Arriving, ended, referred, take_in
from openagents_json.catalog.definitions import checked
from openagents_json.engine.archive.capsule_file import Capsule, unpack, write
from openagents_json.engine.errors import CapsuleUnreadable
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core.event_types import DEFINES

__all__ = [
    "AnotherHistory",
    "Arrived",
    "Capsule",
    "CapsuleUnreadable",
    "HistoryUnfit",
    "adopt",
    "pack",
    "take",
    "Adopted",
    "unpack",
    "write",
]

Adopted = Arrived


def pack(core: Core, run: str, *, actor: str, proofs: bytes | None = None) -> bytes:
    """Give a run as the bytes of a capsule: a consistent prefix of its history, also while it goes on.

    `proofs` are kept as they are. Raises RunNotFound, BrokenHistory, DefinitionMissing, DefinitionChanged and
    BlobChanged.
    """
    return write(take(core, run, actor=actor, proofs=proofs))


def take(core: Core, run: str, *, actor: str, proofs: bytes | None = None, upto: int | None = None) -> Capsule:
    """Give a run as a capsule, up to the end of its history or to an event of it.

    Child runs stay where they are, and are named; so are payloads that are not there any more. Raises RunNotFound,
    BrokenHistory, DefinitionMissing, DefinitionChanged and BlobChanged.
    """
    history = read_raw(core.store, run)[:upto]
    if not history:
        raise RunNotFound(run)
    for number, event in enumerate(history, 1):
        if event.version != number:
            raise BrokenHistory(run, number, event.version)
    names, shas, children = referred(history)
    definitions = _definitions(core, names)
    blobs, missing = _blobs(core, run, shas)
    manifest = {
        "run": run,
        **_about(history),
        "events": len(history),
        "positions": [history[0].n, history[-1].n],
        "exported_ms": core.clock.now_ms(),
        "exported_by": actor,
        "store": core.store.keys.prefix,
        "partition": core.store.keys.partition_of(run),
        "children": children,
        "missing": missing,
    }
    return Capsule(manifest, history, definitions, blobs, _components(definitions), proofs)


def adopt(
    core: Core,
    capsule: Capsule,
    *,
    actor: str,
    reason: str = "",
    mark: Mapping[str, Json] | None = None,
    paused: bool = False,
    how: str = "import",
) -> Adopted:
    """Bring the run of a capsule into a store, under its own id; a second time changes nothing.

    A run that had ended is as it was. One that was open goes on here, or waits, `paused`, until it is resumed: what was
    under way there is done again here, and timers keep their times. `mark` is more metadata for each event that comes
    with it. `how` goes on record: import, promote or restore; `return` is a restore of what this store has archived,
    with the hash that is on its log, so it is no import. Raises AnotherHistory, InPart, HistoryUnfit, EncryptionError
    and Rejected.
    """
    arriving = Arriving(
        capsule.run,
        capsule.events,
        capsule.definitions,
        capsule.blobs,
        capsule.source,
        reason,
        paused,
        mark or {},
        back=how in ("restore", "return"),
        how=how,
        sha256=capsule.sha256,
        ours=how == "return",
    )
    return take_in(core.handler, arriving, actor=actor)


def _about(history: Sequence[RawEvent]) -> dict[str, str]:
    """Give workflow, version and status as far as the events can be read."""
    about = {"workflow": "", "version": "", "status": ended(history) or "open"}
    for event in history:
        if event.type in DEFINES:
            data = _read(event.data)
            about |= {name: str(data[name]) for name in ("workflow", "version") if data.get(name)}
    return about


def _read(raw: bytes) -> Mapping[str, Any]:
    try:
        found = codec.decode(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _definitions(core: Core, names: Sequence[str]) -> dict[str, bytes]:
    keys = core.store.keys
    replies = core.store.call([PlainCall((b"GET", keys.definition(name))) for name in names]) if names else []
    return {name: checked(name, raw) for name, raw in zip(names, replies, strict=True)}


def _blobs(core: Core, run: str, shas: Sequence[str]) -> tuple[dict[str, bytes], list[str]]:
    keys, partition = core.store.keys, core.store.keys.partition_of(run)
    replies = core.store.call([PlainCall((b"GET", keys.blob(partition, sha))) for sha in shas]) if shas else []
    found = {sha: raw for sha, raw in zip(shas, replies, strict=True) if raw is not None}
    for sha, raw in found.items():
        if hashlib.sha256(raw).hexdigest() != sha:
            raise BlobChanged(partition, sha)
    return found, [sha for sha in shas if sha not in found]


def _components(definitions: Mapping[str, bytes]) -> list[Json]:
    """Give what the steps are bound to, each once."""
    found: dict[bytes, Json] = {}
    for raw in definitions.values():
        for spec in (_read(raw).get("bindings") or {}).values():
            found[codec.encode(spec)] = spec
    return [found[name] for name in sorted(found)]
