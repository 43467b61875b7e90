"""The lines between two rows of a picture, so that whoever follows them comes to what they lead to and nowhere else.

Lines that may run into one are a bundle: each thing above leads to each below. A bundle has columns of its own at all
boxes that it leaves or reaches, and a track of its own where others would touch it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter
from itertools import chain, count, filterfalse
from operator import attrgetter
from statistics import fmean
from typing import Final, NamedTuple

from openagents_json.engine.pictures.layers import Links, Slot


class Bundle(NamedTuple):
    """Lines that may run into one, by the columns at which they leave what is above and reach what is below."""

    above: tuple[int, ...]
    below: tuple[int, ...]

    @property
    def span(self) -> tuple[int, int]:
        """Return its first and its last column."""
        columns = (*self.above, *self.below)
        return min(columns), max(columns)

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
    ports: Counter[Slot] = Counter()
    for links in all_links:
        joints = list(_joints(links))
        uppers = map(attrgetter("uppers"), joints)
        lowers = map(attrgetter("lowers"), joints)
        ports |= Counter(chain.from_iterable(uppers))
        ports |= Counter(chain.from_iterable(lowers))
    return ports


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
    centres = {slot: begin + widths[slot] // 2 for slot, begin in begins.items()}
    above = _columns(joints, UPPERS, centres)
    below = _columns(joints, LOWERS, centres)
    bundles = []
    for joint in joints:
        leaving = sorted(above[joint])
        arriving = sorted(below[joint])
        bundles.append(Bundle(tuple(leaving), tuple(arriving)))
    bent = list(filterfalse(attrgetter("is_straight"), bundles))
    tracks = _tracks(bent)
    if tracks is None:
        return Channel((), 0, clear=False)
    number = max(tracks.values(), default=-1) + 1
    with_tracks = tuple((bundle, tracks.get(bundle, 0)) for bundle in bundles)
    return Channel(with_tracks, number)


UPPERS: Final = 0
LOWERS: Final = 1
"""Where the sides of a joint stand in it."""


def _columns(
    joints: Sequence[_Joint], side: int, centres: Mapping[Slot, int]
) -> dict[_Joint, list[int]]:
    """Return the columns of each bundle on one side: around the middle of each thing, ordered by the other side."""

    def middle(joint: _Joint) -> float:
        return fmean(map(centres.__getitem__, joint[1 - side]))

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


def _tracks(bundles: Iterable[Bundle]) -> dict[Bundle, int] | None:
    """Return the track of each bundle: below those whose line comes down where its own begins, beside no other.

    None where each of some would have to be below the next.
    """
    before: dict[Bundle, list[Bundle]] = {}
    leaving = sorted(bundles, key=attrgetter("span"))
    for bundle in leaving:
        goes_first = partial(_goes_first, other=bundle)
        before[bundle] = list(filter(goes_first, leaving))
    tracks: dict[Bundle, int] = {}
    try:
        order = list(TopologicalSorter(before).static_order())
    except CycleError:
        return None
    for bundle in order:
        above = map(tracks.__getitem__, before[bundle])
        least = max(above, default=-1) + 1
        tracks[bundle] = _free_track(bundle, least, tracks)
    return tracks


def _free_track(bundle: Bundle, least: int, tracks: Mapping[Bundle, int]) -> int:
    """Return the first track, from the least on, on which no bundle touches this one."""
    taken = set()
    for other, track in tracks.items():
        if _touch(other, bundle):
            taken.add(track)
    return next(filterfalse(taken.__contains__, count(least)))


def _goes_first(one: Bundle, other: Bundle) -> bool:
    """Tell whether a bundle leaves where the other one arrives: it has to turn away before that line comes down."""
    if one == other:
        return False
    return not set(one.above).isdisjoint(other.below)


def _touch(one: Bundle, other: Bundle) -> bool:
    """Tell whether two bundles on one track would look like one."""
    first, last = one.span
    other_first, other_last = other.span
    return max(first, other_first) <= min(last, other_last) + 1
