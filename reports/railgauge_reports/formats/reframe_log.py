"""Lines of a ReFrame performance log: a header and this run, as its `filelog` handler writes them.

Columns are those of ReFrame's own format that a run can tell; each performance variable has its value,
unit, reference and thresholds. A reference stands where an expected bandwidth is known, else `null`.
"""

from __future__ import annotations

import datetime

from railgauge_reports.baseline import variables_of
from railgauge_reports.judged import judged_of
from railgauge_reports.loaded import LoadedRun

DELIMITER = "|"


def render(run: LoadedRun) -> str:
    """Two lines."""
    stored = run.stored
    ended = stored.end.finished if stored.end else stored.last.started
    when = datetime.datetime.fromtimestamp(ended, datetime.timezone.utc)
    hosts = list(dict.fromkeys(stored.last.hosts))
    fields = {
        "result": "pass" if run.verdict.exit_code == 0 else "fail",
        "job_completion_time": when.isoformat(timespec="seconds"),
        "descr": f"{run.warning + '; ' if run.warning else ''}{', '.join(stored.plan.operations)},"
        f" pattern {stored.plan.pattern}",
        "environ": stored.library,
        "job_exitcode": str(run.verdict.exit_code),
        "job_nodelist": ",".join(hosts),
        "name": "RailgaugeCheck",
        "num_tasks": str(stored.last.ranks),
        "num_tasks_per_node": str(-(-stored.last.ranks // len(stored.last.hosts))),
        "partition": stored.last.backend,
        "system": hosts[0] if hosts else "",
    }
    expected = judged_of(run).expected
    for name, variable in variables_of(run).items():
        band = expected.get(variable.of) if variable.measure == "busbw" else None
        fields[f"{name}_value"] = f"{variable.value:.6g}"
        fields[f"{name}_unit"] = variable.unit
        reference = None if band is None else (band.low_GBps + band.high_GBps) / 2
        fields[f"{name}_ref"] = "null" if reference is None else f"{reference:.6g}"
        lower = None if band is None or not reference else band.low_GBps / reference - 1
        fields[f"{name}_lower_thres"] = "null" if lower is None else f"{lower:.4g}"
        fields[f"{name}_upper_thres"] = "null"
    return "".join(
        DELIMITER.join(_cell(cell) for cell in line) + "\n" for line in (fields, fields.values())
    )


def _cell(text: str) -> str:
    return " ".join(text.replace(DELIMITER, "/").split())
