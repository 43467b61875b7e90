"""What every change of a run needs: the store, what is known of runs, and commits that are sent and remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eventstore.errors import EventStoreError
from eventstore.run_model import Committed
from eventstore.runs import NOTHING, RunStore, WakeUp
from eventstore.runs import Definitions as Stored
from executor.runs.codec import Limits
from executor.runs.commit import BuiltCommit
from executor.runs.idempotency import Request as Request
from executor.runs.repository import Session, SessionCache
from executor.runs.turns import Turns
from executor.wakeup import Waker
from openagents_json.catalog.definitions import Definitions
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.decide.decision import ChildId
from openagents_json.workflow.core.decide.elapsed import needs_time
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.fold.steps import dated


def _nobody(_run: str, _delay_ms: int) -> None:
    """Hear that something will be due soon: in a process without a relay, nobody does."""


def child_ids(partitions: int) -> ChildId:
    """Return the naming of child runs in a store: the same name gives the same id, in any partition."""

    def child(name: str) -> str:
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
        return f"{int(digest[:8], 16) % partitions}-{digest[8:34]}"

    return child


@dataclass(frozen=True, slots=True)
class Handled:
    """What a command came to: the session after it, and whether it changed anything.

    `position` is how many events the log of the run's partition had behind it, 0 where that was not told.
    """

    session: Session
    changed: bool
    time_ms: int = 0
    position: int = 0


class Committer:
    """Sends the commits of decisions and remembers what became of their runs; safe for threads."""

    def __init__(
        self,
        store: RunStore,
        sessions: SessionCache,
        definitions: Definitions,
        ringer: Waker,
        commit_id: Callable[[], str],
        limits: Limits,
    ) -> None:
        self.store = store
        self.sessions = sessions
        self.definitions = definitions
        self.ringer = ringer
        self.commit_id = commit_id
        self.limits = limits
        self.turns = Turns()
        self.expect: Callable[[str, int], None] = _nobody
        self.child_id = child_ids(store.partitions)

    def time_for(self, session: Session, command: cmd.Command) -> int:
        """Return the store's time if a decision depends on it, else 0: machines' own clocks may be wrong.

        Raises StoreUnavailable.
        """
        if needs_time(session.plan, command):
            return self.store.now_ms()
        return 0

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
        events = built.decision.events
        state = built.decision.state
        between = reply.version - session.version - len(events) - len(started)
        if built.commit.stands and between:
            # Claims came before it: they are folded first, as they stand first on the log.
            if len(reply.events) != between:
                return self.sessions.load(session.run)
            behind = self.sessions.extend(session.run, session, reply.events)
            if not events:
                # Without events there is no such commit on the log: it ends with the last of those claims.
                return behind
            state = evolve_all(behind.state, events)
        decided = dated(state, events, reply.time_ms)
        after = Session(
            run=session.run,
            version=reply.version,
            commit=built.commit.commit_id,
            state=evolve_all(decided, started),
            plan=session.plan,
            key=session.key,
            began_ms=session.began_ms,
        )
        if any(isinstance(event, ev.RunRedacted) for event in events):
            # The state holds what is no more.
            self.sessions.drop(session.run)
            return after
        if not session.version:
            self.sessions.keyring.keep(session.key)
        self.sessions.put(after)
        return after
