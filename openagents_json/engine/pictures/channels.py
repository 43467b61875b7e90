"""The lines between two rows of a picture, so that whoever follows them comes to what they lead to and nowhere else.

Lines that may run into one are a bundle: each thing above leads to each below. A bundle has columns of its own at all
boxes that it leaves or reaches, and a track of its own where others would touch it.
"""

from __future__ import annotations

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import chain, count, filterfalse
from operator import attrgetter
from typing import Final, NamedTuple

from openagents_json.engine.pictures.layers import Links, Slot


class Bundle(NamedTuple):
    """Lines that may run into one, by the columns at which they leave what is above and reach what is below.

    `span` is its first and its last column.
    """

    above: tuple[int, ...]
    below: tuple[int, ...]
    span: tuple[int, int]

    @property
    def is_straight(self) -> bool:
        """Tell whether it is one line down."""
        first, last = self.span
        return first == last


class Channel(NamedTuple):
    """Bundles, each with its track from above, and how many tracks there are; straight ones need none.

    It is not `clear` where two lines would have to lie on each other.
    """

    bundles: tuple[tuple[Bundle, int], ...]
    tracks: int
    clear: bool = True


class _Joint(NamedTuple):
    """What a bundle joins."""

    uppers: tuple[Slot, ...]
    lowers: tuple[Slot, ...]


def ports_of(all_links: Iterable[Links]) -> Counter[Slot]:
    """Return how many columns of its own each thing needs for the lines above it, or for those below it."""
    leaving: Counter[Slot] = Counter()
    arriving: Counter[Slot] = Counter()
    for joint in chain.from_iterable(map(_joints, all_links)):
        leaving.update(joint.uppers)
        arriving.update(joint.lowers)
    return leaving | arriving


def _joints(links: Links) -> Iterator[_Joint]:
    """Bundle what leads to one shared line; and, of what is left, what leads to the same things."""
    by_targets: dict[tuple[Slot, ...], list[Slot]] = defaultdict(list)
    for upper, lowers in links.items():
        others = []
        for lower in lowers:
            if lower.is_shared:
                by_targets[(lower,)].append(upper)
            else:
                others.append(lower)
        if others:
            by_targets[tuple(others)].append(upper)
    for targets, uppers in by_targets.items():
        yield _Joint(tuple(uppers), targets)


def channel_of(
    links: Links, begins: Mapping[Slot, int], widths: Mapping[Slot, int]
) -> Channel:
    """Give each bundle of lines its columns and its track."""
    joints = list(_joints(links))
    joined = chain(links, chain.from_iterable(links.values()))
    centres = {slot: begins[slot] + widths[slot] // 2 for slot in joined}
    above = _columns(joints, UPPERS, centres)
    below = _columns(joints, LOWERS, centres)
    bundles = []
    for joint in joints:
        leaving = sorted(above[joint])
        arriving = sorted(below[joint])
        first = min(leaving[0], arriving[0])
        last = max(leaving[-1], arriving[-1])
        bundles.append(Bundle(tuple(leaving), tuple(arriving), (first, last)))
    bent = list(filterfalse(attrgetter("is_straight"), bundles))
    tracks, is_clear = _tracks(bent)
    number = max(tracks.values(), default=-1) + 1
    with_tracks = tuple((bundle, tracks.get(bundle, 0)) for bundle in bundles)
    return Channel(with_tracks, number, is_clear)


UPPERS: Final = 0
LOWERS: Final = 1
"""Where the sides of a joint stand in it."""


def _columns(
    joints: Sequence[_Joint], side: int, centres: Mapping[Slot, int]
) -> dict[_Joint, list[int]]:
    """Return the columns of each bundle on one side: around the middle of each thing, ordered by the other side."""

    def middle(joint: _Joint) -> float:
        others = joint[1 - side]
        return sum(map(centres.__getitem__, others)) / len(others)

    of_slot: dict[Slot, list[_Joint]] = defaultdict(list)
    for joint in sorted(joints, key=middle):
        for slot in joint[side]:
            of_slot[slot].append(joint)
    columns: dict[_Joint, list[int]] = defaultdict(list)
    for slot, here in of_slot.items():
        column = centres[slot] - len(here) + 1
        for joint in here:
            columns[joint].append(column)
            column += 2
    return columns


def _tracks(bundles: Iterable[Bundle]) -> tuple[dict[Bundle, int], bool]:
    """Return the track of each bundle: below those whose line comes down where its own begins, beside no other.

    They are not clear where each of some would have to be below the next.
    """
    leaving = sorted(bundles, key=attrgetter("span"))
    before = _before(leaving)
    tracks: dict[Bundle, int] = {}
    taken: list[list[tuple[int, int]]] = []
    is_clear = True
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        is_clear, order = False, leaving
    for bundle in order:
        above = map(tracks.__getitem__, filter(tracks.__contains__, before[bundle]))
        least = max(above, default=-1) + 1
        tracks[bundle] = _taken_track(bundle.span, least, taken)
    return tracks, is_clear


def _before(bundles: Iterable[Bundle]) -> dict[Bundle, list[Bundle]]:
    """Return which bundles leave where one arrives: they have to turn away before its line comes down."""
    leaving_at: dict[int, list[Bundle]] = defaultdict(list)
    before: dict[Bundle, list[Bundle]] = {}
    for bundle in bundles:
        before[bundle] = []
        for column in bundle.above:
            leaving_at[column].append(bundle)
    for bundle, firsts in before.items():
        columns = map(leaving_at.get, bundle.below)
        others = chain.from_iterable(filter(None, columns))
        firsts += dict.fromkeys(other for other in others if other is not bundle)
    return before


def _taken_track(
    span: tuple[int, int], least: int, taken: list[list[tuple[int, int]]]
) -> int:
    """Take the first track, from the least on, on which no bundle touches one from column to column."""
    for track in count(least):
        while track >= len(taken):
            taken.append([])
        spans = taken[track]
        # Spans of a track are apart and in order: only the neighbours may touch.
        at = bisect(spans, span)
        if not any(_touch(other, span) for other in spans[max(at - 1, 0) : at + 1]):
            spans.insert(at, span)
            return track
    raise AssertionError("there is always another track")


def _touch(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Tell whether two bundles on one track would look like one."""
    return max(one[0], other[0]) <= min(one[1], other[1]) + 1
