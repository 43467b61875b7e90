"""What the language server says, as the protocol has it: places as an editor counts them, and what stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lsprotocol import types as lsp
from pygls.workspace import TextDocument

from openagents_json.engine.editing.completion import Proposal
from openagents_json.engine.editing.outline import Outline
from openagents_json.engine.editing.quick_fixes import QuickFix
from openagents_json.workflow.language.problems import Problem
from openagents_json.workflow.validation.fixing.apply import OF_NAMES

_SEVERITIES: Final = {
    "error": lsp.DiagnosticSeverity.Error,
    "warning": lsp.DiagnosticSeverity.Warning,
}
_KINDS: Final = {
    "component": lsp.CompletionItemKind.Function,
    "input": lsp.CompletionItemKind.Variable,
    "member": lsp.CompletionItemKind.Property,
    "step": lsp.CompletionItemKind.Reference,
    "value": lsp.CompletionItemKind.Field,
    "word": lsp.CompletionItemKind.EnumMember,
}


@dataclass(frozen=True, slots=True)
class OpenedText:
    """A text with its parts, until it changes."""

    document: TextDocument
    outline: Outline
    is_yaml: bool

    def range(self, start: int, end: int) -> lsp.Range:
        """Return a stretch as the editor counts it."""
        at = self.document.client_position_at_offset
        return lsp.Range(at(start), at(end))


def diagnostic_of(problem: Problem, opened: OpenedText) -> lsp.Diagnostic:
    """Return a problem, where it is."""
    hint = f" ({problem.suggestion})" if problem.suggestion else ""
    return lsp.Diagnostic(
        range=opened.range(*_stretch(problem, opened)),
        message=f"{problem.message}{hint}",
        severity=_SEVERITIES.get(problem.severity),
        code=problem.code,
        source="openagents",
    )


def _stretch(problem: Problem, opened: OpenedText) -> tuple[int, int]:
    """Return where a problem begins and ends."""
    text = opened.document.source
    name = opened.outline.name_at(problem.pointer)
    if problem.code in OF_NAMES and name is not None:
        return name.start, name.end
    start = _offset(text, problem.line or 1, problem.column or 1)
    is_quoted = text.startswith(("'", '"'), start)
    cursor = opened.outline.at(start + is_quoted)
    # What is no name and no value, such as an object, is marked to the end of its line.
    line_end = len(text[start:].partition("\n")[0]) + start
    end = cursor.end + is_quoted if cursor.end > start else line_end
    return start, max(start, end)


def _offset(text: str, line: int, column: int) -> int:
    """Return the place of a line and a column, which are counted from 1."""
    before = text.split("\n", line - 1)[: line - 1]
    start = sum(map(len, before)) + len(before)
    return min(start + column - 1, len(text))


def is_in(diagnostic: lsp.Diagnostic, span: lsp.Range) -> bool:
    """Tell whether a problem touches a stretch of its text."""
    own = diagnostic.range
    return own.start <= span.end and span.start <= own.end


def completion_item(proposal: Proposal, opened: OpenedText) -> lsp.CompletionItem:
    """Return what may stand at the cursor, with what it takes the place of."""
    span = opened.range(proposal.start, proposal.end)
    documentation = proposal.documentation
    return lsp.CompletionItem(
        label=proposal.label,
        kind=_KINDS[proposal.kind],
        detail=proposal.detail or None,
        documentation=markdown(documentation) if documentation else None,
        text_edit=lsp.TextEdit(span, proposal.text),
    )


def code_action(
    fix: QuickFix, kind: str, uri: str, opened: OpenedText
) -> lsp.CodeAction:
    """Return what may be done about problems, as changes of a text."""
    edits = [
        lsp.TextEdit(opened.range(change.start, change.end), change.text)
        for change in fix.changes
    ]
    return lsp.CodeAction(
        title=fix.title,
        kind=kind,
        diagnostics=[diagnostic_of(problem, opened) for problem in fix.problems],
        edit=lsp.WorkspaceEdit(changes={uri: edits}),
    )


def markdown(text: str) -> lsp.MarkupContent:
    """Return a text that an editor shows as Markdown."""
    return lsp.MarkupContent(lsp.MarkupKind.Markdown, text)
