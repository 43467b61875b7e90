"""What a schedule may do when the run of its last firing is still open."""

from __future__ import annotations

from typing import Final

OVERLAPS: Final = ("skip", "queue", "replace", "allow")
