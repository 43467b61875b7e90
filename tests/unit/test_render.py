"""What is printed as JSON, whatever is in it."""

from __future__ import annotations

import json

import pytest

from cli.render import print_json, print_line


def test_halves_of_characters_are_printed_so_that_they_come_back(capfd: pytest.CaptureFixture[str]) -> None:
    value = {"text": "\ud800 and é"}
    for show in (print_json, print_line):
        show(value)
        assert json.loads(capfd.readouterr().out) == value
