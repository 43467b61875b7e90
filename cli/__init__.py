"""The `openagents` command."""

from __future__ import annotations

import sys


def __getattr__(name: str) -> object:
    """Tell whoever took this for a module of their own."""
    what = f"module 'cli' has no attribute {name!r}"
    why = "it is a package of openagents-json; a module of your own needs another name"
    raise AttributeError(f"{what}: {why}", name=name, obj=sys.modules[__name__])
