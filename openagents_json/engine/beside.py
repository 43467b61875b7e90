"""What an engine gives beside runs: their past, the views, the audit, the archive, schedules, published workflows.

Each is imported when it is asked for, because most programs need none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventstore.redis_store import RedisStreamStore
    from executor.invariants import Violation
    from executor.mending import Mended
    from executor.schedules import Timetable
    from executor.workflows import Workflows
    from openagents_json.engine.archiving import Archive
    from openagents_json.engine.auditing import Audits
    from openagents_json.engine.reads import Reads
    from openagents_json.engine.replays import Replays
    from openagents_json.engine.wiring import Core


class Beside:
    """The doors of an engine to what is beside its runs."""

    core: Core
    actor: str

    @property
    def replay(self) -> Replays:
        """Give what can be done with the past of runs: fork, skip, complete, look back, compare."""
        from openagents_json.engine.replays import Replays

        return Replays(self.core, self.actor)

    @property
    def views(self) -> Reads:
        """Give the views of the store: runs by any combination, steps, workers, components, failures."""
        return self.core.reads

    @property
    def audit(self) -> Audits:
        """Give what proves the log: sealing, checking, receipts."""
        from openagents_json.engine.auditing import Audits

        return Audits(self.core)

    @property
    def archive(self) -> Archive:
        """Give what lets closed runs leave the store, and brings them back."""
        from openagents_json.engine.archiving import Archive

        return Archive(self.core, self.actor)

    @property
    def schedules(self) -> Timetable:
        """Give the schedules of the store."""
        return self.core.timetable

    @property
    def workflows(self) -> Workflows:
        """Give the published workflows of the store."""
        return self.core.workflows

    def doctor(self, *, deep: bool = False) -> list[Violation]:
        """Check the invariants of the whole store: each run from outside, with `deep` each of its events too."""
        from eventstore.inspect import Inspector
        from executor.invariants import confirmed

        return confirmed(Inspector(self.core.store), range(self.core.store.keys.partitions), deep=deep)

    def repair(self) -> list[Mended]:
        """Mend the runs whose head or indexes do not fit their log, from the log."""
        from eventstore.inspect import Inspector
        from executor.invariants import confirmed
        from executor.mending import mend

        inspector = Inspector(self.core.store)
        return mend(self.core.handler, inspector, confirmed(inspector, range(self.core.store.keys.partitions)))

    @property
    def events(self) -> RedisStreamStore:
        """Give the log of the whole store, to read, tail and project."""
        from eventstore.redis_store import RedisStreamStore

        return RedisStreamStore(self.core.connection, self.core.store.keys)
