"""How much of a run goes to the log, and when: the `persistence` of a document, and what 0.1.4 called it."""

from __future__ import annotations

from typing import Final

from openagents_json.workflow.core.plan import Persistence
from openagents_json.workflow.language.document import Document

OLD_NAMES: Final = {
    "none": "outcome",
    "memory": "checkpoint",
    "disk": "step",
    "database": "step",
}


def persistence_of(document: Document) -> Persistence:
    """Return the persistence of a document; its own word goes before that of 0.1.4."""
    chosen = document.persistence
    if chosen is not None:
        return Persistence(
            chosen.mode,
            int(chosen.every_steps),
            round(1000 * float(chosen.every_seconds)),
        )
    old = document.state_dependencies
    name = None if old is None else old.persistence
    return Persistence(OLD_NAMES.get(str(name), "step"))
