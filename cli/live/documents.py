"""Documents checked again when they have changed, until somebody interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from cli.commands.dev.changes import FileWatch
from cli.terminal import note, say
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.engine.validation.files import WatchedDocument

if TYPE_CHECKING:
    from openagents_json.engine import Registry, Report

_SECONDS: Final = 0.1
"""Between two looks at the files."""

Show = Callable[[str, "Report"], None]


def watch_files(
    files: Sequence[str], catalog: Registry | None, mode: Any, show: Show
) -> int:
    """Check files now, and each again when it has changed."""
    watched = [_WatchedFile(file, catalog, mode, show) for file in files]
    by_path = {file.path: file for file in watched}
    watch = FileWatch(lambda: by_path)
    for file in watched:
        file.check()
    note("watching; ^C ends it")
    nobody_ends_it = Event()
    try:
        while not nobody_ends_it.wait(_SECONDS):
            for path in watch.changed():
                by_path[path].check()
    except KeyboardInterrupt:
        return 0
    return 0


class _WatchedFile:
    """A file that is shown again with its problems each time that it is checked."""

    def __init__(
        self, name: str, catalog: Registry | None, mode: Any, show: Show
    ) -> None:
        self.path = Path(name).resolve()
        self._name = name
        self._document = WatchedDocument(self.path, catalog, mode)
        self._show = show

    def check(self) -> None:
        """Check the file as it is now, and show what is wrong with it."""
        try:
            report = self._document.check()
        except DocumentUnreadable as error:
            say(f"{self._name}: {error}")
            return
        self._show(self._name, report)
        note(f"{self._name}: {self._document.checks} checks done")
