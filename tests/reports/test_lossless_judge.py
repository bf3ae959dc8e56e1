"""Causes and consequences, incasts under each profile, and two faults of a kind seen in the field."""

from __future__ import annotations

import pytest

from railgauge_reports.lossless.evidence import Flow, Traffic
from railgauge_reports.lossless.judge import judge

PAUSED = {"rx_prio3_pause": 90_000, "rx_prio3_pause_duration": 500_000}
STOPPING = {"tx_prio3_pause": 90_000, "tx_prio3_pause_duration": 500_000}
NAKS = {"packet_seq_err": 40, "port_xmit_packets": 4_000_000}
MARKED = {"np_ecn_marked_roce_packets": 900, "np_cnp_sent": 500, "rp_cnp_handled": 500}
EVERYWHERE = [f"n{k}" for k in range(4)]


def told(judgement):
    """Rule -> what it is a consequence of, of every finding."""
    return {f.rule.id: f.consequence_of for f in judgement.findings}


def incast(mean=16.0, fairness=0.995):
    flows = tuple(Flow(f"n{k}", "n3", mean) for k in range(3))
    return Traffic("incast", flows, ideal_GBps=16.7, fairness=fairness)


# causes -------------------------------------------------------------------------------------------------


def test_at_one_place_the_first_match_is_the_cause_of_the_later_ones(fabric):
    found = told(
        judge(fabric(n0={"rx_crc_errors_phy": 3, "out_of_buffer": 1, **NAKS}), "roce-lossless")
    )
    assert found["S02"] == ""
    assert "S27" not in found  # the link accounts for it


def test_a_flap_accounts_for_timers_that_ran_out_anywhere(fabric):
    evidence = fabric(n0={"link_downed": 1}, n1={"local_ack_timeout_err": 3})
    assert told(judge(evidence, "roce-lossless")) == {"S01": "", "S29": "S01"}


def test_losses_at_a_nic_without_pfc_follow_from_it_and_still_fail_the_run(fabric):
    configuration = {host: {"pfc": "none", "lossless_priority": 3} for host in EVERYWHERE}
    evidence = fabric(n0={"rx_discards_phy": 9}, n1=NAKS, configuration=configuration)
    judgement = judge(evidence, "roce-lossless")
    assert told(judgement) == {"S08": "", "S26": "S08"}
    assert {f.rule.id for f in judgement.fails} == {"S08", "S26"}


def test_a_setting_is_nobodys_consequence(fabric):
    configuration = {"n0": {"pfc": "none", "lossless_priority": 3}}
    evidence = fabric(n0={"link_downed": 1}, configuration=configuration)
    assert told(judge(evidence, "roce-lossless")) == {"S01": "", "S08": ""}


def test_an_unrelated_match_elsewhere_stands_for_itself(fabric):
    evidence = fabric(n0={"rx_pci_signal_integrity": 1}, n1={"rp_cnp_ignored": 1})
    assert told(judge(evidence, "roce-lossless")) == {"S06": "", "S14": ""}


# incasts ------------------------------------------------------------------------------------------------


def test_a_deep_incast_under_lossless_pauses_and_passes(fabric):
    judgement = judge(fabric(n0=PAUSED | MARKED, n1=PAUSED, traffic=incast()), "roce-lossless")
    assert not judgement.fails
    assert not judgement.warnings
    assert told(judgement)["S20"] == ""
    assert told(judgement)["S18"] == "S20"  # pauses are right here


@pytest.mark.parametrize(("where", "rule"), [({"n3": 1}, "S26"), ({}, "S27")])
def test_a_shallow_incast_under_lossless_fails_for_its_drops(fabric, where, rule):
    lost = {"rx_prio3_discards": 50} if where else {}
    evidence = fabric(n0=PAUSED | NAKS, others=lost, traffic=incast())
    judgement = judge(evidence, "roce-lossless")
    assert rule in {f.rule.id for f in judgement.fails}
    assert "S20" not in told(judgement)


@pytest.mark.parametrize("profile", ["roce-ecn-only", "roce-lossy"])
def test_without_pfc_goodput_judges_an_incast_and_drops_warn(fabric, profile):
    good = judge(fabric(n0=NAKS, traffic=incast()), profile)
    assert not good.fails
    assert "S27" in {f.rule.id for f in good.warnings}
    poor = judge(fabric(n0=NAKS, traffic=incast(mean=9.0)), profile)
    assert [f.rule.id for f in poor.fails] == ["G01"]


@pytest.mark.parametrize("profile", ["roce-ecn-only", "roce-lossy"])
def test_without_pfc_steady_pauses_mean_that_ecn_comes_too_late(fabric, profile):
    judgement = judge(fabric(n0=PAUSED | MARKED, traffic=incast()), profile)
    assert "S18" in {f.rule.id for f in judgement.warnings}
    assert "S20" not in told(judgement)


@pytest.mark.parametrize(
    ("microseconds", "severity"), [(50_000, "I"), (500_000, "W"), (1_500_000, "F")]
)
def test_pauses_outside_an_incast_weigh_by_their_share_of_the_time(fabric, microseconds, severity):
    moved = {"rx_prio3_pause": 90, "rx_prio3_pause_duration": microseconds} | MARKED
    found = judge(fabric(n0=moved, traffic=Traffic("world")), "roce-lossless").findings
    (finding,) = [f for f in found if f.rule.id == "G02"]
    assert finding.severity == severity


def test_severity_comes_from_the_profile(fabric):
    lost = fabric(n0={"rx_discards_phy": 1})
    found = {p: judge(lost, p).findings[0].severity for p in ("roce-lossless", "roce-lossy")}
    assert found == {"roce-lossless": "F", "roce-lossy": "W"}


def test_rules_of_pauses_are_not_asked_of_infiniband(fabric):
    asked = {status.rule for status in judge(fabric("ib"), "ib").statuses}
    assert not asked & {"S08", "S12", "S19", "S23", "S37"}
    assert {"S01", "S24", "S25", "S27"} <= asked


# what a counter cannot tell -------------------------------------------------------------------------------


@pytest.mark.parametrize("note", ["saturated", "reset", "vanished", "unknown"])
def test_a_counter_that_cannot_be_told_makes_a_quiet_rule_unknown(fabric, note):
    judgement = judge(fabric(n0={"link_downed": note}), "roce-lossless")
    (status,) = [s for s in judgement.statuses if s.rule == "S01" and s.site.host == "n0"]
    assert status.state == "UNKNOWN"
    assert f"link_downed of mlx5_0 on n0: {note}" in status.missing


def test_a_counter_at_its_end_fires_a_rule_with_at_least(fabric):
    (finding,) = judge(fabric(n0={"link_downed": "at least 3"}), "roce-lossless").findings
    assert finding.words == (
        "link down 3 times, trained anew 0 times (at least: a counter stands at its end or was reset)"
    )


def test_a_zero_that_cannot_be_told_does_not_exonerate(fabric):
    evidence = fabric("ib", n0={"port_rcv_remote_physical_errors": 3, "symbol_error": "saturated"})
    judgement = judge(evidence, "ib")
    (status,) = [s for s in judgement.statuses if s.rule == "S04" and s.site.host == "n0"]
    assert (status.state, status.missing) == ("UNKNOWN", ("symbol_error of mlx5_0: saturated",))


# faults of a kind seen in the field -----------------------------------------------------------------------


def test_a_ratio_comes_with_the_counters_that_it_is_made_of(fabric):
    found = judge(fabric(n0=PAUSED, traffic=Traffic("world")), "roce-lossless").findings
    (finding,) = [f for f in found if f.rule.id == "G02"]
    rows = {row.counter: row for row in finding.evidence}
    assert rows["rx_prio3_pause_duration"].per_second == 50_000
    assert rows["pause ratio rx"].ratio == pytest.approx(0.05)
    assert (rows["pause ratio rx"].limit, rows["pause ratio rx"].limit_source) == (
        0.1,
        "ours: 10 %",
    )


def test_a_bad_cable_is_named_with_its_lane(fabric):
    lanes = {"rx_err_lane_0_phy": 11, "rx_err_lane_1_phy": 9, "rx_err_lane_2_phy": 4_980_000}
    hurt = {"rx_crc_errors_phy": 212, "rx_pcs_symbol_err_phy": 212, "rx_err_lane_3_phy": 14}
    judgement = judge(fabric(n1=lanes | hurt), "roce-lossless")
    (finding,) = judgement.findings
    assert finding.rule.id == "S02"
    assert (finding.site.host, finding.site.lane) == ("n1", 2)
    assert finding.site.words() == "n1, mlx5_0/1 (eth0), lane 2, peer -> this port"
    assert "424 frames or symbols lost" in finding.words
    assert "lane 2 has 100.00% of the raw errors" in finding.words
    assert "ssh n1 mlxlink -d mlx5_0 -p 1 -m -c -e" in finding.next
    rows = {row.counter: row.delta for row in finding.evidence}
    assert rows["rx_crc_errors_phy"] == 212


def test_errors_spread_over_the_lanes_name_none(fabric):
    lanes = {f"rx_err_lane_{lane}_phy": 1000 for lane in range(4)}
    (finding,) = judge(fabric(n1=lanes | {"rx_crc_errors_phy": 5}), "roce-lossless").findings
    assert finding.site.lane is None


def test_few_symbol_errors_only_warn(fabric):
    import dataclasses

    evidence = fabric(n0={"symbol_error": 5})
    hour = tuple(
        dataclasses.replace(
            port, counts=tuple(dataclasses.replace(c, seconds=3600.0) for c in port.counts)
        )
        for port in evidence.ports
    )
    (finding,) = judge(dataclasses.replace(evidence, ports=hour), "ib").findings
    assert (finding.rule.id, finding.severity) == ("S02", "W")


def test_a_slow_receiver_with_global_pauses_is_the_host_and_not_the_fabric(fabric):
    slow = {"tx_global_pause": 700_000, "tx_global_pause_duration": 3_100_000}
    configuration = {host: {"pfc": "none"} for host in EVERYWHERE}
    judgement = judge(fabric(n1=slow, configuration=configuration), "roce-lossy")
    (finding,) = judgement.findings
    assert (finding.rule.id, finding.site.host, finding.severity) == ("S19", "n1", "F")
    assert "31.00% of the time (all classes); nobody stops it" in finding.words
    assert finding.site.direction == "host -> switch"


def test_where_pfc_is_meant_the_global_pauses_are_the_cause(fabric):
    slow = {"tx_global_pause": 700_000, "tx_global_pause_duration": 3_100_000}
    found = told(judge(fabric(n1=slow), "roce-lossless"))
    assert found["S09"] == ""
    assert found["S19"] == "S09"


def test_a_slow_receiver_accounts_for_who_is_paused_by_it(fabric):
    slow = STOPPING | {"outbound_pci_stalled_wr": 60}
    traffic = Traffic("permutation", flows=(Flow("n0", "n1"),))
    found = told(judge(fabric(n0=PAUSED | MARKED, n1=slow, traffic=traffic), "roce-lossless"))
    assert found["S19"] == ""
    assert found["S18"] == "S19"
    assert "S21" not in found  # its receiver pauses: it is not the fabric
