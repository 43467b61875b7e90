"""What runs declare of the signals that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from openagents_json.workflow.core.decide.signals import schemas_of
from openagents_json.workflow.types import Json

if TYPE_CHECKING:
    from openagents_json.engine.wiring.client import Core


def schemas_of_signal(core: Core, run: str, name: str) -> list[Json]:
    """Return the schemas of the steps of a run that may take a signal, None for a step without one.

    Raises RunNotFound.
    """
    session = core.sessions.load(run)
    return schemas_of(session.plan, session.state, name)
