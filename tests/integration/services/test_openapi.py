"""What the OpenAPI documents of the services say is so: requests made of them are answered as they say."""

from __future__ import annotations

import pytest

from openagents_json.server.application import Service
from tests.conftest import SharedServers
from tests.integration.services.api_campaign import campaign, prepare
from tests.integration.services.calling import engine_on


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("service", ["registry", "execution"])
def test_requests_that_are_made_of_a_document_are_answered_as_it_says(
    shared_servers: SharedServers, service: Service
) -> None:
    with engine_on(shared_servers.of("valkey")) as engine:
        prepare(engine)
        for findings in campaign(engine, service, seed=1, examples=2, is_brief=True):
            assert findings.wrong == {}
    assert {200, 404, 405, 422} <= findings.statuses
