"""Runs that leave a store as one value, and come into another one."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from eventstore import codec
from eventstore.errors import BlobMissing
from eventstore.event import Json
from eventstore.private_files import spool
from eventstore.redis.raw import RawEvent, read_raw
from eventstore.redis.upkeep.adoption import Adoption
from executor.errors import AnotherHistory, BrokenHistory, HistoryUnfit, RunNotFound
from executor.histories.importing import ImportResult, take_in
from executor.histories.incoming import IncomingHistory, ended, referred
from openagents_json.catalog.definitions import checked
from openagents_json.engine.archive.capsule_file import FORMAT, Capsule, unpack
from openagents_json.engine.archive.capsule_writer import write, write_to
from openagents_json.engine.errors import CapsuleUnreadable
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core.event_types import DEFINES

__all__ = [
    "AnotherHistory",
    "ImportResult",
    "Capsule",
    "CapsuleUnreadable",
    "HistoryUnfit",
    "StoredPayloads",
    "adopt",
    "export",
    "pack",
    "take",
    "Adopted",
    "unpack",
    "write",
    "write_to",
]

Adopted = ImportResult


def pack(core: Core, run: str, *, actor: str, proofs: bytes | None = None) -> bytes:
    """Return a run as the bytes of a capsule: a consistent prefix of its history, also while it goes on.

    `proofs` are kept as they are. Raises RunNotFound, BrokenHistory, DefinitionMissing, DefinitionChanged and
    BlobChanged.
    """
    out = io.BytesIO()
    export(core, run, out, actor=actor, proofs=proofs)
    return out.getvalue()


def export(
    core: Core, run: str, file: IO[bytes], *, actor: str, proofs: bytes | None = None
) -> Capsule:
    """Write the capsule of a run to a file, also one that cannot be sought in; no more than a payload of it is held.

    Raises as `pack` does.
    """
    if not file.seekable():
        with spool() as whole:
            capsule = export(core, run, whole, actor=actor, proofs=proofs)
            whole.seek(0)
            shutil.copyfileobj(whole, file)
            return capsule
    begin = file.tell()
    while True:
        capsule = take(core, run, actor=actor, proofs=proofs)
        try:
            write_to(capsule, file)
        except BlobMissing:  # erased since, and not one that is there comes back: it is named as missing now
            file.seek(begin)
            file.truncate()
        else:
            return capsule


def take(
    core: Core,
    run: str,
    *,
    actor: str,
    proofs: bytes | None = None,
    upto: int | None = None,
) -> Capsule:
    """Return a run as a capsule, up to the end of its history or to an event of it.

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
    blobs = StoredPayloads(core, run, shas)
    manifest = {
        "format": FORMAT,
        "run": run,
        **_about(history),
        "events": len(history),
        "positions": [history[0].n, history[-1].n],
        "exported_ms": core.clock.now_ms(),
        "exported_by": actor,
        "store": core.store.keys.prefix,
        "partition": core.store.partition_of(run),
        "children": children,
        "missing": [sha for sha in shas if sha not in blobs],
    }
    return Capsule(
        manifest=manifest,
        events=history,
        definitions=definitions,
        blobs=blobs,
        components=_components(definitions),
        proofs=proofs,
    )


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
    with the hash that is on its log, so it is no import. Raises AnotherHistory, InPart, HistoryUnfit, EncryptionError,
    Rejected, and BusinessKeyTaken for an open run whose business key another one has here.
    """
    arriving = IncomingHistory(
        run=capsule.run,
        history=capsule.events,
        definitions=capsule.definitions,
        blobs=capsule.blobs,
        source=capsule.source,
        reason=reason,
        paused=paused,
        mark=mark or {},
        back=how in ("restore", "return"),
        how=how,
        sha256=capsule.sha256,
        ours=how == "return",
    )
    return take_in(core.handler, Adoption(core.store), arriving, actor=actor)


def _about(history: Sequence[RawEvent]) -> dict[str, str]:
    """Return workflow, version and status as far as the events can be read."""
    about = {"workflow": "", "version": "", "status": ended(history) or "open"}
    for event in history:
        if event.type in DEFINES:
            data = _read(event.data)
            about |= {
                name: str(data[name])
                for name in ("workflow", "version")
                if data.get(name)
            }
    return about


def _read(raw: bytes) -> Mapping[str, Any]:
    try:
        data = codec.decode(raw)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _definitions(core: Core, names: Sequence[str]) -> dict[str, bytes]:
    return {
        name: checked(name, raw)
        for name, raw in zip(names, core.store.definitions(names), strict=True)
    }


class StoredPayloads(Mapping[str, bytes]):
    """Those payloads of a run that are in the store, by their SHA-256; read one by one when they are asked for.

    To read one raises BlobMissing when it has been erased since, and BlobChanged.
    """

    def __init__(self, core: Core, run: str, shas: Sequence[str]) -> None:
        self._store = core.store
        self._partition = core.store.partition_of(run)
        self._there = dict.fromkeys(self._store.payloads_there(self._partition, shas))

    def __iter__(self) -> Iterator[str]:
        return iter(self._there)

    def __len__(self) -> int:
        return len(self._there)

    def __contains__(self, sha: object) -> bool:
        return sha in self._there

    def __getitem__(self, sha: str) -> bytes:
        if sha not in self._there:
            raise KeyError(sha)
        return self._store.blobs([(self._partition, sha)])[0]


def _components(definitions: Mapping[str, bytes]) -> list[Json]:
    """Return what the steps are bound to, each once."""
    specs: dict[bytes, Json] = {}
    for raw in definitions.values():
        for spec in (_read(raw).get("bindings") or {}).values():
            specs[codec.encode(spec)] = spec
    return [specs[name] for name in sorted(specs)]
