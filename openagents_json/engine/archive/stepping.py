"""Going through a capsule event by event, forward and backward: in memory, with no store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from eventstore import codec
from eventstore.redis.raw import ends_of_commits
from executor.encryption import RunKey
from executor.errors import NoSuchVersion, RunSealed
from executor.runs.codec import decode_all, is_sealed, shown
from executor.runs.payloads import is_shredded
from executor.runs.repository import Session
from openagents_json.engine.answers.runs import HistoryEvent, RunInfo
from openagents_json.engine.archive.capsule_file import Capsule
from openagents_json.engine.errors import CapsuleUnreadable
from openagents_json.engine.inspection.values import history_events, run_info
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core import state as st
from openagents_json.workflow.core.evolve import evolve
from openagents_json.workflow.core.plan import Plan
from openagents_json.workflow.language.compile import compile_plan

KeyOf = Callable[[str], RunKey]


_MALFORMED: Final = (AttributeError, LookupError, TypeError, ValueError)
"""What comes of events that others wrote, where they are not as ours are."""


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what is wrong with the events of a capsule into CapsuleUnreadable."""
    try:
        yield
    except _MALFORMED as error:
        raise CapsuleUnreadable(f"its events cannot be shown: {error}") from error


def _no_key(run: str) -> RunKey:
    raise RunSealed(run, "")


class Steps:
    """The events of a capsule, and the run as it was after each of them; states are folded when they are asked for."""

    def __init__(self, capsule: Capsule, key_of: KeyOf = _no_key) -> None:
        """Read the events; `key_of` gives the key of an encrypted run, and is asked for none that was shredded.

        Raises CapsuleUnreadable, EncryptionError and whatever `key_of` raises.
        """
        self.run = capsule.run
        self._capsule = capsule
        with _readable():
            recorded = [event.recorded(capsule.run, 0) for event in capsule.events]
            sealed = any(map(is_sealed, recorded))
            shredded = is_shredded(recorded)
        keys: dict[str, RunKey | None] = {}
        if sealed:
            keys[self.run] = None if shredded else key_of(self.run)
        with _readable():
            self._happened: Sequence[ev.Event] = decode_all(recorded, self._blobs, keys)
            recorded = [shown(item, keys) for item in recorded]
        self.events: Sequence[HistoryEvent] = history_events(recorded)
        self._states = [st.initial()]
        self._plans: dict[str, Plan] = {}

    def _blobs(self, references: Sequence[tuple[str, str]]) -> list[bytes]:
        return [self._capsule.blobs.get(sha, _GONE) for _, sha in references]

    def __len__(self) -> int:
        return len(self.events)

    def event(self, version: int) -> HistoryEvent:
        """Return an event.

        Raises NoSuchVersion.
        """
        if not 1 <= version <= len(self.events):
            raise NoSuchVersion(self.run, version, len(self.events))
        return self.events[version - 1]

    def state(self, version: int) -> st.RunState:
        """Return the state after an event.

        Raises NoSuchVersion.
        """
        self.event(version)
        while len(self._states) <= version:
            number = len(self._states)
            try:
                state = evolve(self._states[-1], self._happened[number - 1])
            except _MALFORMED as error:
                raise CapsuleUnreadable(
                    f"event {number} does not fit: {error}"
                ) from error
            self._states.append(state)
        return self._states[version]

    def shown(self, version: int) -> RunInfo:
        """Return the run as it was after an event.

        Raises NoSuchVersion and CapsuleUnreadable.
        """
        state = self.state(version)
        event = self.event(version)
        session = Session(
            run=self.run,
            version=version,
            commit=event.commit,
            state=state,
            plan=self._plan(state.definition),
        )
        return run_info(session, self.events[0].time_ms)

    def _plan(self, digest: str) -> Plan:
        if digest not in self._plans:
            raw = self._capsule.definitions.get(digest)
            if raw is None:
                raise CapsuleUnreadable(f"definition {digest} is not in it")
            self._plans[digest] = compile_plan(codec.decode(raw))
        return self._plans[digest]

    def components(self) -> frozenset[str]:
        """Name the components that the run may call."""
        specs = self._capsule.components
        if not isinstance(specs, list):
            return frozenset()
        return frozenset(
            str(spec.get("component")) for spec in specs if isinstance(spec, Mapping)
        )

    def resting(self) -> int:
        """Return the last version, at the end of a commit, at which the run could be kept still; 0 when there is none.

        A run that is being undone, or that stands in a line, cannot be paused, but one that was running can.
        """
        for version in reversed(ends_of_commits(self._capsule.events)):
            state = self.state(version)
            at_its_end = state.closed and version == len(self)
            if at_its_end or state.status in (st.RUNNING, st.PAUSED):
                return version
        return 0


_GONE = codec.encode("(this payload is not in the capsule)")
