"""What one step of a document means: its templates, its handlers, its component."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from openagents_json.workflow.component_spec import Catalog, ComponentSpec
from openagents_json.workflow.errors import ExpressionError, InvalidTime
from openagents_json.workflow.expressions.payload_schema import why_no_schema
from openagents_json.workflow.expressions.templates import (
    ROOTS,
    SECRET,
    SECRETS,
    Names,
    TemplatePart,
    compile_condition,
    compile_value,
    escape,
)
from openagents_json.workflow.language.compile_step import compile_step
from openagents_json.workflow.language.graph import goto_target, split_end
from openagents_json.workflow.language.nested_steps import compensation_step
from openagents_json.workflow.language.problems import Collector
from openagents_json.workflow.language.scoping import COMPENSATION, inner_names, local
from openagents_json.workflow.language.steps import KIND_OPTIONS, Call
from openagents_json.workflow.times import delay_of, moment_of
from openagents_json.workflow.versions import RANGES, is_range

_CALL = frozenset(Call.options) | {"id"}
KINDS = tuple(item.name for item in KIND_OPTIONS)
NOT_RETRIED = ("loop", "steps", "sleep", "wait_for", "terminate")
NOT_REPEATED = ("loop", "terminate")


def check_kind(step: Mapping[str, Any], pointer: str, found: Collector) -> None:
    """Look at what kind of step it is, and which options do not go with that."""
    kinds = [
        kind
        for kind in KINDS
        if kind in step and not (kind == "steps" and "loop" in step)
    ]
    if len(kinds) != 1:
        message = f"a step needs one of {', '.join(KINDS)}; this one has {' and '.join(kinds) or 'none'}"
        code = "schema_error.required" if not kinds else "ambiguous_step"
        found.error(
            code,
            pointer,
            message,
            found=kinds,
            expected=list(KINDS),
            step_id=step["id"],
        )
        return
    kind, name = kinds[0], step["id"]
    loop = step.get("loop")
    if isinstance(loop, Mapping) and ("steps" in loop) == ("steps" in step):
        message = "a loop needs its steps, in one place: under loop/steps"
        found.error(
            "missing_loop_steps",
            f"{pointer}/loop",
            message,
            expected="steps",
            step_id=name,
        )
    if "foreach" in step and kind in NOT_REPEATED:
        message = (
            f"foreach does not go with {kind}; put the {kind} step into a block: steps"
        )
        found.error(
            "unsupported_combination",
            f"{pointer}/foreach",
            message,
            found=kind,
            step_id=name,
        )
    if "retry" in step and kind in NOT_RETRIED:
        message = (
            f"a step with {kind} is not tried again; give retry to the steps inside"
        )
        found.warn(
            "ignored_option", f"{pointer}/retry", message, found="retry", step_id=name
        )
    for key in ("mutex", "rate_limit"):
        if key in step and kind != "component":
            message = f"{key} goes with component only; put it on the steps inside"
            found.error(
                "unsupported_combination",
                f"{pointer}/{key}",
                message,
                found=kind,
                step_id=name,
            )
    for key in ("max_concurrency", "tolerated_failures", "min_success", "enough"):
        if key in step and "foreach" not in step:
            found.warn(
                "ignored_option",
                f"{pointer}/{key}",
                f"{key} means something with foreach only",
                step_id=name,
            )


def compiled(
    value: Any,
    names: Names,
    pointer: str,
    found: Collector,
    step_id: str | None,
    *,
    condition: bool = False,
) -> tuple[TemplatePart, ...]:
    """Compile a value and check what it refers to; problems are collected."""
    wrong: list[ExpressionError] = []
    try:
        compile_it = (
            compile_condition if condition and isinstance(value, str) else compile_value
        )
        template = compile_it(value, names, pointer, wrong)
    except RecursionError:
        found.error(
            "expression_error", pointer, "it is nested too deeply", step_id=step_id
        )
        return ()
    for error in wrong:
        found.error(
            "expression_error",
            error.pointer,
            str(error),
            found=error.expression,
            step_id=step_id,
        )
    for part in template.parts:
        _check_part(part, names, found, step_id)
    return template.parts


def _check_part(
    part: TemplatePart, names: Names, found: Collector, step_id: str | None
) -> None:
    for path in _longest(part.paths):
        root = path[0]
        if root == SECRETS and root not in names.steps:
            _check_secret(part, names, found, step_id)
        elif root in ("input", "inputs"):
            if len(path) > 1 and names.inputs and path[1] not in names.inputs:
                message = f"the document declares no input {path[1]!r}"
                _missing(
                    "missing_workflow_input",
                    part,
                    message,
                    path[1],
                    names.inputs,
                    found,
                    step_id,
                )
        elif root == "steps" or (root in names.steps and root not in names.local):
            rest = path[1:] if root == "steps" else path
            _check_step_path(rest, part, names, found, step_id)
        elif not names.known(root):
            message = f"there is no step, input or value named {root!r}"
            code = "missing_referenced_step" if len(path) > 1 else "unknown_reference"
            _missing(
                code,
                part,
                message,
                root,
                (*names.steps, *ROOTS, *names.local),
                found,
                step_id,
            )


def _longest(paths: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Leave out what another path goes on from: `a` and `a.b` of `{{a.b}}` are one reference, and one problem."""
    known = tuple(dict.fromkeys(paths))
    for path in known:
        if not any(
            len(other) > len(path) and other[: len(path)] == path for other in known
        ):
            yield path


def _check_secret(
    part: TemplatePart, names: Names, found: Collector, step_id: str | None
) -> None:
    if SECRETS not in names.local or not SECRET.match(part.source):
        message = f"{part.source!r}: a secret can be used in the inputs of a component only, as {{{{secrets.NAME}}}}"
        found.error(
            "misplaced_secret",
            part.pointer,
            message,
            found=part.source,
            step_id=step_id,
        )


def _check_step_path(
    path: tuple[str, ...],
    part: TemplatePart,
    names: Names,
    found: Collector,
    step_id: str | None,
) -> None:
    if path and path[0] not in names.steps:
        message = f"there is no step {path[0]!r}"
        _missing(
            "missing_referenced_step",
            part,
            message,
            path[0],
            names.steps,
            found,
            step_id,
        )
    elif path and path[0] == step_id:
        found.error(
            "self_reference",
            part.pointer,
            "a step cannot refer to itself",
            found=part.source,
            step_id=step_id,
        )
    elif (
        len(path) > 2
        and path[1] == "outputs"
        and path[0] in names.outputs
        and path[2] not in names.outputs[path[0]]
    ):
        message = f"step {path[0]!r} declares no output {path[2]!r}"
        _missing(
            "missing_step_output",
            part,
            message,
            path[2],
            names.outputs[path[0]],
            found,
            step_id,
        )


def _missing(
    code: str,
    part: TemplatePart,
    message: str,
    name: str,
    known: Iterable[str],
    found: Collector,
    step_id: str | None,
) -> None:
    found.error(
        code,
        part.pointer,
        f"{message} (in {part.source!r})",
        found=name,
        expected=found.some_of(known),
        suggestion=found.nearest(name, known),
        step_id=step_id,
    )


class StepCheck:
    """Looks through the templates of one step; `names` are those around it, `inner` those of its items too."""

    def __init__(
        self,
        step: Mapping[str, Any],
        pointer: str,
        names: Names,
        ids: frozenset[str],
        found: Collector,
    ):
        self.step, self.pointer, self.names, self.ids, self.found = (
            step,
            pointer,
            names,
            ids,
            found,
        )
        self.inner = local(names, *inner_names(step))
        self.name: str = step["id"]
        self.parts: list[TemplatePart] = []

    def run(self) -> list[TemplatePart]:
        """Return the expressions that make edges; problems are collected."""
        step = self.step
        # Only what a worker hands to a component is filled in; elsewhere a secret would be the text of its reference.
        here = local(self.inner, SECRETS) if "component" in step else self.inner
        for key, value in _object(step.get("inputs")).items():
            self._value(value, here, f"inputs/{escape(str(key))}")
        repeated = "foreach" in step
        self._condition(
            step.get("condition"), self.inner if repeated else self.names, "condition"
        )
        if repeated:
            self._value(step["foreach"], self.names, "foreach")
        if "output" in _object(step.get("terminate")):
            self._value(step["terminate"]["output"], self.inner, "terminate/output")
        for key in ("sleep", "wait_for"):
            if key in step:
                self._value(_without_schemas(step[key]), self.inner, key)
        for key in ("mutex", "rate_limit"):
            self._value(step.get(key), self.inner, key)
        self._others()
        return self.parts

    def _others(self) -> None:
        step, names = self.step, local(self.names, "result", "output")
        for key, value in _object(step.get("outputs")).items():
            compiled(
                value,
                names,
                f"{self.pointer}/outputs/{escape(str(key))}",
                self.found,
                self.name,
            )
        for index, source in enumerate(_array(step.get("depends_on"))):
            if isinstance(source, str) and source not in self.ids:
                at, hint = (
                    f"{self.pointer}/depends_on/{index}",
                    self.found.nearest(source, self.ids),
                )
                message = f"there is no step {source!r}" + (
                    " beside this one" if source in self.names.steps else ""
                )
                self.found.error(
                    "missing_referenced_step",
                    at,
                    message,
                    found=source,
                    suggestion=hint,
                    step_id=self.name,
                )
        for index, handler in enumerate(_array(step.get("on_error"))):
            _check_handler(
                handler, f"{self.pointer}/on_error/{index}", self, self.found
            )
        self._compensation()
        self._times()
        self._schemas()

    def _value(self, value: Any, names: Names, place: str) -> None:
        self.parts += compiled(
            value, names, f"{self.pointer}/{place}", self.found, self.name
        )

    def _condition(self, value: Any, names: Names, place: str) -> None:
        if isinstance(value, str):
            at = f"{self.pointer}/{place}"
            self.parts += compiled(
                value, names, at, self.found, self.name, condition=True
            )

    def loop_conditions(self, inside: Names) -> None:
        """Look at the conditions of a loop, which see the steps in it."""
        loop = _object(self.step.get("loop"))
        for key in ("while", "until"):
            self._condition(loop.get(key), inside, f"loop/{key}")

    def _compensation(self) -> None:
        undo = compensation_step(self.step)
        names = local(self.inner, SECRETS, *COMPENSATION)
        for key, value in _object(undo.get("inputs") if undo else None).items():
            compiled(
                value,
                names,
                f"{self.pointer}/compensate/inputs/{escape(str(key))}",
                self.found,
                None,
            )
        if undo is not None and not undo.keys() <= _CALL:
            self._unusual(undo, local(self.inner, *COMPENSATION))

    def _unusual(self, undo: Mapping[str, Any], names: Names) -> None:
        """Look at a compensation with options of a step that are not those of a call: whether it can be compiled."""
        pointer = f"{self.pointer}/compensate"
        try:
            compile_step(undo, "", names, names, {}, pointer, None)
        except ExpressionError as error:
            place = getattr(error, "pointer", pointer)
            self.found.error(
                "expression_error", place, str(error), found=error.expression
            )
        except (
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
            LookupError,
        ) as error:
            unusual = ", ".join(sorted(undo.keys() - _CALL))
            message = (
                f"it is no step that could be run, because of one of {unusual}: {error}"
            )
            self.found.error("schema_error.type", pointer, message, found=unusual)

    def _times(self) -> None:
        timers = [(self.step.get("sleep"), "sleep")]
        branches = _array(_object(self.step.get("wait_for")).get("any"))
        for number, branch in enumerate(branches):
            at = f"wait_for/any/{number}"
            timers.append((_object(branch), at))  # a text is the name of a signal
            timers.append((_object(branch).get("sleep"), f"{at}/sleep"))
        for timer, at in timers:
            self._timer(timer, at)

    def _timer(self, timer: Any, at: str) -> None:
        """Look at the texts of a timer: each is a time, unless a template makes it."""
        if isinstance(timer, str):
            self._time(delay_of, timer, at)
        for key in ("seconds", "minutes", "hours", "days"):
            self._time(delay_of, _object(timer).get(key), f"{at}/{key}")
        self._time(moment_of, _object(timer).get("until"), f"{at}/until")

    def _time(self, read: Callable[[Any], int], text: Any, at: str) -> None:
        if not isinstance(text, str) or "{{" in text or "${" in text:
            return
        try:
            read(text)
        except InvalidTime as error:
            self.found.error(
                "invalid_time",
                f"{self.pointer}/{at}",
                str(error),
                found=text,
                step_id=self.name,
            )

    def _schemas(self) -> None:
        wait = _object(self.step.get("wait_for"))
        for branch, at in [
            (wait, "wait_for"),
            *((b, f"wait_for/any/{i}") for i, b in enumerate(_array(wait.get("any")))),
        ]:
            schema = _object(branch).get("schema")
            reason = why_no_schema(schema) if schema is not None else ""
            if reason:
                place = f"{self.pointer}/{at}/schema"
                self.found.error(
                    "invalid_schema",
                    place,
                    f"it is not a JSON Schema: {reason}",
                    step_id=self.name,
                )
        timers = [
            b
            for b in _array(wait.get("any"))
            if isinstance(b, Mapping) and "signal" not in b
        ]
        if len(timers) > 1:
            message = "wait_for/any takes one timer: the earliest wins anyway"
            self.found.error(
                "too_many_timers",
                f"{self.pointer}/wait_for/any",
                message,
                step_id=self.name,
            )


def _without_schemas(value: Any) -> Any:
    """Return what a step waits for without the schemas of payloads, which are no templates."""
    if isinstance(value, Mapping):
        return {
            key: _without_schemas(item)
            for key, item in value.items()
            if key != "schema"
        }
    return (
        [_without_schemas(item) for item in value]
        if isinstance(value, list | tuple)
        else value
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _array(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _check_handler(
    handler: Any, pointer: str, check: StepCheck, found: Collector
) -> None:
    if not isinstance(handler, Mapping):
        return
    step_id = check.name
    then, target = handler.get("then"), goto_target(handler)
    if isinstance(target, str):
        if target not in check.ids:
            hint = found.nearest(target, check.ids)
            message = f"there is no step {target!r} to go to"
            found.error(
                "missing_referenced_step",
                pointer,
                message,
                found=target,
                suggestion=hint,
                step_id=step_id,
            )
        elif "foreach" in check.step:
            message = (
                "an item of a foreach cannot go to another step; say continue, or fail"
            )
            found.error(
                "unsupported_combination",
                pointer,
                message,
                found=target,
                step_id=step_id,
            )
    elif isinstance(then, str) and then.startswith("goto"):
        found.error(
            "missing_referenced_step",
            pointer,
            "goto needs the step to go to",
            found=then,
            step_id=step_id,
        )
    if "output" in handler:
        compiled(
            handler["output"],
            local(check.inner, "error"),
            f"{pointer}/output",
            found,
            step_id,
        )


Carried = Mapping[str, Sequence[tuple[str, int]]]
"""The inputs that connections bring to each step of a block, with the numbers of the connections."""


def carried_in(block: Mapping[str, Any]) -> Carried:
    """Find what connections bring to each step of a block."""
    found: dict[str, list[tuple[str, int]]] = {}
    for index, connection in enumerate(_array(block.get("connections"))):
        if isinstance(connection, Mapping) and isinstance(
            connection.get("target"), str
        ):
            target, name = split_end(connection["target"])
            if name is not None:
                found.setdefault(target, []).append((name, index))
    return found


def check_component(
    step: Mapping[str, Any],
    pointer: str,
    catalog: Catalog,
    carried: Carried,
    found: Collector,
) -> None:
    """Look the component of a step up, and what it is given; `carried` is what connections bring to each step."""
    reference, name = step.get("component"), step["id"]
    if not isinstance(reference, str) or not reference:
        return
    spec = catalog.find(reference)
    if spec is None:
        base, _, wanted = reference.partition("@")
        if wanted and not is_range(wanted):
            message = f"{wanted!r} is no range of versions"
            found.error(
                "invalid_range",
                f"{pointer}/component",
                message,
                found=wanted,
                suggestion=RANGES,
                step_id=name,
            )
            return
        versions = catalog.find(base)
        hint = (
            f"version {versions.version} is there"
            if versions
            else found.nearest(base, catalog.names())
        )
        code = "version_incompatible" if versions else "unknown_component"
        message = f"there is no component {reference!r}"
        found.error(
            code,
            f"{pointer}/component",
            message,
            found=reference,
            suggestion=hint,
            step_id=name,
        )
    elif spec.inputs is not None:
        _check_arguments(step, spec, pointer, carried.get(name, ()), found)


def _check_arguments(
    step: Mapping[str, Any],
    spec: ComponentSpec,
    pointer: str,
    arriving: Iterable[tuple[str, int]],
    found: Collector,
) -> None:
    given = step.get("inputs") if isinstance(step.get("inputs"), Mapping) else {}
    known = {parameter.name: parameter for parameter in spec.inputs or ()}
    carried = set()
    for name, index in arriving:
        carried.add(name)
        if name not in known:
            at, hint = f"/connections/{index}/target", found.nearest(name, known)
            message = f"component {spec.name} has no input {name!r}"
            found.error(
                "missing_target_input",
                at,
                message,
                found=name,
                suggestion=hint,
                step_id=step["id"],
            )
    for name in given or ():
        if name not in known:
            at, hint = f"{pointer}/inputs/{escape(name)}", found.nearest(name, known)
            message = f"component {spec.name} has no input {name!r}"
            found.error(
                "unknown_component_input",
                at,
                message,
                found=name,
                suggestion=hint,
                step_id=step["id"],
            )
    for name, parameter in known.items():
        if parameter.required and name not in (given or ()) and name not in carried:
            message = f"component {spec.name} needs the input {name!r}"
            found.error(
                "missing_component_input",
                f"{pointer}/inputs",
                message,
                expected=name,
                step_id=step["id"],
            )
