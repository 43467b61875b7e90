"""Runs as this process knows them: folded states, valid as long as the log still ends where they do.

A session is a cache, never the truth: every commit is guarded by the version and the last commit that it was folded
from, so a stale one costs a round trip and nothing else.
"""

from __future__ import annotations

import logging
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from eventstore import codec
from eventstore.event import Recorded
from eventstore.redis.driver.forking import ForkSafeLock
from eventstore.runs import RunStore
from executor.encryption import RunKey
from executor.errors import BrokenHistory, DamagedPayload, RunNotFound
from executor.runs.payloads import Payloads
from executor.runs.snapshots import SNAPSHOT, SnapshotSeals, packed
from openagents_json.catalog.definitions import Definitions
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.snapshot import FORMAT, load
from openagents_json.workflow.core.state import RunState, initial

log = logging.getLogger(__name__)

REDACTED: Final = ev.RunRedacted.__name__

LONG = 1000
"""A run of so many events has a snapshot, and is worth remembering after its end."""

ENDED = 16
"""How many long runs are remembered after their end."""

KEEP_SECONDS = 86_400


class Session(Struct, frozen=True, gc=False):
    """A folded run: `version` and `commit` say where the fold ended; `key` is there when it is encrypted.

    `began_ms` is the time of its first event, in ms since 1970; 0 where that was not seen.
    """

    run: str
    version: int
    commit: str
    state: RunState
    plan: Plan
    key: RunKey | None = None
    began_ms: int = 0

    def folded(
        self, happened: Iterable[ev.Event], version: int, commit: str
    ) -> Session:
        """Return the session after more events."""
        return Session(
            run=self.run,
            version=version,
            commit=commit,
            state=evolve_all(self.state, happened),
            plan=self.plan,
            key=self.key,
            began_ms=self.began_ms,
        )


class SessionCache:
    """A bounded cache of sessions, safe for threads."""

    def __init__(
        self,
        store: RunStore,
        definitions: Definitions,
        payloads: Payloads,
        seals: SnapshotSeals,
        *,
        capacity: int = 4096,
    ) -> None:
        self._store = store
        self._definitions = definitions
        self.payloads = payloads
        self._seals = seals
        self.keyring = payloads.keyring
        self._capacity = capacity
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = ForkSafeLock()

    def get(self, run: str) -> Session | None:
        """Return what is cached."""
        # Without the lock: one look-up is atomic, and each step makes several.
        return self._sessions.get(run)

    def put(self, session: Session) -> None:
        """Remember a session, unless a newer one is newest; closed runs are forgotten, but for long ones."""
        with self._lock:
            if session.state.closed and session.version < LONG:
                self._sessions.pop(session.run, None)
                return
            newest = self._sessions.get(session.run)
            if newest is None or newest.version <= session.version:
                self._sessions[session.run] = session
                self._sessions.move_to_end(session.run)
                if len(self._sessions) > self._capacity:
                    self._sessions.popitem(last=False)
            if session.state.closed:
                self._forget_ended()

    def _forget_ended(self) -> None:
        """Keep but a few of the long runs that have ended: they are large, and somebody may never ask again."""
        ended = [run for run, session in self._sessions.items() if session.state.closed]
        for run in ended[:-ENDED]:
            del self._sessions[run]

    def drop(self, run: str) -> None:
        """Forget a run: the log has gone back behind what was folded."""
        with self._lock:
            self._sessions.pop(run, None)

    def load(self, run: str) -> Session:
        """Read and fold a run up to its present end.

        Raises RunNotFound and BrokenHistory.
        """
        return self.load_all([run])[0]

    def load_all(self, runs: Sequence[str]) -> list[Session]:
        """Read and fold several runs, in one round trip where their definitions are known.

        Raises RunNotFound and BrokenHistory.
        """
        sessions = self._followed(runs)
        fresh = [run for run in runs if run not in sessions]
        begun = self._store.begin_reading(fresh, LONG, keys=bool(self.keyring.ids))
        for run, (record, snapshot, first) in zip(fresh, begun, strict=True):
            key = self.keyring.unwrapped(run, record) if record is not None else None
            sessions[run] = self._read(run, snapshot, first, key)
        return [sessions[run] for run in runs]

    def _followed(self, runs: Iterable[str]) -> dict[str, Session]:
        """Return the runs that are cached, up to their present ends."""
        cached: dict[str, Session] = {}
        for run in runs:
            session = self.get(run)
            if session is not None:
                cached[run] = session
        if not cached:
            return {}
        # From the last event of each on, which shows whether the log still has it.
        ends = [(run, session.version - 1) for run, session in cached.items()]
        sessions = {}
        for run, tail in zip(cached, self._store.read(ends), strict=True):
            sessions[run] = self.extend(run, cached[run], tail)
        return sessions

    def _read(
        self,
        run: str,
        snapshot: bytes | None,
        first: Sequence[Recorded],
        key: RunKey | None,
    ) -> Session:
        """Fold a run from its beginning, or from a snapshot when it is long."""
        if len(first) < LONG:
            return self.extend(run, None, first)
        thawed = self._thawed(run, snapshot, key) if snapshot is not None else None
        if thawed is not None:
            session = replace(thawed, began_ms=first[0].time_ms)
        else:
            session = self.extend(run, None, first)
        [tail] = self._store.read([(run, session.version - 1)])
        session = self.extend(run, session, tail)
        if self._is_due(snapshot, thawed, session):
            self._freeze(session)
        return session

    def _is_due(
        self, snapshot: bytes | None, thawed: Session | None, session: Session
    ) -> bool:
        """Tell whether a snapshot is worth keeping: processes that do not believe each other leave theirs alone."""
        if thawed is not None:
            return session.version - thawed.version >= LONG
        return snapshot is None or session.key is not None or self._seals.shared

    def _thawed(self, run: str, snapshot: bytes, key: RunKey | None) -> Session | None:
        """Return the session of a snapshot, None when it is not to be believed or of another shape.

        Whether it holds, `extend` finds out.
        """
        try:
            plain = self._plain_snapshot(run, snapshot, key)
            if plain is None:
                return None
            form, version, commit, data = codec.decode(zlib.decompress(plain))
            if form != FORMAT:
                return None
            state = load(data)
        except (DamagedPayload, zlib.error, ValueError, TypeError) as error:
            fault = "run %s: its snapshot cannot be read, its log is folded instead: %s"
            log.warning(fault, run, error)
            return None
        plan = self._definitions.plan(state.definition)
        return Session(
            run=run, version=version, commit=commit, state=state, plan=plan, key=key
        )

    def _plain_snapshot(
        self, run: str, snapshot: bytes, key: RunKey | None
    ) -> bytes | None:
        """Return what a snapshot holds, None for one that another process has kept, or somebody has put there."""
        if key is None:
            return self._seals.opened(run, snapshot)
        return key.decrypt(snapshot, SNAPSHOT)

    def _freeze(self, session: Session) -> None:
        """Keep the state of a long run beside its log, so that the next one to load it need not fold it all."""
        plain = packed(session.version, session.commit, session.state)
        if session.key is None:
            snapshot = self._seals.sealed(session.run, plain)
        else:
            snapshot = session.key.encrypt(plain, SNAPSHOT)
        self._store.put_snapshot(session.run, session.commit, snapshot, KEEP_SECONDS)

    def follow(
        self, session: Session, version: int, missed: Sequence[Recorded]
    ) -> Session:
        """Return the session after a commit that met other history, of which what was missed may have come along.

        Replies hold some hundred events at most; where more were missed, those are read. Only a history that is not
        the one of the session is read anew from its beginning.
        Raises RunNotFound and BrokenHistory.
        """
        if missed and len(missed) == version - session.version:
            return self.extend(session.run, session, missed)
        # From the last event of the session on, which shows whether the log still has it.
        [tail] = self._store.read([(session.run, session.version - 1)])
        return self.extend(session.run, session, tail)

    def extend(
        self, run: str, session: Session | None, tail: Sequence[Recorded]
    ) -> Session:
        """Fold stored events onto a session, or onto nothing, and remember the result.

        A tail that holds the event where the session ended shows whether that is still the same history; if it is not,
        or nothing is left, the log has lost its tail, and the run is read again; so it is when payloads were erased
        that the session still holds. Raises RunNotFound, BrokenHistory and EncryptionError.
        """
        if session is None:
            return self._folded(run, tail)
        has_nothing_new = not tail or any(_is_other(item, session) for item in tail)
        if has_nothing_new:
            self.drop(run)
            return self._folded(run, self._store.read([(run, 0)])[0])
        tail = [item for item in tail if item.version > session.version]
        if not tail:
            return session
        is_redacted = any(item.type == REDACTED for item in tail)
        if is_redacted:
            # What was folded before is not on the log any more.
            return self._folded(run, self._store.read([(run, 0)])[0])
        _check_versions(run, session.version, tail)
        happened, _ = self.payloads.opened(run, tail, session.key)
        return self._remembered(session, happened, tail[-1])

    def _folded(self, run: str, history: Sequence[Recorded]) -> Session:
        """Fold a run from its first event on, and remember the result.

        Raises RunNotFound, BrokenHistory and EncryptionError.
        """
        if not history:
            raise RunNotFound(run)
        _check_versions(run, 0, history)
        happened, key = self.payloads.opened(run, history, None)
        session = self._first(run, happened, key, history[0].time_ms)
        return self._remembered(session, happened, history[-1])

    def _remembered(
        self, before: Session, happened: Iterable[ev.Event], last: Recorded
    ) -> Session:
        folded = before.folded(happened, last.version, last.commit)
        session = self._as_pinned(folded)
        self.put(session)
        return session

    def _as_pinned(self, session: Session) -> Session:
        """Return the session with the plan that its run goes by, which changes when it is opened again with another."""
        if session.plan.hash == session.state.definition:
            return session
        plan = self._definitions.plan(session.state.definition)
        return replace(session, plan=plan)

    def _first(
        self,
        run: str,
        happened: Sequence[ev.Event],
        key: RunKey | None,
        began_ms: int,
    ) -> Session:
        begin = happened[0]
        if not isinstance(begin, ev.RunStarted):
            raise BrokenHistory(run, 1, 1)
        plan = self._definitions.plan(begin.definition)
        return Session(
            run=run,
            version=0,
            commit="",
            state=initial(),
            plan=plan,
            key=key,
            began_ms=began_ms,
        )


def _check_versions(run: str, version: int, tail: Sequence[Recorded]) -> None:
    """Refuse events that do not follow each other behind a version; raises BrokenHistory."""
    for item in tail:
        version += 1
        if item.version != version:
            raise BrokenHistory(run, version, item.version)


def _is_other(item: Recorded, session: Session) -> bool:
    """Tell whether an event shows that a session is not what its log says."""
    erased = item.type == REDACTED and item.version > session.version
    return erased or (item.version == session.version and item.commit != session.commit)
