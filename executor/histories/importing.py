"""A run comes into this store with its whole history, under its own id: to be kept, or to go on here."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from eventstore import codec
from eventstore.event import Json, Recorded
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
from executor.runs.codec import Fetch, RunKeys, decode_all, encode, is_sealed
from executor.runs.commit import BuiltCommit, CommitContext, assemble, decide_encoded
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.work_index import IndexChanges
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.takeover import TimedEvent, imported, noted
from openagents_json.workflow.core.event_types import AFTERWARDS, CLOSED_AS, DEFINES
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.definition import Definition
from openagents_json.workflow.language.compile import compile_plan

STARTED: Final = ev.RunStarted.__name__
IMPORTED: Final = ev.RunImported.__name__
CANCEL_REQUESTED: Final = ev.RunCancelRequested.__name__
CLAIMED: Final = ev.StepStarted.__name__
CHILD_STARTED: Final = ev.ChildStarted.__name__
HOLDS: Final[Mapping[str, bool]] = {
    ev.RunHeld.__name__: True,
    ev.RunHoldReleased.__name__: False,
}


@dataclass(frozen=True, slots=True)
class IncomingHistory:
    """A history with what it refers to, each by its hash; `source` says where it comes from.

    `mark` is more metadata for each event. An open run waits with `paused` until somebody resumes it. `back` tells that
    it comes back from an archive, where a run has its id until then. `how` is import, promote or restore, and `sha256`
    the hash of the file that it comes from; one that is `ours`, as the log of this store proves, is no import.
    """

    run: str
    history: Sequence[RawEvent]
    definitions: Mapping[str, bytes]
    blobs: Mapping[str, bytes]
    source: str
    reason: str = ""
    paused: bool = False
    mark: Mapping[str, Json] = field(default_factory=dict)
    back: bool = False
    how: str = "import"
    sha256: str = ""
    ours: bool = False

    def command(self) -> cmd.ImportRun:
        """Return the command that takes it over."""
        at = self.history[-1].version
        return cmd.ImportRun(
            self.source, at, self.paused, self.reason, self.how, self.sha256
        )


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What became of it: `changed` is false for a run that was here already, with this history."""

    run: str
    status: str
    changed: bool


def ended(history: Sequence[RawEvent]) -> str:
    """Return the status of a run that had ended, else ""; what is noted after its end changes nothing."""
    course = next(
        (event.type for event in reversed(history) if event.type not in AFTERWARDS), ""
    )
    return CLOSED_AS.get(course, "")


def take_in(
    handler: Handler, adoption: Adoption, arriving: IncomingHistory, *, actor: str
) -> ImportResult:
    """Bring a run into the store; what was closed stays as it is, what was open goes on.

    Each event is marked as written elsewhere, and RunImported says who brought them, when and from where.
    Raises AnotherHistory, InPart, HistoryUnfit, and Rejected or EncryptionError for an open run that cannot be moved.
    """
    run, last = arriving.run, arriving.history[-1]
    [head] = handler.store.heads([run])
    if head is not None and head.version and head.adopting:
        raise InPart(run)
    if head is not None and head.version:
        return _there(handler, arriving, head.status)
    _refuse_archived(handler, arriving)
    built = _closed(handler, arriving, actor)
    opens: Mapping[str, int] = {}
    if not ended(arriving.history):
        whole = _open(handler, arriving, built, actor)
        built, opens = whole.commit, whole.opens
    adoption.put(run, arriving.definitions, arriving.blobs)
    wakeups = handler.ringer.wakeups([(handler.store.partition_of(run), opens)])
    taken = adoption.take(built, _marked(arriving), wakeups)
    handler.ringer.answer(wakeups, taken.unheard)
    if taken.commit.code is Code.IN_PART:
        raise InPart(run)
    if taken.commit.code is Code.EXISTS:
        _refuse_archived(handler, arriving)  # meanwhile
        raise AnotherHistory(run, last.version)
    handler.sessions.drop(run)
    return ImportResult(
        run, built.changes.status or "", changed=taken.commit.code is Code.DONE
    )


def probe(handler: Handler, arriving: IncomingHistory) -> None:
    """Find out whether a run could come in, and change nothing.

    Raises HistoryUnfit, and Rejected or EncryptionError for an open run that cannot be moved.
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
        what = f"run {run} is in the archive of this store; `openagents runs restore {run}` brings it back"
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


def _there(handler: Handler, arriving: IncomingHistory, status: str) -> ImportResult:
    """Answer for a run that is here already; that it was taken to another store and back makes it no other run."""
    course = [event for event in arriving.history if event.type != IMPORTED]
    last = course[-1] if course and ended(arriving.history) else arriving.history[-1]
    found = handler.store.read_one(arriving.run, last.version)
    if found is None or found.commit != last.commit:
        raise AnotherHistory(arriving.run, last.version)
    return ImportResult(arriving.run, status, changed=False)


def _closed(handler: Handler, arriving: IncomingHistory, actor: str) -> Commit:
    """Build the commit that takes over the history, and adds to it where it comes from."""
    if arriving.run.endswith("-archive"):
        raise HistoryUnfit(
            arriving.run,
            "the store itself notes under such a name which runs have left it",
        )
    last, events = (
        arriving.history[-1],
        encode([noted(arriving.command())], handler.limits).events,
    )
    facts = _Facts(arriving)
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
    )


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


class _Facts:
    """What the head of a run says beside its status, without a fold of its history."""

    def __init__(self, arriving: IncomingHistory) -> None:
        self.workflow = self.definition = ""
        self.cancel, self.held, self.fence = False, False, 0
        self._run = arriving.run
        for event in arriving.history:
            if event.type in _LOOKED_AT:
                self._note(event)
        if arriving.history[0].type != STARTED or not self.definition:
            raise HistoryUnfit(arriving.run, "its first event is not RunStarted")
        if self.definition not in arriving.definitions:
            raise HistoryUnfit(
                arriving.run,
                f"definition {self.definition}, by which it goes, does not come with it",
            )

    def _note(self, event: RawEvent) -> None:
        if event.type == CANCEL_REQUESTED:
            self.cancel = True
            return
        if event.type in HOLDS:
            self.held = HOLDS[event.type]
            return
        data = self._data(event)
        if event.type == CLAIMED:
            fence = str(data.get("fence", ""))
            self.fence = max(
                self.fence, int(fence) if fence.isdecimal() and len(fence) < 17 else 0
            )
            return
        self.cancel = False
        self.definition = str(data.get("definition") or self.definition)
        if event.type == STARTED:
            self.workflow = str(data.get("workflow", ""))
            if data.get("run") != self._run:
                raise HistoryUnfit(self._run, f"it is that of run {data.get('run')}")

    def _data(self, event: RawEvent) -> Mapping[str, Any]:
        try:
            data = codec.decode(event.data)
        except (ValueError, RecursionError) as error:
            raise HistoryUnfit(
                self._run, f"event {event.version} is no JSON: {error}"
            ) from error
        if not isinstance(data, dict):
            raise HistoryUnfit(self._run, f"event {event.version} holds no names")
        return data


_LOOKED_AT: Final = DEFINES | {CANCEL_REQUESTED, CLAIMED, *HOLDS}


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
    happened = decode_all(recorded, _fetch(arriving), keys)
    state = evolve_all(initial(), happened)
    plan = _plan(arriving, state.definition)
    session = Session(
        arriving.run, last.version, last.commit, state, plan, keys.get(arriving.run)
    )
    made, encoded = decide_encoded(
        session, arriving.command(), handler.limits, handler.child_id
    )
    past = [
        TimedEvent(x.version, x.time_ms, event)
        for x, event in zip(recorded, happened, strict=True)
    ]
    fresh = [
        TimedEvent(last.version + i, 0, event) for i, event in enumerate(made.events, 1)
    ]
    moved = imported(session.plan, made.state, [*past, *fresh])
    signature = CommitContext("adopt", alone.commit_id, actor, last.commit)
    built: BuiltCommit = assemble(
        session, made, encoded, (), signature, settle=False, moved=moved
    )
    changes = built.commit.changes
    if changes.held is None:  # in the head, as it was in the other store
        changes = changes._replace(held=alone.changes.held)
    commit = replace(
        built.commit,
        changes=changes,
        definition=built.commit.definition or alone.definition,
        workflow=alone.workflow,
        last_fence=alone.last_fence,
        back=alone.back,
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
    def fetch(wanted: Sequence[tuple[str, str]]) -> list[bytes]:
        lacking = [sha for _, sha in wanted if sha not in arriving.blobs]
        if lacking:
            raise HistoryUnfit(
                arriving.run,
                f"payload {lacking[0]}, to which it refers, does not come with it",
            )
        return [arriving.blobs[sha] for _, sha in wanted]

    return fetch


def _plan(arriving: IncomingHistory, digest: str) -> Plan:
    if digest not in arriving.definitions:
        raise HistoryUnfit(
            arriving.run,
            f"definition {digest}, by which it goes, does not come with it",
        )
    raw = arriving.definitions[
        digest
    ]  # by its name, and in its form: see check_definitions
    return compile_plan(Definition(codec.decode(raw), raw, digest))


def referred(history: Iterable[RawEvent]) -> tuple[list[str], list[str], list[str]]:
    """Return what a history refers to, as far as its events can be read: definitions, payloads, child runs."""
    definitions: dict[str, None] = {}
    blobs: dict[str, None] = {}
    children: dict[str, None] = {}
    for event in history:
        begins = event.type in DEFINES
        if not begins and event.type != CHILD_STARTED and b'"blobs"' not in event.data:
            continue
        try:
            data = codec.decode(event.data)
        except (ValueError, RecursionError):
            continue
        if not isinstance(data, dict):
            continue
        if begins and data.get("definition"):
            definitions[str(data["definition"])] = None
        if event.type == CHILD_STARTED:
            children[str(data.get("child"))] = None
        refs = data.get("blobs")
        for ref in refs if isinstance(refs, list) else ():
            if isinstance(ref, list) and len(ref) > 1:
                blobs[str(ref[1])] = None
    return list(definitions), list(blobs), list(children)
