"""What an engine gives beside runs: their past, the views, the audit, the archive, erasure, schedules, workflows.

Each is imported when it is asked for, because most programs need none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from eventstore.redis.streams import RedisStreamStore
    from executor.clock import Clock
    from executor.coordination.schedules import ScheduleService
    from executor.integrity.invariants import Violation
    from executor.integrity.mending import RepairResult
    from openagents_json.catalog.workflows import Workflows
    from openagents_json.engine.archive.archive import Archive
    from openagents_json.engine.archive.redaction import Redacted
    from openagents_json.engine.archive.shredding import Shredded
    from openagents_json.engine.audit import AuditService
    from openagents_json.engine.handles.watcher import RunWatcher
    from openagents_json.engine.inspection.queries import Queries
    from openagents_json.engine.inspection.replay import Replays
    from openagents_json.engine.keys import RunKeys
    from openagents_json.engine.run_files import RunFiles
    from openagents_json.engine.wiring.client import Core
    from projections.reader import Views

FILES_SECONDS: Final = 10.0
"""How long who erases waits for the files of the server to be without it."""


class Services:
    """The doors of an engine to what is beside its runs."""

    core: Core
    actor: str

    @cached_property
    def watcher(self) -> RunWatcher:
        """Return what watches runs for event loops."""
        from openagents_json.engine.handles.watcher import RunWatcher

        return RunWatcher(self.core.store)

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
    def files(self) -> RunFiles:
        """Return what brings runs into files, and from files into this store."""
        from openagents_json.engine.run_files import RunFiles

        return RunFiles(self.core, self.actor)

    @property
    def clock(self) -> Clock:
        """Return the clock by which this engine goes."""
        return self.core.clock

    def now_ms(self) -> int:
        """Return the time of the store's server, in ms since 1970."""
        return self.core.store.now_ms()

    @property
    def where(self) -> str:
        """Say where the store is, without passwords."""
        return self.core.connection.where

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the live worker processes by name, with what each says of itself."""
        return self.core.directory.workers()

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

    @property
    def audit(self) -> AuditService:
        """Return what proves the log: sealing, checking, receipts."""
        from openagents_json.engine.audit import AuditService

        return AuditService(self.core)

    @property
    def archive(self) -> Archive:
        """Return what lets closed runs leave the store, and brings them back."""
        from openagents_json.engine.archive.archive import Archive

        return Archive(self.core, self.actor)

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
        self.projections.current(
            "runs"
        )  # what lists show of it is erased with it, before files are written anew
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
    def workflows(self) -> Workflows:
        """Return the published workflows of the store."""
        return self.core.workflows

    def doctor(self, *, deep: bool = False) -> list[Violation]:
        """Check the invariants of the whole store: each run from outside, with `deep` each of its events too."""
        from eventstore.redis.upkeep.inspection import Inspector
        from executor.integrity.invariants import confirmed

        return confirmed(
            Inspector(self.core.store), range(self.core.store.partitions), deep=deep
        )

    def repair(self) -> list[RepairResult]:
        """Mend the runs whose head or indexes do not fit their log, from the log."""
        from eventstore.redis.upkeep.inspection import Inspector
        from eventstore.redis.upkeep.mending import Mender
        from executor.integrity.invariants import confirmed
        from executor.integrity.mending import mend

        inspector = Inspector(self.core.store)
        violations = confirmed(inspector, range(self.core.store.partitions))
        return mend(self.core.handler, Mender(self.core.store), inspector, violations)

    @property
    def events(self) -> RedisStreamStore:
        """Return the log of the whole store, to read, tail and project."""
        from eventstore.redis.streams import RedisStreamStore

        return RedisStreamStore(self.core.connection, self.core.store.keys)
