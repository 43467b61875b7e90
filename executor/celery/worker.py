"""A Celery worker around a `Worker`: doorbells start drains; relay, heartbeat and lanes live beside the pool.

With threads, all of it is one process. With prefork, the main process relays and each child works with connections of
its own, made after the fork.
"""

from __future__ import annotations

import gc
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

from celery import Celery, bootsteps, signals
from celery.exceptions import SecurityWarning
from celery.worker import state

from eventstore.passwords import mask_log_records
from executor.celery.app import TASK
from executor.celery.host import Host
from executor.celery.intake import CarefulAmqp, CarefulConsumer
from executor.celery.lost_children import tell_of_lost_children_in_a_line
from executor.celery.outages import BrokerOutage
from executor.clock import SystemClock
from executor.worker.worker import Worker

SWITCH_SECONDS: Final = 0.001
"""How long a thread of a worker process may hold the interpreter while another one waits for it."""


def run(
    app: Celery,
    make: Callable[[], Worker],
    queues: Sequence[str],
    *,
    concurrency: int,
    pool: str,
    grace_seconds: float,
    broker_level: int = logging.WARNING,
    tell: Callable[[str], None] = lambda _: None,
    ready: Callable[[], None] = lambda: None,
) -> int:
    """Run until told to stop, which `tell` is told, then for `grace_seconds` at most; gives the exit code.

    `ready` is called when it has begun to work; `broker_level` is how loud it says that the broker is away.
    """
    mask_log_records()
    tell_of_lost_children_in_a_line()
    warnings.simplefilter(
        "ignore", SecurityWarning
    )  # about root and pickle, which is not accepted here
    app.amqp_cls = CarefulAmqp
    host = Host(make, _stop_celery, pool, concurrency, grace_seconds, tell, ready)
    app.task(host.drain, name=TASK, ignore_result=True)
    app.steps["worker"].add(_after_the_pool(host))
    keep = _connect(host)
    outage = BrokerOutage(SystemClock().steady_ms, broker_level)

    class WatchfulConsumer(CarefulConsumer):
        broker_outage = outage

    host.listen()
    worker = app.Worker(
        pool=pool,
        concurrency=concurrency,
        queues=list(queues),
        loglevel="WARNING",
        consumer_cls=WatchfulConsumer,
        optimization="fair",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    _collect_less()
    _switch_sooner()
    worker.start()
    host.end()
    del keep
    if host.asked:
        return 0
    return int(worker.exitcode or 0)  # Celery calls an end by Ctrl-C a failure


def _stop_celery() -> None:
    """Let Celery end in good order, whichever signal came: any other way would interrupt what runs."""
    state.should_stop = 0


def _switch_sooner() -> None:
    """Let a thread that was woken run within a ms: what folds views or relays beside it could keep it waiting for five.

    A step is a few of such wake-ups, and how long the slowest runs take is what they add up to.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def _collect_less() -> None:
    """Let the garbage collector look less often: what a step leaves is freed by counting, and cycles are rare."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def _after_the_pool(host: Host) -> type[Any]:
    """Return the step of Celery's start that begins ours: the children are forked, and no broker is needed yet."""

    class Begin(bootsteps.StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Pool",)

        def start(self, _parent: object) -> None:
            host.begin_main()

    return Begin


def _connect(host: Host) -> list[Callable[..., None]]:
    """Hang the worker's life on Celery's; the handlers are held weakly there, so the caller keeps them."""

    def on_child(**_: object) -> None:
        host.begin_child()

    def on_stop(**_: object) -> None:
        host.ask_to_stop()

    def on_child_end(**_: object) -> None:
        host.end()

    signals.worker_process_init.connect(on_child)
    signals.worker_shutting_down.connect(on_stop)
    signals.worker_process_shutdown.connect(on_child_end)
    # Whoever receives this signal sets up the log, so Celery leaves it as it is.
    signals.setup_logging.connect(_leave_the_log_alone)
    return [on_child, on_stop, on_child_end]


def _leave_the_log_alone(**_: object) -> None:
    """Set up nothing: the log is the command's."""
