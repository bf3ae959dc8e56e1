"""Thresholds: what can be reached, what lets faults through, and what has to be asked."""

from __future__ import annotations

import json

import pytest

from railgauge.errors import UsageError
from railgauge_reports.expected.lint import exit_code, judge, lint
from railgauge_reports.expected.thresholds import Threshold, read_thresholds

RING = {
    "operation": "all_reduce",
    "nodes": 4,
    "algorithm": "ring",
    "unit": "GB/s",
    "cluster": "h100",
}


def judged(**said):
    return judge(Threshold(**(RING | said)))


def told(one):
    return "\n".join(one.words)


def test_800_cannot_be_reached_by_four_nodes_with_a_ring():
    one = judged(value=800)
    assert (one.verdict, one.bound_GBps) == ("unreachable", 400)
    assert one.over_bound == pytest.approx(1.0)
    assert (
        "800 GB/s cannot be reached by 4 nodes of 8 x 400 Gb/s with ring: the bound is 400 GB/s,"
        " and the limit 100% above it" in told(one)
    )
    assert "both directions counted? one of them is 400 GB/s" in told(one)


def test_120_still_passes_with_five_of_eight_rails_dead():
    one = judged(value=120)
    assert (one.verdict, one.dead_rails, one.rails) == ("blind", 5, 8)
    assert one.slow_share == pytest.approx(0.32)
    assert "still passes with 5 of 8 rails dead: the bound is 150 GB/s then" in told(one)
    assert 'next: value = 0.91, unit = "of expected" (337 GB/s' in told(one)


@pytest.mark.parametrize(
    ("value", "verdict", "dead"),
    [
        (400.5, "unreachable", None),
        (400, "unreachable", None),
        (380, "unknown", None),
        (345, "fine", 0),
        (330, "blind", 1),
    ],
)
def test_a_limit_between_one_dead_rail_and_the_expectation_does_its_job(value, verdict, dead):
    one = judged(value=value)
    assert (one.verdict, one.dead_rails) == (verdict, dead)


@pytest.mark.parametrize("nbytes", [None, "1G", "128M"])
@pytest.mark.parametrize("nodes", [1, 3, 4, 16])
def test_what_is_advised_is_fine_itself(nodes, nbytes):
    (advice,) = [
        w for w in judged(value=5, nodes=nodes, nbytes=nbytes).words if w.startswith("next")
    ]
    share = float(advice.split("value = ")[1].split(",")[0])
    assert judged(value=share, unit="of expected", nodes=nodes, nbytes=nbytes).verdict == "fine"


def test_gigabits_written_as_gigabytes_are_noticed_and_the_other_way_round():
    assert "Gb/s written as GB/s? 2800 Gb/s are 350 GB/s" in told(judged(value=2800))
    assert judged(value=2800, unit="Gb/s").verdict == "fine"
    small = judged(value=350, unit="Gb/s")
    assert small.verdict == "blind"
    assert "GB/s written as Gb/s? 350 Gb/s are 43.8 GB/s" in told(small)
    assert "busbw written as algbw" in told(judged(value=350, quantity="algbw"))
    assert judged(value=178, quantity="algbw").verdict == "fine"  # x 62/32
    assert "written as" not in told(judged(value=4000))


def test_nodes_are_asked_for_unless_no_number_of_them_helps():
    asked = judged(value=470, nodes=None, algorithm=None)
    assert (asked.verdict, asked.missing) == ("unknown", ["nodes"])
    assert "1: 700, 2: 750, 4: 400, 64: 400" in told(asked)
    assert judged(value=800, nodes=None, algorithm=None).verdict == "unreachable"


def test_the_algorithm_is_asked_for_where_the_answer_depends_on_it():
    asked = judged(value=460, nodes=1, algorithm=None)
    assert (asked.verdict, asked.missing) == ("unknown", ["algorithm"])
    assert "below the bound of nvls 700 and above that of ring 450, tree 450" in told(asked)
    assert judged(value=460, nodes=1, algorithm="NVLS").verdict == "fine"
    assert judged(value=800, algorithm=None).verdict == "unreachable"
    assert "any other algorithm, of which ring is best" in told(judged(value=800, algorithm=None))


def test_the_generation_of_nvlink_is_asked_for_where_no_cluster_is_named():
    said = {"value": 500, "nodes": 1, "gpus_per_node": 8, "cluster": None}
    asked = judged(**said, algorithm="nvls")
    assert (asked.verdict, asked.missing) == ("unknown", ["nvlink_generation"])
    assert judged(**said, algorithm="nvls", nvlink_generation=5).verdict == "blind"
    assert judged(**said, algorithm="ring", nvlink_generation=4).verdict == "unreachable"
    assert judge(Threshold(value=1)).missing == [
        "gpus_per_node", "nvlink_generation", "nics_per_node", "nic_Gbps", "operation", "unit", "nodes",
    ]  # fmt: skip


def test_hardware_may_be_said_in_place_or_on_top_of_a_cluster():
    own = {"cluster": None, "gpus_per_node": 8, "nics_per_node": 8, "nvlink_generation": 3}
    assert judged(value=250, nic_Gbps=200, **own).bound_GBps == 200
    assert judged(value=250, nic_Gbps=400, **own).bound_GBps == pytest.approx(300 * 8 / 7)
    assert judged(value=250, nic_Gbps=200).bound_GBps == 200  # h100, with other NICs
    assert judged(value=600, nodes=1, nvlink_generation=5).bound_GBps == pytest.approx(900)
    with pytest.raises(UsageError, match="nvlink_generation 9 is unknown"):
        judged(value=1, nvlink_generation=9)
    with pytest.raises(UsageError, match=r"threshold 'x'.*node.nics"):
        judged(name="x", value=1, nics_per_node=3)


def test_a_number_without_a_unit_is_no_limit():
    one = judged(value=345, unit=None)
    assert (one.verdict, one.missing) == ("unknown", ["unit"])
    assert "345 without a unit is no limit" in told(one)
    assert "source is not said" in told(judged(value=345))
    assert "source" not in told(judged(value=345, source="acceptance of May"))


def test_two_nodes_hide_rails_that_a_pair_test_shows():
    one = judged(value=440, nodes=2, algorithm="nvls_tree")
    assert (one.verdict, one.dead_rails) == ("blind", 3)
    assert "no limit that a healthy machine passes sees a dead rail here" in told(one)
    pair = {"operation": "sendrecv", "pattern": "pairs", "algorithm": None}
    assert judged(value=45, **pair).verdict == "fine"
    blind = judged(value=35, **pair)
    assert (blind.verdict, blind.rails) == ("blind", 1)


def test_where_latency_rules_a_bandwidth_of_large_messages_is_out_of_reach():
    one = judged(value=300, nbytes="1M")
    assert one.verdict == "unreachable"
    assert "out of reach" in told(one)
    assert "expected at 1M" in told(one)


def test_a_time_is_judged_at_its_size():
    said = {"unit": "us", "algorithm": None, "nbytes": 8}
    fine = judged(value=40, **said)
    assert fine.verdict == "fine"
    assert "40 us is 114% of the 35.2 us expected at 8 B" in told(fine)
    assert judged(value=5, **said).verdict == "unreachable"
    assert judged(value=30, **said).verdict == "unknown"
    assert judged(value=1000, **said).verdict == "blind"
    assert judged(value=40, unit="us", algorithm=None).missing == ["nbytes"]


def test_a_part_of_the_median_must_be_above_what_a_dead_rail_leaves():
    assert judged(value=0.9, unit="of median").verdict == "fine"
    blind = judged(value=0.85, unit="of median")
    assert blind.verdict == "blind"
    assert "one rail of 8 dead: 87.5% are left" in told(blind)
    assert judged(value=1.1, unit="of median").verdict == "unreachable"
    assert judged(value=0.75, unit="of median", nodes=1, algorithm="nvls").verdict == "blind"


def test_an_operation_without_expectation_is_unknown():
    assert judged(value=1, operation="barrier", algorithm=None).verdict == "unknown"


def test_exit_codes_are_of_the_worst():
    fine, blind, asked = judged(value=345), judged(value=120), judged(value=345, nodes=None)
    assert exit_code([fine]) == 0
    assert exit_code([fine, asked]) == 6
    assert exit_code([asked, blind, fine]) == 1
    assert exit_code([judged(value=800)]) == 1


# files --------------------------------------------------------------------------------------------------


def test_toml_json_and_csv_say_the_same(tmp_path):
    rows = [
        {"name": "a", "value": 120.0},
        {"name": "b", "value": 800.0, "nodes": 2, "nbytes": "8G"},
    ]
    default = {
        "operation": "all_reduce",
        "nodes": 4,
        "algorithm": "ring",
        "unit": "GB/s",
        "cluster": "h100",
    }
    toml = "\n".join(
        [*(f"{k} = {json.dumps(v)}" for k, v in default.items()),
         *("\n".join(["[[threshold]]", *(f"{k} = {json.dumps(v)}" for k, v in row.items())]) for row in rows)]
    )  # fmt: skip
    names = ["name", "value", "nodes", "nbytes", "operation", "algorithm", "unit", "cluster"]
    lines = [",".join(str((default | row).get(name, "")) for name in names) for row in rows]
    texts = {
        "a.toml": toml,
        "a.json": json.dumps({**default, "threshold": rows}),
        "p.json": json.dumps({**default, "thresholds": rows}),
        "b.json": json.dumps([default | row for row in rows]),
        "a.csv": "\n".join([",".join(names), *lines]),
    }
    read = []
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        read.append(read_thresholds(tmp_path / name))
    assert read.count(read[0]) == len(texts)
    assert [one.size for one in read[0]] == [None, 8 << 30]
    assert [one.verdict for one in lint(read[0])] == ["blind", "unreachable"]


def test_a_threshold_without_a_cluster_takes_the_default():
    without = Threshold(**(RING | {"cluster": None}), value=120)
    assert [one.verdict for one in lint([without], "h100")] == ["blind"]


@pytest.mark.parametrize(
    ("name", "text", "named"),
    [
        ("a.toml", "", "holds 0 thresholds"),
        ("a.toml", "[[threshold]]\nvalue = nan", "value"),
        ("a.toml", "[[threshold]]\nvalue = inf", "value"),
        ("a.toml", "[[threshold]]\nvalue = -3", "value"),
        ("a.toml", "[[threshold]]\nname = 'x'", "value"),
        ("a.toml", "[[threshold]]\nvalue = 1\nunit = 'GBps'", "unit 'GBps' is none of"),
        ("a.toml", "[[threshold]]\nvalue = 1\nbytes = 3", "bytes"),
        ("a.toml", "[[threshold]]\nvalue = 1\nnbytes = '8X'", "'8X' is not a size"),
        ("a.toml", "[[threshold]]\nvalue = 1\nnbytes = '0'", "holds nothing"),
        ("a.toml", "[[threshold]]\nvalue = 1\nname = '\x1b[2J'", "cannot be parsed"),
        ("a.json", '[{"value": 1, "name": "\\u001b[2J"}]', "name"),
        ("a.toml", "[[threshold]]\nvalue = 1\nquantity = 'time'\nunit = 'GB/s'", "no unit of time"),
        ("a.toml", "[[threshold]]\nvalue = 1\nquantity = 'busbw'\nunit = 'us'", "no unit of busbw"),
        ("a.toml", "threshold = 5", "threshold 1"),
        ("a.json", "[" * 100_000, "cannot be parsed"),
        ("a.json", "[3]", "threshold 1"),
        ("a.json", "7", "holds 0 thresholds"),
        ("a.csv", "value,unit\n1,GB/s,3\n", "threshold 1"),
        ("a.csv", "value,unit\n", "holds 0 thresholds"),
        ("a.csv", 'value,unit\n"1\n', "cannot be parsed|threshold 1"),
        ("a.bin", "\x00\x01", "cannot be parsed"),
    ],
)
def test_a_file_that_is_wrong_is_refused_by_the_name_of_what_is_wrong(tmp_path, name, text, named):
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=named):
        read_thresholds(tmp_path / name)


def test_files_that_are_missing_binary_or_endless_are_refused(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        read_thresholds(tmp_path / "nothing.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        read_thresholds(tmp_path / "b.toml")
    (tmp_path / "l.toml").write_bytes(b"#" * (4 << 20) + b"##")
    with pytest.raises(UsageError, match="longer than"):
        read_thresholds(tmp_path / "l.toml")


def test_a_threshold_of_a_job_that_does_not_exist_is_named():
    with pytest.raises(UsageError, match=r"threshold 'x'.*--nodes 99"):
        judged(name="x", value=100, nodes=99)
    with pytest.raises(UsageError, match=r"threshold 'x'.*ring"):
        judged(name="x", value=100, algorithm="rong")
