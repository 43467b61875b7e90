"""The thread of `dev` that shows what happens in the store."""

from __future__ import annotations

import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Final

from cli.terminal import note
from openagents_json.errors import FileUnusable, OpenAgentsError

if TYPE_CHECKING:
    from openagents_json.engine import Engine

BLOCK_MS: Final = 500
AGAIN_SECONDS: Final = 1.0
"""How long to wait before the next look at a store that is away; the worker says that it is."""


def notice(line: str) -> None:
    """Say something beside the lines; when nobody reads it any more, the work goes on."""
    with suppress(FileUnusable):
        note(line)


class LiveLines:
    """Shows the events of the store for the time of a block, unless they are not to be `shown`."""

    def __init__(self, engine: Engine, *, shown: bool) -> None:
        from cli.live.log_lines import LogLines

        self._follower = engine.follow_all()
        self._lines = LogLines(engine.foreach_items)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if shown:
            self._thread = threading.Thread(
                target=self._loop, name="openagents-lines", daemon=True
            )

    def __enter__(self) -> None:
        if self._thread is not None:
            self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _loop(self) -> None:
        # When nobody reads the lines any more, the work goes on without them.
        with suppress(FileUnusable):
            while not self._stop.is_set():
                self._show_next()

    def _show_next(self) -> None:
        try:
            events = self._follower.next(BLOCK_MS)
        except OpenAgentsError:
            self._stop.wait(AGAIN_SECONDS)
            return
        for run, event in events:
            self._lines.show(run, event)
