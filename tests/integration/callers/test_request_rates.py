"""How many requests an API key may send: over all instances, told with each answer, changed while it is used."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from httpx import Client

from eventstore.redis.coordination.allowances import Allowances
from eventstore.redis.coordination.records import RecordTable
from openagents_json.engine import Engine
from openagents_json.engine.errors import ApiKeyNotFound, InvalidApiKey
from tests.conftest import Server, wait_for
from tests.integration.services.calling import engine_on, serving_api

pytestmark = pytest.mark.one_worker


@pytest.fixture(scope="module")
def instances(engine: Engine) -> Iterator[tuple[str, str]]:
    with (
        serving_api(engine, is_open=False) as one,
        serving_api(engine, is_open=False) as other,
    ):
        yield one, other


def caller(url: str, secret: str) -> Client:
    return Client(base_url=url, headers={"Authorization": f"Bearer {secret}"})


def test_a_key_sends_no_more_than_its_rate_to_all_instances_together(
    engine: Engine, instances: tuple[str, str]
) -> None:
    bounded = engine.api_keys.create("bounded", "viewer", rate="4/h").secret
    other = engine.api_keys.create("other", "viewer", rate="4/h").secret
    with caller(instances[0], bounded) as one, caller(instances[1], bounded) as two:
        answers = [client.get("/v1/runs") for client in (one, two, one, two)]
        assert [answer.status_code for answer in answers] == [200] * 4
        left = [answer.headers["RateLimit"].split(";")[1] for answer in answers]
        assert left == ["r=3", "r=2", "r=1", "r=0"]
        assert answers[0].headers["RateLimit-Policy"] == '"key";q=4;w=3600'
        refused = one.get("/v1/runs")
    assert refused.status_code == 429
    problem = refused.json()
    assert (problem["code"], problem["retryable"]) == ("too_many_requests", True)
    # One of four an hour comes back every 15 minutes.
    assert 0 < int(refused.headers["Retry-After"]) <= 900
    assert refused.headers["RateLimit"].startswith('"key";r=0;t=')
    with caller(instances[0], other) as free:
        assert free.get("/v1/runs").status_code == 200


def test_a_refused_request_takes_nothing_and_what_was_used_comes_back(
    engine: Engine,
) -> None:
    allowances = Allowances(engine.core.store)
    # One call comes back each 10 ms: whoever is refused and waits as told is allowed.
    wait_ms = 0
    for _ in range(200):
        allowance = allowances.take("returning", 5, 50)
        wait_ms = max(wait_ms, allowance.wait_ms)
        assert 0 <= allowance.left < 5
        assert allowance.full_ms <= 50
    assert 0 <= wait_ms <= 10
    wait_for(lambda: allowances.take("returning", 5, 50).wait_ms == 0)


def test_a_key_is_let_in_where_the_memory_is_full(private_server: Server) -> None:
    with engine_on(private_server) as engine:
        command = engine.core.connection.command
        command(b"CONFIG", b"SET", b"maxmemory", b"1")
        try:
            allowance = Allowances(engine.core.store).take("worker", 5, 60_000)
        finally:
            command(b"CONFIG", b"SET", b"maxmemory", b"0")
        assert (allowance.left, allowance.wait_ms) == (4, 0)


def test_a_rate_is_changed_while_the_key_is_used(
    engine: Engine, instances: tuple[str, str]
) -> None:
    created = engine.api_keys.create("changing", "viewer", rate="1/h")
    with caller(instances[0], created.secret) as client:
        assert client.get("/v1/runs").status_code == 200
        assert client.get("/v1/runs").status_code == 429
        assert engine.api_keys.limit(created.key.id, "").rate == ""
        wait_for(lambda: client.get("/v1/runs").status_code == 200)
        assert "RateLimit" not in client.get("/v1/runs").headers


@pytest.mark.parametrize("rate", ["0/s", "many", "10", "10/d", "-1/s", "1e3/s"])
def test_what_is_no_rate_is_refused(engine: Engine, rate: str) -> None:
    with pytest.raises(InvalidApiKey, match="100/s"):
        engine.api_keys.create("odd", "viewer", rate=rate)
    with pytest.raises(InvalidApiKey):
        engine.api_keys.limit("0f3a91c2d4e5", rate)


def test_a_key_that_is_taken_back_while_it_is_changed_stays_away(
    engine: Engine,
) -> None:
    created = engine.api_keys.create("leaving", "viewer")
    table = RecordTable(engine.core.store, "api_keys")

    def taken_back_meanwhile(record: dict[str, object]) -> dict[str, object]:
        table.remove(created.key.id)
        return {**record, "rate": "1/s"}

    assert table.change(created.key.id, taken_back_meanwhile) is None
    assert engine.api_keys.find(created.secret) is None
    with pytest.raises(ApiKeyNotFound):
        engine.api_keys.rotate(created.key.id)
