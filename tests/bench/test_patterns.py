"""A pattern's rounds hold every group once, and no rank twice at the same time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.errors import UsageError
from railgauge.patterns import PATTERNS, check_pattern, group_sizes, round_count, rounds


def test_the_world_is_one_group_of_all_ranks_in_one_round():
    assert list(rounds("world", 5)) == [((0, 1, 2, 3, 4),)]


@pytest.mark.parametrize("ranks", range(2, 34))
def test_every_pair_meets_exactly_once(ranks):
    met = [pair for groups in rounds("pairs", ranks) for pair in groups]
    assert sorted(met) == list(itertools.combinations(range(ranks), 2))


@pytest.mark.parametrize("ranks", range(2, 34))
def test_everybody_plays_in_every_round_but_one_of_an_odd_number(ranks):
    for groups in rounds("pairs", ranks):
        playing = [rank for pair in groups for rank in pair]
        assert len(set(playing)) == len(playing) == ranks - ranks % 2


@given(
    name=st.sampled_from(sorted(PATTERNS)),
    ranks=st.integers(2, 60),
    limit=st.one_of(st.none(), st.integers(1, 70)),
)
def test_rounds_are_as_many_and_as_large_as_announced(name, ranks, limit):
    made = list(rounds(name, ranks, limit))
    assert len(made) == round_count(name, ranks, limit)
    assert made == list(rounds(name, ranks))[:limit]
    assert {len(group) for groups in made for group in groups} == set(group_sizes(name, ranks))
    assert all(tuple(sorted(group)) == group for groups in made for group in groups)


def test_an_unknown_pattern_names_the_closest():
    assert check_pattern("pairs") == "pairs"
    with pytest.raises(UsageError, match=r"unknown pattern 'pair'. Did you mean 'pairs'\?"):
        check_pattern("pair")
    with pytest.raises(UsageError, match="allowed: world, pairs"):
        list(rounds("ring", 4))
