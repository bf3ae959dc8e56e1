"""The strings of a JSON text where they stand, so that all the rest of it stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"(\s*:)?|[{}\[\]]', re.DOTALL)
_BETWEEN = re.compile(r"(?:[\s:,0-9eE+\-.]|true|false|null)*")
_USUAL = frozenset(("", ",", ":", ": ", ", "))
_DECODER = json.JSONDecoder(strict=False)


class NotJsonError(ValueError):
    """It is no JSON."""


class String(NamedTuple):
    """A string of a JSON text from `start` to `end`, its quotes included.

    `key` is the name under which it stands (its own if it is a name, `is_key`), `above` the name of the
    object that it is in, `depth` how many arrays lie between `key` and it.
    """

    start: int
    end: int
    value: str
    key: str
    above: str
    depth: int
    is_key: bool


def strings(text: str) -> Iterator[String]:
    """All strings from left to right; raises NotJsonError, perhaps after some."""
    # bracket, the key it stands under, arrays below that key, the name of the object around it
    stack: list[tuple[str, str, int, str]] = []
    key, above, depth, at, inside = "", "", 0, 0, ""
    for match in _TOKEN.finditer(text):
        start = match.start()
        if text[at:start] not in _USUAL and not _BETWEEN.fullmatch(text, at, start):
            raise NotJsonError(text[at:start][:40])
        at = match.end()
        mark = text[start]
        if mark in "{[":
            stack.append((inside, key, depth, above))
            key, depth, above = ("", 0, key) if mark == "{" else (key, depth + 1, above)
            inside = mark
        elif mark in "}]":
            if inside != ("{" if mark == "}" else "["):
                raise NotJsonError(mark)
            inside, key, depth, above = stack.pop()
        else:
            is_key = match[1] is not None
            end = match.start(1) if is_key else at
            value = _decoded(text[start:end])
            if is_key:
                if inside != "{":
                    raise NotJsonError(value[:40])
                key, depth = value, 0
            yield String(start, end, value, key, above, depth, is_key)
    if stack or not _BETWEEN.fullmatch(text, at):
        raise NotJsonError(text[at:][:40])


def _decoded(token: str) -> str:
    if "\\" not in token:
        return token[1:-1]
    try:
        value = _DECODER.decode(token)
    except ValueError:
        raise NotJsonError(token[:40]) from None
    return str(value)


def rewritten(text: str, change: Callable[[String], str]) -> str:
    """The text with each string replaced by what `change` makes of it; raises NotJsonError."""
    parts, at = [], 0
    for string in strings(text):
        made = change(string)
        if made != string.value:
            parts += [text[at : string.start], json.dumps(made)]
            at = string.end
    return "".join([*parts, text[at:]])
