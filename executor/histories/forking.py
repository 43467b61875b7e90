"""A new run with the past of another one: its events up to a version are copied, in one commit with what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eventstore import codec
from eventstore.event import Recorded
from eventstore.run_model import Blob, Code
from executor.errors import NoSuchVersion, RunExists, RunNotFound, TooContended
from executor.histories.origins import origin
from executor.runs.codec import EncodedEvents, Limits, encode_data
from executor.runs.commit import BuiltCommit, CommitContext, assemble, decide_encoded
from executor.runs.handler import Handled, Handler, begun
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


def fork(handler: Handler, wanted: Fork, *, actor: str) -> Handled:
    """Begin the new run; its id must be of the partition of the source, where their payloads lie.

    A source that leaves the store or is erased meanwhile is looked at again. Raises RunNotFound, NoSuchVersion,
    Rejected, RunExists, KeyConflict, BlobMissing and EncryptionError.
    """
    for _ in range(TRIES):
        begun_run = _forked(handler, wanted, actor)
        if begun_run is not None:
            return begun_run
    raise TooContended(wanted.source, TRIES)


def _forked(handler: Handler, wanted: Fork, actor: str) -> Handled | None:
    """Begin the new run; None when payloads of the source went away between reading and writing."""
    recorded = handler.store.read([(wanted.source, 0)])[0]
    if not recorded:
        raise RunNotFound(wanted.source)
    if not 1 <= wanted.at <= len(recorded):
        raise NoSuchVersion(wanted.source, wanted.at, len(recorded))
    past = recorded[: wanted.at]
    data = handler.sessions.payloads.filled(past)
    happened = [from_data(item.type, one) for item, one in zip(past, data, strict=True)]
    state = evolve_all(initial(), taken_over(happened, wanted.run))
    if any(
        item.type == ev.RunRedacted.__name__ or "erased" in item.data
        for item in recorded
    ):
        refuse_erased(state._replace(erased=True))
    plan, key = (
        handler.definitions.plan(state.definition),
        handler.sessions.keyring.fresh(wanted.run),
    )
    fresh = Session(wanted.run, 0, "", initial(), plan, key)
    lines = _copied(past, data, fresh, handler.limits)
    built = _built(handler, wanted, replace(fresh, state=state), lines, actor)
    reply = handler.send([built], as_stored(plan))[0]
    if reply.code is Code.PAYLOAD_GONE:
        return None
    if reply.code is Code.EXISTS:
        raise RunExists(wanted.run)
    if reply.code is Code.DUPLICATE:
        found = handler.sessions.load(wanted.run)
        _refuse_another(handler, wanted, state.inputs, found, actor)
        return Handled(found, changed=False, time_ms=reply.time_ms)
    return Handled(
        handler.remember(fresh, built, reply), changed=True, time_ms=reply.time_ms
    )


def _refuse_another(
    handler: Handler,
    wanted: Fork,
    inputs: Mapping[str, Json],
    found: Session,
    actor: str,
) -> None:
    """Refuse a fork that is another one than what its commit id began; `inputs` are those of the source.

    Raises KeyConflict.
    """
    begun_by = handler.store.read_one(wanted.run, wanted.at + 1)
    if begun_by is None or begun_by.type != ev.RunForked.__name__ or found.state.erased:
        return
    [event] = handler.sessions.payloads.decode([begun_by])
    used = event.inputs if isinstance(event, ev.RunForked) else None
    asked = {**inputs, **(wanted.inputs or {})}
    another = fork_conflict(
        wanted.run, asked, actor, inputs if used is None else used, begun_by.actor
    )
    if another is not None:
        raise another


def _built(
    handler: Handler, wanted: Fork, copied: Session, lines: _Lines, actor: str
) -> BuiltCommit:
    command = cmd.ForkRun(wanted.source, wanted.at, wanted.inputs, wanted.reason)
    made, encoded = decide_encoded(
        copied, command, handler.limits, handler.child_id, ahead=wanted.at
    )
    both = EncodedEvents(
        (*lines.encoded.events, *encoded.events), (*lines.encoded.blobs, *encoded.blobs)
    )
    moved = forked(copied.plan, copied.state, made.events, made.state, wanted.at)
    signature = CommitContext(
        "new", wanted.commit_id or handler.commit_id(), actor, wanted.source
    )
    built = begun(
        assemble(copied, made, both, (), signature, settle=True, moved=moved), copied
    )
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
    if fresh.key is None:  # their payloads are shared, where they lie beside the log
        shared = dict.fromkeys(
            sha for item in past for _, sha, _ in item.data.get("blobs") or ()
        )
        lines = tuple(
            (item.type, codec.encode(_line(item, item.data, fresh.run)))
            for item in past
        )
        return _Lines(EncodedEvents(lines, ()), tuple(shared))
    blobs: dict[str, Blob] = {}
    made = [
        (
            item.type,
            encode_data(
                item.type, _line(item, one, fresh.run), limits, blobs, fresh.key
            ),
        )
        for item, one in zip(past, data, strict=True)
    ]
    return _Lines(EncodedEvents(tuple(made), tuple(blobs.values())))


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
    return line
