"""Lua scripts and pipelines of them: one round trip, whatever the server has forgotten."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, TypeGuard

from msgspec import Struct
from redis.crc import key_slot
from redis.exceptions import NoScriptError, ReadOnlyError

from eventstore.driver_errors import translate
from eventstore.errors import (
    EventStoreError,
    NotReplicated,
    StoreBusy,
    StoreUnavailable,
)
from eventstore.redis.driver.acknowledged import PLACES, Told, arguments, lost_of
from eventstore.redis.driver.connection import DRIVER_ERRORS, Connection
from eventstore.redis.driver.replication import (
    check_confirmed,
    command_counts,
    confirming,
    script_counts,
)
from eventstore.redis.driver.retries import when_free

log = logging.getLogger(__name__)


@functools.cache
def load_text(name: str) -> str:
    """Return a script's text from the package, which is read once."""
    return (files("eventstore.redis") / "lua" / name).read_text("utf-8")


class Script:
    """A script with the hash that a server knows it by."""

    __slots__ = ("name", "sha", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class ScriptCall(Struct, frozen=True, gc=False):
    """A call of a script."""

    script: Script
    keys: Sequence[bytes]
    args: Sequence[Any]


class PlainCall(Struct, frozen=True, gc=False):
    """A command; its name is bytes, so that the driver leaves the reply as it is."""

    args: tuple[Any, ...]


Call = ScriptCall | PlainCall


def _counts(call: Call) -> bool:
    if isinstance(call, ScriptCall):
        return script_counts(call.script.name, call.args)
    return command_counts(call.args)


@functools.cache
def _essential() -> Script:
    return Script("essential", load_text("essential.lua"))


@functools.cache
def _look_back() -> Script:
    return Script("look_back", load_text("look_back.lua"))


def _of_partition(meta: bytes) -> list[bytes]:
    base = meta.removesuffix(b"meta")
    return [meta, base + b"log", base + b"losses"]


def essential(command: bytes, key: bytes, *args: Any) -> ScriptCall:
    """Return the call of a command that writes one key, also in a server that is at its memory limit.

    Servers at the limit refuse plain commands; work that has begun has to end all the same, so that memory comes free.
    """
    return ScriptCall(_essential(), [key], [command, *args])


ALLOWED_WHEN_FULL: Final = "#!lua flags=allow-oom\n"
"""How scripts begin that a server at its memory limit carries out."""


def refused_when_full(text: str) -> str:
    """Return the text of a script that a server at its memory limit refuses before it begins."""
    return text.replace(ALLOWED_WHEN_FULL, "#!lua\n", 1)


def _is_told_of(call: Call) -> TypeGuard[ScriptCall]:
    return isinstance(call, ScriptCall) and call.script.name in PLACES


def _all_carried_out(replies: Sequence[Any]) -> bool:
    """Tell whether no reply is an error: nearly always so, and then there is nothing to look for by kind of error."""
    return not [reply for reply in replies if isinstance(reply, Exception)]


def _is_busy(reply: Any) -> bool:
    return isinstance(reply, Exception) and str(reply).startswith("BUSY ")


def _is_left_alone(reply: Any) -> bool:
    return isinstance(reply, Exception) and str(reply).startswith("NOREPLICAS")


class Scripts:
    """Sends calls to a server; a script that the server has forgotten was not run, so it is loaded and sent again."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._where = connection.where
        self._is_cluster = connection.is_cluster

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

        Those that a server refused because it was busy with a script are sent again, as it has done nothing of them.
        Where replicas are to confirm what is written, they have done so. Raises StoreUnavailable when the pipeline as a
        whole fails, and NotReplicated.
        """
        if not calls:
            return []
        acknowledged = self._connection.acknowledged
        before = [
            (i, call, acknowledged.newest(call.keys[0]))
            for i, call in enumerate(calls)
            if _is_told_of(call)
        ]
        replies = self._run_many(calls)
        for i, call, newest in before:
            acknowledged.note(call.script.name, call.keys[0], replies[i], newest)
        if acknowledged.in_doubt:
            self._look_back()
        return replies

    def _look_back(self) -> None:
        """Look for what was acknowledged; what is gone is kept on record in the store. Another time, if that fails."""
        acknowledged = self._connection.acknowledged
        doubts = acknowledged.doubts()
        calls = [
            ScriptCall(_look_back(), _of_partition(meta), arguments(told))
            for meta, told in doubts.items()
        ]
        try:
            replies = self._run_many(calls) if calls else []
        except EventStoreError:
            acknowledged.suspect()
            return
        gone: list[Told] = []
        for (meta, told), reply in zip(doubts.items(), replies, strict=True):
            if isinstance(reply, Exception):
                acknowledged.suspect()
                continue
            gone += acknowledged.found(meta, reply[0], lost_of(told, reply[1:]))
        if gone:
            back = max(one.time_ms for one in gone) - min(one.time_ms for one in gone)
            log.warning(
                "the store at %s has lost commits of at least %d ms that it had acknowledged; "
                "a check of the store says what is known of it",
                *(self._where, back),
            )

    def _run_many(self, calls: Sequence[Call]) -> list[Any]:
        try:
            replies = self._answers(calls)
        except StoreBusy as error:
            replies = [error] * len(calls)
        if _all_carried_out(replies):
            return replies
        return self._when_free(calls, replies)

    def _when_free(self, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
        """Send those calls again that a busy server refused, and return all replies."""
        left = [i for i, reply in enumerate(replies) if isinstance(reply, StoreBusy)]

        def send() -> None:
            for i, reply in zip(
                left, self._answers([calls[i] for i in left]), strict=True
            ):
                replies[i] = reply
            left[:] = [i for i in left if isinstance(replies[i], StoreBusy)]
            if left:
                raise replies[left[0]]

        try:
            if left:
                when_free(send)
        except StoreBusy as error:
            for i in left:
                replies[i] = error
        return replies

    def _answers(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls, and scripts that the server does not know once more, with their texts.

        What was read behind those that were not carried out is read again.
        """
        replies = self._confirmed(calls)
        if _all_carried_out(replies):
            return replies
        missing = [
            i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)
        ]
        if missing:
            later = range(missing[0] + 1, len(calls))
            missing = sorted(
                {
                    *missing,
                    *(
                        i
                        for i in later
                        if isinstance(calls[i], PlainCall) and not _counts(calls[i])
                    ),
                }
            )
            for i, reply in zip(
                missing, self._confirmed([calls[i] for i in missing]), strict=True
            ):
                replies[i] = reply
        return [
            translate(r, self._where) if isinstance(r, DRIVER_ERRORS) else r
            for r in replies
        ]

    def _confirmed(self, calls: Sequence[Call]) -> list[Any]:
        """Send calls in one pipeline, and behind what somebody relies on, what replicas are asked.

        One pipeline is one connection, so one server: whatever it carried out is confirmed by its own replicas.
        """
        quorum = self._connection.quorum
        counting = (
            None
            if quorum is None
            else next((call for call in calls if _counts(call)), None)
        )
        if quorum is None or counting is None:
            return self._looked_at(calls, self._send(calls))
        server = quorum.server  # before they are counted: what another one's replicas confirm must not count for it
        count = self._connection.wanted_replicas()
        key = counting.keys[0] if isinstance(counting, ScriptCall) else counting.args[1]
        asked = [
            PlainCall(command)
            for command in confirming(key, count, quorum.asked.timeout_ms)
        ]
        replies = self._send([*calls, *asked])
        answers = self._looked_at(calls, replies[: len(calls)])
        confirmations = replies[len(calls) :]
        if all(_is_busy(reply) for reply in answers):
            return answers
        try:
            check_confirmed(confirmations, count, self._where)
        except StoreUnavailable as error:
            self._connection.doubt()
            if isinstance(
                error, StoreBusy
            ):  # others were carried out, so the whole must not pass for refused
                raise NotReplicated(self._where, count, 0) from error
            raise
        quorum.confirmed(confirmations[1], server)
        return answers

    def _looked_at(self, calls: Sequence[Call], replies: list[Any]) -> list[Any]:
        """Load the scripts that the server had forgotten, and doubt one that cannot write: others may have left it."""
        if _all_carried_out(replies):
            return replies
        unknown = [
            i for i, reply in enumerate(replies) if isinstance(reply, NoScriptError)
        ]
        if unknown:
            self._load(
                [call for i in unknown if isinstance(call := calls[i], ScriptCall)]
            )
        if any(
            isinstance(reply, ReadOnlyError) or _is_left_alone(reply)
            for reply in replies
        ):
            self._connection.doubt()
        return replies

    def _load(self, calls: Sequence[ScriptCall]) -> None:
        """Load what is missing; a node that goes away meanwhile says so to the calls that are sent again."""
        try:
            if self._is_cluster:
                distinct = {
                    (call.script.sha, key_slot(call.keys[0])): call for call in calls
                }.values()
                loads = [("SCRIPT", "LOAD", call.script.text) for call in distinct]
                self._client.send(loads, [call.keys[0] for call in distinct])
                return
            for script in {call.script.sha: call.script for call in calls}.values():
                self._client.script_load(script.text)
        except DRIVER_ERRORS as error:
            raise translate(error, self._where) from error

    def _send(self, calls: Sequence[Call]) -> list[Any]:
        commands = [self._command(call) for call in calls]
        try:
            return self._connection.send(commands)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> EventStoreError:
        """Return an error as one of ours; when the server is away, another one may be the primary by now."""
        own_error = translate(error, self._where)
        if isinstance(own_error, StoreUnavailable):
            self._connection.doubt()
        return own_error

    @staticmethod
    def _command(call: Call) -> tuple[Any, ...]:
        if isinstance(call, ScriptCall):
            return (b"EVALSHA", call.script.sha, len(call.keys), *call.keys, *call.args)
        return call.args
