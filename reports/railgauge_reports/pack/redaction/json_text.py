"""The strings of a JSON text where they stand, so that all the rest of it stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\]]', re.DOTALL)
_BETWEEN = re.compile(r"(?:[\s:,0-9eE+\-.]|true|false|null)*")
_COLON = re.compile(r"\s*:")


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
    stack: list[
        tuple[str, str, int]
    ] = []  # bracket, the key it stands under, arrays below that key
    key, depth, at = "", 0, 0
    for match in _TOKEN.finditer(text):
        if not _BETWEEN.fullmatch(text, at, match.start()):
            raise NotJsonError(text[at : match.start()][:40])
        at = match.end()
        mark = match[0]
        if mark in "{[":
            stack.append((mark, key, depth))
            key, depth = ("", 0) if mark == "{" else (key, depth + 1)
        elif mark in "}]":
            if not stack or stack[-1][0] != ("{" if mark == "}" else "["):
                raise NotJsonError(mark)
            _, key, depth = stack.pop()
        else:
            inside = stack[-1][0] if stack else ""
            is_key = inside == "{" and _COLON.match(text, at) is not None
            value = _decoded(mark)
            if is_key:
                key, depth = value, 0
            yield String(match.start(), at, value, key, _above(stack), depth, is_key)
    if stack or not _BETWEEN.fullmatch(text, at):
        raise NotJsonError(text[at:][:40])


def _above(stack: list[tuple[str, str, int]]) -> str:
    return next((key for mark, key, _ in reversed(stack) if mark == "{"), "")


def _decoded(token: str) -> str:
    try:
        value = json.loads(token, strict=False)
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
