"""A new run with the past of another one: its events up to a version are copied, in one commit with what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from eventstore import codec
from eventstore.event import Recorded
from eventstore.run_model import Blob, Code
from executor.errors import NoSuchVersion, RunExists, RunNotFound, TooContended
from executor.histories.origins import origin
from executor.runs.beginnings import begun
from executor.runs.codec import EncodedEvents, Limits, encode_data
from executor.runs.commit import BuiltCommit, CommitContext, assemble, decide_encoded
from executor.runs.committer import Handled
from executor.runs.handler import Handler
from executor.runs.idempotency import fork_conflict
from executor.runs.repository import Session
from openagents_json.catalog.definitions import as_stored
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.annotations import refuse_erased
from openagents_json.workflow.core.decide.reopen import taken_over
from openagents_json.workflow.core.event_types import from_data
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.indexes.changes import forked
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.types import Json

TRIES = 3


@dataclass(frozen=True, slots=True)
class Fork:
    """Which run is left at which version, by what new one; the same commit id begins it only once."""

    source: str
    at: int
    run: str
    inputs: Mapping[str, Json] | None = None
    reason: str = ""
    commit_id: str = ""


def fork(handler: Handler, request: Fork, *, actor: str) -> Handled:
    """Begin the new run; its id must be of the partition of the source, where their payloads lie.

    A source that leaves the store or is erased meanwhile is looked at again. Raises RunNotFound, NoSuchVersion,
    Rejected, RunExists, KeyConflict, BlobMissing and EncryptionError.
    """
    for _ in range(TRIES):
        begun_run = _forked(handler, request, actor)
        if begun_run is not None:
            return begun_run
    raise TooContended(request.source, TRIES)


def _forked(handler: Handler, request: Fork, actor: str) -> Handled | None:
    """Begin the new run; None when payloads of the source went away between reading and writing."""
    recorded = handler.store.read([(request.source, 0)])[0]
    if not recorded:
        raise RunNotFound(request.source)
    if not 1 <= request.at <= len(recorded):
        raise NoSuchVersion(request.source, request.at, len(recorded))
    past = recorded[: request.at]
    data = handler.sessions.payloads.filled(past)
    events = [
        from_data(item.type, filled) for item, filled in zip(past, data, strict=True)
    ]
    state = evolve_all(initial(), taken_over(events, request.run))
    # Of the whole source and not only of its past: what was erased behind the fork may be what the fork would show.
    if any(map(_tells_of_erasure, recorded)):
        refuse_erased(replace(state, erased=True))
    plan = handler.definitions.plan(state.definition)
    key = handler.sessions.keyring.fresh(request.run)
    fresh = Session(
        run=request.run, version=0, commit="", state=initial(), plan=plan, key=key
    )
    lines = _copied(past, data, fresh, handler.limits)
    built = _built(handler, request, replace(fresh, state=state), lines, actor)
    # The commit itself checks that the shared payloads are there: a source that left the store since takes them along.
    reply = handler.send([built], as_stored(plan))[0]
    if reply.code is Code.PAYLOAD_GONE:
        return None
    if reply.code is Code.EXISTS:
        raise RunExists(request.run)
    if reply.code is Code.DUPLICATE:
        begun_before = handler.sessions.load(request.run)
        _refuse_another(handler, request, state.inputs, begun_before, actor)
        return Handled(begun_before, changed=False, time_ms=reply.time_ms)
    session = handler.remember(fresh, built, reply)
    return Handled(session, changed=True, time_ms=reply.time_ms)


def _tells_of_erasure(item: Recorded) -> bool:
    return item.type == ev.RunRedacted.__name__ or "erased" in item.data


def _refuse_another(
    handler: Handler,
    request: Fork,
    inputs: Mapping[str, Json],
    begun_before: Session,
    actor: str,
) -> None:
    """Refuse a fork that is another one than what its commit id began; `inputs` are those of the source.

    Raises KeyConflict.
    """
    begun_by = handler.store.read_one(request.run, request.at + 1)
    if begun_by is None or begun_by.type != ev.RunForked.__name__:
        return
    if begun_before.state.erased:
        return  # its inputs are gone: nobody can tell whether they were others
    [event] = handler.sessions.payloads.decode([begun_by])
    edited = event.inputs if isinstance(event, ev.RunForked) else None
    used = inputs if edited is None else edited
    asked = {**inputs, **(request.inputs or {})}
    conflict = fork_conflict(
        run=request.run, asked=asked, caller=actor, begun=used, by=begun_by.actor
    )
    if conflict is not None:
        raise conflict


def _built(
    handler: Handler, request: Fork, copied: Session, lines: _Lines, actor: str
) -> BuiltCommit:
    command = cmd.ForkRun(
        source=request.source,
        at=request.at,
        inputs=request.inputs,
        reason=request.reason,
    )
    decision, encoded = decide_encoded(
        copied, command, handler.limits, handler.child_id, ahead=request.at
    )
    all_events = EncodedEvents(
        (*lines.encoded.events, *encoded.events), (*lines.encoded.blobs, *encoded.blobs)
    )
    indexes = forked(
        plan=copied.plan,
        state=copied.state,
        happened=decision.events,
        after=decision.state,
        copied=request.at,
    )
    commit_id = request.commit_id or handler.commit_id()
    context = CommitContext("new", commit_id, actor, request.source)
    assembled = assemble(
        session=copied,
        decided=decision,
        encoded=all_events,
        leases=(),
        signature=context,
        settle=True,
        indexes=indexes,
    )
    built = begun(assembled, copied)
    return replace(built, commit=replace(built.commit, refers=lines.refers))


@dataclass(frozen=True, slots=True)
class _Lines:
    """Events of the source as those of the new run, and the payloads beside the log that both refer to."""

    encoded: EncodedEvents
    refers: tuple[str, ...] = ()


def _copied(
    past: Sequence[Recorded],
    data: Sequence[Mapping[str, Any]],
    fresh: Session,
    limits: Limits,
) -> _Lines:
    """Return stored events as those of the new run, under its own key if it has one."""
    if fresh.key is None:
        return _shared(past, fresh.run)
    # What is encrypted is written anew: the key of the source goes with the source, and shredding it ends only that.
    blobs: dict[str, Blob] = {}
    events: list[tuple[str, bytes]] = []
    for item, filled in zip(past, data, strict=True):
        line = _line(item, filled, fresh.run)
        raw = encode_data(
            kind=item.type, data=line, limits=limits, blobs=blobs, key=fresh.key
        )
        events.append((item.type, raw))
    return _Lines(EncodedEvents(tuple(events), tuple(blobs.values())))


def _shared(past: Sequence[Recorded], run: str) -> _Lines:
    """Return stored events that refer to the payloads of the source, where those lie beside the log."""
    hashes: dict[str, None] = {}
    events: list[tuple[str, bytes]] = []
    for item in past:
        hashes.update((sha, None) for _, sha, _ in item.data.get("blobs") or ())
        events.append((item.type, codec.encode(_line(item, item.data, run))))
    return _Lines(EncodedEvents(tuple(events), ()), tuple(hashes))


def _line(item: Recorded, data: Mapping[str, Any], run: str) -> dict[str, Any]:
    """Return a stored event as one of the new run, marked: it happened once, so statistics count it once.

    One that was written in another store is marked so in the fork too, which may not reach as far as RunImported.
    """
    line = {**data, "copied": True}
    source = origin(item)
    if source:
        line["imported"] = source
    if item.type == ev.RunStarted.__name__:
        line["run"] = run
        line.pop("parent", None)
        line.pop("name", None)  # its business key is the other one's
    return line
