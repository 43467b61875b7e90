"""The bounds of a sandbox: what the kernel of a machine enforces, and what it leaves to Python's audit hook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from openagents_json.simulation.sandbox_kernel import Kernel

NETWORK, MOUNTS, LANDLOCK, SECCOMP = (
    "network namespaces",
    "mount namespaces",
    "Landlock",
    "seccomp",
)
MEANS: Final = (NETWORK, MOUNTS, LANDLOCK, SECCOMP)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What keeps components in: the kernel's means that are `used`, and what code in C can do in spite of them.

    Python code is kept from all of it by the audit hook, wherever it runs.
    """

    used: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

    def text(self) -> str:
        """Say it in a sentence."""
        if not self.leaves:
            return (
                f"sandbox: the kernel keeps components in, with {', '.join(self.used)}"
            )
        missing = ", ".join(name for name in MEANS if name not in self.used)
        return (
            f"sandbox: components in Python are kept in; nothing on this machine keeps code in C from "
            f"{'; '.join(self.leaves)} (not to be had here: {missing or 'a whole list of the secrets'})"
        )

    def and_(self, other: Bounds) -> Bounds:
        """Return what holds of two sandboxes."""
        leaves = dict.fromkeys((*self.leaves, *other.leaves))
        return Bounds(
            tuple(name for name in self.used if name in other.used), tuple(leaves)
        )


@dataclass(frozen=True, slots=True)
class SandboxPolicy:
    """Where a sandboxed process may do what: files in `writable` are its own, those in `hidden` nobody's.

    `complete` tells whether all that is to be hidden is known.
    """

    writable: Path
    hidden: Sequence[Path] = ()
    complete: bool = True


def confine(kernel: Kernel, room: SandboxPolicy) -> Bounds:
    """Keep this process in its room, as far as the kernel goes; there is no way back."""
    # Mounts before Landlock, which allows none from then on; seccomp last, for it refuses what the others need.
    network = kernel.leave_network()
    hidden = kernel.hide(room.hidden)
    frozen = kernel.freeze(room.writable)
    files = kernel.limit_files(room.writable)
    calls = kernel.limit_calls()
    used = dict(zip(MEANS, (network, hidden and frozen, files, calls), strict=True))
    leaves: list[str] = []
    if not calls:
        leaves.append(
            "connecting to servers by socket files" if network else "the network"
        )
        leaves.append(
            "copies of the process" if files else "other programs and processes"
        )
    if not frozen:
        leaves.append(
            "changing modes and times of files" if files else "changing files"
        )
    if not (hidden and room.complete):
        leaves.append("reading secrets")
    return Bounds(tuple(name for name, done in used.items() if done), tuple(leaves))
