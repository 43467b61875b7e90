"""Load, fold, decide, append: one command to one run, decided again as long as others were faster."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from eventstore.errors import EventStoreError, StoreUnavailable
from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.redis.driver.connection import FAILOVER_SECONDS, retrying
from eventstore.run_model import Code, Committed, Guard
from eventstore.runs import NOTHING, RunStore, WakeUp
from eventstore.runs import Definitions as Stored
from executor.errors import KeyConflict, RunExists, TooContended
from executor.runs.codec import Limits
from executor.runs.commit import BuiltCommit, build
from executor.runs.idempotency import OriginalRequest, conflict, key_of_another
from executor.runs.idempotency import Request as Request
from executor.runs.key_notes import KeyNotes, Note
from executor.runs.refusals import refusal
from executor.runs.repository import Session, SessionCache
from executor.wakeup import Waker
from openagents_json.catalog.definitions import Definitions, as_stored
from openagents_json.errors import OpenAgentsError, RunUnreadable
from openagents_json.work_index import DueKey
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decision import ChildId
from openagents_json.workflow.core.decide.elapsed import needs_time
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.fold.steps import dated
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.state import initial
from openagents_json.workflow.types import Json

TRIES = 200


def _by(session: Session, plan: Plan | None, version: int | None = None) -> Session:
    """Return a session with another plan, if it is at the version that is wanted.

    Raises Rejected.
    """
    if version is not None and session.version != version:
        what = f"the run has moved on to version {session.version}, and this was decided on version {version}"
        raise cmd.Rejected("moved_on", what, session.state.status)
    return session if plan is None else replace(session, plan=plan)


def _nobody(_run: str, _delay_ms: int) -> None:
    """Hear that something will be due soon: in a process without a relay, nobody does."""


def child_ids(partitions: int) -> ChildId:
    """Return the naming of child runs in a store: the same name gives the same id, in any partition."""

    def child(name: str) -> str:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{int(digest[:8], 16) % partitions}-{digest[8:34]}"

    return child


@dataclass(frozen=True, slots=True)
class Start:
    """A run to begin; a fixed commit id makes the start repeatable.

    `request` is what its caller asked for under an idempotency key; without one, whoever starts it again means it.
    """

    run: str
    plan: Plan
    inputs: Mapping[str, Json]
    commit_id: str = ""
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None
    cancelled: str = ""
    request: Request | None = None


@dataclass(frozen=True, slots=True)
class Handled:
    """What a command came to: the session after it, and whether it changed anything."""

    session: Session
    changed: bool
    time_ms: int = 0


class Handler:
    """Carries out commands on runs; safe for threads."""

    def __init__(
        self,
        store: RunStore,
        sessions: SessionCache,
        definitions: Definitions,
        ringer: Waker,
        commit_id: Callable[[], str],
        limits: Limits,
        key_notes: KeyNoteStore,
    ) -> None:
        self.store, self.sessions, self.definitions, self.ringer = (
            store,
            sessions,
            definitions,
            ringer,
        )
        self.commit_id, self.limits = commit_id, limits
        self.expect: Callable[[str, int], None] = _nobody
        self.child_id = child_ids(store.partitions)
        self._notes = KeyNotes(key_notes, self._never_began)

    def start_each(
        self, starts: Sequence[Start], *, actor: str
    ) -> list[Handled | Exception]:
        """Start runs in one round trip; one that the same commit id started before is answered unchanged.

        One that has not begun has its error, RunExists when another commit has taken the id, and KeyConflict when its
        key has begun another request; the others have begun.
        Raises PayloadOverLimit, and then none has.
        """
        fresh = [
            Session(s.run, 0, "", initial(), s.plan, self.sessions.keyring.fresh(s.run))
            for s in starts
        ]
        builts = [
            self._first(session, s, actor)
            for session, s in zip(fresh, starts, strict=True)
        ]
        results: dict[int, Handled | Exception] = dict(self._without_their_keys(starts))
        places = [place for place in range(len(starts)) if place not in results]
        needed = as_stored(*(starts[place].plan for place in places))
        replies = (
            self._offer_patiently([builts[place] for place in places], needed)
            if places
            else ()
        )
        self._give_back([starts[place] for place in places], replies)
        for place, reply in zip(places, replies, strict=True):
            results[place] = self._begun(
                starts[place], fresh[place], builts[place], reply
            )
        return [results[place] for place in range(len(starts))]

    def check(self, starts: Sequence[Start], *, actor: str) -> None:
        """Refuse what could not begin whatever is in the store, and write nothing.

        Raises PayloadOverLimit.
        """
        for start in starts:
            fresh = Session(
                start.run,
                0,
                "",
                initial(),
                start.plan,
                self.sessions.keyring.fresh(start.run),
            )
            self._first(fresh, start, actor)

    def _without_their_keys(
        self, starts: Sequence[Start]
    ) -> dict[int, OpenAgentsError]:
        """Return why some may not begin, by their places: keys that stand for runs of others, or find no room."""
        keyed = [
            (place, note)
            for place, start in enumerate(starts)
            if (note := _note(start)) is not None
        ]
        answers = self._notes.take([note for _, note in keyed])
        refused: dict[int, OpenAgentsError] = {}
        for (place, _), answer in zip(keyed, answers, strict=True):
            if isinstance(answer, EventStoreError):
                refused[place] = answer
            elif answer is not None:
                refused[place] = key_of_another(
                    answer.run, answer.workflow, starts[place].plan
                )
        return refused

    def _give_back(
        self, starts: Sequence[Start], replies: Sequence[Committed | EventStoreError]
    ) -> None:
        """Return back the keys of starts that were refused; whether those were whose server is away, nobody knows."""
        refused = [
            note
            for start, reply in zip(starts, replies, strict=True)
            if isinstance(reply, EventStoreError)
            and not isinstance(reply, StoreUnavailable)
            and (note := _note(start)) is not None
        ]
        if refused:
            self._notes.give_back(refused)

    def _never_began(self, run: str) -> bool:
        """Tell whether a run that is there was never let in."""
        try:
            return refusal(self.sessions.load(run).state) is not None
        except RunUnreadable:
            return False

    def _offer_patiently(
        self, builts: Sequence[BuiltCommit], definitions: Stored
    ) -> list[Committed | EventStoreError]:
        """Offer commits, and again those whose node of a cluster is away: its replica may take its place soon.

        A server that is alone has been waited for already when it is said to be away.
        """
        answers = dict(enumerate(self.offer(builts, definitions)))

        def again() -> None:
            away = [
                i
                for i, answer in answers.items()
                if isinstance(answer, StoreUnavailable)
            ]
            if away:
                answers.update(
                    zip(
                        away,
                        self.offer([builts[i] for i in away], definitions),
                        strict=True,
                    )
                )
            for answer in answers.values():
                if isinstance(answer, StoreUnavailable):
                    raise answer

        with suppress(StoreUnavailable):  # then it is the answer
            retrying(again, FAILOVER_SECONDS)
        return list(answers.values())

    def _begun(
        self,
        start: Start,
        session: Session,
        built: BuiltCommit,
        reply: Committed | EventStoreError,
    ) -> Handled | Exception:
        if isinstance(reply, EventStoreError):
            return reply
        if reply.code is Code.EXISTS:
            return RunExists(session.run)
        if reply.code is Code.DUPLICATE:
            try:
                found = Handled(
                    self.sessions.load(session.run),
                    changed=False,
                    time_ms=reply.time_ms,
                )
                return self._conflict(start, found.session) or found
            except OpenAgentsError as error:
                return error
        return Handled(
            self.remember(session, built, reply), changed=True, time_ms=reply.time_ms
        )

    def _conflict(self, start: Start, session: Session) -> KeyConflict | None:
        """Return why a run that is there was begun by another request than the one that met it."""
        if start.request is None:
            return None
        first = self.store.first(session.run)
        [started] = self.sessions.payloads.decode([first])
        if not isinstance(started, ev.RunStarted):
            return None
        inputs = None if session.state.erased else started.inputs
        plan = self.definitions.plan(started.definition)
        return conflict(
            start.request,
            start.plan,
            OriginalRequest(session.run, plan, inputs, first.actor),
        )

    def _first(self, session: Session, start: Start, actor: str) -> BuiltCommit:
        command = cmd.StartRun(
            start.run, start.inputs, start.labels, start.parent, start.cancelled
        )
        commit_id = start.commit_id or self.commit_id()
        built = build(
            session,
            command,
            commit_id,
            actor=actor,
            limits=self.limits,
            child=self.child_id,
        )
        if built is None:
            raise RunExists(start.run)
        return begun(built, session)

    def handle(
        self,
        run: str,
        command: cmd.Command,
        *,
        actor: str,
        cause: str = "",
        guard: Guard | None = None,
        settle: bool = False,
        drop: Sequence[DueKey] = (),
        plan: Plan | None = None,
        version: int | None = None,
        wipe: Sequence[str] = (),
        commit_id: str = "",
        session: Session | None = None,
    ) -> Handled:
        """Carry out a command on a run, at no other `version` than the one that is given.

        `plan` is another one that the run goes by from then on. `guard` names a lease that must have run out; `settle`
        tells that the decision covers all that the state implies; `drop` are due members that are settled with it,
        whatever is decided; `wipe` are kinds of keys of the run that are deleted with it. A fixed `commit_id` makes the
        command count once from the `session` on, which is what the caller knows of the run.

        Raises RunNotFound, Rejected and TooContended.
        """
        session = session or self.sessions.get(run) or self.sessions.load(run)
        commit_id = commit_id or self.commit_id()
        make = partial(
            build,
            actor=actor,
            cause=cause,
            guard=guard,
            limits=self.limits,
            settle=settle,
            child=self.child_id,
            drop=drop,
        )
        fresh = False
        for _ in range(TRIES):
            try:
                built = make(
                    _by(session, plan, version),
                    command,
                    commit_id,
                    now_ms=self.time_for(session, command),
                )
            except cmd.Rejected:
                if fresh:
                    self._decide(session, actor)
                    raise
                built = None
            if built is None:
                if fresh:
                    return Handled(session, changed=False)
                session, fresh = self.sessions.load(run), True
                continue
            if wipe:
                built = replace(built, commit=replace(built.commit, wipe=tuple(wipe)))
            reply = self.send([built], as_stored(plan) if plan else NOTHING)[0]
            if reply.code is Code.DONE:
                return Handled(
                    self.remember(_by(session, plan), built, reply),
                    bool(built.decision.events),
                    reply.time_ms,
                )
            if reply.code is Code.DUPLICATE:
                after = self.sessions.follow(session, reply.version, reply.events)
                return Handled(after, changed=True, time_ms=reply.time_ms)
            if reply.code is Code.HELD:
                return Handled(session, changed=False)
            session, fresh = (
                self.sessions.follow(session, reply.version, reply.events),
                True,
            )
        raise TooContended(run, TRIES)

    def time_for(self, session: Session, command: cmd.Command) -> int:
        """Return the store's time if a decision depends on it, else 0: machines' own clocks may be wrong.

        Raises StoreUnavailable.
        """
        return self.store.now_ms() if needs_time(session.plan, command) else 0

    def _decide(self, session: Session, actor: str) -> None:
        """Store what the log implies and nobody has decided on: perhaps it is that for which a command is refused."""
        if session.state.unsettled or session.state.pending:
            self.handle(session.run, cmd.Advance(), actor=actor)

    def offer(
        self, builts: Sequence[BuiltCommit], definitions: Stored = NOTHING
    ) -> Sequence[Committed | EventStoreError]:
        """Send commits as `send` does, each with an answer or an error of its own.

        Raises StoreUnavailable.
        """
        wakeups = self._wakeups(builts)
        offered = self.store.offer(
            [b.commit for b in builts], definitions=definitions, wakeups=wakeups
        )
        self.ringer.answer(wakeups, offered.unheard)
        return offered.commits

    def send(
        self, builts: Sequence[BuiltCommit], definitions: Stored = NOTHING
    ) -> Sequence[Committed]:
        """Send commits and the hints about what they open, in one round trip."""
        wakeups = self._wakeups(builts)
        done = self.store.exchange(
            [b.commit for b in builts], definitions=definitions, wakeups=wakeups
        )
        self.ringer.answer(wakeups, done.unheard)
        return done.commits

    def _wakeups(self, builts: Sequence[BuiltCommit]) -> list[WakeUp]:
        partition = self.store.partition_of
        return self.ringer.wakeups([(partition(b.commit.run), b.opens) for b in builts])

    def remember(
        self,
        session: Session,
        built: BuiltCommit,
        reply: Committed,
        started: Sequence[ev.StepStarted] = (),
    ) -> Session:
        """Return the session after a commit that was carried out as it was built, with the claims it made."""
        for timer in built.changes.timers:
            if not timer.at_ms:
                self.expect(session.run, timer.delay_ms)
        if reply.version == session.version:
            return session
        state = evolve_all(
            dated(built.decision.state, built.decision.events, reply.time_ms), started
        )
        after = Session(
            session.run,
            reply.version,
            built.commit.commit_id,
            state,
            session.plan,
            session.key,
        )
        if any(
            isinstance(event, ev.RunRedacted) for event in built.decision.events
        ):  # it holds what is no more
            self.sessions.drop(session.run)
            return after
        if not session.version:
            self.sessions.keyring.keep(session.key)
        self.sessions.put(after)
        return after


def _note(start: Start) -> Note | None:
    return (
        None
        if start.request is None
        else Note(start.request.key, start.run, start.plan.id)
    )


def begun(built: BuiltCommit, session: Session) -> BuiltCommit:
    """Return the commit of a new run with what its head says of it, and with its key."""
    key = session.key.wrapped if session.key is not None else ""
    plan = session.plan
    return replace(
        built,
        commit=replace(
            built.commit, workflow=plan.id, definition=plan.hash, wrapped_key=key
        ),
    )
