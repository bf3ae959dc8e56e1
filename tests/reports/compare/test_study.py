"""A seeded core of the study of whole comparisons: how often they are right, looks and all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from scipy import stats

STUDY = Path(__file__).parents[2] / "studies" / "compare_study.py"


@pytest.fixture(scope="module")
def study():
    """The study's module."""
    spec = importlib.util.spec_from_file_location("compare_study", STUDY)
    module = sys.modules["compare_study"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("noise", ["plain", "drifting", "wandering", "outliers"])
def test_a_against_a_differs_in_at_most_five_percent_of_studies(study, noise):
    (asked,) = [made for made in study.NOISES if made.name == noise]
    for rows in (1, 8):
        shares = study.many(asked, 1.0, rows, studies=100, seed=2)
        # not more than 5 % explains (5 % of such tests at most would say so)
        count = round(shares.differs * 100)
        assert stats.binomtest(count, 100, 0.05, alternative="greater").pvalue > 0.05, shares
        assert shares.held >= 0.95


def test_an_effect_above_the_margin_is_found_with_its_sign_after_few_pairs(study):
    (asked,) = [made for made in study.NOISES if made.name == "plain"]
    for ratio in (1.05, 1 / 1.05):
        shares = study.many(asked, ratio, rows=4, studies=30, seed=3)
        assert shares.differs >= 0.95
        assert shares.wrong_way == 0
        assert shares.blocks < 12


def test_a_study_repeats_for_its_seed(study):
    (asked,) = [made for made in study.NOISES if made.name == "plain"]
    assert study.many(asked, 1.0, 2, 5, seed=4) == study.many(asked, 1.0, 2, 5, seed=4)
