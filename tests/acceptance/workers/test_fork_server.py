"""Programs that tests fork see and do what programs do that are begun anew."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fork_server import ForkedProcess, command, run_forked

TELLS = """
import os, signal, sys
print(__name__, sys.argv[1:], os.getcwd(), os.getppid(), os.environ["TOLD"], os.environ.get("HOME"))
print("/somewhere" in sys.path, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
print(sys.stdin.read(), sorted(os.listdir("/proc/self/fd")), sys.stdout.encoding, sys.stderr.errors)
print(os.getsid(0) == os.getpid(), file=sys.stderr)
import atexit; atexit.register(print, "the end")
sys.exit(7)
"""
BEGIN: list[Callable[..., subprocess.CompletedProcess[Any]]] = [
    subprocess.run,
    run_forked,
]


@pytest.mark.parametrize("session", [True, False])
def test_a_forked_program_is_told_and_tells_the_same(
    tmp_path: Path, session: bool
) -> None:
    options = {
        "cwd": tmp_path,
        "env": {"TOLD": "this", "PYTHONPATH": "/somewhere"},
        "start_new_session": session,
        "stdin": subprocess.DEVNULL,
        "capture_output": True,
        "text": True,
    }
    anew, forked = (begin(command(TELLS, "a", "b"), **options) for begin in BEGIN)
    assert anew.returncode == 7
    assert (forked.returncode, forked.stdout, forked.stderr) == (
        anew.returncode,
        anew.stdout,
        anew.stderr,
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_forked_program_ends_by_a_signal_as_any_other(how: signal.Signals) -> None:
    waits = "import signal, threading; print('there', flush=True); signal.pause()"
    with ForkedProcess(
        command(waits), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"there\n"
        assert process.poll() is None
        process.send_signal(how)
        assert process.wait(60) == -how


def test_each_forked_program_is_one_of_its_own() -> None:
    first, second = (
        run_forked(
            command(f"import os; os.environ['{name}'] = '1'; print(os.getpid())"),
            capture_output=True,
        )
        for name in ("ONE", "TWO")
    )
    assert first.stdout != second.stdout
    assert not {"ONE", "TWO"} & os.environ.keys()
    third = run_forked(
        command("import os; print('ONE' in os.environ)"),
        text=True,
        stdout=subprocess.PIPE,
    )
    assert third.stdout == "False\n"


def test_what_is_no_program_text_is_not_forked() -> None:
    with pytest.raises(ValueError, match="only python -c PROGRAM is forked"):
        ForkedProcess([sys.executable, "-m", "this"])
