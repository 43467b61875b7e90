"""The guard: four packages have names that others may use, and a clash must be explained, not guessed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOMS = ("eventstore", "projections", "executor")


def guard(base: Path | None = None) -> None:
    """Check that our rooms are the ones beside this package.

    Raises ImportError that names the package in the way.
    """
    root = base or Path(__file__).resolve().parents[2]
    for room in ROOMS:
        spec = find_spec(room)
        found = Path(spec.origin).resolve().parent if spec is not None and spec.origin else None
        if found != root / room:
            raise ImportError(
                f"{room!r} resolves to {found}, not to {root / room}: another package owns that name here; "
                "rename it, or run from another directory"
            )
