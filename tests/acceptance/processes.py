"""Real processes for acceptance tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Server

ROOT = Path(__file__).resolve().parents[2]
COMPONENTS = ROOT / "tests" / "components" / "chaos.py"
COMMAND = [sys.executable, "-c", "from cli.main import main; main()"]


def openagents(*arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def worker(
    store: Server,
    prefix: str,
    *,
    broker: Server | None = None,
    components: Path = COMPONENTS,
    more: tuple[str, ...] = (),
) -> subprocess.Popen[str]:
    """Start a worker process."""
    arguments = ["worker", "--url", store.url, "--broker", (broker or store).url, "--prefix", prefix]
    arguments += ["-c", str(components), "--concurrency", "2", "--lease-ms", "1500", *more]
    log = (store.directory / "worker.log").open("a")
    with log:
        return subprocess.Popen([*COMMAND, *arguments], stdout=log, stderr=log, text=True, cwd=ROOT)
