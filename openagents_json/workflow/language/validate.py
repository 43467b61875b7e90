"""`validate`: every problem of a document in one pass, whatever the document is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.errors import InvalidPattern
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.expressions.patterns import compile_pattern
from openagents_json.workflow.expressions.templates import escape
from openagents_json.workflow.language.checks.document import check_meaning
from openagents_json.workflow.language.checks.keys import check_keys
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.parse import Source, read_source
from openagents_json.workflow.language.problems import Collector, Problem, Report
from openagents_json.workflow.language.schema import SCHEMA, without_notes
from openagents_json.workflow.language.sizes import check_size
from openagents_json.workflow.types import in_order, type_name

if TYPE_CHECKING:
    from jsonschema import ValidationError

__all__ = ["Checked", "Problem", "Report", "check", "validate"]


class Checked(NamedTuple):
    """A document that has been looked through, and what is needed of that to bind and to compile it.

    `steps` are all its steps; `names` are its names with the expressions that have been compiled.
    """

    report: Report
    steps: tuple[StepLocation, ...] = ()
    names: Names | None = None
    encoded: bytes | None = None


def validate(document: Any, catalog: Catalog | None = None) -> Report:
    """Find every problem of a document, given as JSON text or as a parsed value.

    Without a catalog, component references are not looked up.
    """
    return check(document, catalog).report


def check(document: Any, catalog: Catalog | None = None) -> Checked:
    """Look through a document (as JSON text, a parsed value, or a source) and keep what that came to."""
    source = document if isinstance(document, Source) else read_source(document)
    collector, value = Collector(), source.value
    if source.wrong is not None:
        wrong = source.wrong
        collector.error(
            wrong.problem, "", wrong.reason, line=wrong.line, column=wrong.column
        )
        return Checked(collector.report(None, ""))
    for name in source.doubled:
        collector.error(
            "duplicate_key",
            "",
            f"the name {name!r} stands twice in one object",
            found=name,
        )
    if not check_size(value, collector):
        return Checked(collector.report(None, source.text))
    _check_structure(value, collector)
    meaning = None
    if isinstance(value, Mapping):
        check_keys(value, collector)
        if _usable(value):
            meaning = check_meaning(value, catalog, collector)
    report = collector.report(value, source.text)
    if meaning is None:
        return Checked(report)
    return Checked(report, meaning.steps, meaning.names, source.encoded)


def structure(document: Any) -> Report:
    """Find out whether a parsed document has the shape of a workflow; what it means is not looked at."""
    collector = Collector()
    if check_size(document, collector, limited=False):
        _check_structure(document, collector)
    return collector.report(document, None)


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import (
        Draft202012Validator,
    )  # imported when the first document is validated: it takes its time
    from jsonschema.validators import extend

    strict: Any = extend
    return strict(Draft202012Validator, {"pattern": _pattern})(without_notes(SCHEMA))


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Match as JSON Schema means it: `$` is the end of the text, in Python also the place before a last line feed."""
    from jsonschema import ValidationError

    if isinstance(instance, str) and not re.search(
        re.sub(r"\$\Z", r"\\Z", pattern), instance
    ):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _check_structure(document: Any, collector: Collector) -> None:
    plain = in_order(document)
    _collect(_validator().iter_errors(plain), collector)
    if isinstance(plain, Mapping):
        for section in ("inputs", "outputs"):
            for name, spec in (
                plain[section] if isinstance(plain.get(section), Mapping) else {}
            ).items():
                if isinstance(spec, Mapping):
                    _check_pattern(
                        spec, f"/{section}/{escape(name)}/pattern", collector
                    )


def _check_pattern(spec: Mapping[str, Any], pointer: str, collector: Collector) -> None:
    if isinstance(pattern := spec.get("pattern"), str):
        try:
            compile_pattern(pattern)
        except InvalidPattern as error:
            collector.error(
                "invalid_pattern",
                pointer,
                f"{pattern!r} is not a regular expression: {error}",
                found=pattern,
            )


def _collect(errors: Iterator[Any], collector: Collector) -> None:
    for error in errors:
        pointer = "".join(f"/{escape(str(key))}" for key in error.absolute_path)
        message = (
            error.message if len(error.message) < 300 else error.message[:297] + "..."
        )
        collector.error(
            f"schema_error.{error.validator}",
            pointer,
            message,
            found=type_name(error.instance),
            expected=error.validator_value
            if isinstance(error.validator_value, str | list | int | float)
            else None,
        )


def _usable(document: Mapping[str, Any]) -> bool:
    """Tell whether the parts that carry meaning are of the right shape to be looked at."""
    steps = document.get("steps")
    return isinstance(steps, list | tuple) and len(steps) > 0
