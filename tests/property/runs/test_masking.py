"""Whatever clothes a secret wears, it is taken out of what a step leaves; all else stays as it is."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.attempts.masking import NO_MASK, SHORTEST, Mask, mask_of
from openagents_json.components.errors import MAX_MESSAGE, describe_error

VALUES = st.text(min_size=SHORTEST, max_size=60).filter(
    lambda text: text.strip() == text
)
AROUND = st.text(st.sampled_from("ab=\\/+%\"' \n{é😀"), max_size=9)
SPELLINGS: dict[str, Callable[[str], str]] = {
    "itself": str,
    "repr": repr,
    "ascii": ascii,
    "repr of repr": lambda text: repr(repr(text)),
    "bytes": lambda text: repr(text.encode()),
    "json": json.dumps,
    "json unescaped": lambda text: json.dumps(text, ensure_ascii=False),
    "json in json": lambda text: json.dumps(json.dumps(text)),
    "json with slashes": lambda text: json.dumps(text).replace("/", "\\/"),
    "percent": quote,
    "percent all": lambda text: quote(text, safe=""),
    "percent lower": lambda text: "".join(
        f"%{byte:02x}" if byte > 126 or byte < 48 else chr(byte)
        for byte in text.encode()
    ),
    "form": quote_plus,
    "percent twice": lambda text: quote(quote(text, safe="")),
    "html": html.escape,
    "hex": lambda text: text.encode().hex(),
    "hex upper": lambda text: text.encode().hex().upper(),
}


@given(VALUES, st.sampled_from(sorted(SPELLINGS)), AROUND, AROUND)
def test_a_secret_is_found_in_any_spelling(
    value: str, spelling: str, before: str, after: str
) -> None:
    spelt = SPELLINGS[spelling](value)
    core = spelt.strip("\"'\\") if spelling in ("itself", "hex") else spelt
    masked = Mask([value]).value({"k": [before + spelt + after]})
    assert "***" in masked["k"][0]
    assert core not in masked["k"][0] or core in "***"


@given(
    VALUES.filter(lambda text: len(text.encode()) > 4),
    st.binary(max_size=7),
    st.binary(max_size=7),
    st.booleans(),
)
def test_a_secret_is_found_in_base64_at_any_place(
    value: str, before: bytes, after: bytes, urlsafe: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(before + value.encode() + after).decode()
    for spelt in (text, text.rstrip("="), quote(text, safe="")):
        masked = Mask([value]).text(spelt)
        assert "***" in masked
        left = unquote(masked).replace("***", "").rstrip("=")
        assert len(left) * 6 // 8 <= len(before) + len(after) + 6


@given(st.lists(VALUES, min_size=1, max_size=4), st.text(max_size=40), st.data())
def test_all_else_stays_as_it_is(
    values: list[str], text: str, data: st.DataObject
) -> None:
    words = data.draw(st.lists(st.sampled_from([text, *values]), max_size=6))
    mask = Mask(values)
    assert all(
        value not in mask.text(" ".join(words)) or value in "* " * 60
        for value in values
    )
    if mask.text(text) == text:
        assert mask.value({"k": [text, 1, None, True, 1.5]}) == {
            "k": [text, 1, None, True, 1.5]
        }


@given(VALUES, st.integers(0, 3 * MAX_MESSAGE), st.integers(0, 200))
def test_messages_are_masked_before_they_are_cut(
    value: str, before: int, after: int
) -> None:
    described = describe_error(
        ValueError("." * before + value + "." * after), Mask([value]).message
    )
    told = described["message"].strip(".")
    assert told in ("", "*", "**", "***")


def test_parts_of_a_secret_are_secret() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n"
    account = json.dumps({"user": "robot", "port": 54321, "on": True, "key": key})
    mask = Mask([account, "postgres://me:p%40ssword@host/db"])
    assert mask.value(
        {
            "MIIEvQIBADANBgkq": [
                "hkiG9w0BAQEFAASC!",
                "robot",
                54321,
                True,
                "p@ssword",
                "p%40ssword",
            ]
        }
    ) == {"***": ["***!", "***", "***", True, "***", "***"]}
    assert mask.text(base64.encodebytes(key.encode()).decode()).count("***") == 1


@pytest.mark.parametrize(
    ("secret", "given", "masked"),
    [
        ("424242", 424242, "***"),
        ("424242", 424242.0, "***"),
        ("424242", 4242421, 4242421),
        ("0042", 42, 42),
        ("1042.50", [1042.5, "1042.5"], ["***", "***"]),
        ("007", [7, "007"], [7, "007"]),
        ("abc", {"abc": "abcabc"}, {"abc": "abcabc"}),
        ("", {"": ""}, {"": ""}),
        ("abab", "ababab-abab", "***-***"),
        ("word", {"word": 1, "***": 2}, {"***": 1, "****": 2}),
    ],
)
def test_rules(secret: str, given: Any, masked: Any) -> None:
    assert Mask([secret]).value(given) == masked


def test_what_is_left_of_a_cut_secret_is_taken_out() -> None:
    mask = Mask(["abcdefghijklmnopqrstuvwxyz"])
    assert (
        mask.message("input_value='abcdefghijkl...opqrstuvwxyz', x")
        == "input_value='***', x"
    )
    assert mask.message("no number: 'abcdefghijklm") == "no number: '***"
    assert mask.message("abc... and abcdefghi") == "abc... and ***"


def test_secrets_that_overlap_are_taken_out_together_and_deep_values_do_not_matter() -> (
    None
):
    assert Mask(["abcd", "cdefgh"]).text("xabcdefghx") == "x***x"
    deep: Any = "abcd"
    for _ in range(3000):
        deep = [deep]
    deep = Mask(["abcd"]).value(deep)
    for _ in range(3000):
        [deep] = deep
    assert deep == "***"


def test_a_mask_is_made_once_for_the_same_secrets() -> None:
    assert mask_of(["abcd", "efgh"]) is mask_of(["efgh", "abcd", "abcd"])
    assert NO_MASK.text("abcd") == "abcd"
