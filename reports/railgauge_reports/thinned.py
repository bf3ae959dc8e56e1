"""A run whose raw samples were dropped to save room: its rows, as last worked out, stand in their place.

`rows.parquet` beside the journal holds the case frame of that day (`thinning` writes it). What needs single
iterations (`sample_frame`, a pytest-benchmark file) can no longer be had, and says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from railgauge.errors import NotMeasuredError
from railgauge.journal import SAMPLES

if TYPE_CHECKING:
    import pandas as pd

ROWS = "rows.parquet"
THINNED = f"raw samples were dropped by retention; rows are those kept in {ROWS}"


def is_thinned(folder: Path) -> bool:
    """Do rows stand in the place of samples?"""
    return (folder / ROWS).exists() and not (folder / SAMPLES).exists()


def kept_rows(folder: Path, number: int, columns: Mapping[str, str]) -> pd.DataFrame:
    """The kept rows, `run` (its number) ahead of them; raises NotMeasuredError for a foreign file.

    A column that a later version has is NA in the rows of an earlier one.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet

    try:
        found: pd.DataFrame = pa.parquet.read_table(folder / ROWS).to_pandas()
        if "nbytes" not in found:
            raise ValueError("no column nbytes")
        rows = found.reindex(columns=list(columns)).astype(dict(columns))
    except (OSError, pa.ArrowException, ValueError, TypeError) as error:
        raise NotMeasuredError(
            f"{folder / ROWS}: not the rows of a run ({str(error).splitlines()[0][:200]}).\n"
            "  expected: the file that retention made when it dropped the samples\n"
            f"  next: leave {folder.name} out of the history"
        ) from None
    rows.insert(0, "run", pd.Series([number] * len(rows), rows.index, "Int64"))
    return rows
