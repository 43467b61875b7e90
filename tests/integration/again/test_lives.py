"""A payment that was refunded is charged anew when its run is retried, and never answered with the old charge."""

from __future__ import annotations

from typing import Any

from openagents_json import Context, Registry, RetryableError
from openagents_json.engine import Engine
from tests.conftest import Server


class Provider:
    """Answers a call with a key that it knows as it did the first time, as providers of payments do."""

    def __init__(self) -> None:
        self.answers: dict[str, str] = {}
        self.refunds: list[str] = []
        self.broken = True

    def components(self) -> Registry:
        components = Registry()

        def charge(context: Context) -> str:
            number = self.answers.setdefault(
                context.idempotency_key, f"charge {len(self.answers) + 1}"
            )
            if context.attempt % 2:
                raise RetryableError("the answer was lost")
            return number

        def refund(number: str) -> None:
            self.refunds.append(number)

        def ship(context: Context) -> str:
            if self.broken:
                raise ValueError("no parcel")
            return context.idempotency_key

        for function in (charge, refund, ship):
            components.tool(function.__name__)(function)
        return components


DOCUMENT: dict[str, Any] = {
    "id": "order",
    "steps": [
        {
            "id": "charge",
            "component": "charge",
            "retry": {"max_retries": 1, "delay_seconds": 0},
            "compensate": {"component": "refund", "inputs": {"number": "{{result}}"}},
        },
        {"id": "ship", "component": "ship"},
    ],
    "output": ["{{charge.output}}", "{{ship.output}}"],
}


def test_one_key_for_each_life_of_a_step(server: Server) -> None:
    provider = Provider()
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=provider.components(),
        workers=1,
        partitions=1,
    ) as engine:
        run = engine.run(DOCUMENT, timeout=120)
        assert (run.status, provider.refunds) == ("failed", ["charge 1"])
        provider.broken = False
        engine.retry(run.id)
        assert engine.wait(run.id, timeout=120).output == ["charge 2", f"{run.id}/ship"]
        engine.retry(run.id, step="charge")
        assert engine.wait(run.id, timeout=120).output == [
            "charge 3",
            f"{run.id}/ship#2",
        ]
        assert list(provider.answers) == [
            f"{run.id}/charge",
            f"{run.id}/charge#2",
            f"{run.id}/charge#3",
        ]
        assert engine.doctor() == []


def test_what_the_log_says_nothing_of_is_another_life_too(server: Server) -> None:
    provider = Provider()
    provider.broken = False
    ship = {"component": "ship", "depends_on": ["charge"]}
    document = {
        "id": "quick",
        "persistence": "outcome",
        "steps": [
            {"id": "charge", "component": "ship"},
            {"id": "b", **ship},
            {"id": "c", **ship, "foreach": [1, 2]},
        ],
        "output": ["{{charge.output}}", "{{b.output}}", "{{c.output}}"],
    }
    with Engine.connect(
        server.url,
        prefix=server.prefix(),
        components=provider.components(),
        workers=1,
        partitions=1,
    ) as engine:
        run = engine.run(document, timeout=120)
        assert run.output == [
            f"{run.id}/charge",
            f"{run.id}/b",
            [f"{run.id}/c[0]", f"{run.id}/c[1]"],
        ]
        engine.retry(run.id, step="charge")
        again = engine.wait(run.id, timeout=120).output
        assert again == [
            f"{run.id}/charge#2",
            f"{run.id}/b#2",
            [f"{run.id}/c[0]#2", f"{run.id}/c[1]#2"],
        ]
