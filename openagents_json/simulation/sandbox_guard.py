"""What a sandboxed component may not do, and the audit hook that refuses it.

It guards against accidents, not against malice: code in C can do what Python does not tell of, and whoever wants to get
around the hook can. What the kernel does about that is in `sandbox_kernel`; the hook is what tells of a refusal, so it
refuses all that the kernel does.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from openagents_json.simulation.errors import SandboxRefused
from openagents_json.simulation.sandbox_secrets import Secrets

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

_TAKES: Final = frozenset({"os.link", "os.rename"})
"""Events that give a file another name, by which it could be read."""

_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
_HARMLESS: Final = frozenset({os.devnull, ":memory:"})
_READ_ONLY: Final = re.compile(r"file:[^?]*\?(.*&)?(mode=ro|immutable=1)(&|$)")
"""A database that is opened for reading: a URI of SQLite's."""


def refusal(event: str, args: Sequence[Any], directory: str, secrets: Secrets) -> str:
    """Say what an audit event wants that is not allowed, "" when it is; files may be changed below `directory`."""
    if event in _NEVER:
        return f"{event}{_shown(args)}"
    if event == "open":
        return _opening(args[0], args[2], directory, secrets)
    if event in _TAKES and _holds(secrets, args[0]):
        return f"reading {args[0]!r}, where secrets are"
    is_read_only = event == "sqlite3.connect" and _READ_ONLY.match(os.fsdecode(args[0]))
    if is_read_only:
        return ""
    for path_index, folder_index in _PATHS.get(event, ()):
        base = args[folder_index] if 0 <= folder_index < len(args) else -1
        if not _inside(args[path_index], base, directory):
            return f"{event} of {args[path_index]!r}"
    return ""


def _opening(path: Any, flags: Any, directory: str, secrets: Secrets) -> str:
    if isinstance(flags, int) and flags & _WRITES:
        if _inside(path, -1, directory):
            return ""
        return f"writing {path!r}"
    if _holds(secrets, path):
        return f"reading {path!r}, where secrets are"
    return ""


def _holds(secrets: Secrets, path: Any) -> bool:
    return not isinstance(path, int) and secrets.hold(os.fsdecode(path))


def _shown(args: Sequence[Any]) -> str:
    """Return the arguments that say something, short: addresses and commands."""
    texts = [repr(arg) for arg in args if isinstance(arg, str | bytes | tuple | list)]
    if texts:
        return f" {texts[0][:100]}"
    return ""


def _inside(path: Any, folder: Any, directory: str) -> bool:
    if isinstance(path, int):  # a file that is open already
        return True
    text = os.fsdecode(path)
    if text in _HARMLESS:
        return True
    base = (
        os.readlink(f"/proc/self/fd/{folder}")
        if isinstance(folder, int) and folder >= 0
        else ""
    )
    full = os.path.realpath(os.path.join(base, text))
    return full == directory or full.startswith(directory + os.sep)


def arm(directory: Path, secrets: Secrets, note: Callable[[str], None]) -> None:
    """Refuse from now on, in this process, what may have an effect outside of a folder, or reads secrets; for ever.

    `note` is told of each refusal, which the component may not let anybody see.
    """
    home = os.path.realpath(directory)

    def refuse(event: str, args: tuple[Any, ...]) -> None:
        what = refusal(event, args, home, secrets)
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
