"""One row per case, round and group; a value that cannot be had is empty.

The columns are `railgauge_reports.frames.COLUMNS`; those of CONTRACT stay, in this order.
"""

from __future__ import annotations

from railgauge_reports.loaded import LoadedRun


def render(run: LoadedRun) -> str:
    """Comma-separated text with a header line; no value holds a comma but a gap's reason."""
    text = run.rows.to_csv(index=False, lineterminator="\n")
    assert isinstance(text, str)
    return text
