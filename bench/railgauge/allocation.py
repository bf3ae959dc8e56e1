"""The allocation that a launcher's ranks stand in, as Slurm tells it: are these its hosts, each once?

A launcher that places ranks otherwise than was asked (a wrong host file, a step with fewer tasks than
nodes, two machines of one name) makes a run that looks right and measures something else.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence

from railgauge.errors import UsageError
from railgauge.host_lists import hosts_in
from railgauge.launching.launchers import started
from railgauge.topology import some

#: (list of nodes, how many) of a step, and of the job around it.
STEP = ("SLURM_STEP_NODELIST", "SLURM_STEP_NUM_NODES")
JOB = ("SLURM_JOB_NODELIST", "SLURM_JOB_NUM_NODES")
#: srun's own ranks; mpirun in a batch job stands in a step of one task that says nothing of its ranks.
BY_SRUN = "SLURM_STEP_NUM_TASKS"


def check_hosts(hosts: Sequence[str], ranks: int, environ: Mapping[str, str] = os.environ) -> None:
    """Raise UsageError unless `hosts` (one a node of the world) are those of the allocation.

    A step that srun started has a rank on each of its nodes; mpirun may leave nodes of its job out, and
    then only uses no others. Slurm may call a host by another name than it calls itself: where no name is
    known, only numbers are compared. Without Slurm there is nothing to compare with.
    """
    named = started(environ)
    whole = named is not None and environ.get(BY_SRUN) == str(ranks) and ranks > 1
    nodelist, count = STEP if whole else JOB
    allocated = tuple(hosts_in(environ.get(nodelist, ""), nodelist))
    nodes = environ.get(count, "")
    if not allocated or not nodes.isdecimal():
        return
    where = f"{nodelist}={environ[nodelist][:80]}, {nodes} nodes"
    if twice := [host for host, times in Counter(hosts).items() if times > 1]:
        raise UsageError(
            f"{some(twice)}: {Counter(hosts)[twice[0]]} nodes of this job call themselves so ({where}).\n"
            "  expected: every node by a name of its own, as what is found is told by name\n"
            "  next: hostname on each; a container may hide it (no UTS namespace of its own)"
        )
    short = {_short(name) for name in allocated}
    known = [host for host in hosts if _short(host) in short]
    strangers = [host for host in hosts if _short(host) not in short]
    if known and strangers:
        raise UsageError(
            f"{some(strangers)}: ranks run there, outside of the allocation ({where}).\n"
            "  expected: hosts of the job alone\n  next: look at the launcher's host file"
        )
    if len(hosts) > int(nodes) or (whole and len(hosts) < int(nodes)):
        idle = some([name for name in allocated if _short(name) not in set(map(_short, hosts))])
        raise UsageError(
            f"{ranks} ranks stand on {len(hosts)} nodes ({some(list(hosts))}) of {where}"
            f"{f'; none on {idle}' if known and idle else ''}.\n"
            "  expected: ranks on every node of the step, and nowhere else\n"
            "  next: srun --nodes and --ntasks-per-node as in the plan, without --overlap of a smaller step"
        )


def _short(host: str) -> str:
    return host.partition(".")[0]
