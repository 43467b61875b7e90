"""One order for all settings: an option, then the environment, then the profile, then the default."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from openagents_json.engine.errors import InvalidSetting
from openagents_json.engine.profiles.choice import (
    DEFAULT,
    ENVIRONMENT,
    OPTION,
    PROFILE,
    VARIABLE,
    Choice,
    Source,
    choose,
    environment_values,
)
from openagents_json.engine.profiles.worker_type import WORKER_TYPES

if TYPE_CHECKING:
    from openagents_json.engine.profiles.profile import Profile

Model = TypeVar("Model", bound=BaseModel)
PartPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolved(Generic[Model]):
    """The settings that count, where each comes from, and which profile is among it, None for none."""

    settings: Model
    sources: Mapping[str, Source]
    choice: Choice
    profile: Profile | None = None
    parts: Mapping[PartPath, Source] = field(default_factory=dict)
    """Where each part of the configuration of worker types comes from."""

    @property
    def secret_files(self) -> tuple[Path, ...]:
        """Return the files of the profile that may hold passwords and keys."""
        if self.profile is None:
            return ()
        return (self.profile.file.path, *self.profile.secret_files)

    def source(self, setting: str) -> Source:
        """Return where a value comes from, with its line in the file of the profile, which takes some time to find."""
        source = self.sources[setting]
        if self.profile is None or source.kind != PROFILE:
            return source
        return self._at(self.profile, setting)

    def source_of_part(self, path: PartPath) -> Source:
        """Return where a part of the configuration of worker types comes from."""
        source = self.parts.get(path, Source(DEFAULT))
        if self.profile is None or source.kind != PROFILE:
            return source
        return self._at(self.profile, WORKER_TYPES, *path)

    @staticmethod
    def _at(profile: Profile, *keys: str) -> Source:
        return Source(PROFILE, f"{profile.file.path}:{profile.line(*keys)}")


def option_of(name: str) -> str:
    """Return the option of a setting."""
    return f"--{name.replace('_', '-')}"


def resolve(
    model: type[Model],
    options: Mapping[str, Any],
    *,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    spelled: Callable[[str], str] = option_of,
) -> Resolved[Model]:
    """Read the settings of a model: `options` first, then the environment, then the profile, then the defaults.

    Messages have the options `spelled`. A profile that nobody names is that which the file names itself.
    Raises InvalidSetting, InvalidProfile and ProfileNotFound.
    """
    _refuse_unknown(model, options)
    variables = environment_values(environment)
    choice = choose(profile, variables.pop("profile", ""), folder)
    chosen = _profile_of(choice, model)
    layers = [
        (Source(PROFILE), chosen.values if chosen else {}),
        (Source(ENVIRONMENT), _settings_among(model, variables)),
        (Source(OPTION), options),
    ]
    values: dict[str, Any] = {}
    sources = dict.fromkeys(model.model_fields, Source(DEFAULT))
    for source, layer in layers:
        values.update(layer)
        sources.update(dict.fromkeys(layer, source))
    sources = {
        name: _spelled(name, source, spelled) for name, source in sources.items()
    }
    is_in_a_layer = any(WORKER_TYPES in layer for _, layer in layers)
    part_sources: dict[PartPath, Source] = {}
    if is_in_a_layer or any(name.startswith(WORKER_TYPES) for name in variables):
        tables, part_sources = _worker_types(layers, variables, spelled)
        values[WORKER_TYPES] = tables
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        raise _unfit(error, sources, part_sources, chosen) from None
    return Resolved(settings, sources, choice, chosen, part_sources)


def _worker_types(
    layers: Sequence[tuple[Source, Mapping[str, Any]]],
    variables: Mapping[str, str],
    spelled: Callable[[str], str],
) -> tuple[dict[str, Any], dict[PartPath, Source]]:
    """Return what is configured of worker types, of which each layer may say some parts, and where that is said."""
    from openagents_json.engine.worker_types.parts import (
        parts_of,
        parts_of_variables,
        tables_of,
    )

    parts: dict[PartPath, Any] = {}
    sources: dict[PartPath, Source] = {}
    for source, layer in layers:
        own = parts_of(layer.get(WORKER_TYPES, {}))
        from_variables = source.kind == ENVIRONMENT
        own |= parts_of_variables(variables) if from_variables else {}
        parts |= own
        for path in own:
            name = "__".join((WORKER_TYPES, *path)) if from_variables else WORKER_TYPES
            sources[path] = _spelled(name, source, spelled)
    return tables_of(parts), sources


def _profile_of(choice: Choice, model: type[BaseModel]) -> Profile | None:
    if choice.file is None:
        return None
    from openagents_json.engine.profiles.profile import read_profile

    kinds = {name: item.annotation for name, item in model.model_fields.items()}
    return read_profile(choice.file, choice.name, kinds)


def _settings_among(
    model: type[BaseModel], variables: Mapping[str, str]
) -> dict[str, str]:
    return {name: variables[name] for name in model.model_fields if name in variables}


def _spelled(name: str, source: Source, spelled: Callable[[str], str]) -> Source:
    """Return a source with the name of the option or the variable that it is."""
    if source.kind == OPTION:
        return Source(OPTION, spelled(name))
    if source.kind == ENVIRONMENT:
        return Source(ENVIRONMENT, f"{VARIABLE}{name.upper()}")
    return source


def _refuse_unknown(model: type[BaseModel], options: Mapping[str, Any]) -> None:
    """Refuse what is no setting: a program that misspells one would have the default, and never know."""
    for name in options:
        if name not in model.model_fields:
            from openagents_json.engine.profiles.nearest import hint

            reason = f"there is no such setting{hint(name, model.model_fields)}"
            raise InvalidSetting(name, reason)


def _spelled_part(path: PartPath) -> str:
    from openagents_json.engine.worker_types.parts import spelled

    return spelled(path)


def _unfit(
    error: ValidationError,
    sources: Mapping[str, Source],
    parts: Mapping[PartPath, Source],
    chosen: Profile | None,
) -> Exception:
    first = error.errors()[0]
    setting, *inside = map(str, first["loc"])
    path = ".".join((setting, *inside))
    keys = [setting]
    source = sources[setting]
    if setting == WORKER_TYPES:
        source = parts.get(tuple(inside), source)
        path = _spelled_part(tuple(inside))
        keys += inside
    if chosen is not None and source.kind == PROFILE:
        return chosen.wrong(keys, f"{path}: {first['msg']}")
    return InvalidSetting(path, first["msg"], source.where)
