"""Erasing what a run worked with: the events stay, who did what and when, and the ledger goes on to prove them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from eventstore import codec
from eventstore.redis.driver.fitness.rewriting import LogsRewritten, LogState
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
_MAPPINGS: Final = frozenset({"inputs", "outputs", "sets"})
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
    eraser = Eraser(core.store)
    scope = chosen or RedactionScope()
    events = blobs = 0
    for _ in range(TRIES):
        session = core.sessions.load(run)
        refuse_awaited(core.handler, session)
        stored = list(core.ledger.each_event([run]))
        # The two are not read at one moment: what is planned has to be about one version of the run.
        if not stored or stored[-1].version != session.version:
            continue
        redaction = _plan(core, session, stored, scope, actor, reason)
        if redaction is None:
            return Redacted(run, events, blobs)
        outcome = eraser.erase(redaction)
        core.sessions.drop(run)
        if outcome is Erased.UNKNOWN:
            raise RunNotFound(run)
        if outcome in (Erased.DONE, Erased.DUPLICATE):
            events += len(redaction.erasures)
            blobs += len(redaction.blobs)
    raise TooContended(run, TRIES)


def _plan(
    core: Core,
    session: Session,
    stored: Sequence[Stored],
    scope: RedactionScope,
    actor: str,
    reason: str,
) -> Redaction | None:
    """Say what is erased now; None when nothing is left."""
    stubs, failures = _stubs(session, stored, scope)
    if not stubs:
        # Raises when the run may not be erased, whether there is something to erase or not.
        decide(session.plan, session.state, cmd.RedactRun("erased"))
        return None
    [partition] = core.ledger.places([core.store.partition_of(session.run)])
    changed = [event for event in stored if event.version in stubs]
    erasures = _erasures(
        ledger=core.ledger,
        run=session.run,
        events=changed,
        stubs=stubs,
        checkpoint=partition.checkpoint,
    )
    record = _record(session, stored[0], changed, erasures, failures, scope, reason)
    return Redaction(
        run=session.run,
        version=session.version,
        last_commit=session.commit,
        ledger=partition.checkpoint,
        erasures=erasures,
        blobs=_unreferenced(stored, changed),
        commit_id=core.handler.commit_id(),
        actor=actor,
        event=record,
    )


def _stubs(
    session: Session, stored: Sequence[Stored], scope: RedactionScope
) -> tuple[dict[int, bytes], list[dict[str, Any]]]:
    """Return what events are without their payloads, by version, and how failures among them are counted then."""
    stubs: dict[int, bytes] = {}
    failures: list[dict[str, Any]] = []
    for event in stored:
        data = codec.decode(event.data)
        is_left_alone = event.type == ev.RunRedacted.__name__ or not scope.fits(
            event, data
        )
        if is_left_alone:
            continue
        stubbed = stub(event.type, data, session.state.workflow, labels=scope.labels)
        if stubbed == data:
            continue
        stubs[event.version] = codec.encode(stubbed)
        if event.type == ev.RunFailed.__name__:
            failures.append(_failure(event, stubbed))
        if len(stubs) >= AT_ONCE:
            break
    return stubs, failures


def _record(
    session: Session,
    first: Stored,
    changed: Sequence[Stored],
    erasures: Sequence[Erasure],
    failures: list[dict[str, Any]],
    scope: RedactionScope,
    reason: str,
) -> tuple[str, bytes]:
    """Return the event that tells of an erasure, as it is stored: with it, the ledger goes on to prove the rest."""
    labels = (
        scope.labels
        and changed[0].version == 1
        and "labels" in codec.decode(first.data)
    )
    digests = [
        [erasure.version, digest(erasure.data), erasure.committed.hex()]
        for erasure in erasures
    ]
    metadata = {
        str(event.version): digest(event.metadata)
        for event in changed
        if event.metadata
    }
    command = cmd.RedactRun(
        how="erased",
        erased=digests,
        failures=failures,
        labels=labels,
        reason=reason,
        metadata=metadata,
    )
    [event] = decide(session.plan, session.state, command)
    return type_name(event), codec.encode(to_data(event))


def _unreferenced(stored: Sequence[Stored], changed: Sequence[Stored]) -> list[str]:
    """Return the payloads that changed events refer to, and no other event of the run does."""
    versions = {event.version for event in changed}
    kept = {
        sha
        for event in stored
        if event.version not in versions
        for sha in payloads(event)
    }
    shas = dict.fromkeys(sha for event in changed for sha in payloads(event))
    return [sha for sha in shas if sha not in kept]


def _failure(event: Stored, stubbed: Mapping[str, Any]) -> dict[str, Any]:
    kind = str((stubbed.get("error") or {}).get("type") or "unknown")
    where = {"step": stubbed.get("step"), "type": kind, "at_ms": event.time_ms}
    return {"fingerprint": stubbed["fingerprint"], **where}


def stub(
    kind: str, data: Mapping[str, Any], workflow: str, *, labels: bool = False
) -> dict[str, Any]:
    """Return the data of an event without what the run worked with; its names are listed under `erased`."""
    out = dict(data)
    erased = set(data.get("erased") or ())
    erased |= _blank_payloads(kind, out)
    erased |= _drop_references(out)
    if kind == ev.RunStarted.__name__ and "sealed" in data:
        out["sealed"] = []  # it says that the run has a key
    if out.get("gates"):
        out["gates"] = [[gate[0], ERASED, *gate[2:]] for gate in out["gates"]]
    erased |= _blank_names(kind, out, labels=labels)
    if kind == ev.RunFailed.__name__ and "fingerprint" not in data:
        out["fingerprint"] = fingerprint(workflow, data.get("step"), data.get("error"))
    if not erased:
        return dict(data)
    out["erased"] = sorted(erased)
    return out


def _blank_payloads(kind: str, out: dict[str, Any]) -> set[str]:
    """Empty the payloads of an event, and return which it had."""
    erased = set()
    for name in PAYLOADS.get(kind, ()):
        value = out.get(name)
        if value is None or (name in _MAPPINGS and not value):
            continue
        out[name] = _blank(name, value)
        erased.add(name)
    return erased


def _blank(name: str, value: Any) -> Any:
    if name in _MAPPINGS:
        return {}
    if name == "error":
        return _error(value)
    return None


def _drop_references(out: dict[str, Any]) -> set[str]:
    """Take out the references to payloads beside the log, and return the members that those were of."""
    entries = [
        entry for name in ("blobs", "sealed") for entry in out.pop(name, None) or ()
    ]
    return {str(entry[0][0]) for entry in entries}


def _blank_names(kind: str, out: dict[str, Any], *, labels: bool) -> set[str]:
    """Empty what may quote a payload beside it, and return which there was."""
    blanks: dict[str, Any] = {"fences": {}}
    if kind == ev.SignalReceived.__name__:
        blanks["key"] = None
    if labels:
        blanks["labels"] = None
    erased = {name for name in blanks if out.get(name)}
    out.update({name: blanks[name] for name in erased})
    return erased


def _error(error: Any) -> dict[str, Any]:
    members = error if isinstance(error, Mapping) else {}
    kept = {name: members[name] for name in _KEPT_OF_ERRORS if name in members}
    return {**kept, "message": ERASED}


def _erasures(
    ledger: LedgerStore,
    run: str,
    events: Sequence[Stored],
    stubs: Mapping[int, bytes],
    checkpoint: int,
) -> list[Erasure]:
    """Say where the ledger has what it sealed of events, and what it committed to."""
    partition = ledger.partition_of(run)
    erased = ledger.erased(partition)
    epochs = _epochs(ledger, partition)
    salts: dict[int, bytes] = {}
    out = []
    for event in events:
        data = stubs[event.version]
        epoch = _epoch_at(epochs, event.n) if event.n <= checkpoint else None
        if epoch is None:
            out.append(Erasure(event.version, data, event.n))
            continue
        if not salts.get(epoch.number):
            salts[epoch.number] = ledger.salts(partition, epoch.number)
        index = event.n - epoch.first
        salt = salts[epoch.number][index * SALT_BYTES : (index + 1) * SALT_BYTES]
        committed = erased.get(event.n) or commitment(salt, event)
        out.append(
            Erasure(
                version=event.version,
                data=data,
                n=event.n,
                epoch=epoch.number,
                leaf=index,
                committed=committed,
            )
        )
    return out


class _Epoch(NamedTuple):
    """The entries of a partition that an epoch of the ledger is about, from `first` to `last`."""

    number: int
    first: int
    last: int


def _epochs(ledger: LedgerStore, partition: int) -> list[_Epoch]:
    epochs = []
    for epoch in ledger.epochs(partition):
        record = decode_record(epoch.record)
        if record is not None:
            epochs.append(_Epoch(epoch.number, record.first, record.last))
    [open_epoch] = ledger.places([partition])  # it is not signed yet
    epochs.append(_Epoch(open_epoch.epoch, open_epoch.first, open_epoch.checkpoint))
    return epochs


def _epoch_at(epochs: Sequence[_Epoch], entry: int) -> _Epoch | None:
    for epoch in epochs:
        if epoch.first <= entry <= epoch.last:
            return epoch
    return None
