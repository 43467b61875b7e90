"""The engine as programs see it: start runs, wait for them, look at them, steer them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from eventstore import codec
from eventstore.errors import StoreUnavailable
from eventstore.event import Emitted
from executor.clock import ulid
from openagents_json.engine.documents import (
    Document,
    is_reference,
    load_document,
)
from openagents_json.engine.lifecycle import Lifecycle
from openagents_json.engine.services import Services
from openagents_json.engine.starting.starts import Starting
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.types import Json
from projections.runs import RunFilter

# What only some callers need is imported where it is used: it takes its time.
if TYPE_CHECKING:
    from executor.runs.repository import Session
    from openagents_json.engine.answers.runs import HistoryEvent, Result, RunInfo
    from openagents_json.engine.handles.handle import RunHandle
    from openagents_json.engine.healing.heal import Healing
    from openagents_json.engine.inspection.values import RunInfoCache
    from openagents_json.engine.plans import Documents
    from openagents_json.workflow.core.plan import Plan
    from openagents_json.workflow.language.validate import Report


class Engine(Starting, Lifecycle, Services):
    """A store of runs, and, when it has components, the threads that work on them.

    Open one with `Engine.embedded`, `Engine.connect` or `Engine.open` and use it as a context manager.
    """

    @cached_property
    def _documents(self) -> Documents:
        from openagents_json.engine.plans import documents_of

        return documents_of(self.core, self.registry)

    @cached_property
    def _shown(self) -> RunInfoCache:
        from openagents_json.engine.inspection.values import RunInfoCache

        return RunInfoCache()

    # -- runs --------------------------------------------------------------------------------------------

    def handle(self, run: str) -> RunHandle[Json]:
        """Return the handle of a run that there is: its result, its events, what its components show."""
        from openagents_json.engine.handles.handle import RunHandle

        return RunHandle(run, self)

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

    def _began(self, session: Session) -> int:
        from executor.errors import RunNotFound

        if session.began_ms:
            return session.began_ms
        run = session.run
        first = self.core.store.read_one(run, 1)
        if first is None:  # it has left the store meanwhile
            raise RunNotFound(run)
        return first.time_ms

    def history(
        self, run: str, *, after: int = 0, limit: int | None = None
    ) -> list[HistoryEvent]:
        """Return the events of a run behind a version, oldest first, `limit` of them at most.

        Large payloads stand in it by reference, those of an encrypted run as far as this process has the keys. Raises
        RunNotFound.
        """
        from openagents_json.engine.inspection.values import history_events

        shown = self.replay.shown(run, after=after)
        events = (event for page in shown for event in history_events(page))
        return [*islice(events, limit)]

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
        from openagents_json.engine.answers.lists import listed

        chosen = RunFilter(
            status=(status,) if status else (), workflow=(workflow,) if workflow else ()
        )
        rows = self.views.runs(chosen, limit=limit).items
        return [listed(row) for row in rows]

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
        RunNotFound, InvalidInputs, InvalidDefinition, Rejected, and BusinessKeyTaken when another run is open under its
        business key.
        """
        self.replay.retry(
            run, step, inputs, reason, None if workflow is None else self.plan(workflow)
        )

    @property
    def heal(self) -> Healing:
        """Return what heals classes of failed runs, proven by a backtest first."""
        from openagents_json.engine.healing.heal import Healing

        return Healing(self, self.wait)

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
        workflows = self.core.workflows.by(self.actor)
        name = workflows.add(plan, self.core.clock.now_ms())
        if alias is not None:
            workflows.point(plan.id, alias, plan.version)
        return name
