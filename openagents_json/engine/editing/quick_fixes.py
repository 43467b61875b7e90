"""What an editor may do about problems: the changes of a text that `validate --fix` would make, where it is sure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from openagents_json.engine.validation.files import mended
from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.language.problems import Problem
from openagents_json.workflow.validation.fixing.apply import carry_out


@dataclass(frozen=True, slots=True)
class Change:
    """A text that takes the place of what stands between two offsets."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class QuickFix:
    """Changes that belong together, and the problems that are no more after them."""

    title: str
    changes: tuple[Change, ...]
    problems: tuple[Problem, ...]


def fixes_of(
    text: str, problems: Iterable[Problem], *, is_yaml: bool
) -> Iterator[QuickFix]:
    """Yield what can be done about each of some problems by itself."""
    for problem in problems:
        fixed = carry_out(text, [problem], is_yaml=is_yaml)
        if problem.fix is not None and fixed.problems:
            title = f"Change {problem.fix.old!r} to {problem.fix.new!r}"
            changes = changes_between(text, fixed.text)
            yield QuickFix(title, changes, fixed.problems)


def fix_of_all(text: str, catalog: Catalog, *, is_yaml: bool) -> QuickFix | None:
    """Return what can be done about all problems of a text, also about those behind others; None if nothing can."""
    fixed = mended(text, catalog, is_yaml=is_yaml)
    count = len(fixed.problems)
    if not count:
        return None
    title = f"Fix all that is sure ({count})"
    return QuickFix(title, changes_between(text, fixed.text), fixed.problems)


def changes_between(before: str, after: str) -> tuple[Change, ...]:
    """Return the changes of a text into another with as many lines: in each line, from where they begin to differ."""
    old, new = before.split("\n"), after.split("\n")
    offsets = accumulate(map(_length, old), initial=0)
    changes = map(_change, old, new, offsets)
    return tuple(filter(_is_one, changes))


def _length(line: str) -> int:
    return len(line) + 1


def _is_one(change: Change) -> bool:
    return change.end > change.start or bool(change.text)


def _change(old: str, new: str, offset: int) -> Change:
    start = _alike(old, new)
    behind = _alike(old[start:][::-1], new[start:][::-1])
    end = len(old) - behind
    return Change(offset + start, offset + end, new[start : len(new) - behind])


def _alike(one: str, other: str) -> int:
    """Return how many characters two texts begin with alike."""
    pairs = enumerate(zip(one, other, strict=False))
    shorter = min(len(one), len(other))
    return next((at for at, (a, b) in pairs if a != b), shorter)
