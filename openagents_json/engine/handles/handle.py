"""A run as a program holds it: its id, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from eventstore.event import Emitted
from executor.errors import RunNotFound
from openagents_json.engine.answers.runs import HistoryEvent, Result
from openagents_json.engine.handles.outputs import output_of
from openagents_json.statuses import CLOSED_RUN

if TYPE_CHECKING:
    from eventstore.run_model import RunPosition
    from openagents_json.engine.handles.watcher import RunWatcher
    from openagents_json.engine.wiring.client import Core

Output = TypeVar("Output")

BLOCK_MS = 1000

LATE_MS = 200
"""How long is looked for what components showed last: it is written beside the log, and may arrive after the end."""


class Runs(Protocol):
    """What a handle needs of its engine."""

    core: Core

    @property
    def watcher(self) -> RunWatcher:
        """Return what watches runs for event loops."""
        ...

    def wait(self, run: str, *, timeout: float | None = None) -> Result:
        """Wait until a run has ended."""
        ...

    def watch(self, run: str, *, after: int, block_ms: int) -> list[HistoryEvent]:
        """Return the next events of a run."""
        ...

    def emitted(self, run: str, *, after: str, block_ms: int) -> list[Emitted]:
        """Return what the components of a run showed."""
        ...


class RunHandle(str, Generic[Output]):
    """The id of a run, with what a program asks about it: its result, its events, what its components show.

    It is a `str` wherever an id is wanted. `await` it on an event loop.
    """

    is_new: bool
    """Whether the start that gave this handle has begun the run, and no earlier one with the same key."""

    log_position: int
    """How many events the log of its partition had when this start was written; 0 where that was not told."""

    _engine: Runs
    _model: Any

    def __new__(
        cls,
        run: str,
        engine: Runs,
        model: type[Output] | None = None,
        *,
        is_new: bool = False,
        log_position: int = 0,
    ) -> Self:
        """Hold a run of an engine; its output is read as the model, if there is one."""
        handle = super().__new__(cls, run)
        handle.is_new = is_new
        handle.log_position = log_position
        handle._engine = engine
        handle._model = model
        return handle

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the process as the id alone: an engine stays where it is."""
        return str, (str(self),)

    def __deepcopy__(self, memo: object) -> str:
        return str(self)

    @property
    def id(self) -> str:
        """Return the id of the run as a plain string."""
        return str(self)

    def result(self, timeout: float | None = None) -> Output:
        """Wait for the end of the run, `timeout` in seconds, and return its output.

        Raises RunFailedError, RunCancelledError, OutputMismatch, WaitTimeout, RunNotFound and StoreUnavailable.
        """
        return self._output_of(self._engine.wait(self.id, timeout=timeout))

    @property
    def output(self) -> Output:
        """Return the output of a run that has ended, without waiting.

        Raises as `result` does; WaitTimeout while the run goes on.
        """
        return self.result(timeout=0)

    def events(self, *, after: int = 0) -> Iterator[HistoryEvent]:
        """Follow the events of the run after a version, until it has ended.

        Raises RunNotFound and StoreUnavailable.
        """
        while not self._is_over(self._position(), after):
            for event in self._engine.watch(self.id, after=after, block_ms=BLOCK_MS):
                after = event.version
                yield event

    def emissions(self, *, after: str = "0-0") -> Iterator[Emitted]:
        """Follow what the components of the run show, after an entry, until it has ended.

        Raises RunNotFound and StoreUnavailable.
        """
        while True:
            # First whether the run has ended, then what was shown: nothing between the two is missed.
            over = self._position().status in CLOSED_RUN
            block_ms = LATE_MS if over else BLOCK_MS
            shown = self._engine.emitted(self.id, after=after, block_ms=block_ms)
            for entry in shown:
                after = entry.id
                yield entry
            if over and not shown:
                return

    # -- on an event loop --------------------------------------------------------------------------------

    def __await__(self) -> Generator[Any, None, Output]:
        return self._awaited().__await__()

    async def _awaited(self) -> Output:
        watcher = self._engine.watcher
        result = await watcher.watch(self.id, self._ended, at_end=True)
        return self._output_of(result)

    def _ended(self, position: RunPosition | None) -> Result | None:
        """Return how the run ended, by the same way as for a caller that waits in a thread; None while it goes on."""
        from openagents_json.engine.errors import WaitTimeout

        if position is not None and position.status not in CLOSED_RUN:
            return None
        try:
            return self._engine.wait(self.id, timeout=0)
        except WaitTimeout:  # it was opened again meanwhile, or replicas lack its end
            return None

    async def aevents(self, *, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Follow the events of the run as `events` does, without blocking the event loop."""
        while True:
            page = await self._engine.watcher.watch(self.id, self._events_after(after))
            for event in page:
                after = event.version
                yield event
            if not page:
                return

    def _events_after(self, after: int) -> Any:
        """Return what looks for events after a version: a page, an empty one at the end, else None."""

        def look(position: RunPosition | None) -> list[HistoryEvent] | None:
            if self._is_over(self._there(position), after):
                return []
            if position is not None and position.version <= after:
                return None
            return self._engine.watch(self.id, after=after, block_ms=1) or None

        return look

    async def aemissions(self, *, after: str = "0-0") -> AsyncIterator[Emitted]:
        """Follow what the components show as `emissions` does, without blocking the event loop."""
        while True:
            shown = await self._engine.watcher.watch(self.id, self._shown_after(after))
            for entry in shown:
                after = entry.id
                yield entry
            if not shown:
                return

    def _shown_after(self, after: str) -> Any:
        """Return what looks for emissions after an entry: a page, an empty one some time behind the end, else None.

        It never blocks: one thread looks for all who wait.
        """
        ended_at: float | None = None

        def look(position: RunPosition | None) -> list[Emitted] | None:
            nonlocal ended_at
            over = self._there(position).status in CLOSED_RUN
            shown = self._engine.emitted(self.id, after=after, block_ms=0)
            if shown:
                return shown
            if not over:
                return None
            now = monotonic()
            ended_at = now if ended_at is None else ended_at
            return [] if now - ended_at >= LATE_MS / 1000 else None

        return look

    # -- what both share ---------------------------------------------------------------------------------

    def _position(self) -> RunPosition:
        return self._there(self._engine.core.store.positions([self.id])[0])

    def _there(self, position: RunPosition | None) -> RunPosition:
        if position is None:
            raise RunNotFound(self.id)
        return position

    @staticmethod
    def _is_over(position: RunPosition, after: int) -> bool:
        return position.status in CLOSED_RUN and position.version <= after

    def _output_of(self, result: Result) -> Output:
        output: Output = output_of(result, self._model)
        return output
