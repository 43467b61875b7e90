"""What 0.1.4 told of itself."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["0.1.4"])

NAME: Final = "OpenAgents JSON"


class LegacyHealth(BaseModel):
    """That the process answers."""

    status: str


class LegacyVersion(BaseModel):
    """The version of the program."""

    version: str
    app_name: str


@router.get("/health", operation_id="health")
async def health() -> LegacyHealth:
    """Say that the process answers, as `/live` does."""
    return LegacyHealth(status="ok")


@router.get("/version", operation_id="version")
async def get_version() -> LegacyVersion:
    """Return the version of the program."""
    return LegacyVersion(version=version("openagents-json"), app_name=NAME)
