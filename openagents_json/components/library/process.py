"""`process.run`: a program that the worker's operator has named, without a shell, within limits."""

from __future__ import annotations

import shlex
from typing import Any

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError, RetryableError
from openagents_json.components.library.operator_names import (
    process_environment,
    program,
)
from openagents_json.components.library.text_forms import Encoding, decoded, encoded


@tool("process.run", effect="at_most_once", version="1.0.0", tags=("process",))
def run(
    program: str,
    context: Context,
    arguments: list[str] | None = None,
    input: Any = "",  # noqa: A002 - as programs have it
    input_encoding: Encoding = "text",
    encoding: Encoding = "text",
    environment: dict[str, str] | None = None,
    accept: list[int] | None = None,
    timeout_seconds: float = 60.0,
    max_bytes: int = 1_000_000,
) -> dict[str, Any]:
    """Run a named program to its end; gives what it wrote, and its exit status."""
    from openagents_json.components.library.processes.running import Bounds, run_program

    if not (0 < timeout_seconds <= 3600 and 0 < max_bytes <= 100_000_000):
        raise NonRetryableError(
            "timeout_seconds must be above 0 and at most 3600, max_bytes above 0 and at most 100000000"
        )
    what = f"process.run of {program!r}"
    command = _command(what, program, arguments or [])
    ended = run_program(
        what=what,
        command=command,
        given=encoded(f"the input of {program!r}", input, input_encoding),
        environment=process_environment(environment or {}),
        bounds=Bounds(timeout_seconds, max_bytes),
        token=context.token,
    )
    if ended.status not in (0, *(accept or [])):
        last = ended.errors.strip().splitlines()[-1:]
        raise RetryableError(
            f"{what}: it ended with status {ended.status}{''.join(f': {line[:300]}' for line in last)}"
        )
    return {
        "status": ended.status,
        "output": decoded(f"the output of {program!r}", ended.output, encoding),
        "errors": ended.errors,
    }


def _command(what: str, name: str, arguments: list[str]) -> list[str]:
    """Return the words of a command: those of the operator, then those of the document, each as it is.

    Raises NonRetryableError.
    """
    try:
        words = shlex.split(program(name))
    except ValueError as error:
        raise NonRetryableError(
            f"{what}: its command line cannot be read: {error}"
        ) from None
    if any("\0" in argument for argument in arguments):
        raise NonRetryableError(f"{what}: an argument has a null character in it")
    return [*words, *arguments]
