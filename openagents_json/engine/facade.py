"""The engine as programs see it: start runs, wait for them, look at them, steer them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, overload

from eventstore import codec
from eventstore.errors import StoreUnavailable
from eventstore.redis.emissions import Emitted
from executor.clock import ulid
from openagents_json.engine.documents import Document, is_reference, load_document
from openagents_json.engine.lifecycle import Lifecycle
from openagents_json.engine.services import Services
from openagents_json.engine.wiring.client import run_identity
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.types import Json
from projections.runs import RunFilter

if (
    TYPE_CHECKING
):  # what only some callers need is imported where it is used: it takes its time
    from executor.coordination.starts import Started
    from executor.runs.beginnings import Start
    from openagents_json.engine.handles.handle import RunHandle
    from openagents_json.engine.healing.heal import Healing
    from openagents_json.engine.inspection.explain import Explanation
    from openagents_json.engine.inspection.overview import Overview
    from openagents_json.engine.inspection.values import (
        HistoryEvent,
        Result,
        RunInfo,
        RunInfoCache,
    )
    from openagents_json.engine.plans import Documents
    from openagents_json.workflow.core.plan import Plan
    from openagents_json.workflow.language.validate import Report

Output = TypeVar("Output")


class Engine(Lifecycle, Services):
    """A store of runs, and, when it has components, the threads that work on them.

    Open one with `Engine.embedded`, `Engine.connect` or `Engine.open` and use it as a context manager.
    """

    @cached_property
    def _documents(self) -> Documents:
        from openagents_json.catalog.store_catalog import StoreCatalog
        from openagents_json.engine.plans import Documents

        catalog = StoreCatalog(self.core.directory, self.registry, self.core.workflows)
        return Documents(catalog, self.core.definitions)

    @cached_property
    def _shown(self) -> RunInfoCache:
        from openagents_json.engine.inspection.values import RunInfoCache

        return RunInfoCache()

    # -- runs --------------------------------------------------------------------------------------------

    @overload
    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
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
        output: type[Output],
    ) -> RunHandle[Output]: ...

    def start(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        output: type[Any] | None = None,
    ) -> RunHandle[Any]:
        """Start a run and give its id, which is its handle too; the same request with the same key gives the same run.

        `workflow` is a document, its file, or the reference of a published workflow: `id`, `id@range`, `id@alias`. The
        handle reads the run's output as `output`, a pydantic model or a TypedDict.
        Raises InvalidDefinition, InvalidInputs, PayloadOverLimit, ConcurrencyLimitReached, EventStoreError, and
        KeyConflict when the key stands for another request.
        """
        from openagents_json.engine.handles.handle import RunHandle

        start = self._start_of(workflow, inputs or {}, idempotency_key, labels)
        run = self.core.starter.start(start, actor=self.actor).session.run
        return RunHandle(run, self, output)

    def start_many(
        self,
        requests: Sequence[tuple[Document, Mapping[str, Json]]],
        *,
        keys: Sequence[str | None] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> list[Started]:
        """Start several runs, many in a round trip, and give their ids; one that has not begun says why in `error`.

        Raises as `start` does, and TooManyStarts; then none of them has begun, but after StoreUnavailable nobody knows:
        the same `keys` again tell.
        """
        self.core.starter.allow(len(requests))
        pairs = zip(requests, keys or [None] * len(requests), strict=True)
        starts = [
            self._start_of(workflow, inputs, key, labels)
            for (workflow, inputs), key in pairs
        ]
        return self.core.starter.start_many(starts, actor=self.actor)

    def _start_of(
        self,
        workflow: Document,
        inputs: Mapping[str, Json],
        key: str | None,
        labels: Mapping[str, str] | None,
    ) -> Start:
        from executor.runs.beginnings import Start
        from executor.runs.idempotency import Request
        from openagents_json.workflow.core.parameters import check_inputs

        plan = self.plan(workflow, seed=key or ulid(self.core.clock.now_ms()))
        run, commit = run_identity(plan.id, key, self.core)
        reference = (
            workflow if isinstance(workflow, str) and is_reference(workflow) else ""
        )
        return Start(
            run,
            plan,
            codec.normalise(check_inputs(plan, inputs)),
            commit,
            None if labels is None else dict(labels),
            request=None
            if key is None
            else Request(key, inputs, reference, self.actor),
        )

    def run(
        self,
        workflow: Document,
        inputs: Mapping[str, Json] | None = None,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Result:
        """Start a run and wait for its end.

        Raises as `start` and `wait` do.
        """
        run = self.start(
            workflow, inputs, idempotency_key=idempotency_key, labels=labels
        )
        return self.wait(run, timeout=timeout)

    def wait(self, run: str, *, timeout: float | None = None) -> Result:
        """Wait until a run has ended, `timeout` in seconds.

        Raises RunNotFound, WaitTimeout and StoreUnavailable.
        """
        from openagents_json.engine.waiting import Waiter

        return Waiter(self.core, run, timeout).result()

    def state(self, run: str) -> RunInfo:
        """Return a run as it is now.

        Raises RunNotFound.
        """
        return self._shown.of(self.core.sessions.load(run), self._began)

    def _began(self, run: str) -> int:
        from executor.errors import RunNotFound

        first = self.core.store.read_one(run, 1)
        if first is None:  # it has left the store meanwhile
            raise RunNotFound(run)
        return first.time_ms

    def history(self, run: str, *, after: int = 0) -> list[HistoryEvent]:
        """Return the events of a run, oldest first.

        Large payloads stand in it by reference, those of an encrypted run as far as this process has the keys. Raises
        RunNotFound.
        """
        from openagents_json.engine.inspection.values import history_events

        return [
            event
            for page in self.replay.shown(run, after=after)
            for event in history_events(page)
        ]

    def watch(
        self, run: str, *, after: int = 0, block_ms: int = 1000
    ) -> list[HistoryEvent]:
        """Return the next events of a run after a version, a page at most, waiting up to `block_ms` for the first."""
        from eventstore.redis.paging import pages
        from openagents_json.engine.inspection.values import history_events

        store = self.core.store
        try:
            recorded = store.wait(run, after, block_ms)
        except StoreUnavailable:
            recorded = tuple(next(pages(store, run, after), ()))
        return history_events(self.core.sessions.payloads.shown(recorded))

    def runs(
        self, *, limit: int = 50, status: str | None = None, workflow: str | None = None
    ) -> list[RunInfo]:
        """List runs, newest first; `views.runs` searches by more."""
        from openagents_json.engine.inspection.values import RunInfo

        chosen = RunFilter(
            status=(status,) if status else (), workflow=(workflow,) if workflow else ()
        )
        rows = self.views.runs(chosen, limit=limit).items
        return [
            RunInfo(
                r.id,
                r.workflow,
                r.status,
                r.events,
                r.started_ms,
                parent=r.parent,
                labels=r.labels,
            )
            for r in rows
        ]

    def cancel(
        self,
        run: str,
        reason: str = "",
        *,
        force: bool = False,
        compensate: bool = True,
    ) -> None:
        """Ask a run to end; steps under way get a grace period unless forced, then what is done is compensated.

        Raises RunNotFound and Rejected.
        """
        self.core.handler.handle(
            run, cmd.CancelRun(reason, force, compensate), actor=self.actor
        )

    def retry(
        self,
        run: str,
        *,
        step: str = "",
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
        workflow: Document | None = None,
    ) -> None:
        """Let a closed run go on from what failed, or from a step; all other results are kept.

        `inputs` replace some of those of the run; with a `workflow`, the run goes on by that version of it. Raises
        RunNotFound, InvalidInputs, InvalidDefinition and Rejected.
        """
        self.replay.retry(
            run, step, inputs, reason, None if workflow is None else self.plan(workflow)
        )

    @property
    def heal(self) -> Healing:
        """Return what heals classes of failed runs, proven by a backtest first."""
        from openagents_json.engine.healing.heal import Healing

        return Healing(self, self.wait)

    def explain(self, run: str) -> Explanation:
        """Say why a run is as it is: where it failed or waits, and how it differs from the nearest that completed.

        Raises RunNotFound and ViewBehind.
        """
        from openagents_json.engine.inspection.explain import explain

        return explain(run, self.replay, self.views)

    def overview(self, run: str) -> Overview:
        """Look at a run as people do: its steps with how long they took, and what it waits for.

        Raises RunNotFound.
        """
        from openagents_json.engine.inspection.overview import overview

        return overview(run, self.replay)

    def signal(
        self,
        run: str,
        name: str,
        payload: Json = None,
        *,
        key: str | None = None,
        by: str = "",
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> None:
        """Send a signal to a run, which keeps it until a step takes it; with the same idempotency key only once.

        `by` says for whom it is sent; who sends it stands beside that in the history. Raises RunNotFound,
        PayloadOverLimit, Rejected, and KeyConflict when the idempotency key has sent another signal.
        """
        now = self.core.clock.now_ms()
        key_of_signal = idempotency_key or ulid(now)
        command = cmd.SendSignal(
            name,
            codec.normalise(payload),
            key,
            key_of_signal,
            by or self.actor,
            reason,
            now,
        )
        handled = self.core.handler.handle(run, command, actor=self.actor)
        if (
            idempotency_key is not None
            and not handled.changed
            and not handled.session.state.erased
        ):
            from executor.runs.idempotency import refuse_other_signal

            refuse_other_signal(
                self.core.store, self.core.sessions.payloads, run, command, self.actor
            )

    def emitted(
        self, run: str, *, after: str = "0-0", block_ms: int = 0
    ) -> list[Emitted]:
        """Return what the components of a run showed while they ran, after an entry; it is kept for an hour."""
        try:
            return self.core.emissions.read(run, after, block_ms)
        except StoreUnavailable:
            return self.core.emissions.read(run, after)

    def pause(self, run: str, reason: str = "") -> None:
        """Start nothing more of a run; steps under way finish.

        Raises RunNotFound and Rejected.
        """
        self.core.handler.handle(run, cmd.PauseRun(reason), actor=self.actor)

    def resume(self, run: str, reason: str = "") -> None:
        """Let a paused run go on.

        Raises RunNotFound and Rejected.
        """
        self.core.handler.handle(run, cmd.ResumeRun(reason), actor=self.actor)

    # -- documents ---------------------------------------------------------------------------------------

    def plan(self, workflow: Document, *, seed: str = "") -> Plan:
        """Validate and compile a document against the components that are known here and in the store.

        A reference of a published workflow gives its plan; `seed` decides about a canary. Raises InvalidDefinition and
        UnknownWorkflow.
        """
        if isinstance(workflow, str) and is_reference(workflow):
            return self.core.workflows.resolve(workflow, seed)
        return self._documents.plan(load_document(workflow))

    def validate(self, workflow: Document) -> Report:
        """Find every problem of a document."""
        return self._documents.check(load_document(workflow)).report

    def publish(self, workflow: Document, *, alias: str | None = None) -> str:
        """Publish a document under its id and version, for others to call by name; gives "id@version".

        With an alias, "id@alias" means this version from now on. Raises InvalidDefinition and VersionExists.
        """
        plan = self.plan(workflow)
        name = self.core.workflows.add(plan, self.core.clock.now_ms())
        if alias is not None:
            self.core.workflows.point(plan.id, alias, plan.version)
        return name
