"""A history that comes from elsewhere, and what can be read of it without a fold."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from eventstore import codec
from eventstore.event import Json
from eventstore.redis.raw import RawEvent
from executor.errors import HistoryUnfit
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import AFTERWARDS, CLOSED_AS, DEFINES

STARTED: Final = ev.RunStarted.__name__
IMPORTED: Final = ev.RunImported.__name__
CANCEL_REQUESTED: Final = ev.RunCancelRequested.__name__
CLAIMED: Final = ev.StepStarted.__name__
CHILD_STARTED: Final = ev.ChildStarted.__name__
HOLDS: Final[Mapping[str, bool]] = {
    ev.RunHeld.__name__: True,
    ev.RunHoldReleased.__name__: False,
}


@dataclass(frozen=True, slots=True)
class IncomingHistory:
    """A history with what it refers to, each by its hash; `source` says where it comes from.

    `mark` is more metadata for each event. An open run waits with `paused` until somebody resumes it. `back` tells that
    it comes back from an archive, where a run has its id until then. `how` is import, promote or restore, and `sha256`
    the hash of the file that it comes from; one that is `ours`, as the log of this store proves, is no import.
    """

    run: str
    history: Sequence[RawEvent]
    definitions: Mapping[str, bytes]
    blobs: Mapping[str, bytes]
    source: str
    reason: str = ""
    paused: bool = False
    mark: Mapping[str, Json] = field(default_factory=dict)
    back: bool = False
    how: str = "import"
    sha256: str = ""
    ours: bool = False

    def command(self) -> cmd.ImportRun:
        """Return the command that takes it over."""
        at = self.history[-1].version
        return cmd.ImportRun(
            source=self.source,
            at=at,
            paused=self.paused,
            reason=self.reason,
            how=self.how,
            sha256=self.sha256,
        )


def ended(history: Sequence[RawEvent]) -> str:
    """Return the status of a run that had ended, else ""; what is noted after its end changes nothing."""
    course = next(
        (event.type for event in reversed(history) if event.type not in AFTERWARDS), ""
    )
    return CLOSED_AS.get(course, "")


class HeadFacts:
    """What the head of a run says beside its status, without a fold of its history."""

    def __init__(self, arriving: IncomingHistory) -> None:
        self.workflow = ""
        self.name = ""
        self.definition = ""
        self.cancel = False
        self.held = False
        self.fence = 0
        self._run = arriving.run
        for event in arriving.history:
            if event.type in _LOOKED_AT:
                self._note(event)
        if arriving.history[0].type != STARTED or not self.definition:
            raise HistoryUnfit(arriving.run, "its first event is not RunStarted")
        if self.definition not in arriving.definitions:
            raise HistoryUnfit(
                arriving.run,
                f"definition {self.definition}, by which it goes, does not come with it",
            )

    def _note(self, event: RawEvent) -> None:
        if event.type == CANCEL_REQUESTED:
            self.cancel = True
            return
        if event.type in HOLDS:
            self.held = HOLDS[event.type]
            return
        data = self._data(event)
        if event.type == CLAIMED:
            # Fences go on from the highest one of the other store, so that no worker of there can end a step here.
            self.fence = max(self.fence, _fence(data))
            return
        self.cancel = False
        self.definition = str(data.get("definition") or self.definition)
        if event.type == STARTED:
            self.workflow = str(data.get("workflow", ""))
            self.name = str(data.get("name", ""))
            if data.get("run") != self._run:
                raise HistoryUnfit(self._run, f"it is that of run {data.get('run')}")

    def _data(self, event: RawEvent) -> Mapping[str, Any]:
        try:
            data = codec.decode(event.data)
        except (ValueError, RecursionError) as error:
            raise HistoryUnfit(
                self._run, f"event {event.version} is no JSON: {error}"
            ) from error
        if not isinstance(data, dict):
            raise HistoryUnfit(self._run, f"event {event.version} holds no names")
        return data


def _fence(data: Mapping[str, Any]) -> int:
    """Return the fence of a claim; of numbers that no store gives out, 0."""
    text = str(data.get("fence", ""))
    is_fence = text.isdecimal() and len(text) < 17
    if is_fence:
        return int(text)
    return 0


_LOOKED_AT: Final = DEFINES | {CANCEL_REQUESTED, CLAIMED, *HOLDS}


def referred(history: Iterable[RawEvent]) -> tuple[list[str], list[str], list[str]]:
    """Return what a history refers to, as far as its events can be read: definitions, payloads, child runs."""
    definitions: dict[str, None] = {}
    blobs: dict[str, None] = {}
    children: dict[str, None] = {}
    for event in history:
        data = _references(event)
        if event.type in DEFINES and data.get("definition"):
            definitions[str(data["definition"])] = None
        if event.type == CHILD_STARTED and data:
            children[str(data.get("child"))] = None
        references = data.get("blobs")
        if isinstance(references, list):
            blobs.update((sha, None) for sha in _hashes(references))
    return list(definitions), list(blobs), list(children)


def _references(event: RawEvent) -> Mapping[str, Any]:
    """Return the data of an event that may refer to something, else nothing: few do, and to read all takes long."""
    may_refer = event.type in DEFINES or event.type == CHILD_STARTED
    if not may_refer and b'"blobs"' not in event.data:
        return {}
    try:
        data = codec.decode(event.data)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _hashes(references: Sequence[Any]) -> Iterator[str]:
    for reference in references:
        if isinstance(reference, list) and len(reference) > 1:
            yield str(reference[1])
