"""A campaign against one target: inputs are made of kept ones, checked, and kept when they lead to something new."""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Protocol

from tests.fuzz.shrinking import shrunk

ROOT = Path(__file__).resolve().parents[2]
SEEDS = Path(__file__).parent / "seeds"
FAILURES = ROOT / "build" / "fuzz"
MOST_KEPT = 3_000
"""How many inputs that led to something new are kept in memory beside the seeds."""

MOST_BYTES = 65_536
"""Larger inputs take their time and find nothing that smaller ones do not."""


class Target(Protocol):
    """What is fuzzed: how its inputs are changed, and what has to be true of each."""

    name: str
    folder: str
    """Where its kept inputs are, below `seeds`."""

    extension: str

    def mutate(self, raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
        """Make an input of another."""
        ...

    def smaller(self, raw: bytes) -> Iterator[bytes]:
        """Return smaller inputs of one, those that are much smaller first."""
        ...

    def check(self, raw: bytes) -> str:
        """Do with an input what a user would; says in a few words what came of it. Whatever it raises is a fault."""
        ...


@dataclass(frozen=True, slots=True)
class Failure:
    """An input at which the target fails; `where` is the same for failures that have most likely one cause."""

    where: str
    raw: bytes
    told: str


@dataclass(slots=True)
class Result:
    """What a campaign came to."""

    inputs: int = 0
    outcomes: set[str] = field(default_factory=set)
    failures: dict[str, Failure] = field(default_factory=dict)


Guard = Callable[[Target, bytes], str]
"""Checks an input, perhaps under limits of time and memory."""


def unguarded(target: Target, raw: bytes) -> str:
    """Check an input without any limits."""
    return target.check(raw)


def seeds(target: Target) -> dict[str, bytes]:
    """Return the kept inputs of a target, by the names of their files."""
    files = sorted((SEEDS / target.folder).iterdir())
    return {path.name: path.read_bytes() for path in files}


def failure_of(
    target: Target,
    raw: bytes,
    guard: Guard = unguarded,
    outcomes: set[str] | None = None,
) -> Failure | None:
    """Check one input; None when all is as it has to be, and then `outcomes` gets what came of it."""
    try:
        outcome = guard(target, raw)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return Failure(_where(error), raw, "".join(traceback.format_exception(error)))
    if outcomes is not None:
        outcomes.add(outcome)
    return None


def fuzz(
    target: Target,
    going_on: Callable[[int], bool],
    random: Random,
    guard: Guard = unguarded,
) -> Iterator[Result]:
    """Check the kept inputs, then others as long as it is to go on, by how many there were; gives the result so far."""
    kept, result = list(seeds(target).values()), Result()
    corpus = list(kept)
    for raw in kept:
        _check(target, raw, guard, result)
        yield result
    while going_on(result.inputs):
        raw = random.choice(kept if random.random() < 0.5 else corpus)
        for _ in range(random.choice((1, 1, 2, 4))):
            raw = target.mutate(raw, corpus, random)
        if len(raw) > MOST_BYTES:
            continue
        before = len(result.outcomes)
        _check(target, raw, guard, result)
        if len(result.outcomes) > before and len(corpus) < len(kept) + MOST_KEPT:
            corpus.append(raw)
        yield result


def _check(target: Target, raw: bytes, guard: Guard, result: Result) -> None:
    result.inputs += 1
    failure = failure_of(target, raw, guard, result.outcomes)
    if failure is not None:
        result.failures.setdefault(failure.where, failure)


def _where(error: BaseException) -> str:
    """Name the kind of an error and the innermost line of ours that raised it; of our own checks, what they say too."""
    frames = [
        (code, line) for code, line in _frames(error.__traceback__) if _is_ours(code)
    ]
    if not frames:
        return type(error).__name__
    code, line = frames[-1]
    own = Path(code).is_relative_to(SEEDS.parent)
    words = (
        re.sub(r"[^a-z ]+", "", str(error).split("\n")[0].lower())[:40] if own else ""
    )
    return f"{type(error).__name__} {Path(code).name}:{line} {words}".strip()


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, int]]:
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _is_ours(file: str) -> bool:
    return (
        file.startswith(str(ROOT)) and ".venv" not in file and "campaign.py" not in file
    )


def save(
    target: Target,
    failure: Failure,
    guard: Guard = unguarded,
    *,
    folder: Path = FAILURES,
    patient: Callable[[], bool] = lambda: True,
) -> Path:
    """Make the input of a failure smaller while one is patient, and save it with what it led to; gives its file."""

    def fails(raw: bytes) -> bool:
        again = failure_of(target, raw, guard)
        return again is not None and again.where == failure.where

    raw = shrunk(failure.raw, target.smaller, fails, patient)
    again = failure_of(target, raw, guard) or failure
    target_folder = folder / target.name
    target_folder.mkdir(parents=True, exist_ok=True)
    path = target_folder / f"{hashlib.sha256(raw).hexdigest()[:12]}{target.extension}"
    path.write_bytes(raw)
    path.with_suffix(".txt").write_text(again.told, "utf-8", "backslashreplace")
    return path
