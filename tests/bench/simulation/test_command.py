"""`railgauge run --backend simulated`: one process, no launcher, the table and the folder of any run."""

from __future__ import annotations

import json

import pytest

from railgauge.cli import call
from railgauge.errors import HangError, UsageError


def run(tmp_path, *options, name="run"):
    return call(["run", "--backend", "simulated", "--output", str(tmp_path / name), *options])


def test_the_table_is_printed_and_the_run_is_marked(tmp_path, capsys):
    code = run(tmp_path, "--nodes", "4", "--sizes", "1M,1G")
    said = capsys.readouterr()
    assert code == 0
    assert said.out.count("all_reduce") == 2
    assert "0-31" in said.out
    assert "note: SIMULATED" in said.err
    assert f"PASS: {tmp_path / 'run'}" in said.err


def test_many_ranks_are_told_in_a_few_characters(tmp_path, capsys):
    run(tmp_path, "--nodes", "16", "--sizes", "1M", "--pattern", "incast", "--operation", "flows")
    assert max(map(len, capsys.readouterr().out.splitlines())) < 220
    assert "(16)" not in capsys.readouterr().out


def test_another_format_is_handed_over(tmp_path, capsys):
    assert run(tmp_path, "--nodes", "2", "--sizes", "1M", "--json") == 0
    made = json.loads(capsys.readouterr().out)
    assert made["rows"][0]["backend"] == "simulated"


def test_a_run_is_resumed_from_its_folder(tmp_path):
    options = ("--nodes", "2", "--sizes", "1M")
    run(tmp_path, *options)
    with pytest.raises(UsageError, match="already holds this run"):
        run(tmp_path, *options)
    assert run(tmp_path, *options, "--resume") == 0


def test_ranks_default_to_the_cluster_and_may_be_fewer(tmp_path, capsys):
    run(tmp_path, "--nodes", "2", "--sizes", "1M", name="all")
    run(tmp_path, "--nodes", "2", "-n", "12", "--sizes", "1M", name="fewer")
    told = capsys.readouterr().out
    assert "0-15" in told
    assert "0-11" in told


def test_leaves_are_those_of_the_cluster(tmp_path, capsys):
    options = ("--cluster", "fat-tree", "--nodes", "16", "--sizes", "1M", "--operation", "sendrecv")
    assert run(tmp_path, *options, "--pattern", "leaves") == 0
    assert "between leaves" in capsys.readouterr().out


def test_a_sweep_is_simulated_side_by_side(tmp_path, capsys):
    options = ("--nodes", "2", "--sizes", "1M", "--sweep", "NCCL_ALGO=Ring,Tree")
    assert run(tmp_path, *options) == 0
    assert "NCCL_ALGO=Tree" in capsys.readouterr().out


def test_a_dry_run_knows_the_rounds_of_the_cluster(tmp_path, capsys):
    run(
        tmp_path,
        "--nodes",
        "64",
        "--sizes",
        "1M",
        "--operation",
        "sendrecv",
        "--pattern",
        "pairs",
        "--dry-run",
    )
    assert "1 cases x 63 round(s) on 512 ranks" in capsys.readouterr().out
    assert not (tmp_path / "run").exists()


def test_faults_are_planted_and_named_in_the_plan(tmp_path, capsys):
    file = tmp_path / "faults.toml"
    file.write_text('[[faults]]\nkind = "slow_nic"\n')
    run(tmp_path, "--nodes", "4", "--sizes", "1M", "--faults", str(file))
    (fault,) = json.loads((tmp_path / "run/plan.json").read_text())["faults"]
    assert fault["kind"] == "slow_nic"
    assert fault["node"].startswith("node000")
    assert "1 faults are planted" in capsys.readouterr().err


def test_a_hang_is_exit_5(tmp_path):
    file = tmp_path / "faults.toml"
    file.write_text('[[faults]]\nkind = "hang"\n')
    with pytest.raises(HangError) as raised:
        run(tmp_path, "--nodes", "4", "--sizes", "1M", "--faults", str(file))
    assert raised.value.exit_code == 5
    assert call(["report", str(tmp_path / "run")]) == 5


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--cluster", "h1000"), "h1000"),
        (("--nodes", "2", "-n", "17"), "16 GPUs"),
        (("--nodes", "1", "--pattern", "incast"), "flows"),
        (("--faults", "nothing.toml"), "nothing.toml"),
        (("--memory", "host"), "memory"),
        (("--operation", "copy"), "copy"),
    ],
)
def test_what_cannot_be_simulated_is_refused(tmp_path, options, named):
    with pytest.raises(UsageError, match=named):
        run(tmp_path, *options)


@pytest.mark.parametrize("option", ["--cluster", "--nodes", "--faults"])
def test_a_real_backend_has_no_cluster_to_model(option):
    with pytest.raises(UsageError, match=f"{option}: only a simulated cluster"):
        call(["run", "-n", "2", option, "2"])


def test_a_simulated_run_is_not_compared_with_a_measured_one(tmp_path):
    from railgauge.journal import PLAN

    for name in ("a", "b"):
        run(tmp_path, "--nodes", "2", "--sizes", "1M", name=name)
    assert call(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) in (0, 6)
    plan = json.loads((tmp_path / "b" / PLAN).read_text())
    (tmp_path / "b" / PLAN).write_text(json.dumps(plan | {"cluster": None, "backend": "nccl"}))
    with pytest.raises(UsageError, match="nothing to tell of each other"):
        call(["compare", str(tmp_path / "a"), str(tmp_path / "b")])
