"""The audit ledger: how it stands, whether all is as it was sealed, receipts and exports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Final

from fastapi import APIRouter, Path
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from openagents_json.engine import Audit
from openagents_json.engine.answers.seals import RunSeal
from openagents_json.engine.audit import LedgerStatus
from openagents_json.server.http.access import AsAdmin, AsViewer
from openagents_json.server.http.bodies import StrictRoute
from openagents_json.server.http.replies import Reply

router = APIRouter(route_class=StrictRoute, tags=["audit"])

LAST_VERSION: Final = 2**53
_HELD_BYTES: Final = 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_ZIP: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"application/zip": {"schema": {"type": "string"}}}}
}


class Verification(BaseModel):
    """What a check came to: whether all is as it was sealed, how many events were checked, and it all in words.

    `chained` are sealed and not signed yet, `unsealed` not even that. The keys are those that the ledger names itself:
    who holds one checks an export or a receipt with it.
    """

    intact: bool
    verified: int
    chained: int
    unsealed: int
    findings: int
    lines: list[str]


@router.get("/audit", operation_id="getLedger", response_model=LedgerStatus)
def get_ledger(engine: AsViewer) -> Response:
    """Tell how the ledger stands."""
    return Reply(engine.audit.status())


@router.get(
    "/audit/verification", operation_id="verifyLedger", response_model=Verification
)
def verify_ledger(engine: AsAdmin) -> Response:
    """Check the whole store against its ledger; it reads all of the log."""
    return Reply(_told(engine.audit.verify()))


@router.get(
    "/audit/export",
    operation_id="exportLedger",
    response_class=StreamingResponse,
    responses=_ZIP,
)
def export_ledger(engine: AsAdmin) -> Response:
    """Return the ledger and the log as one file, which anybody can check without the store."""
    with ExitStack() as opened:
        file = opened.enter_context(SpooledTemporaryFile(_HELD_BYTES))
        engine.audit.export(file)
        file.seek(0)
        opened.pop_all()  # it is open until it is sent
    return StreamingResponse(
        _parts(file), media_type="application/zip", headers=_named("ledger.zip")
    )


@router.get("/runs/{run}/seal", operation_id="getRunSeal", response_model=RunSeal)
def get_seal(run: str, engine: AsViewer) -> Response:
    """Tell how many events of a run are sealed and signed, from the first on."""
    return Reply(engine.audit.seal_of(run))


@router.get(
    "/runs/{run}/verification", operation_id="verifyRun", response_model=Verification
)
def verify_run(run: str, engine: AsViewer) -> Response:
    """Check whether the events of a run are as they were sealed."""
    return Reply(_told(engine.audit.verify_run(run)))


@router.get("/runs/{run}/receipts/{version}", operation_id="getReceipt")
def get_receipt(
    run: str,
    version: Annotated[int, Path(ge=1, le=LAST_VERSION)],
    engine: AsViewer,
    with_payload: bool = True,
) -> Any:
    """Return a proof that an event was sealed as it is; who has the public key checks it with nothing else."""
    document = engine.audit.receipt(run, version, with_payload=with_payload)
    return Response(
        document, 200, _named(f"receipt-{version}.json"), "application/json"
    )


def _told(audit: Audit) -> dict[str, Any]:
    return {
        "intact": audit.intact,
        "verified": audit.verified,
        "chained": audit.chained,
        "unsealed": audit.unsealed,
        "findings": len(audit.findings),
        "lines": list(audit.lines()),
    }


def _named(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_CHUNK_BYTES):
            yield part
