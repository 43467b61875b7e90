"""What a client offers beside its runs, in the groups in which the engine has it: views, past, schedules, workflows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from openagents_json.client.calls import (
    hooks,
    lists,
    registry,
    runs,
    schedules,
    steering,
    webhooks,
)
from openagents_json.client.keys import NewKey
from openagents_json.engine.answers.lists import FailureClass, OpenStep, RunPage
from openagents_json.engine.answers.runs import RunInfo

if TYPE_CHECKING:
    from openagents_json.client.wire.blocking import BlockingWire
    from openagents_json.engine import (
        Comparison,
        ComponentStatistics,
        Firing,
        Progress,
        RunFilter,
        Schedule,
    )
    from openagents_json.engine.answers.hooks import (
        Delivery,
        HookInfo,
        ReceivedDelivery,
    )
    from openagents_json.engine.answers.webhooks import WebhookInfo
    from openagents_json.engine.cataloging.written_plans import WorkflowDiff
    from openagents_json.engine.documents import Document
    from openagents_json.workflow.types import Json


class Group:
    """Calls that belong together."""

    def __init__(self, wire: BlockingWire, new_key: NewKey) -> None:
        self._wire = wire
        self._new_key = new_key


class ClientViews(Group):
    """Questions to the views of a store; answers are as new as its log."""

    def runs(
        self, chosen: RunFilter | None = None, *, limit: int = 50, after: str = ""
    ) -> RunPage:
        """Return a page of runs, newest first."""
        return self._wire.carry_out(lists.runs(chosen, limit, after))

    def as_of(
        self,
        time_ms: int,
        chosen: RunFilter | None = None,
        *,
        limit: int = 50,
        after: str = "",
    ) -> RunPage:
        """Return a page of runs as they were at a time."""
        return self._wire.carry_out(lists.as_of(time_ms, chosen, limit, after))

    def count(self, chosen: RunFilter | None = None) -> int:
        """Count runs."""
        return self._wire.carry_out(lists.count(chosen))

    def run_of(self, beginning: str) -> str:
        """Return the run whose id begins like that; what begins none is given back.

        Raises AmbiguousRun.
        """
        return self._wire.carry_out(lists.run_of(beginning))

    def steps(self, *, status: str = "", worker: str = "") -> list[OpenStep]:
        """Return the steps under way in all runs, in no order."""
        return self._wire.carry_out(lists.steps(status, worker))

    def components(self) -> list[ComponentStatistics]:
        """Return what happened to the attempts of each component."""
        return self._wire.carry_out(lists.components())

    def failures(self) -> list[FailureClass]:
        """Return the classes of failures, the latest first."""
        return self._wire.carry_out(lists.failures())


class ClientReplays(Group):
    """What can be done with the past of runs."""

    def skip(self, run: str, step: str, reason: str = "") -> None:
        """Let a run go on as if a step had been skipped; a closed run is opened again."""
        self._wire.carry_out(steering.skip(run, step, reason, self._new_key()))

    def complete(
        self, run: str, step: str, output: Json = None, reason: str = ""
    ) -> None:
        """Let a run go on as if a step had returned `output`; a closed run is opened again."""
        key = self._new_key()
        self._wire.carry_out(steering.complete(run, step, output, reason, key))

    def replay(
        self,
        run: str,
        *,
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
    ) -> None:
        """Do a closed run again, but for what has not changed."""
        self._wire.carry_out(steering.rerun(run, inputs, reason, self._new_key()))

    def fork(
        self,
        run: str,
        at: int,
        *,
        inputs: Mapping[str, Json] | None = None,
        reason: str = "",
        idempotency_key: str | None = None,
    ) -> str:
        """Begin a new run with the same past up to an event, and give its id."""
        key = idempotency_key or self._new_key()
        return self._wire.carry_out(steering.fork(run, at, inputs, reason, key))

    def state_at(
        self, run: str, *, version: int | None = None, time_ms: int | None = None
    ) -> RunInfo:
        """Return a run as it was after an event, or at a time."""
        return self._wire.carry_out(runs.state_at(run, version, time_ms))

    def diff(self, one: str, other: str) -> Comparison:
        """Compare two runs."""
        return self._wire.carry_out(runs.diff(one, other))


class ClientSchedules(Group):
    """The schedules of a store."""

    def create(self, schedule: Schedule, *, replace_it: bool = False) -> Progress:
        """Create a schedule, or replace it."""
        return self._wire.carry_out(schedules.put(schedule, replace_it=replace_it))

    def get(self, name: str) -> tuple[Schedule, Progress]:
        """Return a schedule and how far it has come."""
        return self._wire.carry_out(schedules.one(name))

    def every(self) -> list[tuple[Schedule, Progress]]:
        """Return all schedules."""
        return self._wire.carry_out(schedules.every())

    def delete(self, name: str) -> None:
        """Remove a schedule; its runs go on."""
        self._wire.carry_out(schedules.delete(name))

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Fire no more until resumed."""
        self._wire.carry_out(schedules.pause(name, self._new_key(), paused=paused))

    def trigger(
        self, name: str, *, actor: str = "", idempotency_key: str | None = None
    ) -> str:
        """Start a run of a schedule now, and give its id; who does it is told by the API key, and not by `actor`."""
        del actor
        key = idempotency_key or self._new_key()
        return self._wire.carry_out(schedules.trigger(name, key))

    def next_firings(self, name: str, count: int = 5) -> list[Firing]:
        """Return when a schedule fires next."""
        return self._wire.carry_out(schedules.next_firings(name, count))


class ClientHooks(Group):
    """The inbound hooks of a store."""

    def register(self, name: str, spec: Mapping[str, Any]) -> HookInfo:
        """Register a hook, or replace it; what it starts has to be published."""
        return self._wire.carry_out(hooks.register(name, spec))

    def every(self) -> list[HookInfo]:
        """Return all hooks, by name."""
        return self._wire.carry_out(hooks.every())

    def get(self, name: str) -> HookInfo:
        """Return a hook."""
        return self._wire.carry_out(hooks.one(name))

    def delete(self, name: str) -> None:
        """Remove a hook with what was sent to it; its runs go on."""
        self._wire.carry_out(hooks.delete(name))

    def deliveries(self, name: str, *, limit: int = 50) -> list[Delivery]:
        """Return the newest deliveries to a hook, the newest first, without what they said."""
        return self._wire.carry_out(hooks.deliveries(name, limit))

    def delivery(self, name: str, delivery: str) -> Delivery:
        """Return a delivery with its body and its headers; what proves who sent it is masked."""
        return self._wire.carry_out(hooks.delivery(name, delivery))

    def replay(
        self, name: str, delivery: str, *, idempotency_key: str | None = None
    ) -> ReceivedDelivery:
        """Carry a delivery out again, as the hook is now; with the same key, once."""
        key = idempotency_key or self._new_key()
        return self._wire.carry_out(hooks.replay(name, delivery, key))


class ClientWebhooks(Group):
    """The webhooks of a store."""

    def register(self, name: str, spec: Mapping[str, Any]) -> WebhookInfo:
        """Register a webhook, or replace it: it is told of what happens from now on."""
        return self._wire.carry_out(webhooks.register(name, spec))

    def every(self) -> list[WebhookInfo]:
        """Return all webhooks, by name."""
        return self._wire.carry_out(webhooks.every())

    def get(self, name: str) -> WebhookInfo:
        """Return a webhook."""
        return self._wire.carry_out(webhooks.one(name))

    def delete(self, name: str) -> None:
        """Remove a webhook; deliveries that have begun go on."""
        self._wire.carry_out(webhooks.delete(name))


class ClientWorkflows(Group):
    """The published workflows of a store."""

    def published(self) -> dict[str, dict[str, Any]]:
        """Return what is published, under "id@version"."""
        return self._wire.carry_out(registry.published())

    def aliases(self) -> dict[str, dict[str, Any]]:
        """Return what the aliases mean, under "id@alias"."""
        return self._wire.carry_out(registry.aliases())

    def document(self, reference: str) -> dict[str, Any]:
        """Return the document of a published workflow: `id`, `id@range` or `id@alias`.

        Raises UnknownWorkflow.
        """
        published = self._wire.carry_out(registry.version(reference))
        return published.document

    def version(self, reference: str) -> registry.PublishedVersion:
        """Return which version `id`, `id@range` or `id@alias` means, with its document and its hash.

        Raises UnknownWorkflow.
        """
        return self._wire.carry_out(registry.version(reference))

    def diff(self, one: Document, other: Document) -> WorkflowDiff:
        """Compare two versions, published or written, as a reader of documents does, and count open runs of the first.

        Raises UnknownWorkflow, DocumentUnreadable and InvalidDefinition.
        """
        return self._wire.carry_out(registry.diff(one, other))


class ClientArchive(Group):
    """What keeps runs from being erased."""

    def hold(self, run: str, reason: str = "") -> None:
        """Let nothing of a run be erased."""
        self._wire.carry_out(steering.hold(run, reason, self._new_key()))

    def release(self, run: str, reason: str = "") -> None:
        """Let a held run be erased again."""
        self._wire.carry_out(steering.release(run, reason, self._new_key()))
