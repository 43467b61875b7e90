"""`validate`: every problem of a document in one pass, whatever the document is."""

from __future__ import annotations

from typing import Any, NamedTuple

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.expressions.names import Names
from openagents_json.workflow.language.checks.structure import check_structure
from openagents_json.workflow.language.nested_steps import StepLocation
from openagents_json.workflow.language.parse import Source, read_source
from openagents_json.workflow.language.problems import Collector, Problem, Report
from openagents_json.workflow.language.sizes import check_size
from openagents_json.workflow.validation.verdicts import Verdicts

__all__ = ["Checked", "Problem", "Report", "check", "note_text", "validate"]


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


def check(
    document: Any, catalog: Catalog | None = None, *, compares: bool = True
) -> Checked:
    """Look through a document (as JSON text, a parsed value, or a source) and keep what that came to.

    Unless it `compares`, what values are and what components take is not compared: that finds warnings alone.
    """
    source = document if isinstance(document, Source) else read_source(document)
    collector, value = Collector(), source.value
    note_text(source, collector)
    if source.wrong is not None:
        return Checked(collector.report(None, None))
    if not check_size(value, collector):
        return Checked(collector.report(None, source.positions))
    verdicts = Verdicts(catalog, compares=compares)
    verdicts.look_through(value)
    verdicts.collect(collector)
    report = collector.report(value, source.positions)
    if verdicts.names is None:
        return Checked(report)
    return Checked(report, verdicts.locations(), verdicts.names, source.encoded)


def note_text(source: Source, collector: Collector) -> None:
    """Note what is wrong with the text of a document."""
    if source.wrong is not None:
        wrong = source.wrong
        collector.error(
            wrong.problem, "", wrong.reason, line=wrong.line, column=wrong.column
        )
    for name in source.doubled:
        message = f"the name {name!r} stands twice in one object"
        collector.error("duplicate_key", "", message, found=name)
    for flaw in source.flaws:
        collector.error(
            flaw.code,
            flaw.pointer,
            flaw.message,
            found=flaw.text,
            line=flaw.line,
            column=flaw.column,
        )


def structure(document: Any) -> Report:
    """Find out whether a parsed document has the shape of a workflow; what it means is not looked at."""
    collector = Collector()
    if check_size(document, collector, limited=False):
        check_structure(document, collector)
    return collector.report(document, None)
