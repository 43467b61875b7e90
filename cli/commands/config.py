"""The settings that count, and where each comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from cli.listing import Entry, draw_list
from cli.options import Target, configuring_options, quiet_option
from cli.render import console, print_json, text
from cli.terminal import give, say

if TYPE_CHECKING:
    from openagents_json.engine import Settings
    from openagents_json.engine.profiles.choice import Source
    from openagents_json.engine.profiles.resolve import Resolved


WORKER_TYPES: Final = "worker_types"


@click.command("schema")
@quiet_option()
def schema_of_config() -> None:
    """Print the JSON Schema of openagents.toml, for editors.

    \b
    Example: openagents config schema
    """
    from openagents_json.engine.profiles.schema import profiles_schema

    give(json.dumps(profiles_schema(), indent=2, ensure_ascii=False))


@click.command("show")
@configuring_options
def show_config(target: Target) -> None:
    """Show each setting with its value, and where that comes from.

    It is an option, the environment, a profile, or the default. Passwords and keys are not shown. Of worker types that
    are configured, all that holds for them is shown. The last rows say what components of the library may reach in a
    worker with this environment.

    \b
    Example: openagents config show
    """
    resolved = target.resolved
    if target.as_json:
        shown = {
            "profile": _profile(resolved),
            "settings": _settings(resolved),
            "components_may_reach": _permissions(),
        }
        print_json(shown)
        return
    say(_headline(resolved))
    rows = {**_settings(resolved), **_permissions()}
    entries = [
        Entry([text(name), text(_shown(row["value"])), text(_from(row))])
        for name, row in rows.items()
    ]
    draw_list(
        console(), ("setting", "value", "from"), entries, cut=frozenset({"value"})
    )


def _settings(resolved: Resolved[Settings]) -> dict[str, dict[str, Any]]:
    from openagents_json.engine.worker_types.listing import parts_of

    values = _values(resolved)
    rows: dict[str, dict[str, Any]] = {}
    for name in resolved.sources:
        if name != WORKER_TYPES:
            rows[name] = {"value": values[name], **_origin(resolved.source(name))}
    # Part by part: each may come from somewhere else.
    for part in parts_of(resolved):
        rows[part.name] = {"value": part.value, **_origin(part.source)}
    return rows


def _permissions() -> dict[str, dict[str, Any]]:
    from openagents_json.engine.profiles.permissions import component_permissions

    return {
        name: {"value": value, **_origin(source)}
        for name, (value, source) in component_permissions().items()
    }


def _origin(source: Source) -> dict[str, Any]:
    return {"from": source.kind, "where": source.where or None}


def _values(resolved: Resolved[Settings]) -> dict[str, Any]:
    """Return the values without what is secret; where one stands for another, it is that other."""
    from openagents_json.engine import masked

    settings = resolved.settings
    values = settings.model_dump()
    for name in ("url", "broker", "archive"):
        values[name] = masked(values[name])
    values["api_key"] = "***" if settings.api_key else ""
    values["encryption_keys"] = ["***"] * len(settings.master_keys)
    values["partitions"] = settings.partitions_of_a_new_store
    return values


def _profile(resolved: Resolved[Settings]) -> dict[str, Any]:
    choice = resolved.choice
    return {
        "name": choice.name or None,
        "file": None if choice.path is None else str(choice.path),
        **_origin(choice.source),
    }


def _headline(resolved: Resolved[Settings]) -> str:
    choice = resolved.choice
    if choice.path is None:
        return "no openagents.toml in this folder or above it"
    if choice.file is None:
        return f"no profile is chosen, of {choice.path}"
    by = {"option": "--profile", "environment": "OPENAGENTS_PROFILE"}
    why = by.get(choice.source.kind)
    chosen = f" (by {why})" if why else ""
    return f"profile {choice.name}{chosen}, of {choice.path}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={item}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _from(row: dict[str, Any]) -> str:
    """Return where a value comes from; of a file, its name is enough: its folder stands above."""
    where = row["where"]
    if where is None:
        return str(row["from"])
    if row["from"] == "profile":
        return str(where).rpartition("/")[2]
    return str(where)
