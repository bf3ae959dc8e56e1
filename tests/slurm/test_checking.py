"""The light check: one line and a code for Slurm, within its time whatever hangs, without heavy imports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from railgauge.auditing.checks import all_checks
from railgauge.auditing.manifest import Device, Manifest
from railgauge.auditing.records import Read, Taken
from railgauge.cli import main
from railgauge.errors import NotMeasuredError, RailgaugeError, UsageError
from railgauge_slurm import self_draining
from railgauge_slurm.checking import SELECTED, expected, judged, selected
from railgauge_slurm.draining import parse_cap
from railgauge_slurm.nodes import Node
from railgauge_slurm.self_draining import drain_myself

HEAVY = ("mpi4py", "pandas", "numpy", "numba", "scipy", "pyarrow", "altair", "pynvml")


def check(tmp_path, *words, code=None):
    """The command in a process of its own, on a machine without devices: (code, stdout, stderr)."""
    bare = [f"--{name}={tmp_path}" for name in ("sysfs", "proc", "dev")]
    (tmp_path / "shm").mkdir(exist_ok=True)
    argv = [
        sys.executable,
        *(["-c", code] if code else ["-m", "railgauge"]),
        "slurm",
        "check",
        *bare,
    ]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_machine_with_nothing_wrong_is_good_and_nothing_heavy_was_loaded(tmp_path):
    code = f"""
import sys
from railgauge.cli import main
code = main()
assert not [name for name in {HEAVY} if name in sys.modules], sys.modules.keys()
sys.exit(code)
"""
    code, out, err = check(tmp_path, code=code)
    assert (code, err) == (0, "")
    assert out.startswith("railgauge:ok ")
    assert out.count("\n") == 1


def test_what_the_site_expects_and_is_not_there_is_bad(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text('netdevs = ["fab0"]\n')
    (tmp_path / "class/net").mkdir(parents=True)
    words = ("--expect", f"nics=8,{site}")
    line = "network_devices fab0: absent, expected up (manifest); also rdma_devices"
    assert check(tmp_path, *words) == (1, f"railgauge:{line}\n", "")
    assert check(tmp_path, *words, "--nagios") == (2, f"RAILGAUGE CRITICAL: {line}\n", "")
    code, out, _ = check(tmp_path, *words, "--json", "--check=rdma_devices")
    made = json.loads(out)
    assert (code, made["code"], [f["check"] for f in made["findings"]]) == (
        *(1, "rdma_devices"),
        ["rdma_devices"],
    )


def test_what_could_not_be_told_is_no_verdict_and_no_drain(tmp_path):
    words = ("--expect", "netdevs=fab0", "--check", "network_devices")
    code, out, err = check(tmp_path, *words, "--drain")
    assert code == 3
    assert out.startswith("railgauge:unknown network_devices: fab0: ")
    assert err == ""
    assert check(tmp_path, *words, "--prolog")[0] == 0
    assert check(tmp_path, *words, "--nagios")[0] == 3


# within its time --------------------------------------------------------------------------------------

HANGS = """
import sys, time
from railgauge.auditing.machine import Kernel
def forever(self, path):
    while True: time.sleep(60)
Kernel.filesystem_free = forever
from railgauge.cli import main
sys.exit(main())
"""


def test_a_check_that_hangs_is_left_behind_and_named(tmp_path):
    words = ("--timeout", "0.5", "--expect", "nics=1")
    code, out, _ = check(tmp_path, *words, code=HANGS)
    assert code == 1  # what was read before is told
    assert out.startswith("railgauge:rdma_devices 0 devices")
    chosen = ("--check", "shared_memory_free,clocksource,gpus_answer")
    code, out, _ = check(tmp_path, "--timeout", "0.5", *chosen, code=HANGS)
    assert code == 3
    assert out == (
        "railgauge:unknown shared_memory_free: no answer within 0.5 s; also gpus_answer\n"
    )
    left = subprocess.run(
        ["pgrep", "-f", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""


# telling ----------------------------------------------------------------------------------------------


def told(*reads):
    taken = Taken(host="n0", rank=0, leads=True, seconds=0.1, reads=reads)
    return judged(taken, Manifest(), selected(None))[1]


def test_the_first_of_what_is_bad_gives_the_code_and_hostile_text_stays_one_line():
    down = Read(
        check="port_state",
        where="mlx5_0 port 1",
        value={"state": "DOWN\n<b>", "physical": "x" * 900},
    )
    full = Read(check="shared_memory_free", value={"free": 0, "size": 100})
    made = told(full, down)
    assert (made.exit_code, made.code) == (1, "port_state")
    assert made.words.startswith("mlx5_0 port 1: DOWN <b>, xxx")
    assert len(made.words) <= 300
    assert "\n" not in made.line


def test_what_is_unknown_counts_where_it_could_have_failed_and_anybody_may_read_it():
    assert told(Read(check="clocksource", unknown="no file")).exit_code == 0
    assert told(Read(check="gpu_xid", unknown="/dev/kmsg: no permission")).exit_code == 0
    made = told(Read(check="gpus_answer", unknown="NVML: no driver"))
    assert (made.exit_code, made.line) == (3, "railgauge:unknown gpus_answer: NVML: no driver")
    odd = told(Read(check="shared_memory_free", value="what no judge foresaw"))
    assert odd.exit_code == 3


def test_a_warning_is_told_and_good():
    made = told(Read(check="clocksource", value="hpet"))
    assert (made.exit_code, made.words.endswith("; 1 warning")) == (0, True)


def test_the_selection_names_checks_that_exist():
    assert [check.name for check in selected(None)] == list(SELECTED)
    assert set(SELECTED) <= set(all_checks())
    with pytest.raises(UsageError, match="unknown light check 'port_stat'"):
        selected(["port_stat"])


def test_expectations_come_from_words_and_files_and_later_ones_win(tmp_path):
    site = tmp_path / "site.toml"
    site.write_text("gpus = 4\nnics = 2\n[devices.mlx5_0]\nport = 1\n")
    made = expected([str(site), "gpus=8", "rate=400", "netdev=eth0+eth1", "clocksource=tsc"])
    assert made == Manifest(
        gpus=8,
        nics=2,
        rate_Gbps=400.0,
        netdevs=("eth0", "eth1"),
        clocksource="tsc",
        devices={"mlx5_0": Device()},
    )
    assert expected([]) == Manifest()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("nic=8", "unknown expectation 'nic'. Did you mean 'nics'"),
        ("nics=many", "--expect nics=many: Expected"),
        ("nics=-1", "nics -1"),
        ("rate=nan", "rate_Gbps nan"),
        ("profile=roce", "unknown profile 'roce'"),
        ("/nowhere/site", "--expect /nowhere/site: No such file"),
        ("devices=3", "unknown expectation 'devices'"),
    ],
)
def test_an_expectation_that_means_nothing_is_refused(word, said):
    with pytest.raises(RailgaugeError) as caught:
        expected([word])
    assert said in str(caught.value)


def test_options_that_exclude_each_other_are_refused(capsys):
    assert main(["slurm", "check", "--nagios", "--json"]) == 2
    assert main(["slurm", "check", "--drain", "--max-drain", "many"]) == 2
    assert main(["slurm", "check", "--list", "--check", "gpus"]) == 0
    assert capsys.readouterr().out == "gpus  number of GPUs\n"


# draining itself --------------------------------------------------------------------------------------

OURS = "railgauge:x 20261126 run=check"


class Cluster:
    """A controller in this process: nodes of one partition; `at_once` drain themselves meanwhile."""

    def __init__(self, monkeypatch, count, at_once=()):
        self.nodes = {
            f"n{k}": Node(f"n{k}", f"h{k}", frozenset({"IDLE"}), ("p",)) for k in range(count)
        }
        self.at_once, self.asked = at_once, []
        monkeypatch.setattr(self_draining, "all_nodes", lambda _: tuple(self.nodes.values()))
        monkeypatch.setattr(self_draining, "partition_of", lambda _nodes, asked, **_: asked or "q")
        monkeypatch.setattr(self_draining, "ask", self.ask)

    def set(self, name, states, reason="", since=""):
        self.nodes[name] = self.nodes[name]._replace(
            states=frozenset(states), reason=reason, since=since
        )

    def ask(self, argv, *_):
        name, state = argv[2].partition("=")[2], argv[3].partition("=")[2]
        self.asked.append((name, state))
        states, reason = (("IDLE", "DRAIN"), argv[4][7:]) if state == "drain" else (("IDLE",), "")
        self.set(name, states, reason, "2026-11-26T01:00:00")

    def drain(self, name):
        def others(_seconds):
            for other, since in self.at_once:
                self.set(other, ("IDLE", "DRAIN"), OURS, since)

        return drain_myself(
            *("port_state", "down", parse_cap("1"), None), {"SLURMD_NODENAME": name}, others
        )


def test_a_bad_node_drains_itself(monkeypatch):
    cluster = Cluster(monkeypatch, 4)
    assert cluster.drain("n2").startswith("n2 drained: railgauge:port_state 2")
    assert cluster.asked == [("n2", "drain")]
    assert cluster.nodes["n2"].reason.endswith(" run=check")


@pytest.mark.parametrize(
    ("other", "since", "stays"),
    [
        ("n1", "2026-11-26T00:59:59", False),
        ("n1", "2026-11-26T01:00:00", False),
        ("n3", "2026-11-26T01:00:00", True),
        ("n1", "2026-11-26T01:00:01", True),
    ],
)
def test_of_nodes_that_drain_themselves_at_once_the_first_ones_stay(
    monkeypatch, other, since, stays
):
    cluster = Cluster(monkeypatch, 4, [(other, since)])
    said = cluster.drain("n2")
    assert cluster.nodes["n2"].drained is stays
    assert ("others were drained at the same time" in said) is not stays


def test_over_the_cap_or_held_by_others_a_node_is_left_alone(monkeypatch):
    cluster = Cluster(monkeypatch, 4)
    cluster.set("n0", ("IDLE", "DRAIN"), OURS)
    assert "over the cap: at most 1 of 4 nodes, 1 held already" in cluster.drain("n2")
    cluster.set("n2", ("IDLE", "DRAIN"), "fan")
    assert "drained by others already: fan" in cluster.drain("n2")
    assert cluster.asked == []


def test_a_host_that_slurm_does_not_know_is_said(monkeypatch):
    cluster = Cluster(monkeypatch, 2)
    with pytest.raises(NotMeasuredError, match="--drain: which of Slurm's nodes this is"):
        cluster.drain("n9")
