"""The page of the Python API: what the packages export, from their docstrings and signatures."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache, cached_property
from types import ModuleType
from typing import Any

from openagents_json.errors import OpenAgentsError
from pages.text import (
    annotation,
    cell,
    code,
    docstring,
    sentence,
    signature,
    table,
    value,
)

BEGIN = """# Python API

<!-- Written by scripts/reference from the docstrings. -->

Authors of components and documents import `openagents_json`; programs that start and steer runs import
`openagents_json.engine`; tests of workflows import `openagents_json.testing`. Whatever is not on this page may change
at any time. The packages carry their types (`py.typed`).

"""

PACKAGES = (
    ("openagents_json", "For authors"),
    ("openagents_json.engine", "For programs"),
    ("openagents_json.testing", "For tests"),
)

INNER = (
    "eventstore.",
    "executor.runs.",
    "openagents_json.catalog.",
    "openagents_json.components.",
    "openagents_json.workflow.component_spec",
    "openagents_json.workflow.core.",
    "openagents_json.workflow.expressions.",
    "projections.ledger.record",
    "projections.projection",
    "projections.search",
)
"""Where records live that programs see pass by and do not read: plans, states, what stands in the store."""

ROOMS = ("openagents_json", "executor", "projections", "eventstore")


def page() -> str:
    """Return the page."""
    lines: list[str] = []
    for name, title in PACKAGES:
        package = importlib.import_module(name)
        lines += [f"## {title}: `{name}`", "", *_package(package)]
    return BEGIN + "\n".join(lines)


def _package(package: ModuleType) -> list[str]:
    exported = {
        name: getattr(package, name)
        for name in package.__all__
        if not name.startswith("__")
    }
    classes = {
        name: thing for name, thing in exported.items() if inspect.isclass(thing)
    }
    errors = {
        name: kind for name, kind in classes.items() if issubclass(kind, BaseException)
    }
    ours = {name: kind for name, kind in classes.items() if name not in errors}
    functions = {
        name: thing for name, thing in exported.items() if inspect.isroutine(thing)
    }
    others = {
        name: thing
        for name, thing in exported.items()
        if name not in classes and name not in functions
    }
    lines: list[str] = []
    for name in sorted(ours, key=lambda name: (name != "Engine", name.lower())):
        lines += [f"### `{name}`", "", *_class(ours[name])]
        if name == "Engine":
            lines += _services(ours[name], set(ours.values()))
            lines += _values(ours[name], set(ours.values()))
    for name, function in sorted(functions.items()):
        lines += [f"### `{name}()`", "", *_function(name, function)]
    if others:
        lines += [
            "### Constants",
            "",
            *table(
                ["name", "is"], [[code(n), code(value(v))] for n, v in others.items()]
            ),
        ]
    if errors:
        lines += [f"### Errors of `{package.__name__}`", "", *_errors(errors)]
    return lines


def _errors(errors: Mapping[str, type[BaseException]]) -> list[str]:
    rows = []
    for name, kind in sorted(errors.items()):
        error_code = kind.code if issubclass(kind, OpenAgentsError) else ""
        rows.append([code(name), code(error_code), cell(sentence(kind))])
    return [
        "[All codes and statuses](errors.md).",
        "",
        *table(["error", "code", "meaning"], rows),
    ]


def _class(kind: type[Any], heading: str = "####") -> list[str]:
    lines: list[str] = []
    if not dataclasses.is_dataclass(kind) and "__init__" in vars(kind):
        lines += _code(signature(kind.__name__, kind, returns=False))
    for paragraph in docstring(kind):
        lines += [paragraph, ""]
    if issubclass(kind, Enum):
        values = [[code(member.name), code(repr(member.value))] for member in kind]
        return lines + table(["member", "is"], values)
    if dataclasses.is_dataclass(kind):
        rows = [
            [code(f.name), code(annotation(f.type)), code(_default(f))]
            for f in dataclasses.fields(kind)
        ]
        lines += table(["field", "is", "default"], rows)
    elif hasattr(kind, "model_fields"):
        lines += _model_fields(kind)
    elif hasattr(kind, "__struct_fields__"):
        kinds = inspect.get_annotations(kind)
        lines += table(
            ["field", "is"],
            [[code(n), code(kinds.get(n, ""))] for n in kind.__struct_fields__],
        )
    properties, methods = [], []
    for name, member in _members(kind):
        if isinstance(member, property | cached_property):
            properties.append(
                [code(name), code(_returned(member)), cell(sentence(_getter(member)))]
            )
        else:
            methods += [
                f"{heading} `{kind.__name__}.{name}`",
                "",
                *_function(name, member),
            ]
    if properties:
        lines += table(["property", "is", "meaning"], properties)
    return lines + methods


def _model_fields(kind: type[Any]) -> list[str]:
    rows = []
    kinds = {
        name: text
        for base in reversed(kind.__mro__)
        for name, text in vars(base).get("__annotations__", {}).items()
    }
    for name, field in kind.model_fields.items():
        default = (
            ""
            if field.is_required()
            else value(field.get_default(call_default_factory=True))
        )
        rows.append([code(name), code(annotation(kinds[name])), code(default)])
    return table(["field", "is", "default"], rows)


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return value(field.default)
    if field.default_factory is not dataclasses.MISSING:
        return value(field.default_factory())
    return ""


def _members(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    """Give the public members of a class and of ours above it, those of the base first, in the order of the source."""
    seen: dict[str, Any] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.split(".")[0] in ROOMS:
            seen.update(vars(base))
    for name, member in seen.items():
        if name.startswith("_") or name in getattr(kind, "model_fields", {}):
            continue
        if isinstance(
            member, property | cached_property | classmethod | staticmethod
        ) or inspect.isfunction(member):
            yield name, member


def _getter(member: property | cached_property[Any]) -> Any:
    return member.fget if isinstance(member, property) else member.func


def _returned(member: property | cached_property[Any]) -> str:
    return annotation(inspect.signature(_getter(member)).return_annotation)


def _function(name: str, member: Any) -> list[str]:
    plain = (
        member.__func__ if isinstance(member, classmethod | staticmethod) else member
    )
    lines = _code(_prefix(plain) + signature(name, plain))
    for paragraph in docstring(plain):
        lines += [paragraph, ""]
    return lines


def _prefix(function: Any) -> str:
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(
        function
    )
    return "async " if is_async else ""


def _code(text: str) -> list[str]:
    return ["```py", text, "```", ""]


# -- what the properties of the engine give -------------------------------------------------------------------


def _services(engine: type[Any], exported: set[Any]) -> list[str]:
    lines: list[str] = []
    for name, service in _service_classes(engine):
        if service not in exported:
            lines += [f"### `engine.{name}`", "", *_class(service)]
    return lines


def _service_classes(engine: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    for name, member in _members(engine):
        if isinstance(member, property | cached_property):
            service = _class_named(_getter(member).__module__, _returned(member))
            if service and not service.__module__.startswith("eventstore"):
                yield name, service


def _values(engine: type[Any], exported: set[Any]) -> list[str]:
    """Return the records that methods give and that have no section of their own."""
    services = [service for _, service in _service_classes(engine)]
    pending = [engine, *services, *exported]
    shown = set(pending)
    values: dict[str, type[Any]] = {}
    while pending:
        for kind in _named_types(pending.pop()):
            if kind not in shown and _is_record(kind):
                shown.add(kind)
                pending.append(kind)
                values[kind.__name__] = kind
    lines = ["### Values that methods give", ""]
    for name, kind in sorted(values.items()):
        lines += [f"#### `{name}`", "", *_class(kind, "#####")]
    return lines if values else []


def _named_types(kind: type[Any]) -> Iterator[type[Any]]:
    """Give the classes of ours that the fields and the results of a class name."""
    texts = [(kind.__module__, str(text)) for text in _annotations(kind).values()]
    for _, member in _members(kind):
        function = _plain_function(member)
        returned = annotation(inspect.signature(function).return_annotation)
        texts.append((function.__module__, returned))
    for module, text in texts:
        for word in re.findall(r"[A-Z]\w+", text):
            named = _class_named(module, word)
            if named is not None:
                yield named


def _annotations(kind: type[Any]) -> dict[str, Any]:
    return {} if issubclass(kind, BaseException) else inspect.get_annotations(kind)


def _plain_function(member: Any) -> Any:
    if isinstance(member, property | cached_property):
        return _getter(member)
    return getattr(member, "__func__", member)


def _is_record(kind: type[Any]) -> bool:
    room = kind.__module__.split(".")[0]
    is_ours = room in ROOMS and not kind.__module__.startswith(INNER)
    has_fields = dataclasses.is_dataclass(kind) or hasattr(kind, "__struct_fields__")
    return is_ours and has_fields and not issubclass(kind, BaseException)


def _class_named(module: str, name: str) -> type[Any] | None:
    """Return the class that an annotation names; its module may import that for type checkers only."""
    home = _imports(module).get(name, module)
    thing = getattr(importlib.import_module(home), name, None)
    return thing if isinstance(thing, type) else None


@cache
def _imports(module: str) -> dict[str, str]:
    """Return the modules of ours that a module imports names from, for type checkers too."""
    tree = ast.parse(inspect.getsource(importlib.import_module(module)))
    return {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module
        and node.module.split(".")[0] in ROOMS
        for alias in node.names
    }
