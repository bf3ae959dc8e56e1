"""The pairs of a run folder: who met whom on which rail, and how fast; what is missing stays missing."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge_reports.frames import case_frame
from railgauge_reports.localise.localiser import localise_run
from railgauge_reports.localise.pairs import ALL_RAILS, pair_table
from railgauge_reports.stored import read_run

PAIRS = {"pattern": "pairs", "operations": ("sendrecv",), "sizes": (1024, 4096)}


def measured(writer, slow=(), rounds=3, wrong=(), skip=()):
    """All rounds of all cases; groups with a rank of `slow` take twice as long."""
    for case in writer.cases:
        for index in range(rounds):
            if index in skip:
                writer.gap(case, "left out", index=index)
                continue

            def stamps(group):
                took = 20_000 if set(group) & set(slow) else 10_000
                made = np.zeros((len(group), 8, 2), np.int64)
                made[:, :, 0] = np.arange(8) * 1_000_000
                made[:, :, 1] = made[:, :, 0] + took
                return made

            writer.result(case, stamps, index=index, wrong=wrong if index == 0 else ())
    return writer.end()


def test_nodes_meet_on_their_rails_and_the_largest_size_is_taken(start):
    folder = measured(start(ranks=8, hosts=4, **PAIRS))
    table = pair_table(read_run(folder))
    assert table.nodes == ("n0", "n1", "n2", "n3")
    met = {(int(a), int(b)) for a, b in zip(table.a, table.b, strict=True)}
    assert met == {(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)}
    assert sorted(table.rail) == [0] * 6 + [1] * 6
    assert table.gbps == pytest.approx(np.full(12, 4096 / 10e-6 / 1e9))
    smaller = pair_table(read_run(folder), nbytes=1024)
    assert smaller.gbps == pytest.approx(np.full(12, 1024 / 10e-6 / 1e9))
    assert "--operation sendrecv --sizes 4096" in table.again
    assert table.seconds_a_round == 0.5


def test_a_slow_node_of_a_run_is_named(start):
    folder = measured(start(ranks=8, hosts=8, **PAIRS), slow=(3,), rounds=7)
    found = localise_run(read_run(folder))
    assert [s.target for s in found.suspects] == ["n3"]
    rows = case_frame(folder)
    assert localise_run(read_run(folder), rows).suspects == found.suspects


def test_on_one_host_ranks_are_the_players(start):
    folder = measured(start(ranks=8, hosts=1, **PAIRS), slow=(5,), rounds=7)
    found = localise_run(read_run(folder))
    assert [s.target for s in found.suspects] == ["rank 5"]
    assert set(pair_table(read_run(folder)).rail) == {ALL_RAILS}


def test_wrong_data_and_gaps_are_untested(start, flipped):
    folder = measured(start(ranks=4, hosts=4, **PAIRS), wrong=(flipped,), skip=(2,))
    table = pair_table(read_run(folder))
    bad = ((table.a == 2) | (table.b == 2)) & (table.round == 0) | (table.round == 2)
    assert np.isnan(table.gbps[bad]).all()
    assert np.isfinite(table.gbps[~bad]).all()
    assert np.count_nonzero(bad) == 3


def test_leaves_of_the_plan_are_those_of_the_nodes(start):
    leaves = (("leafA", ("n0", "n2")), ("leafB", ("n1", "n3")))
    table = pair_table(read_run(measured(start(ranks=4, hosts=4, leaves=leaves, **PAIRS))))
    assert table.leaf_of.tolist() == [0, 1, 0, 1]
    assert table.leaf_names == ("leafA", "leafB")


def test_a_run_of_another_pattern_has_no_pairs(start):
    writer = start(ranks=4)
    for case in writer.cases:
        writer.result(case)
    folder = writer.end()
    assert pair_table(read_run(folder)) is None
    assert localise_run(read_run(folder)) is None


def test_a_run_that_reached_nothing_has_none_either(start):
    assert localise_run(read_run(start(ranks=4, hosts=4, **PAIRS).end("ERROR", 3))) is None


def test_ranks_that_shared_a_gpu_say_nothing_of_speed(start):
    folder = measured(start(ranks=4, hosts=4, functional=True, **PAIRS))
    found = localise_run(read_run(folder))
    assert found.measurements == 0
    assert found.cleared == ()
