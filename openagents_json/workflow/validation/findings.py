"""What a step says that can come to nothing, or shows what nobody should see: findings beside its errors."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Any, Final

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.shapes import (
    array_of,
    is_templated,
    object_of,
)
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.problems import Collector, Fix
from openagents_json.workflow.validation.constants import is_empty, is_never_true

_SECRET_NAME: Final = re.compile(
    r"(?i)(?:.*[_-])?(?:password|passwd|passphrase|secret|api[_-]?key|access[_-]?key|secret[_-]?key|private[_-]?key"
    r"|client[_-]?secret|auth[_-]?token|access[_-]?token|bearer[_-]?token|authorization)"
)
_SECRET_TEXT: Final = re.compile(
    r"(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|xox[abp]-[A-Za-z0-9-]{10,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@{}]+:[^/\s@{}]+@"
    r"|[?&](?i:api[_-]?key|access[_-]?token|client[_-]?secret|password|secret|token)=[^&\s{}]{8})"
)
"""Texts that are keys by their form, of services that many people use, and addresses with a password in them."""

_SHOWN: Final = ("inputs", "foreach", "output", "terminate", "on_error", "metadata")
"""Options of a step whose values are recorded with a run, under their names."""

_WRITTEN: Final = ("outputs", "condition", "loop", "wait_for")
"""Options whose texts stand in the definition, which is recorded too; their names are those of something else."""

_IN_LOG: Final = "it goes on the log, where everybody who reads runs sees it"
_USE_SECRETS: Final = "say {{secrets.NAME}}, and give the secret to the worker"


def check_findings(
    location: StepLocation,
    inputs: Mapping[str, Any],
    steps: Set[str],
    collector: Collector,
) -> None:
    """Look for what of a step can come to nothing, and for secrets in it; `inputs` and `steps` are the document's."""
    step = location.step
    _check_conditions(location, inputs, steps, collector)
    _check_handlers(step, location.pointer, collector)
    _check_texts(step, location.pointer, step["id"], _SHOWN, collector)


def check_document_secrets(document: Mapping[str, Any], collector: Collector) -> None:
    """Look for secrets in what a document gives, and among its inputs, which go on the log with each start."""
    _check_texts(document, "", None, ("output", "metadata"), collector)
    for name, declared in object_of(document.get("inputs")).items():
        pointer = f"/inputs/{escape(name)}"
        default = object_of(declared).get("default")
        if default is not None:
            for at, inner, text in _texts(default, f"{pointer}/default", name):
                _check_text(at, inner, text, None, collector)
        elif _SECRET_NAME.fullmatch(name):
            message = f"the input {name!r} looks like a secret: {_IN_LOG}"
            _expose(
                pointer=pointer,
                message=message,
                name=name,
                step_id=None,
                collector=collector,
            )


def check_deprecation(
    step: Mapping[str, Any], pointer: str, catalog: Catalog, collector: Collector
) -> None:
    """Look whether the component of a step is to be used no more."""
    reference = step.get("component")
    if not isinstance(reference, str):
        return
    reason, instead = deprecation_of(reference, catalog)
    if not reason:
        return
    collector.warn(
        "deprecated_component",
        f"{pointer}/component",
        f"component {reference!r} is deprecated: {reason}",
        found=reference,
        expected=instead or None,
        suggestion=f"use {instead!r}" if instead else "",
        fix=Fix(reference, instead) if instead else None,
        step_id=step["id"],
    )


def deprecation_of(reference: str, catalog: Catalog) -> tuple[str, str]:
    """Return why a component is to be used no more, and what is to be used instead; empty where nothing is known."""
    find = getattr(catalog, "deprecation_of", None)
    told = None if find is None else find(reference)
    if told:
        reason, instead = told
        return reason or "use another one", instead or ""
    spec = catalog.find(reference)
    metadata = {} if spec is None else spec.metadata
    reason = metadata.get("deprecated")
    if not reason:
        return "", ""
    is_text = isinstance(reason, str)
    return reason if is_text else "use another one", str(metadata.get("instead") or "")


def _check_conditions(
    location: StepLocation,
    inputs: Mapping[str, Any],
    steps: Set[str],
    collector: Collector,
) -> None:
    step = location.step
    name = step["id"]
    if is_never_true(step.get("condition"), inputs, steps):
        pointer = f"{location.pointer}/condition"
        message = f"the condition never holds, so step {name!r} never runs"
        collector.warn(
            "never_runs",
            pointer,
            message,
            step_id=name,
        )
    if is_empty(step.get("foreach")):
        pointer = f"{location.pointer}/foreach"
        message = f"it has no items, so step {name!r} never runs"
        collector.warn(
            "never_runs",
            pointer,
            message,
            step_id=name,
        )
    loop = object_of(step.get("loop"))
    if is_never_true(loop.get("while"), inputs, steps):
        pointer = f"{location.pointer}/loop/while"
        message = f"it never holds, so the steps in {name!r} never run"
        collector.warn(
            "never_runs",
            pointer,
            message,
            step_id=name,
        )
    if "until" in loop and is_never_true(loop["until"], inputs, steps):
        pointer = f"{location.pointer}/loop/until"
        message = "it never holds: only max_iterations ends the loop"
        collector.warn(
            "never_true",
            pointer,
            message,
            step_id=name,
        )


def check_connection_condition(
    connection: Any,
    pointer: str,
    inputs: Mapping[str, Any],
    steps: Set[str],
    collector: Collector,
) -> None:
    """Look whether a connection is always closed."""
    if is_never_true(object_of(connection).get("condition"), inputs, steps):
        message = "the condition never holds, so nothing ever comes this way"
        collector.warn("never_true", f"{pointer}/condition", message)


def _check_handlers(
    step: Mapping[str, Any], pointer: str, collector: Collector
) -> None:
    """Look for handlers behind one that takes every error."""
    takes_all = False
    for index, handler in enumerate(array_of(step.get("on_error"))):
        if takes_all:
            at = f"{pointer}/on_error/{index}"
            message = "a handler before it takes every error, so this one is never used"
            collector.warn(
                "unreachable_handler",
                at,
                message,
                step_id=step["id"],
            )
        takes_all = takes_all or not object_of(handler).get("errors")


def _check_texts(
    options: Mapping[str, Any],
    pointer: str,
    step_id: str | None,
    shown: Iterable[str],
    collector: Collector,
) -> None:
    """Look for secrets in options of a step or a document; `shown` are those in which a name may tell of one."""
    for option in (*shown, *_WRITTEN):
        if option not in options:
            continue
        is_shown = option in shown
        for at, name, text in _texts(
            options.get(option), f"{pointer}/{option}", option
        ):
            _check_text(at, name if is_shown else option, text, step_id, collector)


def _check_text(
    pointer: str, name: str, text: str, step_id: str | None, collector: Collector
) -> None:
    """Look whether a text that stands in the document is a secret, by its form or else by its name."""
    by_form = _SECRET_TEXT.search(text) is not None
    by_name = _SECRET_NAME.fullmatch(name) is not None
    if by_form or (by_name and text and not is_templated(text)):
        message = f"the text of {name!r} looks like a secret: {_IN_LOG}"
        _expose(
            pointer=pointer,
            message=message,
            name=name,
            step_id=step_id,
            collector=collector,
        )


def _expose(
    pointer: str, message: str, name: str, step_id: str | None, collector: Collector
) -> None:
    collector.warn(
        "exposed_secret",
        pointer,
        message,
        found=name,
        suggestion=_USE_SECRETS,
        step_id=step_id,
    )


def _texts(value: Any, pointer: str, name: str) -> Iterator[tuple[str, str, str]]:
    """Return the texts of a value, each with its pointer and the name that it has there."""
    todo: list[tuple[str, str, Any]] = [(pointer, name, value)]
    while todo:
        at, name, item = todo.pop()
        if isinstance(item, str):
            yield at, name, item
        todo += _members(at, name, item)


def _members(at: str, name: str, item: Any) -> Iterable[tuple[str, str, Any]]:
    if isinstance(item, Mapping):
        return [(f"{at}/{escape(key)}", key, member) for key, member in item.items()]
    if isinstance(item, list | tuple):
        return [(f"{at}/{index}", name, member) for index, member in enumerate(item)]
    return ()
