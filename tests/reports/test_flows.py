"""Flows, fairness, tails, impact and recovery: pure functions of a run folder."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.patterns import rounds
from railgauge.plan import Plan
from railgauge.records import FlowBlock, Pressure
from railgauge.statistics import jain
from railgauge.topology import one_node
from railgauge_reports.flows import flow_frame
from railgauge_reports.formats import markdown
from railgauge_reports.frames import case_frame
from railgauge_reports.loaded import load
from railgauge_reports.stored import Start, read_run


@pytest.mark.parametrize(
    ("rates", "index"), [([5], 1), ([2, 2, 2], 1), ([1, 0, 0, 0], 0.25), ([1, 2, 3], 36 / 42)]
)
def test_jains_index_is_one_where_all_are_alike_and_one_nth_where_one_has_all(rates, index):
    assert jain(rates) == pytest.approx(index)


@given(st.lists(st.floats(0.001, 1e9), min_size=1, max_size=50), st.floats(0.001, 1000))
def test_jains_index_knows_no_unit(rates, scale):
    assert jain([rate * scale for rate in rates]) == pytest.approx(jain(rates))
    assert 1 / len(rates) - 1e-9 <= jain(rates) <= 1 + 1e-9


def test_there_is_no_fairness_without_rates():
    assert jain([]) is None
    assert jain([0, 0]) is None


def incast(start, times):
    """An incast of 3 into 1 whose flows take `times[sender]` seconds, 20 iterations of 10 us."""
    run = start(pattern="incast", operations=("flows",), sizes=(1000,), hosts=4)
    rows = np.round(np.array([[t] * 20 for t in times]) * 1e9).astype(np.int64)
    flows = tuple((sender, 0) for sender in range(1, len(times) + 1))
    block = FlowBlock(node=0, offset=run.folder.append_samples(0, rows), flows=flows, iterations=20)
    run.result(run.cases[0], max(times), index=2, samples=20, named="3 to 1", flows=(block,))
    return run.end()


def test_a_row_says_how_fair_the_flows_of_its_group_were_and_which_was_slowest(start):
    folder = incast(start, [1e-6, 1e-6, 2e-6])
    row = case_frame(folder).iloc[0]
    assert row["setting"] == "3 to 1"
    assert row["flows"] == 3
    assert row["slowest_flow"] == "3>0"
    assert row["slowest_flow_GBps"] == pytest.approx(0.5)
    assert row["mean_flow_GBps"] == pytest.approx(2.5 / 3)
    assert row["jain"] == pytest.approx(2.5**2 / (3 * 2.25))


def test_every_flow_has_a_row_with_its_share_of_the_mean(start):
    rows = flow_frame(read_run(incast(start, [1e-6, 1e-6, 2e-6]))).set_index("source")
    assert rows["target_host"].unique().tolist() == ["n0"]
    assert rows.loc[3, "source_host"] == "n3"
    assert rows["GBps"].tolist() == pytest.approx([1, 1, 0.5])
    assert rows["share"].tolist() == pytest.approx([1.2, 1.2, 0.6])
    assert rows["samples"].tolist() == [20] * 3
    assert rows["p99_seconds"].isna().all()


def test_where_nobody_stamped_messages_the_only_flow_into_a_rank_has_its_time(start):
    run = start(pattern="shift", operations=("flows",), sizes=(1000,), hosts=4)
    run.result(run.cases[0], 2e-6, samples=20)
    rows = flow_frame(read_run(run.end()))
    assert [*zip(rows["source"], rows["target"], strict=True)] == [(0, 1), (1, 2), (2, 3), (3, 0)]
    assert rows["GBps"].tolist() == pytest.approx([0.5] * 4)


def test_of_several_flows_into_a_rank_nothing_is_known_without_stamps(start):
    run = start(pattern="incast", operations=("flows",), sizes=(1000,), hosts=4)
    run.result(run.cases[0], 2e-6, index=2, samples=20)
    folder = run.end()
    assert flow_frame(read_run(folder)).empty
    row = case_frame(folder).iloc[0]
    assert pd.isna(row["jain"])
    assert pd.isna(row["flows"])


def test_the_impact_of_a_load_is_the_time_beside_it_over_that_alone(start):
    run = start(pattern="victim", victims=0.5, sizes=(8,), loads=("incast",))
    run.result(run.cases[0], 1e-5, samples=1000, named="isolated")
    pressure = Pressure(kind="incast", ranks="2-3", nbytes=10**9, seconds=2.0)
    slow = np.where(np.arange(1000) < 980, 1e-5, 6e-5)
    run.result(run.cases[0], slow, samples=1000, index=1, named="beside incast", pressure=pressure)
    alone, beside = case_frame(run.end()).to_dict("records")
    assert pd.isna(alone["impact"])
    assert beside["impact"] == pytest.approx(1.1)
    assert beside["impact_p99"] == pytest.approx(6)
    assert beside["load_GBps"] == pytest.approx(0.5)


def test_victims_on_other_hosts_after_a_resumed_start_are_not_compared(start):
    run = start(pattern="victim", victims=0.5, sizes=(8,), loads=("incast",))
    run.result(run.cases[0], 1e-5, samples=10, named="isolated")
    run.result(run.cases[0], 2e-5, samples=10, index=1, named="beside incast")
    stored = read_run(run.end())
    alone, beside = stored.results
    moved = Start(msgspec.structs.replace(beside.start.run, hosts=("m0", "m1")))
    pairs = dict(zip(stored.pairs, (alone, dataclasses.replace(beside, start=moved)), strict=True))
    assert case_frame(stored)["impact"][1] == pytest.approx(2)
    assert pd.isna(case_frame(dataclasses.replace(stored, pairs=pairs))["impact"][1])


def test_rounds_are_the_same_in_whatever_order_they_are_asked_for(start):
    plan = Plan(ranks=6, pattern="pairs")
    written = start(pattern="pairs", sizes=(8,))
    written.result(written.cases[0])
    (begun,) = read_run(written.end()).starts
    begun = Start(msgspec.structs.replace(begun.run, hosts=("n0",), nodes=((0, 6),)))
    made = list(rounds(plan.schedule, one_node(6)))
    for index in (0, 1, 1, 4, 2, 0, 3):
        assert begun.round_at(plan, index) == made[index]


def test_one_in_a_thousand_needs_ten_thousand_samples(start):
    run = start(sizes=(8, 16))
    run.result(run.cases[0], 1e-6, samples=9_999)
    run.result(run.cases[1], np.arange(1, 10_001) * 1e-6, samples=10_000)
    first, second = case_frame(run.end())["p999_seconds"]
    assert pd.isna(first)
    assert second == pytest.approx(9990e-6, rel=1e-3)


def test_who_sat_out_is_told_and_of_many_only_a_few(start):
    run = start(ranks=7, hosts=7, pattern="pairs", operations=("sendrecv",), sizes=(8,))
    for index in range(7):
        run.result(run.cases[0], index=index, idle=str(index))
    text = markdown.render(load(run.end()))
    assert "- ranks 0 sat out round 0\n" in text
    assert text.count("sat out") == 6
    assert "- others sat out 2 more rounds" in text
