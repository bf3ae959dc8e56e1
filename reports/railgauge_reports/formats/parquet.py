"""The rows of csv with their types, for pandas, Polars or DuckDB; needs --output FILE.

The file's key-value metadata holds, under `railgauge`, what `--format json` says besides the rows.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from railgauge_reports.formats.json import head
from railgauge_reports.frame_parts import arrow_parts
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun

#: Rows that are turned into Arrow, and written as a row group, at once: what all of them take is never
#: beside the frame.
ROWS_AT_ONCE = 1 << 17
#: Texts that are others in almost every row: a dictionary of them is larger than they are.
_OWN_TEXTS = ("group", "hosts")


def render(run: LoadedRun) -> bytes:
    """A Parquet file."""
    file = io.BytesIO()
    write(run, file)
    return file.getvalue()


def render_gate(gate: Gate) -> bytes:
    """A row a series and night that was measured; the metadata hold the answer without the series."""
    from railgauge_reports.history.tracks import frame

    without = msgspec.structs.replace(gate, series=())
    rows = pa.Table.from_pandas(frame(gate), preserve_index=False)
    facts = {**(rows.schema.metadata or {}), b"railgauge": msgspec.json.encode(without)}
    file = io.BytesIO()
    pa.parquet.write_table(rows.replace_schema_metadata(facts), file)
    return file.getvalue()


def write(run: LoadedRun, file: BinaryIO) -> None:
    """The same into an open file, row group by row group."""
    rows = run.rows
    schema = pa.Schema.from_pandas(rows.head(0), preserve_index=False)
    facts = {**(schema.metadata or {}), b"railgauge": msgspec.json.encode(head(run))}
    schema = schema.with_metadata(facts)
    measured = [name for name in rows if rows[name].dtype == pd.Float64Dtype()]
    with pa.parquet.ParquetWriter(
        file,
        schema,
        # of measured times hardly two are alike: the bytes of doubles by their place pack better
        use_dictionary=[name for name in rows if name not in (*measured, *_OWN_TEXTS)],
        column_encoding=dict.fromkeys(measured, "BYTE_STREAM_SPLIT"),
    ) as writer:
        for columns in arrow_parts(rows, ROWS_AT_ONCE):
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
