"""Every rule: evidence that fires it, evidence that must not, and what it says without its inputs."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from railgauge_reports.lossless.catalogue import PROFILES, alternatives, rule_named, rules
from railgauge_reports.lossless.evidence import Count, Evidence, Flow, Traffic, Victim
from railgauge_reports.lossless.judge import judge

ON_3 = {"lossless_priority": "3", "pfc": "3"}
EVERYWHERE = [f"n{k}" for k in range(4)]
PCIE = {"pcie_width": 16, "pcie_width_max": 16, "pcie_speed": 32.0, "pcie_speed_max": 32.0}
IDLE = {"n0": ("mlx5_0", 1)}
NAKS = {"packet_seq_err": 40, "port_xmit_packets": 4_000_000}
MARKED = {"np_ecn_marked_roce_packets": 900, "np_cnp_sent": 500, "rp_cnp_handled": 500}
PAUSED = {"rx_prio3_pause": 90_000, "rx_prio3_pause_duration": 500_000}  # 5 % of 10 s
A_LITTLE = {"rx_prio3_pause": 90, "rx_prio3_pause_duration": 5_000}  # 0.05 %
BITS = {"rx_bits_phy": 10**12}


def settings(**values: Any) -> dict[str, dict[str, Any]]:
    """The same on every host."""
    return {host: dict(values) for host in EVERYWHERE}


def incast(fairness: float | None = 0.99, mean: float = 16.0) -> Traffic:
    """Three hosts send to n3, whose port has 50 GB/s."""
    flows = tuple(Flow(f"n{k}", "n3", mean) for k in range(3))
    return Traffic("incast", flows, ideal_GBps=16.7, fairness=fairness)


@dataclasses.dataclass(frozen=True)
class Example:
    """What the hosts show where the rule fires (`fires`) and where it must not (`quiet`)."""

    fires: dict[str, Any]
    quiet: dict[str, Any]
    profile: str = "roce-lossless"
    always: dict[str, Any] = dataclasses.field(default_factory=dict)


def idle(nbytes: int) -> dict[tuple[str, str, int], tuple[Count, ...]]:
    """What moved in 1 s before the first case at every port."""
    from railgauge.counters.rdma import kind
    from railgauge.counting import Place

    counts = tuple(
        Count(Place("rdma", "mlx5_0", 1), name, kind(name, {}), moved, 1.0)
        for name, moved in (("port_xmit_data", nbytes), ("port_rcv_data", 0))
    )
    return {(host, "mlx5_0", 1): counts for host in EVERYWHERE}


VICTIM = Traffic("victim", victims=(Victim("n0", 10.0, 5.0),))
SHIFT = Traffic("shift", flows=(Flow("n0", "n1"), Flow("n1", "n2")))
EXAMPLES: dict[str, Example] = {
    "S01": Example({"n0": {"link_downed": 1}}, {"n0": {"module_unplug": 1}}),
    "S02": Example({"n0": {"rx_pcs_symbol_err_phy": 12}}, {"n0": {"rx_corrected_bits_phy": 10**6}}),
    "S03": Example(
        {"n0": {"rx_corrected_bits_phy": 500_000, **BITS}},
        {"n0": {"rx_corrected_bits_phy": 40_000, **BITS}},
        always={
            "n1": {"rx_corrected_bits_phy": 900, **BITS},
            "others": {"rx_corrected_bits_phy": 800, **BITS},
        },
    ),
    "S04": Example(
        {"n0": {"port_rcv_remote_physical_errors": 3}},
        {"n0": {"port_rcv_remote_physical_errors": 3, "symbol_error": 3}},
        "ib",
    ),
    "S05": Example(
        {"n0": {"rx_icrc_encapsulated": 2}},
        {"n0": {"rx_icrc_encapsulated": 2, "rx_crc_errors_phy": 2}},
    ),
    "S06": Example({"n0": {"rx_pci_signal_integrity": 4}}, {"n0": {}}),
    "S07": Example(
        {"configuration": settings(**PCIE | {"pcie_width": 8})},
        {"configuration": settings(**PCIE)},
    ),
    "S08": Example(
        {"configuration": settings(lossless_priority=3, pfc="none")},
        {"configuration": settings(lossless_priority=3, pfc="3,4")},
    ),
    "S09": Example({"n0": {"rx_global_pause": 4}}, {"n0": {"rx_prio3_pause": 4}}),
    "S10": Example(
        {"n0": {"tx_vport_rdma_unicast_bytes": 10**9, "tx_prio3_bytes": 9 * 10**8}},
        {"n0": {"tx_vport_rdma_unicast_bytes": 10**9, "tx_prio3_bytes": 10**9 - 10**6}},
        always={"configuration": settings(**ON_3)},
    ),
    "S11": Example(
        {"n0": {"rx_prio5_pause": 7}},
        {"n0": {"rx_prio5_pause": 7, "rx_prio3_pause": 1}},
        always={"configuration": settings(**ON_3)},
    ),
    "S12": Example({"n0": PAUSED}, {"n0": PAUSED, "n1": {"np_ecn_marked_roce_packets": 1}}),
    "S13": Example({"n0": {"np_ecn_marked_roce_packets": 5}}, {"n0": MARKED}),
    "S14": Example({"n0": {"rp_cnp_ignored": 5}}, {"n0": {"rp_cnp_handled": 5}}),
    "S15": Example(
        {"n0": {"np_cnp_sent": 1000}, "n1": {"rp_cnp_handled": 899}},
        {"n0": {"np_cnp_sent": 1000}, "n1": {"rp_cnp_handled": 901}},
    ),
    "S16": Example({"n0": {"rx_oversize_pkts_phy": 1}}, {"n0": {}}),
    "S17": Example({"n0": MARKED | A_LITTLE}, {"n0": MARKED | PAUSED}),
    "S18": Example({"n0": PAUSED, "n1": MARKED}, {"n0": PAUSED}),
    "S19": Example(
        {"n0": {"tx_prio3_pause": 9, "outbound_pci_stalled_wr": 40}},
        {"n0": {"tx_prio3_pause": 9, "outbound_pci_stalled_wr": 10}},
    ),
    "S20": Example({"n0": PAUSED}, {"n0": PAUSED | NAKS}, always={"traffic": incast()}),
    "S21": Example(
        {"n0": PAUSED}, {"n0": PAUSED, "n1": {"tx_prio3_pause": 5}}, always={"traffic": SHIFT}
    ),
    "S22": Example({"n0": PAUSED}, {"n0": A_LITTLE}, always={"traffic": VICTIM}),
    "S23": Example(
        {"n0": {"tx_prio3_pause": 130_000, "tx_prio3_pause_duration": 6_000_000}},
        {"n0": {"tx_prio3_pause": 130_000, "tx_prio3_pause_duration": 4_000_000}},
    ),
    "S24": Example(
        {"n0": {"port_xmit_wait": 90_000}},
        {"n0": {"port_xmit_wait": 50_000}},
        "ib",
        always={"n1": {"port_xmit_wait": 20_000}, "others": {"port_xmit_wait": 20_000}},
    ),
    "S25": Example(
        {"n0": {"port_xmit_discards": 2}}, {"n0": {"port_xmit_discards": 2, "link_downed": 1}}, "ib"
    ),
    "G02": Example(
        {"n0": {"rx_prio3_pause": 90_000, "rx_prio3_pause_duration": 1_500_000}},
        {"n0": A_LITTLE},
        always={"traffic": Traffic("world")},
    ),
    "G01": Example(
        {"traffic": incast(mean=14.0)}, {"traffic": incast(mean=15.9)}, profile="roce-lossy"
    ),
    "S26": Example({"n0": {"rx_prio3_discards": 3}}, {"n0": PAUSED}),
    "S27": Example({"n0": NAKS}, {"n0": NAKS, "n1": {"rx_discards_phy": 40}}),
    "S28": Example(
        {"n0": {"out_of_sequence": 800}},
        {"n0": {"out_of_sequence": 800, "roce_adp_retrans": 80}},
        always={"configuration": settings(adaptive_routing="on")},
    ),
    "S29": Example(
        {"n0": {"local_ack_timeout_err": 4}},
        {"n0": {"local_ack_timeout_err": 4, "packet_seq_err": 9}},
    ),
    "S30": Example({"n0": {"req_transport_retries_exceeded": 1}}, {"n0": NAKS}),
    "S31": Example(
        {"n0": {"out_of_buffer": 5}, "n1": {"rnr_nak_retry_err": 5}},
        {"n0": {"out_of_buffer": 5} | PAUSED, "n1": {"rnr_nak_retry_err": 5}},
    ),
    "S32": Example(
        {"n0": {"req_cqe_error": 7, "req_cqe_flush_error": 7}},
        {"n0": {"req_cqe_error": 9, "req_cqe_flush_error": 7}},
    ),
    "S33": Example(
        {"second": {"port_xmit_data": 700}},
        {"second": {"port_xmit_data": 990}},
        always={"n0": {"port_xmit_data": 1000}, "traffic": Traffic("world", symmetric=True)},
    ),
    "S34": Example({"idle": idle(60_000_000)}, {"idle": idle(40_000_000)}),
    "S35": Example(
        {"traffic": Traffic("world", line_share=0.045, stable=True)},
        {"traffic": Traffic("world", line_share=0.9, stable=True)},
    ),
    "S36": Example(
        {"traffic": Traffic("world", line_share=0.114, stable=True)},
        {"traffic": Traffic("world", line_share=0.9, stable=True)},
        always={"configuration": settings(**PCIE)},
    ),
    "S37": Example(
        {"n0": {"retrans_pkts": 20, "tx_pkts": 10_000}},
        {"n0": {"retrans_pkts": 9, "tx_pkts": 10_000}},
        profile="efa",
    ),
    "S38": Example(
        {"n0": NAKS, "traffic": Traffic("world", fairness=0.999)},
        {"n0": NAKS, "traffic": Traffic("world", fairness=0.98)},
        profile="roce-lossy",
    ),
    "T01": Example(
        {"sockets": {"Tcp.RetransSegs": 2, "Tcp.OutSegs": 10_000}},
        {"sockets": {"Tcp.RetransSegs": 1, "Tcp.OutSegs": 10_000}},
    ),
    "T02": Example({"sockets": {"IpExt.InCEPkts": 1}}, {"sockets": {}}),
}


def made(fabric, example: Example, which: dict[str, Any]) -> Evidence:
    return fabric(example.profile, **{**example.always, **which})


def states(evidence: Evidence, rule: str, profile: str) -> dict[str, set[str]]:
    """State -> hosts at which the rule has it."""
    found: dict[str, set[str]] = {}
    for status in judge(evidence, profile).statuses:
        if status.rule == rule:
            found.setdefault(status.state, set()).add(status.site.host)
    return found


def test_every_rule_has_an_example_here_or_a_test_of_its_own():
    of_their_own = {"T03", "T04"}  # hosts without a fabric, in test_lossless_run.py
    assert {rule.id for rule in rules()} == EXAMPLES.keys() | of_their_own


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_rule_fires_where_it_must(fabric, name):
    example = EXAMPLES[name]
    found = states(made(fabric, example, example.fires), name, example.profile)
    assert found.get("FIRED"), found
    where = found["FIRED"]
    assert where == set(EVERYWHERE) or where in ({"n0"}, {""}), "and nowhere else"


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_rule_does_not_fire_where_it_must_not(fabric, name):
    example = EXAMPLES[name]
    found = states(made(fabric, example, example.quiet), name, example.profile)
    assert set(found) == {"CLEAR"}, found


def without(evidence: Evidence, names: tuple[str, ...]) -> Evidence:
    """The same evidence with none of these inputs."""
    ports = tuple(
        dataclasses.replace(
            port,
            counts=tuple(c for c in port.counts if not set(c.kind.canonical) & set(names)),
            facts={k: v for k, v in port.facts.items() if k != "rate" or "rate" not in names},
        )
        for port in evidence.ports
    )
    gone = {name.partition(":")[2] for name in names}
    configuration = {
        host: {check: value for check, value in found.items() if check not in gone}
        for host, found in evidence.configuration.items()
    }
    traffic = dataclasses.replace(
        evidence.traffic, **{f: None for f in gone if hasattr(evidence.traffic, f)}
    )
    idle = None if any(name.startswith("idle:") for name in names) else evidence.idle
    return dataclasses.replace(
        evidence, ports=ports, configuration=configuration, traffic=traffic, idle=idle
    )


NEEDS = [(name, need) for name in EXAMPLES for need in rule_named(name).needs]


@pytest.mark.parametrize(("name", "need"), NEEDS)
@pytest.mark.parametrize("which", ["fires", "quiet"])
def test_without_any_one_of_its_inputs_a_rule_is_unknown_and_says_what_is_missing(
    fabric, name, need, which
):
    example = EXAMPLES[name]
    evidence = without(made(fabric, example, getattr(example, which)), alternatives(need))
    found = [s for s in judge(evidence, example.profile).statuses if s.rule == name]
    assert {status.state for status in found} == {"UNKNOWN"}
    missing = " ".join(found[0].missing)
    assert alternatives(need)[0].partition(":")[2] in missing


@pytest.mark.parametrize("name", [n for n in EXAMPLES if rule_named(n).patterns])
def test_a_rule_about_a_pattern_is_unknown_without_it_and_not_asked_of_another(fabric, name):
    example = EXAMPLES[name]
    evidence = made(fabric, example, example.fires)
    unknown = dataclasses.replace(evidence.traffic, pattern=None)
    found = states(dataclasses.replace(evidence, traffic=unknown), name, example.profile)
    assert set(found) == {"UNKNOWN"}
    other = dataclasses.replace(evidence.traffic, pattern="storage")
    assert not states(dataclasses.replace(evidence, traffic=other), name, example.profile)


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_finding_says_where_what_and_what_next(fabric, name):
    example = EXAMPLES[name]
    found = judge(made(fabric, example, example.fires), example.profile).findings
    finding = next(f for f in found if f.rule.id == name)
    assert finding.words
    assert finding.evidence
    assert finding.rule.id in finding.sentence()
    assert not any("{" in command.replace("{print", "") for command in finding.next)
    if finding.severity in "FW":
        assert finding.next
        assert finding.rule.remedy != "None."


# the catalogue ----------------------------------------------------------------------------------------


def test_there_are_38_signatures_and_each_has_a_source_and_known_profiles():
    names = {rule.id for rule in rules()}
    assert {f"S{k:02}" for k in range(1, 39)} <= names
    for rule in rules():
        assert rule.severity
        assert set(rule.severity) <= PROFILES.keys()
        assert rule.source
        assert set(rule.explains) <= names - {rule.id}
        assert all(limit.source for limit in rule.limits.values())


def test_rules_are_asked_from_the_link_to_the_transport():
    stages = [rule.stage for rule in rules()]
    order = ["link", "configuration", "congestion", "transport"]
    assert stages == sorted(stages, key=order.index)


def test_what_a_rule_needs_is_an_event_that_a_driver_counts_or_a_known_field():
    from railgauge.counters import ethtool, rdma, tcp

    events = {*rdma.ALIASES, *ethtool.EVENTS, *tcp.CANONICAL.values(), "link_down", "rate"}
    fields = {field.name for field in dataclasses.fields(Traffic)}
    for rule in rules():
        for name in (name for need in rule.needs for name in alternatives(need)):
            what, _, key = name.partition(":")
            if what == "traffic":
                assert key in fields
            elif what != "configuration":
                assert (key or what) in events, f"{rule.id}: {name}"
