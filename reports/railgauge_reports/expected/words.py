"""The arithmetic behind an expectation, in sentences."""

from __future__ import annotations

from railgauge.expectation.estimate import Estimate, Need
from railgauge.expectation.nccl_tuning import GENERATIONS, VERSION
from railgauge_reports.expected.question import Question


def explanation(question: Question, estimate: Estimate) -> tuple[str, ...]:
    """Who takes part, what each resource allows, which binds, and where the times are from."""
    needs = sorted(estimate.needs, key=lambda need: need.algbw_GBps)
    told = [who(question), f"{estimate.form.name}: {estimate.form.summary}"]
    told += [arithmetic(need, estimate) for need in needs]
    told.append(bound(estimate))
    if data := _headers(question, estimate):
        told.append(data)
    told.append(_source(question, estimate))
    return tuple(told)


def who(question: Question) -> str:
    """`4 nodes of 8 GPUs, 32 ranks`; of a pattern, the group."""
    s, node = question.shape, question.cluster.node
    each = question.ranks // question.nodes
    gpus = f"{each} GPUs" if each != node.gpus else f"{node.gpus} GPUs each"
    text = f"{question.nodes} nodes, {gpus}" if question.nodes > 1 else f"1 node, {each} GPUs"
    if s.pattern != "world":
        return f"{text}; {s.pattern}: groups of {s.ranks} ranks, all at the same time"
    if s.islands < question.nodes:
        domains = "one NVLink domain" if s.islands == 1 else f"{s.islands} NVLink domains"
        return f"{text}, {s.ranks} ranks in {domains} of up to {s.inside}"
    return f"{text}, {s.ranks} ranks"


def arithmetic(need: Need, estimate: Estimate) -> str:
    """`8 NICs x 400 Gb/s / 8 = 400 GB/s; 1.94 B a byte: 206 GB/s algbw, 400 GB/s busbw`."""
    algbw = need.algbw_GBps / estimate.scale
    return (
        f"{need.resource}: {need.words}; {figure(need.bytes_each)} B go there for each byte:"
        f" {figure(algbw)} GB/s algbw, {figure(algbw * estimate.factor)} GB/s busbw"
    )


def bound(estimate: Estimate) -> str:
    """The bound and what sets it."""
    return (
        f"bound: {figure(estimate.bound_GBps)} GB/s busbw, by {estimate.binding.resource}"
        f" (busbw = algbw x {figure(estimate.factor)})"
    )


def per_nic(estimate: Estimate, busbw_GBps: float) -> str:  # noqa: N803  (a unit)
    """What a busbw means for one NIC; "" where no NIC takes part."""
    s, each = estimate.shape, estimate.per_nic_GBps(busbw_GBps)
    if not each:
        return ""
    return (
        f"{figure(busbw_GBps)} GB/s busbw by {estimate.form.name} over {s.islands} islands of {s.inside}"
        f" are {figure(busbw_GBps / estimate.factor)} GB/s algbw and {figure(each)} GB/s in each"
        f" {s.nic_GBps * 8:g} Gb/s NIC"
    )


def _headers(question: Question, estimate: Estimate) -> str:
    share = question.shape.data_share
    if estimate.binding.resource not in ("NICs", "NIC of a rank") or share >= 1:
        return ""
    node = question.cluster.node
    return (
        f"{share:.1%} of it can be data ({node.link_layer} headers, MTU {node.mtu}):"
        f" {figure(estimate.bound_GBps * share)} GB/s"
    )


def _source(question: Question, estimate: Estimate) -> str:
    models = {line.model for line in estimate.lines}
    if not models:
        why = question.shape.open
        return "no time: only the bound is known" + (f", {why}" if why else "")
    if "NCCL" in models:
        generation = question.cluster.node.nvlink_generation or 0
        name = GENERATIONS[generation].name
        return f"times: NCCL {VERSION}'s own model (src/graph/tuning.cc), constants of {name}"
    return (
        "times: closed form, alpha from the cluster's file (launch, nvlink, step and hop seconds),"
        " bandwidths as NCCL counts them"
    )


def figure(value: float) -> str:
    """Three significant digits, four where the first is small."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}" if value < 2 else f"{value:.3g}"
