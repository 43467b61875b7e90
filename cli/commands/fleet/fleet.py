"""The processes of several worker types, looked after by one thread.

No type can keep another one waiting: they share neither slots nor a process. A process that ends by itself is replaced;
one that is not needed any more takes no more steps, and finishes those that it runs.
"""

from __future__ import annotations

import select
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from cli.commands.dev.worker_process import WorkerProcess
from openagents_json.engine.worker_types.autoscaling import (
    Load,
    Policy,
    Scale,
    first_scale,
    next_scale,
)
from openagents_json.errors import OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine.worker_types.settle import TypeProcesses

TICK_SECONDS: Final = 0.25
LOOK_MS: Final = 1000.0
AGAIN_MS: Final = 1000.0
"""How soon a process that has ended by itself is replaced: one that cannot go on must not be begun all the time."""

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP)


@dataclass(slots=True)
class _Served:
    """One worker type with its processes; `scale` says how many there should be."""

    worker_type: TypeProcesses
    policy: Policy
    scale: Scale
    not_before_ms: float = 0.0
    processes: list[WorkerProcess] = field(default_factory=list)

    @property
    def is_scaled(self) -> bool:
        """Tell whether there may be more processes at some times than at others."""
        return self.worker_type.at_most > self.worker_type.at_least

    @property
    def at_work(self) -> list[WorkerProcess]:
        """Return the processes that have not been told to end."""
        return [process for process in self.processes if not process.stops]


class Fleet:
    """Looks after the processes of worker types; `start` begins one."""

    def __init__(
        self,
        types: Sequence[TypeProcesses],
        *,
        start: Callable[[TypeProcesses], WorkerProcess],
        loads: Callable[[], Mapping[str, Load]],
        grace_seconds: float,
        steady_ms: Callable[[], float],
        tell: Callable[[str], None],
    ) -> None:
        self._start = start
        self._loads = loads
        self._grace_seconds = grace_seconds
        self._steady_ms = steady_ms
        self._tell = tell
        self._interrupts = 0
        self._code: int | None = None
        self._looked_ms = steady_ms()
        self._served = list(map(self._begin, types))
        self._scaled = list(filter(attrgetter("is_scaled"), self._served))

    def _begin(self, worker_type: TypeProcesses) -> _Served:
        policy = Policy(worker_type.at_least, worker_type.at_most)
        return _Served(worker_type, policy, first_scale(policy, self._looked_ms))

    def run(self) -> int:
        """Work until somebody ends it; gives the exit code."""
        with self._hearing():
            while self._code is None and not self._interrupts:
                self._fill()
                self._listen()
                self._scale()
            self._end()
        return self._code or 0

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Count signals for the time of a block, in which no process is left behind."""
        heard = [n for n in SIGNALS if signal.getsignal(n) is not signal.SIG_IGN]
        before = {number: signal.signal(number, self._on_signal) for number in heard}
        try:
            yield
        finally:
            for process in self._processes():
                process.kill()
                process.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, _number: int, _frame: object) -> None:
        self._interrupts += 1

    def _processes(self) -> list[WorkerProcess]:
        by_type = map(attrgetter("processes"), self._served)
        return list(chain.from_iterable(by_type))

    # -- as many as there should be ----------------------------------------------------------------------

    def _fill(self) -> None:
        now = self._steady_ms()
        for served in self._served:
            if now >= served.not_before_ms:
                lacking = max(0, served.scale.count - len(served.at_work))
                begin = repeat(served.worker_type, lacking)
                served.processes += map(self._start, begin)

    def _scale(self) -> None:
        """Look once a second whether steps wait, where that matters."""
        now = self._steady_ms()
        if not self._scaled or now - self._looked_ms < LOOK_MS:
            return
        self._looked_ms = now
        try:
            loads = self._loads()
        except OpenAgentsError:  # the workers say that the store is away
            return
        for served in self._scaled:
            self._scale_to(served, loads[served.worker_type.queue], now)

    def _scale_to(self, served: _Served, load: Load, now_ms: float) -> None:
        working = sum(process.is_ready for process in served.at_work)
        before = served.scale.count
        served.scale = next_scale(served.scale, load, working, served.policy, now_ms)
        count = served.scale.count
        if count == before:
            return
        self._tell(f"{served.worker_type.name}: {count} processes, after {before}")
        for process in served.at_work[count:]:
            process.stop()

    # -- what processes say ------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take in what processes say, and which of them have ended."""
        open_ones = filter(attrgetter("is_open"), self._processes())
        select.select(list(open_ones), [], [], TICK_SECONDS)
        for served in self._served:
            for process in list(served.processes):
                self._hear(served, process)

    def _hear(self, served: _Served, process: WorkerProcess) -> None:
        # First the status: what a process said before it ended is read after that.
        status = process.status()
        for message in process.messages():
            if "ready" in message:
                process.is_ready = True
            elif not process.stops:
                self._tell(f"{served.worker_type.name}: {message['told']}")
        if status is not None:
            self._take_end(served, process, status)

    def _take_end(self, served: _Served, process: WorkerProcess, status: int) -> None:
        process.close()
        served.processes.remove(process)
        if process.stops:
            return
        name = served.worker_type.name
        # One that ends well before it is ready was told to; what another one has to say it has said.
        if not process.is_ready and status != 0:
            self._code = status if status > 0 else 1
            return
        self._tell(f"{name}: a process has ended (status {status}); another one begins")
        served.not_before_ms = self._steady_ms() + AGAIN_MS

    # -- the end -----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End all processes in good order; asked again, they give their steps no more time."""
        self._tell(
            f"stopping: steps that run have {self._grace_seconds:g} s to end; Ctrl-C again gives them none"
        )
        ends = self._steady_ms() + 1000 * self._grace_seconds
        while processes := self._processes():
            hurried = self._interrupts > 1 or self._steady_ms() > ends
            for process in processes:
                if process.stops < (2 if hurried else 1):
                    process.stop()
                elif self._interrupts > 2:
                    process.kill()
            self._listen()
