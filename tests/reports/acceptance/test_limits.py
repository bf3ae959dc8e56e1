"""Limits on rows of known values: who misses, by whose median, and when nothing can be told."""

from __future__ import annotations

import pandas as pd
import pytest

from railgauge.cluster import Cluster, Node
from railgauge.plan import Plan
from railgauge_reports.acceptance.answer import Finding
from railgauge_reports.acceptance.limits import judged
from railgauge_reports.acceptance.profile import Limit
from railgauge_reports.acceptance.rows import rows_of
from railgauge_reports.frames import COLUMNS

PLAN = Plan(ranks=8, pattern="pairs")
#: Three rounds of four nodes: every two meet once.
MET = [(0, "n0 n2"), (0, "n1 n3"), (1, "n0 n3"), (1, "n1 n2"), (2, "n0 n1"), (2, "n2 n3")]
HEALTHY = [(r, h, 0, v) for (r, h), v in zip(MET, (10.0, 10.1, 9.9, 10.0, 10.0, 10.0), strict=True)]
#: Two leaves of two nodes; and three, so that pairs of leaves can be told apart.
TWO = Plan(ranks=8, pattern="pairs", leaves=(("a", ("n0", "n1")), ("b", ("n2", "n3"))))
THREE = Plan(ranks=8, pattern="pairs", leaves=(("a", ("n0", "n1")), ("b", ("n2",)), ("c", ("n3",))))


def frame(values, **more):
    """Rows of (round, hosts, rail, busbw)."""
    made = pd.DataFrame(
        {name: pd.Series([None] * len(values), dtype=kind) for name, kind in COLUMNS.items()}
    )
    made["round"], made["hosts"], made["rail"], made["busbw_GBps"] = map(
        list, zip(*values, strict=True)
    )
    fields = {"operation": "sendrecv", "nbytes": 1 << 20, "gap": False, "ranks": 2, "group": "0-1"}
    for name, value in (fields | more).items():
        made[name] = value
    return made.astype(COLUMNS)


def found(values, limit, plan=PLAN, cluster=None, **more) -> dict[str, Finding]:
    rows = rows_of([("01-x", plan, frame(values, **more))], cluster, "no cluster")
    return {finding.key: finding for finding in judged(limit, "x", rows)}


def limit(**more):
    fields = {"metric": "busbw", "of": "median", "at_least": 0.9, "per": "node", "source": "s"}
    return Limit(**(fields | more))


def slow(values, host, share):
    return [(r, h, rail, v * (share if host in h.split() else 1)) for r, h, rail, v in values]


def test_a_healthy_fleet_misses_nothing():
    assert not found(HEALTHY, limit())


def test_a_node_is_named_by_the_median_of_its_rows():
    made = found(slow(HEALTHY, "n3", 0.5), limit(scatter=1))
    assert list(made) == ["x/busbw-of-median/n3"]
    assert made["x/busbw-of-median/n3"].value < 0.7
    assert made["x/busbw-of-median/n3"].evidence == "01-x"


def test_a_single_slow_sample_is_borne_by_a_median_and_not_by_rows():
    values = [*HEALTHY[:5], (2, "n2 n3", 0, 4.0)]
    assert not found(values, limit())
    assert len(found(values, limit(per="row"))) == 1
    assert not found(values, limit(per="row", scatter=0.2))


def test_many_that_miss_on_nobodys_account_are_unstable():
    values = [(k, f"n{k} m{k}", 0, 5.0 if k % 5 == 0 else 10.0) for k in range(20)]
    (made,) = found(values, limit(per="case")).values()
    assert made.key == "x/busbw-of-median-scatter/all"
    assert made.verdict.word == "INCONCLUSIVE"
    assert "4 of 20 rows" in made.sentence


def test_rails_of_a_node_are_told_apart():
    values = [
        (r, h, rail, v * (0.5 if rail == 1 and "n0" in h else 1))
        for r, h, _, v in HEALTHY
        for rail in (0, 1)
    ]
    made = found(values, limit(per="nic", scatter=1))
    assert [(f.hosts, f.rail) for f in made.values()] == [(("n0",), 1)]


def test_pairs_of_leaves_are_judged_together():
    values = [(r, h, 0, 5.0 if h in ("n0 n3", "n1 n3") else 10.0) for r, h in MET * 5]
    asked = limit(per="leaf pair", scatter=1)
    assert list(found(values, asked, plan=THREE)) == ["x/busbw-of-median/a c"]
    once = [(r, h, 0, 5.0 if h == "n0 n3" else v) for r, h, _, v in HEALTHY * 5]
    assert not found(once, limit(per="leaf pair", at_least=0.7, scatter=1), plan=THREE)


def test_paths_under_a_leaf_have_a_level_of_their_own():
    inside = ("n0 n1", "n2 n3")
    values = [(r, h, 0, 10.0 if h in inside else 20.0) for r, h in MET * 3]
    assert not found(values, limit(per="row"), plan=TWO)
    assert found(values, limit(per="row"))


def test_too_few_rows_have_no_fleet():
    (made,) = found(HEALTHY[:4], limit()).values()
    assert made.verdict.word == "INCONCLUSIVE"
    assert "4 of 4 rows are fewer than 5" in made.sentence


def test_nothing_to_hold_against_a_limit_is_no_pass():
    (made,) = found(HEALTHY, limit(operation="alltoall")).values()
    assert made.verdict.word == "INCONCLUSIVE"
    (made,) = found(HEALTHY, limit(from_bytes="2M")).values()
    assert made.verdict.word == "INCONCLUSIVE"


def test_a_value_that_cannot_be_had_never_passes():
    values = [*HEALTHY, (3, "n0 n1", 0, None)]
    made = found(values, limit())
    assert [f.sentence for f in made.values() if "1 of 7 rows have no busbw" in f.sentence]


def test_expected_values_come_from_the_cluster_or_are_said_to_be_missing():
    asked = limit(of="expected", per="case")
    (made,) = found(HEALTHY, asked).values()
    assert "no cluster; next: --cluster FILE" in made.sentence
    cluster = Cluster(nodes=4, node=Node(gpus=2, nics=2, nvlink_generation=4))
    (made,) = found(HEALTHY, asked, cluster=cluster, nbytes=1 << 30).values()
    assert made.verdict.word == "FAIL"
    assert made.value < 0.5  # 10 of about 48 GB/s
    fast = [(r, h, rail, 48.0) for r, h, rail, _ in HEALTHY]
    assert not found(fast, asked, cluster=cluster, nbytes=1 << 30)


def test_less_is_better_of_times():
    asked = limit(metric="time", at_least=None, at_most=2.0)
    values = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert not found(HEALTHY, asked, median_seconds=values)
    values = [5.0, 1.0, 5.0, 1.0, 5.0, 1.0]
    assert "x/time-of-median/n0" in found(
        HEALTHY, limit(metric="time", at_least=None, at_most=1.5, scatter=1), median_seconds=values
    )


def test_a_dip_is_seen_against_the_best_at_smaller_sizes():
    asked = limit(metric="monotony", of="ideal", at_least=0.95, per="row")
    sizes = [1 << 20, 1 << 21, 1 << 22]
    same = [(0, "n0 n1", None, busbw) for busbw in (5.0, 10.0, 9.0)]
    (made,) = found(same, asked, nbytes=sizes).values()
    assert made.value == pytest.approx(0.9)
    assert "4M" in made.place
    rising = [(0, "n0 n1", None, busbw) for busbw in (5.0, 10.0, 11.0)]
    assert not found(rising, asked, nbytes=sizes)


def test_of_many_that_miss_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr("railgauge_reports.acceptance.limits.MOST_FINDINGS", 4)
    values = [(0, f"n{k} m{k}", 0, 10.0 if k < 10 else 1.0) for k in range(13)]
    made = found(values, limit(scatter=1))
    assert len(made) == 5
    assert "2 more miss" in made["x/busbw-of-median-more/all"].sentence
