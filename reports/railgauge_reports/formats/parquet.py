"""The rows of csv with their types, for pandas, Polars or DuckDB; needs --output FILE.

The file's key-value metadata holds, under `railgauge`, what `--format json` says besides the rows.
"""

from __future__ import annotations

import io

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from railgauge_reports.formats.json import head
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun


def render(run: LoadedRun) -> bytes:
    """A Parquet file."""
    return _file(run.rows, msgspec.json.encode(head(run)))


def render_gate(gate: Gate) -> bytes:
    """A row a series and night that was measured; the metadata hold the answer without the series."""
    from railgauge_reports.history.tracks import frame

    without = msgspec.structs.replace(gate, series=())
    return _file(frame(gate), msgspec.json.encode(without))


def _file(frame: pd.DataFrame, told: bytes) -> bytes:
    rows = pa.Table.from_pandas(frame, preserve_index=False)
    facts = {**(rows.schema.metadata or {}), b"railgauge": told}
    file = io.BytesIO()
    pa.parquet.write_table(rows.replace_schema_metadata(facts), file)
    return file.getvalue()
