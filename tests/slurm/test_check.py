"""The light check under a real Slurm: a pulled cable drains its node, by Prolog and by HealthCheckProgram."""

from __future__ import annotations

import sys
import textwrap

import pytest


@pytest.fixture
def program(tmp_path):
    """A script for slurmd, which starts it without a PATH."""

    def write(*options):
        path = tmp_path / "check.sh"
        conf = tmp_path / "slurm/slurm.conf"
        words = (
            f"{sys.executable} -m railgauge slurm check --expect netdevs=fab0 {' '.join(options)}"
        )
        path.write_text(
            textwrap.dedent(f"""\
                #!/bin/sh
                export PATH=/usr/sbin:/usr/bin:/sbin:/bin SLURM_CONF={conf}
                {words} >> {tmp_path}/said.$SLURMD_NODENAME 2>&1
                """)
        )
        path.chmod(0o755)
        return path

    return write


def test_a_prolog_drains_the_node_whose_cable_was_pulled(slurm_of, program, tmp_path):
    prolog = program("--check=network_devices", "--prolog")
    slurm = slurm_of(3, extra=f"Prolog={prolog}\nPrologFlags=Alloc")
    slurm.run(["srun", "-N3", "true"])
    slurm.hosts.link("node2", False)
    job = slurm.run(["sbatch", "--parsable", "-N3", "--wrap=true"]).strip()
    slurm.until(lambda: "DRAIN" in slurm.states()["node2"], "node2 drained")
    assert not [name for name in ("node0", "node1") if "DRAIN" in slurm.states()[name]]
    assert slurm.until_job(job, "PENDING")["Priority"] == "0"  # held
    said = (tmp_path / "said.node2").read_text().splitlines()
    assert said[-1].startswith("railgauge:network_devices fab0: ")
    assert said[-1].endswith("down, 10 Gb/s, expected up (manifest)")


def test_a_health_check_drains_its_own_node_and_no_more_than_the_cap(slurm_of, program, tmp_path):
    check = program("--check=network_devices", "--drain")
    extra = f"HealthCheckProgram={check}\nHealthCheckInterval=1\nHealthCheckNodeState=IDLE"
    slurm = slurm_of(3, extra=extra)
    for name in ("node1", "node2"):
        slurm.hosts.link(name, False)

    def held():
        return [name for name, state in slurm.states().items() if "DRAIN" in state]

    def settled():
        """One is held, and the other one knows why it is not."""
        for name, other in (("node1", "node2"), ("node2", "node1")):
            said = tmp_path / f"said.{other}"
            text = said.read_text() if said.exists() else ""
            if held() == [name] and ("over the cap" in text or "at the same time" in text):
                return True
        return False

    slurm.until(settled, "one drained and one left alone")
    shown = slurm.run(["scontrol", "-o", "show", "node", held()[0]])
    assert "Reason=railgauge:network_devices 20" in shown
    assert " run=check [root@" in shown
