"""The cluster of a run: what environment.json tells, what it does not, and runs without an expectation."""

from __future__ import annotations

import json

import msgspec
import pytest

from railgauge.hardware.links import Gpu, Hardware, Nic
from railgauge.hardware.nvlink import Fabric, NvLink
from railgauge.hardware.pcie import Pcie
from railgauge_reports.expected.answer import expected
from railgauge_reports.expected.machine import domains_of, machine_of
from railgauge_reports.stored import read_run


def links(count, kind="switch", rate=25.0):
    return tuple(
        NvLink(index=k, version="4.0", version_code=None, remote=None, remote_kind=kind,
               rate_GBps=rate, line_GBps=None, source="test")
        for k in range(count)
    )  # fmt: skip


def gpu(host, index, **more):
    facts = {
        "capability": (9, 0), "nvlinks": links(18), "nvlink_GBps": 450.0, "domain": (host, 0),
        "pcie": Pcie(payload_GBps=57.6), "bus_id": f"0000:{index:02X}:00.0",
    }  # fmt: skip
    return Gpu(index=index, host=host, **({"uuid": f"GPU-{index}"} | facts | more))


def nic(host, index, **more):
    facts = {"rate_Gbps": 400.0, "state": "ACTIVE", "link_layer": "InfiniBand", "numa_node": 0}
    return Nic(name=f"mlx5_{index}", port=1, rail=index, host=host, pcie=Pcie(), **(facts | more))


@pytest.mark.parametrize(
    ("domains", "numbers"),
    [
        ((("c", 1), ("c", 1), ("d", 1)), {"n0": 0, "n1": 0, "n2": 1}),
        ((("c", 1), ("d", 1), ("e", 1)), {}),  # each node is one of its own
        ((("c", 1), ("c", 1), None), {}),  # not known of all
    ],
)
def test_hosts_that_share_an_nvlink_domain_have_its_number(start, domains, numbers):
    each = [
        Hardware(host=f"n{k}", gpus=(gpu(f"n{k}", 0, domain=domain),), nics=())
        for k, domain in enumerate(domains)
    ]
    told = [{"hardware": msgspec.to_builtins(hardware)} for hardware in each]
    folder = start(ranks=3, hosts=3, nodes=told, memory="device", backend="nccl").end()
    assert domains_of(read_run(folder)) == numbers


@pytest.fixture
def run(start):
    """run(gpus of n0, gpus of n1, nics=..., **plan): a run of 4 ranks on two hosts, two GPUs each."""

    def make(more=None, nics=None, environment=None, nodes=None, **plan):
        more, told = more or [{}, {}], []
        for at, host in enumerate(("n0", "n1")):
            hardware = Hardware(
                host=host,
                gpus=tuple(gpu(host, k, **more[at]) for k in range(2)),
                nics=tuple((nics or (lambda h: [nic(h, 0), nic(h, 1)]))(host)),
            )
            told.append({"hardware": msgspec.to_builtins(hardware)} | (nodes or {}))
        folder = start(nodes=told, **({"memory": "device", "backend": "nccl"} | plan)).end()
        if environment:
            path = folder / "environment.json"
            path.write_text(json.dumps(environment(json.loads(path.read_text()))))
        return machine_of(read_run(folder))

    return make


def test_a_cluster_is_derived_from_what_stands_in_the_nodes(run):
    machine = run()
    node = machine.cluster.node
    assert (machine.nodes, machine.ranks, machine.cluster.nodes) == (2, 4, 2)
    assert (node.gpus, node.nics, node.nic_Gbps, node.link_layer) == (2, 2, 400, "InfiniBand")
    assert (node.nvlink_GBps, node.nvlink_generation, node.nvls, node.domain_nodes) == (
        450,
        4,
        True,
        1,
    )
    assert node.pcie_GBps == pytest.approx(57.6)
    about = {text.partition(":")[0] for text in machine.unknown}
    assert about == {"node.nics", "node.mtu", "fabric.oversubscription"}
    told = expected(machine.cluster, "all_reduce", 1 << 30, algorithm="ring")
    assert told.bound_GBps == pytest.approx(100)


def test_the_nics_that_ranks_name_are_taken_and_not_the_others(run):
    def named(environment):
        for rank in environment["ranks"]:
            rank["nics"] = {"names": ["mlx5_1"], "why": "NCCL_IB_HCA"}
        return environment

    machine = run(
        nics=lambda h: [nic(h, 0), nic(h, 1), nic(h, 2, rate_Gbps=100.0)], environment=named
    )
    assert machine.cluster.node.nics == 1
    assert not any(text.startswith("node.nics") for text in machine.unknown)


def test_of_unnamed_nics_the_fastest_are_taken_as_many_as_fit(run):
    def three(host):
        return [nic(host, 0), nic(host, 1), nic(host, 2), nic(host, 3, rate_Gbps=25.0)]

    machine = run(nics=three)
    assert (machine.cluster.node.nics, machine.cluster.node.nic_Gbps) == (2, 400)


def test_the_weaker_of_differing_nodes_counts_and_is_named(run):
    machine = run(
        [{}, {"nvlink_GBps": 425.0, "nvlinks": links(17)}],
        nics=lambda h: [nic(h, 0, rate_Gbps=200.0 if h == "n1" else 400.0)],
    )
    assert (machine.cluster.node.nvlink_GBps, machine.cluster.node.nic_Gbps) == (425, 200)
    words = "\n".join(machine.unknown)
    assert "GPU 0000:00:00.0 on n1 has 425 GB/s of NVLink, others 450" in words
    assert "mlx5_0 on n1 runs at 200 Gb/s, others at 400" in words


def test_gpus_that_no_rank_has_do_not_count(run):
    def with_two_more(environment):
        for at, node in enumerate(environment["nodes"]):
            mine = [gpu(f"n{at}", k, uuid=f"GPU-{2 * at + k:032x}") for k in range(2)]
            idle = gpu(f"n{at}", 2, uuid="GPU-ff", nvlink_GBps=25.0, capability=(8, 0))
            node["hardware"]["gpus"] = msgspec.to_builtins([*mine, idle])
        return environment

    machine = run(environment=with_two_more)
    assert (machine.cluster.node.gpus, machine.cluster.node.nvlink_GBps) == (2, 450)
    assert machine.cluster.node.nvlink_generation == 4


def test_an_nvlink_domain_over_both_nodes_is_one(run):
    fabric = Fabric(state="completed", cluster_uuid="x", clique=1, status=0)
    machine = run([{"domain": ("x", 1), "fabric": fabric}] * 2, nics=lambda _h: [])
    assert machine.cluster.node.domain_nodes == 2
    assert expected(machine.cluster, "all_reduce", 1 << 30, algorithm="ring").binding == "NVLink"


def test_without_nvlink_pcie_joins_the_gpus(run):
    def apart(_host):
        return {"nvlinks": (), "nvlink_GBps": None, "domain": None}

    machine = run([apart(h) for h in ("n0", "n1")])
    assert machine.cluster.node.nvlink_GBps is None
    assert machine.cluster.node.nvls is False
    assert any(text.startswith("node.nvlink_GBps") for text in machine.unknown)


def test_an_unknown_generation_leaves_nccls_model_out(run):
    machine = run([{"capability": (12, 0)}] * 2)
    assert machine.cluster.node.nvlink_generation is None
    assert any(text.startswith("node.nvlink_generation") for text in machine.unknown)


def test_nvls_that_was_switched_off_is_not_expected(run):
    assert run(nodes={"variables": {"NCCL_NVLS_ENABLE": "0"}}).cluster.node.nvls is False
    assert run(folder="b", variables=(("NCCL_NVLS_ENABLE", "0"),)).cluster.node.nvls is False
    assert run(folder="c", nodes={"variables": {"NCCL_NVLS_ENABLE": "1"}}).cluster.node.nvls is True


def test_the_mtu_is_the_audits_where_all_have_the_same(run):
    same = run(nodes={"configuration": {"mtu:mlx5_0": 1024, "mtu:mlx5_1": 1024}})
    assert same.cluster.node.mtu == 1024
    assert not any(text.startswith("node.mtu") for text in same.unknown)
    assert (
        run(folder="b", nodes={"configuration": {"mtu:a": 1024, "mtu:b": 4096}}).cluster.node.mtu
        == 4096
    )


def test_leaves_of_the_plan_are_the_fabrics(run):
    assert run(leaves=(("l0", ("n0",)), ("l1", ("n1",)))).cluster.fabric.leaf_nodes == 1


def test_runs_on_host_memory_or_of_shared_gpus_have_no_expectation(run, start):
    assert "host memory" in run(memory="host", backend="mpi").reason
    shared = start(folder="s", memory="device", backend="nccl", functional=True).end()
    assert "shared GPUs" in machine_of(read_run(shared)).reason


@pytest.mark.parametrize(
    "damage",
    [
        lambda _e: {},
        lambda e: e | {"nodes": e["nodes"][:1]},
        lambda e: e | {"nodes": "none"},
        lambda e: e | {"nodes": [3, None]},
        lambda e: e | {"nodes": [n | {"hardware": {"host": "n0"}} for n in e["nodes"]]},
        lambda e: (
            e
            | {
                "nodes": [
                    n | {"hardware": {"host": "n0", "gpus": [], "nics": []}} for n in e["nodes"]
                ]
            }
        ),
    ],
)
def test_an_environment_that_is_damaged_gives_a_reason(run, damage):
    machine = run(environment=damage)
    assert machine.cluster is None
    assert "hardware" in machine.reason


def test_damaged_ranks_leave_the_nics_unknown(run):
    machine = run(environment=lambda e: e | {"ranks": [3, {"node": 99}, {"node": 0, "nics": None}]})
    assert machine.cluster.node.nics == 2
    assert any(text.startswith("node.nics") for text in machine.unknown)


def test_several_nodes_without_a_nic_that_has_a_rate_are_said(run):
    machine = run(nics=lambda h: [nic(h, 0, rate_Gbps=None, state="DOWN")])
    assert machine.cluster is None
    assert "no NIC with a rate" in machine.reason


def test_gpus_with_two_nics_each_keep_both(run):
    machine = run(nics=lambda h: [nic(h, k) for k in range(4)])
    assert machine.cluster.node.nics == 4


def test_a_simulated_run_is_of_the_cluster_that_was_modelled(tmp_path):
    from railgauge.cli import call
    from railgauge_reports.stored import read_run

    options = ("--nodes", "2", "--sizes", "1M", "--output", str(tmp_path / "run"))
    call(["run", "--backend", "simulated", *options])
    found = machine_of(read_run(tmp_path / "run"))
    assert found.cluster is not None
    assert (found.nodes, found.ranks, found.cluster.nodes) == (2, 16, 2)
