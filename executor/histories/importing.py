"""A run comes into this store with its whole history, under its own id: to be kept, or to go on here."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from eventstore import codec
from eventstore.event import Recorded
from eventstore.redis.raw import RawEvent
from eventstore.redis.upkeep.adoption import Adoption, marked
from eventstore.run_model import Code, Commit
from executor.errors import AnotherHistory, InPart, KeyMissing
from executor.errors import HistoryUnfit as HistoryUnfit
from executor.histories.import_checks import (
    check_definitions,
    check_end,
    check_events,
    fitting,
)
from executor.histories.incoming import IMPORTED, HeadFacts, IncomingHistory, ended
from executor.runs.codec import Fetch, RunKeys, decode_all, encode, is_sealed
from executor.runs.commit import BuiltCommit, CommitContext, assemble, decide_encoded
from executor.runs.errors import BusinessKeyTaken
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import IndexChanges
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.decide.takeover import TimedEvent, imported, noted
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.definition import Definition
from openagents_json.workflow.language.compile import compile_plan


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of it: `changed` is false for a run that was here already, with this history."""

    run: str
    status: str
    changed: bool


def take_in(
    handler: Handler, adoption: Adoption, arriving: IncomingHistory, *, actor: str
) -> ImportResult:
    """Bring a run into the store; what was closed stays as it is, what was open goes on.

    Each event is marked as written elsewhere, and RunImported says who brought them, when and from where.
    Raises AnotherHistory, InPart, HistoryUnfit, and BusinessKeyTaken, Rejected or EncryptionError for an open run that
    cannot be moved.
    """
    run = arriving.run
    last = arriving.history[-1]
    [head] = handler.store.heads([run])
    if head is not None and head.version:
        if head.adopting:
            raise InPart(run)
        return _already_here(handler, arriving, head.status)
    _refuse_archived(handler, arriving)
    built = _closed(handler, arriving, actor)
    opens: Mapping[str, int] = {}
    if not ended(arriving.history):
        whole = _open(handler, arriving, built, actor)
        built = whole.commit
        opens = whole.opens
    # First what the events refer to, then the events: a crash in between leaves payloads that nobody asks for. The
    # other way around, it would leave a run that cannot be read.
    adoption.put(run, arriving.definitions, arriving.blobs)
    wakeups = handler.ringer.wakeups([(handler.store.partition_of(run), opens)])
    taken = adoption.take(built, _marked(arriving), wakeups)
    handler.ringer.answer(wakeups, taken.unheard)
    if taken.commit.code is Code.IN_PART:
        raise InPart(run)
    if taken.commit.code is Code.EXISTS:
        # Somebody else has brought it since it was looked for: from the archive, or with another history.
        _refuse_archived(handler, arriving)
        raise AnotherHistory(run, last.version)
    if taken.commit.code is Code.NAMED:
        raise BusinessKeyTaken(taken.commit.holder)
    handler.sessions.drop(run)
    return ImportResult(
        run, built.changes.status or "", changed=taken.commit.code is Code.DONE
    )


def probe(handler: Handler, arriving: IncomingHistory) -> None:
    """Find out whether a run could come in, and change nothing.

    Raises HistoryUnfit, and BusinessKeyTaken, Rejected or EncryptionError for an open run that cannot be moved.
    """
    _refuse_archived(handler, arriving)
    alone = _closed(handler, arriving, "")
    if not ended(arriving.history):
        _open(handler, arriving, alone, "")


def _refuse_archived(handler: Handler, arriving: IncomingHistory) -> None:
    """Refuse a run that is in the archive: what comes in may be older, and would go on where that has ended.

    Raises Rejected.
    """
    run = arriving.run
    if not arriving.back and handler.store.is_gone(run):
        what = f"run {run} is in the archive of this store"
        raise cmd.Rejected("archived", what, "")


def _marked(arriving: IncomingHistory) -> Sequence[RawEvent]:
    """Mark each event for good: the ledger seals the mark with it. What another store has counted, this one has not."""
    if arriving.ours:
        return marked(arriving.history, arriving.mark)
    return marked(
        arriving.history,
        {"imported": arriving.source, **arriving.mark},
        without=("restored",),
    )


def _already_here(
    handler: Handler, arriving: IncomingHistory, status: str
) -> ImportResult:
    """Answer for a run that is here already; that it was taken to another store and back makes it no other run."""
    course = [event for event in arriving.history if event.type != IMPORTED]
    last = course[-1] if course and ended(arriving.history) else arriving.history[-1]
    here = handler.store.read_one(arriving.run, last.version)
    if here is None or here.commit != last.commit:
        raise AnotherHistory(arriving.run, last.version)
    return ImportResult(arriving.run, status, changed=False)


def _closed(handler: Handler, arriving: IncomingHistory, actor: str) -> Commit:
    """Build the commit that takes over the history, and adds to it where it comes from."""
    if arriving.run.endswith("-archive"):
        raise HistoryUnfit(
            arriving.run,
            "the store itself notes under such a name which runs have left it",
        )
    last = arriving.history[-1]
    events = encode([noted(arriving.command())], handler.limits).events
    facts = HeadFacts(arriving)
    _check(handler, arriving)
    return Commit(
        run=arriving.run,
        mode="adopt",
        commit_id=handler.commit_id(),
        events=() if arriving.ours else events,
        version=last.version,
        last_commit=last.commit,
        actor=actor,
        cause=last.commit,
        changes=IndexChanges(
            status=ended(arriving.history), cancel=facts.cancel, held=facts.held
        ),
        definition=facts.definition,
        workflow=facts.workflow,
        last_fence=facts.fence,
        back=arriving.back,
        name=_name(handler, arriving, facts.name),
    )


def _name(
    handler: Handler, arriving: IncomingHistory, name: str
) -> tuple[str, str] | None:
    """Return the business key that an open run has here too, and the run that had it until now.

    Raises BusinessKeyTaken where an open run has it.
    """
    if not name or ended(arriving.history):
        return None
    holder = handler.store.holder_of(name, handler.store.partition_of(arriving.run))
    status = handler.store.statuses([holder])[0] if holder else ""
    if status and status not in CLOSED_RUN:
        raise BusinessKeyTaken(holder)
    return name, holder


def _check(handler: Handler, arriving: IncomingHistory) -> None:
    """Refuse what could not be read later; what has left this store was read here before.

    Raises HistoryUnfit.
    """
    if arriving.ours:
        return
    check_definitions(arriving.run, arriving.definitions)
    recorded = check_events(
        arriving.run, arriving.history, handler.store.partition_of(arriving.run)
    )
    if status := ended(arriving.history):
        check_end(arriving.run, status, recorded, arriving.blobs)
    else:  # it is folded as a whole, because it goes on
        collections.deque(recorded, maxlen=0)


@dataclass(frozen=True, slots=True)
class _Open:
    commit: Commit
    opens: Mapping[str, int]


def _open(
    handler: Handler, arriving: IncomingHistory, alone: Commit, actor: str
) -> _Open:
    """Build the commit that takes over the history of an open run and lets it go on."""
    return fitting(arriving.run, lambda: _going_on(handler, arriving, alone, actor))


def _going_on(
    handler: Handler, arriving: IncomingHistory, alone: Commit, actor: str
) -> _Open:
    last = arriving.history[-1]
    recorded = _recorded(handler, arriving)
    keys = _keys(handler, recorded)
    past = decode_all(recorded, _fetch(arriving), keys)
    state = evolve_all(initial(), past)
    plan = _plan(arriving, state.definition)
    session = Session(
        arriving.run, last.version, last.commit, state, plan, keys.get(arriving.run)
    )
    decision, encoded = decide_encoded(
        session, arriving.command(), handler.limits, handler.child_id
    )
    timed = [
        TimedEvent(item.version, item.time_ms, event)
        for item, event in zip(recorded, past, strict=True)
    ]
    timed += [
        TimedEvent(version, 0, event)
        for version, event in enumerate(decision.events, last.version + 1)
    ]
    indexes = imported(session.plan, decision.state, timed)
    context = CommitContext("adopt", alone.commit_id, actor, last.commit)
    built: BuiltCommit = assemble(
        session, decision, encoded, (), context, settle=False, indexes=indexes
    )
    changes = built.commit.changes
    if changes.held is None:
        # No event of this commit says it, so the head says it as it did in the other store.
        changes = structs.replace(changes, held=alone.changes.held)
    commit = structs.replace(
        built.commit,
        changes=changes,
        definition=built.commit.definition or alone.definition,
        workflow=alone.workflow,
        last_fence=alone.last_fence,
        back=alone.back,
        name=alone.name,
    )
    return _Open(commit, built.opens)


def _keys(handler: Handler, recorded: Sequence[Recorded]) -> RunKeys:
    """Return the key of an encrypted run, which has to be here already: without it, the run would go on with nothing.

    Raises EncryptionError.
    """
    if not any(map(is_sealed, recorded)):
        return {}
    run = recorded[0].stream
    keys = handler.sessions.keyring.read([run])
    if keys[run] is None:
        raise KeyMissing(run)
    return keys


def _recorded(handler: Handler, arriving: IncomingHistory) -> list[Recorded]:
    partition = handler.store.partition_of(arriving.run)
    return [event.recorded(arriving.run, partition) for event in arriving.history]


def _fetch(arriving: IncomingHistory) -> Fetch:
    def fetch(addresses: Sequence[tuple[str, str]]) -> list[bytes]:
        hashes = [sha for _, sha in addresses]
        for sha in hashes:
            if sha not in arriving.blobs:
                fault = f"payload {sha}, to which it refers, does not come with it"
                raise HistoryUnfit(arriving.run, fault)
        return [arriving.blobs[sha] for sha in hashes]

    return fetch


def _plan(arriving: IncomingHistory, digest: str) -> Plan:
    if digest not in arriving.definitions:
        raise HistoryUnfit(
            arriving.run,
            f"definition {digest}, by which it goes, does not come with it",
        )
    # Its hash and its form were checked when it came in: see check_definitions.
    raw = arriving.definitions[digest]
    return compile_plan(Definition(codec.decode(raw), raw, digest))
