"""What a service counts of its requests, as Prometheus reads it, and what it logs of each."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx import Client
from hypothesis import given
from hypothesis import strategies as st

from cli.logs.handlers import JsonLines
from openagents_json.engine import Engine
from openagents_json.engine.telemetry.port import Instrument
from openagents_json.engine.telemetry.prometheus import BOUNDS, PrometheusTelemetry
from openagents_json.server.observing.metrics import (
    IN_FLIGHT,
    LATENCY,
    REQUESTS,
    WATCHERS,
)
from tests.conftest import Server, SharedServers, wait_for
from tests.integration.services.calling import ASKING, GREETING, calling, engine_on

METRICS = Path(__file__).resolve().parents[3] / "docs/reference/metrics.md"
WAIT = {"Prefer": "wait=60"}
LINE = re.compile(
    r'[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*",?)+\})? (\d+(\.\d+)?(e[+-]\d+)?)'
)


@pytest.fixture(scope="module")
def server(shared_servers: SharedServers) -> Server:
    return shared_servers.of("valkey")


@pytest.fixture(scope="module")
def engine(server: Server) -> Iterator[Engine]:
    with engine_on(server, telemetry=PrometheusTelemetry()) as opened:
        yield opened


@pytest.fixture(scope="module")
def api(engine: Engine) -> Iterator[Client]:
    with calling(engine) as caller:
        yield caller


def value(api: Client, series: str) -> float:
    """Return the value of a series, 0 where there is none."""
    for line in api.get("/metrics").text.splitlines():
        if line.startswith(f"{series} "):
            return float(line.rpartition(" ")[2])
    return 0


def requests(api: Client, operation: str, status: str) -> float:
    name = "openagents_http_requests_total"
    return value(api, f'{name}{{operation="{operation}",status="{status}"}}')


def test_requests_are_counted_by_operation_and_status_and_timed(api: Client) -> None:
    body = {"workflow": GREETING, "inputs": {"name": "Ada"}}
    before = requests(api, "startRun", "200")
    run = api.post("/v1/runs", json=body, headers=WAIT).json()["id"]
    for _ in range(2):
        api.get("/v1/runs/0-nothing")
    assert api.get("/nowhere").status_code == 404
    assert requests(api, "startRun", "200") == before + 1
    assert requests(api, "getRun", "404") == 2
    assert requests(api, "none", "404") == 1
    latency = "openagents_http_latency_seconds"
    assert value(api, f'{latency}_count{{operation="getRun"}}') == 2
    assert value(api, f'{latency}_bucket{{operation="getRun",le="+Inf"}}') == 2
    assert run not in api.get("/metrics").text
    begun = 'openagents_commits_total{outcome="done",source="start"}'
    assert value(api, begun) >= 1, "the numbers of the engine are on the same page"


def test_feeds_are_watchers_for_as_long_as_somebody_follows(api: Client) -> None:
    run = api.post("/v1/runs", json={"workflow": ASKING}).json()["id"]
    with api.stream("GET", f"/v1/runs/{run}/events") as feed:
        chunks = feed.iter_bytes()  # who drops it hangs up
        next(chunks)
        assert value(api, "openagents_http_watchers") == 1
        assert value(api, "openagents_http_in_flight") == 1  # the scrape itself
    wait_for(lambda: value(api, "openagents_http_watchers") == 0)
    assert requests(api, "followRun", "200") == 1
    assert 'latency_seconds_count{operation="followRun"}' not in (
        api.get("/metrics").text
    )


def test_every_line_is_one_that_prometheus_reads(api: Client) -> None:
    page = api.get("/metrics")
    assert page.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = [line for line in page.text.splitlines() if not line.startswith("#")]
    assert [line for line in lines if not LINE.fullmatch(line)] == []


def test_the_reference_lists_what_services_count() -> None:
    text = METRICS.read_text()
    for each in (REQUESTS, LATENCY, IN_FLIGHT, WATCHERS):
        assert f"| `{each.name}` | {each.unit} | {each.description} |" in text


@given(st.lists(st.floats(0, 10**6, allow_nan=False), min_size=1, max_size=20))
def test_buckets_hold_what_is_not_above_their_bound(values: list[float]) -> None:
    telemetry = PrometheusTelemetry()
    asked = Instrument("asked", "{x}", "Asked for")
    for each in values:
        telemetry.record(asked, each, {"who": 'a "b"\\\n'})
    lines = telemetry.text().splitlines()
    counts = [int(line.rpartition(" ")[2]) for line in lines if "_bucket{" in line]
    below = [sum(each <= bound for each in values) for bound in BOUNDS]
    assert counts == [*below, len(values)]
    assert lines[-1].startswith('asked_count{who="a \\"b\\"\\\\\\n"} ')


def lines_of(caplog: pytest.LogCaptureFixture, request: str) -> list[dict[str, Any]]:
    """Return the lines of a request, as they are written where JSON is asked for."""
    lines = [JsonLines().format(record) for record in caplog.records]
    values: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [value for value in values if value.get("request") == request]


def test_an_answer_has_the_id_of_its_request(api: Client) -> None:
    def told(given: str | None) -> str:
        headers = {} if given is None else {"X-Request-Id": given}
        return api.get("/live", headers=headers).headers["X-Request-Id"]

    assert told("shop/17:a") == "shop/17:a"
    ids = {told(None), told(""), told('17"} {"'), told("7" * 129)}
    assert len(ids) == 4
    assert all(len(each) == 32 for each in ids)
    refused = api.get("/v1/nothing", headers={"X-Request-Id": "of-a-404"})
    assert refused.headers["X-Request-Id"] == "of-a-404"


def test_a_request_is_a_line_without_what_it_says(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    key = engine.api_keys.create("shop", "operator")
    caplog.set_level(logging.INFO, logger="openagents.requests")
    with calling(engine, is_open=False, secret=key.secret) as api:
        body = {"workflow": GREETING, "inputs": {"name": "Ada-of-payloads"}}
        begun = api.post("/v1/runs", json=body, headers={"X-Request-Id": "begins"})
        path, query = f"/v1/runs/{begun.json()['id']}/history", "?secret=of-queries"
        api.get(path + query, headers={"X-Request-Id": "reads"})
        api.get("/of-paths", headers={"X-Request-Id": "misses"})
    requests = ("begins", "reads", "misses")
    wait_for(lambda: all(lines_of(caplog, request) for request in requests))

    [line] = lines_of(caplog, "begins")
    assert line.pop("ms") >= 0
    assert {name: line[name] for name in line if name != "time"} == {
        "level": "info",
        "logger": "openagents.requests",
        "message": "POST /v1/runs: 201",
        "request": "begins",
        "run": begun.json()["id"],
        "method": "POST",
        "route": "/v1/runs",
        "operation": "startRun",
        "status": 201,
        "actor": "key:shop",
        "key": key.key.id,
    }
    [line] = lines_of(caplog, "reads")
    assert (line["route"], line["run"]) == (
        "/v1/runs/{run}/history",
        begun.json()["id"],
    )
    [line] = lines_of(caplog, "misses")
    assert (line["route"], line["operation"], line["status"]) == ("", "none", 404)
    written = "\n".join(JsonLines().format(record) for record in caplog.records)
    for unsaid in ("Ada-of-payloads", "of-queries", "of-paths", key.secret):
        assert unsaid not in written
