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
        for found in self.findings:
            place = f"partition {found.partition}" + (
                f", position {found.n}" if found.n else ""
            )
            event = (
                f"event {found.version} of {found.run}"
                if found.version
                else f"run {found.run}"
            )
            run = f", {event}" if found.run else ""
            line = f"{found.kind}: {place}{run}: {found.what}"
            yield line.encode(
                "utf-8", "backslashreplace"
            ).decode()  # names may be no text that can be printed
        more = [
            f"{count} {what}"
            for count, what in (
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
            if count
        ]
        said = (
            f"{len(self.findings)} findings"
            if self.findings
            else "intact"
            if self.intact
            else "not proved"
        )
        yield f"{said}: {self.verified} events in {self.epochs} signed epochs verified{''.join(f', {x}' for x in more)}"
        if self.file and self.unproved:
            yield "whoever holds the file may have erased that: have the store sealed, and ask for a new file"
        if self.named:
            yield "the keys are those that the ledger names itself; name one that you hold with --key"


def together(
    audits: list[Audit], findings: list[Finding], *, named: bool, file: bool = False
) -> Audit:
    """Add up the checks of partitions, with what was found beside them."""
    everything = sorted(
        [*findings, *(found for audit in audits for found in audit.findings)]
    )
    counts = {
        name: sum(getattr(audit, name) for audit in audits)
        for name in (
            "verified",
            "erased",
            "chained",
            "unsealed",
            "archived",
            "epochs",
            "imported",
            "unproved",
        )
    }
    return Audit(tuple(everything), **counts, named=named, file=file)
