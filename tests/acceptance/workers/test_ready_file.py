"""A worker keeps a file while the store answers it, for probes that can look at files alone."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.acceptance.processes import COMPONENTS, openagents, worker
from tests.conftest import Server, wait_for

ONE_KIND = pytest.mark.parametrize("private_server", ["valkey"], indirect=True)


@ONE_KIND
def test_a_file_says_whether_the_store_answers_a_worker(
    private_server: Server, tmp_path: Path
) -> None:
    ready = tmp_path / "ready"
    ready.touch()  # of a worker that was killed
    more = ("--ready-file", str(ready), "--name", "w1")
    process = worker(private_server, private_server.prefix(), more=more)
    log = private_server.directory / "worker.log"
    try:
        wait_for(lambda: "working on" in log.read_text())
        wait_for(ready.exists)

        # As where packets are dropped: it is connected to somebody who says nothing any more.
        assert private_server.process is not None
        private_server.process.send_signal(signal.SIGSTOP)
        wait_for(lambda: not ready.exists())
        private_server.process.send_signal(signal.SIGCONT)
        wait_for(ready.exists)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    assert not ready.exists()


def test_a_file_that_cannot_be_kept_is_told_before_work_begins(tmp_path: Path) -> None:
    url, components = f"unix://{tmp_path}/nobody", str(COMPONENTS)
    ready = tmp_path / "missing" / "ready"
    arguments = ("worker", "--url", url, "-c", components, "--ready-file", str(ready))
    done = openagents(*arguments)
    assert done.returncode == 2
    assert f"{ready} cannot be written" in done.stderr

    done = openagents(*arguments, "--type", "tool")
    assert done.returncode == 2
    assert "of one process" in done.stderr
