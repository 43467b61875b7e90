"""The guide to deployment: a server takes its settings and is fit, and its other files can be read."""

from __future__ import annotations

import json
import re
import subprocess
from configparser import ConfigParser
from pathlib import Path

import yaml

from eventstore.redis.embedded.server_program import find_program
from tests.acceptance.processes import ROOT, openagents
from tests.conftest import wait_for

GUIDE = ROOT / "docs" / "how-to" / "deploy.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE.read_text(), re.M | re.S)


def test_a_server_with_the_settings_of_the_guide_is_fit(tmp_path: Path) -> None:
    (settings,) = blocks("conf")
    (tmp_path / "server.conf").write_text(settings)
    socket = tmp_path / "s.sock"
    command = [str(find_program()), str(tmp_path / "server.conf"), "--port", "0"]
    command += ["--unixsocket", str(socket), "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            wait_for(socket.exists)
            assert findings(f"unix://{socket}") == []
        finally:
            server.terminate()


def findings(url: str) -> list[str]:
    """Return what the doctor finds, but for what is missing before workers come."""
    done = openagents("doctor", "--url", url, "--json", folder=ROOT)
    assert done.stdout, done.stderr
    reported = json.loads(done.stdout)["findings"]
    return [
        str(finding)
        for finding in reported
        if finding["code"] not in ("store", "workers")
    ]


def test_the_files_of_the_guide_can_be_read() -> None:
    composed, deployment = map(yaml.safe_load, blocks("yaml"))
    assert composed["services"]["worker"]["stop_grace_period"] == "40s"
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    grace = {entry["name"]: entry.get("value") for entry in container["env"]}
    ends = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert int(grace["OPENAGENTS_GRACE_SECONDS"]) < ends
    (unit,) = blocks("ini")
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    (variables,) = blocks("sh")
    grace_of_unit = re.search(r"GRACE_SECONDS=(\d+)", variables)
    assert grace_of_unit is not None
    assert int(grace_of_unit[1]) < int(parser["Service"]["TimeoutStopSec"])
