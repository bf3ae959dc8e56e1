"""One offline HTML page with charts: opens from a file, in the dark, on paper; needs no network.

It stays below 3 MB whatever the run: above 64 nodes pairs are drawn in blocks, of many rows the worst
are listed, and with --output all of them lie beside the page as Parquet.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from railgauge_reports.acceptance.answer import Result
from railgauge_reports.formats import parquet
from railgauge_reports.history.answer import Gate
from railgauge_reports.loaded import LoadedRun
from railgauge_reports.page.acceptance import acceptance_page
from railgauge_reports.page.content import page_of, whole
from railgauge_reports.page.document import acceptance_document, document, gate_document
from railgauge_reports.page.library import library

#: What the name of the file of all rows ends in.
BESIDE = ".rows.parquet"


def render(run: LoadedRun) -> str:
    """The page."""
    with ThreadPoolExecutor(1) as beside_it:  # the library may take seconds, and no GIL
        made = beside_it.submit(library)
        page = page_of(run)
        made.result()
    return document(page)


def beside(run: LoadedRun) -> Callable[[BinaryIO], None] | None:
    """What writes all rows as Parquet, where the page does not hold them."""
    return None if whole(run) else functools.partial(parquet.write, run)


def render_acceptance(result: Result) -> str:
    """An acceptance instead of a run, with the charts of its stages."""
    return acceptance_document(acceptance_page(result))


def render_gate(gate: Gate) -> str:
    """What the gate says of a night, with a chart of every series that changed."""
    from railgauge_reports.page.gate import gate_page

    with ThreadPoolExecutor(1) as beside_it:
        made = beside_it.submit(library)
        page = gate_page(gate)
        made.result()
    return gate_document(page)


def beside_gate(gate: Gate) -> bytes | None:
    """Every value of every series and night as Parquet, where the page does not hold them."""
    from railgauge_reports.page.gate import whole as holds_all

    return None if holds_all(gate) else parquet.render_gate(gate)
