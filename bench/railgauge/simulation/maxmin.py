"""How flows share links: max-min fair rates, and when each flow is through.

A rate is max-min fair where it can only grow at the cost of a flow that has no more: every flow has a
*bottleneck*, a full link on which no flow is faster (Bertsekas and Gallager, Data Networks, 2nd
edition, section 6.5.2). Progressive filling finds the rates: all grow together until a link is full,
whose flows then stay as they are. What a link gives to each of its flows only grows from there, so
that a heap of links, put right only at its top, finds the next one that fills up.

This is flow level: latency, packets, PFC and ECN are not in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Routes = NDArray[np.int32]
Numbers = NDArray[np.int32]  # of links, flows, or how many
#: Flows that end within this share of the time at which the first one does end with it.
TOGETHER = 1e-12


def rates(capacity: Floats, routes: Routes) -> Floats:
    """Max-min fair rates of flows, in the unit of `capacity` (GB/s): float64[flows].

    `capacity` is [links], `routes` [flows, hops]: the links that a flow takes, -1 for none; a link
    that stands twice is taken twice. A flow without links gets inf, one over a link of capacity 0
    gets 0. Raises ValueError where a capacity is negative or not finite, or a link is unknown.
    """
    capacity, routes = _checked(capacity, routes)
    found = np.zeros(len(routes))
    _solve(capacity, routes, found)
    return found


def completion(capacity: Floats, routes: Routes, gigabytes: Floats) -> Floats:
    """Seconds after which each flow has sent its `gigabytes`, all starting together: float64[flows].

    Rates are max-min fair between any two completions. A flow that never ends (a link of capacity 0)
    gets inf, one without links or without data 0. Raises ValueError as `rates` does, and for sizes
    that are negative or not finite.
    """
    capacity, routes = _checked(capacity, routes)
    left = np.array(gigabytes, np.float64)
    if left.shape != routes.shape[:1] or not (np.isfinite(left) & (left >= 0)).all():
        raise ValueError(f"gigabytes must be {len(routes)} finite numbers of 0 or more")
    ends = np.full(len(routes), np.inf)
    _complete(capacity, routes, left, ends)
    return ends


def certificate(capacity: Floats, routes: Routes, rates: Floats) -> float:
    """By how much rates are not max-min fair, as a share: 0 where they are; inf where one is NaN.

    The largest over all links of what they carry above their capacity, and over all flows of what
    their best link lacks of being a bottleneck: by how much it is not full, or another of its flows is
    faster. Shares no code with the solver.
    """
    capacity = np.asarray(capacity, np.float64)
    flow, hop = np.nonzero(routes >= 0)
    link = routes[flow, hop]
    held = (routes >= 0).any(axis=1)
    if np.isnan(rates).any() or not np.isposinf(rates[~held]).all() or np.isinf(rates[held]).any():
        return np.inf
    load = np.bincount(link, rates[flow], len(capacity))
    fastest = np.zeros(len(capacity))
    np.maximum.at(fastest, link, rates[flow])
    with np.errstate(divide="ignore", invalid="ignore"):
        over = np.where(load > capacity, load / capacity - 1, 0.0)
        free = np.where(capacity > 0, 1 - load / capacity, 0.0)
        slower = np.where(fastest[link] > 0, 1 - rates[flow] / fastest[link], 0.0)
    short = np.full(len(routes), np.inf)
    np.minimum.at(short, flow, np.maximum(free[link], slower))
    return float(max(over.max(initial=0.0), short[held].max(initial=0.0)))


def _checked(capacity: Floats, routes: Routes) -> tuple[Floats, Routes]:
    capacity = np.ascontiguousarray(capacity, np.float64)
    if not (np.isfinite(capacity) & (capacity >= 0)).all():
        raise ValueError("capacities must be finite numbers of 0 or more")
    if routes.ndim != 2 or routes.dtype.kind != "i":
        raise ValueError("routes must be integers, [flows, hops]")
    if routes.max(initial=-1) >= len(capacity) or routes.min(initial=-1) < -1:
        raise ValueError(f"routes must hold links 0 to {len(capacity) - 1}, or -1")
    return capacity, np.ascontiguousarray(routes, np.int32)


# compiled ---------------------------------------------------------------------------------------------


class Work(NamedTuple):
    """Arrays that a solve works on, kept from one to the next.

    `members[first[link] : first[link] + total[link]]` are the flows of a link, `growing[link]` counts
    those whose rate still grows (zero for all links between two solves), `left[link]` is what the
    settled ones leave to them. `heap` are links in use by `key[link]`, the share that each was last
    seen to give.
    """

    members: Numbers  # [flows * hops]; the others [links]
    first: Numbers
    total: Numbers
    growing: Numbers
    left: Floats
    heap: Numbers
    key: Floats


@njit(cache=True, nogil=True, error_model="numpy")
def _work(links: int, hops: int) -> Work:
    return Work(
        np.empty(hops, np.int32),
        np.empty(links, np.int32),
        np.empty(links, np.int32),
        np.zeros(links, np.int32),
        np.empty(links, np.float64),
        np.empty(links, np.int32),
        np.empty(links, np.float64),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(capacity: Floats, routes: Routes, rate: Floats) -> None:
    flows = np.arange(len(routes)).astype(np.int32)
    _fill(capacity, routes, flows, rate, _work(len(capacity), routes.size))


@njit(cache=True, nogil=True, error_model="numpy")
def _complete(capacity: Floats, routes: Routes, left: Floats, ends: Floats) -> None:
    """Solve, go on to the next completion, solve for the flows that are left, and so on."""
    work = _work(len(capacity), routes.size)
    rate, flows = np.empty(len(routes)), np.arange(len(routes)).astype(np.int32)
    now = 0.0
    while len(flows):
        _fill(capacity, routes, flows, rate, work)
        step = np.inf
        for flow in flows:
            if left[flow] == 0 or rate[flow] == np.inf:
                step = 0.0
            elif rate[flow] > 0:
                step = min(step, left[flow] / rate[flow])
        if step == np.inf:  # what is left stands still for ever
            return
        now += step
        kept = 0
        for flow in flows:
            if rate[flow] == np.inf or rate[flow] * (step + TOGETHER * now) >= left[flow]:
                ends[flow] = now
            else:
                left[flow] -= rate[flow] * step
                flows[kept] = flow
                kept += 1
        flows = flows[:kept]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill(capacity: Floats, routes: Routes, flows: Numbers, rate: Floats, work: Work) -> None:
    """Write `rate` of the `flows`, as if there were no others."""
    heap, key, left, growing = work.heap, work.key, work.left, work.growing
    used = _gather(routes, flows, work)
    for at in range(used):
        link = heap[at]
        left[link] = capacity[link]
        key[link] = left[link] / growing[link]
    for at in range(used // 2 - 1, -1, -1):
        _sink(heap, key, at, used)
    for flow in flows:
        rate[flow] = np.inf
    while used:
        link = heap[0]
        if growing[link]:
            share = left[link] / growing[link]
            if share > key[link]:
                key[link] = share
                _sink(heap, key, 0, used)
                continue
            for at in range(work.first[link], work.first[link] + work.total[link]):
                if rate[work.members[at]] == np.inf:
                    _settle(routes, work.members[at], share, rate, work)
        used -= 1
        heap[0] = heap[used]
        _sink(heap, key, 0, used)


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(routes: Routes, flows: Numbers, work: Work) -> int:
    """Find the members of each link; the first so many of `heap` are those in use."""
    heap, first, growing = work.heap, work.first, work.growing
    used = 0
    for flow in flows:
        for hop in range(routes.shape[1]):
            link = routes[flow, hop]
            if link >= 0:
                if growing[link] == 0:
                    heap[used] = link
                    used += 1
                growing[link] += 1
    end = 0
    for at in range(used):
        link = heap[at]
        work.total[link] = growing[link]
        end += growing[link]
        first[link] = end
    for flow in flows:
        for hop in range(routes.shape[1]):
            link = routes[flow, hop]
            if link >= 0:
                first[link] -= 1
                work.members[first[link]] = flow
    return used


@njit(cache=True, nogil=True, error_model="numpy")
def _settle(routes: Routes, flow: int, share: float, rate: Floats, work: Work) -> None:
    """The flow stays at `share`, which its links no longer have for others."""
    rate[flow] = share
    for hop in range(routes.shape[1]):
        link = routes[flow, hop]
        if link >= 0:
            work.growing[link] -= 1
            work.left[link] = max(work.left[link] - share, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _sink(heap: Numbers, key: Floats, at: int, size: int) -> None:
    """Move the link at `at` down until no child has a smaller key."""
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and key[heap[child + 1]] < key[heap[child]]:
            child += 1
        if key[heap[at]] <= key[heap[child]]:
            return
        heap[at], heap[child] = heap[child], heap[at]
        at = child
