"""The files of `deploy/` name commands, options, ports and times that there are and that agree."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.deploy.files import DEPLOY, command_lines, composed, parse, unit

LINES = dict(command_lines())


@pytest.mark.parametrize("origin", LINES)
def test_each_command_line_is_read_by_its_command(origin: str) -> None:
    options = parse(LINES[origin])
    assert "password" not in str(options)


def test_the_files_agree_on_the_port() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    proxy = (DEPLOY / "compose" / "proxy.conf").read_text()
    port = parse(LINES["compose.yaml: api"])["port"]
    assert f"EXPOSE {port} 9464\n" in dockerfile
    assert f"127.0.0.1:{port}/ready" in dockerfile
    assert f"server api:{port} resolve;" in proxy
    assert f'"--port", "{port}"]' in dockerfile
    assert composed()["services"]["page"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_whoever_is_stopped_has_longer_than_its_steps() -> None:
    services = composed()["services"]
    workers = [name for name in services if name.startswith("worker")]
    assert len(workers) > 1
    for name in workers:
        grace = int(services[name]["environment"]["OPENAGENTS_GRACE_SECONDS"])
        assert grace < int(services[name]["stop_grace_period"].removesuffix("s"))
    for file in (DEPLOY / "systemd").glob("openagents-[aw]*.service"):
        assert int(unit(file)["Service"]["TimeoutStopSec"]) > 45


def test_no_container_is_root_or_writes_to_its_root() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert int(re.findall(r"^USER (\d+)$", dockerfile, re.M)[-1]) > 0
    for name, service in composed()["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert "openagents-json" in service["image"] or service["user"], name


def test_what_is_copied_into_the_image_is_sent_to_its_builder() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.M)
    sent = (DEPLOY.parent / ".dockerignore").read_text()
    for name in " ".join(copied).split():
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}\n" in sent
