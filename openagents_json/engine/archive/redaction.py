"""Erasing what a run worked with: the events stay, who did what and when, and the ledger goes on to prove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from eventstore import codec
from eventstore.redis.driver.rewriting import LogsRewritten, LogState
from eventstore.redis.ledger import SALT_BYTES, LedgerStore, Stored
from eventstore.redis.upkeep.erasure import Erased, Eraser, Erasure, Redaction
from executor.errors import RunNotFound, TooContended
from executor.histories.shredding import refuse_awaited
from executor.runs.repository import Session
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decider import decide
from openagents_json.workflow.core.event_types import PAYLOADS, to_data, type_name
from projections.fingerprint import fingerprint
from projections.ledger.records import commitment, decode_record, digest
from projections.ledger.redactions import payloads
from projections.runs import ERASED

AT_ONCE: Final = 10_000
"""Events that one record names; a longer run is erased in several steps, each complete in itself."""

TRIES: Final = 50
_EMPTY: Final = frozenset({"inputs", "outputs", "sets"})
_KEPT_OF_ERRORS: Final = ("type", "at", "kind", "retryable", "step")


@dataclass(frozen=True, slots=True)
class RedactionScope:
    """Which events of a run: all, or those of some steps or versions; `labels` tells that labels go as well."""

    versions: frozenset[int] = frozenset()
    steps: frozenset[str] = frozenset()
    labels: bool = False

    def fits(self, event: Stored, data: Mapping[str, Any]) -> bool:
        """Tell whether an event is one of them."""
        if not self.versions and not self.steps:
            return True
        return event.version in self.versions or data.get("step") in self.steps


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was erased: how many events, and how many payloads beside the log.

    `log` tells whether append-only files may still hold them, and `why`.
    """

    run: str
    events: int
    payloads: int
    log: LogState = LogState.PENDING
    why: str = ""

    def with_files(self, files: LogsRewritten) -> Redacted:
        """Return it with how it stands with the append-only files."""
        return replace(self, log=files.state, why=files.why)

    @property
    def rewritten(self) -> bool:
        """Tell that no append-only file holds them any more."""
        return self.log is LogState.DONE


def redact(
    core: Core,
    run: str,
    *,
    actor: str,
    reason: str = "",
    chosen: RedactionScope | None = None,
) -> Redacted:
    """Erase payloads of a closed run for good, where they are stored; the ledger verifies before and after.

    Copies are other runs' own: forks, child runs, archives. Raises RunNotFound, and Rejected when the run is open or
    held.
    """
    eraser, events, beside = Eraser(core.store), 0, 0
    for _ in range(TRIES):
        session = core.sessions.load(run)
        refuse_awaited(core.handler, session)
        stored = list(core.ledger.each_event([run]))
        if not stored or stored[-1].version != session.version:
            continue
        made = _plan(core, session, stored, chosen or RedactionScope(), actor, reason)
        if made is None:
            return Redacted(run, events, beside)
        done = eraser.erase(made)
        core.sessions.drop(run)
        if done is Erased.UNKNOWN:
            raise RunNotFound(run)
        if done in (Erased.DONE, Erased.DUPLICATE):
            events, beside = events + len(made.erasures), beside + len(made.blobs)
    raise TooContended(run, TRIES)


def _plan(
    core: Core,
    session: Session,
    stored: Sequence[Stored],
    chosen: RedactionScope,
    actor: str,
    reason: str,
) -> Redaction | None:
    """Say what is erased now; None when nothing is left."""
    fresh: dict[int, bytes] = {}
    failures: list[dict[str, Any]] = []
    for event in stored:
        data = codec.decode(event.data)
        if event.type == ev.RunRedacted.__name__ or not chosen.fits(event, data):
            continue
        changed = stub(event.type, data, session.state.workflow, labels=chosen.labels)
        if changed != data:
            fresh[event.version] = codec.encode(changed)
            if event.type == ev.RunFailed.__name__:
                failures.append(_failure(event, changed))
        if len(fresh) >= AT_ONCE:
            break
    if not fresh:
        decide(
            session.plan, session.state, cmd.RedactRun("erased")
        )  # raises when it may not be erased
        return None
    labels = chosen.labels and "labels" in codec.decode(stored[0].data) and 1 in fresh
    [place] = core.ledger.places([core.store.partition_of(session.run)])
    found = _erasures(
        core.ledger,
        session.run,
        [x for x in stored if x.version in fresh],
        fresh,
        place.checkpoint,
    )
    named = [[x.version, digest(x.data), x.committed.hex()] for x in found]
    metadata = {
        str(x.version): digest(x.metadata)
        for x in stored
        if x.version in fresh and x.metadata
    }
    [event_] = decide(
        session.plan,
        session.state,
        cmd.RedactRun("erased", named, failures, labels, reason, metadata),
    )
    said = type_name(event_), codec.encode(to_data(event_))
    blobs = dict.fromkeys(
        sha for x in stored if x.version in fresh for sha in payloads(x)
    )
    kept = {sha for x in stored if x.version not in fresh for sha in payloads(x)}
    gone = [sha for sha in blobs if sha not in kept]
    commit = core.handler.commit_id()
    return Redaction(
        session.run,
        session.version,
        session.commit,
        place.checkpoint,
        found,
        gone,
        commit,
        actor,
        said,
    )


def _failure(event: Stored, stubbed: Mapping[str, Any]) -> dict[str, Any]:
    kind = str((stubbed.get("error") or {}).get("type") or "unknown")
    where = {"step": stubbed.get("step"), "type": kind, "at_ms": event.time_ms}
    return {"fingerprint": stubbed["fingerprint"], **where}


def stub(
    kind: str, data: Mapping[str, Any], workflow: str, *, labels: bool = False
) -> dict[str, Any]:
    """Return the data of an event without what the run worked with; its names are listed under `erased`."""
    out, gone = dict(data), set(data.get("erased") or ())
    for name in PAYLOADS.get(kind, ()):
        if out.get(name) or (
            name in out and out[name] is not None and name not in _EMPTY
        ):
            out[name] = (
                {}
                if name in _EMPTY
                else (_error(out[name]) if name == "error" else None)
            )
            gone.add(name)
    for name in ("blobs", "sealed"):
        gone |= {str(entry[0][0]) for entry in out.pop(name, None) or ()}
    if (
        kind == ev.RunStarted.__name__ and "sealed" in data
    ):  # it says that the run has a key
        out["sealed"] = []
    if out.get("gates"):
        out["gates"] = [[gate[0], ERASED, *gate[2:]] for gate in out["gates"]]
    for name, empty in (("fences", {}), ("key", None), ("labels", None)):
        if (
            out.get(name)
            and (name != "key" or kind == ev.SignalReceived.__name__)
            and (name != "labels" or labels)
        ):
            out[name] = empty
            gone.add(name)
    if kind == ev.RunFailed.__name__ and "fingerprint" not in data:
        out["fingerprint"] = fingerprint(workflow, data.get("step"), data.get("error"))
    if gone:
        out["erased"] = sorted(gone)
    return out if out.get("erased") else dict(data)


def _error(error: Any) -> dict[str, Any]:
    known = error if isinstance(error, Mapping) else {}
    return {
        **{name: known[name] for name in _KEPT_OF_ERRORS if name in known},
        "message": ERASED,
    }


def _erasures(
    ledger: LedgerStore,
    run: str,
    events: Sequence[Stored],
    fresh: Mapping[int, bytes],
    checkpoint: int,
) -> list[Erasure]:
    """Say where the ledger has what it sealed of events, and what it committed to."""
    partition = ledger.partition_of(run)
    erased = ledger.erased(partition)
    spans = [
        (epoch.number, record.first, record.last)
        for epoch in ledger.epochs(partition)
        if (record := decode_record(epoch.record)) is not None
    ]
    [place] = ledger.places([partition])
    spans.append((place.epoch, place.first, place.checkpoint))
    salts = {number: b"" for number, _, _ in spans}
    out = []
    for event in events:
        data = fresh[event.version]
        span = (
            next((x for x in spans if x[1] <= event.n <= x[2]), None)
            if event.n <= checkpoint
            else None
        )
        if span is None:
            out.append(Erasure(event.version, data, event.n))
            continue
        number, at = span[0], event.n - span[1]
        salts[number] = salts[number] or ledger.salts(partition, number)
        salt = salts[number][at * SALT_BYTES : (at + 1) * SALT_BYTES]
        committed = erased.get(event.n) or commitment(salt, event)
        out.append(Erasure(event.version, data, event.n, number, at, committed))
    return out
