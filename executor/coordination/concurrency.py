"""Limits across runs: who waits at a lock, a rate or a workflow's own limit is let in, and gives back what it held.

The members are run and step, not processes, so nothing is lost with a process: what ends gives back by the due member
`u`, which stays until it is done, and who waits asks again by its member `g`. A holder whose run is over or gone, which
only a store that lost its tail can have, is put out by the next one in line.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Final

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

NO_PAST: Final[tuple[int, int, tuple[Sequence[Json], ...]]] = (0, 0, ())
"""Attempts, children and gates of a step that was never begun anew."""


class ConcurrencyLimiter:
    """Lets steps and runs through their gates; safe for threads."""

    def __init__(self, handler: Handler, gates: Semaphores) -> None:
        self._handler = handler
        self._gates = gates

    def let_in(self, run: str, step: str, *, actor: str) -> bool:
        """Let a step, or a queued run (""), through its gates if they are open; False while it has to wait.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        if not _waits(session.state, step):
            # In a commit, so that who was put before its gates meanwhile is not forgotten.
            self._drop(run, DueKey(DueKind.GATES, run, step), actor)
            return True
        step_state = session.state.steps.get(step)
        gates = step_state.waits if step_state else session.state.queue
        # First the gates, then the event: a crash in between asks again by the due member, and a gate that is held
        # answers with the fence that it gave before. An admission without its gates would let in too many.
        fences: dict[str, int] = {}
        for gate in gates:
            passed = self._pass(session, step, gate, fences, actor)
            if passed is not None:
                return passed
        admit = cmd.Admit(step, fences or None)
        handled = self._handler.handle(run, admit, actor=actor)
        was_withdrawn = not handled.changed and not _holds(handled.session.state, step)
        if was_withdrawn:
            # What it held was taken after its end, of which no due member may remind anybody.
            for name in _locks(gates):
                self._release(name, f"{run}|{step}", handled.session.version, actor)
        return True

    def _drop(self, run: str, member: DueKey, actor: str) -> None:
        """Take away a due member, in a commit of the run that it is of."""
        self._handler.handle(run, cmd.Advance(), actor=actor, drop=[member])

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
        name = f"{kind}:{key}"
        step_state = session.state.steps.get(step)
        if kind == "debounce":
            if self._newest(session, name, per_ms, actor):
                return None
            return True
        if kind == "rate":
            turn = _turn(step, step_state)
            return self._token(session.run, step, name, turn, limit, per_ms)
        is_held = step_state is not None and key in (step_state.gates or {})
        if is_held:
            return None  # since an attempt before, across which a lock is kept
        member = f"{session.run}|{step}"
        priority = session.plan.of(step).priority if step else 0
        fence, others = self._gates.take(name, member, limit, priority, session.version)
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
            # The first in line keeps its turn though it does not come, so everybody behind it would wait for it.
            log.info(
                "%s stands in the line of %s, and has no use for a token any more",
                token.overdue,
                name,
            )
            self._leave_line(name, token.overdue, limit, per_ms)
            token = self._gates.rate(name, member, limit, per_ms)
        self._tell(token.early)
        if token.overdue:
            self._tell([token.overdue])  # it is coming, and may have been forgotten
        if not token.wait_ms:
            return None
        still_waits = self._again(run, step, token.wait_ms)
        if not still_waits:
            # The step was withdrawn, perhaps before it came into the line: then nobody else takes it out of there.
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
        step_state = state.steps.get(step)
        if step_state is None or step_state.status != st.GATED:
            return True
        return _turn(step, step_state) != turn

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
        for member, version in gone.items():
            log.info("%s is held by %s, which has no use for it any more", name, member)
            self._release(name, member, version, actor)
        if gone:
            return False  # releasing has let in who comes next, perhaps this one
        if policy == "reject":
            self._gates.leave(name, f"{session.run}|", session.version)
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
        for member in others:
            run = member.partition("|")[0]
            if run not in above:
                self._cancel(run, "a newer run takes its place", actor)
                return

    def _above(self, session: Session) -> set[str]:
        """Return the runs above a run, as far as they are there."""
        above: set[str] = set()
        while session.state.parent is not None:
            parent = str(session.state.parent["run"])
            above.add(parent)
            try:
                session = self._handler.sessions.load(parent)
            except RunUnreadable:
                break
        return above

    def _cancel(self, run: str, reason: str, actor: str) -> None:
        try:
            self._handler.handle(run, cmd.CancelRun(reason), actor=actor)
        except (RunUnreadable, cmd.Rejected) as error:
            log.info("run %s: %s", run, error)

    def _gone(self, members: Iterable[str]) -> dict[str, int | None]:
        """Return the members that are closed or not there, with the version that their run has, None without a run."""
        gone: dict[str, int | None] = {}
        open_members: list[str] = []
        names = list(members)
        heads = self._handler.store.heads([_run_of(member) for member in names])
        for member, head in zip(names, heads, strict=True):
            if head is None:
                gone[member] = None
            elif head.status in CLOSED_RUN:
                gone[member] = head.version
            else:
                open_members.append(member)
        # Only those whose runs are open are loaded: a status costs little, a state its whole history.
        try:
            sessions = self._handler.sessions.load_all([*map(_run_of, open_members)])
        except RunUnreadable:
            return gone  # the next look will tell of the others
        for member, session in zip(open_members, sessions, strict=True):
            step = member.partition("|")[2]
            if not _holds(session.state, step):
                gone[member] = session.version
        return gone

    def _again(self, run: str, step: str, wait_ms: int) -> bool:
        """Ask again when the token is there; False when the member is not there any more, as it goes with the step."""
        store = self._handler.store
        at = store.now_ms() + wait_ms
        is_there = store.postpone(DueKey(DueKind.GATES, run, step), at)
        self._handler.expect(run, wait_ms)
        return is_there

    def give_back(self, run: str, step: str, *, actor: str) -> None:
        """Give back what a step or a run held, and let in who comes next.

        Raises RunNotFound.
        """
        # First the gates, then the due member: a crash in between gives back again, which changes nothing. The other
        # way around, the place would be taken until the next in line finds that its holder is gone.
        session = self._handler.sessions.load(run)
        state = session.state
        for name in _locks_left(state, step):
            self._release(name, f"{run}|{step}", session.version, actor)
        for turn, (kind, key, limit, per_ms, *_) in _lines_left(state, step):
            self._leave_line(f"{kind}:{key}", f"{run}|{turn}", limit, per_ms)
        self._drop(run, DueKey(DueKind.GIVE_BACK, run, step), actor)

    def _release(self, name: str, member: str, version: int | None, actor: str) -> None:
        """Give back what a member held at a version of its run, and let in who comes next."""
        for follower in self._leave(name, member, version):
            other, _, step = follower.partition("|")
            try:
                self.let_in(other, step, actor=actor)
            except RunNotFound:
                # It would stand in front of everybody for good. Who comes behind it asks again by its own due member.
                self._gates.leave(name, follower)
            except (RunUnreadable, cmd.Rejected) as error:
                log.error("run %s: step %s cannot be let in: %s", other, step, error)

    def _leave(self, name: str, member: str, version: int | None) -> tuple[str, ...]:
        """Leave a lock as of a version of the member's run, and return who may come in."""
        while True:
            left = self._gates.leave(name, member, version)
            if not left.later:
                return left.followers
            # The run was opened again after it was looked at, and let in anew: that admission is given back by its own
            # end. But a run that is shorter than it was has lost its tail, and that admission with it.
            try:
                if self._handler.sessions.load(_run_of(member)).version >= left.later:
                    return ()
            except RunNotFound:
                log.info("run %s is not there any more", _run_of(member))
            except RunUnreadable:
                return ()  # the next look will tell
            version = left.later

    def arrive(self, session: Session, *, actor: str) -> None:
        """Bring a run that was just started to its gates."""
        is_debounced = False
        for kind, key, _, per_ms, *_ in session.state.queue:
            if kind == "debounce":
                is_debounced = True
                self._newest(session, f"{kind}:{key}", per_ms, actor)
        if not is_debounced:  # else it is let in when its time is over
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
            self._supersede(_run_of(before), actor)
        return newest

    def _supersede(self, run: str, actor: str) -> None:
        """Cancel a run that waits for its start; one that has begun goes on."""
        try:
            state = self._handler.sessions.load(run).state
        except RunUnreadable as error:
            log.info("run %s: %s", run, error)
            return
        if state.status == st.QUEUED:
            self._cancel(run, NEWER_START, actor)


def _run_of(member: str) -> str:
    return member.partition("|")[0]


def _waits(state: st.RunState, step: str) -> bool:
    """Tell whether a step, or a run (""), stands before its gates."""
    if not step:
        return state.status == st.QUEUED
    step_state = state.steps.get(step)
    return step_state is not None and step_state.status == st.GATED


def _holds(state: st.RunState, step: str) -> bool:
    """Tell whether a step, or a run (""), can hold a lock or stand in its line."""
    if not step:
        return not state.closed
    step_state = state.steps.get(step)
    return step_state is not None and step_state.status in st.OPEN_STEP


def _locks_left(state: st.RunState, step: str) -> list[str]:
    """Return the locks that a step or a run ("") has no use for any more, also those from before it was begun anew."""
    if not step:
        return _locks(state.queue)
    step_state = state.steps.get(step)
    own = _locks(step_state.waits) if step_state is not None else []
    _, _, past_gates = state.past.get(step, NO_PAST)
    past = [name for name in _locks(past_gates) if name not in own]
    if _holds(state, step):
        return past
    return [*past, *own]


def _lines_left(state: st.RunState, step: str) -> list[tuple[str, Sequence[Json]]]:
    """Return the lines for tokens in which a step may still stand without a use for them: its turn, and the gate."""
    attempt, _, past_gates = state.past.get(step, NO_PAST)
    past_turn = f"{step}#{attempt}"
    lines = [(past_turn, gate) for gate in _rates(past_gates)]
    step_state = state.steps.get(step)
    if step_state is None:
        return lines
    turn = _turn(step, step_state)
    lines += [(turn, gate) for gate in _rates(step_state.waits)]
    if step_state.status != st.GATED:
        return lines
    return [(other, gate) for other, gate in lines if other != turn]


def _turn(step: str, step_state: st.StepState | None) -> str:
    """Name a step in the line for a token, one for each attempt."""
    attempt = step_state.attempt if step_state else 0
    return f"{step}#{attempt}"


def _rates(waits: Iterable[Sequence[Json]]) -> list[Sequence[Json]]:
    return [gate for gate in waits if gate[0] == "rate"]


def _locks(waits: Iterable[Sequence[Json]]) -> list[str]:
    return [f"{kind}:{key}" for kind, key, *_ in waits if kind in LOCKS]
