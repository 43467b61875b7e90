"""What a process of a Celery worker is: its `Worker`, and how it begins and ends with Celery's processes.

With prefork, nothing of ours runs before the children are forked, and a child forked later leaves alone what it
inherits from the main process: threads of that may have held locks at the fork. Children do not hear signals: a
component must not be what they interrupt. They hear from the main process, by pipes that close when it asks or ends.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from eventstore.errors import EventStoreError
from eventstore.redis.driver.outages import level_of
from executor.attempts.jobs import Job
from executor.attempts.log_fields import named
from executor.attempts.patience import passes
from executor.worker.abilities import ASYNC, all_queues
from executor.worker.membership import BEAT_SECONDS
from executor.worker.orders import orders_for, told_as_main
from executor.worker.polling import WorkPoller
from executor.worker.worker import STOP_SECONDS, Worker
from openagents_json.errors import OpenAgentsError

log = logging.getLogger(__name__)

PREFORK = "prefork"

AGAIN_SECONDS = 0.5
"""How soon a process that could not begin tries again."""

UNHEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
"""Signals that a terminal or a service manager sends to all processes, and that only the main one acts on."""

CELERY_SECONDS = 5.0
"""How long Celery has for its own end, after our steps are given back; a broker that hangs must not make it longer."""


class RequestPipe:
    """A pipe that closes when the main process asks its children for something, and when it is no more."""

    def __init__(self) -> None:
        self.reader, self._writer = os.pipe()

    def ask(self) -> None:
        """Ask; once is enough."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1


@dataclass(slots=True)
class Host:
    """The worker of this process: made on first use, and made anew in a child."""

    make: Callable[[], Worker]
    stop_celery: Callable[[], None]
    pool: str
    concurrency: int
    grace_seconds: float
    tell: Callable[[str], None] = lambda _: None
    ready: Callable[[], None] = lambda: None
    worker: Worker | None = None
    pid: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    main: int = field(default_factory=os.getpid)
    hangs_up: bool = field(
        default_factory=lambda: signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    )
    begun: bool = False
    early: bool = False
    asked: bool = False
    ordered: bool = False
    """It was told to end from elsewhere, and no signal has said so yet."""

    lookout: WorkPoller | None = None
    ending: RequestPipe = field(default_factory=RequestPipe)
    hurrying: RequestPipe = field(default_factory=RequestPipe)
    inherited: list[Worker | None] = field(default_factory=list)

    def here(self) -> Worker:
        """Return the worker of this process."""
        with self.lock:
            if self.worker is None or self.pid != os.getpid():
                self.inherited.append(
                    self.worker
                )  # kept: what would clean it up needs locks that nobody gives back
                self.worker, self.pid = self.make(), os.getpid()
            return self.worker

    # -- beginning ---------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Hear signals instead of Celery, which ends in other ways by some; early ones are acted on at the begin."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        if self.hangs_up:  # Celery would begin anew, and leave what runs to its leases
            signal.signal(signal.SIGHUP, self._on_signal)
        else:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def begin_main(self) -> None:
        """Begin, once Celery has forked its children."""
        self.listen()  # again: Celery has begun to listen by itself
        worker = self.start_main()
        if self.pool != PREFORK:
            self._look_out(worker, self.concurrency)
        self.begun = True
        self.ready()
        if self.early:
            self._end_soon()

    def start_main(self) -> Worker:
        """Start the worker of the main process, when a store that has gone since it was looked at is back.

        Raises SystemExit when this process is told to end meanwhile.
        """
        pause = threading.Event()
        level = logging.WARNING
        while True:
            try:
                worker = self.here()
                worker.runtime.orders.on_end = self._end_by_order
                worker.start(lanes=self.pool != PREFORK, relay=True)
                return worker
            except EventStoreError as error:
                if not passes(error):
                    raise
                log.log(level, "this worker begins later: %s", error)
                level = logging.DEBUG  # once is enough
            if self.early:
                raise SystemExit(0)
            pause.wait(AGAIN_SECONDS)

    def begin_child(self) -> None:
        """Begin in a child, with connections of its own."""
        for number in UNHEARD:
            signal.signal(number, signal.SIG_IGN)
        self.lock = threading.Lock()  # the parent's may have been held at the fork
        self.begun = False  # whatever the parent was when this process was forked
        if not self._try_to_begin():
            # Celery ends children that are not there soon, and begins others: that would go on for as long as the
            # store is away.
            threading.Thread(
                target=self._begin_later, name="openagents-begin", daemon=True
            ).start()

    def _try_to_begin(self) -> bool:
        """Begin in a child, and tell whether that was possible; a try that fails leaves nothing that runs."""
        try:
            worker = self.here()
            worker.kill_stuck = self._end_child
            limits_memory = worker.runtime.settings.limits_memory
            if limits_memory:
                worker.limit_memory(lambda: os._exit(1))
            # The steps of a lane share their process, so there is none where a step may end it.
            worker.start(lanes=not limits_memory, relay=False)
        except EventStoreError as error:
            log.log(level_of(error), "a child process begins later: %s", error)
            return False
        self._look_out(worker, 1)
        for target, name in ((self._follow_main, "follow"), (self._heed, "orders")):
            threading.Thread(
                target=target, name=f"openagents-{name}", daemon=True
            ).start()
        self.begun = True
        return True

    def _begin_later(self) -> None:
        pause = threading.Event()
        while not self._try_to_begin():
            pause.wait(AGAIN_SECONDS)

    def _look_out(self, worker: Worker, slots: int) -> None:
        runtime = worker.runtime
        bell = runtime.ringer.bell
        queues = runtime.settings.queues
        if worker.limited is not None:
            queues = all_queues(queues)
        self.lookout = WorkPoller(
            waiting=bell.waiting,
            drain=self._work,
            queues=queues,
            slots=slots,
            clock=runtime.clock,
            stopping=worker.stopping,
        )
        self.lookout.start()

    # -- working -----------------------------------------------------------------------------------------

    def drain(self, queue: str) -> None:
        """Drain a queue for which a bell was rung, if it is one of this worker's."""
        if not self.begun:  # it looks for work by itself when it has
            return
        if queue.removesuffix(".async") not in self.here().runtime.settings.queues:
            log.warning(
                "a bell was rung for a queue that this worker does not serve: it is not drained"
            )
        elif self.lookout is not None and not self._has_lane(queue):
            with self.lookout.heard(queue):
                self._work(queue)

    def _has_lane(self, queue: str) -> bool:
        """Tell whether a queue has a lane here, which is always awake."""
        return queue.endswith(ASYNC) and self.here().limited is None

    def _work(self, queue: str) -> None:
        try:
            self.here().drain(queue)
        except OpenAgentsError as error:  # the relay rings again when the store is back
            level = level_of(error)
            log.log(level, "draining %s is interrupted: %s", queue, error)
        except Exception:  # Celery would print the same at length, and more of it
            log.exception("draining %s met a defect of the engine", queue)
        self._leave_if_retiring()

    def _leave_if_retiring(self) -> None:
        """End a child that should be replaced by a new one, soon: Celery has to hear first that its task has ended."""
        limited = self.here().limited
        if limited is not None and limited.retiring:
            threading.Thread(
                target=self._leave, name="openagents-leave", daemon=True
            ).start()

    def _leave(self) -> None:
        pause = threading.Event()
        pause.wait(AGAIN_SECONDS)
        # What authors wrote to clean up may hang, and nothing is done here any more.
        threading.Timer(CELERY_SECONDS, os._exit, [0]).start()
        try:
            self.end()
        finally:
            os._exit(0)

    # -- ending ------------------------------------------------------------------------------------------

    def _on_signal(self, _number: int, _frame: object) -> None:
        """Ask for the end; asked again, what runs gets no more time."""
        if os.getpid() != self.main:
            return
        if not self.begun:
            self.early = True
        elif self.asked and self.ordered:
            # Whoever looks after this process tells it what it was told already: that is no hurry.
            self.ordered = False
        elif self.asked:
            self.hurrying.ask()
            if self.worker is not None:
                self.worker.hurry()
        else:
            self._end_soon()

    def _end_by_order(self) -> None:
        self.ordered = True
        # As a signal: it wakes the main thread, whatever that waits for.
        os.kill(self.main, signal.SIGTERM)

    def _end_soon(self) -> None:
        self.stop_celery()
        self.ask_to_stop()

    def ask_to_stop(self) -> None:
        """Begin to end: this process, and its children."""
        if not self.asked:
            self.asked = True
            self.ending.ask()
            threading.Thread(
                target=self._end_main, name="openagents-wind-down", daemon=True
            ).start()

    def _say_that_it_stops(self) -> None:
        # Nobody may listen any more, and that is no reason not to end in good order.
        with suppress(OSError, OpenAgentsError):
            self.tell(
                f"stopping: steps that run have {self.grace_seconds:g} s to end; Ctrl-C again "
                "gives them none; their runs go on when a worker is started again"
            )

    def _end_main(self) -> None:
        # On a thread of its own: a terminal that takes no more text must not keep the steps from ending.
        threading.Thread(
            target=self._say_that_it_stops, name="openagents-notice", daemon=True
        ).start()
        self._wind_down()
        waits = CELERY_SECONDS + (
            self.grace_seconds + STOP_SECONDS if self.pool == PREFORK else 0
        )
        threading.Event().wait(waits)
        log.warning("Celery does not come to its end; this process ends without it")
        self.end()
        os._exit(0)

    def _wind_down(self) -> None:
        if self.worker is not None and self.worker.wind_down(self.grace_seconds):
            log.warning(
                "steps that did not stop are given back; this process ends without them"
            )
            os._exit(0)

    def _follow_main(self) -> None:
        self.ending.ask()  # this process's end of it: else it would never be closed for all
        self.hurrying.ask()
        select.select([self.ending.reader], [], [])
        threading.Thread(
            target=self._hear_of_hurry, name="openagents-hurry", daemon=True
        ).start()
        self._wind_down()

    def _heed(self) -> None:
        """Heed what the main process is told, in a child: that beats for all of them, and takes no steps."""
        worker = self.here()
        runtime = worker.runtime
        name = worker.name.rsplit(":", 2)[0]
        main = f"{name}:{os.getppid()}:"
        while not worker.stopping.wait(BEAT_SECONDS):
            with suppress(EventStoreError):
                in_force = runtime.directory.orders.in_force()
                alive = runtime.directory.workers() if in_force else ()
                me = told_as_main(main, in_force, alive) or worker.name
                runtime.orders.heed(orders_for(me, runtime.settings.queues, in_force))

    def _hear_of_hurry(self) -> None:
        select.select([self.hurrying.reader], [], [])
        self.here().hurry()

    def _end_child(self, job: Job) -> None:
        """End this process: a component in it does not stop, and Celery will start another in its place."""
        log.error(
            "step %s of run %s does not stop: its process is ended",
            job.lease.step,
            job.lease.run,
            extra=named(job.lease),
        )
        self.here().wind_down(0)
        os._exit(1)

    def end(self) -> None:
        """End in good order, when Celery has."""
        if self.worker is not None and self.pid == os.getpid():
            self.worker.stop()
            self.worker = None
