"""`make fuzz`: each target for its share of the time, in a process of its own; or one input again."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

from tests.fuzz.campaign import (
    FAILURES,
    ROOT,
    Failure,
    Result,
    Target,
    failure_of,
    fuzz,
    save,
)
from tests.fuzz.targets import NAMES, opened
from tests.fuzz.watch import Watch

FOLDERS = {"imports": "capsules"}
SHRINKING = 60.0
"""Seconds in which a failure is made smaller."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser("python -m tests.fuzz")
    parser.add_argument(
        "--seconds", type=float, default=60, help="of all targets together"
    )
    parser.add_argument("--target", choices=NAMES, help="only this one")
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(2**32),
        help="for the same inputs again",
    )
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="check this input alone"
    )
    given = parser.parse_args(arguments)
    if given.replay:
        return replay(given.replay, given.target or given.replay.absolute().parent.name)
    if given.target:
        return one(given.target, given.seconds, given.seed)
    return max(
        in_process_of_its_own(name, given.seconds / len(NAMES), given.seed)
        for name in NAMES
    )


def in_process_of_its_own(name: str, seconds: float, seed: int) -> int:
    """Fuzz a target; what ended its process is a failure too."""
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--target",
        name,
        "--seconds",
        str(seconds),
        "--seed",
        str(seed),
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        code = process.wait()
    current = _current(name, process.pid)
    if current.exists():
        killer = current.with_name(f"killer-{process.pid}{current.suffix}")
        current.rename(killer)
        killer.with_suffix(".txt").write_text(
            f"the process ended with {code} while it checked this input\n"
        )
        print(
            f"{name}: FAILED: this input ended the process with {code}\n{_again(killer)}"
        )
    return int(code != 0)


def one(name: str, seconds: float, seed: int) -> int:
    """Fuzz a target in this process."""
    print(f"{name}: {seconds:.0f} s with --seed {seed}", flush=True)
    ends, result, watch = (
        time.monotonic() + seconds,
        Result(),
        Watch(_current(name, os.getpid())),
    )
    with opened(name) as target:
        for so_far in fuzz(
            target, lambda _: time.monotonic() < ends, Random(seed), watch
        ):
            result = so_far
            if time.monotonic() > ends:
                break
        print(
            f"{name}: {result.inputs} inputs, {len(result.outcomes)} kinds of outcomes, {_found(result)}",
            flush=True,
        )
        for failure in result.failures.values():
            _tell(target, failure.where, _saved(target, failure, watch))
    return int(bool(result.failures))


def _saved(target: Target, failure: Failure, watch: Watch) -> Path:
    ends = time.monotonic() + SHRINKING
    return save(target, failure, watch, patient=lambda: time.monotonic() < ends)


def _found(result: Result) -> str:
    return f"{len(result.failures)} failures" if result.failures else "nothing found"


def _tell(target: Target, where: str, path: Path) -> None:
    print(f"{target.name}: FAILED: {where}\n{_again(path)}", flush=True)


def _again(path: Path) -> str:
    shown, folder = path.relative_to(ROOT), path.parent.name
    kept = f"tests/fuzz/seeds/{FOLDERS.get(folder, folder)}/"
    return (
        f"  saved in {shown.parent}; again: make fuzz REPLAY={shown}\n"
        f"  what happened: {shown.with_suffix('.txt').name}; once mended, keep it: mv {shown} {kept}"
    )


def _current(name: str, process: int) -> Path:
    """Return the file in which a process has its input while it checks it."""
    return FAILURES / name / f"current-{process}.input"


def replay(path: Path, name: str) -> int:
    """Check one input, and show what is wrong."""
    if name not in NAMES:
        print(
            f"{path} is in no folder of a target; say which: make fuzz REPLAY={path} TARGET={'|'.join(NAMES)}"
        )
        return 2
    with opened(name) as target:
        failure = failure_of(
            target, path.read_bytes(), Watch(_current(name, os.getpid()))
        )
    print(
        failure.told
        if failure
        else f"{path}: nothing is wrong with what {name} makes of it"
    )
    return int(failure is not None)


if __name__ == "__main__":
    sys.exit(main())
