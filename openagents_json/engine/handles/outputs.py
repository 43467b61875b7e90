"""The output of a run as the type that a program has named: a pydantic model, a TypedDict, anything pydantic reads."""

from __future__ import annotations

from typing import Any

from openagents_json.engine.answers.runs import Result
from openagents_json.engine.errors import (
    OutputMismatch,
    RunCancelledError,
    RunFailedError,
    StepFailedError,
)


def output_of(result: Result, model: Any) -> Any:
    """Return the output of a run that has ended, as the model.

    Raises RunFailedError, RunCancelledError and OutputMismatch.
    """
    if result.ok:
        return typed_output(result.id, result.output, model)
    cause = None if result.error is None else StepFailedError(result.error)
    kind = RunFailedError if result.status == "failed" else RunCancelledError
    raise kind(result.id, result.error) from cause


def typed_output(run: str, output: Any, model: Any) -> Any:
    """Return the output as the model, as it is without one.

    Raises OutputMismatch.
    """
    if model is None:
        return output
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(model).validate_python(output)
    except ValidationError as error:
        name = getattr(model, "__name__", str(model))
        first = error.errors(include_url=False, include_input=False)[0]
        field_path = ".".join(str(part) for part in first["loc"]) or "the output"
        raise OutputMismatch(run, name, f"{field_path}: {first['msg']}") from error
