"""Problem details of a service (RFC 9457) as the errors that the engine raises: by their codes, from the one tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from openagents_json.client.errors import ServiceError
from openagents_json.errors import OpenAgentsError

ERROR_MODULES: Final = (
    "eventstore.errors",
    "executor.errors",
    "executor.remote.errors",
    "executor.runs.errors",
    "projections.errors",
    "openagents_json.catalog.errors",
    "openagents_json.client.errors",
    "openagents_json.components.errors",
    "openagents_json.engine.consistency.errors",
    "openagents_json.engine.errors",
    "openagents_json.engine.hooks.errors",
    "openagents_json.engine.steering.errors",
    "openagents_json.engine.webhooks.errors",
    "openagents_json.engine.worker_types.errors",
    # These declare errors, and import nothing of the server.
    "openagents_json.server.legacy.errors",
    "openagents_json.server.errors",
    "openagents_json.server.oidc.errors",
    "openagents_json.workflow.errors",
)
"""Where the errors of a service are declared; they are imported with the first error that one answers with."""

_OF_EVERY_PROBLEM: Final = frozenset(
    {"type", "title", "status", "detail", "code", "remedy", "retryable", "source"}
)


def error_of(problem: Mapping[str, Any], status: int = 500) -> OpenAgentsError:
    """Return the error that the engine would have raised; one of a code that is not known here is a ServiceError."""
    code = str(problem.get("code", ""))
    kind = error_kinds().get(code)
    if kind is not None:
        return _rebuilt(kind, problem)
    if code in _rejections():
        return _rejected(code, problem)
    return ServiceError(status, problem)


@cache
def error_kinds() -> Mapping[str, type[OpenAgentsError]]:
    """Return the classes of errors by their codes."""
    for module in ERROR_MODULES:
        import_module(module)
    return {kind.code: kind for kind in _tree(OpenAgentsError)}


def _tree(kind: type[OpenAgentsError]) -> Iterator[type[OpenAgentsError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _tree(below)


def _rejections() -> Mapping[str, str]:
    from openagents_json.workflow.errors import REJECTIONS

    return REJECTIONS


def _rebuilt(
    kind: type[OpenAgentsError], problem: Mapping[str, Any]
) -> OpenAgentsError:
    """Make an error without its initialiser, which takes what the message was made from."""
    remedy = str(problem.get("remedy") or "")
    text = str(problem.get("detail") or kind.__doc__)
    told = f"{text}; {remedy}" if remedy else text
    error = kind.__new__(kind, told)
    error.args = (told,)
    error.remedy = remedy
    vars(error).update(_attributes(problem))
    return error


def _attributes(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an error carries beside its text."""
    carried = {
        name: value for name, value in problem.items() if name not in _OF_EVERY_PROBLEM
    }
    if "problems" in carried:  # of a document that is not valid
        carried["report"] = _report(carried.pop("problems"))
    return carried


def _report(problems: Any) -> Any:
    import msgspec

    from openagents_json.engine import Problem, Report

    return Report(msgspec.convert(problems, tuple[Problem, ...]))


def _rejected(code: str, problem: Mapping[str, Any]) -> OpenAgentsError:
    from openagents_json.engine import Rejected

    error = _rebuilt(Rejected, problem)
    error.code = code
    return error
