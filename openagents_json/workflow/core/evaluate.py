"""The templates of a plan, evaluated for a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from openagents_json.workflow.core.paths import inside
from openagents_json.workflow.core.plan import Edge, ErrorHandler, Plan, StepPlan
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.namespace import Lookup
from openagents_json.workflow.expressions.null import NULL
from openagents_json.workflow.expressions.scope import Scope
from openagents_json.workflow.expressions.secret_places import places_of
from openagents_json.workflow.expressions.templates import Template, render
from openagents_json.workflow.types import Json

LONGEST_KEY: Final = 200
"""Of a longer fairness key its hash is the key: stores name sets after keys."""

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
"""Half of a character: scripts of a server read no text with one, so its hash stands for such a key, too."""


def truth(value: Json) -> bool:
    """Tell whether a condition holds; the texts "false", "no", "0" and "" do not."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false", "no", "0", "null", "none")
    return bool(value)


def step_condition(step: StepPlan, scope: Scope) -> bool:
    """Tell whether a step's condition holds.

    Raises ExpressionFailed.
    """
    return holds(step.condition, scope)


def holds(
    condition: Template | None, scope: Scope, local: Mapping[str, Json] | None = None
) -> bool:
    """Tell whether a condition holds; one that is not there does.

    Raises ExpressionFailed.
    """
    return condition is None or truth(condition.evaluate(Lookup(scope, local)))


def value_of(
    template: Template, scope: Scope, local: Mapping[str, Json] | None = None
) -> Json:
    """Return the value of a template.

    Raises ExpressionFailed.
    """
    return template.evaluate(Lookup(scope, local))


def edge_alive(edge: Edge, scope: Scope) -> bool:
    """Tell whether the condition of a connection holds.

    Raises ExpressionFailed.
    """
    if edge.condition is None:
        return True
    return truth(edge.condition.evaluate(Lookup(scope, _carried(edge, scope))))


def step_inputs(
    step: StepPlan, scope: Scope, local: Mapping[str, Json] | None = None
) -> dict[str, Json]:
    """Return a step's inputs: its templates, then what connections carry in.

    Raises ExpressionFailed.
    """
    inputs: dict[str, Json] = {}
    if step.inputs:  # without templates, nothing is looked up and nothing counted
        lookup = Lookup(scope, local)
        inputs = {
            name: template.evaluate(lookup) for name, template in step.inputs.items()
        }
    for edge in step.incoming:
        if edge.input is not None and _arrives(edge, scope):
            inputs[edge.input] = _transformed(edge, scope)
    return inputs


def step_share(step: StepPlan, scope: Scope) -> tuple[Json, ...]:
    """Return the fairness key of a step and its weight; nothing where it has none, or one that is null or empty.

    Raises ExpressionFailed.
    """
    if step.fairness is None:
        return ()
    key = render(value_of(step.fairness.key, scope))
    if len(key) > LONGEST_KEY or _SURROGATE.search(key):
        key = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return (key, step.fairness.weight) if key else ()


def step_secrets(
    step: StepPlan, scope: Scope, local: Mapping[str, Json] | None = None
) -> list[Json] | None:
    """Say where a step's inputs hold secrets, [path, offset, name] each; None when the document names none.

    An input that a connection carries in is data: it holds none, whatever the document says of that input.
    Raises ExpressionFailed.
    """
    if not step.secrets:
        return None
    carried: set[str] = set()
    for edge in step.incoming:
        if edge.input is not None and _arrives(edge, scope):
            carried.add(edge.input)
    lookup = Lookup(scope, local)
    secrets: list[Json] = []
    for text in step.secrets:
        if text.path[0] not in carried:
            secrets += places_of(text, lookup)
    return secrets


def _arrives(edge: Edge, scope: Scope) -> bool:
    view = scope.step(edge.source)
    if view is None or view.status not in ("completed", "failed"):
        return False
    return edge_alive(edge, scope)


def _carried(edge: Edge, scope: Scope) -> dict[str, Any]:
    view = scope.step(edge.source)
    if view is None or view.has_no_result:
        return {"value": NULL, "source": NULL}
    value = _named(edge.output, view.outputs, view.output)
    return {"value": value, "source": view.output}


def _named(name: str | None, outputs: Mapping[str, Json] | None, output: Json) -> Json:
    """Return the output of a step that a connection names: a declared one, a member of its output, or all of it."""
    if name is None:
        return output
    if outputs is not None and name in outputs:
        return outputs[name]
    if name == "output":
        return output
    if isinstance(output, Mapping):
        return output.get(name)
    return output if outputs is None else None


def _transformed(edge: Edge, scope: Scope) -> Json:
    carried = _carried(edge, scope)
    if edge.transform is not None:
        return edge.transform.evaluate(Lookup(scope, carried))
    value = carried["value"]
    return None if value is NULL else value


def step_outputs(
    step: StepPlan, result: Json, scope: Scope
) -> tuple[dict[str, Json] | None, dict[str, Json]]:
    """Return a step's named outputs, None when it declares none, and the workflow outputs that it sets.

    Raises ExpressionFailed.
    """
    declared = step.outputs
    if not declared:
        return None, {}
    lookup = Lookup(scope, {"result": result, "output": result})
    outputs: dict[str, Json] = {}
    sets: dict[str, Json] = {}
    for name, template in declared.items():
        if not isinstance(template, str):
            outputs[name] = template.evaluate(lookup)
        elif template.startswith("workflow."):
            value = _member(result, name)
            outputs[name] = value
            sets[template.removeprefix("workflow.")] = value
        else:
            outputs[name] = _member(result, template)
    return outputs, sets


def _member(result: Json, name: str) -> Json:
    """Return a member of a result, and all of it where it has no such member."""
    if isinstance(result, Mapping):
        return result.get(name, result)
    return result


_RESERVED: Final = frozenset({"id", "version", "run_id", "status"})
"""What templates see of the workflow beside the outputs that are set so far."""


def run_output(plan: Plan, scope: Scope) -> Json:
    """Return a run's output: `output`, or `outputs` with their sources, or the outputs of the last steps by id.

    Raises ExpressionFailed.
    """
    lookup = Lookup(scope)
    if plan.output is not None:
        return plan.output.evaluate(lookup)
    outputs: dict[str, Json] = dict(scope.workflow)
    for name in _RESERVED:
        outputs.pop(name, None)
    for name, source in plan.outputs.items():
        if source is not None:
            outputs[name] = source.evaluate(lookup)
        else:
            outputs.setdefault(name, None)
    if outputs:
        return outputs
    last = [step for step in plan.order if not plan.steps[step].targets]
    return {step: _output_of(scope, step) for step in last}


def _output_of(scope: Scope, step: str) -> Json:
    view = scope.step(step)
    if view is None:
        return None
    return view.output


def error_output(handler: ErrorHandler, scope: Scope, error: Mapping[str, Any]) -> Json:
    """Return the output of a failure that the document handles; null when the handler has none.

    Raises ExpressionFailed.
    """
    if handler.output is None:
        return None
    return handler.output.evaluate(Lookup(scope, {"error": error}))


def terminate_output(step: StepPlan, scope: Scope) -> tuple[str, Json]:
    """Return the status and the output with which a step ends the run.

    Raises ExpressionFailed.
    """
    if step.terminate is None:
        raise ExpressionFailed(step.id, "it is not a terminate step")
    status, output = step.terminate
    if output is None:
        return status, None
    return status, output.evaluate(Lookup(scope))


def block_output(plan: Plan, step: StepPlan, scope: Scope) -> Json:
    """Return the result of a block: its `output`, or that of its last step, by id when several are last.

    Raises ExpressionFailed.
    """
    block = step.block
    if block is None:
        return None
    if block.output is not None:
        return block.output.evaluate(Lookup(scope))
    plans = {name: plan.steps[inside(step.path, name)] for name in block.order}
    last = [name for name, inner in plans.items() if not inner.targets]
    outputs = {name: _output_of(scope, name) for name in last}
    if len(last) == 1:
        return outputs[last[0]]
    return outputs
