"""What a sandboxed component may not do, and the audit hook that refuses it.

It guards against accidents, not against malice: code in C can do what Python does not tell of, and whoever wants to get
around the hook can. Where the system lets a process give up its network, code in C has none either.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from openagents_json.components.errors import ComponentError

_NETWORK: Final = {
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
    "socket.gethostbyaddr",
    "socket.getnameinfo",
}
_PROCESSES: Final = {
    "subprocess.Popen",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.kill",
    "os.killpg",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "os.system",
    "pty.spawn",
}
_NEVER: Final = frozenset(_NETWORK | _PROCESSES)

_PATHS: Final[Mapping[str, Sequence[tuple[int, int]]]] = {
    "os.chmod": [(0, 2)],
    "os.chown": [(0, 3)],
    "os.link": [(1, 3)],
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.removexattr": [(0, -1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.rmdir": [(0, 1)],
    "os.setxattr": [(0, -1)],
    "os.symlink": [(1, 2)],
    "os.truncate": [(0, -1)],
    "os.utime": [(0, 3)],
    "sqlite3.connect": [(0, -1)],
}
"""Events that change files: where among their arguments the paths are, and the folders that these are relative to."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_HARMLESS: Final = frozenset({os.devnull, ":memory:"})

CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000


class SandboxRefused(ComponentError):
    """A component wanted to do in the sandbox what may have an effect outside of it."""

    retryable = False

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"the sandbox does not allow {what}")


def refusal(event: str, args: Sequence[Any], directory: str) -> str:
    """Say what an audit event wants that is not allowed, "" when it is; files may be changed below `directory`."""
    if event in _NEVER:
        return f"{event}{_shown(args)}"
    if event == "open":
        writes = isinstance(args[2], int) and args[2] & _WRITES
        return f"writing {args[0]!r}" if writes and not _inside(args[0], -1, directory) else ""
    for place, folder in _PATHS.get(event, ()):
        base = args[folder] if 0 <= folder < len(args) else -1
        if not _inside(args[place], base, directory):
            return f"{event} of {args[place]!r}"
    return ""


def _shown(args: Sequence[Any]) -> str:
    """Give the arguments that say something, short: addresses and commands."""
    said = [repr(arg) for arg in args if isinstance(arg, str | bytes | tuple | list)]
    return f" {said[0][:100]}" if said else ""


def _inside(path: Any, folder: Any, directory: str) -> bool:
    if isinstance(path, int):  # a file that is open already
        return True
    text = os.fsdecode(path)
    if text in _HARMLESS:
        return True
    base = os.readlink(f"/proc/self/fd/{folder}") if isinstance(folder, int) and folder >= 0 else ""
    full = os.path.realpath(os.path.join(base, text))
    return full == directory or full.startswith(directory + os.sep)


def arm(directory: Path, note: Callable[[str], None]) -> None:
    """Refuse from now on, in this process, whatever may have an effect outside of a folder; there is no way back.

    `note` is told of each refusal, which the component may not let anybody see.
    """
    home = os.path.realpath(directory)

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        what = refusal(event, args, home)
        if what:
            note(what)
            raise SandboxRefused(what)

    def no_process(*_: Any) -> int:
        refuse("subprocess.Popen", ())
        return -1

    with suppress(ImportError):
        import _posixsubprocess

        setattr(_posixsubprocess, "fork_exec", no_process)  # noqa: B010 - multiprocessing calls it without an event
    sys.addaudithook(refuse)


def give_up_the_network() -> bool:
    """Leave the network behind, where the system lets this process; tells whether it did. Call it before any thread."""
    uid, gid = os.getuid(), os.getgid()
    try:
        unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (AttributeError, OSError):
        return False
    if unshare(CLONE_NEWNET) == 0:
        return True
    if unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        return False
    with suppress(OSError):  # so that the process is still who it was
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    return True
