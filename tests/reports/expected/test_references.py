"""Published figures: every one has a source, fits only what it was measured on, and meets the model."""

from __future__ import annotations

import pytest

from railgauge.cluster import Cluster, Node, read_cluster
from railgauge.expectation.nccl_tuning import GENERATIONS
from railgauge.operations import OPERATIONS
from railgauge_reports.expected.derived import check_of, cluster_of
from railgauge_reports.expected.question import question_of
from railgauge_reports.expected.references import fitting, references

H100 = read_cluster("h100")


def test_every_figure_has_a_source_a_unit_and_an_operation():
    assert len(references()) > 60
    for entry in references():
        assert entry.source
        assert entry.date
        assert 0 < entry.low <= entry.high < 2000
        assert entry.operation in OPERATIONS
        assert entry.generation is None or entry.generation in GENERATIONS
        assert entry.generation is None or (entry.gpus and entry.nodes)


@pytest.mark.parametrize(
    ("nodes", "algorithm", "figures"),
    [
        (1, "ring", {"367 to 369", "367", "370", "460", "431 to 432"}),
        (2, None, {"469 to 471", "487", "483", "454", "389", "363"}),
        (2, "ring", {"487", "483", "454", "389", "363"}),
        (4, None, {"366", "365"}),
        (4, "tree", set()),
        (5, None, set()),
    ],
)
def test_a_figure_fits_the_same_gpus_nics_job_and_algorithm(nodes, algorithm, figures):
    found = fitting(question_of(H100, "all_reduce", nodes, algorithm=algorithm))
    assert {entry.range for entry in found} == figures


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(node=Node(nic_Gbps=200, nvlink_generation=4, nvls=True)),
        Cluster(node=Node(nvlink_generation=None)),
        Cluster(node=Node(nvlink_GBps=None, pcie_GBps=50, nvlink_generation=4)),
        Cluster(node=Node(gpus=4, nics=4, nvlink_generation=4)),
    ],
)
def test_other_hardware_has_no_reference(cluster):
    assert fitting(question_of(cluster, "all_reduce", 4)) == ()


def test_patterns_and_other_operations_have_no_reference():
    assert fitting(question_of(H100, "sendrecv", 4, pattern="pairs")) == ()
    assert fitting(question_of(H100, "alltoall", 4)) == ()


def test_the_model_meets_what_was_measured_on_nvlink_machines():
    """Other dtypes than float, and two networks that are not full ones, are known to be off."""
    off = {"GH200, 2 x 4, Slingshot", "V100 SXM (Azure ND40rs)"}
    checked = [
        (entry, check_of(entry))
        for entry in references()
        if entry.kind == "measured"
        and entry.hardware not in off
        and not (entry.note.startswith("dtype") and "float32" not in entry.note)
    ]
    known = [(entry, check) for entry, check in checked if check is not None]
    assert len(known) >= 32
    outside = [(entry.hardware, entry.range, check) for entry, check in known if not check.within]
    assert not outside
    large = [c.middle / e.high for e, c in known if "1440" not in str(e.gpus)]
    assert sorted(large)[len(large) // 2] == pytest.approx(1.0, abs=0.04)


def test_hardware_that_an_entry_does_not_name_is_not_made_up():
    by_name = {entry.hardware: entry for entry in references()}
    assert cluster_of(by_name["MI300X"]) is None
    assert check_of(by_name["H100 with SHARP in the network"]) is None
    racks = [entry for entry in references() if entry.gpus == 144]
    assert [cluster_of(entry).node.domain_nodes for entry in racks] == [18]
