"""The event loop that all `async def` components of a lane share: none of them may stop or close it for the others."""

from __future__ import annotations

import asyncio

from openagents_json.components.errors import NonRetryableError

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
