"""What is wrong with a document: problems, collected in one pass."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

from openagents_json.workflow.language.parse import locate
from openagents_json.workflow.types import Json

MOST: Final = 1000
COMPARISONS: Final = 10_000
"""How many names are compared for suggestions: enough for each problem that somebody reads."""
LONGEST: Final = 256
SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its code, place, what was found and expected, and the nearest valid name if there is one."""

    code: str
    severity: str
    pointer: str
    message: str
    found: Json = None
    expected: Json = None
    suggestion: str = ""
    step_id: str | None = None
    line: int | None = None
    column: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The problems of a document, errors first; `document` is the parsed document.

    Where there are more than anybody reads, the last one, `more_problems`, says how many, and `errors_left_out` how
    many of them are errors.
    """

    problems: tuple[Problem, ...]
    document: Any = None
    errors_left_out: int = 0

    @property
    def valid(self) -> bool:
        """Tell whether the document can run."""
        return all(problem.severity != "error" for problem in self.problems)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Return the problems that keep it from running."""
        return tuple(
            problem for problem in self.problems if problem.severity == "error"
        )


@dataclass(slots=True)
class Collector:
    """Takes problems while a document is looked through: so many of each severity as anybody reads, each once."""

    errors: dict[tuple[str, str, str], Problem] = field(default_factory=dict)
    warnings: dict[tuple[str, str, str], Problem] = field(default_factory=dict)
    comparisons: int = COMPARISONS
    more_errors: set[int] = field(default_factory=set)
    more_warnings: set[int] = field(default_factory=set)
    """Hashes of what is counted only, so that each is counted once: texts are not held for it."""

    @property
    def problems(self) -> list[Problem]:
        """Return what has been found, errors first."""
        return [*self.errors.values(), *self.warnings.values()]

    def error(self, code: str, pointer: str, message: str, **more: Any) -> None:
        """Note what keeps the document from running."""
        _note(
            self.errors,
            self.more_errors,
            Problem(code, "error", pointer, message, **more),
        )

    def warn(self, code: str, pointer: str, message: str, **more: Any) -> None:
        """Note what may not be meant so."""
        _note(
            self.warnings,
            self.more_warnings,
            Problem(code, "warning", pointer, message, **more),
        )

    def nearest(self, name: str, candidates: Iterable[Any]) -> str:
        """Suggest the nearest valid name, empty when none is near, or when many names have been compared already."""
        if self.comparisons <= 0 or len(name) > LONGEST:
            return ""
        # A suggestion shares at least 6 of 10 characters: what differs more in length is none.
        near = [
            text
            for item in islice(candidates, self.comparisons)
            if _may_be_near(name, text := str(item))
        ]
        self.comparisons -= 1 + len(near)
        matches = difflib.get_close_matches(name, near, 1, 0.6)
        return f"did you mean {matches[0]!r}?" if matches else ""

    def some_of(self, candidates: Iterable[str]) -> list[Json] | None:
        """Return what could stand there, in order; None when that has been said often."""
        return None if self.comparisons <= 0 else [*heapq.nsmallest(SHOWN, candidates)]

    def report(self, document: Any, text: str | None) -> Report:
        """Return the report, with lines and columns when there is a text."""
        errors = len(self.more_errors)
        warnings = len(self.more_warnings) + max(
            0, len(self.errors) + len(self.warnings) - MOST
        )
        problems = self.problems[:MOST]
        if errors or warnings:
            problems.append(_more_problems(errors, warnings))
        if text is not None:
            positions = locate(
                text, [problem.pointer for problem in problems if problem.line is None]
            )
            problems = [_placed(problem, positions) for problem in problems]
        return Report(tuple(problems), document, errors)


def _note(
    kept: dict[tuple[str, str, str], Problem], counted: set[int], problem: Problem
) -> None:
    """Keep a problem that is new while there is room, then count it only."""
    key = (problem.code, problem.pointer, problem.message)
    if key in kept:
        return
    if len(kept) < MOST:
        kept[key] = problem
    else:
        counted.add(hash(key))


def _more_problems(errors: int, warnings: int) -> Problem:
    """Say how many problems are not shown; it is an error where errors are among them."""
    severity = "error" if errors else "warning"
    message = (
        f"{errors + warnings:,} more problems are not shown (errors: {errors:,}, warnings: {warnings:,}); mend these "
        "first, then validate again"
    )
    return Problem("more_problems", severity, "", message, found=errors + warnings)


def _may_be_near(name: str, other: str) -> bool:
    return len(other) <= LONGEST and 3 * abs(len(name) - len(other)) <= 2 * (
        len(name) + len(other)
    )


def _placed(problem: Problem, positions: Mapping[str, tuple[int, int]]) -> Problem:
    if problem.line is not None:
        return problem
    line, column = positions[problem.pointer]
    return replace(problem, line=line, column=column)
