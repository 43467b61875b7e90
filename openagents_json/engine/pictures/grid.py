"""Rows of boxes on a grid of characters, with channels for lines between them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from openagents_json.engine.pictures.channels import channel_of, ports_of
from openagents_json.engine.pictures.columns import columns_of
from openagents_json.engine.pictures.graph import Node
from openagents_json.engine.pictures.layers import Links, Rows, Slot
from openagents_json.engine.pictures.shapes import Box, Drawing, Wire, joined

PASSING: Final = -1
"""The bundle of lines that pass a row."""


@dataclass(frozen=True, slots=True)
class Sized:
    """A step with what its box holds."""

    node: Node
    texts: tuple[str, ...]
    inner: Drawing | None
    width: int
    height: int


def in_rows(sized: Mapping[str, Sized], rows: Rows) -> Drawing:
    """Put rows below each other, with a channel for lines between them."""
    widths = _widths(sized, rows)
    begins = columns_of(rows, widths)
    parts: list[Drawing] = []
    y = 0
    for slots, links in zip(rows.slots, rows.links, strict=True):
        heights = [sized[slot.name].height for slot in slots if not slot.is_line]
        height = max(heights, default=1)
        row = _Row(slots=slots, begins=begins, widths=widths, y=y, height=height)
        parts.append(_boxes(row, sized))
        channel = _channel(row, links, sized)
        parts.append(channel)
        y = max(y + height, channel.height)
    whole = joined(parts)
    right = (begins[slot] + widths[slot] for slot in begins)
    return replace(whole, width=max(right, default=0), height=y)


def _widths(sized: Mapping[str, Sized], rows: Rows) -> dict[Slot, int]:
    """Return the width of each thing: a box has room for its lines of text and for those that come and go."""
    ports = ports_of(rows.links)
    return {
        slot: 1
        if slot.is_line
        else max(sized[slot.name].width, 2 * ports.get(slot, 0) + 3)
        for slots in rows.slots
        for slot in slots
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the picture, where it begins and how high it is; `begins` and `widths` are those of all rows."""

    slots: Sequence[Slot]
    begins: dict[Slot, int]
    widths: dict[Slot, int]
    y: int
    height: int


def _boxes(row: _Row, sized: Mapping[str, Sized]) -> Drawing:
    boxes: list[Box] = []
    wires: list[Wire] = []
    inner: list[Drawing] = []
    for slot in row.slots:
        x = row.begins[slot]
        width = row.widths[slot]
        if slot.is_line:
            # From the channel above to that below: both end beside it.
            wire = Wire(
                bundle=PASSING, x=x, y=row.y - 1, to_x=x, to_y=row.y + row.height - 1
            )
            wires.append(wire)
            continue
        step = sized[slot.name]
        box = Box(
            x=x,
            y=row.y,
            width=width,
            height=step.height,
            texts=step.texts,
            node=step.node,
        )
        boxes.append(box)
        if step.inner is not None:
            left = x + (width - step.inner.width) // 2
            inner.append(step.inner.shifted(left, row.y + 1 + len(step.texts)))
    return joined([Drawing(boxes=tuple(boxes), wires=tuple(wires)), *inner])


def _channel(row: _Row, links: Links, sized: Mapping[str, Sized]) -> Drawing:
    """Draw the lines from a row to the next."""
    top = row.y + row.height
    if not links:
        return Drawing(height=top)
    channel = channel_of(links, row.begins, row.widths)
    last = top + channel.tracks
    leaving = chain.from_iterable(bundle.above for bundle, _ in channel.bundles)
    bottoms = _bottoms(row, sized, leaving)
    wires: list[Wire] = []
    for number, (bundle, track) in enumerate(channel.bundles):
        y = top + track
        wires += (
            Wire(bundle=number, x=x, y=bottoms[x], to_x=x, to_y=y) for x in bundle.above
        )
        wires += (
            Wire(bundle=number, x=x, y=y, to_x=x, to_y=last) for x in bundle.below
        )
        left, right = bundle.span
        if left != right:
            wires.append(Wire(bundle=number, x=left, y=y, to_x=right, to_y=y))
    lowers = {lower for targets in links.values() for lower in targets}
    passing = {row.begins[lower] for lower in lowers if lower.is_line}
    ends = {x for bundle, _ in channel.bundles for x in bundle.below} - passing
    heads = tuple((x, last) for x in sorted(ends))
    return Drawing(
        height=last + 1, wires=tuple(wires), heads=heads, clear=channel.clear
    )


def _bottoms(
    row: _Row, sized: Mapping[str, Sized], columns: Iterable[int]
) -> dict[int, int]:
    """Return where the things of a row end, for columns: a box may be less high than its row."""
    slots = sorted(row.slots, key=row.begins.__getitem__)
    begins = list(map(row.begins.__getitem__, slots))
    bottoms: dict[int, int] = {}
    for column in columns:
        slot = slots[bisect(begins, column) - 1]
        height = row.height if slot.is_line else sized[slot.name].height
        bottoms[column] = row.y + height - 1
    return bottoms
