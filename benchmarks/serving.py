"""Servers as processes with what they have used of the CPU and of memory, and autocannon, which sends them requests."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PINNED = Path(__file__).parent / "loader"
LOADER = PINNED.parents[1] / "build" / "loader"
TICKS = os.sysconf("SC_CLK_TCK")
STOPS_IN_SECONDS = 30
PATIENCE = 60


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    url: str
    pid: int

    def cpu_seconds(self) -> float:
        """Return what all threads of it have used of the CPU."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        """Return how much of it is in memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = re.search(r"VmRSS:\s+(\d+)", status)
        assert line is not None
        return int(line[1]) / 1024


@contextmanager
def server(command: list[str]) -> Iterator[Server]:
    """Run a server that says where it listens, for the time of a block."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    lines = iter(process.stdout)
    try:
        addresses = (re.search(r"serving on (\S+)", line) for line in lines)
        address = next(match[1] for match in addresses if match is not None)
        # What it says later has to be read, or it would wait for that.
        threading.Thread(target=lambda: [*lines], daemon=True).start()
        yield Server(address, process.pid)
    finally:
        process.terminate()
        process.wait(STOPS_IN_SECONDS)


def install_loader() -> None:
    """Install autocannon as it is locked, where it is missing."""
    if not (LOADER / "node_modules").is_dir():
        shutil.copytree(PINNED, LOADER, dirs_exist_ok=True)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([*command, "--silent"], cwd=LOADER, check=True)


@dataclass(frozen=True)
class Load:
    """Requests of one kind, each of which asks for so many of what is counted as it `holds`."""

    path: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    connections: int = 16
    holds: int = 1


@dataclass(frozen=True)
class Figures:
    """What came of a load: how many a second, and ms of the server's CPU for one."""

    rate: float
    cpu_ms: float
    p50_ms: float
    p99_ms: float
    not_answered: int


def measured(
    server: Server, load: Load, seconds: int, rate: int | None = None
) -> Figures:
    """Send requests for some seconds, as fast as they are answered or so many a second, and return what came of it.

    Times at a rate count from when a request was due, so that a server that stands still does not hide it.
    """
    before = server.cpu_seconds()
    result = _autocannon(server.url, load, seconds, rate)
    cpu_seconds = server.cpu_seconds() - before
    answered, latency = result["2xx"] * load.holds, result["latency"]
    return Figures(
        rate=answered / result["duration"],
        cpu_ms=cpu_seconds * 1000 / max(answered, 1),
        p50_ms=latency["p50"],
        p99_ms=latency["p99"],
        not_answered=result["non2xx"] + result["errors"],
    )


def _autocannon(url: str, load: Load, seconds: int, rate: int | None) -> dict[str, Any]:
    command = [str(LOADER / "node_modules" / ".bin" / "autocannon"), "--json"]
    command += ["--no-progress", "-c", str(load.connections), "-t", str(PATIENCE)]
    if load.holds == 1:
        command += ["-d", str(seconds)]
    else:  # one of them may take longer than all seconds
        command += ["-a", str(seconds)]
    command += ["-m", load.method]
    for name, value in load.headers.items():
        command += ["-H", f"{name}={value}"]
    if load.body:
        command += ["-H", "content-type=application/json", "-b", load.body]
    if rate is not None:
        command += ["-R", str(rate)]
    done = subprocess.run(
        [*command, url + load.path], capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
