"""Which events of a partition are those that were sealed: read once, a page at a time, and not held.

What is held is small: a byte for each position, and what does not fit. Of that, payloads are held only while so few do
not fit that it is tried where else they would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from eventstore.intervals import Span, joined, within
from eventstore.redis.ledger import Stored
from projections.ledger.evidence import Partition
from projections.ledger.findings import (
    CHANGED,
    ERASED,
    INSERTED,
    LEDGER,
    MOVED,
    REMOVED,
)
from projections.ledger.imports import written_in
from projections.ledger.leaves import Leaves
from projections.ledger.log_index import LogIndex
from projections.ledger.records import commitment, leaf
from projections.ledger.redactions import ErasedHashes, Erasures, amiss, archived_spans

TRIED: Final = 200
"""Among how many events that do not fit it is tried which of them changed places."""

MOST_TRIES: Final = 8_000_000
"""And how often at most, so that what was made to take long does not."""

Note = Callable[[str, str, int, str, int], None]


class Reconciliation:
    """The events of a partition against its leaves; `note` takes kind, what, position, run and version.

    Events up to `signed_to` are signed, but for those that are `doubtful`.
    """

    def __init__(
        self,
        found: Partition,
        leaves: Leaves,
        signed_to: int,
        doubtful: Sequence[Span],
        note: Note,
    ) -> None:
        self._found, self._leaves, self._note = found, leaves, note
        self._signed_to, self._doubtful = signed_to, joined(doubtful)
        self._head: int = found.head
        self._erased: Mapping[int, bytes] = found.erased
        self._places = LogIndex(found.log)
        for n, run, version in self._places.doubled():
            note(LEDGER, "the log has another entry here as well", n, run, version)
        self._unsealed: set[int] = set()
        self._archived: list[Span] = []
        self._archived_signed: list[Span] = []
        self._archived_lately: list[Span] = []
        self._odd: list[Stored] = []
        self._erasures = Erasures()
        self._erasures_signed = Erasures()
        self._marked: list[tuple[Stored, ErasedHashes, bytes]] = []
        names = (
            "verified",
            "chained",
            "erased",
            "unsealed",
            "archived",
            "imported",
            "unproved",
        )
        self.counts = dict.fromkeys(names, 0)

    # -- page by page ------------------------------------------------------------------------------------

    def read(self, page: Sequence[Stored]) -> None:
        """Read some events; whatever comes into the store meanwhile is known after them."""
        fits = [self._fits(event) for event in page]
        if any(
            not fit and self._newer(event)
            for event, fit in zip(page, fits, strict=True)
        ):
            self._head, self._erased = self._found.now()
            fits = [
                fit or self._fits(event) for event, fit in zip(page, fits, strict=True)
            ]
        for event, fit in zip(page, fits, strict=True):
            self._erasures.read(event)
            if fit and self._leaves.take(event.n):
                self._archived += archived_spans(event)
                self._fitting(event)
            elif (
                self._found.checkpoint < event.n <= self._head
                and event.n not in self._unsealed
            ):
                self._archived += archived_spans(event)
                self._archived_lately += archived_spans(event)
                self._unsealed.add(event.n)
            else:
                self._keep(event)

    def _newer(self, event: Stored) -> bool:
        """Tell whether an event may fit by what has come since its partition was looked at."""
        return event.n > self._head or (
            self._leaves.leaf(event.n) is not None and event.n not in self._erased
        )

    def _fitting(self, event: Stored) -> None:
        n, salt = event.n, self._leaves.salt(event.n)
        if n > self._signed_to:
            self.counts["chained"] += 1
        elif not within(self._doubtful, n, n):
            self.counts["verified"] += 1
            self._erasures_signed.read(event)
            self._archived_signed += archived_spans(event)
        if not any(salt) or leaf(
            self._found.partition, event, commitment(salt, event)
        ) != self._leaves.leaf(n):
            self._marked.append((_bare(event), ErasedHashes.of(event), self._erased[n]))
        self.counts["imported"] += bool(written_in(event))
        there = self._places.at(n)
        if there != (event.stream, event.version):
            named = (
                "the log does not name it"
                if there is None
                else f"the log has event {there[1]} of {there[0]} here"
            )
            self._note(LEDGER, named, n, event.stream, event.version)
        for kind, what in amiss(event, self._found.blob):
            self._note(kind, what, n, event.stream, event.version)

    def _keep(self, event: Stored) -> None:
        """Keep an event that does not fit; its payload is of use only while there are few."""
        if len(self._odd) == TRIED:
            self._odd = [_bare(x) for x in self._odd]
        self._odd.append(event if len(self._odd) < TRIED else _bare(event))

    # -- at the end --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Name what does not fit, and what is missing, after the last event."""
        lately = joined(self._archived_lately)
        for marked in self._marked:
            self._check_erased(*marked, lately)
        archived, proved = joined(self._archived), joined(self._archived_signed)
        missing: set[int] = set()
        for n in self._leaves.missing():
            if within(archived, n, n):
                self.counts["archived"] += 1
                self.counts["unproved"] += not within(proved, n, n)
            else:
                missing.add(n)
        self._explain(missing)
        self.counts["unsealed"] = len(self._unsealed)

    def _check_erased(
        self, event: Stored, stands: ErasedHashes, stood: bytes, lately: Sequence[Span]
    ) -> None:
        """An event whose payload is erased has to be named by a record of its run, with what stands there now.

        A run that went into the archive while its events were read may have taken the record along; of one that had
        gone before, nothing is here. What nobody has signed proves nothing to who has only a file: anybody who holds
        it can write such a record.
        """
        run, version = event.stream, event.version
        self.counts["erased"] += 1
        if self._erasures_signed.cover(run, version, stands, stood):
            return
        if self._erasures.cover(run, version, stands, stood) or within(
            lately, event.n, event.n
        ):
            self.counts["unproved"] += 1
            return
        what = f"{event.type} is marked as erased, and no record of the run says that it was"
        self._note(ERASED, what, event.n, run, version)

    def _explain(self, left: set[int]) -> None:
        odd = self._odd
        versions = sorted({event.version for event in odd})
        few = len(odd) <= TRIED and len(odd) * len(left) * len(versions) <= MOST_TRIES
        moved: set[tuple[str, int]] = set()
        for event in odd:
            place = self._other_place(event, left, versions) if few else None
            if place is not None:
                left.discard(place[0])
                what = f"{event.type} was sealed at position {place[0]} as event {place[1]}"
                self._note(MOVED, what, event.n, event.stream, event.version)
                moved.add((event.stream, event.version))
        for event in odd:
            if (event.stream, event.version) in moved:
                continue
            if event.n in left:
                left.discard(event.n)
                self._note(
                    CHANGED,
                    f"{event.type} is not what was sealed",
                    event.n,
                    event.stream,
                    event.version,
                )
            else:
                self._note(
                    INSERTED,
                    f"{event.type} was never sealed here",
                    event.n,
                    event.stream,
                    event.version,
                )
        for n in sorted(left):
            run, version = self._places.at(n) or ("", 0)
            self._note(
                REMOVED, "an event that was sealed here is gone", n, run, version
            )

    def _other_place(
        self, event: Stored, missing: set[int], versions: Sequence[int]
    ) -> tuple[int, int] | None:
        for n in sorted(missing):
            for version in versions:
                if (n, version) != (event.n, event.version) and self._fits(
                    event, n, version
                ):
                    return n, version
        return None

    # -- one event ---------------------------------------------------------------------------------------

    def _fits(
        self, event: Stored, n: int | None = None, version: int | None = None
    ) -> bool:
        place = event.n if n is None else n
        wanted = self._leaves.leaf(place)
        return wanted is not None and any(
            leaf(self._found.partition, event, committed, n=place, version=version)
            == wanted
            for committed in self._commitments(event, place)
        )

    def _commitments(self, event: Stored, n: int) -> list[bytes]:
        """Return what was committed to at a position, if this event stood there: its payload, or an erased one."""
        salt = self._leaves.salt(n)
        return ([commitment(salt, event)] if any(salt) else []) + (
            [self._erased[n]] if n in self._erased else []
        )


def _bare(event: Stored) -> Stored:
    return replace(event, data=b"", metadata=b"")
