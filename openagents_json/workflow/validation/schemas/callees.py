"""What components and workflows take and give, as JSON Schemas: those declared, or else what is said of types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from openagents_json.workflow.component_spec import (
    Catalog,
    ComponentSpec,
    Parameter,
    Schemas,
)
from openagents_json.workflow.language.checks.shapes import object_of
from openagents_json.workflow.validation.schemas.contradictions import Schema
from openagents_json.workflow.validation.schemas.lenient import as_read_by_python
from openagents_json.workflow.validation.schemas.references import without_references

TYPES: Final = frozenset({"string", "number", "integer", "boolean", "object", "array"})
_EXACT: Final = frozenset({"string", "integer", "boolean"})
"""Types of which Python components take nothing else."""

_NOTHING_SAID: Final = Schemas()


class Taken(NamedTuple):
    """What is taken under a name: the schema of all that is, and what is said of it, which may be less."""

    schema: Schema
    stated: Schema


ANYTHING: Final = Taken(True, True)


class Taker(NamedTuple):
    """Who takes an input of a step, and what it takes."""

    name: str
    taken: Taken


class Callees:
    """What those take and give that steps call; what was found out of one is kept."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._documents: dict[str, Mapping[str, Any] | None] = {}
        self._results: dict[int, tuple[ComponentSpec, Schema]] = {}
        self._parameters: dict[tuple[int, str], tuple[ComponentSpec, Taken]] = {}

    def component_of(self, step: Mapping[str, Any]) -> ComponentSpec | None:
        """Return the spec of the component that a step calls, None where there is none."""
        reference = step.get("component")
        return self._catalog.find(reference) if isinstance(reference, str) else None

    def document_of(self, step: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the document of the workflow that a step calls, None where there is none, or it is not to be had."""
        reference = step.get("workflow")
        find = getattr(self._catalog, "workflow_document", None)
        if find is None or not isinstance(reference, str):
            return None
        if reference not in self._documents:
            self._documents[reference] = find(reference)
        return self._documents[reference]

    # -- results -----------------------------------------------------------------------------------------

    def result_of(self, step: Mapping[str, Any]) -> Schema:
        """Return the schema of what a step that is no block gives; true where nothing is said of it."""
        spec = self.component_of(step)
        if spec is not None:
            return self._kept_result(spec)
        waited = object_of(step.get("wait_for"))
        if "any" in waited:
            return True
        return without_references(waited.get("schema", True))

    def _kept_result(self, spec: ComponentSpec) -> Schema:
        key = id(spec)
        if key not in self._results:
            # The spec is kept too: another one never gets its identity.
            self._results[key] = (spec, self._result(spec))
        return self._results[key][1]

    def _result(self, spec: ComponentSpec) -> Schema:
        declared = spec.metadata.get("result") or self._schemas_of(spec).result
        if isinstance(declared, Mapping) and declared:
            return without_references(declared)
        if isinstance(spec.output, Mapping):
            return without_references(spec.output)
        return {"type": spec.output} if _is_type(spec.output) else True

    # -- parameters --------------------------------------------------------------------------------------

    def taker(self, step: Mapping[str, Any], name: str) -> Taker | None:
        """Return who takes an input of a step; None where nothing is known of it."""
        spec = self.component_of(step)
        if spec is not None:
            return Taker(f"{spec.name}@{spec.version}", self.parameter(spec, name))
        document = self.document_of(step)
        if document is None:
            return None
        declared = object_of(document.get("inputs")).get(name)
        return Taker(str(step["workflow"]), _exactly(schema_of_input(declared)))

    def parameter(self, spec: ComponentSpec, name: str) -> Taken:
        """Return what a component takes under a name."""
        key = (id(spec), name)
        if key not in self._parameters:
            self._parameters[key] = (spec, self._parameter(spec, name))
        return self._parameters[key][1]

    def _parameter(self, spec: ComponentSpec, name: str) -> Taken:
        parameter = next((x for x in spec.inputs or () if x.name == name), None)
        if parameter is None:
            return ANYTHING
        declared = object_of(spec.metadata.get("parameters"))
        if name in object_of(declared.get("properties")):
            # Whoever declares a schema is held to it by that schema.
            return _exactly(_property(declared, name))
        schemas = self._schemas_of(spec)
        stated = _schema_of_parameter(parameter)
        if parameter.type in _EXACT:
            return _exactly(stated)
        if name in schemas.lenient:
            return ANYTHING
        if schemas.inputs is not None:
            stated = _property(schemas.inputs, name)
        return Taken(as_read_by_python(stated), stated)

    def _schemas_of(self, spec: ComponentSpec) -> Schemas:
        find = getattr(self._catalog, "schemas_of", None)
        schemas: Schemas | None = None if find is None else find(spec)
        return schemas or _NOTHING_SAID


def _exactly(schema: Schema) -> Taken:
    return Taken(schema, schema)


def _schema_of_parameter(parameter: Parameter) -> Schema:
    """Return what a spec itself says of a parameter."""
    rules: dict[str, Any] = {}
    if _is_type(parameter.type):
        rules["type"] = parameter.type
    if parameter.enum:
        rules["enum"] = [*parameter.enum]
    return rules


def schema_of_input(declared: Any) -> Schema:
    """Return the schema of an input of a workflow, by the rules that a start is held to."""
    rules = object_of(declared)
    names = filter(rules.__contains__, ("enum", "minimum", "maximum", "pattern"))
    schema: dict[str, Any] = {name: rules[name] for name in names}
    if _is_type(rules.get("type")):
        schema["type"] = rules["type"]
    if rules.get("required"):
        return schema
    # Null stands for an input that is not given.
    return {"anyOf": [schema, {"type": "null"}]} if schema else schema


def schema_of_output(declared: Any) -> Schema:
    """Return the schema of a declared output of a workflow; {} where nothing is said of it.

    Null stands for what a step would have given that did not run.
    """
    rules = {**object_of(declared), "required": False}
    return schema_of_input(rules)


def _is_type(name: object) -> bool:
    return isinstance(name, str) and name in TYPES


def _property(schema: Mapping[str, Any], name: str) -> Schema:
    members = object_of(schema.get("properties"))
    return without_references(members.get(name, True), root=schema)
