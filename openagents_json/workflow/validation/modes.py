"""How strictly a document is validated: what of its problems is an error, and what is not told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal, get_args

from openagents_json.workflow.language.problems import Problem, Report

Mode = Literal["strict", "normal", "permissive"]

MODES: Final[tuple[Mode, ...]] = get_args(Mode)
NORMAL: Final[Mode] = "normal"
"""What runs are started by: only what keeps a document from running is an error."""

STRICT: Final[Mode] = "strict"
"""Every warning is an error; what may come to nothing, and is so in many documents that are right, is a warning."""

MAY_COME: Final = frozenset(
    {"unknown_component", "unknown_workflow", "version_incompatible"}
)
"""Errors that may be gone when a run starts, as others register components: warnings of the permissive mode."""

FOR_READERS: Final = frozenset(
    {
        "deprecated_component",
        "deprecated_key",
        "ignored_option",
        "reserved_name",
        "unused_input",
        "unused_output",
    }
)
"""Warnings that change nothing of what a run does: not told in the permissive mode."""


def in_mode(report: Report, mode: Mode) -> Report:
    """Return a report as a mode has it, errors first."""
    if mode == NORMAL:
        return report
    change: Callable[[Problem], Problem | None] = _CHANGES[mode]
    told = filter(None, map(change, report.problems))
    notes = report.notes if mode == STRICT else ()
    return replace(report, problems=(*sorted(told, key=_rank), *notes))


def _strict(problem: Problem) -> Problem:
    return replace(problem, severity="error")


def _permissive(problem: Problem) -> Problem | None:
    if problem.code in FOR_READERS and problem.severity == "warning":
        return None
    if problem.code in MAY_COME:
        return replace(problem, severity="warning")
    return problem


_CHANGES: Final = {"strict": _strict, "permissive": _permissive}


def _rank(problem: Problem) -> bool:
    return problem.severity != "error"
