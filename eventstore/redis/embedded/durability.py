"""Which durability the configuration of an embedded server says, and whether a log lies in its directory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from eventstore.redis.driver.fitness.findings import LEVELS

_MANIFEST: Final = ("appendonlydir/appendonly.aof.manifest", "appendonly.aof")
"""Where a server keeps its log: since Redis 7.0, and before."""


def has_log(path: Path) -> bool:
    """Tell whether a log lies in a directory."""
    return any((path / name).exists() for name in _MANIFEST)


def durability_lines(path: Path, durability: str) -> list[str]:
    """Return the lines of a configuration for a level; where a log is, it is read and kept, at `memory` too."""
    appendonly = LEVELS[durability] > 0 or has_log(path)
    return [
        "appendonly " + ("yes" if appendonly else "no"),
        "appendfsync " + ("always" if durability == "always" else "everysec"),
    ]


def with_level(config: str, path: Path, durability: str) -> str:
    """Return a configuration with another level."""
    others = [
        line
        for line in config.splitlines()
        if not line.startswith(("appendonly ", "appendfsync "))
    ]
    return "\n".join([*others, *durability_lines(path, durability)])


def level_of(config: str) -> str:
    """Return the level that a configuration says."""
    lines = config.splitlines()
    if "appendonly yes" not in lines:
        return "memory"
    return "always" if "appendfsync always" in lines else "everysec"
