"""What a check of the ledger comes to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

CHANGED: Final = "changed"
REMOVED: Final = "removed"
INSERTED: Final = "inserted"
MOVED: Final = "moved"
ERASED: Final = "erased without a record"
LEDGER: Final = "ledger"
SIGNATURE: Final = "signature"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something that is not as it was sealed: what kind, where, and what was seen; n, run and version where known."""

    partition: int
    n: int
    kind: str
    run: str
    version: int
    what: str

    def line(self) -> str:
        """Say it for people."""
        where = f"partition {self.partition}"
        if self.n:
            where += f", position {self.n}"
        if self.run and self.version:
            where += f", event {self.version} of {self.run}"
        elif self.run:
            where += f", run {self.run}"
        text = f"{self.kind}: {where}: {self.what}"
        # Names may be no text that can be printed.
        return text.encode("utf-8", "backslashreplace").decode()


def record_finding(partition: int, kind: str, message: str) -> Finding:
    """Return a finding about what is signed of a partition, not about an event."""
    return Finding(partition=partition, n=0, kind=kind, run="", version=0, what=message)


@dataclass(frozen=True, slots=True)
class Audit:
    """How a check ended: `verified` events are as they were sealed and signed, and count `erased` payloads.

    `chained` are in epochs that are not signed yet, `unsealed` not in the ledger yet, `archived` no more in the store.
    Of the `imported` ones, which another store has written, it is proved that they are as they came in, and not more.
    `named` tells that the keys were those that the ledger itself names.

    Events that are `unproved` are erased or archived on the word of a record that is not signed yet. In a store that
    is how it is until the next seal; in a `file`, whoever holds it may have written that record.
    """

    findings: tuple[Finding, ...] = ()
    verified: int = 0
    erased: int = 0
    chained: int = 0
    unsealed: int = 0
    archived: int = 0
    epochs: int = 0
    named: bool = False
    imported: int = 0
    unproved: int = 0
    file: bool = field(default=False, compare=False)

    @property
    def intact(self) -> bool:
        """Tell whether nothing was found, and nothing in a file hangs on what nobody has signed."""
        return not self.findings and not (self.file and self.unproved)

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        for finding in self.findings:
            yield finding.line()
        yield self._summary()
        if self.file and self.unproved:
            yield "whoever holds the file may have erased that: have the store sealed, and ask for a new file"
        if self.named:
            yield "the keys are those that the ledger names itself; name one that you hold with --key"

    def _summary(self) -> str:
        if self.findings:
            verdict = f"{len(self.findings)} findings"
        else:
            verdict = "intact" if self.intact else "not proved"
        summary = (
            f"{verdict}: {self.verified} events in {self.epochs} signed epochs verified"
        )
        further = (
            (self.erased, "of them with erased payloads"),
            (self.chained, "chained, not signed yet"),
            (self.unsealed, "not sealed yet"),
            (self.archived, "archived"),
            (
                self.unproved,
                "erased or archived on the word of a record that is not signed yet",
            ),
            (
                self.imported,
                "imported, with actors and times that another store has given them",
            ),
        )
        counted = [f", {count} {meaning}" for count, meaning in further if count]
        return summary + "".join(counted)


_COUNTS: Final = (
    "verified",
    "erased",
    "chained",
    "unsealed",
    "archived",
    "epochs",
    "imported",
    "unproved",
)
"""What is added up of the checks of partitions."""


def together(
    audits: list[Audit], findings: list[Finding], *, named: bool, file: bool = False
) -> Audit:
    """Add up the checks of partitions, with what was found beside them."""
    of_partitions = [finding for audit in audits for finding in audit.findings]
    counts = {name: sum(getattr(audit, name) for audit in audits) for name in _COUNTS}
    everything = sorted([*findings, *of_partitions])
    return Audit(tuple(everything), **counts, named=named, file=file)
