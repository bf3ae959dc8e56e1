"""What changed between two captures, with the arithmetic of live counters."""

from __future__ import annotations

import pytest

from railgauge import captures
from railgauge.capturing import capture
from railgauge.capturing.capture import Capture, Draft, count, decimal, eight, flags, whole


def ethtool(**values):
    text = "".join(f"{name}: {value}\n" for name, value in values.items())
    return captures.format_named("ethtool").parse(text)


def perfquery(attribute, **values):
    head = f"# {attribute} counters: Lid 1 port 1 (CapMask: 0x1)\nPortSelect:......1\n"
    text = head + "".join(f"{name}:.....{value}\n" for name, value in values.items())
    return captures.format_named("perfquery").parse(text)


def rdma(name, before, after):
    form = captures.format_named("rdma_statistic")
    texts = (f"link mlx5_0/1 {name} {value}\n" for value in (before, after))
    (change,) = capture.changes(*(form.parse(text) for text in texts))
    return change.delta, change.note


def noted(before, after):
    return {change.name: (change.delta, change.note) for change in capture.changes(before, after)}


def test_differences_wrap_saturate_and_reset_as_live_ones_do():
    assert rdma("out_of_sequence", 2**32 - 6, 4) == (10, "")
    assert noted(
        perfquery("Port", SymbolErrorCounter=65000, PortXmitWait=9, LinkDownedCounter=255),
        perfquery("Port", SymbolErrorCounter=65535, PortXmitWait=3, LinkDownedCounter=255),
    ) == {
        "symbol_error": (535, "at least"),
        "port_xmit_wait": (None, "reset"),
        "link_downed": (None, "saturated"),
    }


def test_what_stands_at_16_bits_is_not_the_end_of_an_extended_counter():
    found = noted(
        perfquery("Port extended", SymbolErrorCounter=65535, PortXmitData=1),
        perfquery("Port extended", SymbolErrorCounter=65540, PortXmitData=3),
    )
    assert found == {"symbol_error": (5, ""), "port_xmit_data": (8, "")}


def test_a_counter_that_is_gone_has_vanished_unless_the_file_is_cut():
    before, after = ethtool(rx=1, tx=2), ethtool(rx=5)
    assert noted(before, after) == {"rx": (4, ""), "tx": (None, "vanished")}
    cut = captures.format_named("ethtool").parse("rx: 5\ntx: ")
    assert noted(before, cut) == {"rx": (4, ""), "tx": (None, "unknown")}
    assert noted(cut, ethtool(rx=6, tx=2))["tx"] == (None, "unknown")


def test_a_device_that_one_capture_does_not_name_is_the_others():
    named = captures.format_named("ethtool").parse("# ethtool -S eth0\nNIC statistics:\n rx: 5\n")
    for before, after in ((ethtool(rx=1), named), (named, ethtool(rx=9))):
        (change,) = capture.changes(before, after)
        assert (change.place.device, change.delta) == ("eth0", 4)


def test_settings_that_differ_are_told_both_ways():
    before, after = Capture(rows=({"a": 1}, {"b": 2})), Capture(rows=({"b": 2}, {"a": 3}))
    assert capture.changed_rows(before, after) == ([{"a": 1}], [{"a": 3}])


def test_a_line_without_its_end_is_not_read_and_said_so():
    draft = Draft("a\nb")
    assert [line.text for line in draft.lines] == ["a"]
    assert draft.done().cut
    assert [p.line for p in draft.done().problems] == [2]
    assert [line.text for line in Draft("a\nb", whole="b").lines] == ["a", "b"]
    assert not Draft("a\n  ").done().cut


@pytest.mark.parametrize(
    ("text", "made"),
    [
        *(("7", 7), (" 7 ", 7), ("18446744073709551615", 2**64 - 1)),
        *((odd, None) for odd in ("-7", "1_0", "\u0667", "0x7", "7.0", "18446744073709551616", "")),
    ],
)
def test_a_count_is_ascii_digits_of_64_bits(text, made):
    assert count(text) == made


def test_numbers_and_flags_are_known_or_none():
    assert whole("-1") == -1
    assert decimal("1E-13") == 1e-13
    assert decimal("1e9999") is None
    assert decimal("nan") is None
    assert flags(["0", "1", *"000000"]) == [False, True, *[False] * 6]
    assert flags(list("0102")) is None
    assert flags(list("00000002")) is None
    assert eight(dict.fromkeys(range(7), "1")) is None
