"""The bytes of a log as UTF-8, a block at a time: gzip, bzip2, xz and UTF-16 are undone on the way."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from railgauge.errors import NotMeasuredError, UsageError

BLOCK = 1 << 20
_OPENED: dict[bytes, type[gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile]] = {
    b"\x1f\x8b": gzip.GzipFile,
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
#: What the standard library of Python 3.10 does not read, and an archive, which may hold several files.
_REFUSED = {b"(\xb5/\xfd": "unzstd", b"PK\x03\x04": "unzip"}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_DAMAGED = (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, ValueError)


def blocks(path: Path) -> Iterator[bytes]:
    """What stands in the file, in blocks of about BLOCK bytes.

    NotMeasuredError where it cannot be read or is damaged, UsageError where it has to be unpacked first.
    """
    try:
        with path.open("rb") as file:
            yield from _utf_8(_plain(path, file))
    except OSError as error:
        raise NotMeasuredError(
            f"{path}: {error.strerror or error}.\n"
            f"  expected: a file that this user may read\n  next: ls -l {path}"
        ) from None


def _plain(path: Path, file: IO[bytes]) -> Iterator[bytes]:
    magic = file.read(8)
    file.seek(0)
    for begins, command in _REFUSED.items():
        if magic.startswith(begins):
            raise UsageError(f"{path}: compressed.\n  next: {command} {path}")
    opened = next((opened for begins, opened in _OPENED.items() if magic.startswith(begins)), None)
    if opened is None:
        while block := file.read(BLOCK):
            yield block
        return
    done = 0
    try:
        with opened(path) as content:
            while block := content.read(BLOCK):
                yield block
                done += len(block)
    except _DAMAGED as error:
        raise NotMeasuredError(
            f"{path}: compressed, and damaged after {done} B of its content: {error}.\n"
            "  expected: a whole file\n"
            f"  next: get it again, or unpack what is left of it: zcat {path} > FILE"
        ) from None


def _utf_8(read: Iterator[bytes]) -> Iterator[bytes]:
    """UTF-16 is known by its mark (PowerShell's `>` writes it); anything else stays as it is."""
    first = next(read, b"")
    if first[:2] not in _UTF_16:
        yield first
        yield from read
        return
    decoder = codecs.getincrementaldecoder("utf-16")("replace")
    yield decoder.decode(first).encode("utf-8", "replace")
    for block in read:
        yield decoder.decode(block).encode("utf-8", "replace")
