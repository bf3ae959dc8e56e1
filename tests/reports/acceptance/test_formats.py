"""An acceptance for machines: JUnit, Prometheus, a monitoring plug-in."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from railgauge.cli import main
from railgauge_reports.acceptance import algebra
from railgauge_reports.acceptance.judge import judge, read_acceptance
from railgauge_reports.formats import junit, prometheus

xmlschema = pytest.importorskip("xmlschema")
SCHEMA = xmlschema.XMLSchema(Path(__file__).parents[1] / "junit.xsd")
LIMIT = "pairs: busbw at least 0.93 of the fleet's median, of each nic"
NIC = "pairs: nic rail 1 of node0005"


@pytest.fixture(scope="module")
def result(confirmed):
    return judge(read_acceptance(confirmed))


def waived(result):
    """The same with its one finding waived."""
    pairs, sweep = result.stages
    (found,) = pairs.findings
    own = (msgspec.structs.replace(found, waived="pairs/*, by A until 2199-01-01: r"),)
    made = msgspec.structs.replace(pairs, findings=own, verdict=algebra.PASS)
    whole = {"stages": (made, sweep), "verdict": algebra.PASS, "waived": (own[0].waived,)}
    return msgspec.structs.replace(result, **whole)


def outcomes(result):
    """Suite -> name -> (what it came to, message); the document is valid."""
    text = junit.render_acceptance(result)
    SCHEMA.validate(text)
    return {
        suite.get("name").removeprefix("railgauge."): {
            test.get("name"): next(((of.tag, of.get("message")) for of in test), ("", ""))
            for test in suite.findall("testcase")
        }
        for suite in ElementTree.fromstring(text)
    }


def test_a_stage_a_limit_and_a_suspect_are_test_cases(result):
    made = outcomes(result)
    assert {name: tag for name, (tag, _) in made["stages"].items()} == {
        "pairs": "failure",
        "sweep": "",
    }
    assert made["limits"][LIMIT][0] == "failure"
    assert made["limits"][LIMIT][1].startswith("pairs/busbw-of-median/node0005:rail1: ")
    assert made["limits"]["sweep: busbw at least 0.1 of the expected value, of each run"] == (
        "",
        "",
    )
    assert [tag for tag, _ in made["suspects"].values()] == ["failure"]
    assert list(made["suspects"]) == [NIC]
    assert made["checklist"]["soak: Performance holds for the length of a soak"][0] == "skipped"
    assert made["verdict"]["verdict"] == ("failure", "FAIL (1)")
    assert "SIMULATED: these numbers" in junit.render_acceptance(result)


def test_what_is_waived_is_skipped_with_its_waiver(result):
    made = outcomes(waived(result))
    for suite, name in (("stages", "pairs"), ("limits", LIMIT), ("suspects", NIC)):
        outcome, message = made[suite][name]
        assert outcome == "skipped"
        assert message.startswith("waived: pairs/*, by A until 2199-01-01: r")
    assert made["verdict"]["verdict"] == ("", "")


def test_what_was_not_measured_passes_nothing(result):
    pairs, sweep = result.stages
    cut = msgspec.structs.replace(sweep, verdict=algebra.INTERRUPTED, reasons=("not measured yet",))
    lost = msgspec.structs.replace(pairs, verdict=algebra.ERROR, findings=(), reasons=("gone",))
    unsure = msgspec.structs.replace(pairs.suspects[0], verified="")
    lost = msgspec.structs.replace(lost, suspects=(unsure,))
    made = outcomes(
        msgspec.structs.replace(result, stages=(lost, cut), verdict=algebra.INTERRUPTED)
    )
    assert made["stages"] == {"pairs": ("error", "gone"), "sweep": ("skipped", "not measured yet")}
    assert [tag for tag, _ in made["limits"].values()] == ["error", "skipped"]
    assert made["suspects"][NIC][0] == "skipped"
    assert made["verdict"]["verdict"][0] == "error"


def test_names_hold_no_figure_that_was_measured(result, slow):
    other = outcomes(judge(read_acceptance(slow)))
    made = outcomes(result)
    assert set(other["limits"]) <= set(made["limits"])
    assert set(other["stages"]) <= set(made["stages"])
    assert set(other["suspects"]) == set(made["suspects"])


def samples(result):
    text = prometheus.render_acceptance(result)
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("simulated") == "true"
            name = sample.name.removeprefix("railgauge_acceptance_")
            found[(name, *labels.values())] = sample.value
    return text, found


def test_prometheus_has_verdict_stages_coverage_counts_and_node_hours_and_no_host(result):
    text, found = samples(result)
    assert "node0005" not in text
    assert (found["verdict", "FAIL"], found["verdict", "PASS"]) == (1, 0)
    assert found["exit_code",] == 1
    assert found["tested", "nodes"] == found["existing", "nodes"] == 12
    assert found["tested", "measurements"] == found["existing", "measurements"] == 7
    assert found["node_hours",] == pytest.approx(result.node_hours)
    assert found["findings", "fail"] == 1
    assert found["findings", "waived"] == 0
    assert found["faults", "fail"] == 1
    assert found["suspects", "confirmed"] == 1
    stages = {key[1:]: value for key, value in found.items() if key[0] == "stage_verdict"}
    assert sum(stages.values()) == 2
    assert found["stage_seconds", "pairs", "pairs"] == pytest.approx(result.stages[0].all_seconds)
    assert found["completion_timestamp_seconds",] == result.finished


def test_prometheus_counts_what_is_waived_apart(result):
    _, found = samples(waived(result))
    assert (found["findings", "fail"], found["findings", "waived"]) == (0, 1)
    assert (found["faults", "fail"], found["suspects", "confirmed"]) == (0, 0)


def test_a_monitor_hears_who_is_at_fault_and_what_was_covered(confirmed, capsys):
    assert main(["report", str(confirmed), "--nagios"]) == 2
    text, _, metrics = capsys.readouterr().out.strip().partition(" | ")
    assert text.startswith("RAILGAUGE CRITICAL: SIMULATED: ")
    assert "rail 1 of node0005: " in text
    assert "12 of 12 nodes" in text
    assert metrics.startswith("measured=7;;;0;7 nodes=12;;;0;12 faults=1;;;0 node_hours=")
    assert "'sweep'=" in metrics


def test_a_monitor_hears_that_all_is_well_and_that_nothing_can_be_read(healthy, tmp_path, capsys):
    assert main(["report", str(healthy), "--nagios"]) == 0
    assert capsys.readouterr().out.startswith("RAILGAUGE OK: ")
    (tmp_path / "accept.json").write_text("{}")
    assert main(["report", str(tmp_path), "--nagios"]) == 3
    assert capsys.readouterr().out.startswith("RAILGAUGE UNKNOWN: ")
