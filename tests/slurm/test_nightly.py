"""A nightly on a real Slurm: it names the slow node, looks again, and no night is lost in silence."""

from __future__ import annotations

import datetime
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROFILE = """
about = "A night of two seconds"
[[stages]]
name = "pairs"
kind = "pairs"
[stages.plan]
sizes = "128K"
iterations = 7
warmup = 1
counters = []
[[stages.limits]]
metric = "busbw"
of = "median"
at_least = 0.7
per = "nic"
scatter = 1.0
source = "of this test"
"""
CLUSTER = "nodes = 4\n[node]\ngpus = 1\nnics = 1\n"
#: MPICH over TCP on the fabric alone.
FABRIC = {"UCX_TLS": "tcp,self", "UCX_NET_DEVICES": "fab0"}
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "CANCELLED", "DEADLINE")
DAY = 86_400.0


class History:
    """`railgauge slurm nightly --history HISTORY ...` on the head."""

    def __init__(self, slurm: Any, path: Path) -> None:
        self.slurm, self.path = slurm, path / "nights"
        self.profile = path / "short.toml"
        self.profile.write_text(PROFILE)

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "railgauge", "slurm", "nightly"]
        done: subprocess.CompletedProcess[str] = self.slurm.call(
            [*command, "--history", str(self.path), *words], environment
        )
        return done

    def set_up(self, *words: str) -> None:
        own = ("-N", "4", "--profile", str(self.profile), "--minutes", "5", "--weekly", "never")
        own += ("--no-adaptive",)
        done = self.call(*own, *words, "--print", "cron")
        assert done.returncode == 0, done.stderr

    def tonight(self) -> dict[str, str]:
        """Submit tonight's jobs; what --json says."""
        done = self.call("--now", "--json")
        assert done.returncode == 0, done.stderr
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def ended(self, job: str) -> int:
        """The exit code of a job once it has ended."""
        facts = self.slurm.until_job(job, *ENDED, seconds=200)
        return int(facts["ExitCode"].partition(":")[0])

    def accept(self, folder: Path, *words: str) -> None:
        """A night by hand."""
        command = [sys.executable, "-m", "railgauge", "accept", str(self.profile), *words]
        done = self.slurm.call([*command, "--output", str(folder)], FABRIC)
        assert (folder / "accept.json").exists(), done.stderr


@pytest.fixture
def history(slurm: Any, tmp_path: Path) -> History:
    return History(slurm, tmp_path)


def name_of(age: float) -> str:
    """A night's folder, so many days ago."""
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=age)
    return f"{when:%Y%m%dT%H%M%SZ}-short"


def nights_before(history: History, rig: Any, first: Path, count: int) -> None:
    """Copies of a night, a day apart, the last one a day ago: as good as measured on those days."""
    move = rig("simulated_month").move
    for age in range(1, count + 1):
        folder = history.path / name_of(age)
        shutil.copytree(first, folder)
        began = datetime.datetime.now().timestamp() - age * DAY
        move(folder, began)
    shutil.rmtree(first)


@pytest.mark.mpi
def test_the_night_on_which_a_node_is_throttled_names_it_and_looks_again(history, slurm, rig):
    variables = [word for name in FABRIC for word in ("--variable", f"{name}={FABRIC[name]}")]
    history.set_up(*variables)
    first = history.path / "by-hand"
    history.accept(
        first, "--launcher", "srun -K -N4 -n4 --mpi=pmi2", "-n", "4", "--ranks-per-node", "1"
    )
    nights_before(history, rig, first, 8)
    slurm.hosts.rate("node2", "16mbit")

    made = history.tonight()
    assert history.ended(made["job"]) == 1, Path(
        made["folder"], f"slurm-{made['job']}.out"
    ).read_text()
    night = Path(made["folder"])
    assert (night / "confirm-same/01-pairs/journal.jsonl").exists()
    record = json.loads((night / "slurm-night.json").read_text())
    assert any("0 of the 4 that a night takes" in note for note in record["notes"])

    assert history.ended(made["report"]) == 1
    told = (history.path / "latest.md").read_text()
    assert told.startswith("# REGRESSION (1)")
    assert "node2" in told
    assert (history.path / "latest.xml").read_text().count("<failure") >= 1
    assert 'verdict="REGRESSION"} 1.0' in (history.path / "latest.prom").read_text()
    assert "node2" in (history.path / "latest.html").read_text()
    assert len(list((history.path / "reports").iterdir())) == 4


def test_nights_that_do_not_happen_alarm_by_themselves_and_two_at_once_are_both_kept(
    history, slurm, tmp_path
):
    (tmp_path / "cluster.toml").write_text(CLUSTER)
    modelled = ("--backend", "simulated", "--cluster", str(tmp_path / "cluster.toml"))
    history.set_up(*modelled)
    history.accept(history.path / name_of(0.5), *modelled)
    for name in slurm.hosts.names:
        slurm.run(["scontrol", "update", f"NodeName={name}", "State=DRAIN", "Reason=of this test"])

    command = [
        sys.executable,
        "-m",
        "railgauge",
        "slurm",
        "nightly",
        "--history",
        str(history.path),
    ]
    both = [
        subprocess.Popen(
            slurm.hosts.entering("head", [*command, "--now", "--json"]),
            env=os.environ | slurm.variables,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    made = [json.loads(process.communicate()[0]) for process in both]
    folders = {facts["folder"] for facts in made}
    assert len(folders) == 2
    jobs = [slurm.job(facts["job"]) for facts in made]
    assert {job["JobState"] for job in jobs} == {"PENDING"}
    assert ["singleton" in job["Dependency"] for job in jobs].count(True) == 1  # of the first it is fulfilled
    assert [slurm.job(facts["report"])["JobState"] for facts in made] == ["PENDING", "PENDING"]

    settings = history.path / "nightly.toml"
    settings.write_text(settings.read_text().replace('partition = ""', 'partition = "nowhere"'))
    refused = history.call("--now")
    assert refused.returncode == 2
    assert "invalid partition" in refused.stderr

    reported = history.call("--report")
    assert reported.returncode == 6
    told = (history.path / "latest.md").read_text()
    assert told.count("has not begun: job") == 2
    assert "was refused: sbatch refused" in told
    assert "invalid partition" in told
