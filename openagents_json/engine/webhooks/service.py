"""Webhooks of a store: registered by name, and delivered while some process dispatches them."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from eventstore.redis.coordination.records import RecordTable
from eventstore.redis.streams import RedisStreamStore
from openagents_json.engine.answers.webhooks import WebhookInfo
from openagents_json.engine.locking.locks import Locks
from openagents_json.engine.webhooks.dispatcher import (
    CONSUMER,
    Dispatcher,
    Subscription,
)
from openagents_json.engine.webhooks.errors import InvalidWebhook, WebhookNotFound
from openagents_json.engine.webhooks.messages import document_of
from openagents_json.engine.webhooks.spec import spec_of
from openagents_json.engine.wiring.client import Core
from openagents_json.errors import Conflict, OpenAgentsError
from openagents_json.workflow.core.plan import Plan

log = logging.getLogger(__name__)

LEASE: Final = "webhooks"
LEASE_SECONDS: Final = 15.0
BOUT_SECONDS: Final = 60.0
"""So long one process dispatches before it lets others: who has lost the lease without knowing stops then, too."""

BLOCK_MS: Final = 1_000
AGAIN_SECONDS: Final = 3.0
"""How soon somebody looks again whether nobody dispatches, or whether the store is there again."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class PlansAndLocks(Protocol):
    """What an engine does for webhooks."""

    actor: str

    @property
    def core(self) -> Core:
        """Return the parts of the engine."""

    @property
    def locks(self) -> Locks:
        """Return the locks of the store."""

    def plan(self, workflow: Any) -> Plan:
        """Compile a document."""


@dataclass(frozen=True, slots=True)
class _Stopping:
    """Whether a dispatcher is to go on: it was not told to stop, and its bout is not over."""

    stop: threading.Event
    until_ms: float

    def is_over(self, steady_ms: float) -> bool:
        """Tell whether it is to stop."""
        return self.stop.is_set() or steady_ms > self.until_ms


class Webhooks:
    """The webhooks of a store."""

    def __init__(self, engine: PlansAndLocks) -> None:
        self._engine = engine
        self._core = engine.core
        self._table = RecordTable(engine.core.store, "webhooks")

    def register(self, name: str, spec: Mapping[str, Any]) -> WebhookInfo:
        """Register a webhook, or replace it: it is told of what happens from now on.

        Raises InvalidWebhook.
        """
        if not _NAME.fullmatch(name):
            raise InvalidWebhook(
                f"{name!r} is no name of a webhook",
                remedy="use small letters, digits, and the characters _ -",
            )
        asked = spec_of(spec)
        self._engine.plan(document_of(asked))
        earlier = self._table.get(name)
        now_ms = self._core.store.now_ms()
        record = {
            "spec": asked.model_dump(mode="json", exclude_unset=True),
            "since": self._since(earlier),
            "created_ms": now_ms if earlier is None else earlier["created_ms"],
            "created_by": self._engine.actor,
        }
        self._table.put(name, record)
        self._forget_unless_read()
        return _info(name, record)

    def every(self) -> list[WebhookInfo]:
        """Return all webhooks, by name."""
        records = self._table.every()
        return [_info(name, records[name]) for name in sorted(records)]

    def get(self, name: str) -> WebhookInfo:
        """Return a webhook.

        Raises WebhookNotFound.
        """
        record = self._table.get(name)
        if record is None:
            raise WebhookNotFound(name)
        return _info(name, record)

    def delete(self, name: str) -> None:
        """Remove a webhook; deliveries that have begun go on.

        Raises WebhookNotFound.
        """
        if not self._table.remove(name):
            raise WebhookNotFound(name)
        self._forget_unless_read()

    def dispatcher(self) -> Dispatcher:
        """Return what begins the deliveries of what is in the log, for one thread; several do no harm."""
        return Dispatcher(self._core, self._subscriptions)

    def dispatch(self, stop: threading.Event) -> None:
        """Deliver until told to stop; of several processes that do, one does at a time."""
        while not stop.is_set():
            try:
                self._bout(stop)
            except Conflict:  # another process dispatches
                stop.wait(AGAIN_SECONDS)
            except OpenAgentsError as error:
                log.warning("webhooks are not delivered for now: %s", error)
                stop.wait(AGAIN_SECONDS)

    @contextmanager
    def dispatching(self) -> Iterator[None]:
        """Deliver on a thread while the block lasts."""
        stop = threading.Event()
        thread = threading.Thread(
            target=self.dispatch, args=(stop,), name="openagents-webhooks", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _bout(self, stop: threading.Event) -> None:
        steady_ms = self._core.clock.steady_ms
        stopping = _Stopping(stop, steady_ms() + BOUT_SECONDS * 1000)
        lock = self._engine.locks.hold(LEASE, lease_seconds=LEASE_SECONDS, timeout=0)
        with lock:
            dispatcher = self.dispatcher()
            while not stopping.is_over(steady_ms()):
                dispatcher.advance(BLOCK_MS)

    def _subscriptions(self) -> list[Subscription]:
        subscriptions = []
        for info in self.every():
            spec = spec_of(info.spec)
            if spec.enabled:
                plan = self._engine.plan(document_of(spec))
                subscriptions.append(Subscription(info, spec, plan))
        return subscriptions

    def _since(self, earlier: Mapping[str, Any] | None) -> dict[str, int]:
        """Return from where a webhook is told of events: on from where it was, unless it was told of none."""
        if earlier is not None and earlier["spec"].get("enabled", True):
            since: dict[str, int] = earlier["since"]
            return since
        return self._heads()

    def _forget_unless_read(self) -> None:
        """Let what was not read leave the store where nobody is told of anything."""
        if not any(info.spec.get("enabled", True) for info in self.every()):
            self._stream().forget_checkpoints(CONSUMER)

    def _heads(self) -> dict[str, int]:
        stream = self._stream()
        partitions = range(stream.keys.partitions)
        return {str(partition): stream.head(partition) for partition in partitions}

    def _stream(self) -> RedisStreamStore:
        return RedisStreamStore(self._core.connection, self._core.store.keys)


def _info(name: str, record: Mapping[str, Any]) -> WebhookInfo:
    return WebhookInfo(
        name,
        record["spec"],
        record["since"],
        record["created_ms"],
        record["created_by"],
    )
