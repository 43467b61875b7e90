"""The routes of the page: its document, which is asked for anew each time, and its files, which never change."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from openagents_json.server.page.assets import Asset, page

router = APIRouter(include_in_schema=False)

POLICY: Final = "; ".join(
    [
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        # A browser that knows this lets no text become markup, whatever the code does.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
"""No script and no style but those of the page's own files, and no connection to anywhere else."""

_UNCHANGING: Final = "public, max-age=31536000, immutable"
_AS_IT_IS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_METHODS: Final = ["GET", "HEAD"]


@router.api_route("/", methods=_METHODS)
def document(request: Request) -> Response:
    """Return the document of the page."""
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    shown = page()
    return _answer(request, shown.document, shown.digest, headers)


@router.api_route("/page/{digest}/{name:path}", methods=_METHODS)
def file(digest: str, name: str, request: Request) -> Response:
    """Return a file of the page; those of another version are with the instances that have it."""
    shown = page()
    asset = shown.assets.get(name)
    if asset is None or digest != shown.digest:
        return Response(
            "no such file", 404, {"Cache-Control": "no-store"}, "text/plain"
        )
    return _answer(request, asset, digest, {"Cache-Control": _UNCHANGING})


def _answer(
    request: Request, asset: Asset, digest: str, headers: dict[str, str]
) -> Response:
    """Send a file, compressed where that is understood, or say that the caller has it already."""
    headers |= {"ETag": f'W/"{digest}"', "Vary": "Accept-Encoding"} | _AS_IT_IS
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(asset.body, 200, headers, asset.media_type)
    headers["Content-Encoding"] = "gzip"
    return Response(asset.gzipped, 200, headers, asset.media_type)
