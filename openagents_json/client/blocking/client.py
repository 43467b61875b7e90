"""The engine as programs see it that have no store: the same calls, sent to a service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from openagents_json.client.blocking.groups import (
    ClientArchive,
    ClientHooks,
    ClientReplays,
    ClientSchedules,
    ClientViews,
    ClientWebhooks,
    ClientWorkflows,
)
from openagents_json.client.blocking.handle import ClientRun
from openagents_json.client.blocking.starting import ClientStarting
from openagents_json.client.calls import lists, registry, runs, steering
from openagents_json.client.calls.documents import sent_signal
from openagents_json.client.keys import NewKey, random_key
from openagents_json.client.requirements import need_httpx
from openagents_json.client.waiting import Wait
from openagents_json.client.wire.address import service_address
from openagents_json.engine.answers.lists import UsageRow, listed
from openagents_json.engine.answers.runs import HistoryEvent, Result, RunInfo
from openagents_json.engine.answers.steps import Overview
from openagents_json.engine.answers.times import Timeline
from openagents_json.engine.answers.waits import WaitingStep

if TYPE_CHECKING:
    from openagents_json.engine import Emitted, Report
    from openagents_json.engine.archive.redaction import Redacted
    from openagents_json.engine.documents import Document
    from openagents_json.engine.inspection.explain import Explanation
    from openagents_json.engine.steering.published import WorkflowUses
    from openagents_json.workflow.types import Json

TIMEOUT_SECONDS = 30.0
RETRY_SECONDS = 60.0
CONNECTIONS = 100


class Client(ClientStarting):
    """A service over HTTP, with the methods of `Engine` that it offers; use it as a context manager, or close it.

    Without a `url` it calls that of OPENAGENTS_URL, without an `api_key` with that of OPENAGENTS_API_KEY. An answer may
    take `timeout` seconds, beside what a call waits for a run. What does the same when it arrives twice is sent again
    for `retry_seconds` while the service is away. Every start and every command has an idempotency key, so that it is
    carried out once however often it is sent.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        retry_seconds: float = RETRY_SECONDS,
        connections: int = CONNECTIONS,
        new_key: NewKey = random_key,
    ) -> None:
        """Make a client; nothing is sent yet.

        Raises InvalidServiceUrl, InvalidServiceKey and ClientNotInstalled.
        """
        need_httpx()
        from openagents_json.client.wire.blocking import BlockingWire
        from openagents_json.client.wire.retrying import RetryPolicy

        address = service_address(url, api_key)
        self.url = address.url
        self._new_key = new_key
        self._wire = BlockingWire(
            address, timeout, RetryPolicy(retry_seconds), connections
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    # -- runs --------------------------------------------------------------------------------------------

    def handle(self, run: str) -> ClientRun[Json]:
        """Return the handle of a run that there is: its result, its events, what its components show."""
        return ClientRun(run, self)

    def wait(self, run: str, *, timeout: float | None = None) -> Result:
        """Wait until a run has ended, `timeout` in seconds.

        Raises RunNotFound, WaitTimeout and Unavailable.
        """
        wait = Wait(run, timeout)
        result = wait.ended(self._wire.carry_out(wait.call()))
        while result is None:
            result = wait.ended(self._wire.carry_out(wait.call()))
        return result

    def state(self, run: str) -> RunInfo:
        """Return a run as it is now.

        Raises RunNotFound.
        """
        return self._wire.carry_out(runs.state(run))

    def status(self, run: str) -> str:
        """Return the status of a run.

        Raises RunNotFound.
        """
        return self._wire.carry_out(runs.status(run))

    def history(
        self, run: str, *, after: int = 0, limit: int | None = None
    ) -> list[HistoryEvent]:
        """Return the events of a run behind a version, oldest first, `limit` of them at most.

        Raises RunNotFound.
        """
        pages = runs.Pages(after, limit)
        while (size := pages.next_size()) > 0:
            call = runs.history(run, pages.after, size)
            pages.take(self._wire.carry_out(call), size)
        return pages.events

    def watch(
        self, run: str, *, after: int = 0, block_ms: int = 1000
    ) -> list[HistoryEvent]:
        """Return the next events of a run after a version, waiting up to `block_ms` for the first."""
        return self._wire.carry_out(runs.watch(run, after, block_ms))

    def follow_events(self, run: str, *, after: int = 0) -> Iterator[HistoryEvent]:
        """Follow the events of a run after a version, until it has ended, through restarts of the service.

        Raises RunNotFound and Unavailable.
        """
        return self._wire.follow(runs.events(run, after))

    def follow_emissions(self, run: str, *, after: str = "0-0") -> Iterator[Emitted]:
        """Follow what the components of a run show, after an entry, until it has ended, through restarts of a service.

        Raises RunNotFound and Unavailable.
        """
        return self._wire.follow(runs.emissions(run, after))

    def runs(
        self, *, limit: int = 50, status: str | None = None, workflow: str | None = None
    ) -> list[RunInfo]:
        """List runs, newest first; `views.runs` searches by more."""
        page = self._wire.carry_out(lists.runs_of(limit, status, workflow))
        return [listed(row) for row in page.items]

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
        key = self._new_key()
        self._wire.carry_out(steering.cancel(run, reason, force, compensate, key))

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

        Raises RunNotFound, InvalidInputs, InvalidDefinition and Rejected.
        """
        call = steering.retry(run, step, inputs, reason, workflow, self._new_key())
        self._wire.carry_out(call)

    def explain(self, run: str) -> Explanation:
        """Say why a run is as it is: where it failed or waits, and how it differs from the nearest that completed."""
        return self._wire.carry_out(runs.explain(run))

    def overview(self, run: str) -> Overview:
        """Look at a run as people do: its steps with how long they took, and what it waits for."""
        return self._wire.carry_out(runs.overview(run))

    def timeline(self, run: str) -> Timeline:
        """Return when the steps of a run were worked on, and when they waited and for what."""
        return self._wire.carry_out(runs.timeline(run))

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

        Raises RunNotFound, PayloadOverLimit, Rejected and KeyConflict.
        """
        body = sent_signal(payload, key, by, reason)
        sent_key = idempotency_key or self._new_key()
        self._wire.carry_out(steering.signal(run, name, body, sent_key))

    def pause(self, run: str, reason: str = "") -> None:
        """Start nothing more of a run; steps under way finish."""
        self._wire.carry_out(steering.pause(run, reason, self._new_key()))

    def resume(self, run: str, reason: str = "") -> None:
        """Let a paused run go on."""
        self._wire.carry_out(steering.resume(run, reason, self._new_key()))

    def redact(
        self,
        run: str,
        reason: str = "",
        *,
        steps: Iterable[str] = (),
        events: Iterable[int] = (),
        labels: bool = False,
    ) -> Redacted:
        """Erase for good what a closed run worked with, or some steps or events of it; its course stays on record."""
        key = self._new_key()
        return self._wire.carry_out(
            steering.redact(run, reason, steps, events, labels, key)
        )

    def delete(self, run: str, reason: str = "") -> None:
        """Delete a closed run for good; that it was there, and who deleted it, stays."""
        self._wire.carry_out(steering.delete(run, reason))

    # -- the store ---------------------------------------------------------------------------------------

    def waiting(self, *, limit: int = 50) -> list[WaitingStep]:
        """Return the steps of all runs that wait for a signal, longest first."""
        return self._wire.carry_out(lists.waiting(limit))

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return the live worker processes by name, with what each says of itself."""
        return self._wire.carry_out(runs.workers())

    def usage(self, *, by: str = "workflow", workflow: str = "") -> list[UsageRow]:
        """Return what attempts have used by workflow, step, model or label, the dearest first."""
        return self._wire.carry_out(lists.usage(by, workflow))

    @property
    def views(self) -> ClientViews:
        """Return the views of the store: runs by any combination, steps, components, failures."""
        return ClientViews(self._wire, self._new_key)

    @property
    def replay(self) -> ClientReplays:
        """Return what can be done with the past of runs: fork, skip, complete, look back, compare."""
        return ClientReplays(self._wire, self._new_key)

    @property
    def schedules(self) -> ClientSchedules:
        """Return the schedules of the store."""
        return ClientSchedules(self._wire, self._new_key)

    @property
    def hooks(self) -> ClientHooks:
        """Return the inbound hooks of the store: what other services send, signed, starts runs or signals them."""
        return ClientHooks(self._wire, self._new_key)

    @property
    def webhooks(self) -> ClientWebhooks:
        """Return the webhooks of the store: who is told of events of runs, each delivery by a run."""
        return ClientWebhooks(self._wire, self._new_key)

    @property
    def archive(self) -> ClientArchive:
        """Return what keeps runs from being erased."""
        return ClientArchive(self._wire, self._new_key)

    # -- documents ---------------------------------------------------------------------------------------

    @property
    def workflows(self) -> ClientWorkflows:
        """Return the published workflows of the store."""
        return ClientWorkflows(self._wire, self._new_key)

    def validate(self, workflow: Document) -> Report:
        """Find every problem of a document, with the components that the service knows."""
        return self._wire.carry_out(registry.validate(workflow))

    def publish(self, workflow: Document, *, alias: str | None = None) -> str:
        """Publish a document under its id and version, for others to call by name; gives "id@version".

        Raises InvalidDefinition and VersionExists.
        """
        return self._wire.carry_out(registry.publish(workflow, alias))

    def uses(self, workflow: str) -> WorkflowUses:
        """Return who uses a published version, "id@version": open runs, schedules, aliases, other workflows."""
        return self._wire.carry_out(registry.uses(workflow))

    def unpublish(self, workflow: str, *, force: bool = False) -> WorkflowUses:
        """Publish "id@version" no more, with the aliases that mean it; runs of it keep their definition and go on."""
        return self._wire.carry_out(registry.unpublish(workflow, force=force))

    # -- its life ----------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
