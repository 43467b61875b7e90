"""How inputs are made of others: bytes, texts, JSON values and zip files, by a generator that is an argument."""

from __future__ import annotations

import copy
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Place = tuple[Any, ...]
"""Where a value is in a JSON value: keys and indexes."""

ODD_NUMBERS = (
    0,
    -1,
    1,
    2,
    255,
    2**31,
    2**53,
    -(2**63),
    10**30,
    0.5,
    -0.0,
    1e-9,
    1e308,
    86_400_000,
)
ODD_TEXTS = (
    "",
    " ",
    "a\n",
    "\x00",
    "\x1b[2J",
    "\u202egnp",
    "\ud800",
    "\u00e9",
    "\u0130",
    "\U0001f600",
    "'",
    '"',
    "\\",
    "%s",
    "../x",
    "-",
    "--",
    "1e999",
    "NaN",
    "null",
    "9" * 40,
    "x" * 300,
)
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xc3",
    b"[]",
    b"{}",
    b"null",
    b"-1",
    b"1e999",
    b'"',
    b"\n",
    b"9" * 30,
    b"\\ud800",
    b"[" * 200,
)


def mutate_bytes(raw: bytes, others: Sequence[bytes], random: Random) -> bytes:
    """Change a few bytes, remove, double or insert some, or go on as another input does."""
    for _ in range(random.randint(1, 3)):
        at, size = random.randrange(len(raw) + 1), random.choice((1, 2, 4, 16, 64, 256))
        piece = raw[at : at + size]
        match random.randrange(7):
            case 0 if piece:
                raw = (
                    raw[:at]
                    + bytes([piece[0] ^ (1 << random.randrange(8))])
                    + raw[at + 1 :]
                )
            case 1:
                raw = raw[:at] + raw[at + size :]
            case 2:
                raw = raw[:at] + piece + raw[at:]
            case 3:
                raw = raw[:at] + random.choice(ODD_BYTES) + raw[at:]
            case 4:
                odd = random.choice(ODD_BYTES)
                raw = raw[:at] + odd + raw[at + len(odd) :]
            case 5:
                raw = raw[:at]
            case _:
                other = random.choice(others)
                raw = raw[:at] + other[random.randrange(len(other) + 1) :]
    return raw


def mutate_text(
    text: str, others: Sequence[str], words: Sequence[str], random: Random
) -> str:
    """Insert a word, remove, double or replace a piece, or go on as another text does."""
    at, size = random.randrange(len(text) + 1), random.choice((1, 1, 2, 3, 5, 8, 20))
    match random.randrange(7):
        case 0:
            return text[:at] + random.choice(words) + text[at:]
        case 1:
            return text[:at] + text[at + size :]
        case 2:
            return text[: at + size] + text[at:]
        case 3:
            return text[:at] + random.choice(words) + text[at + size :]
        case 4:
            return text[:at] + random.choice(ODD_TEXTS) + text[at:]
        case 5:
            return f"{text[:at]} {random.choice(words)} {text[at:]}"
        case _:
            other = random.choice(others)
            return text[:at] + other[random.randrange(len(other) + 1) :]


def places(value: Any, at: Place = ()) -> list[Place]:
    """List where there is a value in a JSON value, itself first."""
    paths = [at]
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        paths += places(item, (*at, key))
    return paths


def value_at(value: Any, path: Place) -> Any:
    """Return what is at a place."""
    for key in path:
        value = value[key]
    return value


def mutate_json(
    value: Any, others: Sequence[Any], words: Sequence[str], random: Random
) -> Any:
    """Change a few places of a JSON value: put another value there, remove, rename, double, move, or wrap it."""
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        paths = places(value)
        path = random.choice(paths)
        if not path:
            return _another(value, others, words, random)
        holder = value_at(value, path[:-1])
        _mutate_member(holder, path[-1], (value, others, words), random)
    return value


def _mutate_member(
    holder: Any,
    key: Any,
    around: tuple[Any, Sequence[Any], Sequence[str]],
    random: Random,
) -> None:
    whole, others, words = around
    match random.randrange(8):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[mutate_text(key, words, words, random)] = holder.pop(key)
        case 1 | 2 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), copy.deepcopy(holder[key]))
        case 2:
            holder[random.choice(words)] = copy.deepcopy(holder[key])
        case 3:  # something from elsewhere in it
            holder[key] = copy.deepcopy(value_at(whole, random.choice(places(whole))))
        case 4:
            other = random.choice(others)
            holder[key] = copy.deepcopy(value_at(other, random.choice(places(other))))
        case 5:
            holder[key] = random.choice(
                (
                    [holder[key]],
                    {random.choice(words): holder[key]},
                    [holder[key]] * random.choice((2, 9, 9, 200)),
                )
            )
        case _:
            holder[key] = _another(holder[key], others, words, random)


def _another(
    value: Any, others: Sequence[Any], words: Sequence[str], random: Random
) -> Any:
    """Return a value in the place of one: often of its kind."""
    if isinstance(value, str) and random.random() < 0.7:
        texts = [other for other in others if isinstance(other, str)] or words
        return mutate_text(value, texts, words, random)
    if isinstance(value, int | float) and random.random() < 0.7:
        near = (
            (value + 1, value - 1, -value, value * 1000) if abs(value) < 1e300 else (0,)
        )
        return random.choice((*near, *ODD_NUMBERS))
    odd: tuple[Any, ...] = (
        None,
        True,
        False,
        [],
        {},
        random.choice(ODD_NUMBERS),
        random.choice(ODD_TEXTS),
    )
    return random.choice((*odd, *random.choices(words, k=5)))


# -- zip files -------------------------------------------------------------------------------------------


def members(raw: bytes) -> dict[str, bytes] | None:
    """Return the members of a zip file; None when it is none, or damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            infos = archive.infolist()
            if len(infos) > 500 or sum(info.file_size for info in infos) > 8_000_000:
                return None
            return {info.filename: archive.read(info) for info in infos}
    except Exception:  # whatever zipfile and zlib make of damage: then its bytes are changed as they are
        return None


def zipped(files: dict[str, bytes]) -> bytes:
    """Return a zip file of members; the same members give the same bytes."""
    out = io.BytesIO()
    with (
        warnings.catch_warnings(),
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        warnings.simplefilter("ignore")  # names that are there twice, or are odd
        for name, raw in files.items():
            archive.writestr(
                zipfile.ZipInfo(name or "x", (1980, 1, 1, 0, 0, 0)),
                raw,
                zipfile.ZIP_DEFLATED,
            )
    return out.getvalue()


def mutate_lines(
    raw: bytes, others: Sequence[bytes], change: Callable[[Any], Any], random: Random
) -> bytes:
    """Change one line of JSON of many, or their order and number; bytes where they are no JSON."""
    lines = raw.split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(8):
        case 0:
            lines.insert(random.randrange(len(lines) + 1), lines[at])
        case 1:
            lines.insert(at, lines.pop(random.randrange(len(lines))))
        case 2:
            del lines[at]
        case 3:
            return mutate_bytes(raw, others, random)
        case _:
            try:
                lines[at] = json.dumps(change(json.loads(lines[at]))).encode()
            except (ValueError, RecursionError):
                lines[at] = mutate_bytes(lines[at], others, random)
    return b"\n".join(lines)
