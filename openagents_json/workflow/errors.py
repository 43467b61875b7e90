"""Errors of the pure room.

WorkflowError
+-- InvalidDefinition   a document has problems
+-- InvalidInputs       a run's inputs do not fit the document
+-- CannotEdit          inputs have nothing at a path (workflow/history/edits.py)
+-- ExpressionError     an expression cannot be compiled
+-- ExpressionFailed    an expression cannot be evaluated
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class WorkflowError(Exception):
    """Something is wrong with a document or with what it was given."""


class InvalidDefinition(WorkflowError):
    """A document has problems; carries the `report`."""

    def __init__(self, report: Any) -> None:
        self.report = report
        errors = [p for p in report.problems if p.severity == "error"]
        first = errors[0]
        others = len(errors) - 1
        if report.errors_left_out:
            others += report.errors_left_out - 1  # `more_problems` stands for them, and is none itself
        more = f" (and {others} more; `openagents validate` shows them)" if others else ""
        place = f"line {first.line}, column {first.column}" if first.line else first.pointer or "/"
        hint = f"; {first.suggestion}" if first.suggestion else ""
        super().__init__(f"the workflow is not valid: {place}: {first.code}: {first.message}{hint}{more}")


class InvalidInputs(WorkflowError):
    """A run's inputs do not fit; carries `problems`, (path, reason) pairs."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        self.problems = tuple(problems)
        super().__init__("the inputs do not fit: " + "; ".join(f"{path}: {reason}" for path, reason in problems))


class ExpressionError(WorkflowError):
    """An expression cannot be compiled; carries `expression` and `reason`."""

    def __init__(self, expression: str, reason: str) -> None:
        self.expression, self.reason = expression, reason
        super().__init__(f"expression {shorten(expression)!r}: {reason}")


class ExpressionFailed(WorkflowError):
    """An expression cannot be evaluated; carries `expression`, `reason` and `pointer`, its place in the document."""

    def __init__(self, expression: str, reason: str, pointer: str = "") -> None:
        self.expression, self.reason, self.pointer = expression, reason, pointer
        place = f" at {pointer}" if pointer else ""
        super().__init__(f"expression {shorten(expression)!r}{place}: {reason}")


def shorten(text: str, width: int = 120) -> str:
    """Cut a long text."""
    return text if len(text) <= width else text[: width - 1] + "…"
