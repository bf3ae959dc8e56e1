"""`manifest.json`: what a pack holds, each file with its size and SHA-256.

Format history (`Manifest.version`)
    1  first format
"""

from __future__ import annotations

import datetime
import functools
import importlib.metadata
import platform
from typing import Annotated

import msgspec

from railgauge.errors import NotMeasuredError

KIND = "railgauge evidence pack"
VERSION = 1
MOST_BYTES = 64 << 20
#: What reports are computed with.
TOOLS = ("railgauge", "numpy", "pandas", "scipy", "msgspec", "pyarrow", "altair")

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
Bytes = Annotated[int, msgspec.Meta(ge=0)]


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One member of the archive."""

    path: str
    bytes: Bytes
    sha256: Sha256


class PackedRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run folder at `path`; `complete`: it had ended when it was packed, as `ended` says."""

    path: str
    complete: bool
    ended: str
    exit_code: int | None
    started: float
    finished: float | None
    ranks: int
    hosts: int


class Signer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who signed: `key` is the SHA-256 of the public key's DER (SubjectPublicKeyInfo)."""

    algorithm: str
    key: str
    public_key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`created` is when the last run ended, as its journal has it, or the clock's where that was asked.

    `replaced` is how many names and addresses of each kind a redacted pack had; `without` are the
    patterns of files that were left out.
    """

    kind: str
    version: int
    railgauge: str
    created: str
    created_by: str
    redacted: bool
    replaced: dict[str, int]
    reports: tuple[str, ...]
    without: tuple[str, ...]
    tools: dict[str, str]
    runs: tuple[PackedRun, ...]
    signer: Signer | None
    files: tuple[File, ...]

    def encoded(self) -> bytes:
        """The bytes of manifest.json: what is signed."""
        return msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n"

    def sums(self) -> bytes:
        """SHA256SUMS, as `sha256sum --check` reads it."""
        return "".join(f"{file.sha256}  {file.path}\n" for file in self.files).encode()


class _Head(msgspec.Struct, frozen=True):
    kind: str = ""
    version: int = 0
    railgauge: str = ""


def is_manifest(data: bytes) -> bool:
    """Does it say that it is a pack's?"""
    try:
        return msgspec.json.decode(data, type=_Head).kind == KIND
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def decoded(data: bytes) -> Manifest:
    """Raises msgspec.DecodeError, and NotMeasuredError for one that is newer than this railgauge."""
    head = msgspec.json.decode(data, type=_Head)
    if head.version > VERSION:
        raise NotMeasuredError(
            f"manifest.json: pack format {head.version}, this railgauge reads up to {VERSION}.\n"
            f"  next: install railgauge {head.railgauge} or newer"
        )
    return msgspec.json.decode(data, type=Manifest)


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC; "" where that is no time of a calendar."""
    try:
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.cache
def tools() -> dict[str, str]:
    """Versions of what computed the reports."""
    found = {"python": platform.python_version()}
    for name in TOOLS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
