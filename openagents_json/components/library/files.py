"""`file.read`, `file.write` and `file.list`: files below the one directory, or URL, that the worker allows."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, Final

from openagents_json.components.context import Context
from openagents_json.components.decorators import tool
from openagents_json.components.errors import NonRetryableError
from openagents_json.components.library.permissions import files_directory
from openagents_json.components.library.places.local import Directory
from openagents_json.components.library.places.paths import Place
from openagents_json.components.library.text_forms import Encoding, decoded, encoded

MOST_BYTES: Final = 100_000_000
MOST_ENTRIES: Final = 10_000


@tool("file.read", effect="idempotent", version="1.0.0", tags=("file",))
def read(
    path: str, encoding: Encoding = "text", max_bytes: int = 1_000_000
) -> dict[str, Any]:
    """Read a file; gives its content as text, as JSON or in base64, and its size."""
    if not 0 < max_bytes <= MOST_BYTES:
        raise NonRetryableError(f"max_bytes must be above 0 and at most {MOST_BYTES}")
    content = _worker_files().read(path, max_bytes)
    return {"content": decoded(repr(path), content, encoding), "size": len(content)}


@tool("file.write", effect="idempotent", version="1.0.0", tags=("file",))
def write(
    path: str, content: Any, context: Context, encoding: Encoding = "text"
) -> dict[str, Any]:
    """Write a file, whole or not at all; gives its path and its size."""
    data = encoded(f"the content of {path!r}", content, encoding)
    if len(data) > MOST_BYTES:
        raise NonRetryableError(f"{path!r} would be larger than {MOST_BYTES} bytes")
    step = context.idempotency_key
    attempt = context.attempt
    _worker_files().write(path, data, step, attempt)
    return {"path": path, "size": len(data)}


@tool("file.list", effect="idempotent", version="1.0.0", tags=("file",))
def list_files(path: str = "", pattern: str = "*") -> list[dict[str, Any]]:
    """List a directory; gives name, type and size of what is in it, by name."""
    entries = _worker_files().entries(path)
    chosen = [entry for entry in entries if fnmatchcase(entry["name"], pattern)]
    if len(chosen) > MOST_ENTRIES:
        raise NonRetryableError(
            f"{path!r} has more than {MOST_ENTRIES} files of the pattern {pattern!r}"
        )
    return sorted(chosen, key=lambda entry: str(entry["name"]))


def _worker_files() -> Place:
    """Return where this worker has its files.

    Raises NonRetryableError.
    """
    root = files_directory()
    if "://" not in root:
        return Directory(root)
    from openagents_json.components.library.places.remote import Remote

    return Remote(root)
