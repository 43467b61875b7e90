"""Limits across runs: who waits at a lock, a rate or a workflow's own limit is let in, and gives back what it held.

The members are run and step, not processes, so nothing is lost with a process: what ends gives back by the due member
`u`, which stays until it is done, and who waits asks again by its member `g`. A holder whose run is over or gone, which
only a store that lost its tail can have, is put out by the next one in line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from eventstore.gates import Gates
from eventstore.scripts import essential
from executor.encryption import EncryptionError
from executor.handle import Handler
from executor.sessions import BrokenHistory, RunNotFound, Session
from openagents_json.workflow import commands as cmd
from openagents_json.workflow import state as st
from openagents_json.workflow.events import UnknownEvent
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

LOCKS = frozenset({"mutex", "concurrency"})
CLOSED = frozenset({"completed", "failed", "cancelled"})


class Gatekeeper:
    """Lets steps and runs through their gates; safe for threads."""

    def __init__(self, handler: Handler, gates: Gates) -> None:
        self._handler, self._gates = handler, gates

    def let_in(self, run: str, step: str, *, actor: str) -> bool:
        """Let a step, or a queued run (""), through its gates if they are open; False while it has to wait.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        known = session.state.steps.get(step)
        waits = session.state.status == st.QUEUED if not step else known is not None and known.status == st.GATED
        if not waits:
            self._handler.handle(run, cmd.Advance(), actor=actor, drop=[_member("g", run, step)])
            return True
        fences: dict[str, int] = {}
        for gate in known.waits if known else session.state.queue:
            passed = self._pass(session, step, gate, fences, actor)
            if passed is not None:
                return passed
        handled = self._handler.handle(run, cmd.Admit(step, fences or None), actor=actor)
        if not handled.changed and not _holds(handled.session, step):  # it was withdrawn meanwhile
            for name in _locks(known.waits if known else session.state.queue):
                self._release(name, f"{run}|{step}", actor)
        return True

    def _pass(
        self, session: Session, step: str, gate: Sequence[Json], fences: dict[str, int], actor: str
    ) -> bool | None:
        """Pass one gate, with the fence of a lock; None when that was possible, else what comes of it."""
        kind, key, limit, per_ms, policy = gate
        known, name, member = session.state.steps.get(step), f"{kind}:{key}", f"{session.run}|{step}"
        if kind == "debounce":
            if self._gates.still_newest(name, member):
                return None
            self._handler.handle(session.run, cmd.CancelRun("a newer start took its place"), actor=actor)
            return True
        if kind == "rate":
            wait_ms = self._gates.rate(name, f"{member}#{known.attempt if known else 0}", limit, per_ms)
            if wait_ms:
                self._again(session.run, step, wait_ms)
            return False if wait_ms else None
        if known is not None and key in (known.gates or {}):
            return None
        priority = session.plan.of(step).priority if step else 0
        fence, others = self._gates.take(name, member, limit, priority)
        if not fence:
            return self._refused(session, name, key, limit, policy, others, actor)
        fences[key] = fence
        return None

    def _refused(
        self, session: Session, name: str, key: str, limit: int, policy: str, others: Sequence[str], actor: str
    ) -> bool:
        gone = self._gone(others)
        for member in gone:
            log.warning("%s is held by %s, which is not there any more", name, member)
            self._release(name, member, actor)
        if gone:
            return False
        if policy == "reject":
            self._gates.leave(name, f"{session.run}|")
            message = f"{limit} runs with the key {key!r} are under way, as many as the workflow allows"
            error = {"type": "ConcurrencyLimit", "message": message, "retryable": True, "key": key, "limit": limit}
            self._handler.handle(session.run, cmd.RefuseRun(error), actor=actor)
            return True
        if policy == "cancel_oldest" and others:
            self._cancel(others[0].partition("|")[0], actor)
        return False

    def _cancel(self, run: str, actor: str) -> None:
        try:
            self._handler.handle(run, cmd.CancelRun("a newer run takes its place"), actor=actor)
        except (RunNotFound, EncryptionError, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)

    def _gone(self, members: Iterable[str]) -> list[str]:
        """Give the members that are closed or not there."""
        names = list(members)
        statuses = self._handler.store.statuses([member.partition("|")[0] for member in names])
        gone = [member for member, status in zip(names, statuses, strict=True) if status in CLOSED or not status]
        rest = [member.partition("|") for member in names if member not in gone]
        try:
            sessions = self._handler.sessions.load_all([run for run, _, _ in rest])
        except (RunNotFound, BrokenHistory, UnknownEvent, EncryptionError):  # the next look will tell
            return gone
        left = zip(rest, sessions, strict=True)
        return gone + [f"{run}|{step}" for (run, _, step), session in left if not _holds(session, step)]

    def _again(self, run: str, step: str, wait_ms: int) -> None:
        """Ask again when the token is there; only if the member is still there, as it goes with the step."""
        store = self._handler.store
        at = store.now_ms() + wait_ms
        due = store.keys.due(store.keys.partition_of(run))
        store.call([essential(b"ZADD", due, b"XX", at, _member("g", run, step))])
        self._handler.expect(run, wait_ms)

    def give_back(self, run: str, step: str, *, actor: str) -> None:
        """Give back what a step or a run held, and let in who comes next.

        Raises RunNotFound.
        """
        state = self._handler.sessions.load(run).state
        for name in _left(state, step):
            self._release(name, f"{run}|{step}", actor)
        self._handler.handle(run, cmd.Advance(), actor=actor, drop=[_member("u", run, step)])

    def _release(self, name: str, member: str, actor: str) -> None:
        for follower in self._gates.leave(name, member):
            other, _, step = follower.partition("|")
            try:
                self.let_in(other, step, actor=actor)
            except RunNotFound:
                self._gates.leave(name, follower)
            except (BrokenHistory, UnknownEvent, EncryptionError, cmd.Rejected) as error:
                log.error("run %s: step %s cannot be let in: %s", other, step, error)

    def arrive(self, session: Session, *, actor: str) -> Mapping[str, Json] | None:
        """Bring a run that was just started to its gates; gives the error of one that is refused."""
        for kind, key, *_ in session.state.queue:
            if kind == "debounce":
                before = self._gates.newest(f"{kind}:{key}", f"{session.run}|")
                if before and before != f"{session.run}|":
                    self._supersede(before.partition("|")[0], actor)
        if not any(gate[0] == "debounce" for gate in session.state.queue):
            self.let_in(session.run, "", actor=actor)
        return self._handler.sessions.load(session.run).state.error

    def _supersede(self, run: str, actor: str) -> None:
        """Cancel a run that waits for its start; one that has begun goes on."""
        try:
            if self._handler.sessions.load(run).state.status == st.QUEUED:
                self._handler.handle(run, cmd.CancelRun("a newer start took its place"), actor=actor)
        except (RunNotFound, EncryptionError, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)


def _holds(session: Session, step: str) -> bool:
    """Tell whether a step, or a run (""), can hold a lock or stand in its line."""
    known = session.state.steps.get(step)
    return not session.state.closed if not step else known is not None and known.status in st.OPEN_STEP


def _left(state: st.RunState, step: str) -> list[str]:
    """Give the locks that a step or a run ("") has no use for any more, also those from before it was begun anew."""
    if not step:
        return _locks(state.queue)
    known, before = state.steps.get(step), _locks(state.past.get(step, (0, 0, ()))[2])
    own = _locks(known.waits) if known is not None else []
    in_use = known is not None and known.status in st.OPEN_STEP
    return [name for name in before if name not in own] + ([] if in_use else own)


def _locks(waits: Iterable[Sequence[Json]]) -> list[str]:
    return [f"{kind}:{key}" for kind, key, *_ in waits if kind in LOCKS]


def _member(kind: str, run: str, step: str) -> str:
    return f"{kind}|{run}|{step}" if step else f"{kind}|{run}"
