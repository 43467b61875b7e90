"""The process behind `sandbox.Sandbox`: a line of JSON in for each call, a line out; started with `python -m`."""

from __future__ import annotations

import asyncio
import inspect
import os
import queue
import resource
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.catalog.loader import load
from openagents_json.catalog.registry import Registry
from openagents_json.components.context import CancelToken, Context
from openagents_json.components.errors import UnknownComponent, describe_error
from openagents_json.simulation.sandbox_bounds import SandboxPolicy, confine
from openagents_json.simulation.sandbox_guard import arm
from openagents_json.simulation.sandbox_kernel import Kernel, ThisKernel
from openagents_json.simulation.sandbox_secrets import Secrets, secret_files

SAFE = frozenset({None, "pure", "idempotent"})


def main(kernel: Kernel | None = None) -> None:
    """Serve calls until the other side goes away."""
    lines, answer = _channel()
    begin = codec.decode(lines.readline().rstrip(b"\n"))
    resource.setrlimit(resource.RLIMIT_AS, (begin["memory"], begin["memory"]))
    refused: list[str] = []
    folder = Path(begin["folder"])
    secrets = Secrets(tuple(begin["secrets"]))
    hidden, complete = secret_files(Path.cwd(), secrets.paths)
    answer(
        asdict(confine(kernel or ThisKernel(), SandboxPolicy(folder, hidden, complete)))
    )  # before there are threads
    arm(folder, secrets, refused.append)
    if not lines.readline():  # the bounds were not to the liking of the other side
        return
    requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, requests), daemon=True).start()
    try:
        registry = load(begin["components"], working_directory=Path.cwd())
    except BaseException as error:
        answer({"error": describe_error(error), "refused": refused})
        return
    answer({})
    program = Path.cwd()
    while True:
        refused.clear()
        os.chdir(program)  # wherever the one before has gone
        answer(_called(registry, codec.decode(requests.get()), refused))


def _channel() -> tuple[BinaryIO, Callable[[Any], None]]:
    """Take the pipes for the calls away from the components: what these print goes nowhere."""
    lines = os.fdopen(os.dup(0), "rb")
    out = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)

    def answer(value: Any) -> None:
        out.write(codec.encode(value) + b"\n")
        out.flush()

    return lines, answer


def _listen(lines: BinaryIO, requests: queue.SimpleQueue[bytes]) -> None:
    """Pass calls on; when nobody is there any more, end, whatever a component is doing."""
    for line in lines:
        requests.put(line.rstrip(b"\n"))
    os._exit(0)


def _called(
    registry: Registry, call: Mapping[str, Any], refused: list[str]
) -> dict[str, Any]:
    try:
        component = registry.resolve(call["component"])
    except UnknownComponent as error:
        return {"unknown": str(error)}
    if component.spec.effect not in SAFE:
        return {"refused": [f"a component whose effect is {component.spec.effect}"]}
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime + call["limit_ms"] / 1000) + 2
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
    try:
        result = component.invoke(call["inputs"], _context(call))
        output = codec.normalise(
            asyncio.run(_awaited(result)) if inspect.isawaitable(result) else result
        )
        return {"output": output, "refused": refused}
    except NotJson as error:
        message = f"{call['component']} returned what is not JSON: {error}"
        described = {
            "type": "InvalidComponentOutput",
            "message": message,
            "retryable": False,
        }
    except MemoryError:
        return {"refused": ["so much memory"]}
    except BaseException as error:
        described = describe_error(error)
    described.pop("traceback", None)
    return {"error": described, "refused": refused}


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _context(call: Mapping[str, Any]) -> Context:
    now_ms: int = call["now_ms"]
    return Context(
        run_id=call["run"],
        step_id=call["step"],
        workflow_id=call["workflow"],
        attempt=call["attempt"],
        idempotency_key=call["idempotency_key"],
        deadline_ms=now_ms + call["limit_ms"],
        token=CancelToken(),
        now_ms=lambda: now_ms,
        on_heartbeat=lambda _details: None,
    )


if __name__ == "__main__":
    main()
    sys.exit(0)
