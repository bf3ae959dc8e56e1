"""`railgauge counters`: what stands there, what rises, and what could not be read."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from railgauge.cli import main
from railgauge.commands.counters import command

PORT = "class/infiniband/mlx5_0/ports/1"


@pytest.fixture
def host(tmp_path):
    """A sysfs with one port; `host(name=value)` writes its counters; `.options` point there."""

    class Host:
        options = ("--sysfs", str(tmp_path), "--proc", str(tmp_path))

        def __call__(self, **values):
            for name, value in values.items():
                folder = "hw_counters" if name.startswith("out") else "counters"
                path = tmp_path / PORT / folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{value}\n")

    made = Host()
    made(symbol_error=3, link_downed=0, port_rcv_data=5, VL15_dropped="N/A (no PMA)")
    made(excessive_buffer_overrun_errors=15, out_of_sequence=7)
    return made


def shown(*arguments):
    made = CliRunner().invoke(command, arguments, standalone_mode=False)
    if made.exception:
        raise made.exception
    return made.output


def test_counters_are_shown_with_units_and_reasons(host):
    text = shown("--source", "rdma", *host.options)
    assert "rdma mlx5_0 port 1 (driver mlx5_core)" in text
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert lines["port_rcv_data"].split()[1:] == ["20", "B"]
    assert lines["excessive_buffer_overrun_errors"].endswith("at its end: at least this")
    assert "UNKNOWN: not a number: 'N/A (no PMA)'" in lines["VL15_dropped"]
    assert "link_downed" not in lines
    assert "(1 at 0)" in text
    assert "link_downed" in shown("--source", "rdma", "--all", *host.options)


def test_a_source_that_gives_nothing_says_why(host):
    assert "tcp: UNKNOWN: " in shown("--source", "tcp", *host.options)


def test_json_has_every_value_and_reason(host):
    made = json.loads(shown("--source", "rdma", "--json", *host.options))
    (reading,) = made["readings"]
    assert reading["values"]["port_rcv_data"] == 5
    assert "VL15_dropped" in reading["unknown"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--source", "rdam"), "Did you mean 'rdma'?"),
        (("--device", "mlx5_9"), "there are: mlx5_0"),
        (("--watch", "0"), "--watch 0.0"),
        (("--count", "3"), "--watch 1 --count 10"),
    ],
)
def test_wrong_options_are_refused(host, arguments, words, capsys):
    code = main(["counters", "--source", "rdma", *host.options, *arguments])
    assert code == 2
    assert words in capsys.readouterr().err


def test_watching_shows_what_rises_until_it_is_interrupted(host):
    argv = [sys.executable, "-m", "railgauge", "counters", "--source", "rdma", *host.options]
    watching = subprocess.Popen(
        [*argv, "--watch", "0.1", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert json.loads(watching.stdout.readline())["changes"] == []
        host(symbol_error=13, port_rcv_data=1005)
        found = []
        until = time.monotonic() + 60
        while not found and time.monotonic() < until:
            line = json.loads(watching.stdout.readline())
            found = line["changes"]
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
    finally:
        watching.kill()
        watching.stdout.close()
        watching.wait()
    rates = {change["name"]: change for change in found}
    assert rates
    for name, delta, unit in (("symbol_error", 10, ""), ("port_rcv_data", 4000, "B")):
        if name in rates:  # the two files are not written at once
            assert (rates[name]["delta"], rates[name]["unit"]) == (delta, unit)
            assert rates[name]["rate_per_second"] == pytest.approx(delta / line["seconds"])


def test_a_table_of_changes_is_printed_as_often_as_asked(host):
    text = shown("--source", "rdma", "--watch", "0.01", "--count", "2", *host.options)
    assert len(text.splitlines()) == 2


@pytest.fixture
def meanwhile(monkeypatch):
    """`meanwhile(first, second)`: what happens before each reading of --watch instead of waiting."""

    def plan(*deeds):
        waiting = iter(deeds)
        monkeypatch.setattr(time, "sleep", lambda _: next(waiting)())

    return plan


def test_a_gauge_shows_the_value_that_it_has_now_and_no_rate(host, meanwhile):
    gauge = "db_fifo_register"
    host(**{gauge: 900})
    meanwhile(lambda: host(**{gauge: 400}, port_rcv_data=105), lambda: None)
    text = shown("--source", "rdma", "--watch", "1", "--count", "2", *host.options)
    fell, rose, *rest = (line for line in text.splitlines() if line.startswith("  "))
    assert fell.split()[-3:] == [gauge, "400", "gauge"]
    assert "/s" not in fell
    assert rose.split()[4:6] == ["port_rcv_data", "400"]
    assert rose.endswith(" B/s")
    assert not rest  # a gauge that stands still is not told again


def test_a_device_that_goes_while_it_is_watched_is_told_and_ends_nothing(host, meanwhile):
    folder = Path(host.options[1]) / "class/infiniband/mlx5_0"
    meanwhile(lambda: shutil.rmtree(folder), lambda: None)
    options = ("--source", "rdma", "--device", "mlx5_0", "--watch", "1", "--count", "2")
    text = shown(*options, *host.options)
    assert text.count("vanished") == 5


def test_a_gpu_stands_for_its_links_too(fake_nvml, tmp_path):
    folder = tmp_path / "bus/pci/devices/0000:10:00.0"
    folder.mkdir(parents=True)
    (folder / "class").write_text("0x030200\n")
    (folder / "vendor").write_text("0x10de\n")
    argv = [sys.executable, "-m", "railgauge", "counters", "--sysfs", str(tmp_path), "--all"]
    machine = {"LD_PRELOAD": str(fake_nvml), "FAKE_NVML_LINKS": "2", "FAKE_NVML_POWER": "70000"}

    def run(*more):
        done = subprocess.run(
            [*argv, *more], env=os.environ | machine, capture_output=True, text=True, check=True
        )
        return done.stdout.splitlines()

    lines = run("--device", "0000:11:00.0")
    places = [line.split(" (")[0] for line in lines if not line.startswith(" ")]
    links = [f"nvlink 0000:11:00.0/link{n}" for n in range(2)]
    assert places == [*links, "nvml 0000:11:00.0"]
    assert ["power", "70000", "mW"] in [line.split() for line in lines]
    (only, *_) = run("--device", "0000:11:00.0/link1")
    assert only.startswith("nvlink 0000:11:00.0/link1 (gpu 1, ")
