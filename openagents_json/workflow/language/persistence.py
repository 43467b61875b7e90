"""How much of a run goes to the log, and when: the `persistence` of a document, and what 0.1.4 called it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.core.plan import Persistence

MODES: Final = ("step", "checkpoint", "outcome")
OLD_NAMES: Final = {"none": "outcome", "memory": "checkpoint", "disk": "step", "database": "step"}


def persistence_of(document: Mapping[str, Any]) -> Persistence:
    """Give the persistence of a document; its own word goes before that of 0.1.4."""
    value = document.get("persistence")
    if value is None:
        old = document.get("state_dependencies")
        name = old.get("persistence") if isinstance(old, Mapping) else None
        return Persistence(OLD_NAMES.get(str(name), "step"))
    if isinstance(value, str):
        return Persistence(value)
    return Persistence(
        value.get("mode", "step"), int(value.get("every_steps", 50)), round(1000 * float(value.get("every_seconds", 1)))
    )
