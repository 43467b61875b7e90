"""An OpenAPI document as the content of a file of specs: each of its operations is a component."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openagents_json.components.declared.openapi.naming import (
    free_name,
    name_of_path,
    version_of,
    word,
)
from openagents_json.components.declared.openapi.operation import Operation
from openagents_json.components.declared.openapi.references import References
from openagents_json.components.declared.texts import read_spec_text
from openagents_json.components.errors import CannotLoad
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.versions import is_version

_METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
_SUPPORTED: Final = re.compile(r"3\.[01](?:\.|$)")
_VARIABLE: Final = re.compile(r"\{([^}]*)\}")


@dataclass(frozen=True, slots=True)
class Imported:
    """What was read of a document: the specs, and what whoever imports it may want to know."""

    specs: dict[str, Any]
    notes: tuple[str, ...]


def is_openapi(content: Any) -> bool:
    """Tell whether the content of a file is an OpenAPI document, of whatever version."""
    return isinstance(content, Mapping) and (
        "openapi" in content or "swagger" in content
    )


def specs_in(file: Path) -> Any:
    """Return the content of a file of specs; that of an OpenAPI document as specs.

    Raises CannotLoad.
    """
    content = read_spec_text(file)
    return import_openapi(file).specs if is_openapi(content) else content


def import_openapi(file: str | Path, *, name: str = "", server: str = "") -> Imported:
    """Return the operations of an OpenAPI document as specs of components named `name.operation`.

    Raises CannotLoad.
    """
    path = Path(file).resolve()
    references = References(path)
    content = references.content(path)
    if not is_openapi(content):
        raise CannotLoad(
            str(file), "it is no OpenAPI document", "give one of version 3.0 or 3.1"
        )
    version = str(content.get("openapi", content.get("swagger")))
    if not _SUPPORTED.match(version):
        reason = f"it is of OpenAPI {version}"
        raise CannotLoad(str(file), reason, "convert it to version 3.0 or 3.1")
    info = object_of(content.get("info"))
    api = word(name) or word(str(info.get("title", "")).lower(), path.stem)
    try:
        return _imported(references, path, content, api, server)
    except (AttributeError, TypeError, RecursionError) as error:
        # A part is of a kind that OpenAPI does not have there.
        reason = f"it is not as OpenAPI has it: {error}"[:300]
        raise CannotLoad(
            str(file), reason, "let a validator of OpenAPI look at it"
        ) from error


def _imported(
    references: References,
    path: Path,
    content: Mapping[str, Any],
    api: str,
    server: str,
) -> Imported:
    info = content.get("info") or {}
    text = str(info.get("version", ""))
    version = text if is_version(text) else version_of(text)
    connection = word(api).strip("-_")
    notes: list[str] = []
    specs: dict[str, dict[str, Any]] = {}
    for operation in _operations(references, path, content):
        given = word(str(operation.entry.get("operationId") or ""))
        by_path = name_of_path(operation.method.lower(), operation.path)
        names = list(map(f"{api}.{{}}".format, filter(None, (given, by_path))))
        component = free_name(specs, *names)
        if component != names[0]:
            notes.append(
                f"{operation.method} {operation.path} is {component}: {names[0]} is another operation's name"
            )
        spec = operation.spec()
        base = server or operation.server
        spec["http"] = {**spec["http"], "base": base, "connection": connection}
        specs[component] = {"name": component, "version": version, **spec}
    if not specs:
        raise CannotLoad(str(path), "it describes no operation", "look at its paths")
    if not _server(content) and not server:
        notes.append(
            "the document names no server; give one by --server, or say where it is to the worker"
        )
    return Imported({"components": list(specs.values())}, tuple(notes))


def _operations(
    references: References, path: Path, content: Mapping[str, Any]
) -> Iterator[Operation]:
    components = content.get("components") or {}
    is_old = str(content["openapi"]).startswith("3.0")
    for address, item in object_of(content.get("paths")).items():
        entry, file, _ = references.followed(item, path)
        for method in entry:
            # What is no path is an extension.
            if method in _METHODS and address.startswith("/"):
                yield Operation(
                    references=references,
                    file=file,
                    method=method.upper(),
                    path=address,
                    entry=entry[method],
                    shared=tuple(entry.get("parameters") or ()),
                    schemes=components.get("securitySchemes") or {},
                    server=_server(entry[method]) or _server(entry) or _server(content),
                    security=tuple(content.get("security") or ()),
                    is_old=is_old,
                )


def _server(content: Mapping[str, Any]) -> str:
    """Return the address of the first server, with the defaults of its variables; empty when it is a relative one."""
    first: Mapping[str, Any] = next(iter(content.get("servers") or ()), {})
    variables = first.get("variables") or {}

    def default(match: re.Match[str]) -> str:
        return str((variables.get(match[1]) or {}).get("default", match[0]))

    address = _VARIABLE.sub(default, str(first.get("url", "")))
    return address if "://" in address else ""
