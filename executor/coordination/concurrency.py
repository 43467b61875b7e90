"""Limits across runs: who waits at a lock, a rate or a workflow's own limit is let in, and gives back what it held.

The members are run and step, not processes, so nothing is lost with a process: what ends gives back by the due member
`u`, which stays until it is done, and who waits asks again by its member `g`. A holder whose run is over or gone, which
only a store that lost its tail can have, is put out by the next one in line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from eventstore.redis.coordination.semaphores import Semaphores
from executor.errors import RunNotFound
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.errors import RunUnreadable
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

LOCKS = frozenset({"mutex", "concurrency"})

NEWER_START = "a newer start took its place"


class ConcurrencyLimiter:
    """Lets steps and runs through their gates; safe for threads."""

    def __init__(self, handler: Handler, gates: Semaphores) -> None:
        self._handler, self._gates = handler, gates

    def let_in(self, run: str, step: str, *, actor: str) -> bool:
        """Let a step, or a queued run (""), through its gates if they are open; False while it has to wait.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        known = session.state.steps.get(step)
        waits = (
            session.state.status == st.QUEUED
            if not step
            else known is not None and known.status == st.GATED
        )
        if not waits:
            self._handler.handle(
                run, cmd.Advance(), actor=actor, drop=[DueKey(DueKind.GATES, run, step)]
            )
            return True
        fences: dict[str, int] = {}
        for gate in known.waits if known else session.state.queue:
            passed = self._pass(session, step, gate, fences, actor)
            if passed is not None:
                return passed
        handled = self._handler.handle(
            run, cmd.Admit(step, fences or None), actor=actor
        )
        if not handled.changed and not _holds(
            handled.session, step
        ):  # it was withdrawn meanwhile
            for name in _locks(known.waits if known else session.state.queue):
                self._release(name, f"{run}|{step}", actor)
        return True

    def _pass(
        self,
        session: Session,
        step: str,
        gate: Sequence[Json],
        fences: dict[str, int],
        actor: str,
    ) -> bool | None:
        """Pass one gate, with the fence of a lock; None when that was possible, else what comes of it."""
        kind, key, limit, per_ms, policy = gate
        known, name, member = (
            session.state.steps.get(step),
            f"{kind}:{key}",
            f"{session.run}|{step}",
        )
        if kind == "debounce":
            return None if self._newest(session, name, per_ms, actor) else True
        if kind == "rate":
            return self._token(
                session.run, step, name, _turn(step, known), limit, per_ms
            )
        if known is not None and key in (known.gates or {}):
            return None
        priority = session.plan.of(step).priority if step else 0
        fence, others = self._gates.take(name, member, limit, priority)
        if not fence:
            return self._refused(session, name, key, limit, policy, others, actor)
        fences[key] = fence
        return None

    def _token(
        self, run: str, step: str, name: str, turn: str, limit: int, per_ms: int
    ) -> bool | None:
        """Take a token of a rate, None when that was possible; whoever may come earlier because of it is told."""
        member = f"{run}|{turn}"
        token = self._gates.rate(name, member, limit, per_ms)
        while token.overdue and self._is_not_coming(token.overdue):
            log.info(
                "%s stands in the line of %s, and has no use for a token any more",
                token.overdue,
                name,
            )
            self._leave_line(name, token.overdue, limit, per_ms)
            token = self._gates.rate(name, member, limit, per_ms)
        self._tell([*token.early, token.overdue] if token.overdue else token.early)
        if not token.wait_ms:
            return None
        if not self._again(
            run, step, token.wait_ms
        ):  # the step was withdrawn, perhaps before it came into the line
            self._leave_line(name, member, limit, per_ms)
        return False

    def _leave_line(self, name: str, member: str, limit: int, per_ms: int) -> None:
        self._tell(self._gates.drop(name, member, limit, per_ms))

    def _tell(self, early: Iterable[str]) -> None:
        """Have those who may come earlier than they were told ask again now."""
        for member in early:
            run, _, turn = member.partition("|")
            self._again(run, turn.rpartition("#")[0], 0)

    def _is_not_coming(self, member: str) -> bool:
        """Tell whether a member of a line has no use for a token any more."""
        run, _, turn = member.partition("|")
        try:
            state = self._handler.sessions.load(run).state
        except RunNotFound:
            return True
        except RunUnreadable:
            return False
        step = turn.rpartition("#")[0]
        known = state.steps.get(step)
        return known is None or known.status != st.GATED or _turn(step, known) != turn

    def _refused(
        self,
        session: Session,
        name: str,
        key: str,
        limit: int,
        policy: str,
        others: Sequence[str],
        actor: str,
    ) -> bool:
        gone = self._gone(others)
        for member in gone:
            log.info("%s is held by %s, which has no use for it any more", name, member)
            self._release(name, member, actor)
        if gone:
            return False
        if policy == "reject":
            self._gates.leave(name, f"{session.run}|")
            message = f"{limit} runs with the key {key!r} are under way, as many as the workflow allows"
            error = {
                "type": "ConcurrencyLimit",
                "message": message,
                "retryable": True,
                "key": key,
                "limit": limit,
            }
            self._handler.handle(session.run, cmd.RefuseRun(error), actor=actor)
            return True
        if policy == "cancel_oldest":
            self._cancel_oldest(session, others, actor)
        return False

    def _cancel_oldest(
        self, session: Session, others: Sequence[str], actor: str
    ) -> None:
        """Cancel the oldest run that stands before this one, but none above it: who started it would be cancelled."""
        above = self._above(session)
        runs = [
            run for member in others if (run := member.partition("|")[0]) not in above
        ]
        if runs:
            self._cancel(runs[0], actor)

    def _above(self, session: Session) -> set[str]:
        """Return the runs above a run, as far as they are there."""
        above: set[str] = set()
        while session.state.parent is not None:
            above.add(str(session.state.parent["run"]))
            try:
                session = self._handler.sessions.load(str(session.state.parent["run"]))
            except RunUnreadable:
                break
        return above

    def _cancel(self, run: str, actor: str) -> None:
        try:
            self._handler.handle(
                run, cmd.CancelRun("a newer run takes its place"), actor=actor
            )
        except (RunUnreadable, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)

    def _gone(self, members: Iterable[str]) -> list[str]:
        """Return the members that are closed or not there."""
        names = list(members)
        statuses = self._handler.store.statuses(
            [member.partition("|")[0] for member in names]
        )
        gone = [
            member
            for member, status in zip(names, statuses, strict=True)
            if status in CLOSED_RUN or not status
        ]
        rest = [member.partition("|") for member in names if member not in gone]
        try:
            sessions = self._handler.sessions.load_all([run for run, _, _ in rest])
        except RunUnreadable:  # the next look will tell
            return gone
        left = zip(rest, sessions, strict=True)
        return gone + [
            f"{run}|{step}"
            for (run, _, step), session in left
            if not _holds(session, step)
        ]

    def _again(self, run: str, step: str, wait_ms: int) -> bool:
        """Ask again when the token is there; False when the member is not there any more, as it goes with the step."""
        store = self._handler.store
        is_there = store.postpone(
            DueKey(DueKind.GATES, run, step), store.now_ms() + wait_ms
        )
        self._handler.expect(run, wait_ms)
        return is_there

    def give_back(self, run: str, step: str, *, actor: str) -> None:
        """Return back what a step or a run held, and let in who comes next.

        Raises RunNotFound.
        """
        state = self._handler.sessions.load(run).state
        for name in _left(state, step):
            self._release(name, f"{run}|{step}", actor)
        for turn, (kind, key, limit, per_ms, *_) in _lines_left(state, step):
            self._leave_line(f"{kind}:{key}", f"{run}|{turn}", limit, per_ms)
        self._handler.handle(
            run, cmd.Advance(), actor=actor, drop=[DueKey(DueKind.GIVE_BACK, run, step)]
        )

    def _release(self, name: str, member: str, actor: str) -> None:
        for follower in self._gates.leave(name, member):
            other, _, step = follower.partition("|")
            try:
                self.let_in(other, step, actor=actor)
            except RunNotFound:
                self._gates.leave(name, follower)
            except (RunUnreadable, cmd.Rejected) as error:
                log.error("run %s: step %s cannot be let in: %s", other, step, error)

    def arrive(self, session: Session, *, actor: str) -> None:
        """Bring a run that was just started to its gates."""
        for kind, key, _, per_ms, *_ in session.state.queue:
            if kind == "debounce":
                self._newest(session, f"{kind}:{key}", per_ms, actor)
        if not any(gate[0] == "debounce" for gate in session.state.queue):
            self.let_in(session.run, "", actor=actor)

    def _newest(self, session: Session, name: str, per_ms: int, actor: str) -> bool:
        """Take the place of the run that was started before, unless a newer one has it; tells whether it is the newest.

        The times of their starts decide, not who comes first: a starter may have died before it came here.
        """
        started_ms = self._handler.store.first(session.run).time_ms
        newest, before = self._gates.newest(name, f"{session.run}|", started_ms, per_ms)
        if not newest:
            self._handler.handle(session.run, cmd.CancelRun(NEWER_START), actor=actor)
        elif before:
            self._supersede(before.partition("|")[0], actor)
        return newest

    def _supersede(self, run: str, actor: str) -> None:
        """Cancel a run that waits for its start; one that has begun goes on."""
        try:
            if self._handler.sessions.load(run).state.status == st.QUEUED:
                self._handler.handle(run, cmd.CancelRun(NEWER_START), actor=actor)
        except (RunUnreadable, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)


def _holds(session: Session, step: str) -> bool:
    """Tell whether a step, or a run (""), can hold a lock or stand in its line."""
    known = session.state.steps.get(step)
    return (
        not session.state.closed
        if not step
        else known is not None and known.status in st.OPEN_STEP
    )


def _left(state: st.RunState, step: str) -> list[str]:
    """Return the locks that a step or a run ("") has no use for any more, also those from before it was begun anew."""
    if not step:
        return _locks(state.queue)
    known, before = state.steps.get(step), _locks(state.past.get(step, (0, 0, ()))[2])
    own = _locks(known.waits) if known is not None else []
    in_use = known is not None and known.status in st.OPEN_STEP
    return [name for name in before if name not in own] + ([] if in_use else own)


def _lines_left(state: st.RunState, step: str) -> list[tuple[str, Sequence[Json]]]:
    """Return the lines for tokens in which a step may still stand without a use for them: its turn, and the gate."""
    known, (attempt, _, before) = (
        state.steps.get(step),
        state.past.get(step, (0, 0, ())),
    )
    left = [(f"{step}#{attempt}", gate) for gate in before if gate[0] == "rate"]
    if known is None:
        return left
    left += [(_turn(step, known), gate) for gate in known.waits if gate[0] == "rate"]
    return [
        (turn, gate)
        for turn, gate in left
        if known.status != st.GATED or turn != _turn(step, known)
    ]


def _turn(step: str, known: st.StepState | None) -> str:
    """Name a step in the line for a token, one for each attempt."""
    return f"{step}#{known.attempt if known else 0}"


def _locks(waits: Iterable[Sequence[Json]]) -> list[str]:
    return [f"{kind}:{key}" for kind, key, *_ in waits if kind in LOCKS]
