"""Checks a pack: every byte accounted for, every hash right, and who signed it."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import msgspec

from railgauge.errors import EXIT_FAIL, EXIT_PASS, NotMeasuredError, UsageError
from railgauge.units import format_size
from railgauge_reports.pack import keys, manifest, names
from railgauge_reports.pack.layout import Layout, NoArchiveError, TamperedError, most_bytes
from railgauge_reports.pack.manifest import Manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

#: none: it is not signed; unchecked: cryptography is not here; known: the key that was given signed it.
Signature = Literal["none", "unchecked", "valid", "known", "bad", "missing", "other key"]
_GOOD: tuple[Signature, ...] = ("none", "unchecked", "valid", "known")
_MOST_PROBLEMS = 50
_HEAD = b"railgauge evidence pack"


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found; `key` is the fingerprint of the key that the pack says it was signed with."""

    pack: str
    verdict: Literal["GOOD", "TAMPERED"]
    exit_code: int
    problems: tuple[str, ...]
    signature: Signature
    key: str
    files: int
    bytes: int
    manifest: Manifest | None
    extracted: str = ""


@dataclasses.dataclass
class _Work:
    layout: Layout
    problems: list[str]
    manifest: Manifest | None = None
    signature: Signature = "none"

    def add(self, problem: str) -> None:
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


def check(
    pack: Path,
    key: Ed25519PublicKey | None = None,
    extract: Path | None = None,
    most: int | None = None,
) -> Checked:
    """Check a pack and, where it is good, extract it into `extract`, a folder that is not there yet.

    `most` bytes are the members allowed to hold in all (None: see `layout.most_bytes`). Memory is bounded
    whatever the pack says. Raises NotMeasuredError for what is no pack, UsageError for what is not
    there or cannot be written.
    """
    if pack.exists() and not pack.is_file():  # opening a pipe would wait for ever
        raise UsageError(f"{pack}: no file.\n  expected: a file that railgauge pack has written")
    try:
        file = pack.open("rb")
    except OSError as error:
        raise UsageError(
            f"{pack}: {error.strerror or error}.\n  expected: a file that railgauge pack has written"
        ) from None
    with file:
        ours = _looks_like_ours(file)
        try:
            work = _Work(Layout(file), [])
        except (NoArchiveError, TamperedError) as error:
            if not ours:
                raise _no_pack(pack, str(error)) from None
            return _result(pack, None, [f"cut short or damaged: {error}"])
        _read_manifest(work, pack, ours)
        if not work.problems:
            _check_layout(work, most)
        _check_signature(work, key)
        if work.manifest is None or work.problems:
            return _result(pack, work, work.problems)
        if extract is None:
            _check_members(work, None)
            return _result(pack, work, work.problems)
        return _extracted(pack, work, extract)


def _looks_like_ours(file: IO[bytes]) -> bool:
    """Does it begin as a pack does? README.txt comes first; what is cut short is known by it."""
    start = file.read(64)
    return start[:4] == b"PK\3\4" and start[30 : 30 + len(names.README)] == names.README.encode()


def _no_pack(pack: Path, why: str) -> NotMeasuredError:
    return NotMeasuredError(
        f"{pack}: not a pack ({why}).\n  expected: a file that railgauge pack has written\n"
        "  next: railgauge pack RUN"
    )


# the manifest -----------------------------------------------------------------------------------------


def _read_manifest(work: _Work, pack: Path, ours: bool) -> None:
    """Fill in the manifest, or what is wrong with it; raises NotMeasuredError for another archive."""
    data = _small(work, names.MANIFEST, manifest.MOST_BYTES)
    if data is None or not manifest.is_manifest(data):
        if not ours:
            raise _no_pack(pack, "a zip archive of something else")
        work.add(f"{names.MANIFEST} is missing" if data is None else f"{names.MANIFEST} is damaged")
        return
    try:
        work.manifest = manifest.decoded(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        work.add(f"{names.MANIFEST} is damaged: {error}")
        return
    if work.manifest.encoded() != data:
        work.add(f"{names.MANIFEST} is not as railgauge wrote it")
    sums = msgspec.structs.replace(
        work.manifest, files=tuple(f for f in work.manifest.files if f.path != names.SUMS)
    ).sums()
    if _small(work, names.SUMS, manifest.MOST_BYTES) != sums:
        work.add(f"{names.SUMS} is missing, or says something else than {names.MANIFEST}")


def _small(work: _Work, name: str, most: int) -> bytes | None:
    """A whole member; None where there is none that can be read. What is odd is added to the problems."""
    members = [member for member in work.layout.members if member.filename == name]
    if not members or members[0].file_size > most:
        return None
    try:
        return b"".join(work.layout.read(members[0]))
    except TamperedError as error:
        work.add(str(error))
        return None


# members -----------------------------------------------------------------------------------------------


def _check_layout(work: _Work, most: int | None) -> None:
    assert work.manifest is not None
    for problem in work.layout.problems():
        work.add(problem)
    allowed = most_bytes(work.layout.nbytes) if most is None else most
    if work.layout.total_bytes > allowed:
        work.add(
            f"its {work.layout.nbytes} B stand for {work.layout.total_bytes} B, as a bomb's do: not unpacked"
            f" (--most-bytes {format_size(work.layout.total_bytes)} where you know better)"
        )
    listed = {file.path: file for file in work.manifest.files}
    if len(listed) != len(work.manifest.files):
        work.add(f"{names.MANIFEST} names a file twice")
    there = {member.filename: member for member in work.layout.members}
    aside = {names.MANIFEST, names.SIGNATURE} if work.manifest.signer else {names.MANIFEST}
    for name in sorted(listed.keys() - there.keys()):
        work.add(f"{name!r} is missing")
    for name in sorted(there.keys() - listed.keys() - aside):
        work.add(f"{name!r} is not in {names.MANIFEST}")
    for name in sorted(listed.keys() & there.keys()):
        if listed[name].bytes != there[name].file_size:
            work.add(
                f"{name!r}: {there[name].file_size} B where {listed[name].bytes} B were packed"
            )


def _check_members(work: _Work, into: Path | None) -> None:
    """Hash every member; write it below `into`, a new folder of ours, where that is given."""
    assert work.manifest is not None
    listed = {file.path: file for file in work.manifest.files}
    for member in work.layout.members:
        try:
            digest = _unpacked(work.layout.read(member), into and into / member.filename)
        except TamperedError as error:
            work.add(str(error))
            continue
        file = listed.get(member.filename)
        if file is not None and digest != file.sha256:
            work.add(f"{member.filename!r}: its SHA-256 is not the one of {names.MANIFEST}")


def _unpacked(chunks: Iterator[bytes], target: Path | None) -> str:
    digest = hashlib.sha256()
    if target is None:
        for chunk in chunks:
            digest.update(chunk)
        return digest.hexdigest()
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _extracted(pack: Path, work: _Work, extract: Path) -> Checked:
    """Unpack beside `extract` and rename when all was good: what is tampered with leaves nothing."""
    if os.path.lexists(extract):
        raise UsageError(
            f"--extract {extract}: is there already.\n  expected: a folder that is to be made\n"
            "  next: --extract ANOTHER_FOLDER"
        )
    try:
        free = shutil.disk_usage(extract.absolute().parent).free
        if work.layout.total_bytes > free:
            raise UsageError(
                f"--extract {extract}: {format_size(work.layout.total_bytes)} are to be written, and"
                f" {format_size(free)} are free there.\n  next: --extract a folder elsewhere"
            )
        into = Path(tempfile.mkdtemp(dir=extract.absolute().parent, prefix=f".{extract.name}."))
        try:
            _check_members(work, into)
            if not work.problems:
                into.chmod(0o755)
                into.rename(extract)
        finally:
            shutil.rmtree(into, ignore_errors=True)
    except OSError as error:
        raise UsageError(
            f"--extract {extract}: {error.strerror or error}.\n"
            "  expected: a new folder in one that this user may write\n"
            "  next: --extract ANOTHER_FOLDER"
        ) from None
    return _result(pack, work, work.problems, "" if work.problems else str(extract))


# the signature -------------------------------------------------------------------------------------------


def _check_signature(work: _Work, key: Ed25519PublicKey | None) -> None:
    """Fill in `signature`, and what is wrong with it: with a key, all but that key's signature is."""
    made = work.manifest
    if made is None:
        work.signature = "missing" if key is not None else "none"
        return
    if made.signer is None:
        if key is not None:
            work.signature = "missing"
            work.add("it is not signed, and a signature was asked for")
        return
    signature = _small(work, names.SIGNATURE, keys.SIGNATURE_BYTES)
    if signature is None:
        work.signature = "missing"
        work.add(f"{names.SIGNATURE} is missing, or longer than a signature")
        return
    try:
        public = keys.parse_public(made.signer.public_key.encode(), names.MANIFEST)
    except keys.CannotSignError:
        work.signature = "unchecked"
        return
    except UsageError as error:
        work.signature = "bad"
        work.add(str(error).splitlines()[0])
        return
    told = keys.fingerprint(public)
    if told != made.signer.key or not keys.holds(public, signature, made.encoded()):
        work.signature = "bad"
        work.add(
            f"{names.SIGNATURE} is not the signature of {names.MANIFEST} by {made.signer.key[:100]}"
        )
    elif key is None:
        work.signature = "valid"
    elif keys.fingerprint(key) == told:
        work.signature = "known"
    else:
        work.signature = "other key"
        work.add(f"signed by {told}, and not by the key asked for, {keys.fingerprint(key)}")


def _result(pack: Path, work: _Work | None, problems: list[str], extracted: str = "") -> Checked:
    made = work.manifest if work else None
    bad = bool(problems) or (work is not None and work.signature not in _GOOD)
    return Checked(
        pack=str(pack),
        verdict="TAMPERED" if bad else "GOOD",
        exit_code=EXIT_FAIL if bad else EXIT_PASS,
        problems=tuple(problems),
        signature=work.signature if work else "none",
        key=made.signer.key if made and made.signer else "",
        files=len(work.layout.members) if work else 0,
        bytes=work.layout.total_bytes if work else 0,
        manifest=made,
        extracted=extracted,
    )
