"""What a sampler wrote becomes a frame; lines that are cut short or speak of nothing are counted."""

from __future__ import annotations

import msgspec
import pandas as pd
import pytest

from railgauge.sampler import Began, Line, file_of
from railgauge_reports.counters import SAMPLED, largest, sampled_frame, window
from railgauge_reports.stored import read_run

SECOND = 10**9
BEGAN = 1_700_000_000  # of the run, by the wall clock
NAMES = (
    ("rdma", "mlx5_0", 1, "port_xmit_data"),
    ("nvml", "0000:10:00.0", 0, "power"),
    ("rdma", "mlx5_0", 1, "out_of_sequence"),
)


def began(monotonic=0, wall=BEGAN + 10, form=1):
    return Began(
        format=form,
        wall_ns=wall * SECOND,
        monotonic_ns=monotonic * SECOND,
        seconds=1.0,
        sources=("rdma", "nvml"),
        cpus=(7,),
    )


def line(seconds, *changed, **more):
    return Line(int(seconds * SECOND), changed=changed, **more)


@pytest.fixture
def sampled(start):
    """`sampled(lines or bytes, ..., node=0)`: (the frame, the run)."""

    def read(*written, node=0):
        made = start(sizes=(1024,))
        made.result(made.cases[0], 1e-5)
        path = file_of(made.path, node)
        path.parent.mkdir()
        parts = [w if isinstance(w, bytes) else msgspec.json.encode(w) + b"\n" for w in written]
        path.write_bytes(b"".join(parts))
        run = read_run(made.end())
        return sampled_frame(run), run

    return read


def test_values_stand_in_their_unit_and_rates_between_two_readings(sampled):
    frame, _ = sampled(
        began(monotonic=100),
        line(100, 0, 10, 1, 90_000, first=0, names=NAMES[:2]),
        line(101, 1, 95_000),
        line(103, 0, 110),
    )
    assert list(frame.columns) == list(SAMPLED)
    first, power, more, sent = frame.to_dict("records")
    assert (first["value"], first["unit"], first["seconds"]) == (40, "B", 10)
    assert pd.isna(first["per_second"])
    assert (power["counter"], more["value"], more["unit"]) == ("power", 95_000, "mW")
    assert pd.isna(more["per_second"])
    assert (sent["seconds"], sent["value"]) == (13, 440)
    assert sent["per_second"] == 400 / 2  # it stood still until 101
    assert set(frame["host"]) == {"n0"}
    assert frame.attrs["bad_lines"] == {}


def test_rates_go_over_the_end_of_what_wraps_and_not_over_a_reset(sampled):
    frame, _ = sampled(
        began(),
        line(1, 0, 50, 2, 2**32 - 1, first=0, names=NAMES),
        line(2, 0, 10, 2, 4),
    )
    rates = frame[frame["seconds"] == 12].set_index("counter")["per_second"]
    assert rates["out_of_sequence"] == 5
    assert pd.isna(rates["port_xmit_data"])


def test_what_was_gone_has_no_rate_when_it_returns(sampled):
    frame, _ = sampled(
        began(), line(1, 0, 5, names=NAMES), line(2, gone=(0,)), line(3, 0, 9), line(4, 0, 10)
    )
    assert list(frame["per_second"].isna()) == [True, True, False]


@pytest.mark.parametrize(
    "bad",
    [
        b'{"record":"line","monotonic_ns":2,"chan\n',
        b"\xff\xfe\n",
        b"7\n",
        b'{"record":"else"}\n',
        b'{"record":"line","monotonic_ns":"x"}\n',
        msgspec.json.encode(line(2, 77, 1)) + b"\n",
        msgspec.json.encode(line(2, 0)) + b"\n",
        msgspec.json.encode(line(2, 0, 2**70)) + b"\n",
    ],
)
def test_a_bad_line_is_counted_and_spoils_no_other(sampled, bad):
    frame, _ = sampled(began(), line(1, 0, 10, names=NAMES), bad, line(3, 0, 30), node=1)
    assert frame.attrs["bad_lines"] == {"n1": 1}
    assert list(frame["value"]) == [40, 120]
    assert frame["per_second"].iloc[1] == 80 / 2


def test_a_last_line_that_was_cut_short_is_counted(sampled):
    frame, _ = sampled(began(), line(1, 0, 10, names=NAMES), b'{"record":"line","mono')
    assert (len(frame), frame.attrs["bad_lines"]) == (1, {"n0": 1})


def test_a_second_start_has_numbers_and_clocks_of_its_own(sampled):
    frame, _ = sampled(
        began(monotonic=100),
        line(100, 0, 10, names=NAMES),
        began(monotonic=5, wall=BEGAN + 60),  # after a reboot
        line(6, 0, 7, names=NAMES[1:2]),
    )
    assert list(frame["counter"]) == ["port_xmit_data", "power"]
    assert list(frame["seconds"]) == [10, 61]


def test_lines_of_a_newer_format_are_left_out_and_counted(sampled):
    frame, _ = sampled(began(form=99), line(1, 0, 10, names=NAMES))
    assert frame.empty
    assert frame.attrs["bad_lines"] == {"n0": 2}


def test_a_counter_of_a_source_that_another_version_had_keeps_its_value(sampled):
    frame, _ = sampled(began(), line(1, 0, 10, names=[("tape", "st0", 0, "errors")]))
    (row,) = frame.to_dict("records")
    assert (row["source"], row["value"]) == ("tape", 10)
    assert pd.isna(row["event"])


def test_a_run_without_a_sampler_has_an_empty_frame(start):
    made = start(sizes=(1024,))
    made.result(made.cases[0], 1e-5)
    frame = sampled_frame(read_run(made.end()))
    assert frame.empty
    assert list(frame.columns) == list(SAMPLED)


def test_the_largest_of_a_gauge_between_two_times_counts_what_stood_at_the_first(sampled):
    frame, _ = sampled(
        began(),
        line(1, 1, 300, 0, 0, names=NAMES),
        line(2, 1, 200, 0, 10),
        line(3, 1, 100, 0, 40),
        line(4, 1, 900),
    )
    found = largest(frame, 12.5, 13.5).set_index("counter")
    assert found.loc["power", "value"] == 200  # that of second 12, until 13
    assert found.loc["port_xmit_data", "per_second"] == 120
    assert largest(frame, 0, 10).empty


def test_a_case_has_a_window_in_the_seconds_of_the_frame(sampled):
    _, run = sampled(began(), line(1, 0, 10, names=NAMES))
    assert window(run, run.results[0]) == (0.0, 0.5)
