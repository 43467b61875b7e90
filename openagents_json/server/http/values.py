"""Values in bodies: what a document of OpenAPI calls an integer is one, and nothing that could be read as one."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: Any) -> Any:
    """Return 5.0 as 5: JSON has one kind of number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


Whole = Annotated[int, BeforeValidator(_whole)]
NotNegative = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
Slots = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_whole)]
LongSeconds = Annotated[int, Field(ge=1, le=10**10), BeforeValidator(_whole)]


class Body(BaseModel):
    """The body of a request: no text is read as a number, no number as yes or no, and no member is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True)
