"""Runs Python where the kernel has no namespaces, no Landlock and no seccomp for it, as in many containers."""

from __future__ import annotations

import errno
import os
import sys

import pyseccomp as seccomp

PR_SET_SECCOMP = 22


def main() -> None:
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    for name in ("unshare", "mount", "seccomp"):
        rules.add_rule(seccomp.ERRNO(errno.EPERM), name)
    rules.add_rule(
        seccomp.ERRNO(errno.EPERM), "prctl", seccomp.Arg(0, seccomp.EQ, PR_SET_SECCOMP)
    )
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "landlock_create_ruleset")
    rules.load()
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


if __name__ == "__main__":
    main()
