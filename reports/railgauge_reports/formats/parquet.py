"""The rows of csv with their types, for pandas, Polars or DuckDB; needs --output FILE.

The file's key-value metadata holds, under `railgauge`, what `--format json` says besides the rows.
"""

from __future__ import annotations

import io

import msgspec
import pyarrow as pa
import pyarrow.parquet

from railgauge_reports.formats.json import head
from railgauge_reports.loaded import LoadedRun


def render(run: LoadedRun) -> bytes:
    """A Parquet file."""
    rows = pa.Table.from_pandas(run.rows, preserve_index=False)
    facts = {**(rows.schema.metadata or {}), b"railgauge": msgspec.json.encode(head(run))}
    file = io.BytesIO()
    pa.parquet.write_table(rows.replace_schema_metadata(facts), file)
    return file.getvalue()
