"""Charts as files of their own: SVG and PNG, by the Rust build of Vega in vl-convert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from railgauge.errors import UsageError, unknown
from railgauge_reports.page.chart import Chart
from railgauge_reports.page.theme import in_file

PIXELS = 2.0  # of a PNG for each of the chart's, for screens and print


def svg(chart: Chart, warning: str = "") -> bytes:
    import vl_convert

    made: str = vl_convert.vegalite_to_svg(in_file(chart, warning))
    return made.encode()


def png(chart: Chart, warning: str = "") -> bytes:
    import vl_convert

    made: bytes = vl_convert.vegalite_to_png(in_file(chart, warning), scale=PIXELS)
    return made


DRAWN: dict[str, Callable[[Chart, str], bytes]] = {"svg": svg, "png": png}


def files(
    folder: Path, charts: tuple[Chart, ...], kind: str, warning: str = ""
) -> dict[Path, bytes]:
    """Path -> content, one file a chart, named after it; the folder is made where it is missing.

    Raises UsageError for a kind that is not drawn and a folder that cannot be made.
    """
    if kind not in DRAWN:
        raise unknown("chart format", kind, DRAWN, "railgauge report --help")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"--charts {folder}: {error.strerror or error}.\n  expected: a folder, or a name for one"
        ) from None
    return {folder / f"{chart.name}.{kind}": DRAWN[kind](chart, warning) for chart in charts}
