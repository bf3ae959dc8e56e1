"""What all ranks say of the end of a series is the same, and true for every group."""

from __future__ import annotations

import numpy as np
import pytest

from railgauge import sampling
from railgauge.plan import Plan
from railgauge.sampling import REASONS, sample


class Others:
    """A world in which all other ranks end for that reason."""

    def __init__(self, reason: str) -> None:
        self.vote = np.array([0, REASONS.index(reason)])

    def maximum(self, values):
        return np.maximum(values, self.vote) if len(values) == 2 else values


class Precise:
    """What an idle rank thinks, or one whose own group is precise."""

    done = 0

    def __init__(self, plan: Plan) -> None:
        pass

    def target(self) -> int:
        return 1

    def look(self, *_) -> str:
        return "precision"


@pytest.mark.parametrize("reason", ["precision", "limit"])
def test_the_groups_that_are_precise_do_not_speak_for_one_that_ran_into_a_limit(
    monkeypatch, reason
):
    monkeypatch.setattr(sampling, "Stopping", Precise)
    assert sample(Plan(ranks=3), Others(reason), None, lambda: False).stopped == reason
