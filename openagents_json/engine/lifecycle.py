"""The life of an engine: it comes to its store, works on it if it is asked to, and closes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

if TYPE_CHECKING:
    from executor.runs.codec import Limits
    from executor.worker.runtime import WorkSettings
    from executor.worker.worker import Worker
    from openagents_json.catalog.registry import Registry
    from openagents_json.engine.telemetry.port import Telemetry
    from openagents_json.engine.wiring.client import Core
    from projections.projection import Projection


STORE = "store"
"""The broker that is the store's own server."""


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
            if workers and any(True for _ in engine.registry.names()):
                engine.work_here(
                    workers, lease_ms=settings.lease_ms, leases=settings.leases
                )
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
                f"there is no URL of a store; it must begin with {FORMS}"
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
        from executor.worker.runtime import WorkSettings

        self.work(
            WorkSettings(
                queues_of(self.registry), workers, lease_ms, leases=leases or {}
            )
        )

    def work(self, settings: WorkSettings) -> Worker:
        """Begin to run steps on threads of this program."""
        from openagents_json.engine.wiring.worker import build_worker

        self._worker = build_worker(self.core, self.registry, settings, name=self.actor)
        self._worker.start()
        self._worker.run_threads()
        return self._worker

    def close(self, *, grace_seconds: float = 10.0) -> None:
        """Stop the threads, then the connections, then the server if nobody else uses it.

        Steps under way get `grace_seconds` to finish; what is left then goes to other workers, or waits for the next.
        """
        worker, self._worker = self._worker, None
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
