"""`--config` of the perftest backend: typed, named, and turned into options that perftest has."""

from __future__ import annotations

import pytest

from railgauge.errors import UsageError
from railgauge.hardware.links import Nic
from railgauge.hardware.pcie import Pcie
from railgauge.perftest.settings import (
    Settings,
    arguments,
    iterations_of,
    program_name,
    settings_of,
)
from railgauge.plan import Case, Plan, cases
from railgauge.plan_rules import validate

NIC = Nic(
    name="mlx5_2", port=1, rail=2, host="n0", rate_Gbps=400.0, state="ACTIVE", link_layer="Ethernet",
    numa_node=0, pcie=Pcie(),
)  # fmt: skip


def plan(*operations: str, **more: object) -> Plan:
    fields = {"backend": "perftest", "dtypes": ("uint8",), "sizes": (65536,), "window": 128}
    return Plan(ranks=2, operations=operations or ("rdma_write_bandwidth",), **(fields | more))


def case_of(asked: Plan) -> Case:
    return cases(asked)[0]


def words(asked: Plan, gpu: int | None = None, raw: bool = True) -> str:
    return " ".join(arguments(asked, case_of(asked), settings_of(asked), NIC, gpu, raw))


def test_fields_are_typed_and_reach_the_command_line():
    asked = [
        "gid_index=3",
        "tclass=104",
        "sl=5",
        "qps=4",
        "mtu=2048",
        "iterations=700",
        "connection=UC",
    ]
    config = tuple((name, value) for name, _, value in (word.partition("=") for word in asked))
    assert words(plan(config=config)) == (
        "-d mlx5_2 -i 1 -s 65536 -n 700 -F -x 3 -S 5 -m 2048 -c UC --tclass=104 -t 128 -q 4 -N --report_gbits"
    )


def test_a_latency_has_the_options_of_a_latency_alone():
    assert words(plan("rdma_read_latency", sizes=(8,))) == "-d mlx5_2 -i 1 -s 8 -n 1001 -F -U"
    assert "-U" not in words(plan("rdma_read_latency", sizes=(8,)), raw=False)


def test_both_directions_and_memory_of_a_gpu():
    asked = plan(calls=("both",), memory="device", config=(("dmabuf", "true"),))
    made = words(asked, gpu=3)
    assert "--use_cuda=3 --use_cuda_dmabuf" in made
    assert made.endswith(" -b")
    assert "dmabuf" not in words(plan(), gpu=0)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("devise", "mlx5_0", r"'devise'\. Did you mean 'device'"),
        ("tclass", "256", "tclass=256: .*<= 255"),
        ("qps", "many", "qps=many: "),
        ("sl", "-1", "sl=-1: .*>= 0"),
        ("mtu", "1500", "mtu=1500: no MTU"),
        ("iterations", "4", "iterations=4: .*>= 5"),
        ("address", "moon", "address=moon: "),
    ],
)
def test_a_field_that_cannot_be_is_refused_by_name(name, value, words):
    with pytest.raises(UsageError, match=words):
        validate(plan(config=((name, value),)))


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sizes": (1 << 31,)}, "messages of 1 to 2147483647 bytes"),
        ({"ranks": 4, "pattern": "world"}, "--pattern pairs"),
        ({"timing": "barrier"}, "--timing barrier: .*is timed by the program"),
        ({"dtypes": ("float32",)}, "--dtype float32: --backend perftest has no such dtype"),
        ({"operations": ("all_reduce",)}, "--backend perftest has no such operation"),
        ({"operations": ("rdma_read_latency",), "calls": ("both",)}, "--call both: .*no such form"),
        (
            {"operations": ("rdma_send_latency",), "config": (("qps", "2"),)},
            "bandwidth tests alone",
        ),
    ],
)
def test_what_perftest_cannot_do_is_refused_before_anything_starts(asked, words):
    fields = {"ranks": 2, "backend": "perftest", "operations": ("rdma_write_bandwidth",)}
    fields |= {"dtypes": ("uint8",), "sizes": (8,)}
    with pytest.raises(UsageError, match=words):
        validate(Plan(**(fields | asked)))


def test_other_backends_have_no_operation_of_perftests():
    with pytest.raises(
        UsageError, match=r"--backend mpi has no such operation.*\n.*\n.*--backend perftest"
    ):
        validate(Plan(ranks=2, operations=("rdma_read_bandwidth",)))
    with pytest.raises(UsageError, match="--config: --backend mpi has no such choice"):
        validate(Plan(ranks=2, config=(("device", "mlx5_0"),)))


@pytest.mark.parametrize(
    ("nbytes", "iterations"),
    [(8, 5000), (65536, 5000), (1 << 20, 4096), (64 << 20, 128), (1 << 30, 128)],
)
def test_large_messages_need_fewer_of_them(nbytes, iterations):
    assert iterations_of(case_of(plan(sizes=(nbytes,))), Settings()) == iterations


def test_every_operation_has_its_program():
    asked = plan(
        *(
            f"rdma_{verb}_{what}"
            for verb in ("write", "read", "send")
            for what in ("bandwidth", "latency")
        )
    )
    assert {program_name(case) for case in cases(asked)} == {
        *("ib_write_bw", "ib_write_lat", "ib_read_bw", "ib_read_lat", "ib_send_bw", "ib_send_lat")
    }
