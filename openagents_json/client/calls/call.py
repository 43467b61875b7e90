"""A call of a service: one request, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import quote

import msgspec

from openagents_json.errors import InvalidArgument

Answer = TypeVar("Answer")

KEY_HEADER: Final = "Idempotency-Key"


def _unchanged(answer: Answer, _: Mapping[str, str]) -> Answer:
    return answer


@dataclass(frozen=True, slots=True)
class Call(Generic[Answer]):
    """A request, and how its answer is read; one that is `repeatable` does the same when it arrives twice.

    `wait_seconds` is how long the service is asked to wait before it answers. What the headers of the answer say is put
    into it by `read_headers`.
    """

    method: str
    path: str
    read: Callable[[Any], Answer]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = False
    wait_seconds: int = 0
    read_headers: Callable[[Answer, Mapping[str, str]], Answer] = _unchanged


@dataclass(frozen=True, slots=True)
class FeedCall(Generic[Answer]):
    """A feed of server-sent events: where it is, how each is read, and which one was seen last."""

    path: str
    read: Callable[[Any], Answer]
    after: str


def get(
    path: str,
    read: Callable[[Any], Answer],
    *,
    wait_seconds: int = 0,
    **query: Any,
) -> Call[Answer]:
    """Return a call that changes nothing; what is None or empty is not asked for."""
    asked = {name: value for name, value in query.items() if value not in (None, "")}
    return Call(
        "GET", path, read, query=asked, repeatable=True, wait_seconds=wait_seconds
    )


def post(
    path: str, body: Any, read: Callable[[Any], Answer], *, key: str
) -> Call[Answer]:
    """Return a call that changes something; by its key, the service carries it out once however often it arrives."""
    headers = {KEY_HEADER: key}
    return Call("POST", path, read, body=body, headers=headers, repeatable=True)


def path(*parts: str) -> str:
    """Return a path of the API; what stands in names is no part of the path's own grammar.

    Raises InvalidArgument.
    """
    for part in parts:
        # Servers take an escaped slash for one that parts a path.
        if "/" in part or part in (".", ".."):
            raise InvalidArgument(
                f"{part!r} has a / or is a dot, so no address of a service can name it",
                remedy="it can be used where the store is reached",
            )
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def as_type(kind: type[Answer]) -> Callable[[Any], Answer]:
    """Return what reads an answer as a frozen type of the engine; fields of a newer service are dropped."""

    def read(value: Any) -> Answer:
        return msgspec.convert(value, kind)

    return read


def as_is(value: Any) -> Any:
    """Return an answer as it is."""
    return value


def nothing(_: Any) -> None:
    """Leave an answer alone: the engine's method gives nothing either."""
