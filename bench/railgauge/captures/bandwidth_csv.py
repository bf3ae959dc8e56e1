"""Bandwidths that a site has written down: CSV with `tool`, `path` or `topology`, and `result_gbps`."""

from __future__ import annotations

import csv

from railgauge.capturing.capture import Capture, Draft, Row, decimal, meaningful, whole


def recognises(text: str) -> bool:
    head = next(meaningful(text), "").strip().split(",")
    return "result_gbps" in head and bool({"tool", "path", "topology"} & set(head))


def parse(text: str) -> Capture:
    """A row for every line, under the names of the heading; `result_Gbps` and `nodes` are numbers."""
    draft = Draft(text)
    lines = [line for line in draft.lines if line.text.strip() and not line.text.startswith("#")]
    head: list[str] = []
    for line in lines:
        try:
            (cells,) = csv.reader([line.text])
        except (csv.Error, ValueError) as error:
            draft.odd(line.number, str(error))
            continue
        if not head:
            head = cells
        elif len(cells) != len(head):
            draft.odd(line.number, f"{len(cells)} cells under {len(head)} names")
        else:
            row: Row = dict(zip(head, cells, strict=True))
            row["result_Gbps"] = decimal(row.pop("result_gbps", ""))
            if row["result_Gbps"] is None:
                draft.odd(line.number, "result_gbps: not a number")
            if "nodes" in row:
                row["nodes"] = whole(row["nodes"])
            draft.rows.append(row)
    return draft.done()
