"""The median of the others is that of a list without one's own value, found without making it."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from railgauge_reports.lossless.evidence import Evidence, Port, number, priorities, switch
from railgauge_reports.lossless.kin import median_of_others


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.data())
def test_it_is_the_median_of_a_list_without_ones_own_value(values, data):
    ports = tuple(Port("n", f"d{k}", facts={"value": str(v)}) for k, v in enumerate(values))
    evidence = Evidence(ports=ports)
    own = data.draw(st.sampled_from(ports))
    others = [float(port.facts["value"]) for port in ports if port is not own]
    found = median_of_others(evidence, own, lambda port: float(port.facts["value"]), 1)
    assert found == (statistics.median(others) if others else None)


def test_ports_of_another_board_or_rate_are_no_kin():
    a, b = Port("n", "a", facts={"board_id": "X"}), Port("n", "b", facts={"board_id": "Y"})
    assert median_of_others(Evidence(ports=(a, b)), a, lambda _: 1.0, 1) is None


@given(st.one_of(st.text(max_size=8), st.integers(), st.floats(), st.none(), st.booleans()))
def test_settings_of_any_kind_are_read_or_refused(value):
    found = priorities(value)
    assert found is None or found <= set(range(8))
    assert switch(value) in (True, False, None)
    number(value)


def test_floats_and_words_name_no_priority():
    assert priorities(float("nan")) is priorities(float("inf")) is priorities("three") is None
    assert priorities("3, 4") == priorities((3, 4)) == {3, 4}
    assert priorities("none") == set()
    assert priorities("9") is None


def test_a_width_is_read_with_and_without_its_cross():
    assert number("x16") == number(16) == number("16") == 16
    assert number("32.0 GT/s PCIe") == 32
    assert number("unknown") is number(True) is None
