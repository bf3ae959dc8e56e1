"""What a dry run says beforehand holds: the most memory of any rank, and no bound that is not kept."""

from __future__ import annotations

import json

import pytest

from railgauge.dry_run import dry_run
from railgauge.errors import UsageError
from railgauge.needs import memory_needed
from railgauge.plan import Plan, cases


def said(capsys, plan: Plan) -> dict:
    assert dry_run(plan, {}, as_json=True) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(ranks=4, operations=("gather", "scatter"), sizes=(1 << 20,), roots=(1,)),
        Plan(ranks=4, operations=("alltoallv",), sizes=(1 << 20,), skew=0.7),
        Plan(
            ranks=3,
            operations=("alltoallv",),
            sizes=(1 << 20,),
            matrix=((0, 9, 0), (0, 0, 1), (0, 9, 0)),
        ),
    ],
)
def test_the_memory_is_that_of_the_rank_that_needs_most(capsys, plan):
    for case, row in zip(cases(plan), said(capsys, plan)["cases"], strict=True):
        everywhere = [memory_needed(plan, case, plan.ranks, me) for me in range(plan.ranks)]
        assert row["memory_bytes"] == max(everywhere)


def test_a_fixed_number_of_iterations_has_no_bound_on_its_time(capsys):
    assert said(capsys, Plan(ranks=2, iterations=10**9))["seconds_at_most"] is None
    assert said(capsys, Plan(ranks=2))["seconds_at_most"] > 0


def test_an_average_that_cannot_be_checked_is_refused():
    with pytest.raises(UsageError, match="int8 has no values whose average over 200 ranks"):
        dry_run(Plan(ranks=200, dtypes=("int8",), ops=("avg",)), {}, as_json=False)
