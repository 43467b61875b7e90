"""Lua scripts and pipelines of them: one round trip, whatever the server has forgotten."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from eventstore.cluster import named
from eventstore.connection import DRIVER_ERRORS, Connection
from eventstore.errors import translate


def load_text(name: str) -> str:
    """Read a script's text from the package."""
    return (files("eventstore") / "lua" / name).read_text("utf-8")


class Script:
    """A script with the hash that a server knows it by."""

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
    """A command; its name is bytes, so that the driver leaves the reply as it is."""

    args: tuple[Any, ...]


Call = ScriptCall | PlainCall


@functools.cache
def _essential() -> Script:
    return Script("essential", load_text("essential.lua"))


def essential(command: bytes, key: bytes, *args: Any) -> ScriptCall:
    """Return the call of a command that writes one key, also in a server that is at its memory limit.

    Servers at the limit refuse plain commands; work that has begun has to end all the same, so that memory comes free.
    """
    return ScriptCall(_essential(), [key], [command, *args])


def refused_when_full(text: str) -> str:
    """Return the text of a script that a server at its memory limit refuses before it begins."""
    return text.replace("#!lua flags=allow-oom\n", "#!lua\n", 1)


class Scripts:
    """Sends calls to a server; a script that the server has forgotten was not run, so it is loaded and sent again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._where, self._is_cluster = connection.where, connection.is_cluster

    @property
    def _client(self) -> Any:
        return self._connection.client

    def run(self, call: Call) -> Any:
        """Send one call and give its reply.

        Raises EventStoreError.
        """
        reply = self.run_many([call])[0]
        if isinstance(reply, Exception):
            raise reply
        return reply

    def run_many(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls in one pipeline and give their replies, errors among them.

        Raises StoreUnavailable when the pipeline as a whole fails.
        """
        replies = self._send(calls)
        missing = [i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if missing:
            self._load({call.script.sha: call.script for i in missing if isinstance(call := calls[i], ScriptCall)})
            for i, reply in zip(missing, self._send([calls[i] for i in missing]), strict=True):
                replies[i] = reply
        return [translate(r, self._where) if isinstance(r, DRIVER_ERRORS) else r for r in replies]

    def _load(self, scripts: dict[str, Script]) -> None:
        try:
            for script in scripts.values():
                self._client.script_load(script.text)
        except DRIVER_ERRORS as error:
            raise translate(error, self._where) from error

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        try:
            if len(calls) == 1:
                return [self._one(calls[0])]
            pipe = self._client.pipeline(transaction=False)
            for call in calls:
                pipe.execute_command(*self._command(call))
            return list(pipe.execute(raise_on_error=False))
        except DRIVER_ERRORS as error:
            raise translate(error, self._where) from error

    def _one(self, call: Call) -> Any:
        try:
            return self._client.execute_command(*self._command(call))
        except NoScriptError as error:
            return error

    def _command(self, call: Call) -> tuple[Any, ...]:
        if isinstance(call, ScriptCall):
            return ("EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
        return named(call.args) if self._is_cluster else call.args
