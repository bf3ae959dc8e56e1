"""Predicates of the link: cables, modules, PCIe. Each gets a `Sight` and says what it saw, or None."""

from __future__ import annotations

import re

from railgauge_reports.lossless.evidence import MissingError, Port
from railgauge_reports.lossless.kin import median_of_others
from railgauge_reports.lossless.rows import Seen
from railgauge_reports.lossless.sight import Sight

_LANE = re.compile(r"lane_(\d+)")
INTO = "peer -> this port"


def flap(see: Sight) -> Seen | None:
    """S01: the link went down, or was trained anew."""
    down, trained = see.total("link_down"), see.total("link_recovery")
    if not down and not trained:
        return None
    module = see.optional("module_error")
    words = f"link down {down} times, trained anew {trained} times"
    return Seen(words + (f"; the module reported {module} events" if module else ""))


def bad_cable(see: Sight) -> Seen | None:
    """S02: errors that were not corrected, or symbol errors by the hour."""
    hard = see.total("uncorrected_error", "crc_error", "receive_error")
    symbols = see.counts("symbol_error")
    hourly = sum((count.delta or 0) * 3600 / count.seconds for count in symbols if count.seconds)
    if not hard and not hourly:
        return None
    if hourly:
        see.measured("symbol errors an hour", hourly, "symbol_errors_an_hour")
    few = not hard and hourly <= see.limit("symbol_errors_an_hour")
    lane, words = _lane(see)
    told = f"{hard} frames or symbols lost, {hourly:.3g} symbol errors an hour{words}"
    return Seen(told, severity="W" if few else None, lane=lane, direction=INTO)


def _lane(see: Sight) -> tuple[int | None, str]:
    """The lane with most of the raw errors, where one stands out."""
    found = {
        int(name[1]): count.delta
        for count in see.port.by_event.get("lane_error", ())
        if count.delta and (name := _LANE.search(count.name))
    }
    total = sum(found.values())
    if not total:
        return None, ""
    lane = max(found, key=lambda number: found[number])
    share = found[lane] / total
    see.counts("lane_error")
    if share < see.limit("lane_share"):
        return None, ""
    see.measured(f"share of lane {lane} in the raw errors", share, "lane_share")
    return lane, f"; lane {lane} has {share:.2%} of the raw errors"


def degrading_cable(see: Sight) -> Seen | None:
    """S03: corrected errors over bits, against the median of links of the same type."""
    if see.exactly("crc_error", "uncorrected_error"):
        return None  # it is a bad cable already
    own = _corrected(see.port)
    see.counts("corrected_error", "phy_bits_rx", "phy_bytes_rx")
    fewest = int(see.limit("peers"))
    usual = median_of_others(see.evidence, see.port, _corrected, fewest)
    if own is None or usual is None:
        raise MissingError(f"corrected errors of at least {fewest} other links of the same type")
    usual = max(usual, _floor(see.port))
    times = see.measured("times the median of its kind", own / usual, "times_the_median")
    if times <= see.limit("times_the_median"):
        return None
    counted = "" if "phy_bits_rx" in see.port.by_event else ", of 8 x bytes for want of bits"
    return Seen(
        f"{own:.2g} corrected errors a bit{counted}, {times:.3g} x the median", direction=INTO
    )


def _bits(port: Port) -> int:
    """Bits that came in; 8 x bytes where only these are counted."""
    bits = sum(count.delta or 0 for count in port.by_event.get("phy_bits_rx", ()))
    return bits or 8 * sum(count.delta or 0 for count in port.by_event.get("phy_bytes_rx", ()))


def _corrected(port: Port) -> float | None:
    counts = port.by_event.get("corrected_error", ())
    bits = _bits(port)
    if not counts or not bits or any(count.delta is None for count in counts):
        return None
    return sum(count.delta or 0 for count in counts) / bits


def _floor(port: Port) -> float:
    """The least ratio that could have been seen: one error."""
    return 1 / max(_bits(port), 1)


def upstream_corruption(see: Sight) -> Seen | None:
    """S04: packets marked bad by an earlier hop, over a link that is clean."""
    bad = see.total("remote_physical_error")
    if not bad or see.exactly("symbol_error"):
        return None
    return Seen(f"{bad} packets came in marked bad; no symbol error here", direction="upstream")


def silent_corruption(see: Sight) -> Seen | None:
    """S05: ICRC wrong, CRC right."""
    bad = see.total("icrc_error")
    if not bad or see.exactly("crc_error"):
        return None
    return Seen(f"{bad} packets with a wrong ICRC and no frame with a wrong CRC", direction=INTO)


def pcie_signal(see: Sight) -> Seen | None:
    """S06: PCIe CRC or framing errors, or replays, during the run."""
    bad = see.total("pci_signal")
    return Seen(f"{bad} PCIe errors or replays", direction="host <-> NIC") if bad else None


def pcie_narrow(see: Sight) -> Seen | None:
    """S07: fewer lanes or slower than the device can."""
    width, most = see.number_of("pcie_width"), see.number_of("pcie_width_max")
    speed, fastest = see.number_of("pcie_speed"), see.number_of("pcie_speed_max")
    if width >= most and speed >= fastest:
        return None
    words = f"PCIe x{width:g} at {speed:g} GT/s, where x{most:g} at {fastest:g} GT/s is possible"
    return Seen(words, direction="host <-> NIC")


def carrier_lost(see: Sight) -> Seen | None:
    """T04: a network device lost its carrier."""
    times = see.total("link_down")
    return Seen(f"carrier lost {times} times") if times else None
