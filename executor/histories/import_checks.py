"""Whether what comes from outside can be a run: its definitions, its events, and whether they fit together.

What is taken in stays for good, and workers compile and fold it: what they would stumble over is refused here.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from eventstore import codec
from eventstore.event import Recorded
from eventstore.redis.raw import RawEvent
from executor.errors import HistoryUnfit
from executor.runs.codec import is_sealed
from openagents_json.workflow.core.event_types import PAYLOADS, from_data
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.plan import canonical
from openagents_json.workflow.core.state import FOREACH, RunState, initial
from openagents_json.workflow.definition import Definition
from openagents_json.workflow.errors import UnknownEvent, WorkflowError
from openagents_json.workflow.language.compile import compile_plan
from openagents_json.workflow.language.validate import structure

ODD: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RecursionError,
)
"""What code that trusts the shape of a value raises on one of another shape."""

T = TypeVar("T")


def check_definitions(run: str, definitions: Mapping[str, bytes]) -> None:
    """Refuse definitions that are not what they are named by, or that no worker could go by.

    Their documents need not satisfy the rules of today: an older version has accepted them. Raises HistoryUnfit.
    """
    for name, raw in definitions.items():
        if hashlib.sha256(raw).hexdigest() != name:
            raise HistoryUnfit(run, f"definition {name} is another one")
        try:
            definition = Definition(codec.decode(raw), raw, name)
            if canonical(definition.content) != raw:
                raise HistoryUnfit(
                    run,
                    f"definition {name} is not in the form that its hash stands for",
                )
            _check_document(run, name, definition.content)
            compile_plan(definition)
        except (*ODD, WorkflowError) as error:
            if isinstance(error, HistoryUnfit):
                raise
            raise HistoryUnfit(
                run, f"definition {name} is no workflow: {type(error).__name__} {error}"
            ) from error


def _check_document(run: str, name: str, definition: Any) -> None:
    report = structure(definition["document"])
    if not report.valid:
        first = report.problems[0]
        raise HistoryUnfit(
            run,
            f"definition {name} is no workflow: {first.pointer or '/'}: {first.message}",
        )


def check_events(
    run: str, history: Iterable[RawEvent], partition: int
) -> Iterator[Recorded]:
    """Read events one by one, and refuse types and shapes that this version does not know.

    Raises HistoryUnfit.
    """
    for event in history:
        try:
            recorded = event.recorded(run, partition)
        except ODD as error:
            raise HistoryUnfit(
                run, f"event {event.version} is no JSON: {error}"
            ) from error
        parts = (recorded.data, recorded.metadata)
        if not all(isinstance(part, dict) for part in parts):
            raise HistoryUnfit(run, f"event {event.version} holds no names")
        try:
            from_data(recorded.type, recorded.data)
        except UnknownEvent as error:
            raise HistoryUnfit(
                run, f"its events do not fit together: number {event.version}: {error}"
            ) from error
        yield recorded


def check_end(
    run: str, status: str, recorded: Iterable[Recorded], blobs: Mapping[str, bytes]
) -> None:
    """Refuse a history that closes with an end to which its events do not lead: the run would stand between both.

    It is folded without what it worked with, so that little is held. What is encrypted cannot be folded without its
    key, and need not be: nobody can go on with it. Raises HistoryUnfit.
    """
    state = initial()
    events = iter(recorded)
    for item in events:
        if is_sealed(item):
            # Read on all the same: who reads the events checks each of them.
            collections.deque(events, maxlen=0)
            return
        state = fitting(run, partial(_after, state, item, blobs))
    if state.status != status:
        raise HistoryUnfit(
            run, f"its events end with {status}, and lead to {state.status}"
        )


def _after(state: RunState, item: Recorded, blobs: Mapping[str, bytes]) -> RunState:
    return evolve(state, from_data(item.type, _bare(item, blobs)))


def _bare(item: Recorded, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the data of an event without its payloads, but for errors, and how many items a step goes through."""
    payloads = PAYLOADS.get(item.type, ())
    left_out = {name for name in payloads if name != "error"}
    data = {name: item.data[name] for name in item.data if name not in left_out}
    if "inputs" in payloads and item.data.get("inputs") is not None:
        goes_through_items = item.data.get("kind") == FOREACH
        data["inputs"] = _items(item, blobs) if goes_through_items else {}
    return data


def _items(item: Recorded, blobs: Mapping[str, bytes]) -> dict[str, Any]:
    items = item.data["inputs"].get("items")
    for path, sha, _ in item.data.get("blobs") or ():
        if path == ["inputs", "items"]:
            raw = blobs.get(sha)  # it may have been erased
            items = None if raw is None else codec.decode(raw)
    if isinstance(items, Mapping):
        return {"items": dict.fromkeys(items)}
    if isinstance(items, list):
        return {"items": [None] * len(items)}
    return {}


def fitting(run: str, fold: Callable[[], T]) -> T:
    """Fold what others have written.

    Raises HistoryUnfit where its events do not fit together.
    """
    try:
        return fold()
    except ODD as error:
        if isinstance(error, HistoryUnfit):
            raise
        raise HistoryUnfit(
            run, f"its events do not fit together: {type(error).__name__} {error}"
        ) from error
