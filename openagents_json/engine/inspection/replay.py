"""Runs again: forks, steps that are skipped or completed by hand, states of the past, and what differs between runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from eventstore import codec
from eventstore.event import Recorded
from eventstore.redis.grouping import PAGE
from eventstore.redis.paging import is_there, pages
from executor.errors import NoSuchVersion, RunNotFound
from executor.histories.forking import Fork, fork
from executor.runs.repository import Session
from openagents_json.engine.answers.runs import RunInfo
from openagents_json.engine.inspection.replay_savings import (
    Replayed,
    last_replay,
    replayed,
)
from openagents_json.engine.inspection.values import run_info
from openagents_json.engine.wiring.client import Core
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.decide.annotations import refuse_erased
from openagents_json.workflow.core.evolve import evolve_all
from openagents_json.workflow.core.parameters import check_inputs
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.history.builds import (
    ComponentOf,
    differences_of_build,
)
from openagents_json.workflow.history.changed_steps import changed_steps
from openagents_json.workflow.history.diff import Comparison, compare
from openagents_json.workflow.types import Json


class Replays:
    """What can be done with the past of runs."""

    def __init__(self, core: Core, actor: str) -> None:
        self.core = core
        self._actor = actor

    # -- going on ----------------------------------------------------------------------------------------

    def skip(self, run: str, step: str, reason: str = "") -> None:
        """Let a run go on as if a step had been skipped, with null for its result; a closed run is opened again.

        Raises RunNotFound, Rejected and BusinessKeyTaken.
        """
        self.core.handler.handle(
            run, cmd.OverrideStep(step, st.SKIPPED, None, reason), actor=self._actor
        )

    def complete(
        self, run: str, step: str, output: Json = None, reason: str = ""
    ) -> None:
        """Let a run go on as if a step had returned `output`; a closed run is opened again.

        Raises RunNotFound, PayloadOverLimit, Rejected and BusinessKeyTaken.
        """
        command = cmd.OverrideStep(step, st.COMPLETED, codec.normalise(output), reason)
        self.core.handler.handle(run, command, actor=self._actor)

    def retry(
        self,
        run: str,
        step: str,
        inputs: Mapping[str, Json] | None,
        reason: str,
        plan: Plan | None = None,
    ) -> None:
        """Let a closed run go on, from what failed or from a step, perhaps by another version of its workflow.

        Raises RunNotFound, InvalidInputs, Rejected, and BusinessKeyTaken when another run is open under its
        business key.
        """
        self._reopen(run, cmd.ReopenRun(step, inputs, reason), plan)

    def _reopen(self, run: str, command: cmd.ReopenRun, plan: Plan | None) -> None:
        session = self.core.sessions.load(run)
        refuse_erased(session.state)
        self.core.handler.handle(
            run, reopening(session, command, plan), actor=self._actor, plan=plan
        )

    def replay(
        self,
        run: str,
        *,
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
        plan: Plan | None = None,
    ) -> None:
        """Do a closed run again, but for what has not changed: results stand where component, definition and inputs do.

        Raises RunNotFound, InvalidInputs, Rejected, and BusinessKeyTaken when another run is open under its
        business key.
        """
        self._reopen(run, cmd.ReopenRun("", inputs, reason, replay=True), plan)

    def fork(
        self,
        run: str,
        at: int,
        *,
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> str:
        """Begin a new run with the same past up to an event, and give its id; steps under way then begin anew in it.

        `inputs` replace some of those of the run. Raises RunNotFound, NoSuchVersion, InvalidInputs, Rejected, and
        KeyConflict when the idempotency key has begun a fork with other inputs, or for another caller.
        """
        session = self.core.sessions.load(run)
        refuse_erased(session.state)
        if inputs is not None:
            checked = check_inputs(session.plan, {**session.state.inputs, **inputs})
            inputs = codec.normalise({name: checked[name] for name in inputs})
        seed = (
            idempotency_key
            if idempotency_key is not None
            else self.core.handler.commit_id()
        )
        digest = hashlib.sha256(
            f"{run}\0{at}\0{seed}".encode("utf-8", "surrogatepass")
        ).hexdigest()
        new = f"{self.core.store.partition_of(run)}-{digest[:26]}"
        request = Fork(run, at, new, inputs, reason, f"f{digest[34:50]}")
        return fork(self.core.handler, request, actor=self._actor).session.run

    # -- looking back ------------------------------------------------------------------------------------

    def state_at(
        self, run: str, *, version: int | None = None, time_ms: int | None = None
    ) -> RunInfo:
        """Return a run as it was after an event, or at a time.

        Raises RunNotFound and NoSuchVersion.
        """
        recorded = self.recorded(run)
        if version is not None and not 1 <= version <= len(recorded):
            raise NoSuchVersion(run, version, len(recorded))
        last = len(recorded) if version is None else version
        past = list(recorded[:last])
        if time_ms is not None:
            past = [item for item in past if item.time_ms <= time_ms]
        if not past:
            raise NoSuchVersion(run, 0, len(recorded))
        erased = any(item.type == ev.RunRedacted.__name__ for item in recorded)
        return replace(run_info(self.folded(run, past), past[0].time_ms), erased=erased)

    def diff(self, one: str, other: str) -> Comparison:
        """Compare two runs.

        Raises RunNotFound.
        """
        mine, theirs = self._events(one), self._events(other)
        ends = (evolve_all(st.initial(), mine), evolve_all(st.initial(), theirs))
        here, there = (self._component_of(end) for end in ends)
        return replace(
            compare(mine, theirs, ends),
            builds=differences_of_build((mine, here), (theirs, there)),
        )

    def _component_of(self, state: st.RunState) -> ComponentOf:
        return component_of(self.core.definitions.plan(state.definition))

    def replayed(self, run: str) -> Replayed | None:
        """Tell what the last replay of a run did again, why, and what it saved; None when there was none.

        Raises RunNotFound.
        """
        recorded = self.recorded(run)
        happened = self.core.sessions.payloads.decode(recorded)
        return replayed(
            recorded,
            happened,
            evolve_all(st.initial(), happened[: last_replay(happened)]),
        )

    def recorded(self, run: str) -> Sequence[Recorded]:
        """Return the stored events of a run.

        Raises RunNotFound.
        """
        return [item for page in self.pages(run) for item in page]

    def pages(self, run: str, *, after: int = 0) -> Iterator[Sequence[Recorded]]:
        """Return the stored events of a run behind a version, page by page.

        Raises RunNotFound, also for a run that leaves the store meanwhile.
        """
        store, read = self.core.store, 0
        for page in pages(store, run, after):
            read += len(page)
            yield page
        if not 0 < read < PAGE and not is_there(store, run):
            raise RunNotFound(run)

    def shown(self, run: str, *, after: int = 0) -> Iterator[Sequence[Recorded]]:
        """Return the same pages for people: payloads opened as far as this process has the keys.

        Raises RunNotFound.
        """
        return self.core.sessions.payloads.shown_pages(self.pages(run, after=after))

    def _events(self, run: str) -> list[ev.Event]:
        return self.core.sessions.payloads.decode(self.recorded(run))

    def folded(self, run: str, recorded: Sequence[Recorded]) -> Session:
        """Fold events of a run, from the first on."""
        state = evolve_all(st.initial(), self.core.sessions.payloads.decode(recorded))
        plan = self.core.definitions.plan(state.definition)
        return Session(run, recorded[-1].version, recorded[-1].commit, state, plan)


def component_of(plan: Plan) -> ComponentOf:
    """Return what names the component of a step; a step that its plan does not have any more goes by its own name."""

    def named(step: str) -> str:
        try:
            return plan.of(step).component or step
        except KeyError:
            return step

    return named


def reopening(
    session: Session, command: cmd.ReopenRun, plan: Plan | None
) -> cmd.ReopenRun:
    """Return the command that opens a run again, perhaps by another plan, with what that changes.

    Raises InvalidInputs, and Rejected when the plan is one of another workflow.
    """
    goes_by = plan or session.plan
    if goes_by.id != session.plan.id:
        what = f"the run is one of workflow {session.plan.id}, not of {goes_by.id}"
        raise cmd.Rejected("another_workflow", what, session.state.status)
    given = command.inputs or {}
    checked: Mapping[str, Json] = {}
    if command.inputs is not None or plan is not None:
        checked = check_inputs(goes_by, {**session.state.inputs, **given})
    inputs: Mapping[str, Json] | None = None
    if command.inputs is not None:
        inputs = codec.normalise({name: checked[name] for name in given})
    changed: frozenset[str] = frozenset()
    if command.replay:
        changed = changed_steps(session.plan, goes_by)
    return structs.replace(
        command, inputs=inputs, migrate=plan is not None, changed=changed
    )
