"""What is wrong with a document: problems, collected in one pass."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final, NamedTuple

from openagents_json.workflow.language.parse import Positions
from openagents_json.workflow.types import Json

MOST: Final = 1000
COMPARISONS: Final = 10_000
"""How many names are compared for suggestions: enough for each problem that somebody reads."""
LONGEST: Final = 256
SHOWN: Final = 50


@dataclass(frozen=True, slots=True)
class Fix:
    """What is surely meant: a new word in the place of an old one, at the pointer of the problem."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem: its code, place, what was found and expected, and the nearest valid name if there is one.

    It has a `fix` where that name is surely the one that is meant.
    """

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
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """The problems of a document, errors first; `document` is the parsed document.

    Where there are more than anybody reads, the last one, `more_problems`, says how many, and `errors_left_out` how
    many of them are errors. `notes` are told in the strict mode only.
    """

    problems: tuple[Problem, ...]
    document: Any = None
    errors_left_out: int = 0
    notes: tuple[Problem, ...] = ()

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


class Nearest:
    """A name that is not there: the nearest among some is looked for when the report is made, while anybody reads it.

    `is_listed` says that what could stand there is named too.
    """

    __slots__ = ("_answer", "_choices", "candidates", "is_listed", "name")

    def __init__(
        self, name: str, candidates: Iterable[Any], *, is_listed: bool = False
    ) -> None:
        self.name = name
        self.candidates = candidates
        self.is_listed = is_listed
        self._answer: Answer | None = None
        self._choices: list[Json] | None = None

    def answer(self, comparisons: int) -> Answer:
        """Return the nearest name, with no more than so many comparisons; it is looked for once."""
        if comparisons <= 0 or len(self.name) > LONGEST:
            return Answer("", 0, 0)
        answer = self._answer
        if answer is None or answer.is_cut or answer.candidates >= comparisons:
            # Fewer comparisons may cut the candidates short, and more may not any longer: that is another answer.
            answer = _nearest(self.name, self.candidates, comparisons)
            self._answer = answer
        return answer

    def choices(self) -> list[Json]:
        """Return what could stand there, in order."""
        if self._choices is None:
            self._choices = [*heapq.nsmallest(SHOWN, self.candidates)]
        return self._choices


class Answer(NamedTuple):
    """The nearest of some candidates, empty when none is near, and how many comparisons that took.

    `is_cut` says that there may be more candidates: one that was not looked at may be as near, so it is never sure.
    """

    name: str
    comparisons: int
    candidates: int
    is_sure: bool = False
    is_cut: bool = False

    @property
    def suggestion(self) -> str:
        """Return what is said of it."""
        return f"did you mean {self.name!r}?" if self.name else ""


def _nearest(name: str, candidates: Iterable[Any], most: int) -> Answer:
    looked_at = [*islice(candidates, most)]
    is_cut = len(looked_at) == most
    # A suggestion shares at least 6 of 10 characters: what differs more in length is none.
    near = [text for item in looked_at if _may_be_near(name, text := str(item))]
    best, second = [*difflib.get_close_matches(name, near, 2, 0.6), "", ""][:2]
    is_alone = _is_slip(name, best) and not _is_slip(name, second)
    return Answer(
        name=best,
        comparisons=1 + len(near),
        candidates=len(looked_at),
        is_sure=is_alone and not is_cut,
        is_cut=is_cut,
    )


_SHORTEST: Final = 4
"""Of a shorter word, a slip of one character is no slip but another word."""


def _is_slip(name: str, other: str) -> bool:
    """Tell whether one character is too many, too few or another one, or two have changed their places."""
    if min(len(name), len(other)) < _SHORTEST:
        return False
    pairs = zip(name, other, strict=False)
    start = next((at for at, (a, b) in enumerate(pairs) if a != b), len(other))
    one = name[start:]
    two = other[start:]
    # Words that differ in a number are different words.
    if one[:1].isdigit() or two[:1].isdigit():
        return False
    swapped = one[1:2] + one[:1] + one[2:]
    return two in (swapped, one[1:]) or one[1:] == two[1:] or one == two[1:]


class Draft(NamedTuple):
    """A problem as it was noted, with the name that a suggestion is looked for."""

    problem: Problem
    near: Nearest | None = None

    def shifted(self, old: str, new: str) -> Draft:
        """Return the same problem of a part of the document that stood at one pointer and stands at another now."""
        pointer = self.problem.pointer
        is_inside = pointer == old or pointer.startswith(f"{old}/")
        if old == new or not is_inside:
            return self
        problem = replace(self.problem, pointer=new + pointer[len(old) :])
        return Draft(problem, self.near)


Use = tuple[str, ...]
"""A reference: to the `inputs` or to a step, and to one input or output if it is to no more than that."""


@dataclass(slots=True)
class Collector:
    """Takes problems while a document is looked through: so many of each severity as anybody reads, each once."""

    errors: dict[tuple[str, str, str], Draft] = field(default_factory=dict)
    warnings: dict[tuple[str, str, str], Draft] = field(default_factory=dict)
    more_errors: set[int] = field(default_factory=set)
    more_warnings: set[int] = field(default_factory=set)
    """Hashes of what is counted only, so that each is counted once: texts are not held for it."""

    notes: dict[tuple[str, str, str], Draft] = field(default_factory=dict)
    """What only strict readers want to know; no more than anybody reads."""

    uses: set[Use] = field(default_factory=set)
    """What expressions refer to: inputs, and the outputs of steps."""

    other_errors: int = 0
    other_warnings: int = 0
    """What others have only counted."""

    @property
    def drafts(self) -> list[Draft]:
        """Return what has been noted, errors first."""
        return [*self.errors.values(), *self.warnings.values()]

    @property
    def problems(self) -> list[Problem]:
        """Return what has been found, errors first, without suggestions."""
        return [draft.problem for draft in self.drafts]

    def error(
        self,
        code: str,
        pointer: str,
        message: str,
        *,
        near: Nearest | None = None,
        **more: Any,
    ) -> None:
        """Note what keeps the document from running."""
        problem = Problem(code, "error", pointer, message, **more)
        _note(self.errors, self.more_errors, Draft(problem, near))

    def warn(
        self,
        code: str,
        pointer: str,
        message: str,
        *,
        near: Nearest | None = None,
        **more: Any,
    ) -> None:
        """Note what may not be meant so."""
        problem = Problem(code, "warning", pointer, message, **more)
        _note(self.warnings, self.more_warnings, Draft(problem, near))

    def note(self, code: str, pointer: str, message: str, **more: Any) -> None:
        """Note what may come to nothing, and is as it is in many documents that are right."""
        problem = Problem(code, "warning", pointer, message, **more)
        _note(self.notes, set(), Draft(problem))

    def take(self, other: Collector, old: str = "", new: str = "") -> None:
        """Take what another has, of a part of the document that stood at one pointer and stands at another now."""
        for draft in other.errors.values():
            _note(self.errors, self.more_errors, draft.shifted(old, new))
        for draft in other.warnings.values():
            _note(self.warnings, self.more_warnings, draft.shifted(old, new))
        for draft in other.notes.values():
            _note(self.notes, set(), draft.shifted(old, new))
        self.other_errors += len(other.more_errors) + other.other_errors
        self.other_warnings += len(other.more_warnings) + other.other_warnings

    def report(self, document: Any, positions: Positions | None) -> Report:
        """Return the report, with lines and columns when there is a text."""
        errors = len(self.more_errors) + self.other_errors
        counted = len(self.more_warnings) + self.other_warnings
        cut = max(0, len(self.errors) + len(self.warnings) - MOST)
        warnings = counted + cut
        problems = _suggested(self.drafts[:MOST])
        if errors or warnings:
            problems.append(_more_problems(errors, warnings))
        notes = [draft.problem for draft in self.notes.values()]
        if positions is not None:
            told = [*problems, *notes]
            by_pointer = positions([x.pointer for x in told if x.line is None])
            problems = [_placed(problem, by_pointer) for problem in problems]
            notes = [_placed(note, by_pointer) for note in notes]
        return Report(tuple(problems), document, errors, tuple(notes))


def _suggested(drafts: Iterable[Draft]) -> list[Problem]:
    """Return problems with their suggestions, for as many of them as somebody reads."""
    left = COMPARISONS
    problems = []
    for problem, near in drafts:
        if near is None or left <= 0:
            problems.append(problem)
            continue
        answer = near.answer(left)
        suggestion = answer.suggestion or problem.suggestion
        expected = near.choices() if near.is_listed else problem.expected
        fix = Fix(near.name, answer.name) if answer.is_sure else problem.fix
        problems.append(
            replace(problem, suggestion=suggestion, expected=expected, fix=fix)
        )
        left -= answer.comparisons
    return problems


def _note(
    kept: dict[tuple[str, str, str], Draft], counted: set[int], draft: Draft
) -> None:
    """Keep a problem that is new while there is room, then count it only."""
    problem = draft.problem
    key = (problem.code, problem.pointer, problem.message)
    if key in kept:
        return
    if len(kept) < MOST:
        kept[key] = draft
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
