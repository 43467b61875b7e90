"""The session in the README is what a new user sees today, at a terminal of 80 columns."""

from __future__ import annotations

import subprocess
import sys

from tests.acceptance.processes import ROOT


def test_the_session_in_the_readme_is_that_of_today() -> None:
    done = subprocess.run(
        [sys.executable, "scripts/session", "--check"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=240,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
