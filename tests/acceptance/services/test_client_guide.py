"""The programs of the guide to clients print what stands there, against a service."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator

import pytest

from tests.acceptance.processes import ROOT
from tests.conftest import SharedServers
from tests.integration.services.calling import engine_on, serving_api

GUIDE = ROOT / "docs" / "how-to" / "call-a-service.md"
PROGRAM = re.compile(r"^```py\n(.*?)^```\n\n```text\n(.*?)^```", re.M | re.S)


@pytest.fixture
def service(shared_servers: SharedServers) -> Iterator[dict[str, str]]:
    with (
        engine_on(shared_servers.of("valkey")) as engine,
        serving_api(engine, is_open=False) as url,
    ):
        secret = engine.api_keys.create("guide", "developer").secret
        yield {"OPENAGENTS_URL": url, "OPENAGENTS_API_KEY": secret}


def test_each_program_of_the_guide_prints_what_it_says(
    service: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in service.items():
        monkeypatch.setenv(name, value)
    programs = PROGRAM.findall(GUIDE.read_text())
    assert len(programs) == 2
    for program, expected in programs:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(program, str(GUIDE), "exec"), {"__name__": "__main__"})
        assert printed.getvalue() == expected
