"""Components that are declared in files: specs in JSON or YAML, OpenAPI documents, or a folder of such files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from openagents_json.catalog.component import Component
from openagents_json.catalog.registry import Registry
from openagents_json.components.errors import CannotLoad, InvalidDeclaration
from openagents_json.workflow.component_spec import to_json

if TYPE_CHECKING:
    from openagents_json.components.declared.specs import Declared

ENDINGS: Final = (".json", ".yaml", ".yml")
"""How the names of files with specs end."""


def is_spec_path(path: str) -> bool:
    """Tell whether a text names a file of specs or, by a / in it, a folder: modules have names without."""
    is_file = path.lower().endswith(ENDINGS)
    is_folder = "/" in path and ":" not in path and not path.endswith(".py")
    return is_file or is_folder


def load_specs(path: str) -> Registry:
    """Return the components that a file declares, or all files of a folder.

    Raises CannotLoad.
    """
    registry = Registry()
    for item in chain.from_iterable(map(_declared, _files(Path(path)))):
        _add(item, registry)
    return registry


def registrable_specs(file: Path) -> Iterator[dict[str, Any]]:
    """Yield what a file declares as the catalog holds it: what runs here, and what others run.

    Raises CannotLoad.
    """
    # The schemas of components are derived for who registers them.
    from openagents_json.catalog.specs import published_spec

    for item in _declared(file):
        component = _component_of(item)
        if component is None:
            yield {**to_json(item.spec), "version": item.spec.version}
        else:
            yield published_spec(component)


def _files(path: Path) -> list[Path]:
    """Return a file, or those of a folder in the order of their names.

    Raises CannotLoad.
    """
    if not path.is_dir():
        return [path]
    entries = sorted(path.iterdir())
    files = list(filter(_is_spec_file, entries))
    if not files:
        raise CannotLoad(
            str(path), "there are no specs in it", "put JSON or YAML files there"
        )
    return files


def _is_spec_file(path: Path) -> bool:
    return path.name.lower().endswith(ENDINGS)


def _declared(file: Path) -> list[Declared]:
    """Return what a file declares.

    Raises CannotLoad.
    """
    # Imported by whoever has such files.
    from openagents_json.components.declared.openapi.document import specs_in
    from openagents_json.components.declared.specs import declared_in

    content = specs_in(file)
    try:
        return list(declared_in(content, str(file)))
    except InvalidDeclaration as error:
        raise CannotLoad(str(file), str(error), error.remedy or "correct it") from error


def _add(item: Declared, registry: Registry) -> None:
    component = _component_of(item)
    if component is None:
        registry.add_spec(item.spec)
    else:
        registry.add(component)


def _component_of(item: Declared) -> Component | None:
    """Return what runs here, None for what others run."""
    if item.call is None or item.signature is None:
        return None
    return Component(item.spec, item.call, item.signature, hashed=item.hashed)
