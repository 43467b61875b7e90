"""What a server says of itself."""

from __future__ import annotations


def info_of(raw: bytes) -> dict[str, str]:
    """Read an answer to INFO."""
    lines = (
        line.partition(":")
        for line in raw.decode("utf-8", "replace").splitlines()
        if ":" in line
    )
    return {key: value.strip() for key, _, value in lines}
