"""Runs begin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from openagents_json.client.calls.call import Call, path, post
from openagents_json.client.calls.documents import sent_inputs, sent_workflow
from openagents_json.client.problems import error_of

if TYPE_CHECKING:
    from openagents_json.engine.documents import Document
    from openagents_json.errors import OpenAgentsError

MOST_AT_A_TIME: Final = 1_000
"""So many runs are started by one request."""


REPLAYED: Final = "Idempotency-Replayed"


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that was started, and whether by this request."""

    id: str
    is_new: bool = True


@dataclass(frozen=True, slots=True)
class OneOfMany:
    """What became of one start among others."""

    id: str
    error: OpenAgentsError | None


def start(
    workflow: Document,
    inputs: Mapping[str, Any] | None,
    key: str,
    labels: Mapping[str, str] | None,
    budget: Mapping[str, Any] | None,
    more: Mapping[str, Any],
) -> Call[Begun]:
    """Return the call that starts a run; `more` is what few starts say, and None is not sent."""
    body: dict[str, Any] = {
        "workflow": sent_workflow(workflow),
        "inputs": sent_inputs(inputs),
        "labels": None if labels is None else dict(labels),
    }
    if budget is not None:
        body["budget"] = dict(budget)
    body |= {name: value for name, value in more.items() if value is not None}
    return _beginning(path("runs"), body, key)


def start_job(
    component: str,
    inputs: Mapping[str, Any] | None,
    key: str,
    labels: Mapping[str, str] | None,
) -> Call[Begun]:
    """Return the call that calls a component durably."""
    body = {
        "component": component,
        "inputs": sent_inputs(inputs),
        "labels": None if labels is None else dict(labels),
    }
    return _beginning(path("jobs"), body, key)


def _beginning(where: str, body: Any, key: str) -> Call[Begun]:
    return replace(post(where, body, _begun, key=key), read_headers=_noted)


def _begun(value: Any) -> Begun:
    return Begun(id_of(value))


def _noted(begun: Begun, headers: Mapping[str, str]) -> Begun:
    return replace(begun, is_new=REPLAYED not in headers)


def start_many(
    requests: Sequence[tuple[Document, Mapping[str, Any]]],
    keys: Sequence[str],
    labels: Mapping[str, str] | None,
) -> list[Call[list[OneOfMany]]]:
    """Return the calls that start several runs, up to a thousand each; each run has a key, so each may arrive twice."""
    own_labels = None if labels is None else dict(labels)
    rows = zip(requests, keys, strict=True)
    bodies = iter(
        [
            {
                "workflow": sent_workflow(workflow),
                "inputs": sent_inputs(inputs),
                "labels": own_labels,
                "idempotency_key": key,
            }
            for (workflow, inputs), key in rows
        ]
    )
    slices: Iterable[list[Any]] = iter(lambda: [*islice(bodies, MOST_AT_A_TIME)], [])
    return [_batch(slice_) for slice_ in slices]


def _batch(bodies: list[Any]) -> Call[list[OneOfMany]]:
    where = path("runs", "batch")
    return Call("POST", where, _outcomes, body={"runs": bodies}, repeatable=True)


def _outcomes(value: Any) -> list[OneOfMany]:
    return [OneOfMany(one["id"], _error(one.get("error"))) for one in value["runs"]]


def _error(problem: Mapping[str, Any] | None) -> OpenAgentsError | None:
    return None if problem is None else error_of(problem)


def id_of(value: Any) -> str:
    """Return the id of the run that an answer names."""
    return str(value["id"])
