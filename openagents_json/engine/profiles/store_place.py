"""Where the store of a command is, and nothing else of its settings: completion has no time for libraries."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from openagents_json.engine.profiles.choice import Choice, choose, environment_values

_DEFAULTS: Final = {"url": "", "data": ".openagents", "prefix": "oa"}


@dataclass(frozen=True, slots=True)
class StorePlace:
    """A store: under a prefix at a URL, or in a data directory where there is none."""

    url: str
    data: Path
    prefix: str


def place_of_store(options: Mapping[str, Any]) -> StorePlace:
    """Return the place that the settings name, in the same order as all of them.

    Raises ProfileNotFound, InvalidProfile and InvalidSetting.
    """
    variables = environment_values()
    choice = choose(options.get("profile"), variables.get("profile", ""), None)
    by_profile = _of_profile(choice)
    layers = (_DEFAULTS, by_profile, variables, _given(options))
    values = dict(ChainMap(*reversed(layers)))
    return StorePlace(values["url"], Path(values["data"]), values["prefix"])


def _given(options: Mapping[str, Any]) -> dict[str, str]:
    return {name: options[name] for name in _DEFAULTS if options.get(name)}


def _of_profile(choice: Choice) -> dict[str, str]:
    if choice.file is None:
        return {}
    from openagents_json.engine.profiles.profile import base_of, read_value

    content = choice.file.profile(choice.name)
    base = base_of(choice.file)
    return {
        name: read_value(name, content[name], base, [])
        for name in _DEFAULTS
        if isinstance(content.get(name), str)
    }
