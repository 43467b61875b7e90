"""The demo, run once for all tests that look at it."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.acceptance.processes import ROOT
from tests.conftest import wait_for

PROGRAM = ROOT / "examples" / "document_processing" / "demo.py"
needs_the_demo = pytest.mark.xdist_group("demo")
"""Puts a test beside the others of the demo, so that it runs once."""


@dataclass(frozen=True)
class Demo:
    """What the demo left and printed."""

    store: Path
    printed: str


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the demo to its end, and wait until its server has gone."""
    store = tmp_path_factory.mktemp("demo") / "store"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(store)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    wait_for(lambda: server_has_gone(store), 60)
    return Demo(store, done.stdout)


def server_has_gone(store: Path) -> bool:
    """Tell whether the embedded server of a directory has ended: nothing in there changes any more."""
    if (store / "server.json").exists():
        return False
    with (store / "users.lock").open("a+") as users:
        fcntl.flock(
            users, fcntl.LOCK_SH
        )  # the server's supervisor keeps all others out until it ends
    return True
