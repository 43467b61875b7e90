"""Runs begin: their first commits, in as few round trips as for one, and the idempotency keys that stand for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from msgspec.structs import replace

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.redis.driver.retries import FAILOVER_SECONDS, retrying
from eventstore.run_model import Code, Committed
from executor.errors import KeyConflict, RunExists
from executor.runs.commit import BuiltCommit, build
from executor.runs.committer import Committer, Handled
from executor.runs.errors import BusinessKeyTaken, QueueFull
from executor.runs.idempotency import OriginalRequest, conflict, key_of_another
from executor.runs.idempotency import Request as Request
from executor.runs.key_notes import KeyNotes, Note
from executor.runs.refusals import refusal
from executor.runs.repository import Session
from openagents_json.catalog.definitions import as_stored
from openagents_json.errors import OpenAgentsError, RunUnreadable
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.plan import ENGINE_QUEUE, Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.types import Json

_REFUSED: Final = (Code.NAMED, Code.FULL)
"""How a start ends that began nothing and may be tried again with the same key."""


@dataclass(frozen=True, slots=True)
class Start:
    """A run to begin; a fixed commit id makes the start repeatable.

    `request` is what its caller asked for under an idempotency key; without one, whoever starts it again means it.
    `awaited` tells that its caller waits for its end, which is noted with the start then. A `name` is one that the run
    takes from another run, "" for none; a `signal` comes with its first commit. One that begins `if_room` is refused
    while too many steps of its worker types are ready; those that work under way begins are not. One that is
    `debounced` by a key begins when no other of that was started for so many ms, and else is cancelled.
    """

    run: str
    plan: Plan
    inputs: Mapping[str, Json]
    commit_id: str = ""
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    cancelled: str = ""
    request: Request | None = None
    awaited: bool = False
    budget: Mapping[str, Json] | None = None
    name: tuple[str, str] | None = None
    signal: cmd.SendSignal | None = None
    if_room: bool = False
    debounced: tuple[str, int] | None = None


class _Beginning(NamedTuple):
    """A run to begin, with its session and its first commit."""

    start: Start
    session: Session
    built: BuiltCommit


class RunBeginnings:
    """Begins runs; safe for threads."""

    def __init__(self, committer: Committer, key_notes: KeyNoteStore) -> None:
        self._committer = committer
        self.notes = KeyNotes(key_notes, self._never_began)

    def start_each(
        self, starts: Sequence[Start], *, actor: str
    ) -> list[Handled | Exception]:
        """Start runs in one round trip; one that the same commit id started before is answered unchanged.

        One that has not begun has its error, RunExists when another commit has taken the id, and KeyConflict when its
        key has begun another request; the others have begun.
        Raises PayloadOverLimit, and then none has.
        """
        # A worker of this process may claim their steps before their replies are read: it waits for what these say.
        turns = self._committer.turns
        runs = {start.run for start in starts}
        turns.take(runs)
        try:
            return self._start_each(starts, actor)
        finally:
            turns.give_back(runs)

    def _start_each(
        self, starts: Sequence[Start], actor: str
    ) -> list[Handled | Exception]:
        beginnings = [self._beginning(start, actor) for start in starts]
        results: dict[int, Handled | Exception] = dict(self._without_their_keys(starts))
        offered = {
            index: beginning
            for index, beginning in enumerate(beginnings)
            if index not in results
        }
        replies = self._offer_patiently(list(offered.values()))
        # First the keys of those that were refused: whoever is told so may use them again at once.
        self._give_back([beginning.start for beginning in offered.values()], replies)
        for (index, beginning), reply in zip(offered.items(), replies, strict=True):
            results[index] = self._begun(beginning, reply)
        return [results[index] for index in range(len(starts))]

    def check(self, starts: Sequence[Start], *, actor: str) -> None:
        """Refuse what could not begin whatever is in the store, and write nothing.

        Raises PayloadOverLimit.
        """
        for start in starts:
            self._beginning(start, actor)

    def _beginning(self, start: Start, actor: str) -> _Beginning:
        """Return the first commit of a run that is not on the log yet."""
        key = self._committer.sessions.keyring.fresh(start.run)
        session = Session(
            run=start.run,
            version=0,
            commit="",
            state=initial(),
            plan=start.plan,
            key=key,
        )
        return _Beginning(start, session, self._first(session, start, actor))

    def _without_their_keys(
        self, starts: Sequence[Start]
    ) -> dict[int, OpenAgentsError]:
        """Return why some may not begin, by their indexes: keys that stand for runs of others, or find no room."""
        notes: dict[int, Note] = {}
        for index, start in enumerate(starts):
            if start.request is not None:
                notes[index] = note_of(start, start.request)
        answers = self.notes.take(list(notes.values()))
        refused: dict[int, OpenAgentsError] = {}
        for index, answer in zip(notes, answers, strict=True):
            if isinstance(answer, EventStoreError):
                refused[index] = answer
            elif answer is not None:
                plan = starts[index].plan
                refused[index] = key_of_another(answer.run, answer.workflow, plan)
        return refused

    def _give_back(
        self, starts: Sequence[Start], replies: Sequence[Committed | EventStoreError]
    ) -> None:
        """Return back the keys of starts that were refused; whether those were whose server is away, nobody knows."""
        refused: list[Note] = []
        for start, reply in zip(starts, replies, strict=True):
            was_answered = not isinstance(reply, StoreUnavailable)
            was_refused = was_answered and (
                isinstance(reply, EventStoreError) or reply.code in _REFUSED
            )
            if was_refused and start.request is not None:
                refused.append(note_of(start, start.request))
        if refused:
            self.notes.give_back(refused)

    def _never_began(self, run: str) -> bool:
        """Tell whether a run that is there was never let in."""
        try:
            return refusal(self._committer.sessions.load(run).state) is not None
        except RunUnreadable:
            return False

    def _offer_patiently(
        self, beginnings: Sequence[_Beginning]
    ) -> list[Committed | EventStoreError]:
        """Offer commits, and again those whose node of a cluster is away: its replica may take its index soon.

        A server that is alone has been waited for already when it is said to be away.
        """
        if not beginnings:
            return []
        builts = [beginning.built for beginning in beginnings]
        definitions = as_stored(*[beginning.start.plan for beginning in beginnings])
        answers = list(self._committer.offer(builts, definitions))

        def again() -> None:
            away = _away(answers)
            if away:
                offered = [builts[index] for index in away]
                replies = self._committer.offer(offered, definitions)
                for index, reply in zip(away, replies, strict=True):
                    answers[index] = reply
            for answer in answers:
                if isinstance(answer, StoreUnavailable):
                    raise answer

        with suppress(StoreUnavailable):  # then it is the answer
            retrying(again, FAILOVER_SECONDS)
        return answers

    def _begun(
        self, beginning: _Beginning, reply: Committed | EventStoreError
    ) -> Handled | Exception:
        session = beginning.session
        if isinstance(reply, EventStoreError):
            return reply
        if reply.code is Code.EXISTS:
            return RunExists(session.run)
        if reply.code is Code.NAMED:
            return BusinessKeyTaken(reply.holder)
        if reply.code is Code.FULL:
            return QueueFull(reply.full, self._committer.limits.queue)
        if reply.code is Code.DUPLICATE:
            return self._begun_before(beginning.start, reply)
        begun = replace(session, began_ms=reply.time_ms)
        remembered = self._committer.remember(begun, beginning.built, reply)
        return Handled(
            remembered, changed=True, time_ms=reply.time_ms, position=reply.position
        )

    def _begun_before(self, start: Start, reply: Committed) -> Handled | Exception:
        """Return the run that the same commit has begun before, unless that was for another request."""
        try:
            session = self._committer.sessions.load(start.run)
            conflict_of_requests = self._conflict(start, session)
        except OpenAgentsError as error:
            return error
        handled = Handled(session, changed=False, time_ms=reply.time_ms)
        return conflict_of_requests or handled

    def _conflict(self, start: Start, session: Session) -> KeyConflict | None:
        """Return why a run that is there was begun by another request than the one that met it."""
        if start.request is None:
            return None
        first = self._committer.store.first(session.run)
        [started] = self._committer.sessions.payloads.decode([first])
        if not isinstance(started, ev.RunStarted):
            return None
        inputs = None if session.state.erased else started.inputs
        plan = self._committer.definitions.plan(started.definition)
        original = OriginalRequest(session.run, plan, inputs, first.actor)
        return conflict(start.request, start.plan, original)

    def _first(self, session: Session, start: Start, actor: str) -> BuiltCommit:
        command = cmd.StartRun(
            run=start.run,
            inputs=start.inputs,
            labels=start.labels,
            parent=start.parent,
            cancelled=start.cancelled,
            budget=start.budget,
            signal=start.signal,
            name="" if start.name is None else start.name[0],
            debounced=start.debounced,
        )
        commit_id = start.commit_id or self._committer.commit_id()
        built = build(
            session,
            command,
            commit_id,
            actor=actor,
            limits=self._committer.limits,
            child=self._committer.child_id,
        )
        if built is None:
            raise RunExists(start.run)
        first = begun(built, session)
        room = self._room(start)
        if not start.awaited and start.name is None and room is None:
            return first
        commit = replace(
            first.commit, awaited=start.awaited, name=start.name, room=room
        )
        return replace(first, commit=commit)

    def _room(self, start: Start) -> tuple[int, tuple[str, ...]] | None:
        """Return how many steps may be ready in the partition of a new run, and in which queues; None for any number.

        Runs are spread evenly over the partitions, so each of them has its share of what is allowed.
        """
        at_most = self._committer.limits.queue
        if not at_most or not start.if_room:
            return None
        queues = {step.queue for step in start.plan.steps.values()} - {ENGINE_QUEUE}
        share = -(-at_most // self._committer.store.partitions)
        return share, tuple(sorted(queues))


def note_of(start: Start, request: Request) -> Note:
    """Return what is noted of the key of a start: of a workflow, and of a name, each key has one run."""
    scope = start.plan.id if start.name is None else f"{start.plan.id} {start.name[0]}"
    return Note(request.key, start.run, scope)


def _away(answers: Sequence[Committed | EventStoreError]) -> list[int]:
    """Return the indexes of commits whose server could not be reached."""
    indexes = []
    for index, answer in enumerate(answers):
        if isinstance(answer, StoreUnavailable):
            indexes.append(index)
    return indexes


def begun(built: BuiltCommit, session: Session) -> BuiltCommit:
    """Return the commit of a new run with what its head says of it, and with its key."""
    commit = replace(
        built.commit,
        workflow=session.plan.id,
        definition=session.plan.hash,
        wrapped_key=session.key.wrapped if session.key is not None else "",
    )
    return replace(built, commit=commit)
