"""A Celery worker around a `Worker`: doorbells start drains; relay, heartbeat and lanes live beside the pool.

With threads, all of it is one process. With prefork, the main process relays and each child works with connections of
its own, made after the fork.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from celery import Celery, signals

from eventstore.errors import EventStoreError
from executor.celery_app import TASK, celery_queue
from executor.worker import Worker

log = logging.getLogger(__name__)

PREFORK = "prefork"


@dataclass(slots=True)
class _Host:
    """The worker of this process: made on first use, and made anew in a child."""

    make: Callable[[], Worker]
    pool: str
    worker: Worker | None = None
    pid: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def here(self) -> Worker:
        with self.lock:
            if self.worker is None or self.pid != os.getpid():
                self.worker, self.pid = self.make(), os.getpid()
            return self.worker

    def begin_main(self) -> None:
        self.here().start(lanes=self.pool != PREFORK, relay=True)

    def begin_child(self) -> None:
        self.lock = threading.Lock()  # the parent's may have been held at the fork
        self.here().start(lanes=True, relay=False)

    def drain(self, queue: str) -> None:
        if not queue.endswith(".async"):  # those have a lane that is always awake
            try:
                self.here().drain(queue)
            except EventStoreError as error:  # the relay rings again when the store is back
                log.warning("draining %s is interrupted: %s", queue, error)

    def ask_to_stop(self) -> None:
        if self.worker is not None:
            self.worker.stopping.set()

    def end(self) -> None:
        if self.worker is not None and self.pid == os.getpid():
            self.worker.stop()
            self.worker = None


def run(app: Celery, make: Callable[[], Worker], queues: Sequence[str], *, concurrency: int, pool: str) -> int:
    """Run until told to stop; gives the exit code."""
    host = _Host(make, pool)
    app.task(host.drain, name=TASK, ignore_result=True)
    keep = _connect(host)
    worker = app.Worker(
        pool=pool,
        concurrency=concurrency,
        queues=[celery_queue(queue) for queue in queues],
        loglevel="WARNING",
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    host.end()
    del keep
    return int(worker.exitcode or 0)


def _connect(host: _Host) -> list[Callable[..., None]]:
    """Hang the worker's life on Celery's; the handlers are held weakly there, so the caller keeps them."""

    def on_init(**_: object) -> None:
        host.begin_main()

    def on_child(**_: object) -> None:
        host.begin_child()

    def on_stop(**_: object) -> None:
        host.ask_to_stop()

    def on_child_end(**_: object) -> None:
        host.end()

    signals.worker_init.connect(on_init)
    signals.worker_process_init.connect(on_child)
    signals.worker_shutting_down.connect(on_stop)
    signals.worker_process_shutdown.connect(on_child_end)
    return [on_init, on_child, on_stop, on_child_end]
