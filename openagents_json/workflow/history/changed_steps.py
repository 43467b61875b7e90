"""Which steps are other ones in another definition: their results cannot be used again."""

from __future__ import annotations

from openagents_json.workflow.core.plan import Plan, canonical
from openagents_json.workflow.language.nested_steps import all_steps

_WORDS = frozenset({"name", "description", "metadata", "steps"})
"""Keys of a step that say nothing about its result; what is inside of it is looked at by itself."""


def _steps(plan: Plan) -> dict[str, bytes]:
    """Return what a result depends on beside its inputs, by static path: the step as written, and its component."""
    document, bindings = plan.definition["document"], plan.definition["bindings"]
    steps = {}
    for location in all_steps(document):
        words = {
            name: value for name, value in location.step.items() if name not in _WORDS
        }
        if isinstance(words.get("loop"), dict):
            words["loop"] = {
                name: value for name, value in words["loop"].items() if name != "steps"
            }
        steps[location.path] = canonical([words, bindings.get(location.path)])
    return steps


def changed_steps(before: Plan, after: Plan) -> frozenset[str]:
    """Return the static paths of steps that are not the same in both plans."""
    if before.hash == after.hash:
        return frozenset()
    one, other = _steps(before), _steps(after)
    return frozenset(
        path for path in {*one, *other} if one.get(path) != other.get(path)
    )
