"""Drops the raw samples of a run, once its rows are kept in their place (`thinned`)."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from railgauge.errors import NotMeasuredError, UsageError
from railgauge.journal import JOURNAL, SAMPLES
from railgauge_reports.commands.report import write
from railgauge_reports.frames import case_frame
from railgauge_reports.thinned import ROWS

_GOING = "samples.dropped"  # renamed in one step: a folder half removed is never taken for samples


def droppable(folder: Path) -> int:
    """Bytes of samples below a run folder."""
    found = [folder / SAMPLES, folder / _GOING]
    files = (path for place in found for path in place.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file())


def thin(folder: Path) -> int:
    """Put the rows of a run in the place of its samples; how many bytes that freed.

    The rows are on the disk before a sample goes, and what was cut off in between is gone on with. Raises
    NotMeasuredError where the run cannot be read: then its samples stay.
    """
    freed = droppable(folder)
    samples, going = folder / SAMPLES, folder / _GOING
    try:
        if samples.is_dir():
            rows = pa.Table.from_pandas(case_frame(folder), preserve_index=False)
            file = io.BytesIO()
            pa.parquet.write_table(rows, file, compression="zstd")
            write(folder / ROWS, file.getvalue(), "the rows of a run:")
            samples.rename(going)
        if going.is_dir():
            shutil.rmtree(going)
    except (OSError, UsageError) as error:
        raise NotMeasuredError(
            f"{folder}: its samples cannot be dropped ({str(error).splitlines()[0]}).\n"
            f"  expected: a folder that this user may write\n  next: ls -la {folder}"
        ) from None
    return freed


def runs_below(folder: Path) -> list[Path]:
    """All run folders in a folder, itself included, by path."""
    with contextlib.suppress(OSError):
        return sorted(path.parent for path in folder.rglob(JOURNAL))
    return []
