"""What components of the library may reach in a worker with this environment: no option and no profile says it."""

from __future__ import annotations

from collections.abc import Mapping

from eventstore.passwords import masked
from openagents_json.components.library.operator_names import (
    CONNECTION,
    MAIL_RECIPIENTS,
    PROCESS_VARIABLES,
    PROGRAM,
    SQL_WRITABLE,
)
from openagents_json.components.library.permissions import FILES, HOSTS, PRIVATE
from openagents_json.engine.profiles.choice import (
    DEFAULT,
    ENVIRONMENT,
    VARIABLE,
    Source,
    environment_values,
)

_DEFAULTS: Mapping[str, str] = {
    HOSTS: "*",
    PRIVATE: "",
    FILES: "",
    SQL_WRITABLE: "",
    MAIL_RECIPIENTS: "*",
    PROCESS_VARIABLES: "",
}


def component_permissions(
    environment: Mapping[str, str] | None = None,
) -> dict[str, tuple[str, Source]]:
    """Return permissions by the names of their variables, without passwords, and where each comes from."""
    values = environment_values(environment)
    variables = [f"{VARIABLE}{name.upper()}" for name in sorted(values)]
    named = [name for name in variables if name.startswith((CONNECTION, PROGRAM))]
    names = {variable: _name_of(variable) for variable in (*_DEFAULTS, *named)}
    return {
        name: _permission(variable, values.get(name, ""))
        for variable, name in names.items()
    }


def _name_of(variable: str) -> str:
    return variable.removeprefix(VARIABLE).lower()


def _permission(variable: str, value: str) -> tuple[str, Source]:
    if not value:
        return _DEFAULTS.get(variable, ""), Source(DEFAULT)
    if variable.startswith(PROGRAM):
        # Arguments may be keys, and nobody could tell.
        value = value.strip().partition(" ")[0]
    return masked(value), Source(ENVIRONMENT, variable)
