"""Pairs on whole columns: who meets whom, in which order, and who is slow."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from railgauge_reports.judged import judged_of
from railgauge_reports.loaded import load
from railgauge_reports.page.matrix import Blocks, cells_of
from railgauge_reports.pairs import gathered, pairs_of
from railgauge_reports.series import series_frame


def test_every_pair_and_rail_is_a_row_of_the_largest_size(fleet):
    pairs = pairs_of(load(fleet(hosts=4, rails=2, slow=None)))
    assert pairs.nbytes == 16 << 20
    met = set(zip(pairs.frame["one"], pairs.frame["other"], pairs.frame["rail"], strict=True))
    assert met == {(a, b, rail) for a in range(4) for b in range(a + 1, 4) for rail in (0, 1)}
    assert len(pairs.frame) == 12


def test_the_rate_of_a_pair_is_that_of_its_row(fleet):
    run = load(fleet(hosts=4, rails=2))
    pairs = pairs_of(run)
    rows = run.rows.iloc[pairs.frame["row"]]
    assert rows["busbw_GBps"].tolist() == pairs.frame["busbw_GBps"].tolist()
    for hosts, one, other in zip(
        rows["hosts"], pairs.frame["one"], pairs.frame["other"], strict=True
    ):
        assert set(hosts.split()) == {pairs.players.names[one], pairs.players.names[other]}


def test_hosts_stand_in_the_order_of_their_leaves(fleet):
    pairs = pairs_of(load(fleet(hosts=6, rails=1, slow=None, leaves=2)))
    assert pairs.players.names == ("n0", "n2", "n4", "n1", "n3", "n5")
    assert pairs.players.leaves == ("leaf0",) * 3 + ("leaf1",) * 3


def test_on_one_host_its_ranks_meet(start):
    run = start(hosts=1, ranks=4, pattern="pairs", operations=("sendrecv",), sizes=(1024,))
    for index in range(3):
        run.result(run.cases[0], 1e-5, index=index)
    pairs = pairs_of(load(run.end()))
    assert pairs.players.noun == "rank"
    met = set(zip(pairs.frame["one"], pairs.frame["other"], strict=True))
    assert met == {(a, b) for a in range(4) for b in range(a + 1, 4)}  # `0-1` as well as `0 2`
    assert pairs.words(0, 1, -1) == "ranks 0 - 1"


def test_slow_pairs_are_those_of_the_slow_rail_alone(fleet):
    pairs = pairs_of(load(fleet(hosts=8, rails=2, slow=("n3", 1))))
    slow = pairs.slow
    assert len(slow) == 7
    assert set(slow["rail"]) == {1}
    assert all(3 in pair for pair in zip(slow["one"], slow["other"], strict=True))
    assert slow["busbw_GBps"].is_monotonic_increasing


def test_a_healthy_fleet_has_no_slow_pair(fleet):
    assert pairs_of(load(fleet(hosts=8, rails=2, slow=None))).slow.empty


def test_a_pair_within_the_noise_of_the_others_is_not_slow(fleet):
    pairs = pairs_of(load(fleet(hosts=8, rails=1, slow=None)))
    noisy = pairs.frame.assign(busbw_GBps=np.linspace(20, 60, len(pairs.frame)))
    median = float(noisy["busbw_GBps"].median())
    assert dataclasses.replace(pairs, frame=noisy, median_GBps=median).slow.empty


def test_slow_pairs_of_a_suspect_are_one_finding(fleet):
    found = judged_of(load(fleet(hosts=8, rails=2, slow=("n3", 1)))).findings
    sentences = [finding.sentence for finding in found if finding.severity == "warning"]
    assert len(sentences) == 1
    assert sentences[0].startswith("rail 1 of n3 is 49.")
    assert "7 of 7 measurements say so" in sentences[0]
    assert found[0].hosts == ("n3",)


def test_two_slow_pairs_are_told_one_by_one_and_accuse_nobody(fleet):
    run = load(fleet(hosts=8, rails=1, slow=None))
    rows = run.rows.copy()
    mine = rows["hosts"].isin(["n1 n6", "n2 n5"]) & (rows["nbytes"] == 16 << 20)
    assert mine.sum() == 2
    rows.loc[mine, "busbw_GBps"] *= 0.3
    found = judged_of(dataclasses.replace(run, rows=rows)).findings
    assert sorted(finding.hosts for finding in found[:2]) == [("n1", "n6"), ("n2", "n5")]


@pytest.mark.parametrize(("pattern", "operation"), [("world", "all_reduce"), ("incast", "flows")])
def test_other_patterns_have_no_pairs(start, pattern, operation):
    assert pairs_of(load(start(pattern=pattern, operations=(operation,)).path)) is None


def test_a_tournament_without_a_result_has_no_pairs(start):
    assert pairs_of(load(start(pattern="pairs", operations=("sendrecv",)).path)) is None


# blocks -----------------------------------------------------------------------------------------------


def test_above_the_limit_players_are_drawn_as_their_leaves(fleet):
    pairs = pairs_of(load(fleet(hosts=8, rails=1, slow=("n3", 0), leaves=4)))
    blocks = Blocks(pairs, most=4)
    assert blocks.of.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert blocks.labels[3] == "leaf3 (n3 …)"
    assert not blocks.single


def test_without_leaves_players_are_drawn_in_runs_of_their_order(fleet):
    pairs = pairs_of(load(fleet(hosts=8, rails=1, slow=None)))
    blocks = Blocks(pairs, most=3)
    assert blocks.of.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]
    assert blocks.labels == ("n0 … n2", "n3 … n5", "n6 … n7")


def test_a_block_tells_its_slowest_pair_and_how_many_it_stands_for(fleet):
    pairs = pairs_of(load(fleet(hosts=8, rails=2, slow=("n3", 1), leaves=4)))
    cells = cells_of(pairs.frame, Blocks(pairs, most=4), pairs, by_rail=False)
    assert cells["slow"].sum() == 7  # the row and the column of leaf3, which meet
    within = cells[(cells["row"] == "leaf3 (n3 …)") & (cells["column"] == "leaf3 (n3 …)")]
    (cell,) = within.to_dict("records")
    assert cell["pairs"] == 2  # n3 with n7, on two rails
    assert cell["slowest"] == "n3 - n7, rail 1"
    assert cell["worst"] == pytest.approx(24, rel=0.05)
    assert cells["pairs"].sum() == 2 * len(pairs.frame) - 4 * 2  # both triangles, the diagonal once


def test_both_triangles_hold_every_pair(fleet):
    pairs = pairs_of(load(fleet(hosts=5, rails=1, slow=None)))
    cells = cells_of(pairs.frame, Blocks(pairs, most=64), pairs, by_rail=False)
    drawn = set(zip(cells["row"], cells["column"], strict=True))
    assert drawn == {(f"n{a}", f"n{b}") for a in range(5) for b in range(5) if a != b}


# curves -----------------------------------------------------------------------------------------------


def test_a_curve_is_the_median_of_its_groups_between_the_slowest_and_the_fastest(fleet):
    run = load(fleet(hosts=8, rails=2))
    last = series_frame(run.rows).iloc[-1]
    mine = run.rows[run.rows["nbytes"] == 16 << 20]["busbw_GBps"]
    assert last["groups"] == 56
    assert last["busbw_GBps"] == mine.median()
    assert (last["busbw_low"], last["busbw_high"]) == (mine.min(), mine.max())


def test_of_one_group_the_range_is_the_interval_of_its_median(start):
    run = start(sizes=(1 << 20,))
    run.result(run.cases[0], np.linspace(1e-4, 2e-4, 320), samples=320)
    loaded = load(run.end())
    (row,) = loaded.rows.to_dict("records")
    (curve,) = series_frame(loaded.rows).to_dict("records")
    assert curve["median_low"] == row["median_low_seconds"] < row["median_seconds"]
    assert curve["busbw_low"] == pytest.approx(
        row["busbw_GBps"] * row["median_seconds"] / row["median_high_seconds"]
    )


def test_gaps_and_wrong_data_are_counted_and_have_no_bandwidth(start, flipped):
    run = start(sizes=(8, 1024))
    run.result(run.cases[0], wrong=(flipped,))
    run.gap(run.cases[1], "no memory")
    wrong, gap = series_frame(load(run.end("FAIL", 4)).rows).to_dict("records")
    assert wrong["wrong"] == 3
    assert (wrong["groups"], wrong["gaps"], gap["groups"], gap["gaps"]) == (1, 0, 0, 1)
    assert pd.isna(wrong["busbw_GBps"])
    assert pd.isna(gap["busbw_GBps"])


def test_curves_are_called_by_what_varies(start):
    run = start(operations=("all_reduce",), placements=("out", "in"), sizes=(8,))
    for case in run.cases:
        run.result(case)
    assert series_frame(load(run.end()).rows)["label"].tolist() == [
        "all_reduce out",
        "all_reduce in",
    ]


@pytest.mark.parametrize("most", [7, 3, 1 << 17])
def test_rates_are_gathered_by_key_as_a_group_by_does(most):
    random = np.random.default_rng(most)
    keys, rates = random.integers(0, most, 3000), random.integers(0, 50, 3000) / 7
    found = gathered(keys, rates)
    by_key = pd.DataFrame({"key": keys, "rate": rates, "at": np.arange(3000)}).groupby("key")
    assert found.key.tolist() == list(by_key.groups)
    for field, how in (("size", "size"), ("median", "median"), ("least", "min"), ("most", "max")):
        assert getattr(found, field).tolist() == by_key["rate"].agg(how).tolist(), field
    assert found.first.tolist() == by_key["rate"].idxmin().tolist()


def test_nothing_is_gathered_of_nothing():
    assert [len(field) for field in gathered(np.zeros(0, int), np.zeros(0))] == [0] * 6


@pytest.mark.parametrize("most", [1, 5, 55, 56, 1000])
def test_the_slowest_pairs_stand_in_their_order(fleet, most):
    pairs = pairs_of(load(fleet(hosts=8, rails=2, slow=("n3", 1))))
    rates = pairs.slowest(most)["busbw_GBps"].tolist()
    assert rates == sorted(pairs.frame["busbw_GBps"])[:most]


def test_pairs_of_a_run_that_went_on_elsewhere_are_those_of_both_starts(start):
    known = {"ranks": 3, "pattern": "pairs", "operations": ("sendrecv",), "sizes": (1024,)}
    run = start(hosts=3, names=["n0", "n1", "n2"], **known)
    run.result(run.cases[0], 1e-5, index=0)
    run.end("INTERRUPTED", 75)
    run = start(hosts=3, names=["n0", "n1", "n9"], resume=True, **known)
    run.result(run.cases[0], 1e-5, index=1)
    run.result(run.cases[0], 1e-5, index=2)
    loaded = load(run.end())
    pairs = pairs_of(loaded)
    assert pairs.players.names == ("n0", "n1", "n2", "n9")
    met = [
        {pairs.players.names[one], pairs.players.names[other]}
        for one, other in zip(pairs.frame["one"], pairs.frame["other"], strict=True)
    ]
    assert met == [set(hosts.split()) for hosts in loaded.rows["hosts"]]
