"""The composition root of what folds runs, decides and commits; it brings the whole language of documents along."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from eventstore.bell import Bell
from eventstore.directory import Directory
from eventstore.gates import Gates
from eventstore.key_store import KeyStore
from eventstore.run_store import RunStore
from eventstore.schedule_store import ScheduleStore
from executor.clock import commit_ids
from executor.definitions import Definitions
from executor.encryption import KEY_BYTES
from executor.gates import Gatekeeper
from executor.handle import Handler
from executor.journal import Limits
from executor.keyring import Keyring
from executor.payloads import Payloads
from executor.ringing import NoDoorbell, Ringer
from executor.schedules import Timetable
from executor.sessions import Sessions
from executor.snapshots import Seals
from executor.starting import Starter, starter_of
from executor.workflows import Workflows
from openagents_json.engine.wiring import Given


@dataclass(frozen=True, slots=True)
class Deciding:
    """The parts that fold runs, decide and commit."""

    sessions: Sessions
    keyring: Keyring
    definitions: Definitions
    handler: Handler
    ringer: Ringer
    workflows: Workflows
    gatekeeper: Gatekeeper
    starter: Starter
    timetable: Timetable


def build_deciding(store: RunStore, directory: Directory, given: Given) -> Deciding:
    """Put together what folds, decides and commits."""
    definitions = Definitions(store)
    keyring = Keyring(KeyStore(store), given.masters)
    shared = given.masters.secrets()  # without any, no other process can know ours
    seals = Seals(shared or [secrets.token_bytes(KEY_BYTES)], shared=bool(shared))
    sessions = Sessions(store, definitions, Payloads(store, keyring), seals)
    ringer = Ringer(Bell(given.connection, store.keys), given.doorbell or NoDoorbell())
    handler = Handler(store, sessions, definitions, ringer, commit_ids(), given.limits or Limits())
    workflows = Workflows(directory, definitions)
    return Deciding(
        sessions=sessions,
        keyring=keyring,
        definitions=definitions,
        handler=handler,
        ringer=ringer,
        workflows=workflows,
        gatekeeper=Gatekeeper(handler, Gates(store)),
        starter=starter_of(handler),
        timetable=Timetable(handler, workflows, ScheduleStore(store)),
    )
