"""What losses cost: goodput of go-back-N, and the time that a lost last packet takes."""

from __future__ import annotations

import math

PACKET_BYTES = 4096
#: A round trip through a few switches (ours).
ROUND_TRIP_SECONDS = 1e-5
#: IBTA volume 1: a queue pair waits 4.096 us x 2^T for an acknowledgement.
TICK_SECONDS = 4.096e-6
#: NCCL_IB_TIMEOUT's default and perftest's --qp-timeout.
TIMEOUTS = {"NCCL_IB_TIMEOUT 20": 20, "perftest's timeout 14": 14}
RETRIES = 7


def window(
    rate_Gbps: float,  # noqa: N803 (units as they are written)
    round_trip_seconds: float = ROUND_TRIP_SECONDS,
    packet_bytes: int = PACKET_BYTES,
) -> int:
    """Packets in flight: 122 at 400 Gb/s, 10 us and 4 KiB."""
    return max(1, round(rate_Gbps * 1e9 / 8 * round_trip_seconds / packet_bytes))


def efficiency(lost: float, in_flight: int) -> float:
    """(1 - q) / (1 - q + W q): the goodput of go-back-N over the line's, of q lost and W in flight."""
    return (1 - lost) / (1 - lost + in_flight * lost)


def timeout_match(seconds: float, near: float) -> str:
    """Which timeout a slow iteration is a multiple of, in words; empty where of none."""
    for name, exponent in TIMEOUTS.items():
        one = TICK_SECONDS * 2**exponent
        times = math.floor(seconds / one + 0.5)
        if 1 <= times <= RETRIES and abs(seconds - times * one) <= near * one:
            return f"{seconds:.3g} s is {times} x {one:.3g} s ({name})"
    return ""


def cost(lost: int, packets: int, rate_Gbps: float | None) -> str:  # noqa: N803
    """What the losses do to goodput, in words; empty where there is nothing to compute it from."""
    if not lost or not packets:
        return ""
    q = min(1.0, lost / packets)
    rate = rate_Gbps or 400.0
    left = efficiency(q, window(rate))
    return (
        f"; {q:.2g} of the packets were lost, of which go-back-N leaves {left:.1%} of the line"
        f" (at {rate:g} Gb/s, {window(rate)} packets of 4 KiB in 10 us)"
    )
