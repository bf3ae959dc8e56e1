"""The share of time that somebody was stopped: from microseconds, from frames, and who begins it."""

from __future__ import annotations

import pandas as pd
import pytest

from railgauge_reports.counters import COLUMNS
from railgauge_reports.lossless import pause
from railgauge_reports.lossless.evidence import Flow, Traffic
from railgauge_reports.lossless.loss import cost, efficiency, timeout_match, window

PAUSED = {"rx_prio3_pause": 90_000, "rx_prio3_pause_duration": 500_000}  # 5 % of 10 s
STOPPING = {"tx_prio3_pause": 90_000, "tx_prio3_pause_duration": 500_000}


def frame(*rows):
    """Rows of a counter frame: (event, priority, per second) of eth0 on n0 in case 0, round 0."""
    made = [
        dict.fromkeys(COLUMNS)
        | {"case": 0, "round": 0, "host": "n0", "device": "eth0", "seconds": 2.0}
        | {"event": event, "priority": priority, "per_second": rate}
        for event, priority, rate in rows
    ]
    return pd.DataFrame(made, columns=list(COLUMNS)).astype(COLUMNS)


def test_microseconds_give_the_share_by_direction_and_priority():
    rows = pause.ratios(frame(("pause_rx_us", 3, 217_000.0), ("pause_tx_us", 5, 100.0)), {})
    assert list(rows.columns) == list(pause.COLUMNS)
    found = rows[["direction", "priority", "pause_ratio", "bound"]].to_dict("split")["data"]
    assert found == [["rx", 3, pytest.approx(0.217), False], ["tx", 5, pytest.approx(1e-4), False]]


def test_global_pauses_have_no_priority():
    (row,) = pause.ratios(frame(("global_pause_tx_us", None, 5e5)), {}).to_dict("records")
    assert (row["direction"], row["pause_ratio"]) == ("tx", 0.5)
    assert pd.isna(row["priority"])


def test_frames_alone_are_an_upper_bound_of_the_longest_pause_each():
    rates = {("n0", "eth0"): 400.0}
    (row,) = pause.ratios(frame(("pause_rx", 3, 1000.0)), rates).to_dict("records")
    assert row["pause_ratio"] == pytest.approx(1000 * 83.9e-6, rel=1e-3)  # 83.9 us at 400 Gb/s
    assert row["bound"]


def test_frames_without_a_line_rate_give_nothing():
    assert pause.ratios(frame(("pause_rx", 3, 1000.0)), {}).empty


def test_microseconds_go_before_frames():
    both = frame(("pause_rx", 3, 1000.0), ("pause_rx_us", 3, 1e4))
    (row,) = pause.ratios(both, {("n0", "eth0"): 400.0}).to_dict("records")
    assert (row["pause_ratio"], row["bound"]) == (0.01, False)


def test_a_bound_is_never_above_all_of_the_time():
    assert pause.share(None, 1e9, 400.0) == (1.0, True)


def test_no_frames_are_no_pause_whatever_the_rate():
    assert pause.share(None, 0.0, None) == (0.0, False)


@pytest.mark.parametrize(
    ("ratio", "word"),
    [(0.0, "none to speak of"), (0.005, "noticeable"), (0.05, "high"), (0.2, "very high")],
)
def test_ratios_have_words(ratio, word):
    assert pause.band(ratio) == word


def test_a_counter_that_cannot_be_told_gives_no_ratio_of_time(fabric):
    moved = {"rx_prio3_pause_duration": "reset", "rx_prio3_pause": "reset"}
    port = fabric(n0=moved).fabric[0]
    assert {(r.direction, r.priority) for r in pause.of_port(port)} == {
        ("rx", None),
        ("rx", 5),
        ("tx", None),
        ("tx", 3),
    }


# who stops whom -----------------------------------------------------------------------------------------


def roots(evidence):
    return [port.host for port in pause.graph(evidence).roots]


def test_the_host_that_stops_others_and_is_not_stopped_is_the_root(fabric):
    evidence = fabric(n0=PAUSED, n1=STOPPING)
    assert roots(evidence) == ["n1"]
    assert "the pauses begin at mlx5_0/1 (eth0) on n1" in pause.graph(evidence).sentence()


def test_a_host_that_is_stopped_itself_hands_the_blame_on(fabric):
    flows = (Flow("n0", "n1"), Flow("n1", "n2"), Flow("n3", "n0"))
    traffic = Traffic("shift", flows=flows)
    both = PAUSED | STOPPING
    evidence = fabric(n0=PAUSED, n1=both, others=STOPPING, traffic=traffic)
    assert roots(evidence) == ["n2"]  # n3 stops too, but nobody who is stopped sends to it


def test_pairs_send_to_each_other_both_ways(fabric):
    traffic = Traffic("pairs", met=["n0 n1", "n2 n0", "n1 n3"])
    evidence = fabric(n0=PAUSED, n1=STOPPING, others=STOPPING, traffic=traffic)
    assert roots(evidence) == ["n1", "n2"]  # n3 met nobody who is stopped
    assert traffic.receivers("n3") == ("n1",)
    assert traffic.receivers("elsewhere") == ()


def test_without_a_host_that_stops_others_it_is_the_switches(fabric):
    graph = pause.graph(fabric(n0=PAUSED))
    assert not graph.roots
    assert "begin in the switches" in graph.sentence()


def test_without_pauses_there_is_nothing_to_say(fabric):
    assert pause.graph(fabric()).sentence() == ""


# what losses cost -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lost", "left"), [(0.0, 1.0), (1e-5, 0.999), (1e-4, 0.988), (1e-3, 0.891), (1e-2, 0.448)]
)
def test_go_back_n_loses_a_window_for_every_packet(lost, left):
    assert window(400.0) == 122
    assert efficiency(lost, 122) == pytest.approx(left, abs=5e-4)


def test_the_cost_of_losses_needs_the_packets_that_were_sent():
    assert "leaves 98.8% of the line" in cost(100, 1_000_000, 400.0)
    assert cost(100, 0, 400.0) == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (4.30, "4.3 s is 1 x 4.29 s (NCCL_IB_TIMEOUT 20)"),
        (12.9, "12.9 s is 3 x 4.29 s (NCCL_IB_TIMEOUT 20)"),
        (0.0671, "0.0671 s is 1 x 0.0671 s (perftest's timeout 14)"),
        (1.9, ""),
        (40.0, ""),
    ],
)
def test_a_slow_iteration_is_matched_with_multiples_of_timeouts(seconds, words):
    assert timeout_match(seconds, 0.05) == words
