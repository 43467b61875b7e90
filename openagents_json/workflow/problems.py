"""What is wrong with a document: problems, collected in one pass."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from openagents_json.workflow.source import locate
from openagents_json.workflow.types import Json

MOST: Final = 1000


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
    """All problems of a document, errors first; `document` is the parsed document."""

    problems: tuple[Problem, ...]
    document: Any = None

    @property
    def valid(self) -> bool:
        """Tell whether the document can run."""
        return all(problem.severity != "error" for problem in self.problems)

    @property
    def errors(self) -> tuple[Problem, ...]:
        """Give the problems that keep it from running."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


@dataclass(slots=True)
class Collector:
    """Takes problems while a document is looked through."""

    problems: list[Problem] = field(default_factory=list)

    def error(self, code: str, pointer: str, message: str, **more: Any) -> None:
        """Note what keeps the document from running."""
        self.problems.append(Problem(code, "error", pointer, message, **more))

    def warn(self, code: str, pointer: str, message: str, **more: Any) -> None:
        """Note what may not be meant so."""
        self.problems.append(Problem(code, "warning", pointer, message, **more))

    def report(self, document: Any, text: str | None) -> Report:
        """Give the report, with lines and columns when there is a text."""
        unique = list(dict.fromkeys((p.code, p.pointer, p.message) for p in self.problems))
        by_key = {(p.code, p.pointer, p.message): p for p in reversed(self.problems)}
        problems = sorted((by_key[key] for key in unique), key=lambda p: p.severity != "error")[:MOST]
        if text is not None:
            problems = [_placed(problem, text) for problem in problems]
        return Report(tuple(problems), document)


def _placed(problem: Problem, text: str) -> Problem:
    if problem.line is not None:
        return problem
    line, column = locate(text, problem.pointer)
    return replace(problem, line=line, column=column)


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the nearest valid name, empty when none is near."""
    near = difflib.get_close_matches(name, [str(item) for item in known], 1, 0.6)
    return f"did you mean {near[0]!r}?" if near else ""
