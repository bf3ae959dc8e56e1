"""A run folder under the rules: evidence from journal and environment, profile, verdict, words."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest

from railgauge.cli import main
from railgauge.records import Counted, Moved
from railgauge_reports.formats import markdown, table
from railgauge_reports.frames import case_frame
from railgauge_reports.loaded import load
from railgauge_reports.lossless.evidence import Traffic
from railgauge_reports.lossless.judge import judge
from railgauge_reports.lossless.run import evidence_of
from railgauge_reports.stored import read_run

RDMA = (
    *("link_downed", "symbol_error", "port_rcv_errors", "port_xmit_data", "port_xmit_packets"),
    *("packet_seq_err", "out_of_sequence", "local_ack_timeout_err", "roce_adp_retrans"),
    *("np_ecn_marked_roce_packets", "np_cnp_sent", "rp_cnp_handled", "port_xmit_discards"),
)
NETDEV = (
    *("rx_prio3_pause", "rx_prio3_pause_duration", "tx_prio3_pause", "tx_prio3_pause_duration"),
    *("rx_discards_phy", "rx_crc_errors_phy", "rx_pcs_symbol_err_phy", "link_down_events_phy"),
    *(f"rx_err_lane_{lane}_phy" for lane in range(4)),
    *("rx_global_pause", "tx_global_pause", "outbound_pci_stalled_wr"),
)
TCP = ("IpExt.InCEPkts", "Tcp.OutSegs", "Tcp.RetransSegs")
PORT = ("rdma", "mlx5_0", 1)
ETH = ("ethtool", "eth0", 0)


def node(**more):
    """The facts of a host with one RoCE port, its driver's statistics and sockets."""
    facts = {"driver": "mlx5_core", "netdev": "eth0", "state": "4: ACTIVE"}
    facts |= {"rate": "400 Gb/sec (4X NDR)", "link_layer": "Ethernet"}
    places = [
        {"source": "rdma", "device": "mlx5_0", "port": 1, "facts": facts, "names": 0},
        {"source": "ethtool", "device": "eth0", "port": 0, "facts": {}, "names": 1},
        {"source": "tcp", "device": "host", "port": 0, "facts": {}, "names": 2},
    ]
    places[0] |= more
    counters = {"places": places, "names": [RDMA, NETDEV, TCP], "problems": {}}
    return {"counters": counters}


def sockets_only():
    """A host without RDMA: a plain network device and TCP."""
    places = [
        {"source": "netdev", "device": "eth0", "port": 0, "facts": {}, "names": 0},
        {"source": "tcp", "device": "host", "port": 0, "facts": {}, "names": 1},
    ]
    return {"counters": {"places": places, "names": [["carrier_down_count"], TCP]}}


@pytest.fixture
def ran(start):
    """`ran(n0=moved, n1=moved, nodes=..., **plan)`: the folder of a run of one case of 2 s."""

    def run(n0=(), n1=(), nodes=None, seconds=2.0, cases=1, **plan):
        begun = start(nodes=nodes or (node(), node()), sizes=(1024, 2048)[:cases], **plan)
        for case in begun.cases:
            told = (
                Counted(node=0, seconds=seconds, moved=tuple(n0)),
                Counted(node=1, seconds=seconds, moved=tuple(n1)),
            )
            begun.result(case, 1e-5, counted=told)
        return begun.end()

    return run


def fired(folder, profile=None):
    return {finding.rule.id: finding for finding in load(folder, profile).fabric.judgement.findings}


def states(folder, rule, profile=None):
    statuses = load(folder, profile).fabric.judgement.statuses
    return {status.state for status in statuses if status.rule == rule}


PAUSED = (Moved(*ETH, "rx_prio3_pause", 900), Moved(*ETH, "rx_prio3_pause_duration", 100_000))


# evidence -----------------------------------------------------------------------------------------------


def test_a_counter_that_did_not_move_is_0_and_one_that_is_not_there_is_unknown(ran):
    folder = ran()
    assert states(folder, "S01") == {"CLEAR"}
    assert states(folder, "S05") == {"UNKNOWN"}  # no rx_icrc_encapsulated
    assert states(folder, "S27") == {"CLEAR"}


def test_a_run_that_recorded_no_names_says_unknown_and_never_clear(start):
    begun = start(sizes=(8,))
    begun.result(begun.cases[0])
    statuses = load(begun.end()).fabric.judgement.statuses
    assert {status.state for status in statuses} == {"UNKNOWN"}


def settings(host, **broken):
    """What an audit of a host with one RoCE port tells the rules, as it stands in environment.json."""
    facts = {
        "pfc:eth0": [3],
        "mtu:eth0": 9000,
        "pcie_width:mlx5_0": 16,
        "pcie_width_max:mlx5_0": 16,
    }
    facts |= {"pcie_speed:mlx5_0": 32.0, "pcie_speed_max:mlx5_0": 32.0}
    return host | {"configuration": facts | broken}


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"pfc:eth0": []}, "S08"),
        ({"pcie_width:mlx5_0": 8}, "S07"),
        ({"pcie_speed:mlx5_0": 16.0}, "S07"),
        ({}, None),
    ],
)
def test_what_the_audit_found_is_what_rules_of_configuration_judge(ran, broken, rule):
    folder = ran(nodes=(settings(node()), settings(node(), **broken)))
    found = fired(folder, "roce-lossless")
    assert set(found) == ({rule} if rule else set())
    if rule:
        assert "n1" in str(found[rule])
        assert load(folder, "roce-lossless").verdict.exit_code == 1


def test_deltas_are_summed_over_the_cases_and_the_worst_rate_is_kept(ran):
    folder = ran(n0=[Moved(*PORT, "packet_seq_err", 5)], cases=2)
    port = evidence_of(read_run(folder), case_frame(folder)).fabric[0]
    (count,) = port.by_event["seq_nak_rx"]
    assert (count.delta, count.seconds, count.peak) == (10, 4.0, 2.5)
    assert port.name == "mlx5_0/1 (eth0)"
    assert port.rate_Gbps == 400


def test_a_counter_that_stood_at_its_end_before_the_run_is_unknown(ran):
    folder = ran(nodes=(node(full=["symbol_error"]), node()))
    assert states(folder, "S02") == {"UNKNOWN", "CLEAR"}
    assert "symbol_error of mlx5_0 on n0: saturated" in markdown.render(load(folder))


def test_a_counter_that_reached_its_end_fires_with_at_least(ran):
    found = fired(ran(n0=[Moved(*PORT, "symbol_error", 65_000, "at least")]))["S02"]
    assert "at least" in found.words


def test_a_counter_that_was_reset_makes_its_rules_unknown(ran):
    folder = ran(n0=[Moved(*PORT, "link_downed", None, "reset")])
    assert states(folder, "S01") == {"UNKNOWN", "CLEAR"}


def test_what_moved_after_a_reset_still_fires(ran):
    moved = [Moved(*PORT, "packet_seq_err", None, "vanished"), Moved(*PORT, "link_downed", 2)]
    found = fired(ran(n0=moved))
    assert found["S01"].severity == "F"
    assert "S27" not in found


def test_a_port_that_was_down_all_along_is_not_asked(ran):
    down = node()
    down["counters"]["places"][0]["facts"]["state"] = "1: DOWN"
    evidence = evidence_of(read_run(folder := ran(nodes=(down, node()))), case_frame(folder))
    assert [port.device for port in evidence.fabric] == ["eth0", "mlx5_0"]


@pytest.mark.parametrize("damage", [{"places": 7}, {"places": [{}]}, {"names": "x"}, []])
def test_a_damaged_environment_is_silence_and_no_crash(ran, damage):
    loaded = load(ran(nodes=({"counters": damage}, {"counters": damage})))
    assert loaded.fabric.silent
    assert loaded.verdict.exit_code == 0


def test_names_that_no_set_has_are_no_names(ran):
    assert states(ran(nodes=(node(names=99), node(names=-1))), "S27") == {"UNKNOWN"}


def test_foreign_traffic_before_the_run_is_a_warning(ran):
    busy = node()
    idle = {"node": 0, "seconds": 1.0, "moved": [[*PORT, "port_xmit_data", 80_000_000, ""]]}
    busy["counters"]["idle"] = idle
    found = fired(ran(nodes=(busy, node())))["S34"]
    assert (found.site.host, found.severity) == ("n0", "W")
    assert "0.16% of the line" in found.words


# profiles and verdicts ----------------------------------------------------------------------------------


def test_pauses_counted_for_a_priority_by_mlx5_mean_pfc_and_so_lossless(ran):
    fabric = load(ran()).fabric
    assert (fabric.profile, fabric.why) == ("roce-lossless", "PFC is on at 2 of 2 ports")


def test_the_audit_goes_before_what_counters_suggest(ran):
    off = node() | {"configuration": {"pfc": "none"}}
    fabric = load(ran(nodes=(off, off))).fabric
    assert (fabric.profile, fabric.why) == ("roce-lossy", "PFC is off at every port")


def test_infiniband_is_seen_by_its_link_layer(ran):
    native = node()
    native["counters"]["places"][0]["facts"]["link_layer"] = "InfiniBand"
    assert load(ran(nodes=(native, native))).fabric.profile == "ib"


def test_efa_is_seen_by_its_driver(ran):
    amazon = node()
    amazon["counters"]["places"][0]["facts"] |= {"driver": "efa"}
    assert load(ran(nodes=(amazon, amazon))).fabric.profile == "efa"


LOST = (Moved(*PORT, "packet_seq_err", 400), Moved(*PORT, "port_xmit_packets", 400_000))


def test_a_loss_fails_a_lossless_fabric_and_names_the_rule_and_what_to_type(ran, capsys):
    folder = ran(n0=LOST)
    assert main(["report", str(folder)]) == 1
    shown = capsys.readouterr().out
    assert shown.startswith("FAIL (1): 1 of 1 planned")
    assert "S27 loss in the fabric (F) at the fabric: 400 NAKs" in shown
    again = f"mpirun -n 4 railgauge run --plan {folder / 'plan.json'}"
    assert f"next: {again} --pattern pairs --operation sendrecv\n" in shown
    assert "go-back-N leaves 89.1% of the line (at 400 Gb/s, 122 packets" in shown


def test_the_same_loss_is_a_warning_where_losses_are_allowed(ran, capsys):
    assert main(["report", str(ran(n0=LOST)), "--profile", "roce-lossy"]) == 0
    shown = capsys.readouterr().out
    assert "warning: S27 loss in the fabric (W)" in shown


def test_an_unknown_profile_is_refused_with_the_closest(ran, capsys):
    assert main(["report", str(ran()), "--profile", "roce-losless"]) == 2
    assert "Did you mean 'roce-lossless'?" in capsys.readouterr().err


def test_wrong_data_stays_the_verdict_and_the_fault_is_told_beside_it(start, flipped):
    begun = start(sizes=(8,), nodes=(node(), node()))
    counted = (Counted(node=0, seconds=2.0, moved=LOST),)
    begun.result(begun.cases[0], wrong=(flipped,), counted=counted)
    verdict = load(begun.end("FAIL", 4)).verdict
    assert verdict.exit_code == 4
    assert any("S27" in reason for reason in verdict.reasons)


def test_json_has_findings_with_evidence_and_every_rule(ran, capsys):
    main(["report", str(ran(n0=LOST)), "--json"])
    fabric = json.loads(capsys.readouterr().out)["fabric"]
    assert fabric["profile"] == "roce-lossless"
    (finding,) = fabric["findings"]
    assert (finding["rule"], finding["severity"], finding["stage"]) == ("S27", "F", "transport")
    row = next(row for row in finding["evidence"] if row["delta"] == 400)
    assert (row["host"], row["device"], row["port"]) == ("n0", "mlx5_0", 1)
    assert (row["counter"], row["event"], row["per_second"]) == (
        "packet_seq_err",
        "seq_nak_rx",
        200,
    )
    assert row["per_GB"] > 0
    told = {rule["id"]: rule for rule in fabric["rules"]}
    assert told["S07"]["state"] == "UNKNOWN"
    assert "pcie_width" in told["S07"]["missing"][0]
    assert told["S01"]["state"] == "CLEAR"


# pauses beside the bandwidth ------------------------------------------------------------------------------


def test_the_pause_ratio_stands_beside_the_bandwidth_of_its_group(ran):
    frame = case_frame(ran(n1=PAUSED))
    (row,) = frame.to_dict("records")
    assert row["pause_ratio"] == pytest.approx(0.05)
    assert not row["pause_bound"]


def test_a_pair_shows_the_pauses_of_its_own_hosts(start):
    begun = start(
        hosts=4,
        pattern="pairs",
        operations=("sendrecv",),
        sizes=(1024,),
        nodes=[node() for _ in range(4)],
    )
    told = tuple(Counted(node=k, seconds=2.0, moved=PAUSED if k == 1 else ()) for k in range(4))
    for index in range(3):
        begun.result(begun.cases[0], index=index, counted=told)
    rows = case_frame(begun.end())
    paused = rows[rows["pause_ratio"] > 0]["hosts"].unique().tolist()
    assert all("n1" in hosts for hosts in paused)
    apart = rows[~rows["hosts"].str.contains("n1")]
    assert len(apart) == 3
    assert (apart["pause_ratio"] == 0).all()


def test_without_pause_counters_the_ratio_cannot_be_had(ran):
    frame = case_frame(ran(nodes=(sockets_only(), sockets_only())))
    assert frame["pause_ratio"].isna().all()


def test_the_column_is_shown_where_pauses_are_counted(ran):
    shown = table.render(load(ran(n1=PAUSED)))
    assert "paused" in shown
    assert "5.00%" in shown


def test_frames_without_time_give_an_upper_bound(ran):
    host = node()
    names = host["counters"]["names"]
    names[1] = [name for name in names[1] if "duration" not in name]
    moved = [Moved(*ETH, "rx_prio3_pause", 200)]
    (row,) = case_frame(ran(n1=moved, nodes=(host, host))).to_dict("records")
    assert row["pause_ratio"] == pytest.approx(100 * 65535 * 512 / 400e9)
    assert row["pause_bound"]


# hosts without a fabric -----------------------------------------------------------------------------------


def test_without_rdma_and_pauses_one_line_says_why_nothing_could_be_judged(ran):
    text = markdown.render(load(ran(nodes=(sockets_only(), sockets_only()))))
    section = text.partition("## Lossless fabric\n\n")[2].partition("\n\n## ")[0]
    assert section == (
        "No rule of a lossless fabric could be judged: no active RDMA port and no driver that"
        " counts pauses on n0, n1."
    )


def test_a_run_without_counters_says_so(ran):
    nodes = ({"counters": None}, {"counters": None})
    assert "recorded no counters" in markdown.render(load(ran(nodes=nodes)))


RESENT = (
    Moved("tcp", "host", 0, "Tcp.OutSegs", 100_000),
    Moved("tcp", "host", 0, "Tcp.RetransSegs", 900),
)


def test_retransmits_over_sockets_are_a_warning(ran, capsys):
    folder = ran(n0=RESENT, nodes=(sockets_only(), sockets_only()))
    assert main(["report", str(folder)]) == 0
    shown = capsys.readouterr().out
    assert "warning: T01 TCP retransmits (W) at n0: 900 of 100000 segments" in shown


def test_in_an_incast_over_sockets_they_fail_who_asked_for_a_lossless_fabric(ran):
    folder = ran(n0=RESENT, nodes=(sockets_only(), sockets_only()))
    evidence = evidence_of(read_run(folder), case_frame(folder))
    shallow = dataclasses.replace(evidence, traffic=Traffic("incast"))
    lossless, lossy = judge(shallow, "roce-lossless"), judge(shallow, "roce-lossy")
    assert [f.rule.id for f in lossless.fails] == ["T03"]
    assert not lossy.fails
    assert {f.rule.id: f.consequence_of for f in lossy.findings} == {"T03": "", "T01": "T03"}


def test_a_carrier_that_goes_in_mid_run_is_named_and_explains_the_retransmits(ran):
    gone = Moved("netdev", "eth0", 0, "carrier_down_count", 1)
    found = fired(ran(n0=[gone, *RESENT], nodes=(sockets_only(), sockets_only())))
    assert found["T04"].site.words() == "n0, eth0"
    assert found["T01"].consequence_of == "T04"


def test_on_one_host_sockets_carry_nothing_and_are_not_asked(start):
    begun = start(sizes=(8,), nodes=(sockets_only(), sockets_only()))
    begun.result(begun.cases[0], counted=(Counted(node=0, seconds=1.0, moved=RESENT),))
    stored = read_run(begun.end())

    alone = dataclasses.replace(
        stored.starts[0], run=msgspec.structs.replace(stored.last, hosts=("n0", "n0"))
    )
    evidence = evidence_of(dataclasses.replace(stored, starts=(alone,)), case_frame(stored))
    assert not evidence.ports
