"""What a command that launches runs keeps beside their folders: a folder of its own, and a JSON record."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import lock, write_synced

#: How the names of those files begin that a job of Slurm has in its folder before anything is measured: its
#: record, its script, what it prints.
OF_THE_JOB = "slurm"


class Record(Protocol):
    """`format` is the version of what the record says, `version` that of the railgauge that wrote it."""

    @property
    def format(self) -> int: ...
    @property
    def version(self) -> str: ...


T = TypeVar("T", bound=Record)


def new_folder(folder: Path, resumes: str) -> None:
    """Make a folder, or take one that is empty but for the files of a job of Slurm; raises UsageError.

    `resumes` is what --resume goes on with.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(not entry.name.startswith(OF_THE_JOB) for entry in folder.iterdir())
    except OSError as error:
        raise UsageError(f"--output {folder}: {error.strerror or error}") from None
    if taken:
        raise UsageError(
            f"--output {folder}: not empty.\n  expected: a new folder, or --resume for {resumes}\n"
            "  next: --output ANOTHER_FOLDER"
        )


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one at work in a folder; raises UsageError where another process is.

    The lock goes with the process, however it ends. A file system without locks lets everybody in.
    """
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UsageError(f"--output {folder}: {error.strerror or error}") from None
    try:
        if not lock(held):
            raise UsageError(
                f"--output {folder}: another railgauge is at work in it.\n"
                f"  expected: one at a time\n  next: fuser {folder}, or --output ANOTHER_FOLDER"
            )
        yield
    finally:
        os.close(held)


def write_record(path: Path, record: msgspec.Struct, told: str) -> None:
    """Replace the record as a whole; raises NotMeasuredError, with `told` behind the reason."""
    try:
        write_synced(path, msgspec.json.format(msgspec.json.encode(record), indent=1))
    except OSError as error:
        raise NotMeasuredError(f"{path}: {error.strerror or error}{told}") from None


def read_record(path: Path, kind: type[T], newest: int, what: str, wanted: str, again: str) -> T:
    """The record of that kind; raises NotMeasuredError for none, for another one and for a later format.

    It then says that this is not the record of `what`, which folder was `wanted`, and what to type.
    """
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise NotMeasuredError(
            f"{path}: not the record of {what} ({getattr(error, 'strerror', None) or error}).\n"
            f"  expected: {wanted}\n  next: {again}"
        ) from None
    if kept.format > newest:
        raise NotMeasuredError(
            f"{path}: format {kept.format}, this railgauge reads up to {newest}.\n"
            f"  next: install railgauge {kept.version} or newer"
        )
    return kept
