"""Predicates of congestion: who is paused, by whom, and whether that is as it should be."""

from __future__ import annotations

import statistics
from functools import lru_cache

from railgauge_reports.lossless import pause
from railgauge_reports.lossless.catalogue import Severity
from railgauge_reports.lossless.evidence import Evidence, MissingError, Port
from railgauge_reports.lossless.kin import median_of_others
from railgauge_reports.lossless.pause import LONGEST_BITS, Ratio
from railgauge_reports.lossless.rows import Seen
from railgauge_reports.lossless.sight import Sight


def _told(ratio: Ratio) -> str:
    """`12.3 % of the time (priority 3)`."""
    at_most = "at most " if ratio.bound else ""
    which = "all classes" if ratio.priority is None else f"priority {ratio.priority}"
    return f"{at_most}{ratio.value:.2%} of the time ({which})"


def incast_expected(see: Sight) -> Seen | None:
    """S20: pauses at the senders, no loss, fair shares."""
    ratio = see.paused("rx")
    lost = see.exactly("seq_nak_rx", "discard_rx", "priority_discard_rx")
    fairness = see.measured("Jain's index", see.traffic.fairness or 0.0, "fairness")
    if not ratio.value or lost or fairness <= see.limit("fairness"):
        return None
    return Seen(
        f"senders paused for up to {_told(ratio)}, nothing lost, Jain's index {fairness:.3f}"
    )


def healthy(see: Sight) -> Seen | None:
    """S17: marks, CNPs out and in, no pauses, no loss."""
    seen = [see.exactly(event) for event in ("ecn_rx", "cnp_tx", "cnp_rx")]
    lost = see.exactly("seq_nak_rx", "discard_rx", "priority_discard_rx")
    if not all(seen) or lost or see.paused().value >= see.limit("paused"):
        return None
    return Seen(f"{seen[0]} packets marked, {seen[1]} CNPs sent, {seen[2]} handled, nothing lost")


def slow_receiver(see: Sight) -> Seen | None:
    """S19: this host stops its switch, and shows that it cannot drain, or is not stopped itself."""
    frames = see.total("pause_tx", "global_pause_tx")
    if not frames and not see.total("pause_tx_us", "global_pause_tx_us"):
        return None
    stalled = max((c.delta or 0 for c in see.counts("pci_stalled")), default=0)
    marked, full = see.total("priority_marked"), see.total("buffer_threshold")
    why = [f"PCIe stalls writes for {stalled} % of a second"] * (stalled > see.limit("pci_stalled"))
    why += [f"{marked} packets marked by the NIC itself"] * (marked > 0)
    why += [f"receive buffer nearly full {full} times"] * (full > 0)
    sent = pause.worst(see.port, "tx")
    got = pause.worst(see.port, "rx")
    alone = sent is not None and sent.value > see.limit("paused")
    if alone and got is not None and got.value < see.limit("not_paused"):
        why.append("nobody stops it")
    if not why:
        return None
    told = _told(see.paused("tx")) if sent is not None else f"{frames} times"
    priority = sent.priority if sent else None
    return Seen(
        f"it stops its peer for {told}; {', '.join(why)}",
        priority=priority,
        direction="host -> switch",
    )


def backstop(see: Sight) -> Seen | None:
    """S18: marks somewhere, and this port is stopped all the same."""
    marks = see.evidence.sums.get("ecn_rx", 0)
    see.counts("ecn_rx")
    ratio = see.paused("rx")
    if not marks or ratio.value <= see.limit("paused"):
        return None
    return Seen(
        f"paused for {_told(ratio)} though {marks} packets were marked",
        priority=ratio.priority,
        direction="switch -> host",
    )


@lru_cache(maxsize=2)
def _stopping(evidence: Evidence) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """(ports that sent pauses, ports of which that cannot be told)."""
    stopping, untold = [], []
    for port in evidence.fabric:
        counts = [c for e in ("pause_tx", "global_pause_tx") for c in port.by_event.get(e, ())]
        if any(count.delta for count in counts):
            stopping.append(port)
        elif not counts or any(count.delta is None for count in counts):
            untold.append(port)
    return tuple(stopping), tuple(untold)


def fabric_congestion(see: Sight) -> Seen | None:
    """S21: this port is stopped, and whom it sends to stops nobody."""
    ratio = see.paused("rx")
    if ratio.value <= see.limit("paused"):
        return None
    receivers = see.traffic.receivers(see.port.host)
    stopping, untold = _stopping(see.evidence)
    for port, may in ((p, p in untold) for p in (*stopping, *untold)):
        if port.host == see.port.host or (receivers is not None and port.host not in receivers):
            continue
        if may:
            raise MissingError(f"pause_tx of {port.name} on {port.host}, which it sends to")
        return None
    words = f"paused for {_told(ratio)}; no receiver of its flows pauses anybody"
    return Seen(words, priority=ratio.priority, direction="switch -> host")


def victim(see: Sight) -> Seen | None:
    """S22: slower beside the incast than alone, and paused at its source."""
    flow = see.victim
    share = flow.loaded_GBps / flow.isolated_GBps if flow.isolated_GBps > 0 else 0.0
    see.measured("rate beside the congestion over alone", share, "of_alone")
    ratio = see.paused("rx")
    if share >= see.limit("of_alone") or ratio.value <= see.limit("paused"):
        return None
    words = f"{flow.loaded_GBps:.3g} of {flow.isolated_GBps:.3g} GB/s, paused for {_told(ratio)}"
    return Seen(words, priority=ratio.priority, direction="switch -> host")


def storm(see: Sight) -> Seen | None:
    """S23: paused for more than half of a second or longer, by frames that follow without a gap."""
    events = see.total("pause_storm")
    if events:
        return Seen(f"the driver reported {events} stalls or storms", direction="host -> switch")
    for ratio in sorted(pause.of_port(see.port), key=lambda ratio: -ratio.value):
        if ratio.value <= see.limit("paused") or ratio.bound:
            continue
        rate = see.port.rate_Gbps
        if ratio.frames_per_second is None or rate is None:
            raise MissingError("the frames of pause and the line rate, to tell a storm")
        see.paused(ratio.direction)
        fewest = rate * 1e9 / LONGEST_BITS
        see.measured(
            "pause frames a second, over the fewest of a storm", ratio.frames_per_second / fewest
        )
        if ratio.seconds < see.limit("seconds") or ratio.frames_per_second < fewest:
            continue
        side = "host -> switch" if ratio.direction == "tx" else "switch -> host"
        words = f"paused for {_told(ratio)}, {ratio.frames_per_second:.3g} frames a second"
        return Seen(words, priority=ratio.priority, direction=side)
    for direction in pause.DIRECTIONS:
        see.counts(f"pause_{direction}_us", f"global_pause_{direction}_us")
    return None


def ib_drop(see: Sight) -> Seen | None:
    """S25: the port threw packets away while its link was up."""
    dropped = see.total("xmit_discard")
    if not dropped or see.exactly("link_down", "link_recovery"):
        return None
    return Seen(
        f"{dropped} packets were thrown away before they left", direction="this port -> peer"
    )


def _waits(port: Port) -> float | None:
    """Steps of waiting a second."""
    counts = port.by_event.get("xmit_wait")
    return None if counts is None else sum(count.rate or 0.0 for count in counts)


def credit_stall(see: Sight) -> Seen | None:
    """S24: waiting far longer than this port, or ports of its kind, are used to."""
    waits = see.counts("xmit_wait")
    if any(count.delta is None for count in waits):
        raise MissingError(f"port_xmit_wait: {waits[0].note}")
    own = _waits(see.port) or 0.0
    usual = see.evidence.baseline.get(see.port.place)
    if usual is None:
        usual = median_of_others(see.evidence, see.port, _waits, int(see.limit("peers")))
    if usual is None:
        raise MissingError("its usual port_xmit_wait, or that of three ports of the same kind")
    if see.exactly("xmit_discard") or not own:
        return None
    times = see.measured("times the usual wait", own / max(usual, 1.0), "times_the_baseline")
    if times < see.limit("times_the_baseline"):
        return None
    words = f"{own:.3g} steps of waiting a second, {times:.3g} x the usual"
    return Seen(words, direction="this port -> peer")


def paused_without_incast(see: Sight) -> Seen | None:
    """G02: the bands of the pause ratio, where many do not send to one."""
    ratio = see.paused("rx")
    if ratio.value < see.limit("informs"):
        return None
    mild: Severity = "I" if ratio.value < see.limit("warns") else "W"
    severity = mild if ratio.value <= see.limit("paused") else None
    words = f"stopped for {_told(ratio)}: {pause.band(ratio.value)}"
    return Seen(words, severity, priority=ratio.priority, direction="switch -> host")


def incast_goodput(see: Sight) -> Seen | None:
    """G01: a sender below its share of the receiver's port, or unfair shares."""
    ideal = see.traffic.ideal_GBps or 0.0
    rates = [flow.GBps for flow in see.traffic.flows or () if flow.GBps is not None]
    if not rates or not ideal:
        raise MissingError("the rates of the flows")
    share = see.measured(
        "mean rate over the fair share", statistics.fmean(rates) / ideal, "of_ideal"
    )
    fairness = see.measured("Jain's index", see.traffic.fairness or 0.0, "fairness")
    if share >= see.limit("of_ideal") and fairness >= see.limit("fairness"):
        return None
    least = min(flow.GBps or 0.0 for flow in see.traffic.flows or ())
    return Seen(
        f"{len(rates)} flows reach {share:.1%} of their fair share of {ideal:.3g} GB/s in the mean,"
        f" the slowest {least / ideal:.1%}; Jain's index {fairness:.3f}"
    )
