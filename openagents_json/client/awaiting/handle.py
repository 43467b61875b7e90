"""A run as a program on an event loop holds it that has no store: its id, and what becomes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from openagents_json.engine.answers.runs import HistoryEvent, Result
from openagents_json.engine.handles.outputs import output_of

if TYPE_CHECKING:
    from openagents_json.engine import Emitted

Output = TypeVar("Output")


class Runs(Protocol):
    """What a handle needs of its client."""

    async def wait(self, run: str, *, timeout: float | None = None) -> Result:
        """Wait until a run has ended."""
        ...

    def follow_events(self, run: str, *, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Follow the events of a run."""
        ...

    def follow_emissions(
        self, run: str, *, after: str = "0-0"
    ) -> AsyncIterator[Emitted]:
        """Follow what the components of a run show."""
        ...


class AsyncClientRun(str, Generic[Output]):
    """The id of a run, with what a program asks about it, as `RunHandle` of the engine.

    It is a `str` wherever an id is wanted. `await` it, or its `result`.
    """

    is_new: bool
    """Whether the start that gave this handle has begun the run, and no earlier one with the same key."""

    error: Exception | None
    """Why a run that was started among others has not begun."""

    _client: Runs
    _model: Any

    def __new__(
        cls,
        run: str,
        client: Runs,
        model: type[Output] | None = None,
        *,
        is_new: bool = False,
        error: Exception | None = None,
    ) -> Self:
        """Hold a run of a service; its output is read as the model, if there is one."""
        handle = super().__new__(cls, run)
        handle.is_new = is_new
        handle.error = error
        handle._client = client
        handle._model = model
        return handle

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the process as the id alone: a client stays where it is."""
        return str, (str(self),)

    def __deepcopy__(self, memo: object) -> str:
        return str(self)

    @property
    def id(self) -> str:
        """Return the id of the run as a plain string."""
        return str(self)

    @property
    def ok(self) -> bool:
        """Tell whether the run has begun, or waits for its turn."""
        return self.error is None

    async def result(self, timeout: float | None = None) -> Output:
        """Wait for the end of the run, `timeout` in seconds, and return its output.

        Raises RunFailedError, RunCancelledError, OutputMismatch, WaitTimeout, RunNotFound and Unavailable, and what
        kept a run from beginning.
        """
        if self.error is not None:
            raise self.error
        output: Output = output_of(
            await self._client.wait(self.id, timeout=timeout), self._model
        )
        return output

    def events(self, *, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Follow the events of the run after a version, until it has ended, through restarts of the service.

        Raises RunNotFound and Unavailable.
        """
        return self._client.follow_events(self.id, after=after)

    def emissions(self, *, after: str = "0-0") -> AsyncIterator[Emitted]:
        """Follow what the components of the run show, after an entry, until it has ended.

        Raises RunNotFound and Unavailable.
        """
        return self._client.follow_emissions(self.id, after=after)

    def __await__(self) -> Generator[Any, None, Output]:
        return self.result().__await__()
