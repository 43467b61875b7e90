"""One instance of an agent class: made and initialised, asked how it is, cleaned up; its hooks may be `async def`."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from openagents_json.components.copies import own_copy


@dataclass(slots=True)
class Kept:
    """An instance that calls take turns with; it is of the `generation` of its pool in which it was made."""

    thing: Any
    generation: int = 0
    idle_since: float = 0.0


@dataclass(slots=True)
class InUse:
    """An instance that calls share, and how many of them use it now."""

    thing: Any
    users: int = 0
    is_broken: bool = False
    is_clean: bool = False


def create(cls: type, config: Any) -> Any:
    """Return a new instance that has been initialised."""
    instance = _constructed(cls, config)
    _finish(getattr(instance, "initialize", None))
    return instance


async def create_on_loop(cls: type, config: Any) -> Any:
    """Return a new instance that has been initialised on the running event loop."""
    instance = _constructed(cls, config)
    await _awaited(getattr(instance, "initialize", None))
    return instance


def is_healthy(instance: Any) -> bool:
    """Ask an instance how it is; a check that raises is a check that fails."""
    check = getattr(instance, "health_check", None)
    if check is None:
        return True
    try:
        return _finish(check) is not False
    except Exception:
        return False


async def is_healthy_on_loop(kept: InUse) -> bool:
    """Ask an instance how it is, on its event loop."""
    if kept.is_broken:
        return False
    check = getattr(kept.thing, "health_check", None)
    if check is None:
        return True
    try:
        return await _awaited(check) is not False
    except Exception:
        return False


def clean(instance: Any) -> None:
    """Let an instance clean up; that it cannot is no news, as it is thrown away."""
    try:
        _finish(getattr(instance, "cleanup", None))
    except Exception:
        return


async def clean_on_loop(kept: InUse) -> None:
    """Let an instance clean up on its event loop, once."""
    if kept.is_clean:
        return
    kept.is_clean = True
    try:
        await _awaited(getattr(kept.thing, "cleanup", None))
    except Exception:
        return


def _constructed(cls: type, config: Any) -> Any:
    return cls(own_copy(config)) if _takes_config(cls) else cls()


def _takes_config(cls: type) -> bool:
    if not any("__init__" in vars(base) for base in cls.__mro__[:-1]):
        return False
    parameters = inspect.signature(cls).parameters.values()
    return any(_is_required(parameter) for parameter in parameters)


def _is_required(parameter: inspect.Parameter) -> bool:
    """Tell whether a class cannot be made without an argument in this position."""
    if parameter.default is not parameter.empty:
        return False
    return parameter.kind in (
        parameter.POSITIONAL_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )


async def _awaited(hook: Callable[[], Any] | None) -> Any:
    result = None if hook is None else hook()
    return await result if inspect.isawaitable(result) else result


def _finish(hook: Callable[[], Any] | None) -> Any:
    """Call a hook, which may be `async def`."""
    if hook is None:
        return None
    result = hook()
    if not inspect.iscoroutine(result):
        return result
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result)
    with ThreadPoolExecutor(1) as other:  # a loop runs on this thread already
        return other.submit(asyncio.run, result).result()
