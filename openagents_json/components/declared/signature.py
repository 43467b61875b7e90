"""What a declared component takes: checked by the JSON Schema of its spec, as no function says it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import filterfalse
from typing import Any

from openagents_json.components.binding import Signature
from openagents_json.components.errors import InvalidComponentInput
from openagents_json.workflow.component_spec import Parameter
from openagents_json.workflow.expressions.payload_schema import first_problem
from openagents_json.workflow.types import Json


class DeclaredSignature(Signature):
    """The inputs of a declared component; its function gets all of them as one object."""

    __slots__ = ("schema",)

    def __init__(
        self, name: str, schema: Mapping[str, Any], parameters: tuple[Parameter, ...]
    ) -> None:
        self._name = name
        self._adapters = {}
        self.context = "context"
        self.open = False
        self.parameters = parameters
        self.returns = "object"
        self.schema = schema

    def declared_schema(self) -> Mapping[str, Any] | None:
        """Return the JSON Schema of all inputs."""
        return self.schema

    def returned(self) -> None:
        """Return nothing: what comes back is said by no type."""

    def bind(self, inputs: Mapping[str, Json]) -> dict[str, Any]:
        """Return the arguments of a call.

        Raises InvalidComponentInput.
        """
        names = [parameter.name for parameter in self.parameters]
        unknown = next(filterfalse(names.__contains__, inputs), None)
        if unknown is not None:
            listed = ", ".join(sorted(names)) or "none"
            reason = f"there is no such input (there are: {listed})"
            raise InvalidComponentInput(self._name, unknown, reason)
        required = self.schema.get("required", ())
        missing = next(filterfalse(inputs.__contains__, required), None)
        if missing is not None:
            raise InvalidComponentInput(self._name, missing, "is required")
        problem = first_problem(self.schema, inputs)
        if problem:
            path, _, reason = problem.partition(": ")
            raise InvalidComponentInput(self._name, path.strip("/"), reason)
        return {"inputs": dict(inputs)}
