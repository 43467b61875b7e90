"""What is said of the server of a directory: where it is, who looks after it, and whether it has ever answered."""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from eventstore.private_files import open_private

_NAME: Final = "server.json"
_FRESH: Final = "server.json.new"

SUPERVISOR_LOCK: Final = "supervisor.lock"
"""What a supervisor keeps locked as long as it lives; the server does not inherit this one."""

_SUPERVISORS: Final = (
    "eventstore.redis.embedded.supervisor",
    "eventstore.redis.embedded.server",
    "eventstore.server",
)
"""The module of a supervisor, as its command line names it: here, and in versions before."""


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """The server of a directory, as its supervisor says when it begins it."""

    url: str = field(repr=False)  # it may hold a password
    supervisor: int
    answered: bool = True
    """Whether somebody has had an answer of it; versions before wrote nothing until then."""


def read_record(path: Path) -> ServerRecord | None:
    """Return what is said of the server of a directory, None where nothing is, or nothing that can be read."""
    try:
        stored = json.loads((path / _NAME).read_text())
        return ServerRecord(
            stored["url"],
            stored.get("supervisor", 0),
            stored.get("answered", True),
        )
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def write_record(path: Path, record: ServerRecord) -> None:
    """Say it in one step: a kill leaves what was said before, or this."""
    fresh = path / _FRESH
    with open_private(fresh, "w") as file:
        json.dump(
            {
                "url": record.url,
                "supervisor": record.supervisor,
                "answered": record.answered,
            },
            file,
        )
    fresh.replace(path / _NAME)


def remove_record(path: Path) -> None:
    """Say that a directory has no server."""
    (path / _NAME).unlink(missing_ok=True)


def has_supervisor(path: Path, record: ServerRecord) -> bool:
    """Tell whether the supervisor of a record is alive.

    Its lock tells it in containers too, where its number says nothing; supervisors of versions before have no lock.
    """
    return _is_locked(path / SUPERVISOR_LOCK) or _is_a_supervisor(record.supervisor)


def _is_locked(lock: Path) -> bool:
    try:
        with open_private(lock, "r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _is_a_supervisor(pid: int) -> bool:
    """Tell whether a process is a supervisor, and not another that has got the number of one."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return True
    arguments = command.split("\0")
    return any(name in arguments for name in _SUPERVISORS)
