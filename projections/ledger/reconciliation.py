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


_COUNTS: Final = (
    "verified",
    "chained",
    "erased",
    "unsealed",
    "archived",
    "imported",
    "unproved",
)


class Reconciliation:
    """The events of a partition against its leaves; `note` takes kind, what, position, run and version.

    Events up to `signed_to` are signed, but for those that are `doubtful`.
    """

    def __init__(
        self,
        evidence: Partition,
        leaves: Leaves,
        signed_to: int,
        doubtful: Sequence[Span],
        note: Note,
    ) -> None:
        self._evidence = evidence
        self._leaves = leaves
        self._note = note
        self._signed_to = signed_to
        self._doubtful = joined(doubtful)
        self._head: int = evidence.head
        self._erased: Mapping[int, bytes] = evidence.erased
        self._log_index = LogIndex(evidence.log)
        for n, run, version in self._log_index.doubled():
            note(LEDGER, "the log has another entry here as well", n, run, version)
        self._unsealed: set[int] = set()
        self._archived: list[Span] = []
        self._archived_signed: list[Span] = []
        self._archived_lately: list[Span] = []
        self._unfitting: list[Stored] = []
        self._erasures = Erasures()
        self._erasures_signed = Erasures()
        self._erased_events: list[tuple[Stored, ErasedHashes, bytes]] = []
        self.counts = dict.fromkeys(_COUNTS, 0)

    # -- page by page ------------------------------------------------------------------------------------

    def read(self, page: Sequence[Stored]) -> None:
        """Read some events; whatever comes into the store meanwhile is known after them."""
        fits = [self._fits(event) for event in page]
        unfitting = [event for event, fit in zip(page, fits, strict=True) if not fit]
        # First the events, then what has come or was erased meanwhile: otherwise an event that was erased between
        # the two would look changed.
        if any(map(self._newer, unfitting)):
            self._head, self._erased = self._evidence.now()
            again = map(self._fits, page)
            fits = [fit or later for fit, later in zip(fits, again, strict=True)]
        for event, fit in zip(page, fits, strict=True):
            self._erasures.read(event)
            self._sort_in(event, fits=fit)

    def _sort_in(self, event: Stored, *, fits: bool) -> None:
        """Count an event as one that was sealed, as one that was not sealed yet, or keep it to be looked at later."""
        if fits and self._leaves.take(event.n):
            self._archived += archived_spans(event)
            self._fitting(event)
            return
        if not self._is_unsealed(event):
            self._keep(event)
            return
        self._archived += archived_spans(event)
        self._archived_lately += archived_spans(event)
        self._unsealed.add(event.n)

    def _is_unsealed(self, event: Stored) -> bool:
        """Tell whether an event stands, as the only one there, between the checkpoint and the head of the log."""
        is_behind_checkpoint = self._evidence.checkpoint < event.n <= self._head
        return is_behind_checkpoint and event.n not in self._unsealed

    def _newer(self, event: Stored) -> bool:
        """Tell whether an event may fit by what has come since its partition was looked at."""
        if event.n > self._head:
            return True
        return self._leaves.leaf(event.n) is not None and event.n not in self._erased

    def _fitting(self, event: Stored) -> None:
        n = event.n
        salt = self._leaves.salt(event.n)
        if n > self._signed_to:
            self.counts["chained"] += 1
        elif not within(self._doubtful, n, n):
            self.counts["verified"] += 1
            self._erasures_signed.read(event)
            self._archived_signed += archived_spans(event)
        is_another = not any(salt) or self._leaf_of(event, salt) != self._leaves.leaf(n)
        if is_another:
            hashes = ErasedHashes.of(event)
            self._erased_events.append((_bare(event), hashes, self._erased[n]))
        self.counts["imported"] += bool(written_in(event))
        self._check_log(event)
        for kind, message in amiss(event, self._evidence.blob):
            self._note_event(kind, message, event)

    def _leaf_of(self, event: Stored, salt: bytes) -> bytes:
        return leaf(self._evidence.partition, event, commitment(salt, event))

    def _check_log(self, event: Stored) -> None:
        """The log of the partition has to name the same event at the position."""
        logged = self._log_index.at(event.n)
        if logged is None:
            self._note_event(LEDGER, "the log does not name it", event)
        elif logged != (event.stream, event.version):
            run, version = logged
            message = f"the log has event {version} of {run} here"
            self._note_event(LEDGER, message, event)

    def _note_event(self, kind: str, message: str, event: Stored) -> None:
        self._note(kind, message, event.n, event.stream, event.version)

    def _keep(self, event: Stored) -> None:
        """Keep an event that does not fit; its payload is of use only while there are few."""
        if len(self._unfitting) == TRIED:
            self._unfitting = [_bare(x) for x in self._unfitting]
        self._unfitting.append(event if len(self._unfitting) < TRIED else _bare(event))

    # -- at the end --------------------------------------------------------------------------------------

    def end(self) -> None:
        """Name what does not fit, and what is missing, after the last event."""
        lately = joined(self._archived_lately)
        for event, stands, stood in self._erased_events:
            self._check_erased(event, stands, stood, lately)
        archived = joined(self._archived)
        proved = joined(self._archived_signed)
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
        run = event.stream
        version = event.version
        self.counts["erased"] += 1
        if self._erasures_signed.cover(run, version, stands, stood):
            return
        is_archived_lately = within(lately, event.n, event.n)
        was_erased = is_archived_lately or self._erasures.cover(
            run, version, stands, stood
        )
        if was_erased:
            self.counts["unproved"] += 1
            return
        message = f"{event.type} is marked as erased, and no record of the run says that it was"
        self._note_event(ERASED, message, event)

    def _explain(self, missing: set[int]) -> None:
        """Pair what does not fit with what is missing: moved, changed, inserted, removed."""
        for event in self._not_moved(missing):
            if event.n in missing:
                missing.discard(event.n)
                message = f"{event.type} is not what was sealed"
                self._note_event(CHANGED, message, event)
            else:
                message = f"{event.type} was never sealed here"
                self._note_event(INSERTED, message, event)
        for n in sorted(missing):
            run, version = self._log_index.at(n) or ("", 0)
            message = "an event that was sealed here is gone"
            self._note(REMOVED, message, n, run, version)

    def _not_moved(self, missing: set[int]) -> list[Stored]:
        """Name the events that fit elsewhere, take their positions out of `missing`, and return the others."""
        events = self._unfitting
        versions = sorted({event.version for event in events})
        # Each event is tried at each missing position as each version: more than this a forged file does not get.
        tries = len(events) * len(missing) * len(versions)
        if len(events) > TRIED or tries > MOST_TRIES:
            return events
        relocated: set[tuple[str, int]] = set()
        for event in events:
            sealed_as = self._other_position(event, missing, versions)
            if sealed_as is None:
                continue
            n, version = sealed_as
            missing.discard(n)
            message = f"{event.type} was sealed at position {n} as event {version}"
            self._note_event(MOVED, message, event)
            relocated.add((event.stream, event.version))
        return [x for x in events if (x.stream, x.version) not in relocated]

    def _other_position(
        self, event: Stored, missing: set[int], versions: Sequence[int]
    ) -> tuple[int, int] | None:
        own = (event.n, event.version)
        for n in sorted(missing):
            for version in versions:
                if (n, version) != own and self._fits(event, n, version):
                    return n, version
        return None

    # -- one event ---------------------------------------------------------------------------------------

    def _fits(
        self, event: Stored, n: int | None = None, version: int | None = None
    ) -> bool:
        position = event.n if n is None else n
        sealed_leaf = self._leaves.leaf(position)
        if sealed_leaf is None:
            return False
        partition = self._evidence.partition
        return any(
            leaf(partition, event, committed, n=position, version=version)
            == sealed_leaf
            for committed in self._commitments(event, position)
        )

    def _commitments(self, event: Stored, n: int) -> list[bytes]:
        """Return what was committed to at a position, if this event stood there: its payload, or an erased one."""
        commitments = []
        salt = self._leaves.salt(n)
        if any(salt):
            commitments.append(commitment(salt, event))
        if n in self._erased:
            commitments.append(self._erased[n])
        return commitments


def _bare(event: Stored) -> Stored:
    return replace(event, data=b"", metadata=b"")
