"""The dispatcher: reads the log of the store behind its position, and begins a run for each event and webhook.

First the runs, then the position: who dies in between begins them again, and finds that they are there. So any number
of dispatchers may read at the same time, and each (webhook, event) has one run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore.errors import CheckpointNotRising, LogTruncated
from eventstore.event import Checkpoint, Position, Recorded
from eventstore.redis.streams import RedisStreamStore
from executor.coordination.firing_runs import HAS_ITS_RUN
from executor.runs.beginnings import Start
from openagents_json.engine.answers.webhooks import WebhookInfo
from openagents_json.engine.webhooks.messages import LABEL, WORKFLOW, inputs_of, key_of
from openagents_json.engine.webhooks.spec import WebhookSpec
from openagents_json.engine.wiring.client import Core, run_identity
from openagents_json.workflow.core.events import RunStarted
from openagents_json.workflow.core.plan import Plan
from projections.projection import counted_before

CONSUMER: Final = "webhooks"
"""The consumer of the log under which its positions are kept: what it has not read stays in the store."""

PAGE: Final = 500
AT_ONCE: Final = 100
"""So many runs begin in one go."""

_STARTED: Final = RunStarted.__name__

Begun = Mapping[str, Any]
"""What the first event of a run says."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A webhook with the plan of its deliveries."""

    info: WebhookInfo
    spec: WebhookSpec
    plan: Plan

    def wants(self, event: Recorded) -> bool:
        """Tell whether an event is of a type it is told of, and came after it was registered."""
        if event.type not in self.spec.events:
            return False
        since = self.info.since.get(str(event.position.partition), 0)
        # A log that has lost its tail goes on at positions that were there before.
        return event.position.n > since or event.time_ms > self.info.created_ms

    def chooses(self, begun: Begun) -> bool:
        """Tell whether a run is one that it is told of."""
        workflows = self.spec.workflows
        labels = begun.get("labels") or {}
        return (not workflows or begun["workflow"] in workflows) and all(
            labels.get(name) == value for name, value in self.spec.labels.items()
        )


@dataclass(slots=True)
class Dispatcher:
    """Begins the runs that deliver; for one thread."""

    core: Core
    subscriptions: Callable[[], Sequence[Subscription]]
    _cursor: dict[int, int] | None = field(default=None)

    def advance(self, block_ms: int) -> int:
        """Deliver what a page of the log has, waiting up to `block_ms` for something; gives how many runs it asked for.

        Raises OpenAgentsError; then it begins again where it was.
        """
        subscriptions = self.subscriptions()
        if not subscriptions:
            self._cursor = None
            threading.Event().wait(block_ms / 1000)
            return 0
        store = RedisStreamStore(self.core.connection, self.core.store.keys)
        cursor = self._positions(store, subscriptions)
        try:
            events = store.tail(after=cursor, block_ms=block_ms, limit=PAGE)
        except LogTruncated:
            self._begin_at_the_end(store)
            return 0
        # Webhooks of now: one that was registered while nothing happened is told of what then does.
        asked = self._asked(self.subscriptions() if events else (), events)
        for first in range(0, len(asked), AT_ONCE):
            self._begin(asked[first : first + AT_ONCE])
        self._keep(store, cursor, events)
        return len(asked)

    def _positions(
        self, store: RedisStreamStore, subscriptions: Sequence[Subscription]
    ) -> dict[int, int]:
        """Return how far the log was read: as it is kept, and else from where the first webhook counts."""
        if self._cursor is None:
            self._cursor = {
                partition: store.checkpoint(CONSUMER, partition)
                or min(s.info.since.get(str(partition), 0) for s in subscriptions)
                for partition in range(store.keys.partitions)
            }
        return self._cursor

    def _begin_at_the_end(self, store: RedisStreamStore) -> None:
        """Read on from the end of a log that has lost what was read of it, as in a failover."""
        partitions = range(store.keys.partitions)
        store.forget_checkpoints(CONSUMER)
        self._cursor = {partition: store.head(partition) for partition in partitions}

    def _asked(
        self, subscriptions: Sequence[Subscription], events: Sequence[Recorded]
    ) -> list[tuple[Subscription, Start]]:
        asked = []
        begun: dict[str, Begun | None] = {}
        for event in events:
            interested = [each for each in subscriptions if each.wants(event)]
            if not interested or counted_before(event):
                continue
            run = event.stream
            if run not in begun:
                begun[run] = self._first(event)
            first = begun[run]
            # Of deliveries nothing is told, as that would have no end; of runs that are gone, nothing can be.
            if first is None or first["workflow"] == WORKFLOW:
                continue
            chosen = [each for each in interested if each.chooses(first)]
            asked += [(each, self._start(each, event, first)) for each in chosen]
        return asked

    def _first(self, event: Recorded) -> Begun | None:
        """Return what the first event of a run says, None for a run that has left the store."""
        first: Recorded | None = event
        if event.type != _STARTED:
            first = self.core.store.read_one(event.stream, 1)
        has_begun = first is not None and first.type == _STARTED
        return first.data if first is not None and has_begun else None

    def _start(
        self, subscription: Subscription, event: Recorded, begun: Begun
    ) -> Start:
        name = subscription.info.name
        key = key_of(name, event)
        plan = subscription.plan
        run, commit = run_identity(plan.id, key, self.core)
        inputs = inputs_of(subscription.spec, key, event, begun)
        return Start(run, plan, inputs, commit, labels={LABEL: name})

    def _begin(self, asked: Sequence[tuple[Subscription, Start]]) -> None:
        """Begin runs; those that are there already were begun for the same event.

        Raises OpenAgentsError when one could not begin: the position is not kept then.
        """
        starts = [start for _, start in asked]
        for started in self.core.starter.start_each(starts, actor=CONSUMER):
            if started.error is not None and not isinstance(started.error, HAS_ITS_RUN):
                raise started.error

    def _keep(
        self,
        store: RedisStreamStore,
        cursor: dict[int, int],
        events: Sequence[Recorded],
    ) -> None:
        """Keep how far the log was read, for who comes after this one."""
        read = {event.position.partition: event.position.n for event in events}
        for partition, n in read.items():
            cursor[partition] = n
            # Another dispatcher may be further.
            with suppress(CheckpointNotRising):
                store.save_checkpoint(Checkpoint(CONSUMER, Position(partition, n)))
