"""What a step waits for, line by line, with the command that answers it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from cli.render import second
from cli.times import lasting

if TYPE_CHECKING:
    from openagents_json.engine.answers.waits import AwaitedSignal, StepWait

VALUE_WIDTH: Final = 300
"""How much of a value is shown; `--json` has all."""

COMMAND: Final = "    "
"""How a line begins that is a command: nobody cuts or folds it, as people copy it."""


def wait_lines(run: str, wait: StepWait, now_ms: int, store: str) -> Iterator[str]:
    """Say what a step waits for, until when, what a payload has to be like, and the commands that answer."""
    yield f"step {wait.step} {wait.reason}"
    if wait.until_ms is not None:
        rest = lasting(max(0, wait.until_ms - now_ms))
        end = "then it fails" if wait.fails_then else "then it goes on"
        yield f"  until {second(wait.until_ms)} UTC, in {rest}; {end}"
    for signal in wait.signals:
        if signal.schema is not None:
            yield f"  payload: {compact(signal.schema)}"
        yield COMMAND + signal_command(run, signal, store)


def signal_command(run: str, signal: AwaitedSignal, store: str) -> str:
    """Return the command that sends a signal that a step waits for."""
    command = f"openagents runs signal {run} {shlex.quote(signal.name)}"
    if signal.key is not None:
        command += f" --key {shlex.quote(signal.key)}"
    payload = " --payload JSON" if signal.schema is not None else ""
    return command + payload + store


def compact(value: Any) -> str:
    """Return a value as JSON on one line, cut where it is long."""
    written = json.dumps(value, ensure_ascii=False, sort_keys=True)
    if len(written) <= VALUE_WIDTH:
        return written
    return written[:VALUE_WIDTH] + "… (--json has all)"
