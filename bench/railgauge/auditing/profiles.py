"""What a fabric is meant to be: as asked, as a site says, or as most of what was read shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from railgauge.auditing.checks import Asked
from railgauge.auditing.manifest import Manifest
from railgauge.auditing.records import Read, Taken

DEFAULT_PRIORITIES = (3,)


def asked_for(
    taken: Sequence[Taken], profile: str, priorities: tuple[int, ...], manifest: Manifest
) -> tuple[Asked, str]:
    """The profile and its lossless priorities, and why it is that profile."""
    because = "as asked"
    if profile == "auto" and manifest.profile:
        profile, because = manifest.profile, "the manifest says so"
    elif profile == "auto":
        profile, because = _seen(taken)
    chosen = priorities or manifest.priorities or _protected(taken) or DEFAULT_PRIORITIES
    return Asked(profile, tuple(sorted(chosen)), manifest), because


def _reads(taken: Sequence[Taken], check: str) -> Iterable[Read]:
    return (r for t in taken for r in t.reads if r.check == check)


def _most(values: Iterable[Any]) -> Any:
    counted = Counter(values).most_common(1)
    return counted[0][0] if counted else None


def _known(taken: Sequence[Taken], check: str) -> list[Any]:
    return [r.value for r in _reads(taken, check) if not r.unknown and not r.inapplicable]


def _protected(taken: Sequence[Taken]) -> tuple[int, ...]:
    """Priorities that PFC protects on most devices."""
    made: tuple[int, ...] | None = _most(tuple(v) for v in _known(taken, "pfc") if v)
    return made or ()


def _seen(taken: Sequence[Taken]) -> tuple[str, str]:
    layer = _most(_known(taken, "link_layer"))
    if layer is None:
        return "none", "no RDMA port was found"
    if layer == "InfiniBand":
        return "ib", "the link layer is InfiniBand"
    if layer != "Ethernet":  # EFA is of no layer: the kernel shows `Unknown`
        return "efa", f"the link layer is {layer}"
    pfc = _known(taken, "pfc")
    if any(pfc):
        return "roce-lossless", "PFC is on"
    if not pfc:
        return "roce-lossless", "RoCE, and whether PFC is on is unknown: the strictest profile"
    enabled = [v for check in ("ecn_np", "ecn_rp") for v in _known(taken, check)]
    if any(on for value in enabled for on in value.values()):
        return "roce-ecn-only", "RoCE with ECN on and PFC off"
    return "roce-lossy", "RoCE, PFC off everywhere, and no ECN seen"
