"""Lua scripts and pipelines of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from eventstore.errors import translate


def load_text(name: str) -> str:
    """Read a script's text from the package."""
    return (files("eventstore") / "lua" / name).read_text("utf-8")


class Script:
    """A script with the hash that the server knows it by."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


@dataclass(frozen=True, slots=True)
class ScriptCall:
    """A call of a script."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Any]


@dataclass(frozen=True, slots=True)
class PlainCall:
    """A plain command."""

    args: tuple[Any, ...]


class Scripts:
    """Runs calls on a client."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def run_many(self, calls: Sequence[ScriptCall | PlainCall]) -> list[Any]:
        """Run calls in one pipeline."""
        replies = self._send(calls)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            for script in {calls[i].script for i in missing}:  # type: ignore[union-attr]
                self._client.script_load(script.text)
            for i, reply in zip(missing, self._send([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        return [translate(r) if isinstance(r, RedisError) else r for r in replies]

    def _send(self, calls: Sequence[ScriptCall | PlainCall]) -> list[Any]:
        try:
            if len(calls) == 1:
                try:
                    return [self._client.execute_command(*_command(calls[0]))]
                except NoScriptError as error:
                    return [error]
            pipe = self._client.pipeline(transaction=False)
            for call in calls:
                pipe.execute_command(*_command(call))
            return list(pipe.execute(raise_on_error=False))
        except RedisError as error:
            raise translate(error) from error


def _command(call: ScriptCall | PlainCall) -> tuple[Any, ...]:
    if isinstance(call, PlainCall):
        return call.args
    return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
