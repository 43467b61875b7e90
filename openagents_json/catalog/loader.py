"""Loading components: modules, objects in modules, files, and packages that announce themselves by entry points."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from openagents_json.catalog.registry import Registry
from openagents_json.catalog.spec_files import is_spec_path, load_specs
from openagents_json.components.errors import CannotLoad, ComponentError
from openagents_json.errors import file_errors
from openagents_json.rooms import in_the_way

GROUP: Final = "openagents_json.components"

_STANDARD: Final = str(Path(importlib.__file__).parents[1])
"""Where Python's own library is, and perhaps what is installed beside it."""


def load(
    paths: Iterable[str],
    *,
    announced: bool = True,
    working_directory: Path | None = None,
) -> Registry:
    """Load "package.module", "package.module:object", "file.py" and files of specs, after the announced packages.

    With `working_directory`, its modules can be imported too. Raises CannotLoad.
    """
    registry = Registry()
    if working_directory is not None and str(working_directory) not in sys.path:
        sys.path.append(str(working_directory))
    if announced:
        for point in entry_points(group=GROUP):
            _add(registry, point.value, point.load)
    for path in paths:
        _add(registry, path, lambda path=path: resolve(path))
    return registry


def _add(registry: Registry, path: str, get: Any) -> None:
    try:
        thing = get()
        registry.add(thing)
    except CannotLoad:
        raise
    except ComponentError as error:
        raise CannotLoad(path, str(error)) from error
    except (Exception, SystemExit) as error:
        # An author's module may raise anything when it is imported, and a program may end itself.
        kind = type(error).__name__
        where = _place(error)
        reason = f"{kind}: {error}{where}{in_the_way(error)}"
        remedy = "correct it, or name another module"
        raise CannotLoad(path, reason, remedy) from error


def _place(error: BaseException) -> str:
    """Say where an import failed: in the author's file, not in what Python or this module did to import it."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename != __file__ and not frame.filename.startswith("<frozen")
    ]
    installed = (_STANDARD, "site-packages")
    authors = [
        frame for frame in frames if not any(x in frame.filename for x in installed)
    ]
    last = (authors or frames)[-1:]
    return "".join(f" ({frame.filename}:{frame.lineno})" for frame in last)


def here() -> Path:
    """Return the working directory, which may have been removed.

    Raises FileUnusable.
    """
    with file_errors("the working directory", "go to one that is there"):
        return Path.cwd()


def resolve(path: str) -> Any:
    """Return what "package.module", "package.module:object" or "file.py" names, imported once, or what specs declare.

    Raises CannotLoad, and whatever the module raises when it is imported.
    """
    if path.endswith(".py"):
        return _file(Path(path))
    if is_spec_path(path):
        return load_specs(path)
    module, _, name = path.partition(":")
    if not module:
        raise CannotLoad(path, "it names no module")
    loaded = importlib.import_module(module)
    if not name:
        return loaded
    if not hasattr(loaded, name):
        raise CannotLoad(path, f"module {module} has no {name!r}")
    return getattr(loaded, name)


def _file(path: Path) -> ModuleType:
    full = path.resolve()
    if not full.is_file():
        raise CannotLoad(str(path), "there is no such file")
    name = f"openagents_components_{full.stem}_{hashlib.sha256(str(full).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, full)
    if spec is None or spec.loader is None:
        raise CannotLoad(str(path), "Python cannot load it")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
