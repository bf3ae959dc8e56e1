"""One row per case, round and group; a value that cannot be had is empty.

The columns are `railgauge_reports.frames.COLUMNS`; those of CONTRACT stay, in this order.
"""

from __future__ import annotations

import csv
import io

from railgauge_reports.frame_parts import records
from railgauge_reports.loaded import LoadedRun


def render(run: LoadedRun) -> str:
    """Comma-separated text with a header line; no value holds a comma but a gap's reason."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(run.rows.columns)
    writer.writerows(records(run.rows))
    return text.getvalue()
