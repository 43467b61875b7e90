"""Errors of the pure room.

WorkflowError
+-- InvalidDefinition   a document has problems
+-- InvalidInputs       a run's inputs do not fit the document
+-- CannotEdit          inputs have nothing at a path
+-- ExpressionError     an expression cannot be compiled
+-- ExpressionFailed    an expression cannot be evaluated

Conflict
+-- Rejected            a command does not fit the state of the run
RunUnreadable
+-- UnknownEvent        a stored event has a type or a shape that this version does not know
InvalidArgument
+-- NotADocument        a text is not JSON
+-- DocumentUnreadable  a document's file cannot be read
+-- InvalidPattern      a text is no regular expression that can be used
+-- InvalidTime         a duration or a time cannot be understood
+-- OverBound           an evaluation, or a value in it, would be too large
SecretsUnclear          inputs of an older version do not say where their secrets are
UnreadableSnapshot      what is kept as a snapshot is none
NotAvailable            an expression uses something that expressions do not have
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from openagents_json.errors import (
    Conflict,
    ContentTooLarge,
    InvalidArgument,
    OpenAgentsError,
    RunUnreadable,
)


class WorkflowError(OpenAgentsError):
    """Something is wrong with a document or with what it was given."""

    code = "workflow_error"


class InvalidDefinition(WorkflowError, InvalidArgument):
    """A document has problems; carries the `report`, and `because` there are "others" behind the first one, if so."""

    code = "invalid_definition"
    exit_status = 4

    def __init__(self, report: Any) -> None:
        self.report = report
        errors = [p for p in report.problems if p.severity == "error"]
        first = errors[0]
        others = len(errors) - 1
        if report.errors_left_out:
            others += (
                report.errors_left_out - 1
            )  # `more_problems` stands for them, and is none itself
        self.because = "others" if others else ""
        more = f" (and {others} more)" if others else ""
        location = (
            f"line {first.line}, column {first.column}"
            if first.line
            else first.pointer or "/"
        )
        hint = f"; {first.suggestion}" if first.suggestion else ""
        super().__init__(
            f"the workflow is not valid: {location}: {first.code}: {first.message}{hint}{more}"
        )


class InvalidBudget(InvalidArgument, ValueError):
    """A budget names what there is not, or amounts that cannot be."""

    code = "invalid_budget"


class InvalidInputs(WorkflowError, InvalidArgument):
    """A run's inputs do not fit; carries `problems`, (path, reason) pairs."""

    code = "invalid_inputs"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "the inputs do not fit: "
            + "; ".join(f"{path}: {reason}" for path, reason in problems)
        )


class ExpressionError(WorkflowError, InvalidArgument):
    """An expression cannot be compiled; carries `expression`, `reason` and `pointer`, once its place is known."""

    code = "expression_error"
    exit_status = 4

    def __init__(self, expression: str, reason: str, pointer: str = "") -> None:
        self.expression = expression
        self.reason = reason
        self.pointer = pointer
        super().__init__(f"expression {shorten(expression)!r}: {reason}")


class ExpressionFailed(WorkflowError):
    """An expression cannot be evaluated; carries `expression`, `reason` and `pointer`, its place in the document."""

    code = "expression_failed"

    def __init__(self, expression: str, reason: str, pointer: str = "") -> None:
        self.expression = expression
        self.reason = reason
        self.pointer = pointer
        location = f" at {pointer}" if pointer else ""
        super().__init__(f"expression {shorten(expression)!r}{location}: {reason}")


class CannotEdit(WorkflowError, InvalidArgument):
    """Inputs have nothing at a path, or it is none; carries `path`."""

    code = "cannot_edit"

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(reason)


REJECTIONS: Final[Mapping[str, str]] = {
    "already_started": "the run exists already",
    "another_workflow": "the run is one of another workflow",
    "archived": "the run is in the archive of this store",
    "awaited": "another run waits for the result of this one",
    "cancelling": "the run is being cancelled",
    "closed": "the run has ended",
    "completed": "the run completed, so it has to be said which step is to begin again",
    "does_not_fit": "the run has results that have no place in the new version of its workflow",
    "erased": "payloads of the run are erased",
    "event_limit": "the run has as many events as it may have",
    "failing": "the run is failing: what it did is being undone",
    "has_child": "a step of the run waits for another run, which would stay where it is",
    "has_parent": "another run waits for this one, and would never hear of it",
    "held": "the run is held",
    "holds_place": "the run holds a place under the limit of its workflow",
    "invalid_payload": "the payload of the signal does not fit its schema",
    "moved_on": "the run has changed since the command was decided on",
    "not_encrypted": "the run is not encrypted, so it has no key to destroy",
    "not_failed": "the run has not failed",
    "not_started": "the run has no events yet",
    "open": "the run has not ended",
    "part_of_undone": "the step is a part of one that has to be done again",
    "queued": "the run waits for its turn to start",
    "resolved": "the step has ended already",
    "shredded": "the key of the run was destroyed",
    "unknown_signal": "no step of the run waits for a signal of that name",
    "unknown_step": "the run has no step of that name",
}
"""What a command is rejected for, by the code that the error carries."""


class Rejected(Conflict):
    """A command does not fit the state of the run; carries `code`, one of REJECTIONS, `reason` and `status`."""

    code = "rejected"

    def __init__(self, code: str, reason: str, status: str) -> None:
        self.code = code
        self.reason = reason
        self.status = status
        super().__init__(reason)


class UnknownEvent(RunUnreadable, ValueError):
    """A stored event has a type or a shape that this version does not know."""

    code = "unknown_event"

    def __init__(self, event_type: str, reason: str) -> None:
        self.event_type = event_type
        super().__init__(
            f"event {event_type!r} cannot be read: {reason}",
            remedy="a newer version of the engine wrote it?",
        )


class NotADocument(InvalidArgument, ValueError):
    """A text is neither JSON nor YAML, or too much of it; carries the `problem`, its `reason`, `line` and `column`."""

    code = "not_a_document"
    exit_status = 4

    def __init__(
        self,
        reason: str,
        line: int = 1,
        column: int = 1,
        *,
        problem: str = "invalid_json",
    ) -> None:
        self.problem = problem
        self.reason = reason
        self.line = line
        self.column = column
        super().__init__(reason)


class DocumentUnreadable(InvalidArgument, ValueError):
    """A document's file cannot be read."""

    code = "document_unreadable"
    exit_status = 4

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"{path}: {reason}",
            remedy="give the path of a workflow in JSON or YAML",
        )


class InvalidPattern(InvalidArgument, ValueError):
    """A text is no regular expression that can be searched for in linear time; the message says why."""

    code = "invalid_pattern"


class InvalidTime(InvalidArgument, ValueError):
    """A duration or a time cannot be understood."""

    code = "invalid_time"
    exit_status = 2


class SecretsUnclear(OpenAgentsError):
    """Inputs of an older version do not say which of their texts were meant as secrets; carries `path`."""

    code = "secrets_unclear"

    def __init__(self, path: Sequence[str | int]) -> None:
        self.path = list(path)
        super().__init__(
            f"input {shown_path(path)}: data in it looks like a secret",
            remedy="retry the step to resolve it anew",
        )


class UnreadableSnapshot(OpenAgentsError, ValueError):
    """What is kept as a snapshot is none."""

    code = "unreadable_snapshot"


class OverBound(ContentTooLarge):
    """An evaluation, or a value in it, would be too large."""

    code = "evaluation_too_large"


class NotAvailable(OpenAgentsError):
    """An expression uses something of the grammar that expressions do not have."""

    code = "not_in_expressions"


def shown_path(path: Sequence[str | int]) -> str:
    """Return a path as people write it."""
    return "".join(
        f"[{key}]" if isinstance(key, int) else f".{key}" for key in path
    ).removeprefix(".")


def shorten(text: str, width: int = 120) -> str:
    """Cut a long text."""
    if len(text) <= width:
        return text
    return text[: width - 1] + "…"
