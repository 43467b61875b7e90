"""What a document holds, part by part: a key for each that is equal for equal contents, and its size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.language.checks.keys import ITEMS
from openagents_json.workflow.language.sizes import Size, size_of
from openagents_json.workflow.validation.parts import content_of

_DEPTH_OF_ITEMS = 2
_LONGEST_INDEX = "99999"
"""Stands in the pointers of all items: sizes that do not depend on where an item is are kept when it goes elsewhere."""


@dataclass(frozen=True, slots=True)
class Items:
    """The steps, or the connections, of a document."""

    keys: Sequence[bytes] = ()
    sizes: Sequence[Size] = ()


@dataclass(frozen=True, slots=True)
class Contents:
    """The parts of a document; `key` is that of what it says beside its items, `total` the size of all of it."""

    key: bytes
    total: Size
    items: Mapping[str, Items] = field(default_factory=dict)

    def is_within_limits(self) -> bool:
        """Tell whether the document is surely no larger than it may be."""
        return not self.total.beyond()


def contents_of(document: Any, earlier: Contents | None) -> Contents:
    """Return what a document holds; what is known of an earlier one is not counted again.

    Raises NotADocument for one of another shape, for what is no JSON, and for a part that is too large by itself.
    """
    if not isinstance(document, Mapping):
        raise NotADocument("it has no parts that can be told apart")
    rest = {name: document[name] for name in document if name not in ITEMS}
    items = {name: _items(document, name, earlier) for name in ITEMS}
    total = _size_of_rest(rest, items)
    for part in items.values():
        for size in part.sizes:
            total.add(size)
    has_items = [name in document for name in ITEMS]
    return Contents(_key_of([rest, has_items]), total, items)


def with_step(contents: Contents, name: str, index: int, value: Any) -> Contents:
    """Return contents with one item changed.

    Raises NotADocument for one of another shape, for what is no JSON, and for a part that is too large by itself.
    """
    items = contents.items[name]
    size = _size_of_item(value, name)
    total = replace(contents.total)
    total.add(items.sizes[index], -1)
    total.add(size)
    keys = [*items.keys]
    sizes = [*items.sizes]
    keys[index] = _key_of(value)
    sizes[index] = size
    changed = {**contents.items, name: Items(keys, sizes)}
    return Contents(contents.key, total, changed)


def matches(old: Items, new: Items) -> list[int | None]:
    """Return for each item where one of its content was before, None for one that is new."""
    left: dict[bytes, list[int]] = defaultdict(list)
    for index in reversed(range(len(old.keys))):
        left[old.keys[index]].append(index)
    return [left[key].pop() if left.get(key) else None for key in new.keys]


def _items(document: Mapping[str, Any], name: str, earlier: Contents | None) -> Items:
    values = document.get(name, ())
    if not isinstance(values, list | tuple):
        raise NotADocument("it has no parts that can be told apart")
    by_key = _sizes_by_key(name, earlier)
    keys = [*map(_key_of, values)]
    sizes = [
        by_key.get(key) or _size_of_item(value, name)
        for key, value in zip(keys, values, strict=True)
    ]
    return Items(keys, sizes)


def _sizes_by_key(name: str, earlier: Contents | None) -> Mapping[bytes, Size]:
    if earlier is None:
        return {}
    items = earlier.items[name]
    return dict(zip(items.keys, items.sizes, strict=True))


def _key_of(value: Any) -> bytes:
    key = content_of(value)
    if key is None:
        raise NotADocument("it has no parts that can be told apart")
    return key


def _size_of_item(value: Any, name: str) -> Size:
    return _sound(size_of(value, f"/{name}/{_LONGEST_INDEX}", _DEPTH_OF_ITEMS))


def _sound(size: Size | None) -> Size:
    if size is None:
        raise NotADocument("it has no parts that can be told apart")
    return size


def _size_of_rest(rest: Mapping[str, Any], items: Mapping[str, Items]) -> Size:
    size = _sound(size_of(rest, "", 0))
    steps, connections = (len(items[name].keys) for name in ITEMS)
    pointers = steps * len(f"/{ITEMS[0]}") + connections * len(f"/{ITEMS[1]}")
    arrays = Size(
        values=1 + len(ITEMS) + steps + connections,
        steps=steps,
        edges=connections,
        pointer_text=pointers,
    )
    size.add(arrays)
    return size
