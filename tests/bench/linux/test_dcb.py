"""DCB over netlink: replies made here, byte by byte, and replies that are none."""

from __future__ import annotations

import contextlib
import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.linux import dcb

ALL8 = tuple(range(8))


def attribute(kind, payload):
    raw = struct.pack("=HH", 4 + len(payload), kind) + payload
    return raw + bytes(-len(raw) % 4)


def message(body, kind=dcb.RTM_GETDCB, sequence=1):
    raw = struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body
    return raw + bytes(-len(raw) % 4)


def reply(*parts, nested=True):
    """A reply with these attributes inside DCB_ATTR_IEEE (or beside it)."""
    name = attribute(dcb.ATTR_IFNAME, b"eth0\0")
    inner = b"".join(parts)
    flag = 0x8000 if nested else 0  # NLA_F_NESTED, which newer kernels set
    body = attribute(dcb.ATTR_IEEE | flag, inner) if nested else inner
    return message(struct.pack("=BBH", 0, dcb.IEEE_GET, 0) + name + body)


def pfc(enabled=0b1000, requests=ALL8, indications=ALL8):
    # the compiler leaves a byte before `delay` and two after it
    raw = struct.pack("=BBBxHxx", 8, enabled, 1, 700)
    return attribute(dcb.IEEE_PFC, raw + struct.pack("=16Q", *requests, *indications))


def error(number):
    return message(struct.pack("=i", -number) + bytes(16), dcb.NLMSG_ERROR)


def test_pfc_is_read_by_priority():
    made = dcb.decoded(reply(pfc(0b1000_1000, requests=(0, 217, 0, 0, 0, 0, 0, 28))), 1)
    assert made.pfc.enabled == (3, 7)
    assert (made.pfc.capable, made.pfc.macsec_bypass, made.pfc.delay) == (8, True, 700)
    assert made.pfc.requests[1] == 217
    assert made.pfc.indications == ALL8


def test_traffic_classes_are_read():
    raw = bytes(
        (1, 8, 0, *range(10, 18), *(99,) * 8, *(0, 2, 255, 7, 2, 2, 2, 1), *reversed(range(8)))
    )
    made = dcb.decoded(reply(attribute(dcb.IEEE_ETS, raw + bytes(24))), 1).ets
    assert made.willing
    assert made.bandwidth == tuple(range(10, 18))
    assert made.algorithm[:5] == ("strict", "ets", "vendor", "reserved 7", "ets")
    assert made.priority_class == tuple(reversed(range(8)))


def test_applications_map_a_dscp_to_a_priority_and_the_highest_of_several_counts():
    entries = ((5, 3, 26), (5, 1, 26), (5, 7, 48), (1, 4, 0x8915), (9, 0, 0))
    table = b"".join(attribute(1, struct.pack("=BBH", *entry)) for entry in entries)
    made = dcb.decoded(reply(attribute(dcb.IEEE_APP_TABLE, table)), 1)
    assert made.dscp_priority == {26: 3, 48: 7}
    assert [a.selector for a in made.applications][3:] == ["ethertype", "selector 9"]


def test_buffers_rates_and_trust_are_read():
    buffer = struct.pack("=8B8II", 0, 0, 0, 1, 0, 0, 0, 0, 130944, 130944, 0, 0, 0, 0, 0, 0, 262016)
    trust = attribute(1, b"\x05") + attribute(1, b"\x18")
    made = dcb.decoded(
        reply(
            attribute(dcb.IEEE_BUFFER, buffer),
            attribute(dcb.IEEE_MAXRATE, struct.pack("=8Q", *range(8))),
            attribute(dcb.IEEE_TRUST, trust),
        ),
        1,
    )
    assert made.buffer.sizes[:2] == (130944, 130944)
    assert (made.buffer.priority_buffer[3], made.buffer.total) == (1, 262016)
    assert made.maxrate_kbps == ALL8
    assert made.trusted == ("dscp", "pcp")


def test_the_engine_of_dcbx_is_read_and_what_is_not_said_stays_unknown():
    made = dcb.decoded(reply(attribute(dcb.ATTR_DCBX, b"\x09"), nested=False), 1)
    assert made.dcbx == ("host", "ieee")
    assert (made.pfc, made.ets, made.buffer, made.trusted, made.maxrate_kbps) == (None,) * 5


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EOPNOTSUPP, "not supported by the driver"),
        (524, "not supported by the driver"),
        (errno.EPERM, "no permission"),
        (errno.ENODEV, "No such device"),
    ],
)
def test_errors_say_what_they_mean(number, words):
    with pytest.raises(OSError, match=words):
        dcb.decoded(error(number), 1)


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"\0" * 3,
        message(b"", sequence=7),  # somebody else's answer
        message(b"", dcb.NLMSG_ERROR),
        message(struct.pack("=i", 0), dcb.NLMSG_ERROR),  # an acknowledgement, without data
        reply(attribute(dcb.IEEE_PFC, b"\x08\x08")),  # cut off
        reply(attribute(dcb.IEEE_APP_TABLE, attribute(1, b"\x05"))),
        reply(pfc())[:-20],
        struct.pack("=IHHII", 4, dcb.RTM_GETDCB, 0, 1, 0),  # shorter than its own header
    ],
)
def test_odd_replies_are_an_error_that_a_caller_expects(odd):
    with pytest.raises(ValueError, match=r"."):
        dcb.decoded(odd, 1)


@given(st.binary(max_size=600))
def test_garbage_never_ends_in_a_crash(data):
    for raw in (data, message(data), message(b"\0" * 4 + data), reply(data), error(0) + data):
        with contextlib.suppress(ValueError, OSError):
            assert isinstance(dcb.decoded(raw, 1), dcb.Dcb)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_reply_with_one_wrong_byte_never_ends_in_a_crash(place, byte):
    table = b"".join(attribute(1, struct.pack("=BBH", 5, 3, code)) for code in range(8))
    raw = bytearray(reply(pfc(), attribute(dcb.IEEE_APP_TABLE, table)))
    raw[place % len(raw)] = byte
    with contextlib.suppress(ValueError, OSError):
        dcb.decoded(bytes(raw), 1)


def test_the_kernel_is_asked_and_says_that_the_loopback_has_no_dcb():
    with pytest.raises(OSError, match="not supported by the driver"):
        dcb.state("lo")
    with pytest.raises(OSError, match="No such device"):
        dcb.state("no-such-device")
