"""How many columns of a terminal a text takes: characters of some scripts take two, marks above others none."""

from __future__ import annotations

import unicodedata


def width_of(text: str) -> int:
    """Return the width of a text."""
    if text.isascii():
        return len(text)
    return sum(map(cells, text))


def cells(character: str) -> int:
    """Return the width of a character."""
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, most: int) -> str:
    """Cut a text where it is too wide."""
    if width_of(text) <= most:
        return text
    kept = []
    width = 1
    for character in text:
        width += cells(character)
        if width > most:
            break
        kept.append(character)
    return f"{''.join(kept)}…"
