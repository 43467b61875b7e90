"""A client of a service in the place of an engine: no command knows that its store is reached over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final

import click

from openagents_json.client import Client, NeedsStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from openagents_json.engine import Engine, Settings
    from openagents_json.engine.documents import Document
    from openagents_json.engine.inspection.queries import Queries


RETRY_SECONDS: Final = 10.0
"""How long a service that is away is waited for: somebody sits before it."""


@contextmanager
def remote_engine(settings: Settings) -> Iterator[Engine]:
    """Open a client of the service at the URL of the settings, as commands use an engine.

    Raises InvalidServiceUrl, InvalidServiceKey and ClientNotInstalled.
    """
    key = settings.api_key or None
    with Client(settings.url, api_key=key, retry_seconds=RETRY_SECONDS) as client:
        opened: Any = RemoteEngine(client)
        yield opened


@contextmanager
def remote_views(settings: Settings) -> Iterator[Queries]:
    """Open the views of the store behind a service."""
    with remote_engine(settings) as engine:
        yield engine.views


class Offered:
    """A part of a client; what it has not is told as that, with the command that wanted it."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        """Return what the client offers.

        Raises NeedsStore.
        """
        if name.startswith("_") or not hasattr(self._part, name):
            raise NeedsStore(f"`{click.get_current_context().command_path}`")
        return getattr(self._part, name)


class RemoteViews(Offered):
    """The views of a client."""

    def now_ms(self) -> int:
        """Return the time, by which ages are shown."""
        return _now_ms()


class RemoteWorkflows(Offered):
    """The published workflows of a client."""

    def resolve(self, reference: str) -> RemotePlan:
        """Return the plan of a published workflow, as far as a service tells it.

        Raises UnknownWorkflow.
        """
        published = self._part.version(reference)
        return RemotePlan(
            published.id,
            published.version,
            declared_by(published.document),
            published.hash,
            {"document": published.document},
        )


class RemoteEngine(Offered):
    """A client with what commands ask of an engine beside its calls."""

    @property
    def views(self) -> Any:
        """Return the views of the store."""
        return RemoteViews(self._part.views)

    @property
    def replay(self) -> Any:
        """Return what can be done with the past of runs."""
        return Offered(self._part.replay)

    @property
    def schedules(self) -> Any:
        """Return the schedules of the store."""
        return Offered(self._part.schedules)

    @property
    def hooks(self) -> Any:
        """Return the inbound hooks of the store."""
        return Offered(self._part.hooks)

    @property
    def webhooks(self) -> Any:
        """Return the webhooks of the store."""
        return Offered(self._part.webhooks)

    @property
    def workflows(self) -> Any:
        """Return the published workflows of the store."""
        return RemoteWorkflows(self._part.workflows)

    @property
    def archive(self) -> Any:
        """Return what keeps runs from being erased."""
        return Offered(self._part.archive)

    @property
    def clock(self) -> LocalClock:
        """Return the clock of this machine."""
        return LocalClock()

    def now_ms(self) -> int:
        """Return the time, by which ages are shown."""
        return _now_ms()

    def foreach_items(self, _run: str, _path: str) -> None:
        """Return nothing: how many items there are is not told over HTTP, and progress goes without it."""

    def lacking(self, run: str) -> dict[str, str]:
        """Return the steps of a run that no live worker can run, where there is no worker at all."""
        seen = self._part.overview(run)
        if seen.has_worker:
            return {}
        return {wait.step: wait.reason for wait in seen.waits if not wait.signals}

    def waits_for_signal(self, run: str) -> bool:
        """Tell whether nothing but a signal lets a run go on."""
        waits = self._part.overview(run).waits
        return bool(waits) and all(wait.signals for wait in waits)

    def schemas_of_signal(self, run: str, name: str) -> list[Any]:
        """Return the schemas of the steps of a run that wait for a signal."""
        waits = self._part.overview(run).waits
        signals = (signal for wait in waits for signal in wait.signals)
        return [signal.schema for signal in signals if signal.name == name]

    def plan(self, workflow: Document, *, seed: str = "") -> RemotePlan:
        """Return what a workflow declares.

        Raises UnknownWorkflow and DocumentUnreadable.
        """
        del (
            seed
        )  # which version an alias means is decided by the service, when the run begins
        from openagents_json.client.calls.documents import sent_workflow

        content = sent_workflow(workflow)
        if not isinstance(content, str):
            return RemotePlan("", "", declared_by(content))
        id_, _, version = content.partition("@")
        published = self._part.workflows.document(content)
        return RemotePlan(id_, version or "*", declared_by(published))


@dataclass(frozen=True, slots=True)
class RemotePlan:
    """What commands ask of a plan: which workflow it is, and which inputs it declares."""

    id: str
    version: str
    parameters: Mapping[str, Any]
    hash: str = ""
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        """Return the time since the epoch in ms."""
        return _now_ms()

    def steady_ms(self) -> float:
        """Return a time that never goes back, in ms."""
        return monotonic() * 1000


def declared_by(document: Any) -> Mapping[str, Any]:
    """Return the inputs that a document declares; what is wrong with one, the service says."""
    declared = document.get("inputs") if isinstance(document, dict) else None
    return declared if isinstance(declared, dict) else {}


def _now_ms() -> int:
    return int(time() * 1000)
