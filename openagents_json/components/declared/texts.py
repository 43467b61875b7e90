"""Files of specs, in JSON or in YAML as its version 1.2 reads it: dates, `yes` and `no` are texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from openagents_json.components.errors import CannotLoad

MAX_BYTES: Final = 64 * 1024 * 1024
MAX_VALUES: Final = 5_000_000
_REMEDY: Final = "correct the file"

_WORDS: Final = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)
"""What words without quotes stand for in the core schema of YAML 1.2, and how they begin."""


def is_spec_file(path: Path) -> bool:
    """Tell by its name whether a file may hold specs."""
    return path.suffix.lower() in (".json", ".yaml", ".yml")


def read_spec_text(path: Path) -> Any:
    """Return what a file holds.

    Raises CannotLoad.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CannotLoad(str(path), error.strerror or str(error), _REMEDY) from error
    if len(raw) > MAX_BYTES:
        raise CannotLoad(str(path), f"it is larger than {MAX_BYTES:,} bytes", _REMEDY)
    try:
        text = raw.decode("utf-8-sig")
        is_json = path.suffix.lower() == ".json"
        value = json.loads(text) if is_json else _from_yaml(text)
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CannotLoad(str(path), reason, _REMEDY) from None
    if _has_too_many(value):
        raise CannotLoad(str(path), f"it has more than {MAX_VALUES:,} values", _REMEDY)
    return value


def _from_yaml(text: str) -> Any:
    """Read YAML.

    Raises ValueError.
    """
    import yaml  # imported for who has specs in YAML

    try:
        return yaml.load(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from None


@lru_cache(maxsize=1)
def _loader() -> Any:
    """Return a loader of YAML 1.2; names of members are texts in it, as they are in JSON."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class Loader(base):  # type: ignore[misc]
        yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - as its base has it

    for name, pattern, begins in _WORDS:
        word = re.compile(f"(?:{pattern})\\Z")
        tag = f"tag:yaml.org,2002:{name}"
        Loader.add_implicit_resolver(tag, word, [*begins, ""])
    Loader.add_constructor("tag:yaml.org,2002:int", _whole_number)
    Loader.add_constructor("tag:yaml.org,2002:map", _members)
    return Loader


def _whole_number(loader: Any, node: Any) -> int:
    word: str = loader.construct_scalar(node)
    base = {"0o": 8, "0x": 16}.get(word[:2], 10)
    return int(word, base)


def _members(loader: Any, node: Any) -> Iterable[dict[str, Any]]:
    # In two parts: a mapping may hold what stands for itself.
    members: dict[str, Any] = {}
    yield members
    loader.flatten_mapping(node)
    for name, value in node.value:
        members[str(getattr(name, "value", name))] = loader.construct_object(value)


def _has_too_many(value: Any) -> bool:
    """Tell whether a value is larger than anybody writes; an alias of aliases says much in few characters."""
    todo, count = [value], 0
    while todo and count <= MAX_VALUES:
        item = todo.pop()
        count += 1
        if isinstance(item, dict):
            todo += item.values()
        elif isinstance(item, list):
            todo += item
    return count > MAX_VALUES
