"""A store that is served, for all that callers ask here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from openagents_json.engine import Engine
from tests.conftest import Server, SharedServers
from tests.integration.services.calling import engine_on


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    """One kind of server: the services ask both alike, and their scripts are tried on both where they are."""
    return shared_servers.of("redis")


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server) as opened:
        yield opened
