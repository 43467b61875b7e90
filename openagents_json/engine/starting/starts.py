"""Starts of an engine: one run, many, a run under a business key, a durable call of a component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from eventstore import codec
from executor.clock import ulid
from openagents_json.engine.documents import (
    Document,
    document_of_call,
    is_reference,
    loaded,
)
from openagents_json.engine.starting.keyed import (
    USE_EXISTING,
    Keyed,
    keyed,
    started_under_key,
)
from openagents_json.engine.wiring.client import partitions_for, run_identity
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.types import Json

# What only some callers need is imported where it is used: it takes its time.
if TYPE_CHECKING:
    from executor.runs.beginnings import Start
    from openagents_json.engine.answers.runs import Result
    from openagents_json.engine.handles.handle import RunHandle, Runs
    from openagents_json.engine.handles.started import StartedRun
    from openagents_json.engine.wiring.client import Core
    from openagents_json.workflow.core.plan import Plan

Output = TypeVar("Output")


class Starting:
    """The part of an engine that begins runs."""

    core: Core
    actor: str

    def plan(self, workflow: Document, *, seed: str = "") -> Plan:
        """Return the plan of a document."""
        raise NotImplementedError

    @property
    def _runs(self) -> Runs:
        return cast("Runs", self)  # an engine has the rest of what handles need

    @overload
    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: None = None,
    ) -> RunHandle[Json]: ...

    @overload
    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: type[Output],
    ) -> RunHandle[Output]: ...

    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        business_key: str | None = None,
        on_conflict: str | None = None,
        conflict_timeout: float | None = None,
        output: type[Any] | None = None,
    ) -> RunHandle[Any]:
        """Start a run and give its id, which is its handle too; the same request with the same key gives the same run.

        `workflow` is a document, its file, or the reference of a published workflow: `id`, `id@range`, `id@alias`. The
        handle reads the run's output as `output`, a pydantic model or a TypedDict. A `budget` is as in a document, and
        goes before that.

        Under a `business_key`, one run of a workflow is open at a time. Where one is, `on_conflict` says what becomes
        of the start: `reject` (BusinessKeyTaken, the default), `use-existing` (its handle), `after-closed` (its end is
        waited for), `replace` (it is cancelled, and its end waited for). `conflict_timeout` is how many seconds that
        may take; then it is BusinessKeyTaken, too. Raises InvalidDefinition, InvalidInputs, InvalidBudget,
        PayloadOverLimit, EventStoreError, ConcurrencyLimitReached, and KeyConflict when the idempotency key stands
        for another request.
        """
        from openagents_json.engine.handles.handle import RunHandle

        asked = keyed(business_key, on_conflict)
        start = self._start_of(
            workflow, inputs or {}, idempotency_key, labels, budget=budget, asked=asked
        )
        if asked is None:
            handled = self.core.starter.start(start, actor=self.actor)
        else:
            handled = started_under_key(
                self.core, start, asked, self.actor, conflict_timeout
            )
        return RunHandle(
            handled.session.run,
            self._runs,
            output,
            is_new=handled.changed,
            log_position=handled.position,
        )

    def start_or_signal(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        business_key: str,
        signal: str,
        payload: Json = None,
        key: str | None = None,
        by: str = "",
        reason: str = "",
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
    ) -> RunHandle[Json]:
        """Send a signal to the open run of a business key; where there is none, one begins with it, in one commit.

        `key`, `by` and `reason` are as for `signal`. With the same idempotency key the signal is sent once. Raises as
        `start` and `signal` do.
        """
        from openagents_json.engine.handles.handle import RunHandle

        now_ms = self.core.clock.now_ms()
        id_of_signal = idempotency_key or ulid(now_ms)
        given = codec.normalise(payload)
        by = by or self.actor
        sent = cmd.SendSignal(signal, given, key, id_of_signal, by, reason, now_ms)
        asked = Keyed(business_key, USE_EXISTING)
        start = self._start_of(
            workflow, inputs or {}, idempotency_key, labels, budget=budget, asked=asked
        )
        start = replace(start, signal=sent)
        handled = started_under_key(self.core, start, asked, self.actor)
        return RunHandle(handled.session.run, self._runs, is_new=handled.changed)

    def start_debounced(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        debounced: tuple[str, int],
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Start a run that begins when no other of its key was started for so many ms, and give its id.

        A newer start of the key cancels it before it has begun. What the document says of that holds, too. Raises as
        `start` does.
        """
        start = self._start_of(workflow, inputs or {}, idempotency_key, labels)
        start = replace(start, debounced=debounced)
        return self.core.starter.start(start, actor=self.actor).session.run

    def start_many(
        self,
        requests: Sequence[tuple[Document, Mapping[str, Json]]],
        *,
        keys: Sequence[str | None] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[StartedRun]:
        """Start several runs, many in a round trip, and give their handles; one that has not begun says why in `error`.

        Raises as `start` does, and TooManyStarts; then none of them has begun, but after StoreUnavailable nobody knows:
        the same `keys` again tell.
        """
        from openagents_json.engine.handles.started import StartedRun

        self.core.starter.allow(len(requests))
        run_keys = keys or [None] * len(requests)
        partitions = partitions_for(len(requests), self.core)
        rows = zip(loaded(requests), run_keys, partitions, strict=True)
        starts = [self._start_of(*asked, key, labels, p) for asked, key, p in rows]
        started = self.core.starter.start_many(starts, actor=self.actor)
        return [StartedRun(run, self._runs, run.error) for run in started]

    def _start_of(
        self,
        workflow: Document,
        inputs: Mapping[str, Json],
        key: str | None,
        labels: Mapping[str, str] | None,
        partition: int | None = None,
        budget: Mapping[str, Json] | None = None,
        asked: Keyed | None = None,
    ) -> Start:
        from executor.runs.beginnings import Start
        from executor.runs.idempotency import Request
        from openagents_json.engine.usage.budgets import checked_budget
        from openagents_json.workflow.core.parameters import check_inputs

        is_named = isinstance(workflow, str) and is_reference(workflow)
        reference = str(workflow) if is_named else ""
        seed = (key or ulid(self.core.clock.now_ms())) if reference else ""
        plan = self.plan(workflow, seed=seed)
        name = "" if asked is None else asked.name(plan.id)
        run, commit = run_identity(plan.id, key, self.core, partition, name)
        given = codec.normalise(check_inputs(plan, inputs))
        named = None if labels is None else dict(labels)
        if asked is not None:
            named = (named or {}) | asked.labels()
        request = None
        if key is not None:
            request = Request(key, inputs, reference, self.actor)
        allowed = checked_budget(budget)
        return Start(
            run,
            plan,
            given,
            commit,
            named,
            request=request,
            budget=allowed,
            name=(name, "") if name else None,
            if_room=True,
        )

    def start_job(
        self,
        component: str,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> RunHandle[Json]:
        """Call a component durably, without a document: a run of one step, whose output is what it returns.

        Raises as `start` does.
        """
        document = document_of_call(component, inputs or {})
        return self.start(
            document, inputs, idempotency_key=idempotency_key, labels=labels
        )

    def run(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        budget: Mapping[str, Json] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Start a run and wait for its end.

        Raises as `start` and `wait` do.
        """
        from openagents_json.engine.waiting import started_and_awaited

        start = self._start_of(
            workflow, inputs or {}, idempotency_key, labels, budget=budget
        )
        return started_and_awaited(self.core, start, self.actor, timeout)
