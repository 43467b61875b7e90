"""Pointers that are put together only when somebody asks: a long name would be copied for each value below it."""

from __future__ import annotations

from dataclasses import dataclass

from openagents_json.workflow.expressions.templates import escape


@dataclass(frozen=True, slots=True)
class Below:
    """The JSON pointer of a member or an item of what lies `above` it."""

    above: Below | str
    key: str | int

    def __str__(self) -> str:
        """Put the pointer together."""
        keys: list[str] = []
        place: Below | str = self
        while isinstance(place, Below):
            keys.append(escape(str(place.key)))
            place = place.above
        return "/".join((place, *reversed(keys)))
