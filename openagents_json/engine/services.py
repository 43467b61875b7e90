"""What an engine gives beside runs: their past, the views, the audit, the archive, erasure, schedules, workflows.

Each is imported when it is asked for, because most programs need none of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, cast

from openagents_json.engine.hooks.doors import HookDoors

if TYPE_CHECKING:
    from eventstore.redis.streams import RedisStreamStore
    from executor.clock import Clock
    from executor.coordination.schedules import ScheduleService
    from executor.integrity.invariants import Violation
    from executor.integrity.mending import RepairResult
    from openagents_json.engine.answers.lists import UsageRow
    from openagents_json.engine.answers.steps import Overview
    from openagents_json.engine.answers.times import Timeline
    from openagents_json.engine.answers.waits import WaitingStep
    from openagents_json.engine.archive.archive import Archive, DepartedRun
    from openagents_json.engine.archive.redaction import Redacted
    from openagents_json.engine.archive.shredding import Shredded
    from openagents_json.engine.audit import AuditService
    from openagents_json.engine.cataloging.catalog import ComponentCatalog
    from openagents_json.engine.cataloging.workflows import WorkflowCatalog
    from openagents_json.engine.development.loaded_components import LoadedComponents
    from openagents_json.engine.handles.watcher import RunWatcher
    from openagents_json.engine.inspection.explain import Explanation
    from openagents_json.engine.inspection.foreach_items import ForeachItems
    from openagents_json.engine.inspection.log_follower import LogFollower
    from openagents_json.engine.inspection.queries import Queries
    from openagents_json.engine.inspection.replay import Replays
    from openagents_json.engine.keys import RunKeys
    from openagents_json.engine.locking.locks import Locks
    from openagents_json.engine.remote_work.leases import Leases
    from openagents_json.engine.remote_work.parts import RemoteParts
    from openagents_json.engine.run_files import RunFiles
    from openagents_json.engine.steering.bulk import Bulk, RunActions
    from openagents_json.engine.steering.published import WorkflowUses
    from openagents_json.engine.steering.requests import KeyedRequests
    from openagents_json.engine.wiring.client import Core
    from openagents_json.engine.wiring.parts import LazyParts
    from openagents_json.engine.worker_types.control import WorkerControl
    from openagents_json.engine.worker_types.fairness import KeyShares
    from openagents_json.workflow.types import Json
    from projections.reader import Views

FILES_SECONDS: Final = 10.0
"""How long who erases waits for the files of the server to be without it."""


class Services(HookDoors):
    """The doors of an engine to what is beside its runs."""

    core: Core
    actor: str
    _remote: LazyParts[RemoteParts]

    @cached_property
    def watcher(self) -> RunWatcher:
        """Return what watches runs for event loops."""
        from openagents_json.engine.handles.watcher import RunWatcher

        return RunWatcher(self.core.store)

    def follow_all(self) -> LogFollower:
        """Return what reads the events of all runs from now on."""
        from openagents_json.engine.inspection.log_follower import LogFollower

        return LogFollower(self.core)

    def loaded_components(self) -> LoadedComponents:
        """Return what checks documents against the components that a worker of this program has loaded last."""
        from openagents_json.engine.development.loaded_components import (
            LoadedComponents,
        )

        return LoadedComponents(self.core)

    def foreach_items(self, run: str, path: str) -> ForeachItems | None:
        """Return the items of a foreach of a run, at the top or in a loop or an item; None for what is none.

        Raises RunNotFound.
        """
        from openagents_json.engine.inspection.foreach_items import foreach_items

        return foreach_items(self.core.sessions, run, path)

    @property
    def replay(self) -> Replays:
        """Return what can be done with the past of runs: fork, skip, complete, look back, compare."""
        from openagents_json.engine.inspection.replay import Replays

        return Replays(self.core, self.actor)

    @property
    def views(self) -> Queries:
        """Return the views of the store: runs by any combination, steps, workers, components, failures."""
        return self.core.reads

    @property
    def projections(self) -> Views:
        """Return the read models themselves: how they stand, building them anew, their documents and counts."""
        return self.core.reads.views

    @property
    def keys(self) -> RunKeys:
        """Return the keys of encrypted runs."""
        from openagents_json.engine.keys import RunKeys

        return RunKeys(self.core)

    @property
    def keyed_requests(self) -> KeyedRequests:
        """Return the requests that callers have named by idempotency keys."""
        from openagents_json.engine.steering.requests import KeyedRequests

        return KeyedRequests(self.core, self.actor)

    @property
    def leases(self) -> Leases:
        """Return the work for programs of any language: steps are claimed, extended, and their outcomes recorded."""
        from openagents_json.engine.remote_work.leases import Leases

        return Leases(self._remote.get(), self.actor)

    @property
    def control(self) -> WorkerControl:
        """Return what tells workers of this store to take nothing, to run less, or to end."""
        from openagents_json.engine.worker_types.control import WorkerControl

        return WorkerControl(self.core.directory, self.actor)

    @property
    def fairness(self) -> KeyShares:
        """Return the fairness keys whose steps wait, and their weights."""
        from openagents_json.engine.worker_types.fairness import KeyShares

        return KeyShares(self.core, self.actor)

    @property
    def locks(self) -> Locks:
        """Return the locks of the store: leases with a token, which the store compares with each write."""
        from executor.clock import worker_id
        from openagents_json.engine.locking.locks import Locks

        core, identity = self.core, partial(worker_id, self.actor)
        return Locks(core.store, identity, core.clock.steady_ms, self.actor)

    @property
    def files(self) -> RunFiles:
        """Return what brings runs into files, and from files into this store."""
        from openagents_json.engine.run_files import RunFiles

        return RunFiles(self.core, self.actor)

    @property
    def clock(self) -> Clock:
        """Return the clock by which this engine goes."""
        return self.core.clock

    @property
    def where(self) -> str:
        """Say where the store is, without passwords."""
        return self.core.connection.where

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the live worker processes by name, with what each says of itself."""
        return self.core.directory.workers()

    def status(self, run: str) -> str:
        """Return the status of a run, which is known without reading its events.

        Raises RunNotFound.
        """
        from executor.errors import RunNotFound

        [position] = self.core.store.positions([run])
        if position is None:
            raise RunNotFound(run)
        return position.status

    def lacking(self, run: str) -> dict[str, str]:
        """Return the steps of a run that no live worker can run, each with the reason.

        Raises RunNotFound.
        """
        from openagents_json.engine.inspection.waits import lacking

        return lacking(self.core, run)

    def waits_for_signal(self, run: str) -> bool:
        """Tell whether nothing but a signal lets a run go on.

        Raises RunNotFound.
        """
        state = self.core.sessions.load(run).state
        kinds = {state.steps[path].kind for path in state.open_steps}
        return "wait" in kinds and kinds <= {"wait", "foreach", "loop", "block"}

    def waiting(self, *, limit: int = 50) -> list[WaitingStep]:
        """Return the steps of all runs that wait for a signal, longest first.

        Raises ViewBehind.
        """
        from openagents_json.engine.inspection.waiting import waiting

        return waiting(self.views, self.replay, limit)

    def schemas_of_signal(self, run: str, name: str) -> list[Json]:
        """Return the schemas of the steps of a run that may take a signal, None for a step without one.

        Raises RunNotFound.
        """
        from openagents_json.engine.inputs.signals import schemas_of_signal

        return schemas_of_signal(self.core, run, name)

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

    def timeline(self, run: str) -> Timeline:
        """Return when the steps of a run were worked on, and when they waited and for what.

        Raises RunNotFound.
        """
        from openagents_json.engine.inspection.timeline import timeline

        return timeline(run, self.replay)

    @property
    def audit(self) -> AuditService:
        """Return what proves the log: sealing, checking, receipts."""
        from openagents_json.engine.audit import AuditService

        return AuditService(self.core)

    @property
    def bulk(self) -> Bulk:
        """Return what cancels, retries, pauses, resumes or deletes all runs that a filter chooses."""
        from openagents_json.engine.steering.bulk import Bulk

        return Bulk(cast("RunActions", self))

    def delete(
        self, run: str, reason: str = "", *, without: Sequence[str] = ()
    ) -> DepartedRun:
        """Delete a closed run for good: its events, payloads and key; that it was there, and who deleted it, stays.

        `without` are consumers of the log that need not have read it. Raises RunNotFound and CannotLeave.
        """
        from openagents_json.engine.archive.archive import Departure

        return self.archive.leave(run, Departure("", reason, tuple(without)))

    @property
    def archive(self) -> Archive:
        """Return what lets closed runs leave the store, and brings them back."""
        from openagents_json.engine.archive.archive import Archive

        return Archive(self.core, self.actor)

    def usage(
        self, *, by: str = "workflow", workflow: str = "", stale: bool = False
    ) -> list[UsageRow]:
        """Return what attempts have used by workflow, step, model or label, the dearest first.

        With a `workflow`, only that of its runs. Raises InvalidQuery and ViewBehind.
        """
        from openagents_json.engine.usage.sums import usage_rows

        return usage_rows(self.core.reads.views, by, workflow, stale)

    def redact(
        self,
        run: str,
        reason: str = "",
        *,
        steps: Iterable[str] = (),
        events: Iterable[int] = (),
        labels: bool = False,
        wait_seconds: float = FILES_SECONDS,
    ) -> Redacted:
        """Erase for good what a closed run worked with, or some steps or events of it; its course stays on record.

        What it gives tells whether the server's files still hold it. Raises RunNotFound, Rejected and ViewBehind.
        """
        from openagents_json.engine.archive.redaction import RedactionScope, redact
        from openagents_json.engine.archive.shredding import rewritten

        chosen = RedactionScope(frozenset(events), frozenset(steps), labels)
        done = redact(self.core, run, actor=self.actor, reason=reason, chosen=chosen)
        # What views show of it is erased with it, before files are written anew.
        for view in ("runs", "usage"):
            self.projections.current(view)
        return done.with_files(rewritten(self.core, wait_seconds))

    def shred(
        self, run: str, reason: str = "", *, wait_seconds: float = FILES_SECONDS
    ) -> Shredded:
        """Destroy the key of a closed encrypted run, so that nobody can read its payloads any more; its log stays.

        What it gives is false when that has happened already, and tells whether the server's files still hold the key.
        Raises RunNotFound, EncryptionError, and Rejected when the run is open, held, or was never encrypted.
        """
        from openagents_json.engine.archive.shredding import shred_run

        return shred_run(self.core, run, reason, self.actor, wait_seconds)

    @property
    def schedules(self) -> ScheduleService:
        """Return the schedules of the store."""
        return self.core.timetable

    @property
    def workflows(self) -> WorkflowCatalog:
        """Return the published workflows of the store: registered, named, retired, compared, with their past."""
        from openagents_json.engine.cataloging.workflows import WorkflowCatalog

        return WorkflowCatalog(self.core, self.actor)

    @property
    def catalog(self) -> ComponentCatalog:
        """Return the catalog of components: registered, looked up, searched, deprecated, withdrawn."""
        from openagents_json.engine.cataloging.catalog import ComponentCatalog

        return ComponentCatalog(self.core, self.actor)

    def uses(self, workflow: str) -> WorkflowUses:
        """Return who uses a published version, "id@version": open runs, schedules, aliases, other workflows.

        Raises UnknownWorkflow and ViewBehind.
        """
        from openagents_json.engine.steering.published import uses_of

        return uses_of(self.core, workflow)

    def unpublish(self, workflow: str, *, force: bool = False) -> WorkflowUses:
        """Publish "id@version" no more, with the aliases that mean it; runs of it keep their definition and go on.

        Forced, it goes even if it is used: steps and schedules that call it fail from then on. Raises UnknownWorkflow,
        ViewBehind and StillNeeded.
        """
        from openagents_json.engine.steering.published import unpublish

        return unpublish(self.core, workflow, force=force, actor=self.actor)

    def doctor(self, *, deep: bool = False) -> list[Violation]:
        """Check the invariants of the whole store: each run from outside, with `deep` each of its events too."""
        from eventstore.redis.upkeep.inspection import Inspector
        from executor.integrity.invariants import confirmed

        return confirmed(
            Inspector(self.core.store), range(self.core.store.partitions), deep=deep
        )

    def repair(self) -> list[RepairResult]:
        """Mend runs and names of the catalog from their logs, and carry over what older versions have published."""
        from eventstore.redis.upkeep.inspection import Inspector
        from eventstore.redis.upkeep.mending import Mender
        from executor.integrity.invariants import confirmed
        from executor.integrity.mending import mend
        from openagents_json.engine.cataloging.carried_over import carry_over
        from openagents_json.engine.cataloging.damaged_names import write_anew

        inspector = Inspector(self.core.store)
        violations = confirmed(inspector, range(self.core.store.partitions))
        mender = Mender(self.core.store)
        mended = mend(self.core.handler, mender, inspector, violations)
        # The names first: what is carried over is decided on them.
        return [*mended, *write_anew(self.core), *carry_over(self.core)]

    @property
    def events(self) -> RedisStreamStore:
        """Return the log of the whole store, to read, tail and project."""
        from eventstore.redis.streams import RedisStreamStore

        return RedisStreamStore(self.core.connection, self.core.store.keys)
