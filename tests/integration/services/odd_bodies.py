"""Bodies that no operation can take: what is no JSON, though some reader would take it, and what is none of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

JSON_TYPE: Final = "application/json"

_WHOLE: Final = b'{"reason": ["a", 1.5e3, true, null, {"b": "\\u00e9\xc3\xa9"}]}'
_LITERALS: Final = (
    *(b"NaN", b"Infinity", b"-Infinity", b"undefined", b"None", b"True", b"nil"),
    *(b"01", b"+1", b".5", b"1.", b"1e", b"--1", b"0x10", b"1_000", b"1,5"),
    *(b"1e999", b"-1e999", b"9" * 5_000, b"1" + b"0" * 5_000 + b".0"),
    *(b"'a'", b'"a', b'"\\x41"', b'"\\u12"', b'"\\ud8"', b'"a\nb"', b'"a\x00b"'),
    *(b"[1,]", b"[,1]", b"[1 2]", b"[1}", b'{"a": 1,}', b'{"a" 1}', b"{a: 1}"),
    *(b'{"a": 1 "b": 2}', b'{"a": 1, "a": 2}', b'{"a": {}, "\\u0061": {}}'),
    *(b"1 // one", b"/* one */ 1", b"# one\n1", b"(1)", b"1;"),
    *(b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\x80"', b'"\xf5\x80\x80\x80"'),
    *(b"[" * 5_000, b"[" * 5_000 + b"]" * 5_000, b'{"a":' * 5_000),
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
)
_AROUND: Final = (
    *(b"{} {}", b"{}{", b"{}]", b"\xef\xbb\xbf{}", b"\x00{}", b"{}\x00", b"\x0b{}"),
    *("{}".encode("utf-16"), "{}".encode("utf-32"), b"\xc2\xa0{}", b")]}',\n{}"),
    *(b"<a/>", b"a=1&b=2", b"--x\r\n\r\na\r\n--x--\r\n", b"%7B%7D", b"\x1f\x8b\x08"),
    *(b" ", b"\n", b",", b":", b'"', b"-", b"\\"),
)
_STRANGE: Final = (
    *(b"[]", b"[{}]", b'""', b'"{}"', b"0", b"-0.0", b"1e308", b"true", b"false"),
    *(b"9" * 400, b"[" * 50 + b"]" * 50, b'{"": ""}', b'{"unknown": null}'),
    *(b'{"__proto__": {}}', b'{"\\u0000": 1}', b'{"\\ud800": 1}', b'{"$ref": "#"}'),
)
_TYPES: Final = (
    *("text/plain", "text/xml", "application/x-www-form-urlencoded", "a", ""),
    *("multipart/form-data", "multipart/form-data; boundary=x", "application/jso"),
    "application/octet-stream",
)


def not_json() -> Iterator[bytes]:
    """Return bodies that are no JSON in UTF-8."""
    yield from (_WHOLE[:length] for length in range(1, len(_WHOLE), 4))
    yield from (b'{"reason": %s}' % literal for literal in _LITERALS)
    yield from _AROUND


def unfit() -> Iterator[tuple[bytes, Mapping[str, str]]]:
    """Return bodies that are JSON and fit no operation, and their headers; then some of types that are not read."""
    for body in _STRANGE:
        yield body, {"Content-Type": JSON_TYPE}
    for kind in _TYPES:
        yield b'{"unknown": 1}', {"Content-Type": kind}
