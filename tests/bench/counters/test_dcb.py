"""Pause frames by priority from DCB."""

from __future__ import annotations

import errno

import pytest

from railgauge.counters import dcb as source
from railgauge.counting import Roots
from railgauge.linux import dcb

PFC = dcb.Pfc(8, (3,), False, 0, (0, 0, 0, 5, 0, 0, 0, 0), (0, 0, 0, 9, 0, 0, 0, 0))


@pytest.fixture
def roots(tmp_path):
    (tmp_path / "class/net/eth0/device").mkdir(parents=True)
    (tmp_path / "class/net/virtual").mkdir()
    return Roots(tmp_path, tmp_path)


def test_requests_are_pauses_sent_and_indications_pauses_received(roots, monkeypatch):
    monkeypatch.setattr(dcb, "state", lambda _: dcb.Dcb(pfc=PFC))
    (reading,) = source.read(roots)
    assert reading.place.device == "eth0"
    assert (reading.values["prio3_requests"], reading.values["prio3_indications"]) == (5, 9)
    assert len(reading.values) == 16
    assert reading.facts == {"pfc": "3"}
    sent, received = source.kind("prio3_requests", {}), source.kind("prio3_indications", {})
    assert (sent.canonical, sent.priority) == (("pause_tx",), 3)
    assert (received.canonical, received.priority) == (("pause_rx",), 3)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (OSError(errno.EOPNOTSUPP, "not supported by the driver"), "not supported by the driver"),
        (OSError(errno.EPERM, "no permission"), "no permission"),
        (ValueError("a netlink message of 9 bytes in 4"), "9 bytes"),
    ],
)
def test_what_cannot_be_read_is_unknown_with_the_reason(roots, monkeypatch, problem, words):
    def refuse(_):
        raise problem

    monkeypatch.setattr(dcb, "state", refuse)
    (reading,) = source.read(roots)
    assert not reading.values
    assert words in reading.unknown["*"]


def test_a_driver_without_pfc_is_unknown_and_not_zero(roots, monkeypatch):
    monkeypatch.setattr(dcb, "state", lambda _: dcb.Dcb())
    (reading,) = source.read(roots)
    assert not reading.values
    assert "PFC" in reading.unknown["*"]


def test_a_name_of_another_time_is_a_plain_counter():
    assert source.kind("something", {}).canonical == ()
