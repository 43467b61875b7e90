"""Between parents and their child runs: two logs, perhaps in two partitions, and messages that may be lost or doubled.

Nothing here is remembered but in the two logs. A parent's due member `c` has somebody look again and again whether its
child is there, paused or cancelled as the parent wants it; a closed child's member `p` has somebody tell its parent,
until the parent has taken it in. Both are ordinary guarded commits, so it does not matter how often they happen.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from executor.coordination.starts import RunStarter
from executor.errors import (
    ConcurrencyLimitReached,
    PayloadRefused,
    RunExists,
    RunNotFound,
)
from executor.runs.beginnings import Start
from executor.runs.handler import Handler
from executor.runs.repository import Session
from openagents_json.catalog.errors import UnknownWorkflow
from openagents_json.catalog.workflows import Workflows
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.concurrency_owner import parent_of_child
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.core.usage import on_log
from openagents_json.workflow.errors import InvalidInputs
from openagents_json.workflow.types import Json

log = logging.getLogger(__name__)

PARENT_PAUSED = "its parent is paused"
UNWANTED = "its parent does not need it any more"


class Children:
    """Looks after child runs; safe for threads."""

    def __init__(
        self, handler: Handler, starter: RunStarter, workflows: Workflows
    ) -> None:
        self._handler = handler
        self._starter = starter
        self._workflows = workflows

    def look_after(self, run: str, step: str, *, actor: str) -> None:
        """Make the child run of a step what its parent wants it to be.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        step_state = session.state.steps.get(step)
        if step_state is None or step_state.status not in (st.ACTIVE, st.COMPLETED):
            self._settled(run, step, actor)
            return
        detached = step_state.status == st.COMPLETED
        try:
            child = self._handler.sessions.load(step_state.child)
        except RunNotFound:
            if session.state.status == st.PAUSED:
                return  # looked at again when it goes on
            # First the child, then the due member goes: a crash in between looks again, and finds the child.
            self._start(session, step, step_state, actor)
            if detached:
                self._settled(run, step, actor)
            return
        if detached:
            self._settled(run, step, actor)
        elif child.state.closed:
            self.tell_parent(child.run, actor=actor)
        else:
            self._follow_pause(session, child, actor)

    def cancel(self, run: str, child: str, *, actor: str) -> None:
        """Cancel a child run that its parent does not need any more; one that is not there never will be.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        try:
            self._handler.sessions.load(child)
            self._send(child, cmd.CancelRun(UNWANTED), actor)
        except RunNotFound:
            # Somebody may be about to start it, who has read of the step before it ended: the id is taken by a run
            # that is cancelled at once, and whoever comes second finds it taken.
            steps = session.state.steps.items()
            callers = [path for path, step in steps if step.child == child]
            if callers:
                self._take_id(session, callers[0], child, actor)
        # Only when the child has heard of it: a crash before that sends it once more.
        self._drop(run, DueKey(DueKind.CANCEL_CHILD, run, child), actor)

    def _drop(self, run: str, member: DueKey, actor: str) -> None:
        """Take away a due member, in a commit of the run that it is of."""
        self._handler.handle(run, cmd.Advance(), actor=actor, drop=[member])

    def _take_id(self, session: Session, step: str, child: str, actor: str) -> None:
        try:
            plan = self._plan(session, step, child)
            start = Start(
                run=child,
                plan=plan,
                inputs={},
                commit_id=_commit(child),
                labels=None,
                parent=_parent(session, step),
                cancelled=UNWANTED,
            )
            handled = self._starter.start(start, actor=actor)
        except (UnknownWorkflow, RunExists) as error:
            log.info("run %s: %s", child, error)
            return
        if not handled.session.state.closed:
            self._send(child, cmd.CancelRun(UNWANTED), actor)

    def _settled(self, run: str, step: str, actor: str) -> None:
        """Look no more: in a commit, so that a child that was started meanwhile is not forgotten."""
        session = self._handler.sessions.load(run)
        step_state = session.state.steps.get(step)
        if step_state is None or step_state.status not in st.OPEN_STEP:
            self._drop(run, DueKey(DueKind.CHILD, run, step), actor)

    def _follow_pause(self, session: Session, child: Session, actor: str) -> None:
        status = child.state.status
        if session.state.status == st.PAUSED:
            if status == st.RUNNING:
                self._send(child.run, cmd.PauseRun(PARENT_PAUSED), actor)
            return
        # One that somebody else has paused stays so until they resume it.
        if status == st.PAUSED and child.state.reason == PARENT_PAUSED:
            self._send(child.run, cmd.ResumeRun("its parent goes on"), actor)

    def _send(self, run: str, command: cmd.Command, actor: str) -> None:
        try:
            self._handler.handle(run, command, actor=actor)
        except cmd.Rejected as error:
            log.info("run %s: %s", run, error)

    def _start(
        self, session: Session, step: str, step_state: st.StepState, actor: str
    ) -> None:
        child = step_state.child
        try:
            plan = self._plan(session, step, child)
            inputs = check_inputs(plan, step_state.inputs)
            parent = _parent(session, step)
            start = Start(
                run=child,
                plan=plan,
                inputs=inputs,
                commit_id=_commit(child),
                labels=None,
                parent=parent,
            )
            self._starter.start(start, actor=actor)
        except ConcurrencyLimitReached as error:
            # The child is there and has failed: its parent hears that from the child.
            log.info("%s", error)
        except (InvalidInputs, UnknownWorkflow, PayloadRefused, RunExists) as error:
            described: Mapping[str, Json] = {
                "type": type(error).__name__,
                "message": f"step {step}: {error}",
                "retryable": False,
            }
            command = cmd.CloseChild(step, child, st.FAILED, error=described)
            self._handler.handle(session.run, command, actor=actor)

    def _plan(self, session: Session, step: str, child: str) -> Plan:
        spec = session.plan.of(step).child
        reference = spec.workflow if spec else ""
        if reference == session.plan.id:
            return session.plan
        return self._workflows.resolve(reference, child)

    def tell_parent(self, run: str, *, actor: str) -> None:
        """Tell the parent of a closed run how it ended.

        Raises RunNotFound.
        """
        session = self._handler.sessions.load(run)
        state = session.state
        if not state.closed:
            return
        parent = state.parent or {}
        parent_run = str(parent.get("run"))
        step = str(parent.get("step"))
        closed = cmd.CloseChild(
            step=step,
            child=run,
            status=state.status,
            output=state.output,
            error=state.error,
            usage=on_log(state.used) or None,
        )
        try:
            self._handler.handle(parent_run, closed, actor=actor, cause=session.commit)
        except (RunNotFound, cmd.Rejected) as error:
            log.info("run %s has nobody to tell: %s", run, error)
        # First the parent, then the due member goes: a crash in between tells it once more, which changes nothing.
        self._drop(run, DueKey(DueKind.PARENT, run), actor)


def _commit(child: str) -> str:
    """Return the commit id of a child's start: whoever starts it, and however often, it begins once."""
    return f"s{child.partition('-')[2][:16]}"


def _parent(session: Session, step: str) -> dict[str, Json]:
    spec = session.plan.of(step).child
    return parent_of_child(
        session.state, step, detached=spec is not None and spec.detached
    )
