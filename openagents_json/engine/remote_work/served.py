"""What workers over HTTP say of their components, read as specs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from executor.remote.served import ServedComponents
from openagents_json.catalog.registered import RegisteredComponents
from openagents_json.catalog.specs import Spec, registrable
from openagents_json.workflow.component_spec import DEFAULT_QUEUE, from_json

Served = str | Mapping[str, Any]
"""A component as a worker names it: "name@version", a name that the catalog knows, or its spec."""


def read_served(
    served: Iterable[Served], worker_type: str, registered: RegisteredComponents
) -> tuple[ServedComponents, list[Spec]]:
    """Return the components of a worker, and the specs of those that it describes.

    Raises InvalidDeclaration.
    """
    described: list[Spec] = []
    named: list[Spec] = []
    for component in served:
        if isinstance(component, str):
            named.append(_named(component, registered))
        else:
            described.append(registrable({**_usual(worker_type), **component}))
    specs = [from_json(spec) for spec in [*named, *described]]
    return ServedComponents(specs), described


def _named(component: str, registered: RegisteredComponents) -> Spec:
    name, _, version = component.partition("@")
    if version:
        return registrable({"name": name, "version": version})
    registered_spec = registered.find(name)
    return registrable(
        {"name": name}
        if registered_spec is None
        else {"name": name, "version": registered_spec.version}
    )


def _usual(worker_type: str) -> Spec:
    """Return what a spec need not say, as the worker asks for steps of that type; what is a default is not written."""
    return {} if worker_type == DEFAULT_QUEUE else {"queue": worker_type}
