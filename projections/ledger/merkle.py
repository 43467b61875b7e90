"""Merkle trees over hashes of leaves, as in RFC 6962 (Certificate Transparency), section 2.1."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of what a leaf stands for."""
    return hashlib.sha256(b"\0" + data).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree; that of no leaves is the hash of nothing."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    return _levels(leaves)[-1][0]


def _levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return the tree from the leaves up; what has no neighbour goes up as it is, which is the tree of the RFC."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        above = [_node(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)]
        levels.append(above + below[len(above) * 2 :])
    return levels


def paths(leaves: Sequence[bytes], indexes: Sequence[int]) -> list[list[bytes]]:
    """Return, for leaves at some indexes, the neighbours that lead up to the root."""
    levels = _levels(leaves) if leaves else []
    return [_path(levels, index) for index in indexes]


def _path(levels: Sequence[Sequence[bytes]], index: int) -> list[bytes]:
    path = []
    for level in levels[:-1]:
        neighbour = index ^ 1
        if neighbour < len(level):
            path.append(level[neighbour])
        index //= 2
    return path


def root_of_path(
    leaf: bytes, index: int, size: int, path: Sequence[bytes]
) -> bytes | None:
    """Return the root that a leaf at an index of a tree of some size leads to; None when the path does not fit."""
    if not 0 <= index < size:
        return None
    node = leaf
    neighbours = list(path)
    last = size - 1
    while last > 0:
        is_right = index % 2 == 1
        # The last one of a level has no neighbour, and goes up as it is.
        if is_right or index < last:
            if not neighbours:
                return None
            neighbour = neighbours.pop(0)
            node = _node(neighbour, node) if is_right else _node(node, neighbour)
        index = index // 2
        last = last // 2
    return None if neighbours else node


def split(joined: bytes) -> list[bytes]:
    """Return hashes that are stored one behind the other; bytes behind the last whole one are left out."""
    return [
        joined[i : i + HASH_BYTES]
        for i in range(0, len(joined) - HASH_BYTES + 1, HASH_BYTES)
    ]
