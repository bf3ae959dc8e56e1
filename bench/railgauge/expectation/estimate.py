"""How fast an algorithm can be on a shape: the bound with the resource that binds, and the time curve.

time(nbytes) = alpha + beta: steps times their latency, and bytes over bandwidth. The bound takes every
resource at its line rate and no latency at all, so nothing measured exceeds it.
"""

# ruff: noqa: N802, N803, N806  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from railgauge.cluster import Cluster
from railgauge.expectation.algorithms import FORMS, WINDOWED
from railgauge.expectation.forms import Form
from railgauge.expectation.nccl_tuning import (
    GENERATIONS,
    NIC_SHARE,
    PCIE_SHARE,
    Prediction,
    nvlink_share,
    predictions,
)
from railgauge.expectation.shape import Shape
from railgauge.operations import operation_named
from railgauge.units import GIGA

Values = npt.NDArray[np.float64]
#: Links on the way of a step between islands: up to a leaf, down from it; one more level above leaves.
_HOPS_UNDER_LEAF, _HOPS_ABOVE = 2, 4


@dataclasses.dataclass(frozen=True)
class Need:
    """A resource, its line rate, and the bytes that go through it for each byte of nbytes.

    `share` is what of that rate a healthy machine reaches.
    """

    resource: str
    words: str
    GBps: float
    bytes_each: float
    share: float = 1.0

    @property
    def algbw_GBps(self) -> float:
        """algbw that this resource allows."""
        return self.GBps / self.bytes_each


@dataclasses.dataclass(frozen=True)
class Curve:
    """Seconds of a line of the estimate, alpha and beta apart; float64 [sizes]."""

    alpha: Values
    beta: Values


@dataclasses.dataclass(frozen=True)
class Line:
    """One way to run an algorithm (NCCL: a protocol): its curve over sizes in bytes."""

    protocol: str
    model: str
    curve: Callable[[Values], Curve]


@dataclasses.dataclass(frozen=True)
class Estimate:
    """One algorithm of an operation on a shape.

    `factor` is busbw / algbw. `scale` turns the time of a rank's message into that of one transfer, as
    the operation counts them. `lines` is empty where only the bound is known.
    """

    operation: str
    shape: Shape
    form: Form
    needs: tuple[Need, ...]
    lines: tuple[Line, ...]
    factor: float
    scale: float = 1.0

    @property
    def binding(self) -> Need:
        """The resource that allows least."""
        return min(self.needs, key=lambda need: need.algbw_GBps)

    @property
    def bound_algbw_GBps(self) -> float:
        return self.binding.algbw_GBps / self.scale

    @property
    def bound_GBps(self) -> float:
        """The bound of busbw."""
        return self.bound_algbw_GBps * self.factor

    def floor_seconds(self, nbytes: Values) -> Values:
        """The time that no run can fall below: bytes at the line rates."""
        return nbytes / (self.bound_algbw_GBps * GIGA)

    def per_nic_GBps(self, busbw_GBps: float) -> float:
        """What each NIC of an island carries in one direction at that busbw; 0 where none does."""
        moved = self.form.outside(self.shape) / self.shape.nics
        return busbw_GBps / self.factor * self.scale * max(moved, self.form.own(self.shape))


def estimates(cluster: Cluster, operation: str, shape: Shape) -> tuple[Estimate, ...]:
    """Every algorithm that exists there, in the table's order; () for a single rank."""
    entry = operation_named(operation)
    if shape.ranks < 2:
        return ()
    found = []
    for form in FORMS.get(operation, ()):
        if form.lacks(shape):
            continue
        needs = tuple(_needs(cluster, form, shape))
        if not needs:
            continue
        one = Estimate(
            operation=operation,
            shape=shape,
            form=form,
            needs=needs,
            lines=(),
            factor=entry.bus_factor(shape.ranks),
            scale=entry.bus_factor(shape.ranks) if operation in WINDOWED else 1.0,
        )
        bound_alone = operation in WINDOWED or shape.open
        lines = () if bound_alone else tuple(_lines(cluster, one))
        found.append(dataclasses.replace(one, lines=lines))
    return tuple(found)


def _needs(cluster: Cluster, form: Form, s: Shape) -> Iterator[Need]:
    """Every resource that the form uses."""
    inside, outside, own = form.inside(s), form.outside(s), form.own(s)
    if inside and s.nvlink_GBps is not None:
        words = f"NVLink of a GPU: {s.nvlink_GBps:g} GB/s in one direction"
        share = nvlink_share(cluster.node.nvlink_generation)
        yield Need("NVLink", words, s.nvlink_GBps, inside, share)
    over_pcie = max(outside / s.smallest, own) + (inside if s.nvlink_GBps is None else 0)
    if over_pcie and s.pcie_GBps is not None:
        words = f"PCIe of a GPU: {s.pcie_GBps:g} GB/s in one direction"
        yield Need("PCIe", words, s.pcie_GBps, over_pcie, PCIE_SHARE)
    rate = s.nic_GBps
    if outside and not own:
        each = f"{s.nics} NICs" if s.nics > 1 else "1 NIC"
        words = f"{each} of {s.island} x {rate * 8:g} Gb/s / 8 = {s.nics * rate:g} GB/s"
        yield Need("NICs", words, s.nics * rate, outside, NIC_SHARE)
    if own:
        words = f"the NICs of one rank: {s.own_GBps * 8:g} Gb/s / 8 = {s.own_GBps:g} GB/s"
        yield Need("NIC of a rank", words, s.own_GBps, own, NIC_SHARE)
    for cut in s.cuts:
        if crossing := form.crossing(s, cut.ranks):
            yield Need(cut.name, cut.words, cut.GBps, crossing, NIC_SHARE)


def _lines(cluster: Cluster, one: Estimate) -> Iterator[Line]:
    """NCCL's prediction where it has one, else the closed form with the cluster's own latencies."""
    told = predictions(cluster.node.nvlink_generation, one.operation, one.form.nccl, one.shape)
    if not told:
        yield Line("", "closed form", _closed(cluster, one))
    for prediction in told:
        yield Line(prediction.protocol, "NCCL", _predicted(one, prediction))


def _closed(cluster: Cluster, one: Estimate) -> Callable[[Values], Curve]:
    """alpha: launch and steps; beta: phases after one another, or the slowest of them."""
    node, fabric, s = cluster.node, cluster.fabric, one.shape
    hops = _HOPS_UNDER_LEAF + _HOPS_ABOVE * (s.nodes > fabric.leaf_nodes)
    inside, between = one.form.steps(s)
    step = fabric.step_seconds + hops * fabric.hop_seconds
    alpha = node.launch_seconds + inside * node.nvlink_seconds + between * step
    each = [need.bytes_each / (need.GBps * need.share * GIGA) for need in one.needs]
    seconds = max(each)
    if not one.form.overlapped:
        at_home = {"NVLink", "PCIe"} if s.nvlink_GBps is None else {"NVLink"}
        pairs = list(zip(one.needs, each, strict=True))
        home = max((t for need, t in pairs if need.resource in at_home), default=0.0)
        seconds = home + max((t for need, t in pairs if need.resource not in at_home), default=0.0)

    def curve(nbytes: Values) -> Curve:
        return Curve(np.full_like(nbytes, alpha), nbytes * seconds)

    return curve


def _predicted(one: Estimate, told: Prediction) -> Callable[[Values], Curve]:
    """NCCL's own prediction, at most as fast as what binds was ever seen to carry."""
    most = min(need.algbw_GBps * need.share for need in one.needs)

    def curve(nbytes: Values) -> Curve:
        alpha, algbw_GBps = told.at(nbytes)
        return Curve(alpha, nbytes / (np.minimum(algbw_GBps, most) * GIGA))

    return curve


def has_nccl_model(cluster: Cluster) -> bool:
    """Whether NCCL's constants are known for its GPUs."""
    return cluster.node.nvlink_GBps is not None and cluster.node.nvlink_generation in GENERATIONS
