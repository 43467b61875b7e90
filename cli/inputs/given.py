"""What a command was given: texts by name, values of a file, and both as the types that are declared for them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from cli.terminal import read_input

if TYPE_CHECKING:
    from openagents_json.engine import InvalidInputs
    from openagents_json.engine.errors import NotOfType

STANDARD_INPUT: Final = "-"


@dataclass(frozen=True, slots=True)
class GivenText:
    """A text that stands for a value; `source` is the file that it was read from, empty for none."""

    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class GivenInputs:
    """Values by name: `texts` of an option, which count before the `values` of a `file`."""

    option: str
    texts: Mapping[str, GivenText] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    file: str = ""

    def __bool__(self) -> bool:
        """Tell whether anything was given."""
        return bool(self.texts or self.values)

    def typed(self, declared: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values, read by the types that are declared for them; one that is not declared is left to others.

        Raises InvalidInputs, which names all that do not fit.
        """
        from openagents_json.engine.errors import NotOfType
        from openagents_json.engine.inputs.texts import kind_of

        typed: dict[str, Any] = {}
        problems: list[tuple[str, str]] = []
        for name in {**self.values, **self.texts}:
            kind = kind_of(declared.get(name))
            try:
                typed[name] = self._value(name, kind)
            except NotOfType as error:
                problems.append((name, self._wrong(name, kind, error)))
        if problems:
            raise _refusal(problems)
        return typed

    def _value(self, name: str, kind: str) -> Any:
        from openagents_json.engine.inputs.texts import check_type, read_text

        if name in self.texts:
            return read_text(self.texts[name].text, kind)
        check_type(self.values[name], kind)
        return self.values[name]

    def _wrong(self, name: str, kind: str, error: NotOfType) -> str:
        from openagents_json.engine.inputs.texts import wrong

        given = self.texts.get(name)
        if given is None:
            member = json.dumps(name, ensure_ascii=False)
            return wrong(kind, error, lambda text: f"{member}: {text} in {self.file}")
        if given.source:
            return f"must be of type {kind}, and {given.source} holds none; write JSON of that type into it"
        return wrong(
            kind,
            error,
            lambda text: f"{self.option} {shlex.quote(f'{name}={text}')}",
        )


def _refusal(problems: Sequence[tuple[str, str]]) -> InvalidInputs:
    """Return the error that says what does not fit; what to write is its remedy, where there is one problem."""
    from openagents_json.engine import InvalidInputs

    error = InvalidInputs(problems)
    if len(problems) == 1:
        _, reason = problems[0]
        error.remedy = reason.rpartition("; ")[2]
    return error


def given_inputs(
    pairs: Iterable[str],
    file: str | None = None,
    option: str = "--input",
    file_option: str = "--inputs",
) -> GivenInputs:
    """Take inputs apart: those of a JSON object in a file, and NAME=VALUE of an option; @FILE is the text of a file.

    Raises click.BadParameter.
    """
    texts: dict[str, GivenText] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not name=value", param_hint=option)
        if name in texts:
            raise click.BadParameter(
                f"{name!r} is given twice; give it once", param_hint=option
            )
        texts[name] = given_text(text, f"{option} {name}=", option)
    if file is None:
        return GivenInputs(option, texts)
    values = json_of_file(file, file_option)
    if not isinstance(values, dict):
        raise click.BadParameter(
            f"{file} must hold a JSON object", param_hint=file_option
        )
    return GivenInputs(option, texts, values, file)


def given_text(text: str, prefix: str, option: str) -> GivenText:
    """Return a text, or that of the file that it names as @FILE; @@ stands for an @ that is none of that.

    Raises click.BadParameter, which says what to write after `prefix`.
    """
    if text.startswith("@@"):
        return GivenText(text[1:])
    if not text.startswith("@"):
        return GivenText(text)
    name = text[1:]
    advice = f"for a text that begins with @, write {prefix}@{text}"
    try:
        return GivenText(_bytes_of(name).decode("utf-8-sig"), name)
    except UnicodeDecodeError:
        reason = f"{name} is no text in UTF-8"
    except (OSError, ValueError) as error:  # a name with a null byte is a ValueError
        reason = f"{name}: {getattr(error, 'strerror', None) or error}"
    raise click.BadParameter(f"{reason}; {advice}", param_hint=option)


def json_of_file(file: str, option: str) -> Any:
    """Read a file of JSON; `-` is the standard input.

    Raises click.BadParameter.
    """
    from openagents_json.engine.inputs.texts import read_json

    try:
        return read_json(_bytes_of(file))
    except OSError as error:
        raise click.BadParameter(
            f"{file}: {error.strerror}", param_hint=option
        ) from error
    except ValueError as error:
        raise click.BadParameter(
            f"{file} is not JSON: {error}", param_hint=option
        ) from error


def _bytes_of(file: str) -> bytes:
    if file == STANDARD_INPUT:
        return read_input()
    return Path(file).read_bytes()


@dataclass(frozen=True, slots=True)
class GivenValue:
    """One value, a payload or a result: a text of an option, or else what stands in a file, null for neither."""

    option: str
    text: GivenText | None = None
    value: Any = None

    def typed(self, schemas: Iterable[Any] = ()) -> Any:
        """Return the value; a text is read by the schemas that it may have to fit, without any as JSON or else a text.

        Raises InvalidInputs.
        """
        if self.text is None:
            return self.value
        from openagents_json.engine.errors import NotOfType
        from openagents_json.engine.inputs.texts import (
            kind_of_payload,
            read_text,
            wrong,
        )

        kind = kind_of_payload(schemas, self.text.text)
        try:
            return read_text(self.text.text, kind)
        except NotOfType as error:
            reason = wrong(kind, error, self._spelled)
            raise _refusal([(self.option.lstrip("-"), reason)]) from None

    def _spelled(self, text: str) -> str:
        return f"{self.option} {shlex.quote(text)}"


def given_value(text: str | None, file: str | None, option: str) -> GivenValue:
    """Take one value: the text of an option, or the JSON of the file that the option of that name with -file names.

    Raises click.UsageError.
    """
    if file is None:
        given = None if text is None else given_text(text, f"{option} ", option)
        return GivenValue(option, given)
    if text is not None:
        raise click.UsageError(f"{option} and {option}-file do not go together")
    return GivenValue(option, value=json_of_file(file, f"{option}-file"))


def refuse_two_readers(*given: str | None) -> None:
    """Refuse to read the standard input twice: who comes second would find nothing.

    Raises click.UsageError.
    """
    readers = [text for text in given if text == "-" or _is_reader(text)]
    if len(readers) > 1:
        raise click.UsageError(
            "the standard input can be read once; give one of these as a file"
        )


def _is_reader(pair: str | None) -> bool:
    return pair is not None and pair.partition("=")[2] == f"@{STANDARD_INPUT}"
