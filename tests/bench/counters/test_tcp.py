"""/proc/net/snmp and netstat, by name and never by position."""

from __future__ import annotations

import socket

import pytest

from railgauge.counters import tcp
from railgauge.counting import Roots

SNMP = b"""Tcp: RtoMin CurrEstab RetransSegs MaxConn
Tcp: 200 5 17 -1
Udp: InDatagrams NoPorts
Udp: 3 4
"""
NETSTAT = b"""TcpExt: TCPTimeouts TCPLostRetransmit
TcpExt: 8 9
IpExt: InCEPkts InOctets
IpExt: 2 1000
"""


@pytest.fixture
def read(tmp_path):
    def made(snmp=SNMP, netstat=NETSTAT):
        (tmp_path / "net").mkdir()
        (tmp_path / "net/snmp").write_bytes(snmp)
        (tmp_path / "net/netstat").write_bytes(netstat)
        (reading,) = tcp.read(Roots(tmp_path, tmp_path))
        return reading

    return made


def test_values_have_the_names_of_the_line_before(read):
    reading = read()
    assert reading.values == {
        "Tcp.CurrEstab": 5,
        "Tcp.RetransSegs": 17,
        "Udp.InDatagrams": 3,
        "Udp.NoPorts": 4,
        "TcpExt.TCPTimeouts": 8,
        "TcpExt.TCPLostRetransmit": 9,
        "IpExt.InCEPkts": 2,
        "IpExt.InOctets": 1000,
    }
    assert not reading.unknown


@pytest.mark.parametrize(
    ("snmp", "values", "unknown"),
    [
        (b"", {}, {}),
        (b"Tcp: A B\n", {}, {}),
        (b"Tcp: A B\nTcp: 1\n", {"Tcp.A": 1}, {"Tcp.B": "no value"}),
        (b"Tcp: A B\nTcp: 1 2 3\n", {"Tcp.A": 1, "Tcp.B": 2}, {}),
        (b"Tcp: A\nTcp: x\n", {}, {"Tcp.A": "not a number: b'x'"}),
        (b"Tcp: A\nUdp: 1\n", {}, {}),
        (b"\xff\xfe\n\x00\n", {}, {}),
        (b"Tcp: A\nTcp: 1\nTcp: A\nTcp: 2\n", {"Tcp.A": 2}, {}),
    ],
)
def test_what_is_cut_off_or_no_text_is_never_a_crash(read, snmp, values, unknown):
    reading = read(snmp, b"")
    assert reading.values == values
    assert reading.unknown == unknown


def test_the_present_state_is_a_gauge():
    assert tcp.kind("Tcp.CurrEstab", {}).arithmetic == "gauge"
    assert tcp.kind("Tcp.RetransSegs", {}).canonical == ("tcp_retransmits",)
    assert tcp.kind("IpExt.InOctets", {}).unit == "B"


def test_segments_that_this_process_sends_are_counted():
    def sent():
        (reading,) = tcp.read(Roots())
        return reading.values["Tcp.OutSegs"]

    before = sent()
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        client.sendall(b"x" * 1000)
        peer, _ = server.accept()
        peer.close()
    assert sent() > before
