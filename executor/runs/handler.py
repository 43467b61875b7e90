"""Load, fold, decide, append: one command to one run, decided again as long as others were faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec.structs import replace

from eventstore.redis.coordination.key_notes import KeyNoteStore
from eventstore.run_model import Code, Guard
from eventstore.runs import NOTHING, RunStore
from executor.errors import TooContended
from executor.runs.beginnings import RunBeginnings
from executor.runs.codec import Limits
from executor.runs.commit import BuiltCommit, build
from executor.runs.committer import Committer, Handled
from executor.runs.errors import BusinessKeyTaken
from executor.runs.idempotency import Request as Request
from executor.runs.repository import Session, SessionCache
from executor.wakeup import Waker
from openagents_json.catalog.definitions import Definitions, as_stored
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core.plan import Plan

TRIES = 200

LABEL: Final = "business_key"
"""The label that tells in lists under which key a run began."""


def _by(session: Session, plan: Plan | None, version: int | None = None) -> Session:
    """Return a session with another plan, if it is at the version that is wanted.

    Raises Rejected.
    """
    if version is not None and session.version != version:
        what = f"the run has moved on to version {session.version}, and this was decided on version {version}"
        raise cmd.Rejected("moved_on", what, session.state.status)
    if plan is None:
        return session
    return replace(session, plan=plan)


def _wiping(built: BuiltCommit, kinds: Sequence[str]) -> BuiltCommit:
    """Return a commit that deletes keys of its run, too."""
    if not kinds:
        return built
    return replace(built, commit=replace(built.commit, wipe=tuple(kinds)))


class Handler(Committer):
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
        super().__init__(store, sessions, definitions, ringer, commit_id, limits)
        self.beginnings = RunBeginnings(self, key_notes)

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
        fresh: bool = False,
    ) -> Handled:
        """Carry out a command on a run, at no other `version` than the one that is given.

        `plan` is another one that the run goes by from then on. `guard` names a lease that must have run out; `settle`
        tells that the decision covers all that the state implies; `drop` are due members that are settled with it,
        whatever is decided; `wipe` are kinds of keys of the run that are deleted with it. A fixed `commit_id` makes the
        command count once from the `session` on, which is what the caller knows of the run; a `fresh` one is as the log
        was a moment ago, so that it need not be read where nothing follows.

        Raises RunNotFound, Rejected, TooContended, and BusinessKeyTaken when it would open a run again, and another one
        is open under its business key.
        """
        session = session or self.sessions.get(run) or self.sessions.load(run)
        commit_id = commit_id or self.commit_id()
        make = partial(
            build, actor=actor, cause=cause, guard=guard, settle=settle, drop=drop
        )
        for _ in range(TRIES):
            try:
                built = make(
                    _by(session, plan, version),
                    command,
                    commit_id,
                    limits=self.limits,
                    child=self.child_id,
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
                session = self.sessions.load(run)
                fresh = True
                continue
            built = self._with_its_key(session, _wiping(built, wipe))
            reply = self.send([built], as_stored(plan) if plan else NOTHING)[0]
            if reply.code is Code.DONE:
                after = self.remember(_by(session, plan), built, reply)
                return Handled(after, bool(built.decision.events), reply.time_ms)
            if reply.code is Code.NAMED:
                continue
            if reply.code is Code.HELD:
                return Handled(session, changed=False)
            session = self.sessions.follow(session, reply.version, reply.events)
            if reply.code is Code.DUPLICATE:
                return Handled(session, changed=True, time_ms=reply.time_ms)
            fresh = True
        raise TooContended(run, TRIES)

    def _with_its_key(self, session: Session, built: BuiltCommit) -> BuiltCommit:
        """Return a commit that takes the business key of a run from another one, where it opens the run again.

        Raises BusinessKeyTaken when that one is open.
        """
        is_opened = session.state.closed and not built.decision.state.closed
        has_key = LABEL in (session.state.labels or {})
        if not (is_opened and has_key):
            return built
        run = session.run
        name = str(self.store.first(run).data.get("name", ""))
        if not name:
            return built
        # The commit is refused if it is another run's by then, or that run is opened again.
        holder = self.store.holder_of(name, self.store.partition_of(run))
        status = self.store.statuses([holder])[0] if holder else ""
        is_open = status and status not in CLOSED_RUN
        if is_open and holder != run:
            raise BusinessKeyTaken(holder)
        return replace(built, commit=replace(built.commit, name=(name, holder)))

    def _decide(self, session: Session, actor: str) -> None:
        """Store what the log implies and nobody has decided on: perhaps it is that for which a command is refused."""
        if session.state.unsettled or session.state.pending:
            self.handle(session.run, cmd.Advance(), actor=actor)
