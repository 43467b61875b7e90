"""What the kernel does to keep a sandboxed process in bounds: namespaces, Landlock, seccomp.

Unlike Python's audit hook, none of it can be got around by code in C. Each part is missing somewhere: namespaces and
mounts in most containers, Landlock before Linux 5.13, seccomp where libseccomp is not installed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWNET: Final = 0x40000000
CLONE_THREAD: Final = 0x00010000

_MS_RDONLY, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 4096, 16384, 1 << 18
_MOUNT_SETATTR: Final = 442
_AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = -100, 0x8000, 1

_LANDLOCK_TRUNCATES: Final = 3
"""The first version of Landlock that keeps files from being cut, too."""

_CAPABILITIES_V3: Final = 0x20080522
_FOR_FILES: Final = 0b1111
"""CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER: root reads what it could read before."""

_CONNECTS: Final = ("connect", "bind", "sendmsg", "sendmmsg", "io_uring_setup")
_STARTS: Final = (
    "fork",
    "vfork",
    "execve",
    "execveat",
    "tkill",
    "rt_sigqueueinfo",
    "pidfd_send_signal",
    "ptrace",
)
_UNDOES: Final = (
    "unshare",
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "mount_setattr",
    "move_mount",
    "fsmount",
)
"""Calls by which a process could leave what it was put into."""


class Kernel(Protocol):
    """Takes something away from this process for ever; each method tells whether it could. Call them in this order."""

    def leave_network(self) -> bool:
        """Take away the network."""

    def hide(self, paths: Sequence[Path]) -> bool:
        """Take away what files and folders hold."""

    def freeze(self, writable: Path) -> bool:
        """Take away all changes of files, but for those in a folder."""

    def limit_files(self, writable: Path) -> bool:
        """Take away the writing and making of files outside of a folder, and the execution of programs."""

    def limit_calls(self) -> bool:
        """Take away connections, other programs, copies of the process, and signals to others."""


class ThisKernel:
    """The kernel that this process runs on. Call it before any thread is started: each has limits of its own."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        # They look for their libraries with other programs, of which there are none later.
        self._landlock = _landlock()
        self._seccomp = _seccomp()
        self._mounts: bool | None = None

    def leave_network(self) -> bool:
        """Leave the network namespace for one that has nothing in it."""
        return self._unshare(CLONE_NEWNET)

    def hide(self, paths: Sequence[Path]) -> bool:
        """Mount nothing over what is there."""
        if not self._own_mounts():
            return False
        covered = [
            self._covered(path) for path in paths
        ]  # all of them, whatever became of the first
        return all(covered)

    def freeze(self, writable: Path) -> bool:
        """Make all mounts read-only, but for one of the folder."""
        if not self._own_mounts():
            return False
        folder = os.fsencode(writable)
        if self._libc.mount(folder, folder, None, _MS_BIND, None) != 0:
            return False
        return self._read_only("/", _AT_RECURSIVE, 1) and self._read_only(
            str(writable), 0, 0
        )

    def limit_files(self, writable: Path) -> bool:
        """Use Landlock, which is whole from its third version on."""
        landlock = self._landlock
        if landlock is None:
            return False
        try:
            reads = landlock.AccessFS.READ_FILE | landlock.AccessFS.READ_DIR
            changes = landlock.fs_for_abi(landlock.abi_version()) & ~reads
            scoped = landlock.scope_for_abi(landlock.abi_version())
            with landlock.Ruleset(handled_fs=changes, scoped=scoped) as rules:
                rules.allow_path(writable, changes & ~landlock.AccessFS.EXECUTE)
                rules.allow_path(
                    os.devnull,
                    landlock.AccessFS.WRITE_FILE | landlock.AccessFS.TRUNCATE,
                )
                rules.restrict()
        except (landlock.LandlockError, OSError):
            return False
        return True

    def limit_calls(self) -> bool:
        """Use seccomp; calls that are refused fail as those do that one may not make."""
        seccomp = self._seccomp
        if seccomp is None or not self._without_powers():
            return False
        refused = seccomp.ERRNO(errno.EPERM)
        try:
            rules = seccomp.SyscallFilter(seccomp.ALLOW)
            for name in (*_CONNECTS, *_STARTS, *_UNDOES):
                if (
                    seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) != -1
                ):  # each kind of machine has its own
                    rules.add_rule(refused, name)
            rules.add_rule(
                refused, "sendto", seccomp.Arg(4, seccomp.NE, 0)
            )  # without an address it is send()
            rules.add_rule(refused, "kill", seccomp.Arg(0, seccomp.NE, os.getpid()))
            rules.add_rule(
                refused, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0)
            )
            # What it is asked for lies in memory, where a filter cannot look: libraries fall back to clone.
            rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
            rules.load()
        except OSError:
            return False
        return True

    def _without_powers(self) -> bool:
        """Keep of what root may do only what concerns files: the clock, other processes' memory ... are not for it."""
        header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
        rights = (
            ctypes.c_uint32 * 6
        )()  # effective, permitted, inheritable: twice, for 64 of them
        if self._libc.capget(header, rights) != 0:
            return False
        kept = [rights[index] & (_FOR_FILES if index < 2 else 0) for index in range(6)]
        return bool(self._libc.capset(header, (ctypes.c_uint32 * 6)(*kept)) == 0)

    # -- namespaces --------------------------------------------------------------------------------------

    def _own_mounts(self) -> bool:
        if self._mounts is None:
            self._mounts = (
                self._unshare(CLONE_NEWNS)
                # What is mounted from now on is seen by this process alone.
                and self._libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
                == 0
            )
        return self._mounts

    def _unshare(self, what: int) -> bool:
        """Leave a namespace: as who may do so, or as the root of a user namespace of its own."""
        if not hasattr(self._libc, "unshare"):  # of Linux alone
            return False
        uid = os.getuid()
        gid = os.getgid()
        if self._libc.unshare(what) == 0:
            return True
        if self._libc.unshare(CLONE_NEWUSER | what) != 0:
            return False
        with suppress(OSError):  # so that the process is still who it was
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
            Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
        return True

    def _covered(self, path: Path) -> bool:
        encoded = os.fsencode(path)
        if not path.exists():
            return True
        if path.is_dir():
            return bool(
                self._libc.mount(b"none", encoded, b"tmpfs", _MS_RDONLY, b"size=4k")
                == 0
            )
        return bool(
            self._libc.mount(os.devnull.encode(), encoded, None, _MS_BIND, None) == 0
        )

    def _read_only(self, path: str, flags: int, on: int) -> bool:
        attributes = (ctypes.c_uint64 * 4)(
            _MOUNT_ATTR_RDONLY if on else 0, 0 if on else _MOUNT_ATTR_RDONLY, 0, 0
        )
        encoded = ctypes.c_char_p(os.fsencode(path))
        size = ctypes.c_size_t(ctypes.sizeof(attributes))
        done = self._libc.syscall(
            ctypes.c_long(_MOUNT_SETATTR),
            _AT_FDCWD,
            encoded,
            flags,
            ctypes.byref(attributes),
            size,
        )
        return bool(done == 0)


def _landlock() -> Any:
    try:
        import landlockpy

        if landlockpy.abi_version() >= _LANDLOCK_TRUNCATES:
            return landlockpy
        return None
    except (ImportError, OSError):
        return None


def _seccomp() -> Any:
    try:
        import pyseccomp
    except (
        ImportError,
        RuntimeError,
        OSError,
    ):  # where libseccomp is not installed, it raises RuntimeError
        return None
    return pyseccomp
