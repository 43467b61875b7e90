"""One profile: its keys and the types of their values, and places in it that are relative to its file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from openagents_json.engine.errors import InvalidProfile, InvalidSetting
from openagents_json.engine.profiles.file import ProfileFile
from openagents_json.engine.profiles.nearest import hint
from openagents_json.workflow.types import type_name

_SECRET: Final = ("url", "api_key", "broker", "archive", "encryption_keys")
"""What may hold a password or a key: it may stand in a file of its own, as @FILE."""

_PLACES: Final = ("data", "audit_key", "archive")
_FROM_FILE: Final = "@"
_COMPONENT_FILES: Final = (".py", ".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile says, as settings take it; `secret_files` are files that it names for what is secret."""

    name: str
    file: ProfileFile
    values: Mapping[str, Any]
    secret_files: tuple[Path, ...] = field(default=(), repr=False)

    def line(self, *keys: str) -> int:
        """Return the line at which a setting stands, or a part of one."""
        return self.file.line("profiles", self.name, *keys)

    def wrong(self, keys: Sequence[str], reason: str) -> InvalidProfile:
        """Return the error that says what is wrong with a setting, or a part of one."""
        return self.file.wrong(("profiles", self.name, *keys), reason)


def read_profile(file: ProfileFile, name: str, kinds: Mapping[str, Any]) -> Profile:
    """Read a profile; `kinds` are the types of all settings, and places in it are relative to its file.

    Raises ProfileNotFound, and InvalidProfile for a key that is none, or a value of another type.
    """
    content = file.profile(name)
    unread = Profile(name, file, {})
    values: dict[str, Any] = {}
    secret_files: list[Path] = []
    base = base_of(file)
    for setting, value in content.items():
        try:
            text = _checked(setting, value, kinds)
            values[setting] = read_value(setting, text, base, secret_files)
        except InvalidSetting as error:
            from openagents_json.engine.worker_types.parts import keys_of

            keys = keys_of(error.name)
            raise unread.wrong(keys, f"{error.name} {error.reason}") from None
    return Profile(name, file, values, tuple(secret_files))


def base_of(file: ProfileFile) -> Path:
    """Return what places in a file are relative to; nothing where that is the folder that we are in."""
    folder = file.path.parent
    try:
        if folder == Path().absolute():
            return Path()
        return folder
    except OSError:  # the working directory has been removed
        return folder


def read_value(setting: str, value: Any, base: Path, secret_files: list[Path]) -> Any:
    """Return a value with what its @FILE holds, and with places as they are from here.

    Raises InvalidSetting.
    """
    if setting in _SECRET:
        parts = value if isinstance(value, tuple) else (value,)
        secrets = [_secret(setting, part, base, secret_files) for part in parts]
        value = ",".join(secrets)
    if setting == "components":
        value = ",".join(_component(part, base) for part in value)
    if setting in _PLACES:
        return _relative(value, base)
    return value


def _secret(setting: str, text: str, base: Path, secret_files: list[Path]) -> str:
    if not text.startswith(_FROM_FILE):
        return text
    path = base / text.removeprefix(_FROM_FILE)
    refused = f"names the file {path}, which"
    try:
        content = path.read_text("utf-8").strip()
    except OSError as error:
        reason = f"{refused} cannot be read: {error.strerror}"
        raise InvalidSetting(setting, reason) from None
    except ValueError:
        raise InvalidSetting(setting, f"{refused} is no text") from None
    if not content:
        raise InvalidSetting(setting, f"{refused} is empty")
    secret_files.append(path)
    return content


def _component(name: str, base: Path) -> str:
    if name.endswith("/"):
        return f"{base / name}/"
    if name.endswith(_COMPONENT_FILES):
        return str(base / name)
    return name


def _relative(name: str, base: Path) -> str:
    is_path = bool(name) and "://" not in name
    if is_path:
        return str(base / name)
    return name


# -- forms -----------------------------------------------------------------------------------------------


def _checked(setting: str, value: Any, kinds: Mapping[str, Any]) -> Any:
    """Return a value in the form that settings have it.

    Raises InvalidSetting.
    """
    if setting not in kinds:
        reason = f"is no setting{hint(setting, kinds)}"
        raise InvalidSetting(setting, reason)
    form = _FORMS.get(setting, _as_declared)
    return form(setting, value, kinds[setting])


def _as_declared(setting: str, value: Any, kind: Any) -> Any:
    """Return a value of the type that its setting has; nothing is turned into another type."""
    word, types = _KINDS[kind]
    if type(value) not in types:
        raise InvalidSetting(setting, f"has to be {word}, not {_type_of(value)}")
    return value


def _as_list(setting: str, value: Any, _: Any) -> tuple[str, ...]:
    """Return texts: an array of them, or one text with commas."""
    if isinstance(value, str):
        value = list(map(str.strip, value.split(",")))
    if not isinstance(value, list) or set(map(type, value)) - {str}:
        reason = f'has to be an array of texts, as ["a", "b"], not {_type_of(value)}'
        raise InvalidSetting(setting, reason)
    return tuple(filter(None, value))


def _as_words(setting: str, value: Any, kind: Any) -> str:
    return ",".join(_as_list(setting, value, kind))


def _as_leases(setting: str, value: Any, _: Any) -> str:
    """Return leases as text: of a table of lengths by worker type, as 60000 (ms) or "60s"."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping):
        reason = f'has to be a table, as {{agent = "60s"}}, not {_type_of(value)}'
        raise InvalidSetting(setting, reason)
    for name, length in value.items():
        if type(length) not in (int, str):
            reason = f'of {name} has to be a length, as "60s", not {_type_of(length)}'
            raise InvalidSetting(setting, reason)
    return ",".join(f"{name}={length}" for name, length in value.items())


def _as_worker_types(_setting: str, value: Any, _: Any) -> Any:
    """Return tables of worker types, whose parts have the types that they have in code."""
    from openagents_json.engine.worker_types.parts import kind_of, parts_of, spelled

    for path, part in parts_of(value).items():
        _as_declared(spelled(path), part, kind_of(path))
    return value


def _type_of(value: Any) -> str:
    return _NAMES.get(type_name(value), "a time")


_KINDS: Final[Mapping[Any, tuple[str, tuple[type, ...]]]] = {
    str: ("a text", (str,)),
    int: ("a whole number", (int,)),
    float: ("a number", (int, float)),
}
_NAMES: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "an array",
    "object": "a table",
}
_FORMS: Final[Mapping[str, Callable[[str, Any, Any], Any]]] = {
    "components": _as_list,
    "encryption_keys": _as_list,
    "queues": _as_words,
    "leases": _as_leases,
    "worker_types": _as_worker_types,
}
