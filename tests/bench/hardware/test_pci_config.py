"""Configuration space: capabilities of our own making, and chains that lead nowhere."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.hardware import pci_config


def space(capabilities=(), extended=()):
    """Capabilities as (id, {offset: word}), chained in that order."""
    data = bytearray(4096)
    for start, step, items, head in (
        (0x40, 0x20, capabilities, lambda i, n: struct.pack("<BB", i, n)),
        (0x100, 0x40, extended, lambda i, n: struct.pack("<I", i | 1 << 16 | n << 20)),
    ):
        for at, (number, words) in enumerate(items):
            place = start + at * step
            following = place + step if at + 1 < len(items) else 0
            raw = head(number, following)
            data[place : place + len(raw)] = raw
            for offset, word in words.items():
                struct.pack_into("<H", data, place + offset, word)
    data[0x34] = 0x40
    return bytes(data)


def test_sizes_and_ordering_are_read_from_device_control():
    data = space([(1, {}), (0x10, {8: 0x5000 | 0x20 | 0x10})])
    assert pci_config.express(data) == pci_config.Express(256, 4096, True)
    assert pci_config.express(space([(1, {})])) is None


def test_acs_controls_have_names():
    data = space(extended=[(1, {}), (0x0D, {6: 0b0001101})])
    assert pci_config.acs(data) == ("source_validation", "request_redirect", "completion_redirect")
    assert pci_config.acs(space(extended=[(0x0D, {6: 0})])) == ()
    assert pci_config.acs(space(extended=[(1, {})])) is None


def test_ats_is_the_highest_bit():
    assert pci_config.ats(space(extended=[(0x0F, {6: 0x8000})])) is True
    assert pci_config.ats(space(extended=[(0x0F, {6: 0x7FFF})])) is False
    assert pci_config.ats(space()) is None


@pytest.mark.parametrize("read", [pci_config.express, pci_config.acs, pci_config.ats])
def test_64_bytes_are_what_others_than_root_get(read):
    with pytest.raises(ValueError, match="only root"):
        read(bytes(64))


def test_a_chain_that_bites_its_tail_ends():
    data = bytearray(space([(1, {}), (2, {})]))
    data[0x61] = 0x40
    assert pci_config.capability(bytes(data), 0x10) is None


@given(st.binary(min_size=0, max_size=600))
def test_garbage_never_ends_in_a_crash(data):
    for read in (pci_config.express, pci_config.acs, pci_config.ats):
        with contextlib.suppress(ValueError):
            read(data)
