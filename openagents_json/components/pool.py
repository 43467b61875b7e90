"""Instances of agent classes: made once, looked after, reused by one call at a time, thrown away when broken."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from openagents_json.components.copies import own_copy


class InstancePool:
    """Idle instances of one class; a `shared` class has one instance for all calls."""

    def __init__(
        self,
        cls: type,
        config: Any = None,
        *,
        shared: bool = False,
        most_idle: int = 32,
    ) -> None:
        self._cls = cls
        self._config = config
        self._shared = shared
        self._most_idle = most_idle
        self._idle: list[Any] = []
        self._one: Any = None
        self._lock = threading.Lock()

    @contextmanager
    def borrowed(self) -> Iterator[Any]:
        """Return an instance for the time of a block; one whose health check fails is replaced."""
        instance = self.shared() if self._shared else self._take()
        try:
            yield instance
        finally:
            if not self._shared:
                self._give(instance)

    def shared(self) -> Any:
        """Return the one instance that all calls share."""
        # The first one is made under the lock: others wait for it rather than make a second one.
        with self._lock:
            if self._one is None:
                self._one = self._make()
            return self._one

    def close(self) -> None:
        """Close the idle instances."""
        # Taken out under the lock, closed without it: what authors wrote may take its time.
        with self._lock:
            idle, self._idle = self._idle, []
        for instance in idle:
            self._discard(instance)

    def _take(self) -> Any:
        while True:
            with self._lock:
                instance = self._idle.pop() if self._idle else None
            if instance is None:
                return self._make()
            if self._healthy(instance):
                return instance
            self._discard(instance)

    def _give(self, instance: Any) -> None:
        with self._lock:
            if len(self._idle) < self._most_idle:
                self._idle.append(instance)
                return
        self._discard(instance)

    def _make(self) -> Any:
        if _takes_config(self._cls):
            instance = self._cls(own_copy(self._config))
        else:
            instance = self._cls()
        _finish(getattr(instance, "initialize", None))
        return instance

    def _healthy(self, instance: Any) -> bool:
        check: Callable[[], Any] | None = getattr(instance, "health_check", None)
        if check is None:
            return True
        try:
            return _finish(check) is not False
        except Exception:  # a check that raises is a check that fails
            return False

    def _discard(self, instance: Any) -> None:
        try:
            _finish(getattr(instance, "cleanup", None))
        except Exception:
            return  # it is thrown away because it is broken; that it cannot clean up is no news


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


def _finish(function: Callable[[], Any] | None) -> Any:
    """Call a hook, which may be `async def`."""
    if function is None:
        return None
    result = function()
    if not inspect.iscoroutine(result):
        return result
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result)
    with ThreadPoolExecutor(1) as other:  # a loop runs on this thread already
        return other.submit(asyncio.run, result).result()
