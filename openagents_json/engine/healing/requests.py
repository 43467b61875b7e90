"""What somebody asks of a heal, and of the sandbox that its backtest runs in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from openagents_json.engine.healing.backtest import Fix
from openagents_json.simulation.sandbox import PROGRAM
from projections.runs import RunFilter


@dataclass(frozen=True, slots=True)
class HealRequest:
    """Which failed runs, at most `limit` of them, are healed by what, in which `waves`, and when that stops."""

    chosen: RunFilter
    fix: Fix = field(default_factory=Fix)
    waves: str = "1,10%,100%"
    stop_after_failures: str = "1"
    limit: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How components are kept in while a fix is tested.

    `strict`: the kernel refuses all of it, or nothing runs. `variables` are names of the environment that they see
    beside the harmless ones, `secrets` files and folders that they may not read beside the usual ones. `program` is
    what the sandbox runs.
    """

    strict: bool = False
    variables: tuple[str, ...] = ()
    secrets: tuple[Path, ...] = ()
    program: tuple[str, ...] = PROGRAM
