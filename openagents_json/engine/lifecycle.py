"""The life of an engine: it comes to its store, works on it if it is asked to, and closes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import cache, cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from eventstore.errors import InvalidRequest
from eventstore.redis.driver.urls import FORMS
from openagents_json.engine.components import queues_of
from openagents_json.engine.open import OpenStore, open_store
from openagents_json.engine.settings import (
    EMBEDDED,
    NO_BROKER,
    OF_A_SERVER,
    Settings,
    program_settings,
)
from openagents_json.engine.wiring.parts import LazyParts

if TYPE_CHECKING:
    from executor.runs.codec import Limits
    from executor.worker.runtime import WorkSettings
    from executor.worker.worker import Worker
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.consistency.positions import LogPositions
    from openagents_json.engine.remote_work.parts import RemoteParts
    from openagents_json.engine.telemetry.port import Telemetry
    from openagents_json.engine.wiring.client import Core
    from projections.projection import Projection


STORE = "store"
"""The broker that is the store's own server."""


@cache
def _made_once(kind: Any) -> tuple[str, ...]:
    """Return the parts of an engine that are made when they are asked for first."""
    return tuple(
        name for name in dir(kind) if isinstance(getattr(kind, name), cached_property)
    )


class Lifecycle:
    """What opens, works and closes."""

    core: Core
    registry: Registry
    url: str
    actor: str

    def __init__(self, opened: OpenStore, *, actor: str) -> None:
        self.core = opened.core
        self.registry = opened.registry
        self.url = opened.url
        self.actor = actor
        self._close = opened.close
        self._worker: Worker | None = None
        self._remote = LazyParts(self._remote_parts)

    @classmethod
    def open(
        cls,
        settings: Settings,
        *,
        components: Iterable[Any] | Registry | None = None,
        workers: int = 0,
        projections: Iterable[Projection] = (),
        limits: Limits | None = None,
        create: bool = True,
        telemetry: Telemetry | None = None,
    ) -> Self:
        """Open the store of the settings: at their URL, or else with a server of its own in their data directory.

        `workers` threads of this program run the components: those given, or without them all that the program has
        declared. A store that is there already keeps its number of partitions; without `create`, it has to be there.
        Close it, or use it as a context manager. `limits` count in the place of those of the settings; `telemetry` gets
        the numbers of what is committed, claimed and waited for.

        Raises eventstore.errors.EventStoreError, KeyUnusable and InvalidKey.
        """
        opened = open_store(
            settings,
            components=components,
            projections=projections,
            limits=limits,
            create=create,
            telemetry=telemetry,
        )
        engine = cls(opened, actor=settings.actor or "program")
        try:
            has_components = workers and any(True for _ in engine.registry.names())
            if has_components:
                engine.work_as(settings, workers)
        except BaseException:
            engine.close()
            raise
        return engine

    @classmethod
    def embedded(
        cls,
        path: str | Path,
        *,
        components: Iterable[Any] | Registry | None = None,
        workers: int = 2,
        durability: str = "everysec",
        partitions: int = EMBEDDED,
        actor: str = "program",
        lease_ms: int = 10_000,
        leases: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        projections: Iterable[Projection] = (),
        audit_key: str | Path | None = None,
        encryption_keys: Sequence[str] = (),
        create: bool = True,
        prefix: str = "oa",
        telemetry: Telemetry | None = None,
    ) -> Self:
        """Open the store in a directory, with a server of its own; else as `open`.

        With `encryption_keys`, base64 of 32 bytes each, the payloads of runs that are started here are encrypted.
        `audit_key` is the file of the ledger's private key: workers that have it seal the log.
        """
        settings = program_settings(
            data=str(path),
            prefix=prefix,
            partitions=partitions,
            durability=durability,
            actor=actor,
            lease_ms=lease_ms,
            leases=leases,
            audit_key=audit_key,
            encryption_keys=encryption_keys,
        )
        return cls.open(
            settings,
            components=components,
            workers=workers,
            projections=projections,
            limits=limits,
            create=create,
            telemetry=telemetry,
        )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        broker: str | None = STORE,
        components: Iterable[Any] | Registry | None = None,
        workers: int = 0,
        prefix: str = "oa",
        partitions: int = OF_A_SERVER,
        durability: str = "everysec",
        replicas: int = 0,
        replica_timeout_ms: int = 2000,
        actor: str = "program",
        lease_ms: int = 10_000,
        leases: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        projections: Iterable[Projection] = (),
        audit_key: str | Path | None = None,
        encryption_keys: Sequence[str] = (),
        create: bool = True,
        telemetry: Telemetry | None = None,
    ) -> Self:
        """Open a store on a server; with `workers`, threads of this program run the given components too.

        Worker processes that sleep are woken through a `broker`: the store's own server, unless another URL is given;
        with None or "", nobody is woken, and they find the work some seconds later by themselves.
        At durability `replicated`, nothing is acknowledged and no step begins before so many `replicas` have confirmed
        it, each time within `replica_timeout_ms`; 0 stands for all replicas that are connected. Else as `embedded`.
        Raises InvalidRequest without a URL, too.
        """
        if not url:  # the settings would take that for the store in a directory, which nobody has asked for
            raise InvalidRequest(
                "there is no URL of a store",
                remedy=f"it must begin with {FORMS}",
            )
        settings = program_settings(
            url=url,
            broker="" if broker == STORE else broker or NO_BROKER,
            prefix=prefix,
            partitions=partitions,
            durability=durability,
            replicas=replicas,
            replica_timeout_ms=replica_timeout_ms,
            actor=actor,
            lease_ms=lease_ms,
            leases=leases,
            audit_key=audit_key,
            encryption_keys=encryption_keys,
        )
        return cls.open(
            settings,
            components=components,
            workers=workers,
            projections=projections,
            limits=limits,
            create=create,
            telemetry=telemetry,
        )

    def work_here(
        self,
        workers: int,
        *,
        lease_ms: int = 10_000,
        leases: Mapping[str, int] | None = None,
    ) -> None:
        """Begin to run the components of this engine, on so many threads of this program."""
        from executor.attempts.step_limits import limits_of_components
        from executor.worker.runtime import WorkSettings

        queues = queues_of(self.registry)
        limits = limits_of_components(queues, self.registry, self.registry.specs())
        self.work(
            WorkSettings(
                queues,
                workers,
                lease_ms,
                leases=leases or {},
                limits=limits.without_memory(),
            )
        )

    def work_as(self, settings: Settings, workers: int) -> None:
        """Begin to run the components of this engine as settings say, on so many threads of this program for each type.

        Memory limits are not held here: threads share the memory of their program.
        """
        from openagents_json.engine.worker_types.settle import in_this_process

        queues = queues_of(self.registry)
        self.work(in_this_process(settings, queues, workers, self.registry))

    def work(self, settings: WorkSettings) -> Worker:
        """Begin to run steps on threads of this program."""
        from openagents_json.engine.wiring.worker import build_worker

        self._worker = build_worker(self.core, self.registry, settings, name=self.actor)
        self._worker.start()
        self._worker.run_threads()
        return self._worker

    def _remote_parts(self) -> RemoteParts:
        from openagents_json.engine.remote_work.parts import RemoteParts

        return RemoteParts(self.core, lambda: self._worker is not None)

    @property
    def log_positions(self) -> LogPositions:
        """Return what tells callers where the log is, and waits for that elsewhere."""
        from openagents_json.engine.consistency.positions import LogPositions

        return LogPositions(self.core)

    @property
    def telemetry(self) -> Telemetry | None:
        """Return what gets the numbers of this engine, if anybody does."""
        return self.core.telemetry

    def acting_as(self, actor: str) -> Self:
        """Return this engine in the name of somebody: on the same store, which the original closes."""
        kind: Any = type(self)
        for part in _made_once(kind):
            getattr(
                self, part
            )  # both have the same caches, and one thread that watches
        other = copy(self)
        other.actor = actor
        return other

    def once(self, commit: str, after: int, on_repeat: Callable[[], None]) -> Self:
        """Return this engine for one request: its command is carried out once, whoever sends it again.

        `commit` names it in the log of its run, behind the version `after`; `on_repeat` is called if it is there.
        """
        from openagents_json.engine.steering.requests import carrying_out_once

        other = self.acting_as(self.actor)
        other.core = carrying_out_once(self.core, commit, after, on_repeat)
        return other

    def close(self, *, grace_seconds: float = 10.0) -> None:
        """Stop the threads, then the connections, then the server if nobody else uses it.

        Steps under way get `grace_seconds` to finish; what is left then goes to other workers, or waits for the next.
        """
        remote = self._remote.taken()
        if remote is not None:
            remote.close()
        worker = self._worker
        self._worker = None
        if worker is not None:
            worker.stop(grace_seconds)
        # After the threads, whose last commits may end a wait; before the connections that those who wait use.
        watcher = vars(self).get("watcher")
        if watcher is not None:
            watcher.close()
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
