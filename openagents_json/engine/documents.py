"""Documents as callers hand them over: a mapping, a `Workflow`, JSON text, or the path of a file in JSON or YAML."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from eventstore import codec
from eventstore.errors import NotJson
from openagents_json.engine.errors import DocumentUnreadable
from openagents_json.workflow.language.nested_steps import all_steps
from openagents_json.workflow.language.parse import Source, names_yaml, read_source
from openagents_json.workflow.types import Json

if TYPE_CHECKING:
    from openagents_json.workflow.component_spec import Catalog
    from openagents_json.workflow.language.problems import Report
    from openagents_json.workflow.validation.modes import Mode


class HasDocument(Protocol):
    """Anything that carries a document, such as `Workflow`."""

    @property
    def document(self) -> Mapping[str, Json]:
        """Return the document."""
        ...


class WorkflowReference(str):
    """A text that names a published workflow (`id`, `id@range`, `id@alias`), whatever files there are."""

    __slots__ = ()


Document = Mapping[str, Json] | HasDocument | str | bytes | Path
"""A text that begins with `{` is a document itself; any other is a path, or the reference of a published document."""


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema of documents."""
    from openagents_json.workflow.language.schema import SCHEMA

    return SCHEMA


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document's content (a value, or its text when it comes from a file), with a digest for caches.

    `encoded` are the canonical bytes of a value. It can be handed over in the place of the document.
    """

    content: Any
    digest: bytes
    encoded: bytes | None = None
    is_yaml: bool = False

    @property
    def document(self) -> Any:
        """Return the content."""
        return self.content

    def source(self) -> Source:
        """Parse the content; whoever has the plan of this digest need not."""
        if self.is_yaml:
            # Its parser is imported by whoever reads one.
            from openagents_json.workflow.language.yaml_text.read import read_yaml

            return read_yaml(self.content)
        return read_source(self.content)._replace(encoded=self.encoded)


def is_reference(text: str) -> bool:
    """Tell whether a text names a published workflow (`id`, `id@range`, `id@alias`) and not a file."""
    if isinstance(text, WorkflowReference):
        return True
    name, at_sign, _ = text.partition("@")
    if not re.fullmatch(r"[a-zA-Z0-9_-]+", name):
        return False
    return bool(at_sign) or not _is_there(Path(text))


def document_of_call(component: str, names: Iterable[str]) -> dict[str, Json]:
    """Return the document of a durable call of one component, whose inputs are those of the run.

    They are handed over as they are: a text that looks like a template is none.
    """
    handed_on = {name: f"{{{{ input[{json.dumps(name)}] }}}}" for name in sorted(names)}
    words = re.sub(r"[^a-zA-Z0-9_-]", "-", component.partition("@")[0])
    step = {"id": "call", "component": component, "inputs": handed_on}
    return {"id": f"call-{words}", "steps": [step], "output": "{{ call.output }}"}


def names_published(workflow: Document) -> bool:
    """Tell whether a workflow is given as the reference of a published one."""
    return isinstance(workflow, str) and is_reference(workflow)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long for a file
        return False


def load_document(document: Document) -> Loaded:
    """Get at a document's content; the same document has the same content however it is handed over.

    Raises DocumentUnreadable; whether the content is a workflow is for validation to say.
    """
    if isinstance(document, Loaded):
        return document
    if isinstance(document, bytes) or (
        isinstance(document, str) and _is_text(document)
    ):
        return _from_text(document)
    if isinstance(document, str | Path):
        path = Path(document)
        return _from_text(_read(path), is_yaml=names_yaml(path.name))
    content: Any = document if isinstance(document, Mapping) else document.document
    try:
        # A copy: runs are pinned to the document as it is now, whatever the caller does with the mapping later.
        content, raw = codec.settle(_with_plain_objects(content))
    except (NotJson, RecursionError):
        return Loaded(
            content, hashlib.sha256(repr(content).encode("utf-8", "replace")).digest()
        )
    return Loaded(content, hashlib.sha256(raw).digest(), raw)


def loaded(
    requests: Sequence[tuple[Document, Mapping[str, Json]]],
) -> list[tuple[Document, Mapping[str, Json]]]:
    """Load the documents of requests; an object that stands in many of them is loaded once.

    Texts are left as they are: some of them are references. Raises DocumentUnreadable.
    """
    values = {id(x): x for x, _ in requests if not isinstance(x, str)}
    by_id = {identity: load_document(value) for identity, value in values.items()}
    return [(by_id.get(id(x), x), inputs) for x, inputs in requests]


def find_problems(
    document: Document, catalog: Catalog | None = None, mode: Mode = "normal"
) -> Report:
    """Find every problem of a document without a store; without a catalog, its components are not looked up.

    The mode says what is an error: strict, normal or permissive. Raises DocumentUnreadable.
    """
    from openagents_json.workflow.language.validate import check

    report = check(load_document(document).source(), catalog).report
    return report_in_mode(report, mode)


def report_in_mode(report: Report, mode: Mode) -> Report:
    """Return a report as a mode has it: strict, normal or permissive."""
    from openagents_json.workflow.validation.modes import in_mode

    return in_mode(report, mode)


def _is_text(text: str) -> bool:
    return text.lstrip("\ufeff \t\r\n").startswith("{")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        raise DocumentUnreadable(
            str(path), getattr(error, "strerror", None) or str(error)
        ) from error


def document_from_text(text: str | bytes) -> Loaded:
    """Load a document from a text of which nobody says whether it is JSON or YAML, as from standard input."""
    begins = (
        text[:100] if isinstance(text, str) else text[:100].decode("utf-8", "replace")
    )
    return _from_text(text, is_yaml=not _is_text(begins))


def _from_text(text: str | bytes, *, is_yaml: bool = False) -> Loaded:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    # The same text may be another document in YAML: its digest is another one.
    digest = hashlib.sha256(raw + b" in YAML" * is_yaml).digest()
    return Loaded(text, digest, is_yaml=is_yaml)


def _with_plain_objects(value: Any) -> Any:
    """Return a value whose objects are dictionaries, whatever kind of mapping they were."""
    if isinstance(value, str):  # most are, and to ask for a mapping takes long
        return value
    if type(value) is dict or isinstance(value, Mapping):
        return {key: _with_plain_objects(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_plain_objects(item) for item in value]
    return value


def components_of(content: Any) -> tuple[str, ...]:
    """Return the components that a parsed document names, whatever it is."""
    if not isinstance(content, Mapping):
        return ()
    names = (location.step.get("component") for location in all_steps(content))
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))
