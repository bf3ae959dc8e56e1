"""Clusters of the rig `hosts`, and runs of the main job on them under a foreign launcher."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

MANAGEMENT = "10.78.0.0/24"
#: MPI over TCP on the fabric alone; waiting ranks give way, since all hosts share this machine's CPUs.
VARIABLES = {
    "mpich": {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "fab0"},
    "openmpi": {
        "OMPI_MCA_pml": "ob1",
        "OMPI_MCA_btl": "tcp,self",
        "OMPI_MCA_btl_tcp_if_include": "fab0",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "PRTE_MCA_plm_ssh_agent": "",  # the cluster's own
        "PRTE_MCA_prte_if_include": MANAGEMENT,
    },
}


class Cluster:
    """Hosts of the rig, and an MPI library with its launcher, which runs on the head."""

    def __init__(self, hosts: Any, library: Any, start: Callable[..., Any]) -> None:
        self.hosts, self.library, self._start = hosts, library, start

    def railgauge(self, *arguments: str) -> Any:
        """Start `railgauge run --output {output} ARGUMENTS` as one rank on every host."""
        names, agent = ",".join(self.hosts.names), str(self.hosts.agent)
        variables = VARIABLES[self.library.family]
        if self.library.family == "mpich":
            options = ["-launcher", "ssh", "-launcher-exec", agent, "-hosts", names]
            options += ["-bind-to", "none"]
        else:
            options = ["--host", names, "--bind-to", "none"]
            variables = variables | {"PRTE_MCA_plm_ssh_agent": agent}
        python = self.library.python
        launcher = [str(Path(python).parent / "mpiexec"), *options]
        launcher += ["-n", str(len(self.hosts.names))]
        command = [python, "-m", "railgauge", "run", "--output", "{output}", *arguments]
        return self._start(self.hosts.entering("head", [*launcher, *command]), **variables)

    def measure(self, *arguments: str) -> Any:
        """The same, and wait for its end, which must be a good one."""
        job = self.railgauge(*arguments)
        ended = job.end()
        assert ended.code == 0, ended
        job.until_nothing_is_left()
        return job


@pytest.fixture(scope="session")
def rig_of_hosts(rig: Callable[[str], ModuleType]) -> ModuleType:
    """The rig itself, where this machine can have it."""
    module = rig("hosts")
    if why := module.lacking():
        pytest.skip(why)
    return module


@pytest.fixture
def hosts_of(rig_of_hosts: ModuleType, tmp_path: Path) -> Iterator[Callable[[int], Any]]:
    """`hosts_of(3)`: that many hosts and their head, which end with the test."""
    made: list[Any] = []

    def up(n: int) -> Any:
        folder = tmp_path / f"hosts{len(made)}"
        folder.mkdir()
        made.append(rig_of_hosts.Hosts(n, folder))
        return made[-1].__enter__()

    yield up
    for hosts in made:
        hosts.down()


@pytest.fixture
def cluster_of(
    hosts_of: Callable[[int], Any], jobs: Callable[..., Any], library: Any
) -> Callable[[int], Cluster]:
    """`cluster_of(3)`: hosts with this or that MPI library."""
    return lambda n: Cluster(hosts_of(n), library, jobs)
