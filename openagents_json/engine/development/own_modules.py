"""A program's own modules: neither Python's, nor installed, nor the engine's. They are edited while it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Final

_ENGINE: Final = frozenset(
    {"openagents_json", "cli", "executor", "eventstore", "projections"}
)
_INSTALLED: Final = ("site-packages", "dist-packages")

Signature = tuple[int, int, int]


def own_modules() -> dict[str, ModuleType]:
    """Return the modules that are imported now, by their names; packages without a file of their own, too."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if _is_own(name, module)
    }


def own_files() -> list[str]:
    """Return the files in Python that the modules of now were imported from."""
    files = (getattr(module, "__file__", None) for module in own_modules().values())
    return [file for file in files if file and file.endswith(".py")]


def signature_of(path: Path) -> Signature | None:
    """Return what changes with a file, None for one that is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _is_own(name: str, module: ModuleType) -> bool:
    top = name.partition(".")[0]
    if top in _ENGINE or top in sys.stdlib_module_names:
        return False
    origin = getattr(module, "__file__", None)
    where = [origin] if origin else [*getattr(module, "__path__", ())]
    return bool(where) and not any(
        folder in path for path in where for folder in _INSTALLED
    )
