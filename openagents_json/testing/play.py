"""`play`: run a document in memory and look at what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from openagents_json.authoring import Workflow
from openagents_json.catalog.registry import Registry
from openagents_json.components import builtin
from openagents_json.components.copies import own_copy
from openagents_json.simulation.errors import Stuck
from openagents_json.simulation.lives import SimulatedRun
from openagents_json.simulation.stubs import Call, Stubs
from openagents_json.simulation.world import World
from openagents_json.work_index import DueKind
from openagents_json.workflow.component_spec import ComponentSpec
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.event_types import to_data, type_name
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.history.changed_steps import changed_steps
from openagents_json.workflow.language.bind import bind
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.times import moment_of
from openagents_json.workflow.types import Json

Source = Workflow | Mapping[str, Any] | str | Path


class _Anything:
    """A catalog for tests: real components are checked, whatever else is named is taken to be there."""

    def __init__(self, real: Registry) -> None:
        self._real = real

    def find(self, reference: str) -> ComponentSpec | None:
        """Return the spec of a reference."""
        return self._real.find_own(reference) or ComponentSpec(
            reference.partition("@")[0]
        )

    def names(self) -> Iterable[str]:
        """Return all names."""
        return self._real.names()


class Play:
    """One run of a document, in memory, with those that it starts.

    `components` are stand-ins by name (a value, a function of the step's inputs, an exception, `outcomes(...)`), `real`
    functions, classes or modules of components. `now` is where the clock begins; it moves by `advance` and `finish`.
    """

    def __init__(
        self,
        document: Source,
        inputs: Mapping[str, Json] | None = None,
        *,
        components: Mapping[str, Any] | None = None,
        real: Iterable[Any] = (),
        workflows: Sequence[Source] = (),
        now: str | float = "2030-01-01T00:00:00Z",
        labels: Mapping[str, str] | None = None,
    ) -> None:
        registry = Registry()
        for thing in (builtin, *real):
            registry.add(thing)
        self._catalog = catalog = _Anything(registry)
        plans = {
            plan.id: plan for plan in (plan_of(source, catalog) for source in workflows)
        }
        self.world = World(Stubs(components or {}, registry), plans, moment_of(now))
        self._life = self.world.start(
            "0-test", plan_of(document, catalog), inputs or {}, labels=labels
        )
        self.world.go_on(self.world.now_ms)

    # -- going on ----------------------------------------------------------------------------------------

    def advance(self, seconds: float = 0, *, to: str | datetime | None = None) -> Play:
        """Let time pass, by seconds or up to a time; what is due on the way happens at its time."""
        moment = to.isoformat() if isinstance(to, datetime) else to
        until = (
            moment_of(moment)
            if moment is not None
            else self.world.now_ms + round(seconds * 1000)
        )
        self.world.go_on(until)
        return self

    def finish(self) -> Play:
        """Let time jump until the run has ended.

        Raises Stuck when the run waits for a signal, or is paused.
        """
        self.world.go_on()
        while not self._life.state.closed and (limits := _limits(self.world)):
            self.world.go_on(min(limits))
            self.world.go_on()
        if not self._life.state.closed:
            raise Stuck(
                f"the run is {self.status} and waits for {self._waits() or 'nothing that will come'}"
            )
        return self

    def _waits(self) -> str:
        waits = [
            f"signal {signal['name']!r} (step {path})"
            for path in sorted(self._life.state.open_steps)
            for signal in self._life.state.steps[path].inputs.get("signals", ())
        ]
        return ", ".join(waits)

    def signal(
        self,
        name: str,
        payload: Json = None,
        *,
        key: str | None = None,
        by: str = "test",
        reason: str = "",
    ) -> Play:
        """Send the run a signal.

        Raises Rejected.
        """
        command = cmd.SendSignal(
            name=name,
            payload=payload,
            key=key,
            id=f"signal-{len(self._life.events)}",
            by=by,
            reason=reason,
            at_ms=self.world.now_ms,
        )
        return self._give(command)

    def pause(self) -> Play:
        """Pause the run."""
        return self._give(cmd.PauseRun())

    def resume(self) -> Play:
        """Let it go on."""
        return self._give(cmd.ResumeRun())

    def cancel(self, reason: str = "", *, compensate: bool = True) -> Play:
        """Cancel the run."""
        return self._give(cmd.CancelRun(reason, compensate=compensate))

    def retry(
        self, step: str = "", *, inputs: Mapping[str, Json] | None = None
    ) -> Play:
        """Let the closed run go on, from what failed or from a step.

        Raises Rejected.
        """
        return self._give(cmd.ReopenRun(step, inputs))

    def run_again(
        self,
        document: Source | None = None,
        *,
        inputs: Mapping[str, Json] | None = None,
    ) -> Play:
        """Do the closed run again, perhaps by another document: results stand where nothing has changed.

        Raises Rejected.
        """
        before = self._life.plan
        if document is not None:
            self._life.plan = plan_of(document, self._catalog)
        changed = changed_steps(before, self._life.plan)
        migrate = document is not None
        return self._give(
            cmd.ReopenRun("", inputs, migrate=migrate, replay=True, changed=changed)
        )

    def skip(self, step: str, *, reason: str = "") -> Play:
        """Let the run go on as if a step had been skipped.

        Raises Rejected.
        """
        return self._give(cmd.OverrideStep(step, st.SKIPPED, None, reason))

    def complete(self, step: str, output: Json = None, *, reason: str = "") -> Play:
        """Let the run go on as if a step had returned something.

        Raises Rejected.
        """
        return self._give(cmd.OverrideStep(step, st.COMPLETED, output, reason))

    def _give(self, command: cmd.Command) -> Play:
        self.world.give(self._life, command)
        self.world.go_on(self.world.now_ms)
        return self

    # -- looking -----------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """Return the run's status."""
        return self._life.state.status

    @property
    def output(self) -> Json:
        """Return the run's output."""
        return own_copy(self._life.state.output)

    @property
    def error(self) -> Mapping[str, Json] | None:
        """Return the run's error."""
        error: Mapping[str, Json] | None = own_copy(self._life.state.error)
        return error

    @property
    def state(self) -> st.RunState:
        """Return the folded state."""
        return self._life.state

    @property
    def now_ms(self) -> int:
        """Return the time, in ms since 1970."""
        return self.world.now_ms

    @property
    def events(self) -> list[ev.Event]:
        """Return the events of the run, oldest first."""
        return [event for _, event in self._life.events]

    @property
    def history(self) -> list[dict[str, Any]]:
        """Return the events as `openagents runs history --json` does: type, time_ms and data."""
        return [
            {"type": type_name(e), "time_ms": at, "data": own_copy(to_data(e))}
            for at, e in self._life.events
        ]

    @property
    def runs(self) -> dict[str, SimulatedRun]:
        """Return all runs, this one and those that it started, by id."""
        return self.world.lives

    def step(self, path: str) -> st.StepState:
        """Return a step; `each[2]` is an item, `loop[0].a` a step of an iteration.

        Raises KeyError.
        """
        return self._life.state.steps[path]

    def statuses(self) -> dict[str, str]:
        """Return the status of each step."""
        return {name: step.status for name, step in self._life.state.steps.items()}

    def calls(self, component: str | None = None) -> list[Call]:
        """Return the calls of components, of all or of one, in order."""
        return [
            call
            for call in self.world.cast.calls
            if component in (None, call.component.partition("@")[0])
        ]

    def of_type(self, kind: str) -> list[ev.Event]:
        """Return the events of a type."""
        return [event for event in self.events if type_name(event) == kind]

    def assert_completed(self, output: Any = ...) -> Play:
        """Check that the run completed, with an output if one is given."""
        assert self.status == st.COMPLETED, f"the run is {self.status}: {self.error}"
        assert output is ... or self.output == output, (
            f"the output is {self.output!r}, not {output!r}"
        )
        return self

    def assert_failed(self, error_type: str | None = None) -> Play:
        """Check that the run failed, with an error of a type if one is given."""
        assert self.status == st.FAILED, f"the run is {self.status}: {self.output!r}"
        failure_type = (self.error or {}).get("type")
        assert error_type in (None, failure_type), (
            f"the error is {failure_type}: {self.error}"
        )
        return self

    def assert_order(self, *steps: str) -> Play:
        """Check that these steps completed, in this order."""
        done = [
            e.step
            for e in self.events
            if isinstance(e, ev.StepCompleted) and e.step in steps
        ]
        assert done == list(steps), f"they completed as {done}"
        return self


def play(
    document: Source, inputs: Mapping[str, Json] | None = None, **options: Any
) -> Play:
    """Run a document in memory to its end, or until it waits for a signal; options as in `Play`."""
    begun = Play(document, inputs, **options)
    begun.world.go_on()
    has_only_limits = _limits(begun.world) and not any(
        key.kind is DueKind.SIGNAL for key in begun.world.due
    )
    if has_only_limits:
        begun.finish()
    return begun


def _limits(world: World) -> list[int]:
    """Return the times at which runs end that do not end by themselves."""
    return [
        at
        for key, at in world.due.items()
        if key.kind in (DueKind.RUN_LIMIT, DueKind.CANCEL_GRACE)
    ]


def plan_of(source: Source, catalog: Any) -> Plan:
    """Compile a document.

    Raises InvalidDefinition.
    """
    if isinstance(source, str | Path):
        source = Workflow.load(Path(source))
    document = source.document if isinstance(source, Workflow) else source
    return compile_plan(bind(document, catalog))
