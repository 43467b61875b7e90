"""The templates of a plan, evaluated for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openagents_json.workflow.core.paths import inside
from openagents_json.workflow.core.plan import Edge, ErrorHandler, Plan, StepPlan
from openagents_json.workflow.errors import ExpressionFailed
from openagents_json.workflow.expressions.namespace import Lookup
from openagents_json.workflow.expressions.null import NULL
from openagents_json.workflow.expressions.scope import Scope
from openagents_json.workflow.expressions.secret_places import places_of
from openagents_json.workflow.expressions.templates import Template
from openagents_json.workflow.types import Json


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


def step_secrets(
    step: StepPlan, scope: Scope, local: Mapping[str, Json] | None = None
) -> list[Json] | None:
    """Say where a step's inputs hold secrets, [path, offset, name] each; None when the document names none.

    An input that a connection carries in is data: it holds none, whatever the document says of that input.
    Raises ExpressionFailed.
    """
    if not step.secrets:
        return None
    lookup = Lookup(scope, local)
    carried = {
        edge.input
        for edge in step.incoming
        if edge.input is not None and _arrives(edge, scope)
    }
    own = [text for text in step.secrets if text.path[0] not in carried]
    return [secret_place for text in own for secret_place in places_of(text, lookup)]


def _arrives(edge: Edge, scope: Scope) -> bool:
    view = scope.step(edge.source)
    return (
        view is not None
        and view.status in ("completed", "failed")
        and edge_alive(edge, scope)
    )


def _carried(edge: Edge, scope: Scope) -> dict[str, Any]:
    view = scope.step(edge.source)
    if view is None or view.has_no_result:
        return {"value": NULL, "source": NULL}
    return {"value": _named(edge, view.outputs, view.output), "source": view.output}


def _named(edge: Edge, outputs: Mapping[str, Json] | None, output: Json) -> Json:
    if edge.output is None or (
        edge.output == "output" and "output" not in (outputs or ())
    ):
        return output
    for members in (outputs, output):
        if isinstance(members, Mapping) and edge.output in members:
            return members[edge.output]
    return output if outputs is None and not isinstance(output, Mapping) else None


def _transformed(edge: Edge, scope: Scope) -> Json:
    carried = _carried(edge, scope)
    if edge.transform is None:
        return None if carried["value"] is NULL else carried["value"]
    return edge.transform.evaluate(Lookup(scope, carried))


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
            outputs[name] = sets[template.removeprefix("workflow.")] = _member(
                result, name
            )
        else:
            outputs[name] = _member(result, template)
    return outputs, sets


def _member(result: Json, name: str) -> Json:
    return result[name] if isinstance(result, Mapping) and name in result else result


def run_output(plan: Plan, scope: Scope) -> Json:
    """Return a run's output: `output`, or `outputs` with their sources, or the outputs of the last steps by id.

    Raises ExpressionFailed.
    """
    lookup = Lookup(scope)
    if plan.output is not None:
        return plan.output.evaluate(lookup)
    reserved = ("id", "version", "run_id", "status")
    out: dict[str, Json] = {
        k: v for k, v in scope.workflow.items() if k not in reserved
    }
    for name, source in plan.outputs.items():
        if source is not None:
            out[name] = source.evaluate(lookup)
        else:
            out.setdefault(name, None)
    if out:
        return out
    return {
        step: _output_of(scope, step)
        for step in plan.order
        if not plan.steps[step].targets
    }


def _output_of(scope: Scope, step: str) -> Json:
    view = scope.step(step)
    return None if view is None else view.output


def error_output(handler: ErrorHandler, scope: Scope, error: Mapping[str, Any]) -> Json:
    """Return the output of a failure that the document handles; null when the handler has none.

    Raises ExpressionFailed.
    """
    return (
        None
        if handler.output is None
        else handler.output.evaluate(Lookup(scope, {"error": error}))
    )


def terminate_output(step: StepPlan, scope: Scope) -> tuple[str, Json]:
    """Return the status and the output with which a step ends the run.

    Raises ExpressionFailed.
    """
    if step.terminate is None:
        raise ExpressionFailed(step.id, "it is not a terminate step")
    status, output = step.terminate
    return status, None if output is None else output.evaluate(Lookup(scope))


def block_output(plan: Plan, step: StepPlan, scope: Scope) -> Json:
    """Return the result of a block: its `output`, or that of its last step, by id when several are last.

    Raises ExpressionFailed.
    """
    block = step.block
    if block is None:
        return None
    if block.output is not None:
        return block.output.evaluate(Lookup(scope))
    last = [
        name for name in block.order if not plan.steps[inside(step.path, name)].targets
    ]
    return (
        _output_of(scope, last[0])
        if len(last) == 1
        else {name: _output_of(scope, name) for name in last}
    )
