"""`railgauge compare --interleave` from its command line, with launches that a stand-in makes at once."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from railgauge.cli import main
from railgauge_reports.compare.kept import LOOKS, order_of

STAND_IN = Path(__file__).parents[2] / "rigs" / "launch_stand_in.py"
LAUNCHER = f"{sys.executable} {STAND_IN}"
COMPARE = [sys.executable, "-m", "railgauge", "compare"]
SLOW = ("--b", "SLOWNESS=1.1")


def in_a_process(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMPARE, *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


Compare = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def compare(monkeypatch, capfd) -> Compare:
    """`railgauge compare ARGUMENTS` in this process, whose launches the stand-in makes in it too."""
    spec = importlib.util.spec_from_file_location("launch_stand_in", STAND_IN)
    stand_in = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stand_in)

    def launch(command, environment, _timeout):
        code, said = stand_in.launch(command, environment)
        return subprocess.CompletedProcess(command, code, "", said)

    def run(*arguments, **environment):
        with monkeypatch.context() as patched:
            patched.setattr("railgauge_reports.launched.execute", launch)
            patched.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own handlers
            for name, value in environment.items():
                patched.setenv(name, value)
            code = main(["compare", *map(str, arguments)])
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, code, out, err)

    return run


@pytest.fixture
def interleave(compare) -> Compare:
    """`interleave(FOLDER, ...)`: a comparison in alternation into that folder."""

    def run(folder, *more, **environment):
        options = ("--interleave", "--launcher", LAUNCHER, "--output", folder)
        return compare(*options, *more, **environment)

    return run


def kept(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "compare.json").read_text())


@contextlib.contextmanager
def waiting(folder: Path, at: str, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A comparison whose launch `at` does not end; it is there when this begins."""
    process = subprocess.Popen(
        [*COMPARE, "--interleave", "--launcher", LAUNCHER, "--output", str(folder), *more],
        env=os.environ | {"STAND_IN_WAITS": at},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while not (folder / f"{at}.pid").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


def gone(folder: Path, at: str) -> bool:
    """Has the launch that waited ended, in a while at the most?"""
    pid = int((folder / f"{at}.pid").read_text())
    for _ in range(200):
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False


# order ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_the_order_is_balanced_over_every_two_pairs_and_repeats_for_its_seed(seed):
    order = order_of(seed, 42)
    assert len(order) == 84
    assert {order[k : k + 4] for k in range(0, 84, 4)} == {"ABBA", "BAAB"}
    assert order == order_of(seed, 42)
    assert order_of(seed, 3) == order[:6]


def test_looks_are_even_and_grow_geometrically():
    assert all(look % 2 == 0 for look in LOOKS)
    assert all(1.3 < b / a < 1.7 for a, b in itertools.pairwise(LOOKS))


# answers --------------------------------------------------------------------------------------------


def test_a_planted_effect_is_found_at_the_first_look_with_sign_interval_and_losses(
    tmp_path, interleave
):
    folder = tmp_path / "kept"
    done = interleave(folder, *SLOW, "--seed", "5", "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    for row in answer["rows"]:
        assert row["word"] == "slower"
        assert row["ratio_low"] < 1.1 < row["ratio_high"]
        assert (row["blocks"], row["more_blocks"]) == (8, None)
    (event,) = answer["events"]
    assert event["event"] == "seq_nak_rx"
    assert event["b"] / event["a"] == pytest.approx(1.1**20, rel=0.01)
    assert event["difference_low"] > 0
    told = {d["what"]: (d["a"], d["b"]) for d in answer["differences"]}
    assert told["plan: variable SLOWNESS"] == ("not set", "1.1")
    made = kept(folder)
    assert made["order"] == order_of(5, LOOKS[-1])
    assert [launch["folder"][0] for launch in made["launches"]] == list(made["order"][:16].lower())
    assert {launch["exit_code"] for launch in made["launches"]} == {0}
    assert (made["stopped"], made["exit_code"]) == ("every row has an answer", 0)
    assert (folder / "b7" / "journal.jsonl").exists()


def test_a_against_a_is_the_same_or_cannot_be_told(tmp_path, interleave):
    done = interleave(tmp_path / "kept", "--rounds-of-AB", "6", "--json")
    words = {row["word"] for row in json.loads(done.stdout)["rows"]}
    assert words <= {"same", "cannot tell"}
    assert done.returncode == (6 if words == {"cannot tell"} else 0)
    assert len(kept(tmp_path / "kept")["launches"]) == 12


def test_options_of_one_side_alone_reach_its_launches(tmp_path, interleave):
    done = interleave(
        tmp_path, "--blocks", "1", "--a-args", "--set SLOWNESS=3", "--", "--set", "OTHER=1"
    )
    assert done.returncode == 6  # one pair
    plans = [json.loads((tmp_path / side / "plan.json").read_text()) for side in ("a0", "b0")]
    assert [plan["variables"] for plan in plans] == [
        [["OTHER", "1"], ["SLOWNESS", "3"]],
        [["OTHER", "1"]],
    ]
    assert "1 pair: at least 6" in done.stdout


def test_few_pairs_say_how_many_more_are_needed(tmp_path, interleave):
    done = interleave(tmp_path, "--blocks", "4", "--margin", "0.001")
    assert done.returncode == 6
    assert "cannot tell (+" in done.stdout
    assert "more pairs would show an effect of 0.10%" in done.stdout


def test_the_budget_ends_it_between_two_pairs(tmp_path, interleave):
    done = interleave(tmp_path, *SLOW, "--budget", "0.001")
    assert done.returncode == 6
    assert "would exceed the budget of 0.001 s" in done.stderr
    assert len(kept(tmp_path)["launches"]) == 2


def test_precision_asks_for_narrow_intervals_and_not_for_words(tmp_path, interleave):
    done = interleave(tmp_path, "--precision", "0.05", "--seed", "2")
    assert "every interval is within 5.00%" in done.stderr
    assert len(kept(tmp_path)["launches"]) == 2 * LOOKS[0]


def test_a_size_that_one_side_leaves_out_is_listed(tmp_path, interleave):
    done = interleave(tmp_path, "--blocks", "2", STAND_IN_LEAVES_OUT="b")
    assert "only in A: all_reduce float32 sum out blocking barrier, 2 ranks: 64K" in done.stdout


def test_a_kept_comparison_is_judged_once_more_from_its_folder(tmp_path, interleave, compare):
    first = interleave(tmp_path, *SLOW, "--json")
    again = compare(tmp_path, "--json")
    assert json.loads(again.stdout) == json.loads(first.stdout)
    assert again.returncode == 0
    assert compare(tmp_path, "--fail-if-slower", "0.05").returncode == 1
    assert compare(tmp_path, "--format", "markdown").stdout.startswith("# railgauge: A beside B")


# what goes wrong ------------------------------------------------------------------------------------


def test_a_side_that_fails_is_quoted_and_nothing_before_it_is_lost(tmp_path, interleave):
    done = interleave(tmp_path, *SLOW, "--blocks", "8", STAND_IN_FAILS="b6")
    assert done.returncode == 3
    assert "b6 ended with 7" in done.stderr
    assert "| stand-in: no such fabric" in done.stderr
    assert "1K" in done.stdout
    assert "slower" in done.stdout  # six pairs are enough for one look
    made = kept(tmp_path)
    assert (made["launches"][-1]["exit_code"], made["exit_code"]) == (7, 3)
    resumed = interleave(tmp_path, *SLOW, "--blocks", "8", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert [launch["block"] for launch in kept(tmp_path)["launches"]] == [k // 2 for k in range(16)]


def test_wrong_data_on_a_side_ends_it_with_four(tmp_path, interleave):
    done = interleave(tmp_path, "--blocks", "4", STAND_IN_WRONG="b1")
    assert done.returncode == 4
    assert "b1 ended with 4" in done.stderr
    assert kept(tmp_path)["exit_code"] == 4


def test_a_launch_that_does_not_end_is_a_hang(tmp_path):
    options = ("--interleave", "--launcher", LAUNCHER, "--output", tmp_path, "--timeout", "15")
    done = in_a_process(*options, STAND_IN_WAITS="a0")
    assert done.returncode == 5
    assert "no end within 15 s" in done.stderr
    assert gone(tmp_path, "a0")


def test_a_launcher_that_is_not_there_cannot_measure(tmp_path):
    done = in_a_process(
        "--interleave", "--launcher", "/nowhere/srun -n 2", "--output", tmp_path / "x"
    )
    assert done.returncode == 3
    assert "/nowhere/srun cannot be started: No such file" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_its_launch_and_goes_on_where_it_was(tmp_path, number, compare):
    with waiting(tmp_path, "a1", *SLOW, "--blocks", "6") as process:
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 75, stderr
    assert f"railgauge compare --interleave --resume --output {tmp_path}" in stderr
    assert "cannot tell" in stdout  # one pair has ended
    assert gone(tmp_path, "a1")
    assert kept(tmp_path)["exit_code"] == 75
    resumed = compare("--interleave", "--resume", "--output", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    made = kept(tmp_path)
    assert "".join(launch["side"] for launch in made["launches"]) == made["order"].lower()
    assert (made["exit_code"], len(made["launches"])) == (0, 12)


def test_killed_it_leaves_no_process_and_goes_on_where_it_was(tmp_path, compare):
    with waiting(tmp_path, "a1", *SLOW, "--blocks", "6") as process:
        process.kill()
        process.wait()
        assert gone(tmp_path, "a1")
    (tmp_path / "a1").mkdir(exist_ok=True)  # what a run that was killed leaves
    assert {path.name for path in tmp_path.glob("[ab]?")} == {"a0", "b0", "b1", "a1"}
    resumed = compare("--interleave", "--resume", "--output", tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert len(kept(tmp_path)["launches"]) == 12
    assert (tmp_path / "a1.cut0").is_dir()
    assert (tmp_path / "b1.cut0" / "journal.jsonl").exists()  # half a pair is not gone on with


def test_a_finished_comparison_is_only_printed_again(tmp_path, interleave, compare):
    interleave(tmp_path, *SLOW)
    before = kept(tmp_path)
    again = compare("--interleave", "--resume", "--output", tmp_path)
    assert (again.returncode, kept(tmp_path)) == (0, before)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["a"], "compare.json: not the record of a comparison"),
        (["a", "b", "c"], "3 folders: expected two"),
        ([], "0 folders: expected two"),
        (["a", "b", "--a", "X=1"], "--a is for two configurations in alternation"),
        (["a", "b", "--blocks", "4"], "--rounds-of-AB is for two"),
        (["--interleave", "--a", "X"], "--a X"),
        (["--interleave", "--blocks", "0"], "--rounds-of-AB 0: expected a number above 0"),
        (["--interleave", "--margin", "nan"], "--margin nan"),
        (["--interleave", "--blocks", "8", "--precision", "0.1"], "is a fixed number of pairs"),
        (["--interleave", "--", "--output", "x"], "a comparison decides that itself"),
        (["--interleave", "--b-args", "--sweep=A=1,2"], "a comparison decides that itself"),
        (["--interleave", "--b-args", "'"], "No closing quotation"),
        (["--interleave", "--resume"], "--resume: which comparison?"),
        (["--interleave", "--output", "."], "not empty"),
        (["a", "b", "--format", "xml"], "unknown format 'xml'"),
        (["a", "b", "--metric", "bw"], "unknown metric 'bw'"),
        (["a", "b", "--json", "--format", "markdown"], "--json means --format json"),
    ],
)
def test_bad_input_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys, arguments, said):
    (tmp_path / "here").write_text("")
    monkeypatch.chdir(tmp_path)
    code = main(["compare", *arguments])
    assert code == (3 if said.startswith("compare.json") else 2)
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""
    assert os.listdir(tmp_path) == ["here"]


def test_another_comparison_is_not_resumed(tmp_path, interleave):
    interleave(tmp_path, "--blocks", "1")
    done = interleave(tmp_path, "--blocks", "2", "--resume")
    assert done.returncode == 2
    assert "blocks differ (blocks: 1 there, 2 asked)" in done.stderr


def test_it_is_refused_under_a_launcher(tmp_path, interleave):
    done = interleave(tmp_path, PMI_RANK="0", PMI_SIZE="2")
    assert done.returncode == 2
    assert "a launcher has started it" in done.stderr


# real ranks -----------------------------------------------------------------------------------------


@pytest.mark.mpi
@pytest.mark.slow
def test_real_ranks_run_in_alternation_and_what_differs_is_named(tmp_path):
    done = in_a_process(
        "--interleave", "-n", "2", "--blocks", "2", "--b-args", "--call persistent", "--output", tmp_path,
        "--json", "--", "--operation", "all_reduce", "--sizes", "1K,64K", "--budget", "0.1",
    )  # fmt: skip
    assert done.returncode == 6, done.stderr  # two pairs
    answer = json.loads(done.stdout)
    assert [(row["ranks"], row["nbytes"], row["blocks"]) for row in answer["rows"]] == [
        (2, 1024, 2),
        (2, 65536, 2),
    ]
    assert all(row["ratio"] > 0 for row in answer["rows"])
    assert answer["compared"] == {"call": ["blocking", "persistent"]}
    assert [launch["side"] for launch in kept(tmp_path)["launches"]] == list(order_of(1, 2).lower())
    assert {launch["exit_code"] for launch in kept(tmp_path)["launches"]} == {0}
