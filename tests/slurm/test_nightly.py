"""A nightly on a real Slurm: it names the slow node, looks again, and no night is lost in silence."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from railgauge.cli import main

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
#: Ranks of one node among themselves: the fabric has no part in it.
WITHIN = """
about = "A night of a second"
[[stages]]
name = "local"
kind = "local"
[stages.plan]
sizes = "64K"
iterations = 9
warmup = 1
counters = []
"""
CLUSTER = "nodes = 4\n[node]\ngpus = 1\nnics = 1\n"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # on a machine that others use as well
#: A folder's name that means something to shells, to Slurm's patterns and to HTML.
HOSTILE = "nights $(touch owned) 'q' 100%j <script>"
ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", "CANCELLED", "DEADLINE")
DAY = 86_400.0


class History:
    """`railgauge slurm nightly --history HISTORY ...` on the head, of `ranks` ranks on each of the nodes."""

    def __init__(
        self, slurm: Any, path: Path, nodes: int = 4, ranks: int = 1, profile: str = PROFILE
    ) -> None:
        self.slurm, self.nodes, self.ranks = slurm, nodes, ranks
        self.path = path / HOSTILE
        own = ["slurm", "nightly", "--history", str(self.path)]
        self.command = [sys.executable, "-m", "railgauge", *own]
        self.profile = path / "short.toml"
        self.profile.write_text(profile)

    @property
    def fabric(self) -> list[str]:
        """The variables of ranks on the fabric, as options."""
        given = self.slurm.fabric.items()
        return [word for name, value in given for word in ("--variable", f"{name}={value}")]

    def call(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.slurm.call(
            [*self.command, *words], environment
        )
        return done

    def set_up(self, *words: str) -> None:
        own = ["-N", str(self.nodes), "--ranks-per-node", str(self.ranks)]
        own += ["--profile", str(self.profile), "--minutes", "5"]
        own += [
            "--weekly",
            "never",
            "--no-adaptive",
            *([] if self.nodes > 1 else ["--drain", "off"]),
        ]
        assert main([*self.command[3:], *own, *words, "--print", "cron"]) == 0

    def tonight(self) -> dict[str, str]:
        """Submit tonight's jobs; what --json says."""
        done = self.call("--now", "--json")
        assert done.returncode == 0, done.stderr
        made: dict[str, str] = json.loads(done.stdout)
        return made

    def ended(self, job: str) -> int:
        """The exit code of a job once it has ended."""
        facts = self.slurm.until_job(job, *ENDED, seconds=400)
        return int(facts["ExitCode"].partition(":")[0])

    def accept(self, folder: Path, *words: str) -> None:
        """A night by hand."""
        command = [sys.executable, "-m", "railgauge", "accept", str(self.profile)]
        ranks = self.nodes * self.ranks
        launcher = f"srun -K -N{self.nodes} -n{ranks} --mpi=pmi2"
        command += ["--launcher", launcher, "-n", str(ranks), "--ranks-per-node", str(self.ranks)]
        for _ in range(3):  # MPICH's ranks on a busy machine do not always find each other (exit 3)
            done = self.slurm.call([*command, *words, "--output", str(folder)])
            if done.returncode != 3:
                break
            command, words = [*command[:4], "--resume"], ()
        assert done.returncode == 0, done.stderr


@pytest.fixture
def history(slurm: Any, tmp_path: Path) -> History:
    return History(slurm, tmp_path)


def name_of(age: float) -> str:
    """A night's folder, so many days ago."""
    when = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=age)
    return f"{when:%Y%m%dT%H%M%SZ}-short"


def nights_before(history: History, rig: Any, first: Path, count: int) -> None:
    """Copies of a night, a day apart, the last one a day ago, on which all was four times as fast."""
    move = rig("simulated_month").move
    for journal in first.rglob("journal.jsonl"):
        text = journal.read_text()
        assert '"transfers":1,' in text
        journal.write_text(text.replace('"transfers":1,', '"transfers":4,'))
    for age in range(1, count + 1):
        folder = history.path / name_of(age)
        shutil.copytree(first, folder)
        move(folder, datetime.datetime.now().timestamp() - age * DAY)
    shutil.rmtree(first)


@pytest.mark.mpi
def test_a_throttled_node_is_named_on_its_first_night(history, slurm):
    history.set_up(*history.fabric)
    slurm.hosts.rate("node2", "16mbit")
    made = history.tonight()
    output = Path(made["folder"], f"slurm-{made['job']}.out")
    assert history.ended(made["job"]) == 1, output.read_text()
    assert history.ended(made["report"]) == 6
    told = (history.path / "latest.md").read_text()
    assert "node2" in told
    assert not re.search("node[013]:", told)
    assert "node2" in (history.path / "latest.html").read_text()
    assert (history.path / "latest.xml").read_text().startswith("<?xml")
    assert 'verdict="PASS"} 0.0' in (history.path / "latest.prom").read_text()
    assert len(list((history.path / "reports").iterdir())) == 4


@pytest.mark.mpi
def test_a_slow_night_is_confirmed_on_its_own_nodes_and_then_on_others(slurm_of, tmp_path, rig):
    history = History(slurm_of(2), tmp_path, nodes=1, ranks=2, profile=WITHIN)
    history.set_up()
    first = history.path / "by-hand"
    history.accept(first)
    nights_before(history, rig, first, 8)

    made = history.tonight()
    night, output = Path(made["folder"]), Path(made["folder"], f"slurm-{made['job']}.out")
    assert history.ended(made["job"]) == 0, output.read_text()
    record = json.loads((night / "slurm-night.json").read_text())
    assert (night / "confirm-same/01-local/journal.jsonl").exists(), output.read_text()
    assert history.ended(record["other"]) == 0, record
    assert history.ended(record["report"]) == 1

    told = (history.path / "latest.md").read_text()
    assert told.startswith("# REGRESSION (1)")
    assert "slow again on the same nodes" in told
    assert "on other nodes" in told
    assert 'verdict="REGRESSION"} 1.0' in (history.path / "latest.prom").read_text()
    where = {path.parent.name: hosts_of(path) for path in night.glob("confirm-*/01-local")}
    assert where["confirm-same"] != where["confirm-other"]


def hosts_of(run: Path) -> list[str]:
    """The hosts of a run."""
    hosts: list[str] = json.loads((run / "journal.jsonl").read_text().splitlines()[0])["hosts"]
    return hosts


def test_nights_that_do_not_happen_alarm_by_themselves_and_two_at_once_are_both_kept(
    history, slurm, tmp_path
):
    (tmp_path / "cluster.toml").write_text(CLUSTER)
    modelled = ("--backend", "simulated", "--cluster", str(tmp_path / "cluster.toml"))
    history.set_up(*modelled)
    words = ["accept", str(history.profile), *modelled]
    assert main([*words, "--output", str(history.path / name_of(0.5))]) == 0
    for name in slurm.hosts.names:
        slurm.run(["scontrol", "update", f"NodeName={name}", "State=DRAIN", "Reason=of this test"])

    both = [
        subprocess.Popen(
            slurm.hosts.entering("head", [*history.command, "--now", "--json"]),
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
    waits = ["singleton" in job["Dependency"] for job in jobs]
    assert waits.count(True) == 1  # the first one's is fulfilled
    assert [slurm.job(facts["report"])["JobState"] for facts in made] == ["PENDING", "PENDING"]

    settings = history.path / "nightly.toml"
    settings.write_text(settings.read_text().replace('partition = ""', 'partition = "nowhere"'))
    refused = history.call("--now")
    assert refused.returncode == 2
    assert "invalid partition" in refused.stderr

    reported = history.call("--report")
    assert reported.returncode == 6
    told = (history.path / "latest.md").read_text()
    assert set(re.findall(r"has not begun: job (\d+)", told)) == {facts["job"] for facts in made}
    assert "was refused: sbatch refused" in told
    assert "invalid partition" in told
