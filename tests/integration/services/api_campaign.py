"""Requests that schemathesis makes of the OpenAPI document of a service, sent to it in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import schemathesis
from schemathesis import Case, CheckContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from openagents_json.engine import Engine
from openagents_json.server.application import Service, create_app
from tests.integration.services.calling import ASKING, GREETING

Phase = Literal["examples", "coverage", "fuzzing", "stateful"]
PHASES: Final[Sequence[Phase]] = ("examples", "coverage", "fuzzing", "stateful")

ILL_FORMED: Final = {"invalid_request", "body_not_json", "body_too_large"}
"""Codes that say that a request has not the form that the document gives."""

_FEEDS: Final = {
    # Of a run that waits, the next message is a heartbeat: each such request would take 15 s.
    "include-operation-id": ["followRun", "followRunOutput"],
    "phases": {"stateful": {"enabled": False}},
}
SETTINGS: Final[dict[str, Any]] = {
    "operations": [_FEEDS],
    # What fits the document may still mean nothing, such as a run that is not there or a workflow without a step:
    # our own check tells such a refusal from one of the form, where this knows statuses alone.
    "checks": {"positive_data_acceptance": {"enabled": False}},
    # A feed of a run that waits has no end.
    "max-stream-events": 1,
    "request-timeout": 300,
    # Nobody has to wait for a run or a step half a minute, as the examples in the document would.
    "parameters": {"prefer": "wait=0"},
    "suppress-health-check": ["all"],
}
BRIEFLY: Final[dict[str, Any]] = {
    **SETTINGS,
    "operations": [
        _FEEDS,
        {
            # They have the parameters of listRuns.
            "include-operation-id": ["countRuns", "searchRuns"],
            "phases": {"coverage": {"enabled": False}},
        },
    ],
    # What comes of answers differs from time to time: this asks the same each time.
    "phases": {
        "coverage": {"unexpected-methods": ["put", "post"]},
        "fuzzing": {
            "extra-data-sources": {"responses": False},
            "error-feedback": {"enabled": False},
        },
        "stateful": {"max-steps": 5},
    },
}
"""Settings for a test of bounded length."""


@schemathesis.check
def form_is_taken(_ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Hold that what fits the document is never refused for its form."""
    is_valid = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_valid or response.status_code < 400:
        return
    if "problem+json" not in response.headers.get("content-type", [""])[0]:
        return
    code = response.json()["code"]
    assert code not in ILL_FORMED, f"valid by the document, refused as {code}"


@dataclass(slots=True)
class Findings:
    """What came of the requests: how many there were, and each thing that is wrong, once."""

    requests: int = 0
    statuses: set[int] = field(default_factory=set)
    wrong: dict[tuple[str, str, int], str] = field(default_factory=dict)

    def take(self, event: Any) -> None:
        """Note what an event of schemathesis tells."""
        if isinstance(event, events.ScenarioFinished):
            self._take_scenario(event)
        if isinstance(event, events.NonFatalError):
            self.wrong[event.label, "error", 0] = str(event.value)
        if isinstance(event, events.FatalError):
            raise event.exception

    def _take_scenario(self, event: events.ScenarioFinished) -> None:
        recorder = event.recorder
        self.requests += len(recorder.interactions)
        for asked in recorder.interactions.values():
            if asked.response is not None:
                self.statuses.add(asked.response.status_code)
        for case_id, checks in recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    asked = recorder.interactions[case_id]
                    failure = check.failure_info.failure
                    status = asked.response.status_code if asked.response else 0
                    self.wrong.setdefault(
                        (recorder.label, check.name, int(status)),
                        f"{failure.title}: {failure.message}\n{_shown(asked)}",
                    )


def _shown(asked: Any) -> str:
    request, response = asked.request, asked.response
    headers = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in ("authorization", "user-agent", "accept-encoding")
    }
    answer = response.content[:1000] if response else None
    return f"{request.method} {request.uri} {headers}\n{request.body}\n-> {answer!r}"


def prepare(engine: Engine) -> None:
    """Publish what the examples of the document name, and start runs for those who look at some."""
    engine.publish(GREETING)
    engine.publish(ASKING)
    engine.start(ASKING, {})


def campaign(
    engine: Engine,
    service: Service,
    *,
    seed: int,
    examples: int,
    phases: Sequence[Phase] = PHASES,
    is_brief: bool = False,
) -> Iterator[Findings]:
    """Send requests with an admin's key, and give what has been found after each event; `examples` for each operation.

    The same seed makes the same requests, as far as they do not come from answers.
    """
    secret = engine.api_keys.create("admin", "admin").secret
    config = SchemathesisConfig.from_dict(
        {
            **(BRIEFLY if is_brief else SETTINGS),
            "seed": seed,
            "headers": {"Authorization": f"Bearer {secret}"},
            "generation": {"max-examples": examples, "database": "none"},
        }
    )
    config.projects.default.phases.update(phases=list(phases))
    app = create_app(engine, service)
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    findings = Findings()
    for event in from_schema(schema).execute():
        findings.take(event)
        yield findings
