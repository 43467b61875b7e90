"""The dashboard and the alerts ask for series that there are, as Prometheus reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from openagents_json.engine.telemetry.port import Instrument
from openagents_json.engine.telemetry.prometheus import PrometheusTelemetry
from tests.acceptance.deploy.files import DEPLOY
from tests.acceptance.processes import ROOT

MONITORING = DEPLOY / "monitoring"
ROW = re.compile(r"^\| `(openagents\.[a-z_.]+)` \| (\S+) \|", re.MULTILINE)
SERIES = re.compile(r"\bopenagents_[a-z_]+")
RECORDED = re.compile(r"\bopenagents:[a-z_0-9]+(?::[a-z_0-9]+)?")


def rules() -> list[dict[str, Any]]:
    loaded = yaml.safe_load((MONITORING / "alerts.yml").read_text())
    return [rule for group in loaded["groups"] for rule in group["rules"]]


def questions() -> Iterator[str]:
    """Return what is asked of Prometheus."""
    yield from (str(rule["expr"]) for rule in rules())
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", []))


@pytest.fixture(scope="module")
def shown() -> set[str]:
    """The names of all series on a page of Prometheus on which each instrument of the reference has a value."""
    page = (ROOT / "docs/reference/metrics.md").read_text()
    numbers = PrometheusTelemetry()
    for section in page.split("\n## ")[1:]:
        for name, unit in ROW.findall(section):
            instrument = Instrument(name, unit, "")
            if section.startswith("Counters"):
                numbers.add(instrument, 1, {})
            elif section.startswith("Histograms"):
                numbers.record(instrument, 1, {})
            elif section.startswith("Gauges"):
                numbers.change(instrument, 1)
    return set(re.findall(r"^(openagents_\w+)", numbers.text(), re.MULTILINE))


def test_each_series_that_is_asked_for_is_there(shown: set[str]) -> None:
    asked = {name for question in questions() for name in SERIES.findall(question)}
    assert len(asked) > 10
    assert asked - shown == set()


def test_each_share_that_is_asked_for_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for question in questions() for name in RECORDED.findall(question)}
    assert len(asked) > 10
    assert asked - recorded == set()


def test_each_alert_says_what_it_means() -> None:
    for alert in (rule for rule in rules() if "alert" in rule):
        assert alert["labels"]["severity"] in ("page", "ticket"), alert
        assert set(alert["annotations"]) == {"summary", "description"}, alert
