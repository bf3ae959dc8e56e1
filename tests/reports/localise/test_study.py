"""A seeded core of the study of whole localisations: noise, transients, verification and all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

STUDY = Path(__file__).parents[2] / "studies" / "localise_study.py"


@pytest.fixture(scope="module")
def study():
    """The study's module."""
    spec = importlib.util.spec_from_file_location("localise_study", STUDY)
    module = sys.modules["localise_study"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("bad", "loss"), [(0, 0.125), (4, 0.125), (8, 0.125), (4, 0.05)])
def test_bad_nodes_of_64_are_found_in_six_rounds_and_no_others(study, bad, loss):
    fleet = study.Fleet(64, bad, loss)
    ended = [study.one_run(fleet, seed) for seed in range(25)]
    found = sum(e.found for e in ended)
    assert found >= 25 * bad - (loss < 0.1)  # 5 % lies 5 standard deviations below the fleet
    assert sum(e.false for e in ended) == 0
    assert max(e.rounds for e in ended) == 6


def test_three_bad_nodes_and_a_bad_pair_of_leaves_are_told_apart(study):
    fleet = study.Fleet(64, 3, leaf_size=8, leaf_loss=0.10)
    ended = [study.one_run(fleet, seed) for seed in range(20)]
    assert [(e.found, e.false, e.leaf_found, e.leaf_false) for e in ended] == [(3, 0, 1, 0)] * 20
    assert {e.rounds for e in ended} == {11}  # 7 between leaves, 1 within, 3 to verify


def test_a_large_fleet_is_no_harder(study):
    assert [study.one_run(study.Fleet(1024, 4), seed).found for seed in range(3)] == [4] * 3


def test_a_study_repeats_for_its_seed(study):
    fleet = study.Fleet(64, 4)
    assert study.one_run(fleet, 7) == study.one_run(fleet, 7)
