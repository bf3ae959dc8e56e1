"""Formats of captured output, one file each; the file name is the name of the format.

Each has `recognises(text)`, which is cheap and says yes to its own tool's output only, and
`parse(text)`, which never fails on text that is malformed or cut off: it leaves out what it cannot
read and says so. Only JSON that does not parse is an error.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from railgauge import plugins
from railgauge.capturing.capture import Capture
from railgauge.errors import NotMeasuredError, UsageError, unknown

#: A file beyond this is not one command's output (`lspci -vvv` of a host with 8 GPUs is 0.5 MiB).
MOST_BYTES = 32 << 20
#: Stands for standard input.
STDIN = Path("-")
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Format:
    """A file of `railgauge.captures`."""

    def __init__(self, name: str) -> None:
        module = importlib.import_module(f"{__name__}.{name}")
        self.name = name
        self.summary: str = (module.__doc__ or "").splitlines()[0].rstrip(".")
        self.recognises: Callable[[str], bool] = module.recognises
        self._parse: Callable[[str], Capture] = module.parse

    def parse(self, text: str) -> Capture:
        """The capture in `text`; raises UsageError where it is JSON that cannot be read."""
        return msgspec.structs.replace(self._parse(text), format=self.name)


def names() -> list[str]:
    """Names of the formats."""
    return plugins.names(__name__)


@functools.cache
def format_named(name: str) -> Format:
    """The format of that name; raises UsageError with the closest one."""
    if name not in names():
        raise unknown("format of a capture", name, names(), "railgauge list")
    return Format(name)


def read(path: Path, tool: str | None = None) -> Capture:
    """What the file holds, in the format named by `tool` or else the one that recognises it.

    Raises UsageError where the file cannot be read, is no text, or no format or more than one
    recognises it, NotMeasuredError where nothing in it can be read.
    """
    text = _text(path)
    form = format_named(tool) if tool else _found(path, text)
    try:
        made = form.parse(text)
    except UsageError as error:
        raise UsageError(f"{path}: {form.name}: {error}") from None
    counted = any(reading.values or reading.unknown for reading in made.readings)
    if not (counted or made.rows or made.facts):
        why = (
            "; ".join(f"line {p.line}: {p.what}" for p in made.problems[:3])
            or "nothing stands in it"
        )
        raise NotMeasuredError(
            f"{path}: looks like {form.name}, but nothing could be read: {why}\n"
            "  expected: the whole output of one command"
        )
    return made


def _found(path: Path, text: str) -> Format:
    forms = [form for form in map(format_named, names()) if form.recognises(text)]
    if len(forms) == 1:
        return forms[0]
    known = ", ".join(names())
    if forms:
        told = " or ".join(form.name for form in forms)
        raise UsageError(
            f"{path}: may be {told}.\n  next: railgauge counters --tool {forms[0].name} {path}"
        )
    near = _closest(path)
    hint = f" By its name it may be {near!r}." if near else ""
    raise UsageError(
        f"{path}: not the output of a tool known here.{hint}\n  known: {known}\n"
        f"  next: railgauge counters --tool {near or 'NAME'} {path}"
    )


def _closest(path: Path) -> str | None:
    """The format whose name stands in the file's name, the longest of several, else the most alike."""
    stem = path.name.lower().replace("-", "_")
    inside = [name for name in names() if name in stem]
    if inside:
        return max(inside, key=len)
    words = re.split(r"[^a-z0-9]+", stem)
    close = [difflib.get_close_matches(word, names(), n=1, cutoff=0.7) for word in words]
    return next((found[0] for found in close if found), None)


def _text(path: Path) -> str:
    try:
        # a descriptor of its own: closing it leaves standard input open
        with open(os.dup(0) if path == STDIN else path, "rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}.\n"
            "  expected: a file with what a tool printed, or - for a pipe\n  next: railgauge list"
        ) from None
    if len(raw) > MOST_BYTES:
        raise UsageError(
            f"{path}: larger than {MOST_BYTES >> 20} MiB; expected the output of one command"
        )
    if not raw.strip():
        raise UsageError(f"{path}: empty; expected the output of a tool (railgauge list)")
    if raw[:2] == b"\x1f\x8b":
        raise UsageError(f"{path}: compressed.\n  next: gunzip {path}")
    return _COLOURS.sub("", raw.decode("utf-8-sig", errors="replace"))
