"""A zip archive whose bytes depend on nothing but what is put in: no clock, no owner, no order of a disk."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from railgauge.errors import NotMeasuredError
from railgauge_reports.pack.manifest import File

DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that the format knows
MODE = 0o100644 << 16  # a plain file, for all to read
UNIX = 3  # "version made by", APPNOTE.TXT 4.4.2
LEVEL = 1  # of samples, 6 makes nothing smaller and takes five times as long
CHUNK = 1 << 20
#: Above this much in all, what deflate makes `STORED_ABOVE` times smaller is stored as it is, so that no
#: pack looks like a bomb (see `layout.most_bytes`).
EXPANDS_FREELY = 1 << 30
STORED_ABOVE = 50
_PROBE = 4 << 20


class Archive:
    """Members in the order in which they are added; `files` says what they were."""

    def __init__(self, path: Path, total_bytes: int) -> None:
        """Makes `path`, which must be free (FileExistsError); `total_bytes` of all members, about."""
        self._zip = zipfile.ZipFile(path, "x")
        self._probes = total_bytes > EXPANDS_FREELY
        self.files: list[File] = []

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._zip.close()

    def add(self, name: str, data: bytes) -> None:
        """A member that is in memory."""
        self._write(name, len(data), iter((data,)), data[:_PROBE])

    def copy(self, name: str, path: Path, nbytes: int) -> None:
        """The first `nbytes` of a file, a chunk at a time.

        Raises NotMeasuredError where it has fewer: it shrank since it was listed.
        """
        try:
            with path.open("rb") as file:
                probe = file.read(min(_PROBE, nbytes)) if self._probes else b""
                file.seek(0)
                self._write(name, nbytes, _chunks(file, path, nbytes), probe)
        except OSError as error:
            raise NotMeasuredError(
                f"{error.filename or path}: {error.strerror or error}.\n"
                "  expected: files that this user may read, and room for the pack"
            ) from None

    def _write(self, name: str, nbytes: int, chunks: Iterator[bytes], probe: bytes) -> None:
        info = zipfile.ZipInfo(name, DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        info._compresslevel = LEVEL  # type: ignore[attr-defined]  # it has no public name before Python 3.13
        if self._probes and len(probe) > STORED_ABOVE * len(zlib.compress(probe, LEVEL)):
            info.compress_type = zipfile.ZIP_STORED
        info.external_attr, info.create_system, info.file_size = MODE, UNIX, nbytes
        digest = hashlib.sha256()
        with self._zip.open(info, "w") as member:
            for chunk in chunks:
                digest.update(chunk)
                member.write(chunk)
        self.files.append(File(name, nbytes, digest.hexdigest()))


def _chunks(file: IO[bytes], path: Path, nbytes: int) -> Iterator[bytes]:
    left = nbytes
    while left:
        chunk = file.read(min(CHUNK, left))
        if not chunk:
            raise NotMeasuredError(
                f"{path}: {nbytes - left} of {nbytes} bytes are left: it shrank while it was packed.\n"
                "  next: wait until nobody writes there, then pack again"
            )
        left -= len(chunk)
        yield chunk
