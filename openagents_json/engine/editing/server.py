"""The language server: what an editor asks is answered from the text as it is there now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from lsprotocol import types as lsp
from pygls import uris
from pygls.lsp.server import LanguageServer

from openagents_json.engine.editing.completion import Completion
from openagents_json.engine.editing.meanings import Meanings
from openagents_json.engine.editing.messages import (
    OpenedText,
    code_action,
    completion_item,
    diagnostic_of,
    is_in,
    markdown,
)
from openagents_json.engine.editing.outline import (
    Outline,
    looks_like_a_workflow,
    outline_of,
)
from openagents_json.engine.editing.quick_fixes import QuickFix, fix_of_all, fixes_of
from openagents_json.engine.editing.reloading import ReloadedComponents
from openagents_json.engine.validation.document_files import DocumentFiles
from openagents_json.engine.validation.document_set import DocumentSet
from openagents_json.workflow.language.problems import Problem, Report
from openagents_json.workflow.validation.session import ValidationSession

_QUICK: Final = lsp.CodeActionKind.QuickFix
_ALL: Final = lsp.CodeActionKind.SourceFixAll
"""What editors can do by themselves whenever a file is saved."""

_TRIGGERS: Final = [".", '"', "{", " "]


_WATCHED: Final = "**/*.{py,json,yaml,yml}"
"""Files that components may come from."""


def serve(components: Sequence[str], stdin: BinaryIO, stdout: BinaryIO) -> None:
    """Answer one editor until it goes, with the components of some modules and files."""
    server = LanguageServer("openagents", version("openagents-json"))
    editing = _Editing(server, ReloadedComponents(components))
    for feature, answer in editing.answers().items():
        options = _OPTIONS.get(feature)
        server.feature(feature, options)(_plain(answer))
    server.start_io(stdin, stdout)


_WATCHING: Final = lsp.RegistrationParams(
    [
        lsp.Registration(
            id="components",
            method=lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES,
            register_options=lsp.DidChangeWatchedFilesRegistrationOptions(
                [lsp.FileSystemWatcher(_WATCHED)]
            ),
        )
    ]
)
"""Asks the editor to tell of changed files."""

_OPTIONS: Final[Mapping[str, Any]] = {
    lsp.TEXT_DOCUMENT_CODE_ACTION: lsp.CodeActionOptions([_QUICK, _ALL]),
    lsp.TEXT_DOCUMENT_COMPLETION: lsp.CompletionOptions(trigger_characters=_TRIGGERS),
}


def _plain(answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function of its own: the library notes on each what it answers."""

    def handle(params: Any) -> Any:
        return answer(params)

    return handle


class _Editing:
    """Answers for all texts that the editor shows."""

    def __init__(self, server: LanguageServer, components: ReloadedComponents) -> None:
        self._server = server
        self._components = components
        self._told = ""
        self._folders: dict[Path, DocumentFiles] = {}
        self._catalogs: dict[str, DocumentSet] = {}
        self._sessions: dict[str, ValidationSession] = {}
        self._outlines: dict[str, tuple[str, Outline]] = {}

    def answers(self) -> dict[str, Callable[[Any], Any]]:
        """Return what is answered, by the methods of the protocol."""
        return {
            lsp.INITIALIZED: self._begin,
            lsp.WORKSPACE_DID_CHANGE_WATCHED_FILES: self._reload,
            lsp.TEXT_DOCUMENT_DID_OPEN: self._opened_or_saved,
            lsp.TEXT_DOCUMENT_DID_SAVE: self._opened_or_saved,
            lsp.TEXT_DOCUMENT_DID_CHANGE: self._changed,
            lsp.TEXT_DOCUMENT_DID_CLOSE: self._closed,
            lsp.TEXT_DOCUMENT_CODE_ACTION: self._fixes,
            lsp.TEXT_DOCUMENT_COMPLETION: self._complete,
            lsp.TEXT_DOCUMENT_HOVER: self._hover,
            lsp.TEXT_DOCUMENT_DEFINITION: self._definition,
        }

    # -- what the editor tells ---------------------------------------------------------------------------

    def _begin(self, _: lsp.InitializedParams) -> None:
        self._tell_fault()
        workspace = self._server.client_capabilities.workspace
        watching = workspace and workspace.did_change_watched_files
        if watching and watching.dynamic_registration:
            self._server.client_register_capability(_WATCHING)

    def _reload(self, _: lsp.DidChangeWatchedFilesParams) -> None:
        self._refresh(retries=True)

    def _opened_or_saved(self, params: Any) -> None:
        # An editor that watches no files still shows what is right by the components of now.
        self._refresh(retries=True)
        self._show(params.text_document.uri)

    def _changed(self, params: lsp.DidChangeTextDocumentParams) -> None:
        self._refresh()
        self._show(params.text_document.uri)

    def _refresh(self, *, retries: bool = False) -> None:
        """Take in components and other workflows that have changed, and show the texts by them that they touch."""
        are_others = self._components.refresh(retries=retries)
        self._tell_fault()
        if retries:
            for documents in self._folders.values():
                documents.refresh()
        for uri, catalog in [*self._catalogs.items()]:
            if are_others or catalog.is_outdated():
                self._sessions[uri].use(self._new_catalog(uri))
                self._show(uri)

    def _tell_fault(self) -> None:
        """Say what keeps the components from being loaded, once."""
        fault, told = self._components.fault, self._told
        self._told = fault
        if fault and fault != told:
            message = lsp.ShowMessageParams(lsp.MessageType.Warning, fault)
            self._server.window_show_message(message)

    def _show(self, uri: str) -> None:
        """Show what is wrong with a text."""
        opened = self._opened(uri)
        report = self._report(uri, opened)
        problems = () if report is None else report.problems
        diagnostics = lsp.PublishDiagnosticsParams(
            uri, [diagnostic_of(problem, opened) for problem in problems]
        )
        self._server.text_document_publish_diagnostics(diagnostics)

    def _closed(self, params: lsp.DidCloseTextDocumentParams) -> None:
        uri = params.text_document.uri
        self._sessions.pop(uri, None)
        self._catalogs.pop(uri, None)
        self._outlines.pop(uri, None)
        self._server.text_document_publish_diagnostics(
            lsp.PublishDiagnosticsParams(uri, [])
        )

    def _report(self, uri: str, opened: OpenedText) -> Report | None:
        """Return what is wrong with a text; None for one that is no workflow, as editors show all files of a kind."""
        text = opened.document.source
        if not looks_like_a_workflow(text):
            return None
        session = self._sessions.get(uri)
        if session is None:
            session = ValidationSession(self._new_catalog(uri))
            self._sessions[uri] = session
        return session.check(text, is_yaml=opened.is_yaml)

    def _new_catalog(self, uri: str) -> DocumentSet:
        """Look up what a text calls from now on: components, and workflows in the files of its folder."""
        path = Path(uris.to_fs_path(uri) or "").absolute()
        documents = self._folders.setdefault(
            path.parent, DocumentFiles.in_folder(path.parent)
        )
        catalog = DocumentSet(self._components.registry, documents)
        self._catalogs[uri] = catalog
        return catalog

    # -- what it asks ------------------------------------------------------------------------------------

    def _fixes(self, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
        uri = params.text_document.uri
        opened = self._opened(uri)
        report = self._report(uri, opened)
        problems = () if report is None else report.problems
        # An editor asks this whenever the cursor moves: most often there is nothing to do.
        fixable = [problem for problem in problems if problem.fix is not None]
        here = [x for x in fixable if is_in(diagnostic_of(x, opened), params.range)]
        asked = params.context.only or [lsp.CodeActionKind.QuickFix]
        offers = self._offers(opened, here, asked) if fixable else []
        return [code_action(fix, kind, uri, opened) for kind, fix in offers]

    def _offers(
        self, opened: OpenedText, here: Sequence[Problem], asked: Sequence[str]
    ) -> list[tuple[str, QuickFix]]:
        """Return what can be done, by its kind: about each problem at a place, and about all of the text."""
        text, is_yaml = opened.document.source, opened.is_yaml
        catalog = self._catalogs[opened.document.uri]
        offers: list[tuple[str, QuickFix]] = []
        if any(_QUICK.startswith(kind) for kind in asked):
            offers = [(_QUICK, fix) for fix in fixes_of(text, here, is_yaml=is_yaml)]
        is_all_asked = any(_ALL.startswith(kind) for kind in asked)
        if not offers and not is_all_asked:
            return []
        of_all = fix_of_all(text, catalog, is_yaml=is_yaml)
        if of_all is None:
            return offers
        if offers and len(of_all.problems) > 1:
            offers.append((_QUICK, of_all))
        if is_all_asked:
            offers.append((_ALL, of_all))
        return offers

    def _complete(self, params: lsp.CompletionParams) -> list[lsp.CompletionItem]:
        opened = self._opened(params.text_document.uri)
        completion = Completion(
            opened.outline, self._components.registry, opened.is_yaml
        )
        proposals = completion.at(opened.document.offset_at_position(params.position))
        return [completion_item(proposal, opened) for proposal in proposals]

    def _hover(self, params: lsp.HoverParams) -> lsp.Hover | None:
        opened = self._opened(params.text_document.uri)
        offset = opened.document.offset_at_position(params.position)
        meaning = Meanings(opened.outline, self._components.registry).at(offset)
        if not meaning.text:
            return None
        span = opened.range(meaning.start, meaning.end)
        return lsp.Hover(markdown(meaning.text), span)

    def _definition(self, params: lsp.DefinitionParams) -> lsp.Location | None:
        uri = params.text_document.uri
        opened = self._opened(uri)
        offset = opened.document.offset_at_position(params.position)
        source = Meanings(opened.outline, self._components.registry).source_at(offset)
        if source is None:
            return None
        if source.file:
            line = lsp.Position(source.line - 1, 0)
            address = uris.from_fs_path(source.file) or source.file
            return lsp.Location(address, lsp.Range(line, line))
        end = source.offset + source.length
        return lsp.Location(uri, opened.range(source.offset, end))

    def _opened(self, uri: str) -> OpenedText:
        document = self._server.workspace.get_text_document(uri)
        is_yaml = document.language_id == "yaml" or uri.endswith((".yaml", ".yml"))
        text, outline = self._outlines.get(uri, (None, None))
        if outline is None or text != document.source:
            text = document.source
            outline = outline_of(text, is_yaml=is_yaml)
            self._outlines[uri] = (text, outline)
        return OpenedText(document, outline, is_yaml)
