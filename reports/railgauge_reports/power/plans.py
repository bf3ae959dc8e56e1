"""The plan that trials repeat."""

from __future__ import annotations

from typing import Any

from railgauge.commands.run import command as run_command
from railgauge.errors import UsageError
from railgauge.plan import Plan
from railgauge.plan_options import plan_from

#: Patterns in which two nodes meet: what a localisation is made from.
LOCALISED = ("pairs", "leaves", "listed", "bisection")


def modelled_plan(plan: str, cluster: str | None, nodes: int | None) -> Plan:
    """A plan file, or one that ships, on a modelled cluster; raises UsageError that names what is wrong."""
    typed: dict[str, Any] = {
        str(option.name): () if getattr(option, "multiple", False) else None
        for option in run_command.params
    }
    typed |= {"plan": plan, "backend": "simulated", "cluster": cluster, "nodes": nodes}
    made, _ = plan_from(typed)
    if made.pattern not in LOCALISED:
        raise UsageError(
            f"{plan}: pattern {made.pattern}: nobody is localised from it.\n"
            f"  expected: a plan with one of the patterns {', '.join(LOCALISED)}\n"
            "  next: railgauge power tournament --faults FAULTS.toml"
        )
    return made
