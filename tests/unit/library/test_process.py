"""`process.run`: programs that the worker allows, without a shell, within limits, and none left behind."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import (
    CancelledByEngine,
    NonRetryableError,
    RetryableError,
)
from openagents_json.components.library.process import run
from tests.conftest import wait_for


def attempt(token: CancelToken | None = None) -> Context:
    return Context(
        "r", "s", "w", 1, "key", None, token or CancelToken(), lambda: 0, lambda _: None
    )


CONTEXT = attempt()


@pytest.fixture(autouse=True)
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAGENTS_PROGRAM_CAT", "/bin/cat -")
    monkeypatch.setenv("OPENAGENTS_PROGRAM_SHELL", "/bin/sh -c")
    monkeypatch.setenv("OPENAGENTS_PROGRAM_ENV", "env")
    monkeypatch.setenv("OPENAGENTS_PROGRAM_MISSING", "/no/such/program")
    monkeypatch.setenv("OPENAGENTS_PROGRAM_PY", f"{sys.executable} -Sc")
    monkeypatch.delenv("OPENAGENTS_FILES", raising=False)


def shell(script: str, **more: Any) -> dict[str, Any]:
    return run("shell", CONTEXT, [script], **more)


def is_gone(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    return "Z" in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_program_gets_its_input_and_gives_its_output() -> None:
    text = "h\u00e9" * 200_000
    given = run("cat", CONTEXT, input=text)
    assert given == {"status": 0, "output": text, "errors": ""}
    value = run("cat", CONTEXT, input={"a": 1}, input_encoding="json", encoding="json")
    assert value["output"] == {"a": 1}
    raw = run("cat", CONTEXT, input="AP8=", input_encoding="base64", encoding="base64")
    assert raw["output"] == "AP8="


def test_what_does_not_read_its_input_is_not_in_the_way() -> None:
    assert shell("echo done", input="x" * 1_000_000)["output"] == "done\n"


def test_arguments_are_words_and_no_shell_reads_them() -> None:
    given = run("env", CONTEXT, ["printf", "%s|", "a b", "$HOME", "; id", "*"])
    assert given["output"] == "a b|$HOME|; id|*|"


def test_a_program_that_is_not_allowed_is_not_run() -> None:
    for name in ("rm", "/bin/sh", "shell -c id"):
        with pytest.raises(NonRetryableError, match=r"OPENAGENTS_PROGRAM_RM|no name"):
            run(name, CONTEXT)
    with pytest.raises(NonRetryableError, match="cannot be started: No such file"):
        run("missing", CONTEXT)
    with pytest.raises(NonRetryableError, match="null character"):
        run("cat", CONTEXT, ["a\0"])


def test_a_program_sees_only_what_it_may_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAGENTS_SECRET_BANK", "s3cr3t")
    monkeypatch.setenv("OPENAGENTS_PROCESS_VARIABLES", "COLOUR")
    given = run("env", CONTEXT, environment={"COLOUR": "red"})
    seen = dict(line.split("=", 1) for line in given["output"].splitlines())
    assert seen.pop("COLOUR") == "red"
    assert set(seen) <= {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
    with pytest.raises(NonRetryableError, match="OPENAGENTS_PROCESS_VARIABLES"):
        run("env", CONTEXT, environment={"LD_PRELOAD": "/tmp/evil.so"})


def test_a_program_runs_in_an_empty_folder_or_in_that_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shell("pwd; ls -A")["output"].strip()
    assert not Path(folder).exists()
    monkeypatch.setenv("OPENAGENTS_FILES", str(tmp_path))
    shell("echo x > out.txt")
    assert (tmp_path / "out.txt").read_text() == "x\n"


def test_a_status_says_whether_it_went_well() -> None:
    with pytest.raises(RetryableError, match="status 3: because"):
        shell("echo early; echo because >&2; exit 3")
    assert shell("echo why >&2; exit 3", accept=[3]) == {
        "status": 3,
        "output": "",
        "errors": "why\n",
    }
    with pytest.raises(RetryableError, match="status -15"):
        shell("kill $$")


def test_output_has_a_bound() -> None:
    with pytest.raises(NonRetryableError, match="more than 1000 bytes"):
        shell("exec yes", max_bytes=1000)
    errors = shell("head -c 20000 /dev/zero | tr '\\0' x >&2; echo end >&2")["errors"]
    assert (len(errors), errors[-4:]) == (10_000, "end\n")
    with pytest.raises(NonRetryableError, match="is not UTF-8"):
        shell("printf '\\377'")


def test_time_that_is_over_ends_the_program_and_all_that_it_started(
    tmp_path: Path,
) -> None:
    pids = tmp_path / "pids"
    with pytest.raises(RetryableError, match="timeout_seconds"):
        shell(
            f"trap '' TERM; sleep 600 & echo $$ $! > {pids}; wait", timeout_seconds=0.3
        )
    for pid in pids.read_text().split():
        wait_for(partial(is_gone, pid))


def test_an_attempt_that_should_stop_ends_the_program(tmp_path: Path) -> None:
    pids, token = tmp_path / "pids", CancelToken()

    def cancel() -> None:
        wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"))
        token.cancel("the run is cancelled")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    with pytest.raises(CancelledByEngine, match="the run is cancelled"):
        run(
            "shell",
            attempt(token),
            [f"sleep 600 & echo $$ $! > {pids}; wait"],
            timeout_seconds=600,
        )
    canceller.join()
    for pid in pids.read_text().split():
        wait_for(partial(is_gone, pid))


def test_what_a_program_leaves_running_ends_with_it(tmp_path: Path) -> None:
    pid = shell("sleep 600 & echo $!")["output"].strip()
    wait_for(lambda: is_gone(pid))


def test_descriptors_are_given_back() -> None:
    before = len(os.listdir("/dev/fd"))
    shell("true")
    with pytest.raises(RetryableError):
        shell("exit 1")
    with pytest.raises(NonRetryableError):
        run("missing", CONTEXT)
    assert len(os.listdir("/dev/fd")) == before
