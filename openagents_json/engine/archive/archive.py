"""Closed runs into the archive and back: written, read back and compared before they leave the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from eventstore import codec
from eventstore.errors import BlobMissing, LockLost, LockTaken, StoreRefused
from eventstore.event import Event
from eventstore.passwords import STARS, filled_in, masked
from eventstore.private_files import spool
from eventstore.redis.leases.fenced import UNSURE
from eventstore.redis.streams import RedisStreamStore
from eventstore.redis.upkeep.removal import (
    DepartingRun,
    RemovalOutcome,
    RemovalResult,
    RunRemover,
    archive_stream,
    positions,
)
from eventstore.redis.views import RedisViewStore
from executor.errors import RunNotFound
from executor.runs.repository import Session
from openagents_json.engine.archive import files as archive_files
from openagents_json.engine.archive.capsule_file import Capsule, unpack
from openagents_json.engine.archive.capsule_writer import write_to
from openagents_json.engine.archive.capsules import adopt, take
from openagents_json.engine.audit import AuditService
from openagents_json.engine.errors import (
    ArchiveUnreachable,
    CannotLeave,
    CapsuleUnreadable,
    NotArchived,
)
from openagents_json.engine.wiring.client import Core
from openagents_json.engine.wiring.ledger import build_sealer
from openagents_json.statuses import CLOSED_RUN
from openagents_json.work_index import DueKey, DueKind
from openagents_json.workflow.core import commands as cmd
from openagents_json.workflow.core import events as ev
from openagents_json.workflow.core.event_types import SCHEDULES

TRIES: Final = 5
_PIECE: Final = 1024**2
RESTORED: Final = {"restored": True}


@dataclass(frozen=True, slots=True)
class DepartedRun:
    """A run that has left: where it is ("" for one that is deleted); bytes in memory before, in the file, and left."""

    run: str
    url: str
    before: int
    archived: int
    left: int


@dataclass(frozen=True, slots=True)
class Departure:
    """How runs leave: to where ("" deletes them), why, and which consumers of the log need not have read them."""

    to: str = field(repr=False)
    reason: str = ""
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a place that ends with this process.

        Raises InvalidRequest.
        """
        archive_files.lasting(self.to)


class Archive:
    """Lets closed runs leave a store, and brings them back."""

    def __init__(self, core: Core, actor: str) -> None:
        self._core = core
        self._actor = actor
        self._remover = RunRemover(core.store)

    @contextmanager
    def alone(self, lease: str) -> Iterator[Archive]:
        """Give this archive to one process at a time: no run leaves by it when the lease is lost.

        Raises LockTaken.
        """
        with self._core.alone(lease) as client:
            other = copy(self)
            other._remover = RunRemover(client)
            yield other

    # -- holds -------------------------------------------------------------------------------------------

    def hold(self, run: str, reason: str = "") -> None:
        """Hold a run: nothing of it is erased, archived or deleted until it is released.

        Raises RunNotFound.
        """
        self._core.handler.handle(run, cmd.HoldRun(True, reason), actor=self._actor)

    def release(self, run: str, reason: str = "") -> None:
        """Release a run.

        Raises RunNotFound.
        """
        self._core.handler.handle(run, cmd.HoldRun(False, reason), actor=self._actor)

    # -- leaving -----------------------------------------------------------------------------------------

    def leave(self, run: str, how: Departure) -> DepartedRun:
        """Let a run leave: into the archive, where it is read back and compared first, or for good.

        Raises RunNotFound, CannotLeave, ArchiveUnreachable, and LockLost where a policy is kept.
        """
        self._catch_up(run)
        for _ in range(TRIES):
            session = self._core.sessions.load(run)
            self._check(session)
            capsule = take(
                self._core,
                run,
                actor=self._actor,
                proofs=AuditService(self._core).proof_bytes(run),
            )
            if capsule.events[-1].version != session.version:
                continue
            # A payload that was erased since is one more change: it is tried again with what the run is now.
            with suppress(BlobMissing):
                departed = self._depart(session, capsule, how)
                if departed is not None:
                    return departed
        raise CannotLeave(run, "others change it all the time")

    def _catch_up(self, run: str) -> None:
        """Let those consumers read the run that this process can bring up to date, if there is memory for it."""
        with suppress(StoreRefused):
            for name in self._core.reads.views.names():
                self._core.reads.views.current(name)
        if self._core.signer is not None:
            sealer = build_sealer(self._core, self._core.signer)
            # Whoever seals just now has come so far, or the run stays.
            with suppress(LockTaken):
                sealer.seal([self._core.store.partition_of(run)], close=False)

    def _consumers(self) -> list[str]:
        """Return the consumers that the store knows of, whoever runs them; one may not have read anything yet.

        Views that are at home in a log without runs read none.
        """
        generations = RedisViewStore(self._core.store).generations()
        elsewhere = {x.name for x in self._core.projections if x.home is not None}
        consumers = [
            f"view:{name.removesuffix('/next')}.{generation}"
            for name, generation in generations.items()
            if name.partition(".")[0] not in elsewhere
        ]
        if self._core.ledger.identity():
            consumers.append("ledger")
        return consumers

    def _check(self, session: Session) -> None:
        """Refuse a run that has to stay.

        Raises CannotLeave.
        """
        run = session.run
        state = session.state
        if not state.closed:
            raise CannotLeave(
                run, f"it is {state.status}: only closed runs leave; cancel it first"
            )
        if state.held:
            raise CannotLeave(run, "it is held", because=HELD)
        family = [str(state.parent["run"])] if state.parent else []
        family += [step.child for step in state.steps.values() if step.child]
        statuses = self._core.store.statuses(family)
        for relative, status in zip(family, statuses, strict=True):
            if status and status not in CLOSED_RUN:
                raise CannotLeave(
                    run, f"run {relative}, which belongs to it, has not ended"
                )

    def _depart(
        self, session: Session, capsule: Capsule, how: Departure
    ) -> DepartedRun | None:
        """Write the capsule and free the run; None when it has moved on meanwhile."""
        run = capsule.run
        row = next(iter(self._core.reads.views.get("runs", run, stale=True)), None)
        if row is None:  # somebody else was faster
            return None
        commit = self._core.handler.commit_id()
        url = _url(how.to, session, capsule, commit) if how.to else ""
        commits = {(event.commit, event.time_ms) for event in capsule.events}
        before = self._remover.memory(run, capsule.blobs, len(commits))
        # First the file, read back and compared, then the run goes: a crash in between leaves a file too many.
        archived = self._write(capsule, url) if url else {}
        note = self._note(capsule, how, row, archived)
        # Views that are being replaced will never read it.
        replaced = [f"view:{name}" for name in self._core.reads.views.replaced()]
        leaving = DepartingRun(
            run=run,
            events=capsule.events,
            blobs=list(capsule.blobs),
            note=note,
            commit_id=commit,
            actor=self._actor,
            without=[*how.without, *replaced],
            messages=_messages(run, capsule),
            wipe=() if url else (f"key:{run}", f"end:{run}"),
            keep=bool(url),
            required=self._consumers(),
        )
        if not self._freed(leaving, url):
            return None
        size = int(archived.get("bytes", 0))
        return DepartedRun(
            run=run, url=masked(url), before=before, archived=size, left=len(note[1])
        )

    def _freed(self, leaving: DepartingRun, url: str) -> bool:
        """Let a run go, or else take its file away; False when it has moved on meanwhile."""
        try:
            answer = self._remover.free(leaving)
        except LockLost as error:
            # What was refused is carried out by nobody later: the run is there, and its file is one too many.
            if url and error.written != UNSURE:
                archive_files.remove(url)
            raise
        self._core.sessions.drop(leaving.run)
        self._core.keyring.forget(leaving.run)
        if answer.code is RemovalOutcome.DONE:
            return True
        if url:
            archive_files.remove(url)
        if answer.code is RemovalOutcome.MOVED:
            return False
        raise _refusal(leaving.run, answer)

    def _write(self, capsule: Capsule, url: str) -> dict[str, Any]:
        """Write a file, read it back, and say what it is: what cannot be read is no archive."""
        with spool() as file, open(os.devnull, "wb") as nowhere:
            write_to(capsule, file)
            size = file.tell()
            file.seek(0)
            sha = hashlib.sha256()
            while piece := file.read(_PIECE):
                sha.update(piece)
            file.seek(0)
            archive_files.write(url, file)
            same_bytes = archive_files.read(url, nowhere) == sha.hexdigest()
            if not same_bytes or unpack(file).run != capsule.run:
                raise ArchiveUnreachable(
                    url, "what is read there is not what was written"
                )
        return {"url": masked(url), "sha256": sha.hexdigest(), "bytes": size}

    def _note(
        self, capsule: Capsule, how: Departure, row: Any, archived: Mapping[str, Any]
    ) -> tuple[str, bytes]:
        """Return the event that stays of a run; `archived` says where its file is, and is empty when it is deleted."""
        data: dict[str, Any] = {
            "run": capsule.run,
            "workflow": capsule.manifest["workflow"],
            "events": len(capsule.events),
            "positions": positions(capsule.events),
            "reason": how.reason,
            **archived,
        }
        if not archived:
            return "RunDeleted", codec.encode(data)
        if row.get("error"):
            # What it said is in the archive, where it can be erased with the file.
            row = {**row, "error": {**row["error"], "message": ""}}
        data["row"] = row
        return "RunArchived", codec.encode(data)

    # -- coming back -------------------------------------------------------------------------------------

    def restore(self, run: str, *, url: str = "", archive: str = "") -> str:
        """Bring a run back from the archive, or from a file elsewhere, and give its status.

        The store does not record passwords: `archive` is the URL of the archive with them. A second time changes
        nothing. Raises NotArchived, ArchiveUnreachable and CapsuleUnreadable.
        """
        archived: Any = next(iter(self._core.reads.views.get("archive", run)), None)
        if archived is None and not url:
            [status] = self._core.store.statuses([run])
            if not status:
                raise NotArchived(run)
            return status
        where = url or filled_in(str(archived["url"]), archive)
        if "://" in where and STARS in where:
            why = "the store records no passwords; give its URL with --file, or set OPENAGENTS_ARCHIVE"
            raise ArchiveUnreachable(where, why)
        with spool() as file:
            sha = archive_files.read(where, file)
            if archived is not None and sha != archived["sha256"]:
                raise CapsuleUnreadable(
                    f"{masked(where)} is not the file that was archived"
                )
            self._come_back(run, where, unpack(file), ours=archived is not None)
        if archived is not None:
            self._note_return(run, archived)
        return self._core.store.statuses([run])[0]

    def _note_return(self, run: str, archived: Mapping[str, Any]) -> None:
        """Say that a run is back, once: the id of the commit is that of its departure, so a second one is a duplicate.

        After the run itself, because a crash in between is made good by restoring it again.
        """
        log = RedisStreamStore(self._core.connection, self._core.store.keys)
        url = masked(str(archived["url"]))
        log.append(
            archive_stream(self._core.store.partition_of(run)),
            [Event("RunRestored", {"run": run, "url": url})],
            commit_id=f"{archived['sha256'][:24]}-{archived['archived_ms']}",
            actor=self._actor,
        )

    def _come_back(self, run: str, where: str, capsule: Capsule, *, ours: bool) -> None:
        if capsule.run != run:
            raise CapsuleUnreadable(f"{masked(where)} is run {capsule.run}")
        if ours:
            adopt(self._core, capsule, actor=self._actor, mark=RESTORED, how="return")
        else:  # from elsewhere: nothing here says that this is what the run was
            adopt(self._core, capsule, actor=self._actor, how="restore")

    def memory(self, run: str) -> int:
        """Return about how many bytes a run takes in the server.

        Raises RunNotFound.
        """
        capsule = take(self._core, run, actor=self._actor)
        commits = {(event.commit, event.time_ms) for event in capsule.events}
        return self._remover.memory(run, capsule.blobs, len(commits))


def _url(base: str, session: Session, capsule: Capsule, commit: str) -> str:
    """Name the file of a run; two who archive it at once have a file each, and who is too late removes theirs."""
    begun = datetime.fromtimestamp(capsule.events[0].time_ms / 1000, UTC)
    workflow = session.state.workflow
    return f"{base.rstrip('/')}/{workflow}/{begun:%Y/%m}/{capsule.run}-{commit}.oac"


def _messages(run: str, capsule: Capsule) -> Sequence[DueKey]:
    """Return the due members that a closed run may still have: messages to other runs, and locks to give back."""
    keys = dict.fromkeys(
        DueKey(kind, run)
        for kind in (DueKind.PARENT, DueKind.GIVE_BACK, DueKind.DECISION)
    )
    for event in capsule.events:
        if event.type == ev.ChildStarted.__name__:
            data = codec.decode(event.data)
            keys[DueKey(DueKind.CHILD, run, data["step"])] = None
            keys[DueKey(DueKind.CANCEL_CHILD, run, data["child"])] = None
        elif event.type in SCHEDULES:
            data = codec.decode(event.data)
            if data.get("gates"):
                keys[DueKey(DueKind.GIVE_BACK, run, data["step"])] = None
    return list(keys)


def _refusal(run: str, answer: RemovalResult) -> Exception:
    detail = answer.detail
    match answer.code:
        case RemovalOutcome.UNKNOWN:
            return RunNotFound(run)
        case RemovalOutcome.HELD:
            return CannotLeave(run, "it is held", because=HELD)
        case RemovalOutcome.SENDING:
            why = f"it has something to tell another run ({detail}); start a worker"
        case RemovalOutcome.UNREAD:
            return _unread(run, detail.partition(",")[0])
        case RemovalOutcome.OPEN:
            why = "it was opened again"
        case _:
            why = f"the log has another entry at {detail}"
            return CannotLeave(run, why, because="tampered")
    return CannotLeave(run, why)


def _unread(run: str, consumer: str) -> CannotLeave:
    because = "unsealed" if consumer == "ledger" else "unread"
    why = f"consumer {consumer} has not read it yet"
    return CannotLeave(run, why, because=because)


HELD: Final = "held"
