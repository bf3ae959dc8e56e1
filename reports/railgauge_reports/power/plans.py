"""What trials repeat: a plan of pairs, or a profile of an acceptance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from railgauge import plans
from railgauge.cluster import Cluster
from railgauge.commands.run import command as run_command
from railgauge.errors import UsageError
from railgauge.plan import Plan
from railgauge.plan_options import plan_from
from railgauge_reports.acceptance import profiles
from railgauge_reports.acceptance.profile import MOST_BYTES
from railgauge_reports.power.accepted import ProfileTrials, profile_trials
from railgauge_reports.power.trial import PlanTrials

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


def trials_of(text: str, typed: Mapping[str, Any]) -> tuple[PlanTrials | ProfileTrials, Cluster]:
    """The trials of a plan or a profile, by name or file, and the cluster that is modelled."""
    cluster, nodes, overrides = typed["cluster"], typed["nodes"], typed["overrides"]
    if _is_profile(text):
        if typed["follow"] is not None:
            raise UsageError(
                f"--follow is of plans; {text} is a profile, which always looks closer."
            )
        of_profile = profile_trials(text, cluster, nodes, overrides)
        assert of_profile.asked.cluster is not None
        return of_profile, of_profile.asked.cluster
    if overrides:
        raise UsageError(f"--set {overrides[0]}: {text} is a plan, and has no stages.")
    plan = modelled_plan(text, cluster, nodes)
    assert plan.cluster is not None
    return PlanTrials(plan, typed["follow"] is not False), plan.cluster


def _is_profile(text: str) -> bool:
    """A profile that ships, or a TOML file with stages."""
    if text in plans.names():
        return False
    path = profiles.path_of(text)
    try:
        with path.open("rb") as file:
            return b"[[stages]]" in file.read(MOST_BYTES)
    except OSError:
        return False  # the plan's reader says what is wrong with it
