"""A document that is validated again and again while it is edited: only what an edit can affect is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from openagents_json.workflow.component_spec import Catalog
from openagents_json.workflow.errors import NotADocument
from openagents_json.workflow.language.parse import (
    Source,
    decoded_text,
    parse,
    read_source,
)
from openagents_json.workflow.language.problems import Collector, Report
from openagents_json.workflow.language.validate import check, note_text
from openagents_json.workflow.validation.contents import (
    Contents,
    contents_of,
    matches,
    with_step,
)
from openagents_json.workflow.validation.json_text import Edit, JsonText, json_text
from openagents_json.workflow.validation.modes import NORMAL, Mode, in_mode
from openagents_json.workflow.validation.part_checks import CONNECTIONS, STEPS
from openagents_json.workflow.validation.parts import Verdict
from openagents_json.workflow.validation.verdicts import Done, Earlier, Verdicts

V = TypeVar("V", bound=Verdict)


class ValidationSession:
    """Validates one document as it is edited; each report is the one that a check from scratch gives.

    `mode` says what is an error: strict, normal or permissive. `done` counts what the last check looked at. A session
    belongs to one thread.
    """

    def __init__(self, catalog: Catalog | None = None, *, mode: Mode = NORMAL) -> None:
        self._mode = mode
        self.use(catalog)

    def use(self, catalog: Catalog | None) -> None:
        """Look components up there from now on; all is looked at again, as others may have been registered."""
        self.done = Done()
        self._catalog = catalog
        self._verdicts = Verdicts(catalog, is_kept=True)
        self._contents: Contents | None = None
        self._text: JsonText | None = None
        self._report: Report | None = None

    def check(self, document: Any, *, is_yaml: bool = False) -> Report:
        """Find every problem of a document, given as a text in JSON or YAML, as a parsed value, or as a source."""
        text = None if is_yaml else _decoded(document)
        if text is None:
            return self._check_source(_source(document, is_yaml=is_yaml))
        if self._text is not None and self._report is not None:
            if text == self._text.text:
                self.done = Done()
                return self._report
            edit = self._text.edited(text)
            report = None if edit is None else self._check_edit(edit)
            if report is not None:
                return report
        return self._check_text(text)

    def _check_text(self, text: str) -> Report:
        """Check a text of which nothing is known."""
        try:
            value, _, doubled = parse(text)
        except NotADocument as error:
            return self._from_scratch(Source(None, wrong=error))
        edited_text = None if doubled else json_text(text, value)
        if edited_text is None:
            return self._check_source(read_source(text))
        return self._check_source(edited_text.source(), edited_text)

    def _check_edit(self, edit: Edit) -> Report | None:
        """Check a text in which one step has changed; None when that makes it too large."""
        step = edit.text.value[STEPS][edit.number]
        if self._contents is None:
            return None
        try:
            contents = with_step(self._contents, STEPS, edit.number, step)
        except NotADocument:
            return None
        if not contents.is_within_limits():
            return None
        if self._verdicts.look_at_step(edit.text.value, edit.number):
            return self._told(edit.text.source(), contents, edit.text)
        steps: list[Any] = [*self._verdicts.steps]
        steps[edit.number] = None
        kept = Earlier(self._verdicts.document, steps, self._verdicts.connections)
        return self._update(
            source=edit.text.source(),
            contents=contents,
            earlier=kept,
            text=edit.text,
        )

    def _check_source(self, source: Source, text: JsonText | None = None) -> Report:
        """Check a document of which parts may be those of the one before."""
        earlier = self._contents
        try:
            contents = contents_of(source.value, earlier)
        except NotADocument:
            return self._from_scratch(source)
        if not contents.is_within_limits():
            return self._from_scratch(source)
        kept = Earlier()
        if earlier is not None:
            kept = self._earlier(earlier, contents)
        return self._update(
            source=source,
            contents=contents,
            earlier=kept,
            text=text,
        )

    def _earlier(self, old: Contents, new: Contents) -> Earlier:
        """Return the verdicts on the parts that have the same content as before."""
        verdicts = self._verdicts
        steps = matches(old.items[STEPS], new.items[STEPS])
        connections = matches(old.items[CONNECTIONS], new.items[CONNECTIONS])
        is_same = old.key == new.key
        return Earlier(
            document=verdicts.document if is_same else None,
            steps=_at(verdicts.steps, steps),
            connections=_at(verdicts.connections, connections),
        )

    def _update(
        self,
        source: Source,
        contents: Contents,
        earlier: Earlier,
        text: JsonText | None,
    ) -> Report:
        # Until the verdicts are those of these contents, nothing is known of any.
        self._contents = self._text = None
        self._verdicts.look_through(source.value, earlier)
        return self._told(source, contents, text)

    def _told(
        self, source: Source, contents: Contents, text: JsonText | None
    ) -> Report:
        """Put together what the verdicts tell of a document; they are up to date."""
        collector = Collector()
        note_text(source, collector)
        self._contents, self._text = contents, text
        self._verdicts.collect(collector)
        self.done = self._verdicts.done
        report = collector.report(source.value, source.positions)
        self._report = in_mode(report, self._mode)
        return self._report

    def _from_scratch(self, source: Source) -> Report:
        """Check a document that cannot be taken apart; what is known of the one before stays for the next."""
        self.done = Done(documents=1)
        return in_mode(check(source, self._catalog).report, self._mode)


def _at(verdicts: Sequence[V], indexes: Sequence[int | None]) -> list[V | None]:
    return [None if index is None else verdicts[index] for index in indexes]


def _source(document: Any, *, is_yaml: bool) -> Source:
    if isinstance(document, Source):
        return document
    if is_yaml and isinstance(document, str | bytes):
        # Its parser is imported by whoever reads one.
        from openagents_json.workflow.language.yaml_text.read import read_yaml

        return read_yaml(document)
    return read_source(document)


def _decoded(document: Any) -> str | None:
    """Return the text of a document that is one; what cannot be read as one is told when it is checked."""
    if not isinstance(document, str | bytes):
        return None
    try:
        return decoded_text(document)
    except NotADocument:
        return None
