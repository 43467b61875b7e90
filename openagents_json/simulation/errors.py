"""Errors of runs in memory.

ComponentError
+-- NoMock           a step calls a component that the test says nothing about
+-- SandboxRefused   a component wanted what may have an effect outside of its sandbox
Stuck                a run waits for something that only the test can give it
Unproven             a step cannot be done without an effect, or without somebody else
RehearsalOver        a run that is rehearsed fails: what it would undo now does not matter
"""

from __future__ import annotations

from openagents_json.components.errors import ComponentError
from openagents_json.errors import Forbidden, OpenAgentsError


class SandboxRefused(ComponentError, Forbidden):
    """A component wanted to do in the sandbox what may have an effect outside of it."""

    code = "sandbox_refused"
    retryable = False

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"the sandbox does not allow {what}")


class NoMock(ComponentError):
    """A step calls a component that the test says nothing about."""

    code = "no_stand_in"
    retryable = False

    def __init__(self, component: str) -> None:
        self.component = component
        super().__init__(
            f"the test has no component {component!r}",
            remedy="add it to `components`",
        )


class Stuck(OpenAgentsError, AssertionError):
    """A run waits for something that only the test can give it, or goes on without end."""

    code = "stuck"


class Unproven(OpenAgentsError):
    """A step cannot be done without an effect, or without somebody else; carries `step` and `reason`."""

    code = "unproven"

    def __init__(self, step: str, reason: str) -> None:
        self.step = step
        self.reason = reason
        super().__init__(reason)


class RehearsalOver(OpenAgentsError):
    """A run that is rehearsed fails: what it would undo now does not matter."""

    code = "rehearsal_over"
