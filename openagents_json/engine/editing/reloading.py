"""The components that an editor is served with: loaded again when one of the files that they come from has changed."""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from types import ModuleType

from openagents_json.catalog.registry import Registry
from openagents_json.engine.components import load_components
from openagents_json.engine.development.own_modules import (
    Signature,
    file_of,
    own_modules,
    signature_of,
)
from openagents_json.errors import OpenAgentsError


class ReloadedComponents:
    """The components of some modules and files, as they could be loaded last; it belongs to one thread.

    `fault` says why they cannot be loaded as they are now, "" when they can. Until then, those of before stay.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._modules: dict[str, ModuleType] = {}
        self._signatures: dict[Path, Signature | None] = {}
        self.fault = ""
        # A file that is written twice in a second has one date, by which Python would take what it has compiled.
        sys.dont_write_bytecode = True
        self.registry = Registry()
        self._has_nothing = True
        self._load()

    def refresh(self, *, retries: bool = False) -> bool:
        """Load the components again if a file has changed, and tell whether there are others now.

        With `retries`, also if they could not be loaded: what they lack may have come.
        """
        before = self.registry
        is_changed = self._look(self._signatures) != self._signatures
        if is_changed or (retries and self.fault):
            self._load()
        return self.registry is not before

    def _load(self) -> None:
        """Import all modules anew."""
        # What is written while they are imported is a change that comes after.
        before = self._look(self._signatures)
        failed_in: set[Path] = set()
        with self._modules_anew():
            try:
                self.registry = load_components(self._paths)
                self.fault = ""
            except OpenAgentsError as error:
                self.fault = str(error)
                failed_in = {*_files_of(error)}
                if self._has_nothing:
                    self.registry = _loadable(self._paths)
        self._has_nothing = False
        files = {*self._files(), *failed_in}
        earlier = {file: before[file] for file in files & before.keys()}
        self._signatures = {**self._look(files), **earlier}

    @contextmanager
    def _modules_anew(self) -> Iterator[None]:
        """Let modules of the program be imported as their files are now; those that cannot be stay as they were."""
        for name in self._modules:
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        others = own_modules().keys()
        try:
            yield
        finally:
            if self.fault:
                for name, module in self._modules.items():
                    sys.modules.setdefault(name, module)
            modules = own_modules()
            self._modules = {x: modules[x] for x in modules.keys() - others}

    def _files(self) -> Iterator[Path]:
        """Yield the files that the components come from."""
        yield from map(Path, filter(None, map(file_of, self._modules.values())))
        named = [Path(path.partition(":")[0]) for path in self._paths]
        folders = filter(Path.is_dir, named)
        yield from chain(named, *map(Path.iterdir, folders))

    @staticmethod
    def _look(files: Iterable[Path]) -> dict[Path, Signature | None]:
        return {file: signature_of(file) for file in files}


def _loadable(paths: Iterable[str]) -> Registry:
    """Return what can be loaded where not all can."""
    registry = load_components(())
    for path in paths:
        with suppress(OpenAgentsError):
            registry.add(load_components([path]))
    return registry


def _files_of(error: BaseException | None) -> Iterator[Path]:
    """Yield the files in which an import failed."""
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield Path(error.filename)
        for frame in traceback.extract_tb(error.__traceback__):
            yield Path(frame.filename)
        error = error.__cause__
