"""What the parts of a worker process share: built once by the composition root, passed to all of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from eventstore.directory import Directory
from eventstore.errors import EventStoreError
from eventstore.run_store import RunStore
from executor.clock import Clock
from executor.handle import Handler
from executor.jobs import Finished
from executor.keeper import Keeper
from executor.pace import Pace
from executor.record import Flushed, Recorder, Wish
from executor.ringing import Ringer
from executor.sessions import BrokenHistory, RunNotFound, Sessions
from executor.watchdog import Watchdog
from openagents_json.workflow import commands as cmd
from openagents_json.workflow.events import UnknownEvent

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkSettings:
    """How a process works: `lease_ms` is how long it may be silent, `concurrency` how many steps run at a time."""

    queues: tuple[str, ...] = ("agent", "tool", "asset")
    concurrency: int = 4
    lease_ms: int = 10_000
    async_limit: int = 1000
    batch: int = 32
    budget_ms: int = 10_000
    linger_ms: int = 1_000


@dataclass(frozen=True, slots=True)
class Runtime:
    """The shared parts of a worker process."""

    worker: str
    store: RunStore
    sessions: Sessions
    handler: Handler
    ringer: Ringer
    directory: Directory
    keeper: Keeper
    watchdog: Watchdog
    pace: Pace
    clock: Clock
    settings: WorkSettings
    on_wait: Callable[[str, int], None]
    pause: threading.Event = field(default_factory=threading.Event)

    def recorder(self, name: str) -> Recorder:
        """Give a recorder for one drain; its name tells its claims from those of other drains."""
        return Recorder(self.handler, name, self.settings.lease_ms, self.on_wait)

    def record(self, recorder: Recorder, done: Sequence[Finished], wish: Wish | None = None) -> Flushed:
        """Record, with patience: a result must not be lost to a store that is away for a while.

        When the store stays away longer than the leases last, the steps run again elsewhere; then the error is raised.
        """
        return self.patiently(lambda: recorder.record(done, wish))

    def patiently(self, record: Callable[[], Flushed]) -> Flushed:
        """Record, and try again while the store is away."""
        ends = self.clock.steady_ms() + 3 * self.settings.lease_ms
        while True:
            try:
                return record()
            except EventStoreError:
                if self.clock.steady_ms() > ends:
                    raise
                self.pause.wait(0.2)

    def ignored(self, refused: Sequence[Finished]) -> None:
        """Keep on record that outcomes came too late; that this may fail harms nobody."""
        for item in refused:
            lease, kind = item.job.lease, type(item.outcome).__name__
            if isinstance(item.outcome, cmd.Released):
                continue
            log.warning("run %s: %s of step %s, attempt %d, came too late", lease.run, kind, lease.step, lease.attempt)
            note = cmd.NoteIgnored(lease.step, lease.attempt, self.worker, kind)
            try:
                self.handler.handle(lease.run, note, actor=self.worker)
            except (RunNotFound, BrokenHistory, UnknownEvent, cmd.Rejected, EventStoreError):
                continue
