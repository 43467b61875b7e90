"""Commands that work on a store itself, which no service does for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def need_store(target: Any, *, when: bool = True) -> None:
    """Refuse the URL of a service, `when` a command works on the store itself.

    Raises NeedsStore.
    """
    if when and target.is_remote:
        from openagents_json.client import NeedsStore

        raise NeedsStore(f"`{click.get_current_context().command_path}`")


def at_a_store(command: Command) -> Command:
    """Let a command refuse the URL of a service, before it begins anything."""

    @wraps(command)
    def with_store(*, target: Any, **values: Any) -> Any:
        need_store(target)
        return command(target=target, **values)

    return with_store  # type: ignore[return-value]
