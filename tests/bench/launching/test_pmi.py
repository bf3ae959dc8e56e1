"""The word that ends a job under hydra, and nobody else's."""

import socket

import pytest

from railgauge.launching import pmi


@pytest.fixture
def wire():
    """(our end's descriptor, hydra's end)"""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield ours.fileno(), theirs


def test_hydra_is_told_to_end_the_job_with_our_exit_code(wire):
    number, hydra = wire
    pmi.end_job(5, {"PMI_FD": str(number), "PMI_HOSTNAME": "node0"})
    assert hydra.recv(100) == b"cmd=abort exitcode=5\n"


def test_a_server_that_may_speak_another_version_is_told_nothing(wire):
    number, server = wire
    pmi.end_job(5, {"PMI_FD": str(number)})
    with pytest.raises(BlockingIOError):
        server.recv(100)


@pytest.mark.parametrize("number", ["", "none", "999999"])
def test_without_a_wire_nothing_happens(number):
    pmi.end_job(5, {"PMI_FD": number, "PMI_HOSTNAME": "node0"})
