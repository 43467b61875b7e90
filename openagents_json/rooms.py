"""The rooms: packages beside this one, with names that a program may have for modules of its own (ADR 0001 says why).

Whoever imports one of the names gets ours, whatever stands first on `sys.path`, so that a file beside a program cannot
break the engine; a module of the program that has been imported before is told apart by `guard`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

ROOMS = ("eventstore", "projections", "executor")
COMMAND = "cli"
"""The room of the command line: taken in its process only, because programs like to have a `cli.py`."""

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Where this package lies, and the rooms beside it."""


class PackagesBeside:
    """Finds rooms beside this package."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = frozenset(names)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Find a room; everything else is left to others."""
        del target
        if path is not None or name not in self.names:
            return None
        return PathFinder.find_spec(name, [HOME])


def settle(names: Sequence[str]) -> None:
    """Let rooms be found beside this package from now on."""
    taken: set[str] = set()
    for finder in sys.meta_path:
        if isinstance(finder, PackagesBeside):
            taken |= finder.names
    if not taken.issuperset(names):
        sys.meta_path.insert(0, PackagesBeside(names))


def guard(names: Sequence[str] = ROOMS) -> None:
    """Check that nobody has imported something else by the name of a room.

    Raises ImportError that names the module in the way.
    """
    for name in names:
        module = sys.modules.get(name)
        if module is None or _is_room(name, module):
            continue
        file = getattr(module, "__file__", None)
        where = file or ", ".join(getattr(module, "__path__", ["nowhere"]))
        fault = f"{name!r} is {where} here, but openagents-json has a package of that name in {HOME}"
        raise ImportError(f"{fault}: give yours another name", name=name)


def _is_room(name: str, module: ModuleType) -> bool:
    """Tell whether a module that was imported under the name of a room is that room."""
    file = getattr(module, "__file__", None)
    if file is None or not os.path.exists(file):
        return False
    return os.path.samefile(file, os.path.join(HOME, name, "__init__.py"))


def own_of(name: str) -> str | None:
    """Return the file by which a program has a module with the name of a room, None when it has none."""
    elsewhere = [folder for folder in sys.path if not _is_home(folder)]
    spec = PathFinder.find_spec(name, elsewhere)
    if spec is not None:
        return spec.origin
    return None


def _is_home(folder: str) -> bool:
    """Tell whether an entry of `sys.path` is where our rooms lie; an empty one is the working directory."""
    return os.path.abspath(folder or ".") == HOME


def in_the_way(error: BaseException) -> str:
    """Say when an error comes from a module that has the name of a room, empty when it does not."""
    name = ""
    if isinstance(error, ImportError):
        name = (error.name or "").partition(".")[0]
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    own = own_of(name) if name in (*ROOMS, COMMAND) else None
    if not own:
        return ""
    return f"; {name!r} is a package of openagents-json, so {own} needs another name"
