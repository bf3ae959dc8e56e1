"""Kernels that wait end: with what they wait for, or with their time."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from railgauge_kernels import waiting
from railgauge_kernels.ladders import Geometry

ONE = Geometry(1, 1)


def test_stamps_are_written_in_order_up_to_the_capacity_and_counted_beyond(launch):
    cursor, stamps = np.zeros(1, np.int64), np.zeros(5, np.int64)
    before = time.time_ns()
    for _ in range(6):
        launch("stamp", ONE, cursor.ctypes.data, stamps.ctypes.data, 4)
    assert cursor[0] == 6
    assert stamps[4] == 0
    assert before <= stamps[0] <= stamps[1] <= stamps[2] <= stamps[3] <= time.time_ns()


def test_a_spin_ends_with_its_flag_or_with_its_time(launch):
    flag = np.zeros(1, np.int64)
    before = time.monotonic_ns()
    launch("spin", ONE, flag.ctypes.data, 20_000_000)
    assert time.monotonic_ns() - before >= 20_000_000
    spinning = threading.Thread(target=launch, args=("spin", ONE, flag.ctypes.data, 10**12))
    spinning.start()
    flag[0] = 1
    spinning.join(30)
    assert not spinning.is_alive()


@pytest.mark.parametrize("kernel", waiting.PING_PONG, ids=lambda kernel: kernel.function)
def test_two_flags_go_there_and_back_as_often_as_asked(launch, kernel):
    flags = np.zeros((2, 8), np.int64)  # each in a cache line of its own
    stamps, status = np.zeros(11, np.int64), np.zeros(2, np.int64)
    for base in (0, 10):
        sides = [
            threading.Thread(
                target=launch,
                args=(
                    *(kernel.function, ONE, flags[me].ctypes.data, flags[1 - me].ctypes.data),
                    *(me == 0, base, 10, 10**11, stamps.ctypes.data, status[me:].ctypes.data),
                ),
            )
            for me in (0, 1)
        ]
        for side in sides:
            side.start()
        for side in sides:
            side.join()
        assert (flags[:, 0] == base + 10).all()
        assert not status.any()
        assert (np.diff(stamps) >= 0).all()
        assert stamps[-1] > stamps[0] > 0


@pytest.mark.parametrize("kernel", waiting.PING_PONG, ids=lambda kernel: kernel.function)
def test_a_side_that_stays_alone_says_at_which_round_it_gave_up(launch, kernel):
    flags, stamps, status = np.zeros((2, 8), np.int64), np.zeros(4, np.int64), np.zeros(1, np.int64)
    flags[0, 0] = 2  # the answers to two rounds
    places = (flags[0].ctypes.data, flags[1].ctypes.data)
    launch(
        kernel.function, ONE, *places, 1, 0, 3, 10_000_000, stamps.ctypes.data, status.ctypes.data
    )
    assert status[0] == 3
    assert stamps[3] == 0
