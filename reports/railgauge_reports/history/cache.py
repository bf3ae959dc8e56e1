"""The summaries of nights beside them, so that a year of nights is read once.

A night is known by its folder, and by time and size of every file that its summary is made of. The file is
replaced whole, and is nothing but a cache: damaged, of another format or gone, it is made anew; where the
history takes no files, it is done without. Two gates at once may both write it: the later one wins.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from railgauge import __version__
from railgauge.records import FORMAT as JOURNAL_FORMAT
from railgauge_reports.history import CACHE
from railgauge_reports.history.answer import SeriesKey
from railgauge_reports.history.layout import nights_in, readable, signature
from railgauge_reports.history.reading import read_nights
from railgauge_reports.history.summary import Keys, NightSummary
from railgauge_reports.whole_files import replacing

FORMAT = 1
#: Who reads a file must agree with who wrote it on what a summary is.
_READER = f"{FORMAT} {JOURNAL_FORMAT} {__version__}"
#: Nights that are read together.
_TOGETHER = 512
Signature = tuple[tuple[str, int, int], ...]


class _Night(msgspec.Struct, frozen=True):
    signature: Signature
    summary: NightSummary


class _File(msgspec.Struct, frozen=True):
    reader: str
    keys: tuple[SeriesKey, ...]
    nights: dict[str, _Night]


_ENCODER, _DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_File)


def summaries(history: Path) -> tuple[Keys, list[NightSummary]]:
    """All nights of a history, by folder name; raises NotMeasuredError where there is no such folder."""
    folders = nights_in(history)
    kept = _read(history / CACHE)
    keys = Keys(kept.keys)
    signatures = {folder.name: signature(folder) for folder in folders}
    known = {
        name: night.summary
        for name, night in kept.nights.items()
        if signatures.get(name) == night.signature
    }
    unknown = [folder for folder in folders if folder.name not in known]
    for first in range(0, len(unknown), _TOGETHER):
        batch = unknown[first : first + _TOGETHER]
        made = read_nights(batch, keys)
        known |= {folder.name: one for folder, one in zip(batch, made, strict=True)}
    if unknown or len(known) != len(kept.nights):
        nights = {
            name: _Night(signatures[name], summary)
            for name, summary in known.items()
            if readable(name) == name
        }
        _write(history / CACHE, _File(_READER, tuple(keys.list), nights))
    return keys, [known[folder.name] for folder in folders]


def _read(path: Path) -> _File:
    nothing = _File(_READER, (), {})
    try:
        raw = path.read_bytes()
        if int.from_bytes(raw[:4], "big") != zlib.crc32(raw[4:]):
            return nothing
        made = _DECODER.decode(raw[4:])
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        return nothing
    return made if made.reader == _READER and _whole(made) else nothing


def _whole(file: _File) -> bool:
    """Do all numbers of series stand for one?"""
    most = len(file.keys)
    runs = (
        run
        for night in file.nights.values()
        for part in (night.summary.runs, night.summary.same, night.summary.other)
        for run in part
    )
    return all(_of(run.numbers, most) and len(run.values) == 2 * len(run.series) for run in runs)


def _of(numbers: npt.NDArray[np.int32], most: int) -> bool:
    return not numbers.size or bool(numbers.min() >= 0 and numbers.max() < most)


def _write(path: Path, made: _File) -> None:
    """Replace the file, or leave it where the folder takes nothing."""
    try:
        raw = _ENCODER.encode(made)
        with replacing(path) as file:
            file.write(zlib.crc32(raw).to_bytes(4, "big") + raw)
    except (OSError, UnicodeEncodeError):
        return
