"""The words in which `events` says what a type of event is like: each declaration there says all that applies.

Nothing else keeps a list of event types: `event_types` gives the set of those with a trait.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, Flag, auto
from functools import partial
from typing import Final, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import astuple

from openagents_json.statuses import RunStatus

T = TypeVar("T")


class Timed(Struct, frozen=True, gc=False):
    """An event that knows when it was stored, in its last field, `time_ms`: the log has that beside its data.

    It is read from there and never written, and events that differ in nothing else are equal.
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return astuple(self)[:-1] == astuple(other)[:-1]

    def __hash__(self) -> int:
        return hash(astuple(self)[:-1])


class Declare(Protocol):
    """Gives the class of an event its traits, and gives the class back."""

    def __call__(self, event_type: type[T], /) -> type[T]: ...


class Origin(Enum):
    """Where an event comes from, and so whether the same plan leads to it again."""

    FACT = "fact"
    """From outside: workers, people, time. It is true whatever is decided on it, and stored even without a decision."""

    DECISION = "decision"
    """From the plan, the state and the facts before it: deciding again leads to it again."""

    FORCED = "forced"
    """A decision that may also follow from a command which leaves no event of its own, such as a limit of the run."""

    NOTE = "note"
    """Something said about the run, on which nothing of its course depends."""


class Phase(Enum):
    """When in the life of a run an event may happen, and whether it begins or ends that life."""

    OPENS = "opens"
    """The run is open behind it: the first event, and what opens a closed run again or elsewhere."""

    OPEN = "open"
    """Only while the run is open."""

    CLOSES = "closes"
    """The run has ended behind it."""

    ANY = "any"
    """Also after the end, which it leaves as it is."""


class Attempt(Enum):
    """What an event says of an attempt of its step."""

    BEGUN = "begun"
    COMPLETED = "completed"

    FAILED = "failed"
    """It counts against the retries of the step."""

    TIMED_OUT = "timed out"
    """It counts against the retries of the step."""

    LOST = "lost"
    """Its worker went silent; it counts against the limit of lost workers, not against the retries."""

    GIVEN_BACK = "given back"
    """Its worker has not begun it, or stopped it because the worker itself stops; it counts against no limit."""

    CANCELLED = "cancelled"
    """Its step was withdrawn."""

    OVERRIDDEN = "overridden"
    """Somebody said how its step ended."""

    LATE = "late"
    """Its outcome came after its lease was lost, and was refused."""


ENDS_ATTEMPT: Final = frozenset(
    {
        Attempt.COMPLETED,
        Attempt.FAILED,
        Attempt.TIMED_OUT,
        Attempt.LOST,
        Attempt.GIVEN_BACK,
    },
)
"""How an attempt ends; these events carry its number."""

RESOLVES_STEP: Final = frozenset(
    {
        Attempt.COMPLETED,
        Attempt.FAILED,
        Attempt.TIMED_OUT,
        Attempt.CANCELLED,
        Attempt.OVERRIDDEN,
    },
)
"""With these the step may be over, and not only its attempt."""

INCIDENTAL: Final = frozenset(
    {Attempt.BEGUN, Attempt.LOST, Attempt.GIVEN_BACK, Attempt.LATE}
)
"""Which worker was there when: runs that went the same way may differ in it."""


class Subject(Enum):
    """What an event is about."""

    RUN = "run"
    """The run as a whole: the view of runs has it."""

    STEP = "step"
    """A step, or what steps wait for: timers, signals, child runs."""


class Effect(Flag):
    """What may follow from an event; those that it has are said together, `DUE | WAITS`."""

    NOTHING = 0

    SETTLES = auto()
    """Only a decision brings it about, so that whatever came before it has been decided on."""

    SCHEDULES = auto()
    """A step begins with it, of which there was no event before."""

    READIES = auto()
    """Its step may be claimed behind it, now or after a delay."""

    DUE = auto()
    """What the run or its step waits for in time may change with it."""

    WAITS = auto()
    """Behind it the run waits for more than a worker, so that the log has to know at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What an event type is like.

    `status` is that of the run behind it, None where it stays. `payloads` are the fields that hold what users work
    with: stored beside the log where they are large, encrypted where the run is, erased when it is redacted.
    """

    subject: Subject
    origin: Origin
    phase: Phase
    status: RunStatus | None
    attempt: Attempt | None
    effects: Effect
    payloads: tuple[str, ...]


def run_event(
    *,
    origin: Origin,
    phase: Phase,
    status: RunStatus | None,
    effects: Effect,
    payloads: tuple[str, ...],
) -> Declare:
    """Declare an event about a run as a whole; no trait has a default, so that each is thought of."""
    traits = Traits(
        subject=Subject.RUN,
        origin=origin,
        phase=phase,
        status=status,
        attempt=None,
        effects=effects,
        payloads=payloads,
    )
    return partial(_declare, traits)


def step_event(
    *,
    origin: Origin,
    attempt: Attempt | None,
    effects: Effect,
    payloads: tuple[str, ...],
) -> Declare:
    """Declare an event about a step, or about what steps wait for; it happens in an open run and leaves its status."""
    traits = Traits(
        subject=Subject.STEP,
        origin=origin,
        phase=Phase.OPEN,
        status=None,
        attempt=attempt,
        effects=effects,
        payloads=payloads,
    )
    return partial(_declare, traits)


def traits_of(event_type: type) -> Traits:
    """Return what the declaration of an event type says."""
    traits: Traits = event_type.__event_traits__  # type: ignore[attr-defined]
    return traits


def _declare(traits: Traits, event_type: type[T]) -> type[T]:
    missing = set(traits.payloads) - set(event_type.__annotations__)
    if missing:
        raise TypeError(
            f"{event_type.__name__} has no field {', '.join(sorted(missing))} to be a payload"
        )
    event_type.__event_traits__ = traits  # type: ignore[attr-defined]
    return event_type
