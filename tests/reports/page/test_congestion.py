"""Charts of fairness and of the impact of neighbours: the worst setting is named."""

from __future__ import annotations

import pandas as pd
import pytest

from railgauge.cli import call
from railgauge_reports.judged import judged_of
from railgauge_reports.loaded import load
from railgauge_reports.page import congestion
from railgauge_reports.page.gallery import charts_of
from railgauge_reports.page.stages import drawn_of

COLUMNS = {
    "operation": "string", "round": "Int64", "setting": "string", "nbytes": "Int64", "rail": "Int64",
    "flows": "Int64", "jain": "Float64", "slowest_flow": "string", "slowest_flow_GBps": "Float64",
    "mean_flow_GBps": "Float64", "impact": "Float64", "impact_p99": "Float64", "load_GBps": "Float64",
}  # fmt: skip


def rows(*made):
    frame = pd.DataFrame(list(made), columns=list(COLUMNS))
    return frame.astype(COLUMNS)


def flows(setting, jain, slowest, rail=0, count=4, turn=0):
    return {"operation": "flows", "round": turn, "setting": setting, "nbytes": 16 << 20, "rail": rail,
            "flows": count, "jain": jain, "slowest_flow": "3>0", "slowest_flow_GBps": slowest,
            "mean_flow_GBps": 10.0}  # fmt: skip


def victim(setting, impact, tail=None):
    return {"operation": "all_reduce", "round": 0, "setting": setting, "nbytes": 1 << 20, "impact": impact,
            "impact_p99": tail, "load_GBps": 400.0}  # fmt: skip


def test_each_setting_has_its_least_fair_group_and_its_slowest_flow():
    incast = rows(
        flows("1 to 1", 1.0, 10.0, count=1),
        flows("4 to 1", 0.95, 8.0, rail=0),
        flows("4 to 1", 0.81, 2.5, rail=5),
    )
    permutation = rows(flows(None, 0.99, 9.5, turn=2))
    chart = congestion.fairness([("incast", incast), ("permutation", permutation)])
    points = chart.columns()["points"]
    assert points["setting"][:2] == ["incast 4 to 1", "permutation round 2"]
    assert points["value"] == [0.81, 0.99, 0.25, 0.95]
    assert chart.grid.rows[0] == (
        "incast 4 to 1",
        "2",
        "4",
        "0.810",
        "3>0",
        "5",
        "2.50",
        "10.0",
        "25%",
    )
    assert (
        "incast 4 to 1: Jain's index 0.810, the slowest, 3>0, has 25% of their mean rate"
        in chart.says
    )


def test_victims_are_drawn_by_how_much_longer_they_took_the_most_first():
    beside = (victim("beside incast", 1.2), victim("beside alltoall", 3.5, 9.0))
    chart = congestion.impact([("victim", rows(victim("isolated", None), *beside))])
    points = chart.columns()["points"]
    assert points["setting"][0] == "all_reduce 1M, beside alltoall"
    assert sorted(points["value"]) == [1.2, 3.5, 9.0]
    assert chart.grid.rows[1] == ("all_reduce 1M, beside incast", "1.20", "-", "400")
    assert chart.says.startswith(
        "The largest impact is 3.50 times: all_reduce 1M, beside alltoall."
    )


def test_of_other_rows_and_of_single_flows_nothing_is_drawn():
    alone = rows(flows("1 to 1", 1.0, 10.0, count=1), victim("isolated", None))
    assert congestion.fairness([("incast", alone)]) is None
    assert congestion.impact([("victim", alone)]) is None
    assert congestion.fairness([]) is None


def test_many_settings_are_those_that_are_the_least_fair():
    many = rows(*(flows(f"{k} to 1", 0.5 + k / 1000, 5.0) for k in range(100, 0, -1)))
    shown = congestion.fairness([("incast", many)]).grid.rows
    assert len(shown) == congestion.MOST_SETTINGS
    assert {row[0] for row in shown} == {f"incast {k} to 1" for k in range(1, 41)}


PROFILE = """
about = "congestion alone"
[[stages]]
name = "congestion"
kind = "congestion"
[[stages.limits]]
metric = "fairness"
of = "ideal"
at_least = 0.8
per = "case"
source = "ours"
"""


@pytest.fixture
def congested(tmp_path, capsys):
    """An acceptance of the stage of congestion, simulated."""
    (tmp_path / "p.toml").write_text(PROFILE)
    where = ("--backend", "simulated", "--cluster", "h100", "--nodes", "4")
    call(["accept", str(tmp_path / "p.toml"), *where, "--output", str(tmp_path / "made")])
    capsys.readouterr()
    return tmp_path / "made"


def test_the_page_of_an_acceptance_draws_its_stage_of_congestion_and_the_page_of_a_run_its_own(
    congested,
):
    from railgauge_reports.acceptance.judge import judge, read_acceptance

    (stage,) = drawn_of(congested, judge(read_acceptance(congested)).stages)
    names = [chart.name for chart in stage.charts]
    assert names[:2] == ["congestion-fairness", "congestion-impact"]
    assert any("incast 3 to 1" in cell for cell in stage.charts[0].columns()["points"]["setting"])
    run = load(congested / "01-congestion" / "victim")
    assert "impact" in [chart.name for chart in charts_of(run, judged_of(run))]
