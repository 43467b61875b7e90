"""A worker process of `dev`, or of a worker type: loads the components, works, and tells its parent when it does."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from cli.failing.failures import tell
from cli.logs.handlers import begin_logging
from cli.main import take_any_character
from cli.terminal import guard

UNHURRIED_SECONDS: Final = 86_400.0
"""How long steps have to end in when their process is replaced; whoever ends all of them hurries them in time."""


def main(number: int) -> None:
    """Work until told to stop; the exit code says how it ended."""
    take_any_character()
    guard()
    parent = socket.socket(fileno=number)
    parent.set_inheritable(False)  # what components start must not keep it open
    try:
        code = _work(parent)
    except Exception as error:
        tell(error)
    sys.exit(code)


def _work(parent: socket.socket) -> int:
    from openagents_json.engine import Engine, Registry
    from openagents_json.engine.development.own_modules import own_files
    from openagents_json.engine.settings import read_settings
    from openagents_json.engine.workers import run_worker

    with parent.makefile("rb", buffering=0) as orders_of_parent:
        orders = json.loads(orders_of_parent.readline())
    settings = read_settings(orders["settings"])
    begin_logging(settings.log_level, settings.log_format)
    _end_with(parent, settings.grace_seconds)
    sys.dont_write_bytecode = (
        True  # a file that is written twice in a second has one date
    )

    def answer(**message: Any) -> None:
        _send(parent, message)

    def work(url: str) -> int:
        return run_worker(
            settings.model_copy(
                update={"url": url, "grace_seconds": UNHURRIED_SECONDS}
            ),
            orders["components"],
            **orders["options"],
            tell=lambda line: answer(told=line),
            ready=lambda registry: answer(
                ready=own_files(),
                having=registry.fingerprint,
                specs=registry.published(),
            ),
        )

    if settings.url:
        return work(settings.url)
    # With a share of its own in the server, that stays until this process has ended in good order.
    with Engine.open(settings, components=Registry()) as engine:
        return work(engine.url)


def _send(parent: socket.socket, message: Mapping[str, Any]) -> None:
    with suppress(OSError):  # a parent that is gone has told this process to end
        parent.sendall(json.dumps(message).encode() + b"\n")


def _end_with(parent: socket.socket, grace_seconds: float) -> None:
    """End in good order when the parent has gone, however it went."""

    def follow() -> None:
        while parent.recv(4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)
        threading.Event().wait(grace_seconds)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, name="openagents-parent", daemon=True).start()
