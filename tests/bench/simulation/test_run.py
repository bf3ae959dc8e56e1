"""Runs on a modelled cluster: an ordinary journal, repeatable, resumable, with its faults in their places."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from railgauge.cluster import Cluster, Fabric, Node, Noise
from railgauge.errors import EXIT_HANG, EXIT_INTERRUPTED, EXIT_PASS, HangError
from railgauge.journal import Folder, read_block, read_journal
from railgauge.plan import Plan, cases
from railgauge.plan_rules import validate
from railgauge.rank_lists import decode_ranks
from railgauge.records import Block, End, Note, Result, Run
from railgauge.samples import group_samples, seconds
from railgauge.simulation import faults
from railgauge.simulation.cost import simulated_seconds
from railgauge.simulation.run import BETWEEN_SECONDS, Simulation

QUIET = Noise(iteration=0.001, measurement=0.001, transient=0)
SMALL = Cluster(nodes=16, fabric=Fabric(leaf_nodes=4), noise=QUIET)


def plan_of(cluster=SMALL, **more):
    fields = {
        "ranks": cluster.ranks,
        "backend": "simulated",
        "memory": "device",
        "cluster": cluster,
        "leaves": cluster.leaves,
        "operations": ("sendrecv",),
        "pattern": "pairs",
        "rounds": 3,
        "sizes": (64 << 20,),
        "iterations": 5,
        "warmup": 2,
    }
    return validate(Plan(**(fields | more)))


def simulate(folder, plan, *, resume=False, stop_after=10**6):
    """(exit code, the folder's records); interrupted after so many measurements."""
    told = []
    code = Simulation(
        plan,
        Folder(Path(folder)),
        lambda: sum(isinstance(record, Result) for record in told) >= stop_after,
        lambda record, _summaries: told.append(record),
    ).run(resume)
    return code, read_journal(Path(folder))


def measured(folder, records):
    """(node, node, rail, round) -> GB/s, from the raw samples."""
    found = {}
    for result in (record for record in records if isinstance(record, Result)):
        for samples in group_samples(Path(folder), result):
            a, b = decode_ranks(samples.group.ranks)
            middle = float(np.median(seconds(samples, result)))
            key = (a // 8, b // 8, samples.group.rail, result.round)
            found[key] = result.case.nbytes / middle / 1e9
    return found


# the journal --------------------------------------------------------------------------------------


def test_a_run_ends_in_order_and_says_that_it_is_simulated(tmp_path):
    code, records = simulate(tmp_path, plan_of())
    assert code == EXIT_PASS
    kinds = [type(record) for record in records]
    assert kinds == [Run, Note, Result, Result, Result, End]
    assert records[0].backend == "simulated"
    assert "SIMULATED" in records[1].text
    assert records[0].ranks == 128
    assert len(records[0].hosts) == 16
    assert {group.rail for group in records[2].groups} == set(range(8))
    assert all(group.checked_iterations == 0 for group in records[2].groups)


def test_the_same_seed_gives_the_same_samples_and_another_one_others(tmp_path):
    samples = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(tmp_path / name, plan_of(seed=seed))
        samples.append((tmp_path / name / "samples/node0.i64").read_bytes())
    assert samples[0] == samples[1]
    assert samples[0] != samples[2]


def test_rounds_and_cases_have_noise_of_their_own(tmp_path):
    _, records = simulate(tmp_path, plan_of(sizes=(1 << 30, 1 << 31)))
    rates = [np.array(list(measured(tmp_path, [record]).values())) for record in records[2:-1]]
    for one, other in itertools.combinations(rates, 2):
        assert abs(np.corrcoef(one / one.mean(), other / other.mean())[0, 1]) < 0.5


def test_a_resumed_run_makes_what_is_missing_and_nothing_else(tmp_path):
    whole = simulate(tmp_path / "whole", plan_of(rounds=4))[1]
    code, records = simulate(tmp_path / "part", plan_of(rounds=4), stop_after=2)
    assert code == EXIT_INTERRUPTED
    assert records[-1].verdict == "INTERRUPTED"
    code, records = simulate(tmp_path / "part", plan_of(rounds=4), resume=True)
    assert code == EXIT_PASS
    results = [record for record in records if isinstance(record, Result)]
    assert [result.round for result in results] == [0, 1, 2, 3]
    assert [record.todo for record in records if isinstance(record, Run)] == [4, 2]
    wanted, found = measured(tmp_path / "whole", whole), measured(tmp_path / "part", records)
    assert found == pytest.approx(wanted, rel=1e-6)


def test_time_goes_on_between_measurements(tmp_path):
    _, records = simulate(tmp_path, plan_of())
    results = [record for record in records if isinstance(record, Result)]
    for before, after in itertools.pairwise(results):
        assert after.started >= before.started + before.seconds
    assert records[-1].finished >= results[-1].started + results[-1].seconds


def test_above_the_sample_budget_the_slowest_rank_alone_is_kept(tmp_path):
    plan = plan_of(sample_budget=1000, rounds=1)
    _, records = simulate(tmp_path, plan)
    (block,) = records[2].samples
    assert block.columns == ("duration", "rank")
    assert isinstance(block, Block)
    rows = read_block(tmp_path, block, 5, len(records[2].groups))
    members = [decode_ranks(group.ranks) for group in records[2].groups]
    assert all(set(row[:, 1]) <= set(own) for row, own in zip(rows, members, strict=True))
    full = simulate(tmp_path / "full", plan_of(rounds=1))[1]
    assert measured(tmp_path, records) == pytest.approx(measured(tmp_path / "full", full), rel=1e-6)


def test_back_to_back_one_rank_of_a_pair_has_samples(tmp_path):
    plan = plan_of(operations=("latency",), timing="back_to_back", sizes=(8,), rounds=1)
    _, records = simulate(tmp_path, plan)
    (block,) = records[2].samples
    assert block.columns == ("duration",)
    assert len(decode_ranks(block.ranks)) == 64


@pytest.mark.parametrize("pattern", ["incast", "permutation", "shift"])
def test_flows_are_timed_one_by_one(tmp_path, pattern):
    plan = plan_of(operations=("flows",), pattern=pattern, rounds=2)
    _, records = simulate(tmp_path, plan)
    for result in records[2:-1]:
        (block,) = result.flows
        assert block.iterations == 5
        assert len(block.flows) == len(set(block.flows)) > 0


def test_a_load_is_told_with_what_it_moved(tmp_path):
    plan = plan_of(operations=("alltoall",), pattern="victim", rounds=None, sizes=(1 << 20,))
    _, records = simulate(tmp_path, plan)
    pressures = [record.pressure for record in records if isinstance(record, Result)]
    assert [p and p.kind for p in pressures] == [None, "alltoall", "incast", "broadcast"]
    assert all(pressure.nbytes > 0 for pressure in pressures[1:])


# planted faults -------------------------------------------------------------------------------------


def test_three_planted_faults_are_exactly_where_they_were_planted(tmp_path):
    cluster = Cluster(nodes=256, noise=QUIET)
    planted = (
        faults.SlowNic(node="node0017", nic=3, share=0.8),
        faults.DeadNic(node="node0101", nic=6),
        faults.WrongPfcClass(node="node0200", share=0.5),
    )
    _, records = simulate(tmp_path, plan_of(cluster, faults=planted))
    found = measured(tmp_path, records)
    usual = float(np.median(list(found.values())))
    odd = {key: rate / usual for key, rate in found.items() if rate < 0.95 * usual}
    touched = {17: {3}, 101: {6, 7}, 200: set(range(8))}
    for node, rails in touched.items():
        own = {key: share for key, share in odd.items() if node in key[:2]}
        assert {key[2] for key in own} == rails
        assert len(own) == 3 * len(rails)  # in each of three rounds
        odd = {key: share for key, share in odd.items() if key not in own}
    assert odd == {}


def test_a_fault_begins_when_it_should(tmp_path):
    first = simulate(tmp_path / "healthy", plan_of())[1]
    began = [record.started - first[0].started for record in first if isinstance(record, Result)]
    late = faults.SlowNic(
        node="node0002", nic=0, share=0.5, begin_seconds=(began[0] + began[1]) / 2
    )
    _, records = simulate(tmp_path / "late", plan_of(faults=(late,)))
    rates = measured(tmp_path / "late", records)
    own = {key[3]: rate for key, rate in rates.items() if 2 in key[:2] and key[2] == 0}
    assert own[0] == pytest.approx(2 * own[1], rel=0.05)
    assert own[1] == pytest.approx(own[2], rel=0.05)


def test_a_flapping_link_holds_up_some_iterations_and_is_counted(tmp_path):
    flapping = faults.FlappingLink(node="node0002", nic=4, period_seconds=0.009, down_seconds=0.005)
    plan = plan_of(faults=(flapping,), iterations=30)
    _, records = simulate(tmp_path, plan)
    series = {
        samples.group.rail: seconds(samples, records[2])
        for samples in group_samples(tmp_path, records[2])
        if 2 in {rank // 8 for rank in decode_ranks(samples.group.ranks)}
    }
    assert series[4].max() > 3 * np.median(series[3])
    assert series[3].max() < 1.1 * np.median(series[3])
    events = {(m.device, m.name) for c in records[2].counted if c.node == 2 for m in c.moved}
    assert ("mlx5_4", "link_downed") in events


def test_a_hang_ends_the_run_and_keeps_what_was_measured(tmp_path):
    hang = faults.Hang(node="node0003", begin_seconds=0.03)
    with pytest.raises(HangError, match=r"node0003.*\(round 1\)"):
        simulate(tmp_path, plan_of(faults=(hang,)))
    records = read_journal(tmp_path)
    assert [type(record) for record in records] == [Run, Note, Result, End]
    assert records[-1].exit_code == EXIT_HANG


def test_a_hang_at_scale_lets_small_groups_pass(tmp_path):
    hang = faults.Hang(node="node0003", at_least_nodes=3)
    assert simulate(tmp_path / "pairs", plan_of(faults=(hang,)))[0] == EXIT_PASS
    with pytest.raises(HangError):
        simulate(tmp_path / "world", plan_of(faults=(hang,), pattern="world", rounds=None))


def test_a_node_that_is_cut_off_hangs(tmp_path):
    dead = tuple(faults.DeadNic(node="node0005", nic=nic) for nic in range(8))
    with pytest.raises(HangError, match="no NIC carries"):
        simulate(tmp_path, plan_of(faults=dead))


def test_a_slow_gpu_arrives_late_in_the_raw_stamps(tmp_path):
    slow = faults.SlowGpu(node="node0000", gpu=2, late_seconds=0.001)
    plan = plan_of(pattern="world", operations=("all_reduce",), rounds=None, faults=(slow,))
    _, records = simulate(tmp_path, plan)
    (samples,) = group_samples(tmp_path, records[2])
    late = samples.rows[:, :, 0] - np.median(samples.rows[:, :, 0], axis=0)
    assert samples.ranks[int(np.argmax(np.median(late, axis=1)))] == 2


def test_a_noisy_node_varies_and_the_others_do_not(tmp_path):
    noisy = faults.Noisy(node="node0004", measurement=0.3, transient=0)
    _, records = simulate(tmp_path, plan_of(faults=(noisy,), rounds=8))
    logs = {key: np.log(rate) for key, rate in measured(tmp_path, records).items()}
    own = np.std([value for key, value in logs.items() if 4 in key[:2]])
    rest = np.std([value for key, value in logs.items() if 4 not in key[:2]])
    assert own > 0.15
    assert rest < 0.01


# counters -----------------------------------------------------------------------------------------


def counted(records, node):
    """counter -> sum of its deltas on a node."""
    found: dict[str, int] = {}
    for result in (record for record in records if isinstance(record, Result)):
        for of_node in result.counted:
            if of_node.node == node:
                for moved in of_node.moved:
                    found[moved.name] = found.get(moved.name, 0) + moved.delta
    return found


def test_bytes_are_those_that_passed_the_nics(tmp_path):
    _, records = simulate(tmp_path, plan_of(rounds=1))
    sent = counted(records, 0)["port_xmit_data"]
    assert sent == 8 * (1 + 2 + 5) * (64 << 20)


@pytest.mark.parametrize(
    ("fault", "names"),
    [
        (faults.DegradedCable, {"symbol_error", "port_rcv_errors", "packet_seq_err"}),
        (faults.WrongPfcClass, {"rx_discards_phy", "out_of_sequence", "local_ack_timeout_err"}),
        (faults.EcnOff, {"rx_prio3_pause", "tx_prio3_pause"}),
    ],
)
def test_a_fault_moves_its_counters_on_its_node_alone(tmp_path, fault, names):
    nic = {"nic": 1} if "nic" in fault.__struct_fields__ else {}
    more = {"symbol_errors_per_second": 1e6} if fault is faults.DegradedCable else {}
    planted = fault(node="node0006", **nic, **more)
    _, records = simulate(tmp_path, plan_of(faults=(planted,)))
    assert names <= counted(records, 6).keys()
    assert not names & counted(records, 7).keys()


def test_a_port_goes_down_once(tmp_path):
    _, records = simulate(tmp_path, plan_of(faults=(faults.DeadNic(node="node0006", nic=1),)))
    assert counted(records, 6)["link_downed"] == 1


def test_counters_that_nobody_asked_for_are_not_kept(tmp_path):
    _, records = simulate(tmp_path, plan_of(counters=()))
    assert all(not record.counted for record in records if isinstance(record, Result))


def test_two_ranks_a_nic_share_it(tmp_path):
    shared = Cluster(nodes=4, node=Node(gpus=8, nics=4), noise=QUIET)
    _, records = simulate(tmp_path, plan_of(shared))
    assert measured(tmp_path, records)[0, 3, 0, 0] == pytest.approx(
        shared.node.nic_GBps / 2, rel=0.02
    )


def test_plans_of_every_operation_and_pattern_can_be_simulated(tmp_path):
    from railgauge.backends.simulated import OFFERS
    from railgauge.simulation.traffic import OPERATIONS

    assert set(OFFERS.operations) == set(OPERATIONS)
    spoken = tuple(name for name in OPERATIONS if name != "flows")
    plan = plan_of(operations=spoken, pattern="world", rounds=None, sizes=(1 << 20,))
    code, records = simulate(tmp_path, plan)
    assert code == EXIT_PASS
    assert sum(isinstance(record, Result) for record in records) == len(cases(plan))


# soaks and their cost -----------------------------------------------------------------------------------


def test_a_soak_ends_with_the_first_repetition_after_its_time(tmp_path):
    plan = plan_of(duration=1.0)
    code, records = simulate(tmp_path / "run", plan)
    done = [record for record in records if isinstance(record, Result)]
    each = sum(result.seconds + BETWEEN_SECONDS for result in done) / len(done)
    assert code == EXIT_PASS
    assert [result.round for result in done] == list(range(len(done)))
    assert len(done) % 3 == 0
    assert 1.0 <= len(done) * each < 1.0 + 3 * each


def test_an_interrupted_soak_goes_on_where_it_was(tmp_path):
    plan = plan_of(duration=0.6)
    _, whole = simulate(tmp_path / "whole", plan)
    assert simulate(tmp_path / "cut", plan, stop_after=4)[0] == EXIT_INTERRUPTED
    code, records = simulate(tmp_path / "cut", plan, resume=True)
    assert code == EXIT_PASS
    rounds_of = [[r.round for r in part if isinstance(r, Result)] for part in (whole, records)]
    assert rounds_of[0] == rounds_of[1]


@pytest.mark.parametrize(
    "more", [{}, {"duration": 0.5}, {"pattern": "nodes", "operations": ("all_reduce",)}]
)
def test_the_cost_beforehand_is_the_time_that_the_run_has(tmp_path, more):
    fields = {"ranks_per_node": 8, "group_nodes": 4, "rounds": None} if "pattern" in more else {}
    plan = plan_of(**more, **fields)
    _, records = simulate(tmp_path / "run", plan)
    took = sum(r.seconds + BETWEEN_SECONDS for r in records if isinstance(r, Result))
    assert simulated_seconds(plan) == pytest.approx(took, rel=0.02)
