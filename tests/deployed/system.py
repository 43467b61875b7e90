"""The services of the compose file as processes of this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eventstore.redis.embedded.server_program import find_program
from tests.acceptance.deploy.files import DEPLOY, PASSWORDS, composed, url
from tests.conftest import wait_for

OPENAGENTS = str(Path(sys.executable).with_name("openagents"))


@dataclass
class Service:
    """A process that can be begun, stopped, and begun again; `is_ready` reads what it has logged since it began."""

    name: str
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path
    is_ready: Callable[[str], bool]
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def begin(self) -> None:
        """Begin it, and wait until it is ready."""
        self.log.write_bytes(b"")
        environment = {"PATH": os.environ["PATH"], **self.environment}
        with self.log.open("ab") as out:
            self.process = process = subprocess.Popen(
                self.command, env=environment, cwd=self.folder, stdout=out, stderr=out
            )
        wait_for(lambda: self.is_ready(self.log_text()) or process.poll() is not None)
        assert process.poll() is None, f"{self.name}: {self.log_text()}"

    def log_text(self) -> str:
        """Return what it has logged."""
        return self.log.read_text()

    def stop(self) -> None:
        """Tell it to stop, as systemd and containers do, and wait for its end."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(120)

    def roll(self) -> None:
        """Stop it, and begin it anew."""
        self.stop()
        self.begin()


@contextmanager
def composed_system(folder: Path) -> Iterator[dict[str, Service]]:
    """Begin the services of the compose file but for its proxy, with as many of each as it says."""
    servers = {kind: folder / kind / "s.sock" for kind in ("store", "broker")}
    services: dict[str, Service] = {}
    (folder / "srv").mkdir()
    for file in ("compose/components.py", "monitoring/worker_metrics.py"):
        shutil.copy(DEPLOY / file, folder / "srv")
    with ExitStack() as ends:
        for kind, socket in servers.items():
            socket.parent.mkdir()
            services[kind] = _server(kind, socket)
        for name, service in composed()["services"].items():
            for number in range(service.get("deploy", {}).get("replicas", 1)):
                if name == "api" or name.startswith("worker"):
                    key = f"{name}-{number}"
                    command = [OPENAGENTS, *service["command"]]
                    services[key] = _client(key, command, servers, folder)
        for started in services.values():
            ends.callback(started.stop)
            started.begin()
        yield services


def _server(kind: str, socket: Path) -> Service:
    environment = {"SERVER": str(find_program()), "RUNTIME": str(socket.parent)}
    command = [str(DEPLOY / "server" / "start"), kind, "--port", "0"]
    command += ["--unixsocket", str(socket), "--dir", str(socket.parent)]
    return Service(
        kind,
        command,
        {**environment, **PASSWORDS},
        socket.parent,
        socket.parent / "log",
        lambda text: "Ready to accept connections" in text,
    )


def _client(
    name: str, command: list[str], servers: Mapping[str, Path], folder: Path
) -> Service:
    user = "api" if name.startswith("api") else "worker"
    environment = {
        "OPENAGENTS_URL": url(servers["store"], user),
        "OPENAGENTS_BROKER": url(servers["broker"], user),
        "OPENAGENTS_LOG_FORMAT": "json",
        "OPENAGENTS_GRACE_SECONDS": "25",
        "METRICS_HOST": "127.0.0.1",
    }
    if user == "api":
        # On this machine alone, and on any port.
        command = [*command[:2], "--host", "127.0.0.1", "--port", "0"]
    ready = "serving on" if user == "api" else "working on"
    return Service(
        name,
        command,
        environment,
        folder / "srv",
        folder / f"{name}.log",
        lambda text: ready in text,
    )


def address(service: Service) -> str:
    """Return where an instance of the API is served now, "" while it is being begun."""
    match = re.search(r"serving on (\S+?)[\"\s]", service.log_text())
    return match[1] if match else ""
