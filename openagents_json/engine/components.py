"""The components of a program: those that it hands over or has declared, and those in modules that it names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.attempts.log_fields import named_here
from openagents_json.catalog.loader import here, load
from openagents_json.catalog.registry import Registry

if TYPE_CHECKING:
    from openagents_json.components.declared.openapi.document import (
        Imported as Imported,
    )


def load_components(paths: Iterable[str | Path]) -> Registry:
    """Load modules, "module:object", .py files and files of specs, beside the packages that announce themselves.

    Modules in the working directory can be named too. Raises CannotLoad and FileUnusable.
    """
    return load(map(str, paths), working_directory=here())


def import_openapi(file: str | Path, *, name: str = "", server: str = "") -> Imported:
    """Return the operations of an OpenAPI document as specs of components named `name.operation`.

    Raises CannotLoad.
    """
    from openagents_json.components.declared.openapi.document import (
        import_openapi as imported,
    )

    return imported(file, name=name, server=server)


def registry_of(components: Iterable[Any] | Registry | None) -> Registry:
    """Return the registry of a program's components beside the announced ones; a registry is taken as it is.

    None stands for all that the program has declared.
    """
    from openagents_json.components.decorators import declared

    if isinstance(components, Registry):
        return components
    registry = load(())
    for item in declared() if components is None else components:
        registry.add(item)
    return registry


def current_attempt() -> dict[str, object]:
    """Return `run_id`, `step_id` and `attempt` of the step that the calling code belongs to; nothing outside of any."""
    return named_here()


def queues_of(registry: Registry) -> tuple[str, ...]:
    """Return the worker types that a registry's components belong to."""
    return tuple(sorted({spec.queue for spec in registry.specs()}))
