"""What operations depend on is found out on the event loop: FastAPI calls all else in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import iscoroutinefunction

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from openagents_json.server.application import ROUTERS
from openagents_json.server.http.access import Acting


def _within(dependant: Dependant) -> Iterator[Dependant]:
    for inner in dependant.dependencies:
        yield inner
        yield from _within(inner)


def test_no_operation_depends_on_what_is_called_in_a_thread() -> None:
    routes = [route for router in ROUTERS["all"] for route in router.routes]
    operations = [route for route in routes if isinstance(route, APIRoute)]
    called = [inner.call for each in operations for inner in _within(each.dependant)]
    in_threads = {
        call
        for call in called
        if not (iscoroutinefunction(call) or isinstance(call, Acting))
    }
    assert called
    assert in_threads == set()
