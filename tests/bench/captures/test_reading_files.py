"""From a path to a capture: which format, and what is said where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from railgauge import captures
from railgauge.errors import NotMeasuredError, UsageError


@pytest.fixture
def file(tmp_path):
    def write(content, name="capture.txt"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        (b"", "x", "empty"),
        (b" \n\n", "x", "empty"),
        (b"\x1f\x8b\x08", "x.gz", "gunzip"),
        (b"words of no tool\n", "x", "not the output of a tool known here"),
        (b"words of no tool\n", "node3.ethtool_S.txt", "it may be 'ethtool'"),
        (b"words of no tool\n", "perfqery.log", "it may be 'perfquery'"),
        (b"words of no tool\n", "x", "known: bandwidth_csv, cxiberstat"),
    ],
)
def test_what_cannot_be_told_is_refused_with_what_to_do(file, content, name, words):
    with pytest.raises(UsageError, match=words):
        captures.read(file(content, name))


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        captures.read(tmp_path / "absent")
    with pytest.raises(UsageError, match="directory"):
        captures.read(tmp_path)


def test_a_file_without_end_is_not_read_whole():
    with pytest.raises(UsageError, match="larger than 32 MiB"):
        captures.read(Path("/dev/zero"))


def test_a_known_format_in_which_nothing_can_be_read_is_no_success(file):
    with pytest.raises(NotMeasuredError, match="looks like ethtool, but nothing could be read"):
        captures.read(file(b"cut"), "ethtool")


def test_the_tool_can_be_named(file):
    path = file(b"rx: 5\nwords\n")
    with pytest.raises(UsageError):
        captures.read(path)
    made = captures.read(path, "ethtool")
    assert made.readings[0].values == {"rx": 5}
    assert made.problems[0].line == 2


def test_an_unknown_tool_is_refused_with_the_closest():
    with pytest.raises(UsageError, match="Did you mean 'perfquery'"):
        captures.format_named("perfqery")


def test_two_formats_in_one_file_are_not_guessed_between(file):
    both = b"NIC statistics:\n rx: 5\nDEV     PORT    INDEX   GID\n"
    with pytest.raises(UsageError, match=r"may be ethtool or show_gids.\n  next: .*--tool ethtool"):
        captures.read(file(both))


def test_a_cut_off_json_names_the_format(file):
    with pytest.raises(UsageError, match="rdma_statistic: the JSON cannot be read"):
        captures.read(file(b'[{"ifname": "mlx5_0", "port": 1, "out_of_buf'))


def test_colours_and_a_byte_order_mark_are_passed_over(file):
    made = captures.read(file(b"\xef\xbb\xbf\x1b[1mNIC statistics:\x1b[0m\n rx: 5\n"))
    assert made.readings[0].values == {"rx": 5}


def test_problems_beyond_some_are_counted(file):
    made = captures.read(file(b"NIC statistics:\n rx: 5\n" + b"words\n" * 200))
    assert len(made.problems) == 51
    assert made.problems[-1].what == "150 more problems"
