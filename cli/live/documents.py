"""Documents checked again when they have changed, until somebody interrupts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from cli.commands.dev.changes import FileWatch
from cli.terminal import note, say
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.engine.validation.document_files import DocumentFiles
from openagents_json.engine.validation.files import WatchedDocument

if TYPE_CHECKING:
    from openagents_json.engine import Registry, Report

_SECONDS: Final = 0.1
"""Between two looks at the files."""

Show = Callable[[str, "Report"], None]


def watch_files(
    files: Sequence[str], components: Registry | None, mode: Any, show: Show
) -> int:
    """Check files now, and each again when it has changed, or another of them that it calls."""
    paths = [Path(file).resolve() for file in files]
    documents = DocumentFiles.named(paths)
    watched = [
        _WatchedFile(name, WatchedDocument(path, components, documents, mode), show)
        for name, path in zip(files, paths, strict=True)
    ]
    by_path = dict(zip(paths, watched, strict=True))
    watch = FileWatch(lambda: by_path)
    for file in watched:
        file.check()
    note("watching; ^C ends it")
    nobody_ends_it = Event()
    try:
        while not nobody_ends_it.wait(_SECONDS):
            changed = watch.changed()
            if changed:
                documents.refresh()
                _check_again(by_path, changed)
    except KeyboardInterrupt:
        return 0
    return 0


def _check_again(watched: Mapping[Path, _WatchedFile], changed: Sequence[Path]) -> None:
    for path, file in watched.items():
        if path in changed or file.is_outdated():
            file.check()


class _WatchedFile:
    """A file that is shown again with its problems each time that it is checked."""

    def __init__(self, name: str, document: WatchedDocument, show: Show) -> None:
        self._name = name
        self._document = document
        self._show = show

    def is_outdated(self) -> bool:
        """Tell whether a workflow that it calls is another one since it was checked."""
        return self._document.is_outdated()

    def check(self) -> None:
        """Check the file as it is now, and show what is wrong with it."""
        try:
            report = self._document.check()
        except DocumentUnreadable as error:
            say(f"{self._name}: {error}")
            return
        self._show(self._name, report)
        note(f"{self._name}: {self._document.checks} checks done")
