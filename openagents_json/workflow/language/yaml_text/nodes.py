"""Values with the lines and columns that they were read from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from openagents_json.workflow.types import Json


class Node(NamedTuple):
    """A value of a YAML text: a scalar, or the nodes of its members; lines and columns are counted from 1."""

    content: Json | list[Node] | dict[str, Node]
    line: int
    column: int
    height: int = 0
    """How many values lie in each other below this one, at most."""

    size: int = 1
    """How many values it has, itself among them."""


def value_of(node: Node) -> Json:
    """Return the value of a node; what stands in many places by an alias is a value of its own in each."""
    content = node.content
    if isinstance(content, dict):
        return {name: value_of(member) for name, member in content.items()}
    if isinstance(content, list):
        return [value_of(item) for item in content]
    return content


def locate(root: Node, pointers: Iterable[str]) -> Mapping[str, tuple[int, int]]:
    """Return line and column of the values at pointers, or of the nearest place around each that exists."""
    return {pointer: _position(root, pointer) for pointer in pointers}


def _position(root: Node, pointer: str) -> tuple[int, int]:
    node = root
    for part in pointer.split("/")[1:]:
        member = _member(node, part.replace("~1", "/").replace("~0", "~"))
        if member is None:
            break
        node = member
    return node.line, node.column


def _member(node: Node, name: str) -> Node | None:
    if isinstance(node.content, dict):
        return node.content.get(name)
    if not isinstance(node.content, list) or not name.isdecimal():
        return None
    index = int(name)
    items: list[Node] = node.content
    if index < len(items):
        return items[index]
    return None
