"""What trackers of numbers read: Prometheus, pytest-benchmark, Bencher, ReFrame."""

from __future__ import annotations

import dataclasses
import json
import statistics
import subprocess
import sys
import types

import msgspec
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from railgauge.plan import Plan
from railgauge_reports import judged
from railgauge_reports.formats import (
    bmf,
    csv,
    markdown,
    nccl_tests,
    prometheus,
    pytest_benchmark,
    reframe,
    reframe_log,
    table,
)
from railgauge_reports.formats import (
    json as json_format,
)
from railgauge_reports.judged import Band
from railgauge_reports.loaded import load

NAME = "all_reduce[world-4-float32-sum-out-blocking-barrier-1M]"
TOOK = np.linspace(1e-4, 2e-4, 201)


def simulated(run):
    plan = msgspec.structs.replace(run.stored.plan, backend="simulated")
    return dataclasses.replace(run, stored=dataclasses.replace(run.stored, plan=plan))


@pytest.fixture
def run(start):
    """One size of an all_reduce, 201 iterations of 100 to 200 us, and a barrier, which has no bytes."""
    begun = start(operations=("all_reduce", "barrier"), sizes=(1 << 20,))
    begun.result(begun.cases[0], TOOK, samples=201)
    begun.result(begun.cases[1], 3e-6)
    return load(begun.end())


def samples_of(run):
    """Name -> {labels: value}."""
    found = {}
    for family in text_string_to_metric_families(prometheus.render(run)):
        assert family.type == "gauge"
        assert family.documentation
        for sample in family.samples:
            assert sample.timestamp is None
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def test_prometheus_has_verdict_coverage_and_when_the_run_ended(run):
    found = samples_of(run)
    verdicts = {dict(labels)["verdict"]: on for labels, on in found["railgauge_verdict"].items()}
    assert verdicts == {"PASS": 1, "FAIL": 0, "ERROR": 0, "SKIP": 0, "INCONCLUSIVE": 0}
    (ended,) = found["railgauge_completion_timestamp_seconds"].values()
    assert ended == 1_700_000_009
    assert list(found["railgauge_planned_measurements"].values()) == [2]
    assert list(found["railgauge_measured_measurements"].values()) == [2]


def test_prometheus_speaks_base_units(run):
    found = samples_of(run)
    of = {
        dict(labels)["group"]: v for labels, v in found["railgauge_busbw_bytes_per_second"].items()
    }
    assert of["median"] == pytest.approx((1 << 20) / 150e-6 * 1.5, rel=1e-3)
    times = {
        (dict(labels)["operation"], dict(labels)["statistic"]): value
        for labels, value in found["railgauge_iteration_seconds"].items()
    }
    assert times["all_reduce", "median"] == pytest.approx(150e-6, rel=1e-3)
    assert times["barrier", "max"] == pytest.approx(3e-6)
    assert ("all_reduce", "p99") not in times  # below 1,000 samples there is none, and no 0 either


def test_prometheus_names_no_host_and_bounds_its_series(start):
    sizes = tuple(1 << k for k in range(3, 30))
    begun = start(sizes=sizes, operations=("all_reduce", "all_gather"))
    for case in begun.cases:
        begun.result(case, 1e-5, samples=2)
    found = samples_of(load(begun.end()))
    kept = {
        (dict(labels)["operation"], int(dict(labels)["nbytes"]))
        for labels in found["railgauge_busbw_bytes_per_second"]
    }
    assert len(kept) == 2 * prometheus.MOST_SIZES
    assert ("all_reduce", sizes[-1]) in kept
    assert ("all_reduce", sizes[0]) not in kept
    (left,) = found["railgauge_series_left_out"].values()
    assert left == len(begun.cases) - len(kept)
    values = {value for series in found.values() for labels in series for _, value in labels}
    assert not values & {"n0", "n1"}


def test_a_run_without_an_end_has_no_time_of_its_end(start):
    found = samples_of(load(start().path))
    assert "railgauge_completion_timestamp_seconds" not in found
    assert list(found["railgauge_exit_code"].values()) == [3]


def test_bencher_has_latency_in_ns_and_busbw_within_their_bounds(run):
    made = json.loads(bmf.render(run))
    assert list(made) == [NAME, "barrier[world-4-int8-out-blocking-barrier-0]"]
    latency, busbw = made[NAME]["latency"], made[NAME]["busbw"]
    assert latency["value"] == pytest.approx(150_000, rel=1e-3)
    assert latency["lower_value"] < latency["value"] < latency["upper_value"]
    assert busbw["lower_value"] < busbw["value"] < busbw["upper_value"]
    assert list(made["barrier[world-4-int8-out-blocking-barrier-0]"]) == ["latency"]


def test_what_was_not_measured_is_no_benchmark(start, flipped):
    begun = start(sizes=(8, 1024))
    begun.gap(begun.cases[0], "no memory")
    begun.result(begun.cases[1], wrong=(flipped,))
    loaded = load(begun.end("FAIL", 4))
    (wrong,) = json.loads(bmf.render(loaded)).values()
    assert list(wrong) == ["latency"]  # wrong data has no bandwidth
    assert len(json.loads(pytest_benchmark.render(loaded))["benchmarks"]) == 1


def test_pytest_benchmark_has_the_statistics_of_the_iterations(run):
    made = json.loads(pytest_benchmark.render(run))["benchmarks"][0]
    assert (made["name"], made["group"]) == (NAME, "all_reduce")
    stats = made["stats"]
    assert stats["rounds"] == 201
    took = np.round(TOOK * 1e9) / 1e9
    assert stats["mean"] == pytest.approx(took.mean())
    assert stats["stddev"] == pytest.approx(statistics.stdev(took))
    assert (stats["min"], stats["max"]) == (pytest.approx(1e-4), pytest.approx(2e-4))
    assert stats["outliers"] == "84;0"


@pytest.mark.parametrize("count", [1, 2, 5, 6, 7, 8, 9])
def test_quartiles_are_those_that_pytest_benchmark_computes(count):
    from pytest_benchmark.stats import Stats

    data = [float((7 * k) % 11 + k**3 / 50) for k in range(count)]
    reference = Stats()
    for value in data:
        reference.update(value)
    made = pytest_benchmark.statistics(np.array(data))
    expected = {name: getattr(reference, name) for name in Stats.fields}
    words = expected.pop("outliers")
    assert made["outliers"] == words
    assert {name: made[name] for name in expected} == pytest.approx(expected)


def test_of_several_groups_a_benchmark_is_their_medians(start):
    begun = start(pattern="pairs", operations=("sendrecv",), sizes=(1024,), hosts=4)
    for index, took in enumerate((1e-5, 2e-5, 3e-5)):
        begun.result(begun.cases[0], took, index=index)
    (made,) = json.loads(pytest_benchmark.render(load(begun.end())))["benchmarks"]
    assert made["stats"]["rounds"] == 6
    assert made["stats"]["median"] == pytest.approx(2e-5)
    assert made["extra_info"]["groups"] == 6


def test_pytest_benchmark_compares_two_of_our_files(run, start, tmp_path):
    other = start(folder="b", operations=("all_reduce",), sizes=(1 << 20,))
    other.result(other.cases[0], TOOK * 2, samples=201)
    paths = [tmp_path / "0001_a.json", tmp_path / "0002_b.json"]
    for path, loaded in zip(paths, (run, load(other.end())), strict=True):
        path.write_text(pytest_benchmark.render(loaded))
    words = [sys.executable, "-m", "pytest_benchmark", "compare", "--columns=median,rounds"]
    made = subprocess.run([*words, *paths], capture_output=True, text=True, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    rows = [line.split() for line in made.stdout.splitlines() if line.startswith("all_reduce[")]
    assert [row[0] for row in rows] == [NAME] * 2
    assert [row[2:4] for row in rows] == [["150.0000", "(1.0)"], ["300.0000", "(2.00)"]]


# ReFrame ----------------------------------------------------------------------------------------------


@pytest.fixture
def stand_in(monkeypatch):
    """As much of ReFrame as a test class needs; no more."""
    core = types.ModuleType("reframe")
    core.simple_test = lambda made: made
    core.RunOnlyRegressionTest = object
    sanity = types.ModuleType("reframe.utility.sanity")
    sanity.make_performance_function = lambda value, unit: (value, unit)
    sanity.defer = lambda value: value
    sanity.assert_eq = lambda a, b, msg: (a == b, msg)
    monkeypatch.setitem(sys.modules, "reframe", core)
    monkeypatch.setitem(sys.modules, "reframe.utility", types.ModuleType("reframe.utility"))
    monkeypatch.setitem(sys.modules, "reframe.utility.sanity", sanity)
    built_in = {
        "variable": lambda _kind, value: value,
        "run_before": lambda _stage: lambda function: function,
        "sanity_function": lambda function: function,
    }

    def load_class(text):
        names = dict(built_in)
        exec(compile(text, "check.py", "exec"), names)
        return names["RailgaugeCheck"]

    return load_class


def test_the_reframe_test_repeats_the_plan_and_reads_our_metrics(run, stand_in, tmp_path):
    check = stand_in(reframe.render(run))()
    check.stagedir, check.perf_variables = str(tmp_path), {}
    check.job = types.SimpleNamespace(launcher=types.SimpleNamespace(registered_name="local"))
    check.write_plan()
    plan = msgspec.json.decode((tmp_path / "plan.json").read_bytes(), type=Plan)
    assert plan == run.stored.plan
    assert check.executable_opts[-2:] == ["-n", "4"]
    (tmp_path / "metrics.json").write_text(bmf.render(run))
    (tmp_path / "report.json").write_text(json_format.render(run))
    assert check.passes() == (True, "")
    check.read_metrics()
    references = check.reference["*"]
    assert check.perf_variables.keys() == references.keys()
    busbw, latency = references
    assert references[busbw][1:] == (-0.05, None, "GB/s")
    assert references[latency][1:] == (None, 0.05, "us")
    for name, (value, unit) in check.perf_variables.items():
        assert (value, unit) == (pytest.approx(references[name][0]), references[name][3])


def test_under_a_launcher_the_reframe_test_leaves_the_ranks_to_it(run, stand_in, tmp_path):
    check = stand_in(reframe.render(run))()
    check.stagedir = str(tmp_path)
    check.job = types.SimpleNamespace(launcher=types.SimpleNamespace(registered_name="srun"))
    check.write_plan()
    assert "-n" not in check.executable_opts
    assert (check.num_tasks, check.num_tasks_per_node) == (4, 2)


def test_a_plan_with_quotes_stays_a_plan(start, stand_in, tmp_path):
    odd = 'a\'"""\\n{{ 1 }}'
    begun = start(sizes=(8,), variables=(("NAME", odd),))
    begun.result(begun.cases[0])
    check = stand_in(reframe.render(load(begun.end())))()
    check.stagedir = str(tmp_path)
    check.job = types.SimpleNamespace(launcher=types.SimpleNamespace(registered_name="local"))
    check.write_plan()
    assert (
        msgspec.json.decode((tmp_path / "plan.json").read_bytes(), type=Plan).variables[0][1] == odd
    )


def test_a_line_of_the_perflog_has_as_many_cells_as_its_header(run, monkeypatch):
    bands = {("all_reduce", 1 << 20): Band(8.0, 12.0)}
    monkeypatch.setattr(judged, "expected_of", lambda _run: bands)
    header, line = (row.split("|") for row in reframe_log.render(run).splitlines())
    cells = dict(zip(header, line, strict=True))
    assert cells["result"] == "pass"
    assert cells["job_completion_time"] == "2023-11-14T22:13:29+00:00"
    assert cells["job_nodelist"] == "n0,n1"
    busbw = "all_reduce_world_4_float32_sum_out_blocking_barrier_1M_busbw"
    assert float(cells[f"{busbw}_value"]) == pytest.approx((1 << 20) / 150e-6 * 1.5e-9, rel=1e-3)
    assert (cells[f"{busbw}_ref"], cells[f"{busbw}_lower_thres"]) == ("10", "-0.2")
    assert cells["barrier_world_4_int8_out_blocking_barrier_0_latency_ref"] == "null"


def test_a_run_that_failed_is_a_fail_in_the_perflog(start):
    header, line = (row.split("|") for row in reframe_log.render(load(start().path)).splitlines())
    cells = dict(zip(header, line, strict=True))
    assert (cells["result"], cells["job_exitcode"]) == ("fail", "3")


MARKED = (
    bmf,
    json_format,
    markdown,
    nccl_tests,
    prometheus,
    pytest_benchmark,
    reframe,
    reframe_log,
)


@pytest.mark.parametrize("how", [*MARKED, table])
def test_what_a_model_answered_is_marked_in_every_format(run, how):
    marks = {json_format: '"simulated": true', prometheus: 'simulated="true"'}
    marks |= {bmf: "[simulated-", pytest_benchmark: "[simulated-"}
    mark = marks.get(how, "SIMULATED: these numbers come from a model")
    assert mark not in how.render(run)
    assert mark in how.render(simulated(run))


def test_csv_tells_the_backend_in_a_column(run):
    assert "backend" in csv.render(run).splitlines()[0].split(",")
