"""What `dev` does beside showing lines: keeps a worker at work that has loaded the components as their files are now.

At most three kinds of worker processes live at a time: the one that serves, one that comes (it loads what has changed,
and takes over if that can be loaded), and those that leave (they finish the steps that they run, and take no more).
"""

from __future__ import annotations

import select
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from cli.commands.dev.changes import SourceFiles
from cli.commands.dev.documents import DocumentChecks
from cli.commands.dev.lines import notice
from cli.commands.dev.worker_process import WorkerProcess
from cli.terminal import end_line_of_key
from openagents_json.errors import FileUnusable

TICK_SECONDS: Final = 0.25
SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Looks after worker processes, for one thread; `start` begins one."""

    def __init__(
        self,
        *,
        start: Callable[[], WorkerProcess],
        grace_seconds: float,
        steady_ms: Callable[[], float],
        folder: Path,
        sources: Iterable[Path],
        documents: DocumentChecks,
        reloads: bool,
    ) -> None:
        self._start = start
        self._grace_seconds = grace_seconds
        self._steady_ms = steady_ms
        self._folder = folder
        self._sources = SourceFiles(folder, sources)
        self._documents = documents
        self._reloads = reloads
        self._serving: WorkerProcess | None = None
        self._coming: WorkerProcess | None = None
        self._leaving: list[WorkerProcess] = []
        self._told: list[str] = []
        self._news = ""
        self._interrupts = 0
        self._code: int | None = None

    def run(self) -> int:
        """Work until somebody ends it; gives the exit code."""
        with self._hearing():
            self._serving = self._start()
            while self._code is None and not self._interrupts:
                self._listen()
                if self._reloads:
                    self._look_at_files()
            if self._code is None:
                return self._end()
            return self._code

    @contextmanager
    def _hearing(self) -> Iterator[None]:
        """Count signals for the time of a block, in which no worker is left behind."""
        before = {number: signal.getsignal(number) for number in SIGNALS}
        for number in SIGNALS:
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
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
        maybe = (self._serving, self._coming, *self._leaving)
        return [process for process in maybe if process is not None]

    # -- what workers say --------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take in what workers say, and which of them have ended."""
        processes = self._processes()
        select.select([p for p in processes if p.is_open], [], [], TICK_SECONDS)
        for process in processes:
            # First the status: what a process said before it ended is read after that.
            status = process.status()
            for message in process.messages():
                self._take(process, message)
            if status is not None:
                self._take_end(process, status)

    def _take(self, process: WorkerProcess, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            self._take_ready(process, message)
        elif process in self._leaving:
            # It takes no more steps from here on, so whatever runs next runs what was loaded last.
            self._tell_news()
        elif process is self._serving and not process.is_ready:
            self._told.append(message["told"])

    def _take_ready(self, process: WorkerProcess, message: Mapping[str, Any]) -> None:
        process.is_ready = True
        self._tell_what_is_served()
        self._sources.take(message["ready"])
        self._documents.take(message["having"], message["specs"])
        if process is self._coming:
            self._take_over(process)
        if self._reloads:
            self._documents.check_all()

    def _tell_what_is_served(self) -> None:
        """Say what the first worker has said of itself, when it is true: now others find its components."""
        told = self._told
        self._told = []
        for line in told:
            notice(line)

    def _take_over(self, process: WorkerProcess) -> None:
        before = self._serving
        self._serving = process
        self._coming = None
        if before is None:
            self._tell_news()
            return
        self._leaving.append(before)
        before.stop()

    def _tell_news(self) -> None:
        """Say what has been loaded, once the worker that has loaded it serves."""
        if self._coming is not None:
            return
        news = self._news
        self._news = ""
        if news:
            notice(news)

    def _take_end(self, process: WorkerProcess, status: int) -> None:
        process.close()
        if process in self._leaving:
            self._leaving.remove(process)
            self._tell_news()
        elif process is self._coming:
            self._coming = None
            self._wait_for_a_change(process)
        elif process is self._serving:
            self._serving = None
            self._replace(process, status)

    def _wait_for_a_change(self, process: WorkerProcess) -> None:
        if process.stops:  # it was replaced before it was there
            return
        self._sources.is_broken = True
        rest = "go on working" if self._serving is not None else "are not working"
        notice(
            f"the components as they were before {rest}; dev tries again when a file changes"
        )

    def _replace(self, process: WorkerProcess, status: int) -> None:
        """Begin another worker in the place of one that has ended by itself."""
        if process.stops:
            return
        if not process.is_ready:  # what it has to say it has said
            self._code = status if status > 0 else 1
            return
        notice(f"the worker has ended (status {status}); another one begins")
        self._news = "another worker is there"
        self._coming = self._coming or self._start()

    # -- what changes ------------------------------------------------------------------------------------

    def _look_at_files(self) -> None:
        changed = self._sources.changed()
        serving = self._serving
        if changed and (serving is None or serving.is_ready):
            self._reload(changed)
        # Before that, nobody knows what documents may name.
        if serving is not None and serving.is_ready:
            self._documents.check_changed()

    def _reload(self, changed: Iterable[Path]) -> None:
        names = ", ".join(self._name(path) for path in changed)
        self._news = f"reloaded: {names}; steps that run already end as they began"
        if self._coming is not None:
            self._coming.kill()
            self._leaving.append(self._coming)
        self._coming = self._start()

    def _name(self, path: Path) -> str:
        folder = self._folder.resolve()
        if path.is_relative_to(folder):
            return str(path.relative_to(folder))
        return path.name

    # -- the end -----------------------------------------------------------------------------------------

    def _end(self) -> int:
        """End all workers in good order; asked again, they give their steps no more time."""
        with suppress(FileUnusable):
            end_line_of_key()
        notice(
            f"stopping: steps that run have {self._grace_seconds:g} s to end; Ctrl-C again gives them none; "
            "their runs go on when a worker is started again"
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
        return 0
