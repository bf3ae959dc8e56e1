"""`railgauge counters FILE [FILE]`: what an operator has of another host."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from railgauge.cli import main
from railgauge.commands.counters import command
from railgauge.commands.list_ import command as list_command

PERFQUERY = """# Port counters: Lid 7 port 2 (CapMask: 0x1)
PortSelect:......................2
SymbolErrorCounter:..............{}
PortXmitData:....................{}
ExcessiveBufferOverrunErrors:....15
VL15Dropped:.....................0
"""
QOS = "# mlnx_qos -i eth0\nPFC configuration:\n  enabled 0 0 0 {} 0 0 0 0\nPriority trust state: dscp\n"


def shown(*arguments):
    made = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if made.exception:
        raise made.exception
    return made.output


@pytest.fixture
def file(tmp_path):
    def write(name, text):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_one_file_is_shown_like_this_hosts_counters(file):
    text = shown(file("a", PERFQUERY.format(3, 5)))
    assert text.startswith("perfquery\nrdma lid7 port 2 (attribute PortCounters)\n")
    lines = {line.split()[0]: line for line in text.splitlines() if line.startswith("  ")}
    assert lines["port_xmit_data"].split()[1:] == ["20", "B"]
    assert lines["excessive_buffer_overrun_errors"].endswith("at its end: at least this")
    assert "(1 at 0)" in text
    assert "VL15_dropped" in shown("--all", file("a", PERFQUERY.format(3, 5)))


def test_problems_are_shown_with_their_lines(file):
    text = shown(file("a", PERFQUERY.format("?", 5)))
    assert "symbol_error" in text
    assert "UNKNOWN: not a number: '?'" in text
    assert "line 3: symbol_error: not a count: '?'" in text


def test_two_files_show_what_changed(file):
    text = shown(file("a", PERFQUERY.format(3, 5)), file("b", PERFQUERY.format(13, 2**32 - 1)))
    lines = [line.split() for line in text.splitlines()]
    assert ["rdma", "lid7", "port", "2", "symbol_error", "10", "3", "->", "13"] in lines
    assert any(line[-2:] == ["at", "least"] for line in lines)
    assert any(line[-1:] == ["saturated"] for line in lines)
    assert "(1 unchanged)" in text


def test_what_a_cut_file_lost_is_counted_and_not_said_to_have_vanished(file):
    text = shown(file("a", PERFQUERY.format(3, 5)), file("b", PERFQUERY.format(4, 5)[:-40]))
    assert "vanished" not in text
    assert "(2 UNKNOWN in one of the two: VL15_dropped, excessive_buffer_overrun_errors)" in text
    assert "after, line 5: the file ends inside this line: not read" in text


def test_a_pipe_can_be_read():
    argv = [sys.executable, "-m", "railgauge", "counters", "-"]
    made = subprocess.run(
        argv, input=PERFQUERY.format(3, 5), capture_output=True, text=True, timeout=120, check=True
    )
    assert "symbol_error" in made.stdout


def test_settings_are_shown_and_compared(file):
    before, after = file("a", QOS.format(1)), file("b", QOS.format(0))
    text = shown(before)
    assert "netdev eth0, trust dscp" in text
    assert "pfc: on for 3" in text
    both = shown(before, after)
    assert "-   pfc: on for 3" in both
    assert "+   pfc: off for all" in both
    assert "(1 rows of settings, unchanged)" in shown(before, before)


def test_json_has_the_whole_capture_or_all_changes(file):
    before, after = file("a", PERFQUERY.format(3, 5)), file("b", PERFQUERY.format(13, 6))
    one = json.loads(shown("--json", before))
    assert one["format"] == "perfquery"
    assert one["readings"][0]["values"]["symbol_error"] == 3
    both = json.loads(shown("--json", before, after))
    changes = {change["name"]: change for change in both["changes"]}
    assert (changes["symbol_error"]["delta"], changes["port_xmit_data"]["delta"]) == (10, 4)
    assert changes["port_xmit_data"]["rate_per_second"] is None
    assert changes["excessive_buffer_overrun_errors"]["note"] == "saturated"


def test_devices_can_be_chosen(file):
    path = file(
        "a", "# ethtool -S e0\nNIC statistics:\n rx: 1\n# ethtool -S e1\nNIC statistics:\n rx: 2\n"
    )
    text = shown("--device", "e1", path)
    assert "ethtool e1" in text
    assert "ethtool e0" not in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["words"], 2, "not the output of a tool known here"),
        (["cut"], 3, "looks like ethtool, but nothing could be read"),
        (["a", "a", "a"], 2, "expected one, or two of the same tool"),
        (["a", "q"], 2, "one is perfquery, the other mlnx_qos"),
        (["a", "--watch", "1"], 2, "a FILE stands still"),
        (["a", "--tool", "perfqery"], 2, "Did you mean 'perfquery'"),
        (["a", "--device", "mlx5_0"], 2, "there are: lid7"),
        (["--tool", "perfquery"], 2, "--tool says what a FILE holds"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    file, monkeypatch, tmp_path, capsys, arguments, code, words
):
    file("words", "of nobody\n")
    file("cut", "NIC statistics:\nrx: 5")
    file("a", PERFQUERY.format(3, 5))
    file("q", QOS.format(1))
    monkeypatch.chdir(tmp_path)
    assert main(["counters", *arguments]) == code
    assert words in capsys.readouterr().err


def test_list_names_the_formats():
    made = CliRunner().invoke(list_command, ["--json"])
    assert json.loads(made.output)["captures"]["perfquery"].startswith("perfquery: counters of an")
