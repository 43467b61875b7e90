"""Event loops that `async def` components share: none of them may stop or close one for the others."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from openagents_json.components.errors import NonRetryableError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

CLOSE_SECONDS: Final = 5.0
"""How long the instances of a loop have to clean up in."""

_NOT_YOURS = "the event loop is shared by all asynchronous steps of this worker, so a component may not {} it"


class SharedLoop(asyncio.SelectorEventLoop):
    """An event loop that only its owner ends, with `end` and `dispose`."""

    ended = False

    def stop(self) -> None:
        """Refuse to stop; the step that asked for it fails.

        Raises NonRetryableError.
        """
        raise NonRetryableError(_NOT_YOURS.format("stop"))

    def close(self) -> None:
        """Refuse to close.

        Raises NonRetryableError.
        """
        raise NonRetryableError(_NOT_YOURS.format("close"))

    def end(self) -> None:
        """Stop for good."""
        self.ended = True
        super().stop()

    def dispose(self) -> None:
        """Close, once it has ended."""
        super().close()


class StepLoop:
    """An event loop on a thread of its own, for coroutines that other threads wait for."""

    def __init__(self) -> None:
        self._loop = SharedLoop()
        self._thread: threading.Thread | None = None

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end, and give what it returns."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=run_until_ended,
                args=(self._loop, "steps"),
                name="openagents-loop-steps",
                daemon=True,
            )
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine, and end."""
        if self._thread is None:
            self._loop.dispose()
            return
        close_on(self._loop, last)
        self._loop.call_soon_threadsafe(self._loop.end)
        self._thread.join()
        self._loop.dispose()


def run_until_ended(loop: SharedLoop, name: str) -> None:
    """Run an event loop on this thread until its owner ends it, whatever tasks on it want."""
    asyncio.set_event_loop(loop)
    while not loop.ended:
        try:
            loop.run_forever()
        except (
            BaseException
        ):  # a task of a component's own wanted to end the process; the others go on
            log.exception(
                "the event loop of %s goes on: something on it wanted to end the process",
                name,
            )


def close_on(loop: SharedLoop, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a last coroutine on a loop of another thread; what authors wrote may raise, and may hang."""
    ending = asyncio.run_coroutine_threadsafe(last(), loop)
    try:
        ending.result(CLOSE_SECONDS)
    except Exception as error:
        log.info("what was left on an event loop could not be closed: %s", error)
