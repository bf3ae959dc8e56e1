"""Predicates of what is set: PFC, classes, ECN, MTU, judged by what the counters show of it."""

from __future__ import annotations

import statistics
from collections import Counter
from functools import lru_cache

from railgauge_reports.lossless.evidence import Evidence, MissingError, priorities
from railgauge_reports.lossless.rows import Seen
from railgauge_reports.lossless.sight import Sight
from railgauge_reports.nodes import Setting

LOSSLESS = "roce-lossless"


def pfc_off(see: Sight) -> Seen | None:
    """S08: the host does not take the pauses that the fabric is declared, or seen, to send."""
    enabled, wanted = see.priorities_of("pfc"), see.lossless_priority()
    if wanted in enabled:
        return None
    if see.profile != LOSSLESS:
        if "pause_wire_rx" not in see.port.by_event:
            raise MissingError("pause_wire_rx")
        if not see.total("pause_wire_rx"):
            return None
    sent = see.optional("pause_wire_rx")
    words = f"PFC is on for {_names(enabled)} and not for priority {wanted}"
    seen = f"; {sent} pauses came in" if sent else ""
    return Seen(words + seen, priority=wanted, direction="switch -> host")


def _names(enabled: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(enabled))) or "no priority"


def global_pause(see: Sight) -> Seen | None:
    """S09: 802.3x pauses where PFC is meant."""
    if see.profile != LOSSLESS and not see.priorities_of("pfc"):
        return None
    got, sent = see.total("global_pause_rx"), see.total("global_pause_tx")
    if not got and not sent:
        return None
    side = "host -> switch" if sent > got else "switch -> host"
    times = see.total("global_pause_rx_us", "global_pause_tx_us")
    lasted = f", {times / 1e6:.3g} s of pause" if times else ""
    return Seen(f"{got} global pauses came in and {sent} went out{lasted}", direction=side)


def wrong_class(see: Sight) -> Seen | None:
    """S10: RDMA bytes beyond those that the intended priority carried, at least."""
    wanted = see.lossless_priority()
    rdma = see.exactly("rdma_bytes_tx")
    right = see.exactly("priority_bytes_tx", priority=wanted)
    if not rdma:
        return None
    share = see.measured("share in other priorities", max(0, rdma - right) / rdma, "wrong_share")
    if share <= see.limit("wrong_share"):
        return None
    sent = {c.kind.priority: c.delta or 0 for c in see.counts("priority_bytes_tx")}
    sent.pop(wanted, None)
    other = max(sent, key=lambda q: sent[q], default=None)
    where = "" if other is None else f", most of it in priority {other}"
    words = f"at least {share:.1%} of the RDMA bytes left outside priority {wanted}{where}"
    return Seen(words, priority=other, direction="host -> switch")


def other_priority(see: Sight) -> Seen | None:
    """S11: pauses for other priorities, none for the intended one."""
    wanted = see.lossless_priority()
    counts = see.counts("pause_rx")
    if wanted not in {count.kind.priority for count in counts}:
        raise MissingError(f"pause_rx of priority {wanted}")
    others = {c.kind.priority: c.delta for c in counts if c.delta and c.kind.priority != wanted}
    if not others or see.exactly("pause_rx", priority=wanted):
        return None
    worst = max(others, key=lambda q: others[q])
    words = f"{sum(others.values())} pauses for other priorities, none for {wanted}"
    return Seen(words, priority=worst, direction="switch -> host")


def no_ecn(see: Sight) -> Seen | None:
    """S12: pauses, and neither marks nor CNPs on any host."""
    ratio = see.paused("rx")
    if ratio.value <= see.limit("paused") or see.exactly("ecn_rx", "cnp_tx"):
        return None
    return Seen(
        f"a port is paused for {_at_most(ratio.bound)}{ratio.value:.2%} of the time, no mark"
    )


def _at_most(bound: bool) -> str:
    return "at most " if bound else ""


def np_off(see: Sight) -> Seen | None:
    """S13: marks in, no CNP out."""
    marks = see.total("ecn_rx")
    if not marks or see.exactly("cnp_tx"):
        return None
    words = f"{marks} marked packets came in and no CNP went out"
    return Seen(words, priority=_intended(see), direction="receiver -> sender")


def rp_off(see: Sight) -> Seen | None:
    """S14: CNPs that are ignored, or that change no rate."""
    ignored = see.total("cnp_ignored")
    if ignored:
        words = f"{ignored} CNPs were ignored"
        return Seen(words, priority=_intended(see), direction="receiver -> sender")
    rates = see.evidence.sampled.get(see.port.place, ())
    got = see.optional("cnp_rx")
    if not got or len(rates) < 2 or not statistics.fmean(rates):
        return None
    varies = statistics.pstdev(rates) / statistics.fmean(rates)
    if see.measured("variation of the sampled rate", varies, "steady_rate") > see.limit(
        "steady_rate"
    ):
        return None
    return Seen(f"{got} CNPs came in and the rate stayed", direction="receiver -> sender")


def _intended(see: Sight) -> int | None:
    """The lossless priority where it is known: for the words alone."""
    found = priorities(see.evidence.setting(see.port, "lossless_priority"))
    return min(found) if found else None


def cnps_lost(see: Sight) -> Seen | None:
    """S15: fewer CNPs handled than sent, over all hosts."""
    sent, got = see.exactly("cnp_tx"), see.exactly("cnp_rx")
    if sent < see.limit("fewest"):
        return None
    share = see.measured("CNPs handled of those sent", got / sent, "arrived")
    if share >= see.limit("arrived"):
        return None
    return Seen(f"{got} of {sent} CNPs were handled")


def mtu_mismatch(see: Sight) -> Seen | None:
    """S16: packets larger than the port takes, or an MTU that is not the others'."""
    dropped = see.total("mtu_drop")
    own = see.evidence.setting(see.port, "mtu")
    usual = _usual_mtu(see.evidence)
    differs = own is not None and usual is not None and str(own) != usual
    if own is not None:
        see.setting("mtu")
    if not dropped and not differs:
        return None
    words = [f"{dropped} packets were larger than the port takes"] if dropped else []
    words += [f"MTU {own} here, {usual} at the others"] if differs else []
    return Seen("; ".join(words), direction="peer -> this port")


@lru_cache(maxsize=2)
def _usual_mtu(evidence: Evidence) -> str | None:
    """The MTU of most ports."""
    found: list[Setting] = [evidence.setting(port, "mtu") for port in evidence.fabric]
    counted = Counter(str(value) for value in found if value is not None)
    return counted.most_common(1)[0][0] if counted else None
