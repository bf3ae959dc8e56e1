"""The morning report of a simulated month in every format, as those who read it see it.

`python tests/studies/morning_report.py FOLDER` makes thirty nights by the simulated backend, acknowledges
one shift, and writes the report of the last night into FOLDER: HTML, Markdown, JUnit, Prometheus. What
happened is in `tests/rigs/simulated_month`: another NCCL on night 10, a throttled NIC of node0005 from night
18 on, night 21 that cannot be read, night 24 that is missing, slower NVLink from night 26 on.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
from pathlib import Path

from railgauge.cli import main

sys.path.insert(0, str(Path(__file__).parent.parent / "rigs"))
from simulated_month import EVENTFUL, Month, build

SUFFIXES = {"html": "html", "markdown": "md", "junit": "xml", "prometheus": "prom"}
ACKNOWLEDGED = 27


def acknowledge(history: Path, month: Month) -> None:
    """Somebody accepts that NVLink is slower since night 26."""
    words = ["--ack", "*/local/*", "--author", "A. Operator", "--expires", "2026-12-31"]
    words += ["--reason", "NVLink clocks are capped until the new firmware"]
    with contextlib.redirect_stdout(io.StringIO()):
        main(["gate", str(history), "--night", month.name(ACKNOWLEDGED), *words])


def write(folder: Path) -> int:
    """Everything; the exit code of the last night."""
    history, last = folder / "history", EVENTFUL.name(EVENTFUL.nights)
    build(history, EVENTFUL)
    acknowledge(history, EVENTFUL)
    for name, suffix in SUFFIXES.items():
        file = folder / f"morning.{suffix}"
        main(["gate", str(history), "--night", last, "--format", name, "--output", str(file)])
    return main(["gate", str(history), "--night", last])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    asked: Path = parser.parse_args().folder
    asked.mkdir(parents=True, exist_ok=True)
    sys.exit(write(asked))
