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
    document = plan.definition["document"]
    bindings = plan.definition["bindings"]
    steps = {}
    for location in all_steps(document):
        written = _what_counts(location.step)
        component = bindings.get(location.path)
        steps[location.path] = canonical([written, component])
    return steps


def _what_counts(step: Mapping[str, Json]) -> dict[str, Json]:
    """Return a step as it is written, without what says nothing about its result."""
    written = _without(step, _WORDS)
    loop = written.get("loop")
    if isinstance(loop, dict):
        written["loop"] = _without(loop, {"steps"})
    return written


def _without(value: Mapping[str, Json], names: Set[str]) -> dict[str, Json]:
    members = dict(value)
    for name in names:
        members.pop(name, None)
    return members


def changed_steps(before: Plan, after: Plan) -> frozenset[str]:
    """Return the static paths of steps that are not the same in both plans."""
    if before.hash == after.hash:
        return frozenset()
    old = _steps(before).items()
    new = _steps(after).items()
    # A step that only one of them has is in this too.
    changed = old ^ new
    return frozenset(path for path, _ in changed)
