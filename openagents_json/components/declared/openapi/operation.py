"""One operation of an OpenAPI document as the spec of a component."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, filterfalse
from pathlib import Path
from typing import Any, Final

from openagents_json.components.declared.http_call import FORM, MULTIPART, is_json
from openagents_json.components.declared.openapi.naming import free_name
from openagents_json.components.declared.openapi.references import References
from openagents_json.components.declared.openapi.schemas import Schemas
from openagents_json.workflow.expressions.payload_schema import why_no_schema
from openagents_json.workflow.language.checks.shapes import array_of, object_of

SAFE: Final = ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")
"""Methods that may be sent again; others are sent once, unless they take a key of idempotency."""

_STYLES: Final = {
    "path": "simple",
    "query": "form",
    "header": "simple",
    "cookie": "form",
}
_IGNORED_HEADERS: Final = ("accept", "content-type", "authorization")
"""Headers that a document cannot describe as parameters; OpenAPI says so."""

_PART: Final = re.compile(r"\{([^{}]+)\}")
_KEY: Final = "idempotency-key"

_SECRET: Final = "proves who is calling; a secret, such as {{secrets.NAME}}"
_GIVES_A_RESULT: Final = re.compile(r"2|default$")
_RESPONSE: Final[Mapping[str, Any]] = {
    "status": {"type": "integer"},
    "headers": {"type": "object"},
    "encoding": {"enum": ["json", "text", "base64"]},
}


@dataclass(slots=True)
class Reading:
    """What has been read of an operation: where its inputs go, and their schemas."""

    inputs: list[dict[str, Any]] = field(default_factory=list)
    properties: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    takes_key: bool = False
    names_by_kind: defaultdict[str, set[str]] = field(
        default_factory=partial(defaultdict, set)
    )

    def add(self, name: str, where: str, schema: Any, *, required: bool) -> str:
        """Note an input, and give the name that it has; one whose name is taken has where it goes before it."""
        input_name = free_name(self.properties, name, f"{where}_{name}")
        self.properties[input_name] = schema
        if required:
            self.required.append(input_name)
        return input_name


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation where it stands: `shared` are the parameters of its path."""

    references: References
    file: Path
    method: str
    path: str
    entry: Mapping[str, Any]
    shared: tuple[Any, ...]
    schemes: Mapping[str, Any]
    server: str
    security: tuple[Any, ...]
    is_old: bool

    def spec(self) -> dict[str, Any]:
        """Return the members of its spec that do not depend on other operations.

        Raises CannotLoad.
        """
        sent = Schemas(self.references, "readOnly", self.is_old)
        back = Schemas(self.references, "writeOnly", self.is_old)
        reading = Reading()
        for parameter, file in self._parameters():
            self._read_parameter(reading, sent, parameter, file)
        self._read_undescribed(reading)
        body = self._read_body(reading, sent)
        self._read_security(reading)
        http = {
            "method": self.method,
            "path": self.path,
            "inputs": reading.inputs,
            **({"body": body} if body else {}),
        }
        is_repeatable = self.method in SAFE or reading.takes_key
        return {
            "description": self._description(),
            "tags": list(map(str, array_of(self.entry.get("tags")))),
            "effect": "idempotent" if is_repeatable else "at_most_once",
            "parameters": _object(reading, sent.definitions),
            "result": self._result(back),
            "http": http,
        }

    def _description(self) -> str:
        otherwise = f"{self.method} {self.path}"
        texts = (self.entry.get("summary"), self.entry.get("description"), otherwise)
        stripped = (str(text or "").strip() for text in texts)
        return next(filter(None, stripped)).partition("\n\n")[0]

    def _parameters(self) -> Iterable[tuple[Mapping[str, Any], Path]]:
        """Return the parameters; one of the operation replaces that of its path with the same name and kind."""
        own = array_of(self.entry.get("parameters"))
        by_key = {}
        for item in (*self.shared, *own):
            parameter, file = self.references.object_at(item, self.file)
            by_key[parameter.get("name"), parameter.get("in")] = (parameter, file)
        return by_key.values()

    def _read_parameter(
        self, reading: Reading, sent: Schemas, parameter: Mapping[str, Any], file: Path
    ) -> None:
        name, where = str(parameter.get("name", "")), str(parameter.get("in"))
        is_header = where == "header"
        is_ignored = is_header and name.lower() in _IGNORED_HEADERS
        if not name or where not in _STYLES or is_ignored:
            return
        is_key = is_header and name.lower() == _KEY
        reading.takes_key = reading.takes_key or is_key
        # A value of a media type has its schema there.
        medias = object_of(parameter.get("content"))
        media, content = next(iter(medias.items()), ("", parameter))
        schema = sent.converted(object_of(content).get("schema", {}), file)
        is_required = where == "path" or parameter.get("required") is True
        # The engine gives the key itself, equal for all attempts of a step.
        reading.names_by_kind[where].add(name)
        input_name = reading.add(
            name,
            where,
            _described(schema, parameter),
            required=is_required and not is_key,
        )
        style = parameter.get("style", _STYLES[where])
        slot = {
            "input": input_name,
            "name": name,
            "in": where,
            "style": style,
            "explode": parameter.get("explode", style == "form") is True,
            "reserved": parameter.get("allowReserved") is True,
            "media": media,
        }
        reading.inputs.append(slot)

    def _read_undescribed(self, reading: Reading) -> None:
        """Add an input for each part of the path that the document does not describe."""
        names = dict.fromkeys(_PART.findall(self.path))
        for name in filterfalse(reading.names_by_kind["path"].__contains__, names):
            input_name = reading.add(name, "path", {}, required=True)
            reading.inputs.append({"input": input_name, "name": name, "in": "path"})

    def _read_body(self, reading: Reading, sent: Schemas) -> dict[str, Any]:
        """Return where the body comes from, and of what kind it is; nothing for an operation without one."""
        entry = self.entry.get("requestBody")
        body, file = self.references.object_at(entry, self.file)
        medias = object_of(body.get("content"))
        if not medias:
            return {}
        media = min(medias, key=_preference)
        described = object_of(medias[media]).get("schema", {})
        schema = sent.converted(described, file)
        if not (is_json(media) or media in (FORM, MULTIPART)):
            schema = {"type": "string"}
        is_required = body.get("required") is True
        name = reading.add(
            "body", "request", _described(schema, body), required=is_required
        )
        files = self._files(described, file) if media == MULTIPART else []
        return {"input": name, "media": media, "files": files}

    def _files(self, schema: Any, file: Path) -> list[str]:
        """Name the members of a form that are bytes."""
        form, inside = self.references.object_at(schema, file)
        members = object_of(form.get("properties"))
        return [name for name in members if self._is_file(members[name], inside)]

    def _is_file(self, schema: Any, file: Path) -> bool:
        member, inside = self.references.object_at(schema, file)
        item, _ = self.references.object_at(member.get("items", member), inside)
        return item.get("format") == "binary" or "contentMediaType" in item

    def _read_security(self, reading: Reading) -> None:
        """Add an input for each way to prove who is calling; secrets go there by name."""
        choices = array_of(self.entry.get("security", self.security))
        names = set(chain.from_iterable(map(object_of, choices)))
        for scheme_name in sorted(names):
            item = self.schemes.get(scheme_name)
            scheme, _ = self.references.object_at(item, self.file)
            slot = _security_slot(scheme)
            if slot:
                schema = {"type": "string", "description": _SECRET}
                name = reading.add(scheme_name, "security", schema, required=False)
                reading.inputs.append({"input": name, **slot})

    def _result(self, back: Schemas) -> dict[str, Any]:
        """Return the schema of what the component gives: the response, with its body as the document describes it."""
        bodies = dict(self._bodies(back))
        # What `default` describes is mostly an error; it counts where nothing else is said.
        otherwise = bodies.pop("default", {})
        schemas = list(bodies.values()) or [otherwise]
        body = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        result = {"type": "object", "properties": {**_RESPONSE, "body": body}}
        return _with_definitions(result, back.definitions)

    def _bodies(self, back: Schemas) -> Iterator[tuple[str, Any]]:
        """Give the schemas of bodies by the status with which they come."""
        for status, item in object_of(self.entry.get("responses")).items():
            response, file = self.references.object_at(item, self.file)
            medias = object_of(response.get("content"))
            media = next(filter(is_json, medias), "")
            if media and _GIVES_A_RESULT.match(str(status)):
                described = object_of(medias[media]).get("schema", {})
                yield str(status), back.converted(described, file)


def _object(reading: Reading, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of all inputs; where it cannot be checked, only their names are."""
    schema = {
        "type": "object",
        "properties": reading.properties,
        "required": reading.required,
    }
    whole = _with_definitions(schema, definitions)
    if not why_no_schema(whole):
        return whole
    names: dict[str, Any] = {name: {} for name in reading.properties}
    return {**schema, "properties": names}


def _with_definitions(
    schema: dict[str, Any], definitions: Mapping[str, Any]
) -> dict[str, Any]:
    return {**schema, "$defs": dict(definitions)} if definitions else schema


def _described(schema: Any, parameter: Mapping[str, Any]) -> Any:
    text = parameter.get("description")
    is_possible = isinstance(text, str) and isinstance(schema, Mapping)
    return {**schema, "description": str(text).strip()} if is_possible else schema


def _preference(media: str) -> int:
    """Return which of several kinds of a body comes first."""
    kinds = (
        is_json(media),
        media == FORM,
        media == MULTIPART,
        media.startswith("text/"),
        True,
    )
    return kinds.index(True)


def _security_slot(scheme: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a proof goes, nothing for one that no request carries."""
    kind, where = scheme.get("type"), scheme.get("in")
    if kind == "apiKey":
        return {"name": scheme.get("name", ""), "in": where}
    is_basic = str(scheme.get("scheme")).lower() == "basic"
    carried = {
        "http": "basic" if is_basic else "bearer",
        "oauth2": "bearer",
        "openIdConnect": "bearer",
    }
    if kind not in carried:
        return {}
    return {"name": "authorization", "in": carried[kind]}
