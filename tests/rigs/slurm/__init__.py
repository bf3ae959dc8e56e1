"""A real Slurm in miniature: slurmctld on the head of the rig `hosts`, a slurmd on every host.

    with Hosts(4, folder) as hosts, Slurm(hosts, folder) as slurm:
        slurm.run(["srun", "-N4", "hostname"])

No munge, no accounting database, no systemd, nothing in /etc: one folder holds all of it. Every host has
8 GPUs (gres/gpu:h100) whose device files lead to /dev/null, and pretends to have 8 CPUs. All daemons end
with the hosts: nothing else has to be stopped. Needs slurm-wlm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

HEAD = "head"
TOOLS = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
GPUS, CPUS = 8, 8
#: Each host's own, and short: sockets lie in it, whose paths must not exceed 107 bytes.
SPOOL = "/dev/shm/slurmd"
#: MPICH over TCP on the fabric alone; not by UCX, whose addresses Slurm's pmi2 now and then reads wrongly.
FABRIC = {"MPIR_CVAR_CH4_NETMOD": "ofi", "FI_PROVIDER": "tcp", "FI_TCP_IFACE": "fab0"}
POLL = 0.1  # seconds

CONFIGURATION = """
ClusterName=rig
SlurmctldHost=head(10.78.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={spool}
TmpFS={folder}/tmp/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
MailProg=/bin/true
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0
SlurmdParameters=config_overrides
ScronParameters=enable
ReturnToService=2
KillWait=2
SlurmdTimeout=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobs.log
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
PropagateResourceLimits=NONE
GresTypes=gpu
{extra}
{nodes}
PartitionName=bench Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=10
PartitionName=idle Nodes=ALL MaxTime=60 State=UP PriorityTier=1 PreemptMode=REQUEUE GraceTime=0
"""


def lacking() -> str:
    """Why there can be no Slurm here; empty where there can."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    return f"no {missing[0]}: apt-get install --no-install-recommends slurm-wlm" if missing else ""


class Slurm:
    """`hosts` with a Slurm; clients run on the head. `extra` are further lines of slurm.conf."""

    def __init__(self, hosts: Any, folder: Path, extra: str = "", topology: str = "") -> None:
        self.hosts, self.folder = hosts, folder / "slurm"
        self._extra, self._topology = extra, topology

    def __enter__(self) -> Slurm:
        for name in ("state", "dev"):
            (self.folder / name).mkdir(parents=True)
        for k in range(GPUS):
            (self.folder / f"dev/nvidia{k}").symlink_to("/dev/null")
        gpus = f"Name=gpu Type=h100 File={self.folder}/dev/nvidia[0-{GPUS - 1}]"
        (self.folder / "gres.conf").write_text(f"AutoDetect=off\n{gpus}\n")
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        extra = self._extra
        if self._topology:
            (self.folder / "topology.conf").write_text(self._topology)
            extra += "\nTopologyPlugin=topology/tree"
        nodes = "\n".join(
            f"NodeName={name} NodeAddr=10.78.0.{10 + k} CPUs={CPUS} Sockets=1 CoresPerSocket={CPUS} "
            f"ThreadsPerCore=1 RealMemory=4000 Gres=gpu:h100:{GPUS} State=UNKNOWN"
            for k, name in enumerate(self.hosts.names)
        )
        text = CONFIGURATION.format(folder=self.folder, spool=SPOOL, extra=extra, nodes=nodes)
        (self.folder / "slurm.conf").write_text(text)
        self.run(["slurmctld", "-c"])
        for name in self.hosts.names:
            self.start(name)
        self.until(lambda: set(self.states().values()) == {"IDLE"}, "all nodes idle")
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        """End the daemons; what they would leave behind ends with the hosts."""
        for file in self.folder.glob("*.pid"):
            host = file.stem.partition(".")[2] or HEAD
            subprocess.run(
                self.hosts.entering(host, ["kill", "-9", file.read_text().strip()]),
                capture_output=True,
                check=False,
            )

    fabric = FABRIC

    @property
    def variables(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self, name: str) -> None:
        """Start the slurmd of a host (again)."""
        (self.folder / "tmp" / name).mkdir(parents=True, exist_ok=True)
        self.run(["mkdir", "-p", SPOOL], host=name)
        self.run(["slurmd", "-N", name], host=name)

    def kill(self, name: str) -> None:
        """Kill a host's slurmd, as where the node dies; its job steps go on unless killed too."""
        pid = (self.folder / f"slurmd.{name}.pid").read_text().strip()
        self.hosts.run(name, ["kill", "-9", pid])

    def run(
        self, argv: Sequence[str], host: str = HEAD, environment: Mapping[str, str] | None = None
    ) -> str:
        """What a command prints; raises CalledProcessError where it fails."""
        return str(self.hosts.run(host, argv, self.variables | dict(environment or {})))

    def call(
        self, argv: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command on the head: whatever its exit code, with all that it printed."""
        return subprocess.run(
            self.hosts.entering(HEAD, argv),
            env=os.environ | self.variables | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    # what there is ------------------------------------------------------------------------------------

    def states(self) -> dict[str, str]:
        """Node -> its state, as `IDLE`, `IDLE+DRAIN`, `DOWN*`."""
        return {
            facts["NodeName"]: facts["State"]
            for facts in map(_facts, self.run(["scontrol", "-o", "show", "node"]).splitlines())
        }

    def job(self, number: str) -> dict[str, str]:
        """The facts of a job as scontrol names them; empty once Slurm has forgotten it."""
        shown = self.call(["scontrol", "-o", "show", "job", number])
        return _facts(shown.stdout) if shown.returncode == 0 else {}

    def until(self, true: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait for it; fails with the daemons' last words where it does not come."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"{what}: not within {seconds:g} s\n{self.log()}"
            time.sleep(POLL)

    def until_job(self, number: str, *states: str, seconds: float = 60.0) -> dict[str, str]:
        """Wait until a job is in one of the states; its facts."""
        found: dict[str, str] = {}

        def there() -> bool:
            nonlocal found
            found = self.job(number)
            return found.get("JobState") in states

        self.until(there, f"job {number} in {states}, last {found.get('JobState')}", seconds)
        return found

    def log(self) -> str:
        """The last lines of the controller's log."""
        file = self.folder / "slurmctld.log"
        return "\n".join(file.read_text().splitlines()[-15:]) if file.exists() else ""


def _facts(line: str) -> dict[str, str]:
    """`A=1 B=2 c` -> {"A": "1", "B": "2 c"}: values may have blanks."""
    found: dict[str, str] = {}
    last = ""
    for word in line.split():
        name, equals, value = word.partition("=")
        if equals and name[:1].isalpha():
            last, found[name] = name, value
        elif last:
            found[last] += f" {word}"
    return found
