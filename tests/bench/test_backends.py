"""What a backend offers is known without its library, and what it lacks is refused by name."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import Any

import pytest

from railgauge import plan as plan_module
from railgauge import plan_rules, plugins
from railgauge.backends import Offers, offers_of
from railgauge.cluster import Cluster
from railgauge.dtypes import DTYPES
from railgauge.errors import UsageError
from railgauge.operations import OPERATIONS, REDUCTIONS
from railgauge.plan import Plan, cases, forms
from railgauge.plan_rules import validate

BACKENDS = plugins.names(plugins.BACKENDS)


def asked(backend: str = "mpi", **fields: Any) -> Plan:
    offers = offers_of(backend)
    given = {"ranks": 4, "backend": backend, "memory": offers.memories[0]}
    if offers.alone:
        given["cluster"] = Cluster()
    return Plan(**given | fields)


def refused(backend: str = "mpi", **fields: Any) -> str:
    with pytest.raises(UsageError) as raised:
        validate(asked(backend, **fields))
    return str(raised.value)


@pytest.fixture
def backend(monkeypatch):
    """`backend(field=...)`: a backend of that name which offers what MPI does but for that."""

    def make(**fields: Any) -> Offers:
        made = dataclasses.replace(offers_of("mpi"), **fields)
        for module in (plan_module, plan_rules):
            monkeypatch.setattr(module, "offers_of", lambda _: made)
        return made

    return make


# what there is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
def test_everything_that_a_backend_offers_exists(name):
    offers = offers_of(name)
    assert set(offers.operations) <= set(OPERATIONS)
    assert set(offers.dtypes) <= set(DTYPES)
    assert set(offers.ops) <= set(REDUCTIONS)
    assert set(offers.calls) <= {call for o in OPERATIONS.values() for call in o.calls}
    assert set(offers.memories) <= {"host", "device"}
    assert set(offers.registrations) <= {"none", "local", "symmetric"}
    assert offers.timing in ("", "barrier", "back_to_back", "synchronised")
    assert offers.registrations[0] == "none"
    assert {*offers.placements, *offers.fewer_calls, *offers.selected} <= set(offers.operations)
    for field in dataclasses.fields(offers):
        value = getattr(offers, field.name)
        if isinstance(value, tuple):
            assert len(set(value)) == len(value), field.name
            assert value or field.name == "selected", field.name


@pytest.mark.parametrize("name", BACKENDS)
def test_every_operation_of_a_backend_has_a_placement_and_a_call_there(name):
    offers = offers_of(name)
    for operation in offers.operations:
        placements, calls = forms(OPERATIONS[operation], offers)
        assert placements
        assert calls
        assert set(placements) <= set(OPERATIONS[operation].placements)
        assert set(calls) <= set(OPERATIONS[operation].calls) & set(offers.calls)


@pytest.mark.parametrize("name", [name for name in BACKENDS if offers_of(name).unsupported])
def test_a_backend_that_is_only_prepared_is_refused_with_why_and_what_to_take_instead(name):
    offers = offers_of(name)
    message = refused(name, operations=offers.operations[:1], sizes=(64,))
    assert message == f"--backend {name}: {offers.unsupported}"
    assert "next: railgauge run --backend" in message


@pytest.mark.parametrize("name", [name for name in BACKENDS if not offers_of(name).unsupported])
def test_the_default_of_everything_that_a_backend_offers_is_a_valid_plan(name):
    offers = offers_of(name)
    whole = {"operations": offers.operations, "dtypes": offers.dtypes, "ops": offers.ops}
    made = asked(name, pattern="pairs", sizes=(64,), **whole)
    for case in cases(validate(made)):
        placements, calls = forms(case.entry, offers)
        assert (case.placement, case.call) == (placements[0], calls[0])
        assert case.timing == (offers.timing or case.entry.timing)


def test_every_operation_dtype_reduction_and_call_has_a_backend():
    everything = [offers_of(name) for name in BACKENDS]
    for field, names in (("operations", OPERATIONS), ("dtypes", DTYPES), ("ops", REDUCTIONS)):
        assert {name for offers in everything for name in getattr(offers, field)} == set(names)


def test_mpi_has_neither_the_types_nor_the_reductions_of_a_gpu():
    offers = offers_of("mpi")
    assert set(DTYPES) - set(offers.dtypes) == {"float8_e4m3fn", "float8_e5m2"}
    assert set(REDUCTIONS) - set(offers.ops) == {"premul_sum"}
    external = {name for name, entry in OPERATIONS.items() if entry.external}
    assert set(OPERATIONS) - set(offers.operations) == {"copy", *external}


@pytest.mark.parametrize("name", BACKENDS)
def test_what_a_backend_offers_is_told_without_loading_its_library(name):
    program = (
        f"import sys; from railgauge.backends import offers_of; offers_of({name!r});"
        "heavy = {'mpi4py', 'cuda', 'nccl', 'cupy', 'numba', 'torch', 'pynvml'};"
        "print(sorted({m.partition('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(("name", "closest"), [("mip", "mpi"), ("ncc", "nccl")])
def test_an_unknown_backend_names_the_closest_and_all_that_are_there(name, closest):
    with pytest.raises(UsageError) as raised:
        offers_of(name)
    message = str(raised.value)
    assert f"unknown backend {name!r}. Did you mean {closest!r}?" in message
    assert all(known in message for known in (*BACKENDS, "next: railgauge list"))


# what a backend lacks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("backend_name", "field", "option", "name"),
    [
        ("mpi", "dtypes", "dtype", "float8_e4m3fn"),
        ("mpi", "dtypes", "dtype", "float8_e5m2"),
        ("mpi", "ops", "op", "premul_sum"),
        ("mpi", "calls", "call", "stream"),
        ("mpi", "calls", "call", "pull_sm"),
        ("mpi", "calls", "call", "nonblockin"),
        ("nccl", "dtypes", "dtype", "int16"),
        ("nccl", "dtypes", "dtype", "uint16"),
        ("nccl", "calls", "call", "persistent"),
    ],
)
def test_one_name_that_a_backend_lacks_is_refused_however_many_it_has(
    backend_name, field, option, name
):
    offers = offers_of(backend_name)
    exist = getattr(offers, field)
    message = refused(backend_name, **{field: (exist[0], name)})
    assert message == (
        f"--{option} {name}: --backend {backend_name} has no such {option}.\n"
        f"  allowed: {', '.join(exist)}\n"
        f"  next: railgauge run --backend {backend_name} --{option} {exist[0]}"
    )


def test_memory_that_a_backend_does_not_work_on_is_refused():
    message = refused("nccl", memory="host")
    assert message.startswith("--memory host: --backend nccl has no such memory.")
    assert message.endswith("next: railgauge run --backend nccl --memory device")


@pytest.mark.parametrize("register", ["local", "symmetric"])
def test_a_registration_is_refused_where_buffers_are_not_registered(register):
    message = refused(register=register)
    assert message.startswith(f"--register {register}: --backend mpi has no such register.")
    assert "allowed: none\n" in message
    assert validate(asked("nccl", register=register)).register == register


@pytest.mark.parametrize(
    ("option", "fields"),
    [
        ("streams", {"streams": 2}),
        ("functional", {"functional": True}),
        ("explain", {"explain": True}),
        ("clock", {"clock": "event"}),
        ("no-spin", {"spin": False}),
    ],
)
def test_what_only_streams_of_a_gpu_have_is_refused_elsewhere(option, fields):
    message = refused(**fields)
    assert message.startswith(f"--{option}: --backend mpi on host memory enqueues nothing on a GPU")
    assert f"--{option}: --backend torch on host" in refused("torch", **fields)
    assert f"--{option}: --backend mpi on device" in refused(memory="device", **fields)
    assert f"next: railgauge run --backend nccl --{option}" in message
    assert validate(asked("nccl", **fields))


@pytest.mark.parametrize(
    ("option", "fields"),
    [("algorithm", {"algorithms": ("ring",)}), ("config", {"config": (("max_ctas", "4"),)})],
)
def test_an_algorithm_or_a_configuration_is_nccls(option, fields):
    message = refused(**fields)
    assert message.startswith(f"--{option}: --backend mpi has no such choice.")
    assert f"next: railgauge run --backend nccl --{option}" in message
    assert validate(asked("nccl", **fields))


def test_no_algorithm_at_all_is_refused():
    assert "--algorithm: nothing is named" in refused("nccl", algorithms=())


def test_overlap_is_refused_where_no_call_returns_early():
    assert "--overlap is of non-blocking operations" in refused("peer", overlap=True)
    assert validate(asked("nccl", overlap=True))


def test_an_algorithm_needs_a_call_that_names_one():
    message = refused("nccl", algorithms=("ring",), operations=("sendrecv", "latency"))
    assert "the calls of sendrecv, latency name no algorithm" in message
    made = cases(asked("nccl", algorithms=("ring", "tree"), operations=("all_reduce", "sendrecv")))
    found = {(case.operation, case.algorithm) for case in made}
    assert found == {("all_reduce", "ring"), ("all_reduce", "tree"), ("sendrecv", "")}
    assert made[0].describe().endswith("ring")


def test_a_reduction_of_the_users_own_is_mpis():
    assert "--op-implementation user is MPI's" in refused("nccl", op_implementation="user")


def test_an_operation_that_a_backend_lacks_names_the_backend_that_has_it():
    message = refused(operations=("all_reduce", "copy"))
    assert message.startswith("--operation copy: --backend mpi has no such operation.")
    assert "allowed: all_reduce, all_gather" in message
    assert message.endswith("next: railgauge run --operation copy --backend nccl")


def test_an_operation_that_no_backend_has_leads_to_the_list(backend):
    backend(operations=("all_gather",))
    assert refused(operations=("scatter",)).endswith("next: railgauge list")


def test_forms_that_an_operation_has_fewer_of_with_a_backend_are_refused_there(backend):
    backend(placements={"alltoall": ("out",)}, fewer_calls={"reduce": ("blocking",)})
    message = refused(operations=("alltoall",), placements=("in",))
    assert message.startswith("--placement in: alltoall has no such form.")
    assert "allowed for alltoall: out\n" in message
    message = refused(operations=("reduce",), calls=("persistent",))
    assert message.startswith("--call persistent: reduce has no such form.")
    assert "allowed for reduce: blocking\n" in message
    made = asked(
        operations=("alltoall", "reduce", "all_gather"),
        placements=("in", "out"),
        calls=("persistent", "blocking"),
        sizes=(64,),
    )
    made_of = {(c.operation, c.placement, c.call) for c in cases(validate(made))}
    both = [(p, c) for p in ("in", "out") for c in ("persistent", "blocking")]
    assert made_of == {
        *(("alltoall", "out", c) for c in ("persistent", "blocking")),
        *(("reduce", p, "blocking") for p in ("in", "out")),
        *(("all_gather", *form) for form in both),
    }


def test_the_timing_is_the_one_asked_for_else_the_backends_else_the_operations(backend):
    operations = ("all_reduce", "latency")
    plain = asked(operations=operations, sizes=(64,))
    assert [c.timing for c in cases(plain)] == ["barrier", "back_to_back"]
    backend(timing="synchronised")
    assert [c.timing for c in cases(plain)] == ["synchronised"] * 2
    told = asked(operations=operations, sizes=(64,), timing="barrier")
    assert [c.timing for c in cases(told)] == ["barrier"] * 2


def test_calls_of_a_copy_between_pairs_need_an_even_number_of_ranks():
    copy = {"operations": ("copy",), "ranks": 3, "sizes": (64,)}
    assert "pairs of ranks" in refused("nccl", **copy, calls=("pull", "local"))
    assert "pairs of ranks" in refused("nccl", **copy)
    made = cases(validate(asked("nccl", **copy, calls=("local", "to_device"))))
    assert [case.call for case in made] == ["local", "to_device"]


def test_a_model_needs_a_cluster_that_has_the_ranks():
    assert "--cluster h100" in refused("simulated", cluster=None)
    assert "has 512 GPUs" in refused("simulated", ranks=513)
    assert "--nodes 65" in refused("simulated", ranks=513)
    assert "--overlap" in refused("simulated", overlap=True)
