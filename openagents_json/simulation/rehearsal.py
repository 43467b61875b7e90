"""A run goes on in memory: its steps run in the sandbox, are mocked, or are refused; nothing else happens."""

from __future__ import annotations

from collections.abc import Mapping

from openagents_json.catalog.registry import Registry
from openagents_json.simulation.errors import RehearsalOver, Unproven
from openagents_json.simulation.lives import SimulatedRun
from openagents_json.simulation.sandbox import Sandbox, SandboxCall
from openagents_json.simulation.stubs import Stubs
from openagents_json.simulation.world import World
from openagents_json.work_index import DueKind
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.paths import static
from openagents_json.workflow.core.plan import StepPlan
from openagents_json.workflow.types import Json

REPEATABLE = frozenset({"pure", "idempotent"})
MOST_TIMES = 10_000
"""How often the clock may jump before it is said that there is no end to it."""


class Rehearsal(World):
    """One run in memory; `mocks` are results by step, or by static path for all items of one.

    `limit_ms` is how long a step may take whose own limit is not shorter.
    """

    def __init__(
        self, sandbox: Sandbox, mocks: Mapping[str, Json], now_ms: int, limit_ms: int
    ) -> None:
        super().__init__(Stubs({}, Registry()), {}, now_ms)
        self._sandbox = sandbox
        self._mocks = mocks
        self._limit_ms = limit_ms
        self.mocked: dict[str, None] = {}

    def rehearse(self, life: SimulatedRun, command: cmd.Command) -> None:
        """Let a run go on with a command until it has ended, or begins to undo what it did.

        Raises Unproven, and Rejected when the command does not fit.
        """
        self.lives[life.id] = life
        self.give(life, command)
        try:
            for _ in range(MOST_TIMES):
                self.go_on(self.now_ms)
                if life.state.closed or life.state.status != st.RUNNING:
                    return
                if not self._answered(life):
                    self._jump(life)
        except RehearsalOver:
            return
        raise Unproven(
            "", f"there is no end to it: after {MOST_TIMES} timers, there are more"
        )

    def _jump(self, life: SimulatedRun) -> None:
        due = [at for key, at in self._runs.due() if key.kind is not DueKind.SIGNAL]
        if not due:
            raise Unproven(
                "",
                f"the run waits for {', '.join(sorted(life.state.open_steps)) or 'nothing'}",
            )
        self.go_on(max(self.now_ms, min(due)))

    def _answered(self, life: SimulatedRun) -> bool:
        """Return the waits for signals their mocks; tells whether there were any."""
        waits = [
            path
            for path in sorted(life.state.open_steps)
            if life.state.steps[path].inputs.get("signals")
        ]
        waits = [path for path in waits if life.state.steps[path].kind == "wait"]
        for path in waits:
            self._stand_in(life, path, "it waits for a signal that has not come")
        return bool(waits)

    def _stand_in(self, life: SimulatedRun, path: str, why: str) -> None:
        name = self._mock(path)
        if name is None:
            raise Unproven(path, why)
        self.mocked[path] = None
        self.give(life, cmd.OverrideStep(path, st.COMPLETED, self._mocks[name]))

    def _mock(self, path: str) -> str | None:
        return next(
            (name for name in (path, static(path)) if name in self._mocks), None
        )

    def _look_after_child(self, life: SimulatedRun, step: str) -> None:
        if life.state.steps[step].status == st.ACTIVE:
            self._stand_in(life, step, "it starts another run")

    def perform(self, life: SimulatedRun, step: str) -> None:
        """Run one step."""
        if life.state.status != st.RUNNING:
            raise RehearsalOver
        begun = self.claim(life, step)
        name = self._mock(step)
        if name is not None:
            self.mocked[step] = None
            outcome: cmd.Outcome = cmd.Completed(step, begun.attempt, self._mocks[name])
        else:
            outcome = self._tried(life, step, begun)
        self.give(life, cmd.RecordOutcomes((outcome,)))

    def _tried(self, life: SimulatedRun, step: str, begun: st.StepState) -> cmd.Outcome:
        plan = life.plan.of(step)
        if plan.effect not in REPEATABLE:
            raise Unproven(
                step, f"its effect is {plan.effect}, so it is not run to find out"
            )
        if plan.secrets:
            raise Unproven(step, "it needs secrets, which the sandbox does not get")
        own = plan.timeouts.start_to_close_ms
        limit = min(own, self._limit_ms) if own else self._limit_ms
        execution = begun.attempt - begun.unbegun
        answer = self._sandbox.call(
            self._call(life, plan, step, begun.inputs, execution, limit)
        )
        if answer.refused:
            raise Unproven(step, answer.refused)
        is_late = answer.late and own and own <= limit
        if is_late:
            return cmd.Expired(
                step=step, attempt=begun.attempt, kind="start_to_close", limit_ms=own
            )
        if answer.late:
            raise Unproven(
                step,
                f"it takes longer than {limit / 1000:g} s; --step-timeout gives it more",
            )
        if answer.error is not None:
            return cmd.Failed(step, begun.attempt, answer.error)
        return cmd.Completed(step, begun.attempt, answer.output)

    def _call(
        self,
        life: SimulatedRun,
        plan: StepPlan,
        step: str,
        inputs: Mapping[str, Json],
        attempt: int,
        limit: int,
    ) -> SandboxCall:
        component = plan.component or ""
        workflow = life.state.workflow
        key = life.state.idempotency_key(step)
        return SandboxCall(
            component=component,
            inputs=dict(inputs),
            run=life.id,
            step=step,
            workflow=workflow,
            attempt=attempt,
            now_ms=self.now_ms,
            limit_ms=limit,
            idempotency_key=key,
        )


def done_again(life: SimulatedRun) -> list[str]:
    """Return the steps that a rehearsed run did again."""
    done = {
        e.step
        for _, e in life.events
        if isinstance(e, ev.StepStarted | ev.TimerSet | ev.ChildStarted)
    }
    return sorted(done)


def reused(life: SimulatedRun) -> list[str]:
    """Return the steps whose results were taken from the log."""
    return sorted(
        {e.step for _, e in life.events if isinstance(e, ev.StepResultReused)}
    )
