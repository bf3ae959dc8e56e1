"""What the fabric counted stands beside the measurement, by node, in units and per GB."""

from __future__ import annotations

import pandas as pd
import pytest

from railgauge.records import Counted, Moved
from railgauge_reports.counters import COLUMNS, counter_frame, events
from railgauge_reports.formats import markdown
from railgauge_reports.loaded import load
from railgauge_reports.stored import read_run

LOST = Moved("rdma", "mlx5_0", 1, "packet_seq_err", 12)
SENT = Moved("rdma", "mlx5_0", 1, "port_xmit_data", 4_000_000)
PAUSED = Moved("ethtool", "eth0", 0, "rx_prio3_pause_duration", 500)
STALLED = Moved("ethtool", "eth0", 0, "outbound_pci_stalled_wr", 30)
RESET = Moved("rdma", "mlx5_0", 1, "link_downed", None, "reset")


@pytest.fixture
def counted(start):
    """`counted(*moved)`: a run of one case, 132 iterations of 1 KiB, with these on host n1."""

    def run(*moved):
        made = start(sizes=(1024,))
        told = (Counted(node=0, seconds=2.0, moved=()), Counted(node=1, seconds=2.0, moved=moved))
        made.result(made.cases[0], 1e-5, counted=told)
        return made.end()

    return run


def test_a_counter_is_told_with_its_event_its_rate_and_per_gigabyte(counted):
    frame = counter_frame(read_run(counted(LOST, PAUSED)))
    assert list(frame.columns) == list(COLUMNS)
    lost, paused = frame.to_dict("records")
    assert (lost["host"], lost["device"], lost["port"]) == ("n1", "mlx5_0", 1)
    assert (lost["event"], lost["delta"]) == ("seq_nak_rx", 12)
    assert lost["per_second"] == pytest.approx(6)
    assert lost["per_GB"] == pytest.approx(12 / (132 * 1024 / 1e9))
    assert (paused["event"], paused["priority"], paused["unit"]) == ("pause_rx_us", 3, "us")


def test_a_gauge_has_no_rate(counted):
    (row,) = counter_frame(read_run(counted(STALLED))).to_dict("records")
    assert (row["delta"], row["unit"]) == (30, "%")
    assert pd.isna(row["per_second"])
    assert pd.isna(row["per_GB"])


def test_a_reset_has_no_delta_and_is_an_event(counted):
    frame = counter_frame(read_run(counted(RESET, SENT)))
    (row,) = events(frame).to_dict("records")
    assert (row["counter"], row["note"]) == ("link_downed", "reset")
    assert pd.isna(row["delta"])


def test_a_run_in_which_nothing_moved_has_an_empty_frame_and_no_section(counted):
    folder = counted()
    assert counter_frame(read_run(folder)).empty
    assert "## Counters" not in markdown.render(load(folder))


def test_markdown_shows_events_and_not_traffic(counted):
    text = markdown.render(load(counted(LOST, SENT, RESET)))
    rows = [line for line in text.splitlines() if line.startswith("| all_reduce | 1024 | 0 |")]
    assert len(rows) == 2
    assert "| n1 | mlx5_0/1 | packet_seq_err | seq_nak_rx | 12 | 6 |" in rows[0]
    assert rows[1].endswith("| reset |")
    assert "port_xmit_data" not in text


def test_markdown_says_how_many_it_leaves_out(counted):
    many = [Moved("rdma", "mlx5_0", port, "packet_seq_err", port) for port in range(1, 41)]
    text = markdown.render(load(counted(*many)))
    assert "10 smaller ones are in the journal." in text
    assert "mlx5_0/40" in text
    assert "mlx5_0/10 " not in text
