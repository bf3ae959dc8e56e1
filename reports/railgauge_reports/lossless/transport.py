"""Predicates of the transport: losses, timers, receivers that are late, and what sockets show."""

from __future__ import annotations

import statistics

from railgauge_reports.lossless.evidence import Count, MissingError
from railgauge_reports.lossless.loss import cost, timeout_match
from railgauge_reports.lossless.rows import Seen
from railgauge_reports.lossless.sight import Sight

DISCARDS = ("discard_rx", "priority_discard_rx")
LINK_ERRORS = ("crc_error", "uncorrected_error", "receive_error", "symbol_error")


def nic_loss(see: Sight) -> Seen | None:
    """S26: the NIC threw received packets away."""
    lost = see.total(*DISCARDS)
    if not lost:
        return None
    worst = max(see.counts("priority_discard_rx"), key=lambda c: c.delta or 0, default=None)
    priority = worst.kind.priority if worst is not None and worst.delta else None
    return Seen(
        f"{lost} received packets were thrown away", priority=priority, direction="switch -> host"
    )


def reordering(see: Sight) -> Seen | None:
    """S28: out of order, and neither timers nor retransmits, under adaptive routing."""
    if not see.switched("adaptive_routing"):
        return None
    disordered = see.total("oos_rx")
    if not disordered or see.exactly("ack_timeout"):
        return None
    again = see.measured(
        "retransmits of those", see.exactly("retransmits") / disordered, "retransmitted"
    )
    if again > see.limit("retransmitted"):
        return None
    return Seen(f"{disordered} packets out of order, none of them missing")


def fabric_loss(see: Sight) -> Seen | None:
    """S27: losses that neither a NIC nor a link accounts for."""
    lost = see.total("seq_nak_rx", "oos_rx")
    if not lost:
        return None
    drops = ("xmit_discard",) if see.profile == "ib" else DISCARDS
    lacking = [p for p in see.ports if not any(event in p.by_event for event in drops)]
    if lacking:
        raise MissingError(f"{drops[0]} of {lacking[0].name} on {lacking[0].host}")
    if see.exactly(*drops) or see.exactly(*LINK_ERRORS):
        return None
    naks = see.optional("seq_nak_rx")
    spent = cost(naks or lost, see.optional("packets_tx"), see.ports[0].rate_Gbps)
    words = f"{naks} NAKs and {lost - naks} packets out of order, no NIC dropped any"
    return Seen(words + spent)


def tail_loss(see: Sight) -> Seen | None:
    """S29: timers that ran out, and hardly a NAK."""
    late = see.total("ack_timeout")
    if not late:
        return None
    naks = see.exactly("seq_nak_rx")
    if see.measured("NAKs a timeout", naks / late, "naks") > see.limit("naks"):
        return None
    found = (timeout_match(s, see.limit("near")) for s in see.traffic.outliers or ())
    match = next(filter(None, found), "")
    return Seen(
        f"{late} timers ran out{f'; an iteration of {match}' if match else ''}",
        direction="this port -> peer",
    )


def retries_exhausted(see: Sight) -> Seen | None:
    """S30: a queue pair gave up."""
    times = see.total("retry_exceeded")
    if not times:
        return None
    losses = see.optional("seq_nak_rx", "ack_timeout", *DISCARDS)
    how = "under load: look for who loses" if losses else "at once: look at GID, route and firewall"
    return Seen(f"{times} queue pairs gave up, {how}", direction="this port -> peer")


def receiver_not_ready(see: Sight) -> Seen | None:
    """S31: no receive was posted, while the fabric neither marks nor pauses."""
    empty = see.total("no_recv_wqe")
    told = see.evidence.sums.get("rnr_rx", 0)
    if not empty or not told:
        return None
    if see.profile != "ib":
        if "ecn_rx" not in see.port.by_event:
            raise MissingError("ecn_rx")
        if see.exactly("ecn_rx") or see.paused().value >= see.limit("paused"):
            return None
    return Seen(f"no receive was posted for {empty} packets; senders were told so {told} times")


def teardown(see: Sight) -> Seen | None:
    """S32: flushed completions and no other error."""
    flushed, errors = see.total("cqe_flush"), see.exactly("cqe_error")
    if not flushed or errors > flushed:
        return None
    if see.optional("seq_nak_rx", "ack_timeout", "retry_exceeded", "rnr_rx"):
        return None
    return Seen(f"{flushed} completions were flushed")


def rail_imbalance(see: Sight) -> Seen | None:
    """S33: unequal shares of the NICs of a host in a symmetric operation."""
    if not see.traffic.symmetric:
        return None
    here = see.evidence.on([see.port.host])
    kin = [port for port in here if port.kin == see.port.kin]
    sent = {port.name: _sent(port.by_event.get("data_tx", ())) for port in kin}
    if len(sent) < 2 or not sum(sent.values()):
        return None
    varies = statistics.pstdev(sent.values()) / statistics.fmean(sent.values())
    if see.measured("variation over the rails", varies, "variation") <= see.limit("variation"):
        return None
    least = min(sent, key=lambda name: sent[name])
    share = sent[least] / statistics.fmean(sent.values())
    return Seen(f"{len(sent)} NICs vary by {varies:.1%}; {least} carries {share:.1%} of the mean")


def _sent(counts: tuple[Count, ...]) -> int:
    deltas = [count.delta for count in counts if count.delta is not None]
    if not counts or len(deltas) < len(counts):
        raise MissingError("data_tx of every NIC of the host")
    return sum(deltas)


def foreign_traffic(see: Sight) -> Seen | None:
    """S34: data that moved before the first case."""
    counts = (see.evidence.idle or {}).get(see.port.place, ())
    rate = see.port.rate_Gbps or 0.0
    moved = {
        count.name: (count.rate or 0.0)
        for count in counts
        if {"data_tx", "data_rx"} & set(count.kind.canonical)
    }
    name = max(moved, key=lambda key: moved[key])
    share = see.measured(
        f"{name} before the first case, of the line", moved[name] * 8 / 1e9 / rate, "share"
    )
    if share <= see.limit("share"):
        return None
    return Seen(
        f"{moved[name] / 1e9:.3g} GB/s of {name} before the first case, {share:.2%} of the line"
    )


def wrong_path(see: Sight) -> Seen | None:
    """S35: 2 to 6 % of the line, stable, not one error."""
    return _poor(see, ("seq_nak_rx", "discard_rx", "xmit_discard"))


def throttled(see: Sight) -> Seen | None:
    """S36: around 11 % of the line, link and PCIe clean."""
    for port in see.ports:
        width = see.evidence.setting(port, "pcie_width")
        if str(width) != str(see.evidence.setting(port, "pcie_width_max")):
            return None
    return _poor(see, ())


def _poor(see: Sight, losses: tuple[str, ...]) -> Seen | None:
    share = see.measured("bandwidth over the line rate", see.traffic.line_share or 0.0)
    if not see.limit("least") <= share <= see.limit("most") or not see.traffic.stable:
        return None
    if see.exactly(*losses, *LINK_ERRORS):
        return None
    return Seen(f"{share:.1%} of the line rate, steadily, and no error anywhere")


def efa_trouble(see: Sight) -> Seen | None:
    """S37: many retransmits, or remote ends that are impaired or silent."""
    bad = see.total("impaired_remote", "unresponsive_remote")
    if bad:
        return Seen(
            f"{bad} events of impaired or silent remote ends", direction="this port -> peer"
        )
    sent = see.exactly("packets_tx")
    again = see.exactly("retransmits")
    share = see.measured(
        "retransmitted of those sent", again / sent if sent else 0.0, "retransmitted"
    )
    if share <= see.limit("retransmitted"):
        return None
    return Seen(f"{share:.2%} of the packets were sent again", severity="W")


def fair_but_lossy(see: Sight) -> Seen | None:
    """S38: fair shares, losses, no pauses."""
    naks = see.total("seq_nak_rx")
    fairness = see.measured("Jain's index", see.traffic.fairness or 0.0, "fairness")
    if not naks or fairness <= see.limit("fairness") or see.paused().value >= see.limit("paused"):
        return None
    spent = cost(naks, see.optional("packets_tx"), see.ports[0].rate_Gbps)
    return Seen(f"Jain's index {fairness:.4f}, {naks} NAKs, no pauses{spent}")


# sockets ----------------------------------------------------------------------------------------------


def tcp_retransmits(see: Sight) -> Seen | None:
    """T01: segments sent again, of those sent."""
    again, sent = see.total("tcp_retransmits"), see.exactly("tcp_segments_out")
    share = see.measured("retransmitted segments", again / sent if sent else 0.0, "retransmitted")
    if share <= see.limit("retransmitted"):
        return None
    return Seen(f"{again} of {sent} segments were sent again ({share:.2%})")


def incast_over_sockets(see: Sight) -> Seen | None:
    """T03: the same in an incast whose data can go nowhere but over sockets."""
    if see.evidence.on([see.port.host]):
        return None
    return tcp_retransmits(see)


def ce_marks(see: Sight) -> Seen | None:
    """T02: packets that came in marked."""
    marks = see.total("ip_ce_marks")
    return Seen(f"{marks} packets came in marked") if marks else None
