"""JUnit XML: valid, and nothing that was not measured passes."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from railgauge_reports import judged
from railgauge_reports.formats import junit
from railgauge_reports.loaded import LoadedRun, load
from railgauge_reports.suspected import Suspected

xmlschema = pytest.importorskip("xmlschema")
SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "junit.xsd")


def suites(run):
    """Name -> suite; the document is valid and its counts are right."""
    text = junit.render(run)
    SCHEMA.validate(text)
    found = {}
    for suite in ElementTree.fromstring(text):
        tests = suite.findall("testcase")
        assert int(suite.get("tests")) == len(tests)
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.get(count)) == sum(test.find(tag) is not None for test in tests)
        found[suite.get("name").removeprefix("railgauge.")] = suite
    return found


def outcomes(suite):
    """Name of a test case -> what it came to and its message."""
    return {
        test.get("name"): next(((of.tag, of.get("message")) for of in test), ("", ""))
        for test in suite.findall("testcase")
    }


def test_measured_cases_pass_wrong_ones_fail_and_missing_ones_are_errors(start, flipped):
    run = start(sizes=(8, 16, 32, 64))
    run.result(run.cases[0])
    run.result(run.cases[1], wrong=(flipped,))
    run.gap(run.cases[2], "needs 9 GiB")
    made = suites(load(run.end("FAIL", 4)))
    found = list(outcomes(made["measurements"]).values())
    assert [outcome for outcome, _ in found] == ["", "failure", "error", "error"]
    assert found[1][1].startswith("rank 2 on n1: receive 0, element 17 is 0x40c00001")
    assert found[2][1] == "round 0: needs 9 GiB"
    assert found[3][1] == "round 0 was not reached"
    assert outcomes(made["verdict"]) == {"verdict": ("failure", "FAIL (4)")}


def test_a_pass_has_no_failure_and_no_error(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    made = suites(load(run.end()))
    assert [made[name].get("failures") + made[name].get("errors") for name in made] == ["00"] * 4
    assert float(made["measurements"].get("time")) == 0.5


@pytest.mark.parametrize(("verdict", "code"), [("INCONCLUSIVE", 6), ("ERROR", 5), ("ERROR", 75)])
def test_a_verdict_that_is_none_is_an_error(start, verdict, code):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    found = outcomes(suites(load(run.end(verdict, code)))["verdict"])
    assert found["verdict"] == ("error", f"{verdict} ({code})")


def test_a_killed_run_is_an_error(start):
    made = suites(load(start().path))
    assert outcomes(made["verdict"])["verdict"][0] == "error"
    assert {outcome for outcome, _ in outcomes(made["measurements"]).values()} == {"error"}


def test_a_round_that_is_missing_makes_its_case_an_error(start):
    run = start(hosts=4, pattern="pairs", operations=("sendrecv",), sizes=(8,))
    run.result(run.cases[0], index=0)
    run.result(run.cases[0], index=2)
    (found,) = outcomes(suites(load(run.end()))["measurements"]).values()
    assert found == ("error", "round 1 was not reached")


def test_rules_that_could_not_be_judged_are_skipped_with_why(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    found = outcomes(suites(load(run.end()))["fabric"])
    assert found
    assert {outcome for outcome, _ in found.values()} == {"skipped"}
    assert all(message for _, message in found.values())


def test_a_suspect_is_a_failure_once_it_is_confirmed(start, monkeypatch, suspect):
    confirmed = suspect(verified="confirmed", next_test="railgauge next")
    doubted = suspect(target="rail 2 of n4", hosts=("n4",))
    accused = Suspected((confirmed, doubted))
    monkeypatch.setattr(judged, "suspected", lambda _run: accused)
    run = start(sizes=(8,))
    run.result(run.cases[0])
    found = outcomes(suites(load(run.end()))["suspects"])
    assert found["nic rail 1 of n3"][0] == "failure"
    assert "next: railgauge next" in found["nic rail 1 of n3"][1]
    assert found["nic rail 2 of n4"][0] == "skipped"


def test_what_xml_cannot_hold_is_replaced(start):
    run = start(
        sizes=(8,),
        names=("<n0>&\x00\x1b[1m", "]]>\ud800".encode("utf-16", "ignore").decode("utf-16")),
    )
    run.result(run.cases[0])
    made = suites(load(run.end("FAIL", 1, "a \x07 bell, </failure> and\ntwo lines")))
    assert made["verdict"].get("hostname") == "<n0>&\ufffd\ufffd[1m"
    text = made["verdict"].find("testcase/failure").text
    assert "a \ufffd bell, </failure> and\ntwo lines" in text


@pytest.mark.parametrize("simulated", [False, True])
def test_a_simulated_run_says_so_in_every_suite(start, monkeypatch, simulated):
    monkeypatch.setattr(LoadedRun, "simulated", property(lambda _run: simulated))
    run = start(sizes=(8,))
    run.result(run.cases[0])
    for suite in suites(load(run.end())).values():
        properties = {p.get("name"): p.get("value") for p in suite.find("properties")}
        assert properties["simulated"] == str(simulated).lower()
        assert (suite.findtext("system-out") or "").startswith("SIMULATED") == simulated
