"""Workers over HTTP among the live ones: whose components are new to an instance, and whose it has known for long."""

from __future__ import annotations

from typing import Any, cast

from executor.remote.presence import SAY_AGAIN_MS, RemotePresence
from executor.remote.served import ServedComponents
from executor.remote.waiters import WorkRequest
from openagents_json.workflow.component_spec import ComponentSpec


class Told:
    """What a directory is told of components."""

    def __init__(self) -> None:
        self.components: list[list[str]] = []

    def put_components(self, _having: str, names: list[str]) -> None:
        self.components.append(names)

    def beat_remote(self, _workers: Any) -> None:
        pass


def asking(component: str) -> WorkRequest:
    components = ServedComponents([ComponentSpec(component, "1.0.0")])
    return WorkRequest("claim", "worker", "tool", 1, 1000, components)


def test_components_are_said_when_they_are_new_and_again_when_that_is_long_ago() -> (
    None
):
    told = Told()
    now = [0.0]
    presence = RemotePresence(cast(Any, told), lambda: now[0], {})
    assert [presence.came(asking(name)) for name in ("a", "b", "a")] == [
        True,
        True,
        False,
    ]
    now[0] = SAY_AGAIN_MS
    assert [presence.came(asking("a")) for _ in range(2)] == [True, False]
    assert told.components == [["a@1.0.0"], ["b@1.0.0"], ["a@1.0.0"]]
