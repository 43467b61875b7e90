"""Components that nobody names: those of the folder, as `init` writes them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

USUAL: Final = "components.py"

UNNAMED: Final = "MODULE"
"""What stands for components in a command that somebody has to complete."""


def usual_components() -> tuple[str, ...]:
    """Return the components of this folder; none where there are none."""
    if Path(USUAL).is_file():
        return (USUAL,)
    return ()


def component_options(components: Sequence[str]) -> str:
    """Return the options that name components in a command to be copied: those given, or those of this folder."""
    names = components or usual_components() or (UNNAMED,)
    return "".join(f" -c {shlex.quote(name)}" for name in names)
