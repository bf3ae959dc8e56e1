"""NCCL's own model of its time, by which it chooses algorithm and protocol: constants and arithmetic.

Read at NCCL 2.30.7 (github.com/NVIDIA/nccl, commit 5067397c): src/graph/tuning.cc (ncclTopoTuneModel,
ncclTopoGetAlgoTime), src/graph/topo.h (bandwidth of a link), src/graph/search.cc (speeds of a channel).
Its bandwidths are fits to NVIDIA's machines: they lie below the line rates and near published results.

What differs here, because a file of a cluster does not say it: the search for channels is replaced by
what it finds where every GPU has its NIC; bandwidths are not rounded to the speeds that NCCL tries;
the low-latency cap between nodes is the smaller of both vendors' processors; corrections of trees are
interpolated between powers of two, where NCCL jumps; CollNet (SHARP) is left out.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from railgauge.expectation.shape import Shape

Values = npt.NDArray[np.float64]
VERSION = "2.30.7"
MICROSECOND = 1e-6
PROTOCOLS = ("LL", "LL128", "Simple")


class Generation(NamedTuple):
    """Constants of a GPU generation, keyed by its NVLink: GB/s, for 1, 2 and more islands where three.

    `link` is what NCCL counts for one link, of which the wire carries `wire`; `links` are those of the
    SXM board. `speeds` are those of a channel that the search tries on one node. Caps are per channel.
    """

    name: str
    links: int
    link: float
    wire: float
    speeds: tuple[float, ...]
    nvls_efficiency: float
    ll_cap: float  # on one node, of all channels
    ring_ll128: tuple[float, float, float]
    tree_ll128: tuple[float, float, float]
    tree: tuple[float, float, float]
    nvls_tree: tuple[float, float, float]
    plateau: float  # of a ring between nodes


_SPEEDS = (40.0, 30.0, 20.0, 18.0, 15.0, 12.0, 10.0, 9.0, 7.0, 6.0, 5.0, 4.0, 3.0)
#: NVLink generation -> constants.
GENERATIONS = {
    2: Generation(
        "Volta", 6, 20.0, 25.0, _SPEEDS, 0.0, 39.0,
        (20.0, 20.0, 20.0), (20.0, 20.0, 20.0), (26.5, 18.5, 10.0), (26.5, 18.5, 10.0), 1.9,
    ),
    3: Generation(
        "Ampere", 12, 20.0, 25.0, _SPEEDS, 0.0, 87.7,
        (20.0, 20.0, 20.0), (20.0, 20.0, 20.0), (24.0, 23.6, 17.8), (24.0, 23.6, 17.8), 1.4,
    ),
    4: Generation(
        "Hopper", 18, 20.6, 25.0,
        (60.0, 50.0, 40.0, 30.0, 24.0, 20.0, 15.0, 12.0, 11.0, 6.0, 3.0), 0.85, 141.0,
        (36.7, 36.7, 36.7), (36.7, 36.7, 29.0), (38.7, 41.4, 36.0), (0.0, 57.7, 45.5), 1.4,
    ),
    5: Generation(
        "Blackwell", 18, 40.1, 50.0,
        (90.0, 80.0, 70.0, 60.0, 50.0, 45.0, 40.0, 30.0, 24.0, 20.0, 19.0, 18.0), 0.74, 282.0,
        (40.0, 40.0, 40.0), (55.6, 31.67, 20.0), (70.0, 42.8, 24.0), (0.0, 96.0, 80.0), 1.4,
    ),
}  # fmt: skip
#: Low-latency caps between 2 and between more islands: the smaller of Intel's and AMD's rows.
LL_CAP_BETWEEN = (22.5, 19.0)
#: Microseconds: of a start by algorithm, then of a step inside and between islands; LL, LL128, Simple.
BASE = {"TREE": (6.8, 14.0, 8.4), "RING": (6.6, 14.0, 8.4), "PAT": (8.0, 8.0, 8.0)}
STEP_NVLINK = {
    "TREE": (0.6, 1.25, 4.0), "RING": (0.6, 1.9, 3.4), "PAT": (0, 0, 4.0),
    "NVLS": (0, 0, 25.0), "NVLS_TREE": (0, 0, 25.0),
}  # fmt: skip
STEP_NETWORK = {
    "TREE": (5.0, 8.5, 14.0), "RING": (2.7, 4.0, 14.0), "PAT": (0, 0, 14.0),
    "NVLS_TREE": (0, 0, 20.9),
}  # fmt: skip
POST = 1.0  # us to post a message to a NIC on Intel's processors; 2 on AMD's
#: Trees against the model, at 64 B, 128 B ... 512 MiB; LL, LL128, Simple.
TREE_CORRECTION = (
    (
        1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5,
        0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.0, 1.0, 1.0, 1.0,
    ),
    (
        1.0, 1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.8, 0.8, 0.7, 0.6, 0.6,
        0.6, 0.6, 0.6, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9, 1.0, 1.0, 1.0,
    ),
    (
        0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9, 0.8, 0.7, 0.6, 0.6, 0.5,
        0.5, 0.5, 0.5, 0.6, 0.7, 0.8, 0.7, 0.7, 0.8, 0.9, 0.9, 0.9,
    ),
)  # fmt: skip
MOST_CHANNELS = 32  # of a graph: half of MAXCHANNELS (src/include/device.h)
MOST_HEADS = 32  # of NVLS: NCCL_MAX_NVLS_ARITY (src/include/device.h)
#: NCCL counts 12 GB/s for 100 Gb/s, 24 for 200, 48 for 400 and 96 for 800 (topo.h, search.cc).
NIC_SHARE = 0.96
#: And 12 GB/s for PCIe 3.0 x16 (topo.h: PCI_BW), whose packets of 256 bytes carry 14.4.
PCIE_SHARE = 0.83
#: For NVLinks of an unknown generation: a ring takes about 80 % of one direction.
NVLINK_SHARE = 0.8
#: NVLS where a domain has more than 8 GPUs: NCCL's own figure is of 8. 840 GB/s of 72 GPUs, published with
#: 2.26.2 (github.com/coreweave/nccl-tests), are 0.62 of what its form gives at NCCL's rate of a link.
LARGE_DOMAIN_EFFICIENCY = 0.62
SMALL_DOMAIN = 8


def nvlink_share(generation: int | None) -> float:
    """What NCCL counts of the line rate of NVLink."""
    constants = GENERATIONS.get(generation or 0)
    return constants.link / constants.wire if constants else NVLINK_SHARE


class Graph(NamedTuple):
    """Channels, and GB/s of each inside and between islands."""

    channels: int
    intra: float
    inter: float


@dataclasses.dataclass(frozen=True)
class Prediction:
    """NCCL's latency (us) and bandwidth (GB/s of algbw) for one protocol."""

    protocol: str
    latency: float
    algbw_GBps: float  # noqa: N815  (a unit)
    correction: tuple[float, ...] = ()
    plateau: float = 1.0
    plateau_from: float = 0.0

    def at(self, nbytes: Values) -> tuple[Values, Values]:
        """Seconds of latency, and GB/s, for sizes in bytes."""
        raised = np.where(nbytes >= self.plateau_from, self.plateau, 1.0)
        rate = np.full_like(nbytes, self.algbw_GBps)
        if self.correction:
            doublings = np.log2(np.maximum(nbytes, 64.0) / 64)
            rate *= np.interp(doublings, np.arange(len(self.correction)), self.correction, right=1)
        return self.latency * MICROSECOND * raised, rate


def predictions(
    generation: int | None, operation: str, algorithm: str, s: Shape
) -> tuple[Prediction, ...]:
    """A prediction a protocol, by NCCL's name of the algorithm; () where NCCL's model has none."""
    constants = GENERATIONS.get(generation or 0)
    if constants is None or s.nvlink_GBps is None or algorithm not in STEP_NVLINK:
        return ()
    total = s.nvlink_GBps * constants.link / constants.wire
    graph = _graph(constants, algorithm, total, s)
    where = min(s.islands, 3) - 1
    found = []
    for at, protocol in enumerate(PROTOCOLS):
        if not STEP_NVLINK[algorithm][at]:
            continue
        rate = _busbw(constants, operation, algorithm, at, graph, s) * _ratio(
            operation, algorithm, s
        )
        if rate <= 0:
            continue
        ring = algorithm == "RING" and operation == "all_reduce" and at == 2 and where > 0
        x86 = constants.name == "Blackwell" and s.inside <= SMALL_DOMAIN
        tree = algorithm == "TREE" or (algorithm == "NVLS_TREE" and x86)
        correction = TREE_CORRECTION[at] if tree and operation == "all_reduce" else ()
        found.append(
            Prediction(
                protocol,
                _latency(operation, algorithm, at, s),
                rate,
                correction[: 23 + (algorithm != "TREE")],
                constants.plateau if ring else 1.0,
                64.0 * 2 * graph.channels * s.ranks if ring else 0.0,
            )
        )
    return tuple(found)


def _graph(constants: Generation, algorithm: str, total: float, s: Shape) -> Graph:
    """The channels that NCCL's search is taken to find; `total` GB/s of NVLink a GPU."""
    nics = s.nics * s.nic_GBps * NIC_SHARE
    if algorithm in ("NVLS", "NVLS_TREE"):
        heads = min(s.inside, MOST_HEADS)  # a channel's head carries its part twice (search.cc)
        return Graph(heads, total / (heads + 1), nics / heads)
    if s.islands == 1:
        fits = [(int(total / speed), speed) for speed in constants.speeds if speed <= total]
        channels, speed = max(fits, key=lambda f: f[0] * f[1], default=(1, total))
        channels = _doubled(constants, min(channels, MOST_CHANNELS), speed)
        return Graph(channels, total / channels, total / channels)
    channels = _doubled(constants, min(s.nics, MOST_CHANNELS), s.nic_GBps * NIC_SHARE)
    inter = min(nics, total) if s.inside > 1 else nics
    intra = min(total, 2 * inter) if s.inside > 1 else inter
    intra = inter if algorithm == "RING" else intra
    return Graph(channels, intra / channels, inter / channels)


def _doubled(constants: Generation, channels: int, speed: float) -> int:
    """Fast channels are split in two (ncclTopoDupChannels)."""
    newer = constants.name in ("Hopper", "Blackwell")
    if speed < 25 or (newer and speed < 50 and channels > 4):
        return channels
    return min(2 * channels, MOST_CHANNELS)


def _busbw(
    c: Generation, operation: str, algorithm: str, protocol: int, graph: Graph, s: Shape
) -> float:
    """NCCL's bus bandwidth of all channels, GB/s."""
    where, channels = min(s.islands, 3) - 1, graph.channels
    rate = graph.intra if s.islands <= 2 else graph.inter
    if algorithm in ("NVLS", "NVLS_TREE"):
        return _nvls(c, operation, algorithm, graph, s)
    busbw = channels * rate
    cap = c.ll_cap if s.islands == 1 else LL_CAP_BETWEEN[where - 1]
    if algorithm == "RING":
        if protocol == 0:
            return min(cap, busbw * 0.5)
        return min(busbw * 0.92, channels * c.ring_ll128[where]) if protocol == 1 else busbw
    if algorithm == "TREE":
        busbw = min(busbw * 0.92, channels * c.tree[where])
        if protocol == 0:
            return min(busbw / 3.8, cap)
        if protocol == 1:
            carried = 7 / 9 if s.islands == 1 else 120 / 128
            return min(busbw * carried, channels * c.tree_ll128[where])
        return busbw
    return busbw * 0.75  # PAT


def _nvls(c: Generation, operation: str, algorithm: str, graph: Graph, s: Shape) -> float:
    channels, where = graph.channels, min(s.islands, 3) - 1
    if channels < 2:
        return 0.0
    efficiency = c.nvls_efficiency if s.inside <= SMALL_DOMAIN else LARGE_DOMAIN_EFFICIENCY
    intra = graph.intra * efficiency * (channels - 1) / channels
    intra *= 2 if operation == "all_reduce" else but_own(s.inside)
    if algorithm == "NVLS":
        return channels * intra
    inter = graph.inter * (2 if s.islands <= 2 else 1)
    return channels * min(intra, inter, c.nvls_tree[where])


def but_own(inside: int) -> float:
    """(n - 1) / n of the ranks inside."""
    return (inside - 1) / inside


def _ratio(operation: str, algorithm: str, s: Shape) -> float:
    """algbw over NCCL's bus bandwidth."""
    if operation in ("all_gather", "reduce_scatter"):
        return s.ranks / (s.ranks - 1) if algorithm == "RING" else 1.0
    if algorithm == "TREE":
        return 0.5
    return s.ranks / (2 * (s.ranks - 1)) if operation == "all_reduce" else 1.0


def _latency(operation: str, algorithm: str, at: int, s: Shape) -> float:
    """Microseconds without a byte."""
    base = BASE.get(algorithm, (0.0, 0.0, 0.0))[at]
    near = STEP_NVLINK[algorithm][at]
    alone = s.ranks == s.islands  # one GPU a node: the network is fully exposed
    far = (STEP_NETWORK["TREE" if alone else algorithm][at]) if s.islands > 1 else 0.0
    rounds = (s.islands).bit_length() - 1  # log2, rounded down as NCCL's log2i
    if algorithm == "RING":
        if operation in ("broadcast", "reduce"):
            simple_tree = STEP_NETWORK["TREE"] if s.islands > 1 else STEP_NVLINK["TREE"]
            step = simple_tree[at] if at == 2 else (far or near)
            return base + s.ranks * step
        times = 2 if operation == "all_reduce" else 1
        hops = times * (s.islands - 1)
        post = POST * (3 if at == 2 else 1) if s.islands > 1 else 0.0
        return base + (times * (s.ranks - 1) - hops) * max(near, post) + hops * far
    if algorithm == "TREE":
        return base + 2 * ((s.ranks // s.islands - 1) * near + rounds * far)
    if algorithm == "PAT":
        return base + rounds * far / 3.5 + s.ranks * 2.8
    return near + 2 * rounds * far
