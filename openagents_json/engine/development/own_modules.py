"""A program's own modules: neither Python's, nor installed, nor the engine's. They are edited while it runs."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

_ENGINE: Final = frozenset(
    {"openagents_json", "cli", "executor", "eventstore", "projections"}
)
_INSTALLED: Final = re.compile("site-packages|dist-packages")

Signature = tuple[int, int, int]


def own_modules() -> dict[str, ModuleType]:
    """Return the modules that are imported now, by their names; packages without a file of their own, too."""
    return dict(filter(_is_own, list(sys.modules.items())))


def own_files() -> list[str]:
    """Return the files in Python that the modules of now were imported from."""
    files = map(file_of, own_modules().values())
    return list(filter(re.compile(r".+\.py").fullmatch, files))


def file_of(module: ModuleType) -> str:
    """Return the file of a module, "" for one that has none."""
    return getattr(module, "__file__", None) or ""


def signature_of(path: Path) -> Signature | None:
    """Return what changes with a file, None for one that is not there."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _is_own(item: tuple[str, ModuleType]) -> bool:
    name, module = item
    top = name.partition(".")[0]
    folders = getattr(module, "__path__", ())
    origin = file_of(module) or "".join(folders)
    is_installed = _INSTALLED.search(origin)
    is_given = top in _ENGINE or top in sys.stdlib_module_names
    return bool(origin) and not is_given and not is_installed
