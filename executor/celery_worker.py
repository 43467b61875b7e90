"""A Celery worker around a `Worker`: doorbells start drains; relay, heartbeat and lanes live beside the pool.

With threads, all of it is one process. With prefork, the main process relays and each child works with connections of
its own, made after the fork.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from celery import Celery, bootsteps, signals
from celery.exceptions import SecurityWarning

from eventstore.errors import EventStoreError
from executor.celery_app import TASK, celery_queue
from executor.jobs import Job
from executor.worker import Worker

log = logging.getLogger(__name__)

PREFORK = "prefork"


@dataclass(slots=True)
class _Host:
    """The worker of this process: made on first use, and made anew in a child."""

    make: Callable[[], Worker]
    pool: str
    grace_seconds: float
    worker: Worker | None = None
    pid: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    pipe: tuple[int, int] | None = None
    asked: bool = False

    def here(self) -> Worker:
        with self.lock:
            if self.worker is None or self.pid != os.getpid():
                self.worker, self.pid = self.make(), os.getpid()
            return self.worker

    def begin_main(self) -> None:
        if self.pool == PREFORK:
            self.pipe = os.pipe()  # closed when the main process ends, however it ends: so its children know
        self.here().start(lanes=self.pool != PREFORK, relay=True)

    def begin_child(self) -> None:
        self.lock = threading.Lock()  # the parent's may have been held at the fork
        worker = self.here()
        worker.kill_stuck = self.end_child
        worker.start(lanes=True, relay=False)
        threading.Thread(target=self.follow_main, name="openagents-follow", daemon=True).start()

    def follow_main(self) -> None:
        if self.pipe is not None:
            os.close(self.pipe[1])
            os.read(self.pipe[0], 1)
            self.wind_down()

    def end_child(self, job: Job) -> None:
        """End this process: a component in it does not stop, and Celery will start another in its place."""
        log.error("step %s of run %s does not stop: its process is ended", job.lease.step, job.lease.run)
        self.here().wind_down(0)
        os._exit(1)

    def drain(self, queue: str) -> None:
        if not queue.endswith(".async"):  # those have a lane that is always awake
            try:
                self.here().drain(queue)
            except EventStoreError as error:  # the relay rings again when the store is back
                log.warning("draining %s is interrupted: %s", queue, error)
            except Exception:  # Celery would print the same at length, and more of it
                log.exception("draining %s met a defect of the engine", queue)

    def ask_to_stop(self) -> None:
        self.asked = True
        if self.pipe is not None:
            os.close(self.pipe[1])
            self.pipe = None
        threading.Thread(target=self.wind_down, name="openagents-wind-down", daemon=True).start()

    def wind_down(self) -> None:
        if self.worker is not None and self.worker.wind_down(self.grace_seconds):
            log.warning("steps that did not stop are given back; this process ends without them")
            os._exit(0)

    def end(self) -> None:
        if self.worker is not None and self.pid == os.getpid():
            self.worker.stop()
            self.worker = None


def run(
    app: Celery, make: Callable[[], Worker], queues: Sequence[str], *, concurrency: int, pool: str, grace_seconds: float
) -> int:
    """Run until told to stop, then for `grace_seconds` at most; gives the exit code."""
    warnings.simplefilter("ignore", SecurityWarning)  # about root and pickle, which is not accepted here
    host = _Host(make, pool, grace_seconds)
    app.task(host.drain, name=TASK, ignore_result=True)
    keep = _connect(host)
    _keep_signals_for_celery(app)
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
    _collect_less()
    worker.start()
    host.end()
    del keep
    return 0 if host.asked else int(worker.exitcode or 0)  # Celery calls an end by Ctrl-C a failure


def _keep_signals_for_celery(app: Celery) -> None:
    """Keep a signal that comes before Celery listens, in `worker.start`, and give it again then.

    Steps may be claimed before that: without a handler, the process would end and leave them to their leases.
    """
    told: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: told.append(number))

    class Listening(bootsteps.StartStopStep):  # type: ignore[misc] # Celery has no types
        def start(self, _: object) -> None:
            if told:
                os.kill(os.getpid(), told[0])

    app.steps["worker"].add(Listening)


def _collect_less() -> None:
    """Let the garbage collector look less often: what a step leaves is freed by counting, and cycles are rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


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
