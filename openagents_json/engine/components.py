"""The components of a program: those that it hands over or has declared, and those in modules that it names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from openagents_json.catalog.loader import here, load
from openagents_json.catalog.registry import Registry


def load_components(paths: Iterable[str]) -> Registry:
    """Load "package.module", "package.module:object" and "file.py", beside the packages that announce themselves.

    Modules in the working directory can be named too. Raises CannotLoad and FileUnusable.
    """
    return load(paths, working_directory=here())


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


def queues_of(registry: Registry) -> tuple[str, ...]:
    """Return the worker types that a registry's components belong to."""
    return tuple(sorted({spec.queue for spec in registry.specs()}))
