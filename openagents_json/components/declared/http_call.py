"""A component that is one HTTP request: where each of its inputs goes, as data. It is sent as `http.request` sends."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from openagents_json.components.context import Context
from openagents_json.components.declared.serialising import (
    cookie_text,
    header_text,
    path_text,
    plain,
    query_pairs,
)
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.operator_names import CONNECTION, base_url

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where an input goes: `where` is path, query, header, cookie, bearer or basic; the rest is as OpenAPI has it.

    With a `media`, it is written as JSON there and not by its style.
    """

    input: str
    name: str
    where: str
    style: str = ""
    explode: bool = False
    reserved: bool = False
    media: str = ""


@dataclass(frozen=True, slots=True)
class Body:
    """Which input is the body, and of what kind; `files` are those of its members that are bytes, given in base64."""

    input: str
    media: str
    files: tuple[str, ...] = ()


@dataclass(slots=True)
class Draft:
    """A request while its inputs are put into it."""

    component: str
    base: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    _pairs: list[str] = field(default_factory=list)
    _cookies: list[str] = field(default_factory=list)

    def put(self, slot: Slot, value: Any) -> None:
        """Put an input where it belongs.

        Raises NonRetryableError.
        """
        _WRITERS[slot.where](self, slot, value)

    def url(self) -> str:
        """Return the address with all that has been put into it."""
        query = "&".join(self._pairs)
        return f"{self.base}{self.path}{'?' if query else ''}{query}"

    def _to_path(self, slot: Slot, value: Any) -> None:
        """Put a value into the path; one that would lead to another path is refused."""
        text = path_text(slot, value)
        if text in ("", ".", ".."):
            raise NonRetryableError(
                f"{self.component}: {text!r} cannot be the input {slot.input!r}: it would lead to another path"
            )
        self.path = self.path.replace(f"{{{slot.name}}}", text)

    def _to_query(self, slot: Slot, value: Any) -> None:
        self._pairs += query_pairs(slot, value)

    def _to_header(self, slot: Slot, value: Any) -> None:
        self.headers[slot.name] = header_text(slot, value)

    def _to_cookie(self, slot: Slot, value: Any) -> None:
        self._cookies.append(cookie_text(slot, value))
        self.headers["cookie"] = "; ".join(self._cookies)

    def _to_bearer(self, _: Slot, value: Any) -> None:
        token = str(value)
        has_scheme = token.lower().startswith("bearer ")
        self.headers["authorization"] = token if has_scheme else f"Bearer {token}"

    def _to_basic(self, _: Slot, value: Any) -> None:
        pair = base64.b64encode(str(value).encode()).decode()
        self.headers["authorization"] = f"Basic {pair}"


_WRITERS: Final[Mapping[str, Callable[[Draft, Slot, Any], None]]] = {
    "path": Draft._to_path,
    "query": Draft._to_query,
    "header": Draft._to_header,
    "cookie": Draft._to_cookie,
    "bearer": Draft._to_bearer,
    "basic": Draft._to_basic,
}
WHERE: Final = tuple(_WRITERS)


@dataclass(frozen=True, slots=True, repr=False)
class HttpCall:
    """The request of a declared component; `connection` is the name by which an operator may say where its API is."""

    component: str
    method: str
    path: str
    base: str = ""
    connection: str = ""
    slots: tuple[Slot, ...] = ()
    body: Body | None = None
    accept: tuple[int, ...] = ()
    timeout_seconds: float = 30.0
    max_bytes: int = 1_000_000
    source: str = ""
    """The file that declares it."""

    def __repr__(self) -> str:
        return f"{self.source or self.component}: {self.method} {self.path}"

    def __call__(self, inputs: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Send the request; gives status, headers and body of the response, as `http.request` does.

        Raises NonRetryableError and RetryableError.
        """
        try:
            from openagents_json.components.library import http_exchange
        except ImportError as error:
            raise NonRetryableError(
                f"{self.component} needs the package httpx: pip install 'openagents-json[http]'"
            ) from error
        given = {name: value for name, value in inputs.items() if value is not None}
        draft = self._draft(given)
        content = self._content(given, draft.headers)
        request = http_exchange.prepare_content(
            self.method, draft.url(), draft.headers, content, context
        )
        bounds = http_exchange.Bounds(self.timeout_seconds, self.max_bytes)
        answer = http_exchange.exchange(request, bounds)
        accepted = list(self.accept)
        http_exchange.raise_for_status(request, answer, accepted, context.now_ms())
        return answer.as_output()

    def _draft(self, given: Mapping[str, Any]) -> Draft:
        """Return the request with all inputs but its body.

        Raises NonRetryableError.
        """
        named = base_url(self.connection) if self.connection else ""
        base = (named or self.base).rstrip("/")
        if not base:
            raise NonRetryableError(
                f"{self.component}: nobody says where its API is; {self._variable()} of the worker can say it"
            )
        draft = Draft(self.component, base, self.path)
        for slot in self.slots:
            if slot.input in given:
                draft.put(slot, given[slot.input])
        return draft

    def _content(
        self, given: Mapping[str, Any], headers: dict[str, str]
    ) -> dict[str, Any]:
        """Return the body as httpx takes it; its type is put among the headers.

        Raises NonRetryableError.
        """
        if self.body is None or self.body.input not in given:
            return {}
        value = given[self.body.input]
        if self.body.media == MULTIPART:
            members = _object(self.component, value)
            return self._multipart(members, self.body.files)
        headers["content-type"] = self.body.media
        return {"content": self._bytes(self.body.media, value)}

    def _bytes(self, media: str, value: Any) -> bytes:
        """Return a body of one part.

        Raises NonRetryableError.
        """
        if is_json(media):
            return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
        if media == FORM:
            members = _object(self.component, value)
            texts = {name: _form_value(item) for name, item in members.items()}
            return urlencode(texts, doseq=True, quote_via=quote).encode()
        if not isinstance(value, str):
            raise NonRetryableError(f"{self.component}: a body of {media} is a text")
        if media.startswith("text/"):
            return value.encode("utf-8", "replace")
        return self._from_base64(value)

    def _multipart(
        self, members: Mapping[str, Any], files: Container[str]
    ) -> dict[str, Any]:
        """Return the parts of a form as httpx takes them; an array is several of one name."""
        parts = []
        for name, value in members.items():
            items = value if isinstance(value, list) else [value]
            written = self._file if name in files else _field
            parts += [(name, written(name, item)) for item in items]
        return {"files": parts}

    def _file(self, name: str, value: Any) -> tuple[Any, ...]:
        return name, self._from_base64(plain(value)), "application/octet-stream"

    def _from_base64(self, text: str) -> bytes:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            raise NonRetryableError(
                f"{self.component}: bytes are given in base64, and this is none"
            ) from None

    def _variable(self) -> str:
        name = self.connection or "NAME"
        return f"{CONNECTION}{name.upper().replace('-', '_')}"


def is_json(media: str) -> bool:
    """Tell whether a media type is JSON."""
    kind = media.partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _object(component: str, value: Any) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise NonRetryableError(f"{component}: its body is an object")


def _form_value(value: Any) -> Any:
    """Return a member of a form: a text, or several; what is nested is written as JSON."""
    return list(map(plain, value)) if isinstance(value, list) else plain(value)


def _field(_: str, value: Any) -> tuple[Any, ...]:
    return None, plain(value)
