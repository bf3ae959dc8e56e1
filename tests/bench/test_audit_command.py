"""`railgauge audit`: alone, with ranks of its own, under a launcher; what it prints and exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from railgauge.cli import main
from railgauge.launching.launch import ROOT_ALLOWED


def audit(*arguments):
    return main(["audit", *arguments])


@pytest.fixture
def bare(tmp_path):
    """Options for a machine without any device."""
    for name in ("sys/class/net/eth0", "proc", "etc/systemd"):
        (tmp_path / name).mkdir(parents=True)
    return [
        f"--{name}={tmp_path / place}"
        for name, place in (("sysfs", "sys"), ("proc", "proc"), ("etc", "etc"))
    ]


def test_alone_it_says_what_it_could_read_and_what_not(bare, capsys):
    code = audit(*bare)
    text = capsys.readouterr().out
    assert code == 6  # no RDMA device: nothing is said of a fabric
    assert "NOT APPLICABLE (" in text
    assert "INCONCLUSIVE: no RDMA device here" in text


def test_json_is_one_object_with_nodes_checks_values_and_statuses(bare, capsys):
    code = audit("--json", *bare)
    made = json.loads(capsys.readouterr().out)
    assert made["exit_code"] == code == 6
    assert made["verdict"] == "INCONCLUSIVE"
    assert len(made["hosts"]) == 1
    assert {check["name"] for check in made["checks"]} >= {"pfc", "memlock", "acs"}
    memlock = next(f for f in made["findings"] if f["check"] == "memlock")
    assert memlock["ranks"] == "0"
    assert memlock["value"]
    assert made["facts"] == {made["hosts"][0]: {}}
    assert made["taken"][0]["leads"] is True


def test_a_profile_that_wants_rdma_fails_without(bare, capsys):
    assert audit("--profile", "roce-lossless", *bare) == 1
    assert "rdma_devices" in capsys.readouterr().out


def test_checks_can_be_named_and_listed(bare, capsys):
    audit("--check", "memlock,stack", "--json", *bare)
    assert {f["check"] for f in json.loads(capsys.readouterr().out)["findings"]} == {
        "memlock",
        "stack",
    }
    assert audit("--list") == 0
    text = capsys.readouterr().out
    assert "limits:" in text
    assert "memlock" in text
    assert audit("--list", "--json", "--check", "pcie") == 0
    assert {row["subject"] for row in json.loads(capsys.readouterr().out)} == {"pcie"}


def test_a_folder_gets_the_audit(bare, tmp_path, capsys):
    audit("--output", str(tmp_path / "new"), *bare)
    made = json.loads((tmp_path / "new/audit.json").read_text())
    assert made["verdict"] == "INCONCLUSIVE"
    assert "INCONCLUSIVE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--check", "memlocks"), "Did you mean 'memlock'?"),
        (("--priority", "8"), "expected 0 to 7"),
        (("--priority", "three"), "expected 0 to 7"),
        (("--ranks", "0"), "expected at least 1"),
        (("--profile", "roce"), "roce-lossless"),
        (("--manifest", "no-such-file"), "No such file"),
    ],
)
def test_wrong_options_are_refused(arguments, words, capsys):
    assert audit(*arguments) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("gpus = 'eight'", "$.gpus"),
        ("nic = 8", "nic"),
        ("nics = -1", "nics -1"),
        ("rate_Gbps = nan", "rate_Gbps nan"),
        ("profile = 'roce'", "unknown profile 'roce'"),
        ("priorities = [9]", "0 to 7"),
        ("= 1", "--manifest"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused_by_field(tmp_path, text, words, capsys):
    (tmp_path / "site.toml").write_text(text)
    assert audit("--manifest", str(tmp_path / "site.toml")) == 2
    assert words in capsys.readouterr().err


def test_a_manifest_is_kept_to(tmp_path, bare, capsys):
    (tmp_path / "site.toml").write_text("gpus = 8\n[devices.mlx5_0]\nrate_Gbps = 400\n")
    assert audit("--manifest", str(tmp_path / "site.toml"), *bare) == 1
    text = capsys.readouterr().out
    assert "missing: mlx5_0" in text
    assert "8 (manifest)" in text


def test_what_was_read_can_be_judged_again_under_another_profile(bare, tmp_path, capsys):
    assert audit("--output", str(tmp_path / "kept"), *bare) == 6
    assert audit("--stored", str(tmp_path / "kept"), "--profile", "ib") == 1
    assert audit("--stored", str(tmp_path / "kept/audit.json")) == 6
    capsys.readouterr()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"taken": 3}', "\xff"])
def test_a_stored_audit_that_is_none_is_said(tmp_path, text, capsys):
    (tmp_path / "audit.json").write_text(text)
    assert audit("--stored", str(tmp_path)) == 3
    assert "audit.json" in capsys.readouterr().err
    assert audit("--stored", str(tmp_path / "nothing")) == 3


def test_an_output_that_cannot_be_written_is_said(bare, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert audit("--output", str(tmp_path / "file"), *bare) == 3
    assert "--output" in capsys.readouterr().err


def started(argv, **environ):
    env = os.environ | ROOT_ALLOWED | environ
    return subprocess.run(argv, capture_output=True, text=True, timeout=250, env=env, check=False)


COMMAND = ("-m", "railgauge", "audit", "--json")


@pytest.mark.mpi
def test_ranks_that_it_starts_read_their_own_limits_and_variables(mpi_python):
    done = started([mpi_python, *COMMAND, "-n", "2"], NCCL_ALGO="Ring")
    made = json.loads(done.stdout)
    assert done.returncode == made["exit_code"]
    assert made["ranks"] == 2
    assert [taken["leads"] for taken in made["taken"]] == [True, False]
    forced = next(f for f in made["findings"] if f["check"] == "nccl_forced")
    assert (forced["status"], forced["ranks"]) == ("WARN", "0-1")


@pytest.mark.mpi
def test_under_a_launcher_rank_0_alone_speaks(mpi_python, mpiexec, bare):
    done = started([mpiexec(mpi_python), "-n", "2", mpi_python, *COMMAND, "--profile", "ib", *bare])
    made = json.loads(done.stdout)  # one object, not two
    assert made["ranks"] == 2
    assert made["verdict"] == "FAIL"
    assert done.returncode == 1


def test_alone_it_needs_no_mpi():
    code = (
        "import sys; sys.modules['mpi4py'] = None\n"
        "from railgauge.cli import main; main(['audit', '--check', 'stack'])\n"
        "assert 'numba' not in sys.modules and 'pandas' not in sys.modules"
    )
    done = started([sys.executable, "-c", code])
    assert done.returncode == 0, done.stderr
