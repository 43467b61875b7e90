"""The workflow document as pydantic models, for programs that write documents with types.

They are made of the JSON Schema and say of the structure what that says; the meaning is for `validate` to look at.
What a document does not say has its default, None where there is none.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    model_validator,
)

from openagents_json.workflow.language.schema import RENAMED, SCHEMA


def _whole(value: Any) -> Any:
    """Take 3.0 for 3, as JSON Schema does."""
    is_whole = isinstance(value, float) and value.is_integer()
    if is_whole:
        return int(value)
    return value


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    @model_validator(mode="after")
    def _read_the_old_word(self) -> Self:
        """Return a value under the new word, too; the document keeps the word that it was written with."""
        members = self.model_fields_set
        declared = members & type(self).model_fields.keys()
        for name, renamed in RENAMED.items():
            if renamed.old in declared and name not in members:
                self.__dict__[name] = self.__dict__[renamed.old]
        return self


class _WithUnits(_Model):
    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set and not self.model_extra:
            raise ValueError("it has to have a member")
        return self


class _Root(_Model):
    @property
    def document(self) -> dict[str, Any]:
        """Return the document as JSON, with what was set and nothing else."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


def _model(name: str, schema: Mapping[str, Any], base: type[BaseModel] = _Model) -> Any:
    """Return the model of an object."""
    required = schema.get("required", ())
    fields = {}
    for key, form in schema["properties"].items():
        is_taken = keyword.iskeyword(key) or hasattr(BaseModel, key)
        attribute = f"{key}_" if is_taken else key
        field = Field(
            ... if key in required else form.get("default"),
            alias=key if is_taken else None,
            description=form.get("description"),
            deprecated=_ADVICE[key] if form.get("deprecated") else None,
        )
        fields[attribute] = (_type(form, f"{name}_{key}"), field)
    return create_model(name, __base__=base, __module__=__name__, **fields)  # type: ignore[call-overload]


_ADVICE = {
    renamed.old: f"it {renamed.why}: say {name}" for name, renamed in RENAMED.items()
}
"""What is said of words that have another name now."""


def _type(schema: Any, name: str) -> Any:
    """Return the type of what fits a schema; `name` is for the models in it."""
    if not isinstance(schema, dict):
        return Any
    if "$ref" in schema:
        return _referred(schema, name)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        types = [_type(form, f"{name}_{number}") for number, form in enumerate(choices)]
        return reduce(or_, types)
    if "enum" in schema:
        return Literal[tuple(schema["enum"])]
    kinds = schema.get("type")
    if isinstance(kinds, list):
        types = [_type({**schema, "type": kind}, name) for kind in kinds]
        return reduce(or_, types)
    return _of_type(schema, kinds, name)


def _of_type(schema: Mapping[str, Any], kind: str | None, name: str) -> Any:
    limits = Field(
        ge=schema.get("minimum"),
        gt=schema.get("exclusiveMinimum"),
        le=schema.get("maximum"),
    )
    match kind:
        case "string":
            rules = StringConstraints(
                min_length=schema.get("minLength"),
                max_length=schema.get("maxLength"),
                pattern=schema.get("pattern"),
            )
            return Annotated[str, rules]
        case "integer":
            return Annotated[int, BeforeValidator(_whole), limits]
        case "number":
            return Annotated[int | float, limits]
        case "boolean":
            return bool
        case "array":
            items: Any = _type(schema.get("items"), name)
            return Annotated[list[items], Field(min_length=schema.get("minItems"))]
        case "object" if "properties" in schema:
            base = _WithUnits if schema.get("minProperties") else _Model
            return _model(name, schema, base)
        case "object":
            members: Any = _type(schema.get("additionalProperties"), name)
            return dict[str, members]
        case _:
            return Any


def _referred(schema: Mapping[str, Any], name: str) -> Any:
    target = schema["$ref"].rpartition("/")[2]
    definition = SCHEMA["$defs"][target]
    if "required" in schema:
        return _model(name, {**definition, "required": schema["required"]})
    if target in _DEFINED:
        return ForwardRef(f"{target.title()}Model")
    return _type(definition, name)


_DEFINED = ("step", "connection", "retry")
"""What is referred to from several places, and by itself."""

ConnectionModel = _model("ConnectionModel", SCHEMA["$defs"]["connection"])
RetryModel = _model("RetryModel", SCHEMA["$defs"]["retry"])
StepModel = _model(
    "StepModel",
    {**SCHEMA["$defs"]["work"], "required": SCHEMA["$defs"]["step"]["required"]},
)

if TYPE_CHECKING:

    class WorkflowDocument(_Root):
        """A workflow document; the engine takes it as it is."""

        def __init__(self, **data: Any) -> None: ...

else:
    WorkflowDocument = _model("WorkflowDocument", SCHEMA, _Root)
    WorkflowDocument.__doc__ = "A workflow document; the engine takes it as it is."
