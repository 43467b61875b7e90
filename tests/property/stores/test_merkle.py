"""Merkle trees against the definition in RFC 6962, and proofs that hold for nothing but what was put in."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as some

from projections.ledger.merkle import leaf_hash, paths, root, root_of_path, split

LEAVES = some.integers(1, 70).map(
    lambda count: [leaf_hash(str(i).encode()) for i in range(count)]
)


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, 2.1, over hashed leaves: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(
        b"\1" + by_definition(leaves[:k]) + by_definition(leaves[k:])
    ).digest()


@given(LEAVES)
def test_the_root_is_that_of_the_rfc(leaves: list[bytes]) -> None:
    assert root(leaves) == by_definition(leaves)


@given(LEAVES, some.data())
def test_a_path_leads_from_its_leaf_to_the_root_and_from_no_other(
    leaves: list[bytes], data: some.DataObject
) -> None:
    index = data.draw(some.integers(0, len(leaves) - 1))
    [path] = paths(leaves, [index])
    assert root_of_path(leaves[index], index, len(leaves), path) == root(leaves)
    assert len(path) <= 7
    other = data.draw(some.integers(0, len(leaves) - 1))
    if other != index:
        assert root_of_path(leaves[other], index, len(leaves), path) != root(leaves)
        assert root_of_path(leaves[index], other, len(leaves), path) != root(leaves)


@given(
    LEAVES,
    some.integers(-3, 80),
    some.lists(some.binary(min_size=32, max_size=32), max_size=9),
)
def test_what_is_no_path_leads_nowhere(
    leaves: list[bytes], index: int, path: list[bytes]
) -> None:
    assert root_of_path(leaf_hash(b"x"), index, len(leaves), path) != root(leaves)


def test_no_leaves_have_a_root_and_halves_of_hashes_are_left_out() -> None:
    assert root([]) == hashlib.sha256(b"").digest()
    assert split(b"a" * 32 + b"b" * 31) == [b"a" * 32]
