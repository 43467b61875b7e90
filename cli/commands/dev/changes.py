"""Which files have changed: they are looked at again and again, as no file system tells everything of all editors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from openagents_json.engine.development.own_modules import Signature, signature_of
from openagents_json.engine.development.sources import SPEC_ENDINGS

_IGNORED: Final = frozenset({"__pycache__", "node_modules", "site-packages"})
MOST_ENTRIES: Final = 5000
"""So much of a folder is looked at: who has more in it has not meant all of that."""


class FileWatch:
    """Tells which files have changed, come or gone; a change counts when nobody goes on writing."""

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files
        self._latest = self._look()
        self._settled = dict(self._latest)

    def _look(self) -> dict[Path, Signature | None]:
        return {path: signature_of(path) for path in self._files()}

    def changed(self) -> list[Path]:
        """Return the files that have changed since they were told last."""
        earlier = self._latest
        self._latest = self._look()
        if earlier != self._latest:
            return []
        before = self._settled
        self._settled = dict(self._latest)
        paths = before.keys() | self._latest.keys()
        return sorted(p for p in paths if before.get(p) != self._latest.get(p))

    def accept(self, path: Path) -> None:
        """Look at one more file from now on; as it is, it is no news."""
        if path not in self._settled:
            self._latest[path] = self._settled[path] = signature_of(path)


class SourceFiles:
    """The files that components come from; while they cannot be loaded, all of the folder, as any may be the reason.

    `sources` are those that were named: files, and folders of specs, in which files may come and go.
    """

    def __init__(self, folder: Path, sources: Iterable[Path]) -> None:
        self._folder = folder
        self._named = {path.resolve() for path in sources}
        self._loaded: set[Path] = set()
        self._watch = FileWatch(self._all)
        self.is_broken = False

    def _all(self) -> set[Path]:
        named = chain.from_iterable(map(_files_of, self._named))
        return {*self._loaded, *named, *files_in(self._folder, ".py")}

    def take(self, files: Iterable[str]) -> None:
        """Take in which files a worker has loaded."""
        paths = {Path(file).resolve() for file in files}
        for path in paths:
            self._watch.accept(path)
        self._loaded |= paths
        self.is_broken = False

    def changed(self) -> list[Path]:
        """Return the files that have changed since the last call, of those that matter."""
        paths = self._watch.changed()
        if self.is_broken:
            return paths
        named = (self._loaded, self._named)
        return [p for p in paths if p in chain(*named) or p.parent in self._named]


def _files_of(source: Path) -> Iterator[Path]:
    """Return a file, or those right in a folder that may declare components."""
    if not source.is_dir():
        yield source
        return
    yield from (path for path in _entries(source) if path.name.endswith(SPEC_ENDINGS))


def files_in(folder: Path, ending: str | tuple[str, ...]) -> Iterator[Path]:
    """Return the files of a folder, and of those in it, that end so; hidden and installed ones are left out."""
    left = MOST_ENTRIES
    todo = [folder.resolve()]
    while todo and left > 0:
        entries = _entries(todo.pop(0))
        left -= len(entries)
        for path in entries:
            if path.name.startswith(".") or path.name in _IGNORED:
                continue
            if path.name.endswith(ending):
                yield path
            elif _is_folder(path):
                todo.append(path)


def _is_folder(path: Path) -> bool:
    if path.is_symlink() or not path.is_dir():
        return False
    return not (path / "pyvenv.cfg").exists()  # else it is an environment of Python's


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:MOST_ENTRIES]
    except OSError:  # it has gone, or is not to be read
        return []
