"""A pack's bytes, read with suspicion: a zip archive in which nothing stands that its list does not say.

`zipfile` parses the list at the end; the rest is checked here, because a zip may hide data between its
members, name one file twice, let members share their bytes (the bombs of D. Fifield, "A better zip
bomb", 2019) or claim sizes that are not true. Field names as in PKWARE's APPNOTE.TXT 6.3.10.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO

from railgauge_reports.pack import names
from railgauge_reports.pack.writing import EXPANDS_FREELY, MODE, UNIX

#: Of the list of members, so that reading it cannot fill the memory.
MOST_LIST_BYTES = 64 << 20
MOST_MEMBERS = 1 << 18
#: How much more than the archive its members may hold where that is more than EXPANDS_FREELY.
MOST_RATIO = 100
_DEFLATE_RATIO = 1032  # its limit: zlib, "Maximum Compression Factor"; more is a lie
_CHUNK = 1 << 16
_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_WIDE = struct.Struct("<2H2Q")
_FULL = 0xFFFFFFFF
_DOS_DATE = (0, 33)  # DATE


class TamperedError(Exception):
    """It is not as railgauge wrote it; the text says what is wrong."""


class NoArchiveError(Exception):
    """It cannot be read as a zip at all."""


class Layout:
    """The members of an archive, in the order of its list."""

    def __init__(self, file: IO[bytes]) -> None:
        """Reads the list of an open file; NoArchiveError, or TamperedError where that is too long."""
        self._file = file
        self.nbytes = file.seek(0, os.SEEK_END)
        entries, nbytes, end = _list_size(file, self.nbytes)
        if nbytes > MOST_LIST_BYTES or entries > MOST_MEMBERS:
            raise TamperedError(f"its list has {entries} members in {nbytes} B: refused")
        if not _counts(file, end - nbytes, end, entries):
            raise TamperedError(f"its list does not have the {entries} members that it says")
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, struct.error, NotImplementedError) as error:
            raise NoArchiveError(str(error)) from None
        self.members = self._zip.infolist()
        self._list_at = self._zip.start_dir

    @property
    def total_bytes(self) -> int:
        """What the members are said to hold."""
        return sum(member.file_size for member in self.members)

    def problems(self) -> Iterator[str]:
        """What is wrong before any member is read."""
        at = 0
        for member in self.members:
            yield from self._odd(member)
            if member.header_offset != at:
                yield f"{member.filename!r}: bytes lie before it that belong to nothing"
            at = member.header_offset + self._local(member) + member.compress_size
        if at != self._list_at:
            yield "bytes lie behind the last member that belong to nothing"
        yield from self._odd_list()
        listed = [member.filename for member in self.members]
        yield from names.collisions(listed)
        if listed != names.in_order(listed):
            yield "its members are not in the order of a pack"

    def _odd(self, member: zipfile.ZipInfo) -> Iterator[str]:
        name = member.filename
        if why := names.unsafe(member.orig_filename):
            yield f"{member.orig_filename!r} {why}"
        elif name != member.orig_filename:
            yield f"{member.orig_filename!r} is no name of a file"
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            yield f"{name!r}: stored, with two sizes"
        if member.file_size > _DEFLATE_RATIO * member.compress_size + _CHUNK:
            yield (
                f"{name!r}: {member.file_size} B out of {member.compress_size}: no such thing, a bomb"
            )

    def _local(self, member: zipfile.ZipInfo) -> int:
        """Length of the header before a member, 0 where it is not the one that the list describes."""
        if not 0 <= member.header_offset < self.nbytes:
            return 0
        self._file.seek(member.header_offset)
        raw = self._file.read(_LOCAL.size)
        if len(raw) < _LOCAL.size:
            return 0
        mark, version, flags, method, time, date, crc, packed, size, n, m = _LOCAL.unpack(raw)
        name, extra = self._file.read(n), self._file.read(m)
        if len(extra) == _WIDE.size and extra[:4] == b"\1\0\x10\0":
            _, _, long, short = _WIDE.unpack(extra)
            if (size, packed) not in ((_FULL, _FULL), (long, short)):
                return 0
            size, packed = long, short
        elif extra:
            return 0
        said = (mark, flags, method, crc, packed, size)
        listed = (
            *(b"PK\3\4", member.flag_bits, member.compress_type),
            *(member.CRC, member.compress_size, member.file_size),
        )
        try:
            same = name.decode() == member.orig_filename
        except UnicodeDecodeError:
            same = False
        same &= (time, date) == _DOS_DATE and version in ((20, 45) if extra else (20,))
        return _LOCAL.size + n + m if same and said == listed else 0

    def _odd_list(self) -> Iterator[str]:
        """The list is what railgauge writes: plain files, and nothing else about them."""
        self._file.seek(self._list_at)
        for member in self.members:
            found = [_entry(member, version) for version in _versions(member)]
            raw = self._file.read(len(found[0]))
            if raw not in found:
                yield (
                    f"{member.filename!r}: not a plain file as railgauge writes one"
                    " (a link, a comment, encrypted ...)"
                )
                return
        yield from self._odd_end(self._file.tell())

    def _odd_end(self, end: int) -> Iterator[str]:
        """Behind the list, at `end`, is one record, or three in a large archive."""
        count, at = len(self.members), self._list_at
        size = end - at
        expected = b""
        if count > zipfile.ZIP_FILECOUNT_LIMIT or max(at, size) > zipfile.ZIP64_LIMIT:
            expected = _END64.pack(
                b"PK\6\6", _END64.size - 12, 45, 45, 0, 0, count, count, size, at
            )
            expected += _LOCATOR.pack(b"PK\6\7", 0, end, 1)
        few = min(count, 0xFFFF)
        expected += _END.pack(b"PK\5\6", 0, 0, few, few, min(size, _FULL), min(at, _FULL), 0)
        self._file.seek(end)
        if self._file.read(len(expected) + 1) != expected:
            yield "bytes lie behind the list of members that belong to nothing"

    def read(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """A member's bytes in chunks; raises TamperedError as soon as they are not what the list says."""
        head = self._local(member)
        if not head:
            raise TamperedError(f"{member.filename!r}: its header is not what the list says")
        self._file.seek(member.header_offset + head)
        crc, made = 0, 0
        for chunk in self._unpacked(member):
            made += len(chunk)
            if made > member.file_size:
                raise TamperedError(
                    f"{member.filename!r}: holds more than the {member.file_size} B it says"
                )
            crc = zlib.crc32(chunk, crc)
            yield chunk
        if made != member.file_size or crc != member.CRC:
            raise TamperedError(
                f"{member.filename!r}: {made} B with another checksum than the list says"
            )

    def _unpacked(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        left = member.compress_size
        stored = member.compress_type == zipfile.ZIP_STORED
        inflate = None if stored else zlib.decompressobj(-zlib.MAX_WBITS)
        at = self._file.tell()
        while left:
            self._file.seek(at)  # the caller may read other members meanwhile
            chunk = self._file.read(min(_CHUNK, left))
            if not chunk:
                raise TamperedError(f"{member.filename!r}: cut short")
            at, left = at + len(chunk), left - len(chunk)
            if inflate is None:
                yield chunk
                continue
            while chunk:
                try:
                    yield inflate.decompress(chunk, _CHUNK)
                except zlib.error as error:
                    raise TamperedError(f"{member.filename!r}: {error}") from None
                chunk = inflate.unconsumed_tail
        if inflate is None:
            return
        while not inflate.eof and (more := inflate.decompress(b"", _CHUNK)):
            yield more
        if not inflate.eof or inflate.unused_data:
            raise TamperedError(f"{member.filename!r}: cut short, or with bytes behind its end")


def most_bytes(archive_bytes: int) -> int:
    """What the members may hold in all unless the user allows more."""
    return max(EXPANDS_FREELY, MOST_RATIO * archive_bytes)


def _versions(member: zipfile.ZipInfo) -> tuple[int, ...]:
    """Of the format that a member needs: Pythons differ about sizes just below the limit."""
    if _beyond(member):
        return (45,)
    return (20, 45) if member.file_size * 1.05 > zipfile.ZIP64_LIMIT else (20,)


def _beyond(member: zipfile.ZipInfo) -> tuple[int, ...]:
    """The numbers of a member that four bytes do not hold."""
    sizes = (member.file_size, member.compress_size)
    limit = zipfile.ZIP64_LIMIT
    far = (member.header_offset,) if member.header_offset > limit else ()
    return (*(sizes if max(sizes) > limit else ()), *far)


def _entry(member: zipfile.ZipInfo, version: int) -> bytes:
    """What the list says of a plain file of that name, size, checksum and place."""
    name = member.orig_filename.encode(errors="replace")
    beyond = _beyond(member)
    extra = struct.pack(f"<2H{len(beyond)}Q", 1, 8 * len(beyond), *beyond) if beyond else b""
    size, packed, offset = member.file_size, member.compress_size, member.header_offset
    if max(size, packed) > zipfile.ZIP64_LIMIT:
        size = packed = _FULL
    if offset > zipfile.ZIP64_LIMIT:
        offset = _FULL
    method = (
        member.compress_type if member.compress_type == zipfile.ZIP_STORED else zipfile.ZIP_DEFLATED
    )
    head = (
        *(b"PK\1\2", version | UNIX << 8, version, 0 if name.isascii() else 0x800, method),
        *(*_DOS_DATE, member.CRC, packed, size, len(name), len(extra), 0, 0, 0, MODE, offset),
    )
    return _CENTRAL.pack(*head) + name + extra


def _counts(file: IO[bytes], at: int, end: int, entries: int) -> bool:
    """Does the list from `at` to `end` have so many members? Counted before any is remembered."""
    while 0 <= at < end and entries > 0:
        file.seek(at)
        raw = file.read(_CENTRAL.size)
        if len(raw) < _CENTRAL.size or raw[:4] != b"PK\1\2":
            return False
        at += _CENTRAL.size + sum(_CENTRAL.unpack(raw)[10:13])  # name, extra field, comment
        entries -= 1
    return at == end and entries == 0


def _list_size(file: IO[bytes], nbytes: int) -> tuple[int, int, int]:
    """(members, bytes, end) of the list, from the record at the very end; NoArchiveError without one."""
    if nbytes < _END.size:
        raise NoArchiveError("too short for an archive")
    file.seek(nbytes - _END.size)
    mark, *_, entries, size, _, comment = _END.unpack(file.read(_END.size))
    if mark != b"PK\5\6" or comment:
        raise NoArchiveError("it does not end as an archive does")
    behind = _END.size + _LOCATOR.size + _END64.size
    if nbytes >= behind:
        file.seek(nbytes - behind)
        wide = _END64.unpack(file.read(_END64.size))
        if wide[0] == b"PK\6\6":
            return wide[7], wide[8], nbytes - behind
    return entries, size, nbytes - _END.size
