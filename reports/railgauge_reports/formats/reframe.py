"""A ReFrame test class that repeats this run's plan, with this run's numbers as references.

The module is complete: it holds the plan. Save it, `reframe -c FILE -r`, and set `tolerance` where 5 %
are not what you want; `--format reframe_log` gives this run as a line of ReFrame's performance log.
"""

from __future__ import annotations

import functools

import jinja2
import msgspec

from railgauge_reports.baseline import variables_of
from railgauge_reports.loaded import LoadedRun


def render(run: LoadedRun) -> str:
    """The Python module, for ReFrame 4.0 and later."""
    stored = run.stored
    variables = variables_of(run)
    return _template().render(
        warning=run.warning,
        plan=repr(msgspec.json.encode(stored.plan).decode()),
        ranks=stored.last.ranks,
        per_node=max(1, -(-stored.last.ranks // len(stored.last.hosts))),
        operations=", ".join(stored.plan.operations),
        pattern=stored.plan.pattern,
        version=stored.last.version,
        rows=[
            f"{name!r}: ({v.benchmark!r}, {v.measure!r}, {v.scale!r}, {v.value!r}, {v.unit!r}),"
            for name, v in variables.items()
        ],
    )


@functools.cache
def _template() -> jinja2.Template:
    """Python, so nothing is escaped: every value comes as the text of a Python literal."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("railgauge_reports", "formats"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("reframe_check.j2")
