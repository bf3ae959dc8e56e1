"""Show what there is: operations, patterns, backends, counters, plans, clusters, formats."""

from __future__ import annotations

import json

import click

from railgauge import captures, clusters, counting, plans, plugins
from railgauge.backends import offers_of
from railgauge.dtypes import DTYPES
from railgauge.operations import OPERATIONS, REDUCTIONS
from railgauge.patterns import PATTERNS


def inventory() -> dict[str, dict[str, str]]:
    """Kind -> {name: what it is}; plug-ins are listed by their file names."""
    return {
        "operations": {o.name: o.summary for o in OPERATIONS.values()},
        "patterns": dict(PATTERNS),
        "backends": {name: _offered(name) for name in plugins.names(plugins.BACKENDS)},
        "counters": {name: counting.source_named(name).summary for name in counting.sources()},
        "captures": {name: captures.format_named(name).summary for name in captures.names()},
        "dtypes": {d.name: f"{d.itemsize} bytes" for d in DTYPES.values()},
        "reductions": dict.fromkeys(REDUCTIONS, "")
        | {
            "avg": "over MPI: a sum, then a division, both timed",
            "premul_sum": "what odd ranks bring is doubled (nccl)",
        },
        "plans": plans.names(),
        "clusters": clusters.names(),
        "formats": dict.fromkeys(plugins.names(plugins.FORMATS), ""),
        "importers": dict.fromkeys(plugins.names(plugins.IMPORTERS), ""),
    }


def _offered(backend: str) -> str:
    offers = offers_of(backend)
    if offers.unsupported:
        return "not supported yet"
    memories = " or ".join(offers.memories)
    return f"on {memories} memory; calls: {', '.join(offers.calls)}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(as_json: bool) -> int:
    """Show operations, patterns, backends, counters, captures, dtypes, reductions, plans,
    clusters, formats."""
    found = inventory()
    if as_json:
        print(json.dumps(found))
        return 0
    for kind, entries in found.items():
        print(f"{kind}:")
        for name, summary in entries.items():
            print(f"  {name:24} {summary}".rstrip())
        if not entries:
            print("  (none)")
    return 0
