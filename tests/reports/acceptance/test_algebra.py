"""How verdicts combine: fail closed, and nothing without a stage that passed."""

from __future__ import annotations

import itertools

import pytest

from railgauge_reports.acceptance.algebra import (
    COUNTS_AS,
    ERROR,
    FAIL,
    HANG,
    INCONCLUSIVE,
    INTERRUPTED,
    NOTHING_TO_TEST,
    ORDER,
    PASS,
    SKIP,
    WAIVED,
    WRONG,
    of_code,
    whole,
    worst,
)


def test_every_verdict_has_a_place_in_every_table():
    assert set(ORDER) == set(COUNTS_AS)
    assert set(WAIVED) == {FAIL, INCONCLUSIVE, SKIP}


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ([(PASS, True)], PASS),
        ([(PASS, True), (FAIL, True)], FAIL),
        ([(PASS, True), (FAIL, False)], FAIL),
        ([(PASS, True), (SKIP, True)], INCONCLUSIVE),
        ([(PASS, True), (SKIP, False)], PASS),
        ([(PASS, True), (INCONCLUSIVE, True)], INCONCLUSIVE),
        ([(PASS, True), (INCONCLUSIVE, False)], PASS),
        ([(PASS, True), (ERROR, True)], ERROR),
        ([(PASS, True), (ERROR, False)], PASS),
        ([(PASS, True), (NOTHING_TO_TEST, True)], PASS),
        ([(NOTHING_TO_TEST, True)], INCONCLUSIVE),
        ([(SKIP, False)], INCONCLUSIVE),
        ([], INCONCLUSIVE),
        ([(FAIL, True), (ERROR, True)], FAIL),
        ([(FAIL, True), (HANG, True)], HANG),
        ([(FAIL, True), (INTERRUPTED, True)], INTERRUPTED),
        ([(INTERRUPTED, True), (WRONG, False)], WRONG),
        ([(PASS, True), (HANG, False)], HANG),
    ],
)
def test_the_whole_of_stages(stages, expected):
    assert whole(stages) == expected
    assert whole(reversed(stages)) == expected


def test_another_stage_never_makes_a_verdict_better():
    everything = [(verdict, required) for verdict in ORDER for required in (True, False)]
    for stages in itertools.product(everything, repeat=2):
        found = whole([(PASS, True), *stages])
        assert ORDER.index(found) <= ORDER.index(whole([(PASS, True), stages[0]]))


def test_the_worst_decides_and_unknown_codes_could_not_measure():
    assert worst([]) == PASS
    assert worst([PASS, FAIL, WRONG, INTERRUPTED]) == WRONG
    assert [of_code(code) for code in (0, 1, 4, 5, 6, 75)] == [
        *(PASS, FAIL, WRONG, HANG, INCONCLUSIVE, INTERRUPTED)
    ]
    assert {of_code(code) for code in (2, 3, 77, -9)} == {ERROR}
