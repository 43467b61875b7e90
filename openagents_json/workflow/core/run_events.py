"""What happened to a run as a whole; `events` has the union of all events, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openagents_json.workflow.types import Json


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began, pinned to one definition."""

    run: str
    workflow: str
    version: str
    definition: str
    inputs: Mapping[str, Json]
    labels: Mapping[str, str] | None = None
    parent: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class RunQueued:
    """The run waits for its turn: `gates` are [kind, key, limit, policy] each; `delay_ms` is waited for first."""

    gates: Sequence[Json] = ()
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class RunAdmitted:
    """A queued run begins."""

    fences: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RunCompleted:
    """Every step is resolved; `output` is the result."""

    output: Json = None


@dataclass(frozen=True, slots=True)
class RunFailed:
    """The run ended without a result; `step` is where, when a step was the cause."""

    error: Mapping[str, Json]
    step: str | None = None


@dataclass(frozen=True, slots=True)
class RunFailing:
    """The run will end as failed, after compensations and what the document does on failure."""

    error: Mapping[str, Json]
    step: str | None = None


@dataclass(frozen=True, slots=True)
class RunReopened:
    """A closed run goes on.

    The steps in `forgotten` are done again, those in `resumed` hold some of them and go on; all other results are kept.
    With a `definition`, the run goes on by that one, which is `version` of its workflow. The results of the steps in
    `kept` are used again where their inputs turn out the same; those in `changed` have another definition or component.
    The steps in `anew` had completed: what they do from here on is another life, with an idempotency key of its own.
    """

    forgotten: Sequence[str]
    resumed: Sequence[str] = ()
    inputs: Mapping[str, Json] | None = None
    step: str = ""
    reason: str = ""
    definition: str = ""
    version: str = ""
    kept: Sequence[str] = ()
    changed: Sequence[str] = ()
    anew: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RunForked:
    """The events before are those of another run, `source`, up to its version `at`; from here on this run goes its way.

    What somebody was doing for the other run then is `forgotten` and done anew; the rest is as in RunReopened.
    """

    source: str
    at: int
    forgotten: Sequence[str]
    resumed: Sequence[str] = ()
    inputs: Mapping[str, Json] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunImported:
    """The events before, up to version `at`, were written in another store, `source`; from here on it goes on here.

    The steps in `lost` were under way there and are done again; those in `gated` held locks there and ask for them
    anew. With `paused`, the run goes on only when it is resumed. Behind the end of a run, it says where the run comes
    from and changes nothing. `how` is import, promote or restore, and `sha256` the hash of the file, "" for no file.
    """

    source: str
    at: int
    lost: Sequence[str] = ()
    gated: Sequence[str] = ()
    paused: bool = False
    reason: str = ""
    how: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class RunPaused:
    """No further step is scheduled or started; those under way finish."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A paused run goes on."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunCancelRequested:
    """Somebody wants the run to end; steps under way get a grace period, completed ones are compensated if asked."""

    reason: str = ""
    compensate: bool = True


@dataclass(frozen=True, slots=True)
class RunCancelled:
    """The run ended because it was asked to."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunRedacted:
    """What the closed run worked with is no more: payloads were erased, or the key that reads them was destroyed.

    `erased` are [version, SHA-256 of the data that stands there now, commitment to what the ledger had sealed, or ""]
    each; `metadata` has the SHA-256 of the metadata of those that have any, by version (None: the record is of a time
    when it was not kept). `failures` name the failures whose messages are gone, with what lists show of them.
    """

    how: str
    erased: Sequence[Json] = ()
    failures: Sequence[Json] = ()
    labels: bool = False
    reason: str = ""
    metadata: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RunHeld:
    """Nothing of the run may be erased, archived or deleted until the hold is released."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunHoldReleased:
    """The run is held no more."""

    reason: str = ""
