"""The plans that ship: each is a plan for every backend that can run it, and says what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from railgauge import plans
from railgauge.plan import Plan, cases, read_plan
from railgauge.plan_rules import validate

TRAINING = ("ddp", "fsdp", "moe", "tensor_parallel")
OF_PAIRS = ("leaf-rotation", "tournament")


def plan_of(name: str, backend: str) -> Plan:
    fields = read_plan(plans.path_of(name))
    memory = "device" if backend == "nccl" else "host"
    known = {key: tuple(v) if isinstance(v, list) else v for key, v in fields.items()}
    return validate(Plan(ranks=2, backend=backend, memory=memory, **known))


def test_training_jobs_and_searches_of_pairs_have_a_plan_each():
    assert sorted(plans.names()) == sorted((*TRAINING, *OF_PAIRS))
    assert all(len(summary) > 20 for summary in plans.names().values())


@pytest.mark.parametrize("backend", ["mpi", "nccl", "torch"])
@pytest.mark.parametrize("name", TRAINING)
def test_every_plan_of_training_makes_cases_with_every_backend(name, backend):
    found = cases(plan_of(name, backend))
    assert len({case.nbytes for case in found}) == len(read_plan(plans.path_of(name))["sizes"])
    overlapped = plan_of(name, backend).overlap
    assert overlapped == (name != "tensor_parallel")
    if overlapped:
        assert {case.call for case in found} == {"stream" if backend == "nccl" else "nonblocking"}


def test_a_file_of_ones_own_goes_before_no_shipped_name(tmp_path):
    own = tmp_path / "ddp.toml"
    own.write_text('operations = ["barrier"]\n')
    assert plans.path_of(str(own)) == own
    assert plans.path_of("ddp") == Path(plans.__file__).parent / "ddp.toml"
    assert plans.path_of("no_such_plan") == Path("no_such_plan")
