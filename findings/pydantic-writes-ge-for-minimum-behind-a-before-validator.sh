#!/usr/bin/env bash
# pydantic 2.14.3.
# Good guess: `Field(ge=0)` on a field `int | None` is "minimum": 0 of the integer in the JSON Schema, and that stays so when
# the integer gets a BeforeValidator, as that changes nothing of what comes out.
# Behaviour: with the validator, the integer in anyOf gets a member "ge": 0 in place of "minimum", which is no keyword of JSON
# Schema: who reads the schema takes -1 as valid. The model itself refuses -1. Without "| None", or without the validator,
# there is a "minimum".
# Seen: the lines that this prints. Fails when that changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pydantic==2.14.3
"$dir/venv/bin/python" - <<'PY'
import json
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, ValidationError


def unchanged(value: object) -> object:
    return value


Whole = Annotated[int, BeforeValidator(unchanged)]


class Limits(BaseModel):
    plain: int | None = Field(default=None, ge=0)
    checked: Whole | None = Field(default=None, ge=0)
    required: Whole = Field(default=1, ge=0)


properties = Limits.model_json_schema()["properties"]
for name, schema in properties.items():
    print(f"{name}: {json.dumps(schema)}")
assert properties["plain"]["anyOf"][0] == {"minimum": 0, "type": "integer"}
assert properties["required"]["minimum"] == 0
assert properties["checked"]["anyOf"][0] == {"ge": 0, "type": "integer"}
try:
    Limits(checked=-1)
    raise SystemExit("-1 is taken")
except ValidationError as error:
    print(f"-1: {error.errors()[0]['msg']}")
print("as found")
PY
