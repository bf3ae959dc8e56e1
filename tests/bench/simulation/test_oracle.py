"""Completion times are those of SimGrid: as recorded, and played again where it can be imported."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

STUDY = Path(__file__).parents[2] / "studies" / "simgrid_oracle.py"
RECORDED = json.loads(STUDY.with_suffix(".json").read_text())


@pytest.fixture(scope="module")
def oracle():
    """The study's module."""
    spec = importlib.util.spec_from_file_location("simgrid_oracle", STUDY)
    module = sys.modules["simgrid_oracle"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", RECORDED["cases"])
def test_completions_are_those_that_simgrid_had_on_the_same_routes(oracle, name):
    recorded, case = RECORDED["cases"][name], oracle.made(*name.split(", "))
    assert case.crc32 == recorded["crc32"], "other flows; next: run tests/studies/simgrid_oracle.py"
    assert recorded["same_routes"]
    found = oracle.digest(case, case.ours())
    assert found["flows"] == recorded["flows"]
    assert found["makespan"] == pytest.approx(recorded["makespan"], rel=1e-4)
    assert found["mean"] == pytest.approx(recorded["mean"], rel=1e-4)
    assert list(found["some"].values()) == pytest.approx(list(recorded["some"].values()), rel=1e-4)


def test_every_case_was_recorded_and_agreed(oracle):
    assert list(RECORDED["cases"]) == [", ".join(case) for case in oracle.cases()]
    assert max(case["difference"] for case in RECORDED["cases"].values()) < 1e-4
    assert RECORDED["version"]


@pytest.mark.parametrize("pattern", ["far ring", "incast", "slow link", "sizes"])
def test_simgrid_says_the_same_now(oracle, pattern):
    python = oracle.interpreter()
    if python is None:
        pytest.skip("no interpreter can import SimGrid 3.32 (Debian: python3-simgrid)")
    case = oracle.made("64 at 2:1", pattern)
    answer = oracle.theirs(case, python)
    assert oracle.same_routes(case, answer["routes"])
    assert oracle.difference(case.ours(), np.array(answer["seconds"])) < 1e-4


def test_routes_that_differ_in_one_link_are_not_the_same(oracle):
    case = oracle.made("64", "far ring")
    names = [[str(link) for link in row if link >= 0] for row in case.routes.tolist()]
    assert oracle.same_routes(case, names)
    assert not oracle.same_routes(case, [names[0][:-1], *names[1:]])
    assert not oracle.same_routes(case, [names[0][:-1] + names[1][-1:], *names[1:]])
