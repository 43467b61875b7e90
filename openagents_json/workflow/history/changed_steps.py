"""Which steps are other ones in another definition: their results cannot be used again."""

from __future__ import annotations

from collections.abc import Mapping, Set

from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.language.nested_steps import all_steps
from openagents_json.workflow.types import Json

_WORDS = frozenset({"name", "description", "metadata", "steps"})
"""Keys of a step that say nothing about its result; what is inside of it is looked at by itself."""


def _steps(plan: Plan) -> dict[str, bytes]:
    """Return what a result depends on beside its inputs, by static path: the step as written, and its component."""
    bindings = plan.definition["bindings"]
    steps = {}
    for location in all_steps(plan.definition["document"]):
        written = _without(location.step, _WORDS)
        loop = written.get("loop")
        if isinstance(loop, dict):
            written["loop"] = _without(loop, {"steps"})
        steps[location.path] = canonical([written, bindings.get(location.path)])
    return steps


def _without(value: Mapping[str, Json], names: Set[str]) -> dict[str, Json]:
    return {name: member for name, member in value.items() if name not in names}


def changed_steps(before: Plan, after: Plan) -> frozenset[str]:
    """Return the static paths of steps that are not the same in both plans."""
    if before.hash == after.hash:
        return frozenset()
    old, new = _steps(before), _steps(after)
    return frozenset(path for path in {*old, *new} if old.get(path) != new.get(path))
