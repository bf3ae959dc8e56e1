"""Questions through the ethtool ioctl, answered by a kernel that the test stands in for."""

from __future__ import annotations

import struct

import pytest

from railgauge.linux import ethtool


@pytest.fixture
def answers(monkeypatch):
    """`answers(bytes)`: what the kernel fills in after the command."""

    def set_to(payload):
        def ask(_control, _device, request):
            return request[:4] + payload.ljust(len(request) - 4, b"\0")

        monkeypatch.setattr(ethtool, "ask", ask)

    return set_to


def test_pause_is_three_flags(answers):
    answers(struct.pack("=3I", 1, 0, 1))
    assert ethtool.pause("eth0") == ethtool.Pause(negotiated=True, rx=False, tx=True)


@pytest.mark.parametrize(("bits", "words"), [(8, "RS"), (4, "off"), (24, "RS+BaseR"), (0, "none")])
def test_error_correction_is_named(answers, bits, words):
    answers(struct.pack("=3I", bits, 2, 0))
    assert ethtool.fec("eth0") == words


def test_a_driver_says_its_name_version_firmware_and_slot(answers):
    texts = (b"mlx5_core", b"24.10-1.1.4", b"28.41.1000 (MT_0000000838)", b"0000:13:00.0")
    answers(b"".join(text.ljust(32, b"\0") for text in texts))
    assert ethtool.driver("eth0") == ethtool.Driver(*(text.decode() for text in texts))


def test_text_that_is_none_does_not_crash(answers):
    answers(b"\xff" * 128)
    assert len(ethtool.driver("eth0").name) == 32


@pytest.mark.parametrize("question", [ethtool.pause, ethtool.fec, ethtool.driver])
def test_no_such_device_is_an_error_of_the_system(question):
    with pytest.raises(OSError, match=r"No such device|not supported"):
        question("no-such-device")
