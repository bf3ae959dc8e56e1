"""A month with a regression, another environment, a missing and a corrupt night, from runs to reports."""

from __future__ import annotations

import json
import re
import shutil
from types import SimpleNamespace

import msgspec
import pytest

from railgauge.cli import main
from railgauge_reports.history import morning
from railgauge_reports.history.gate import gate_of
from railgauge_reports.history.named import named_by
from railgauge_reports.history.tracks import shifts
from railgauge_reports.page.gate import gate_page

ACK = (
    "--author",
    "A. Operator",
    "--reason",
    "clocks capped, ticket 4711",
    "--expires",
    "2026-12-31",
)


@pytest.fixture(scope="session")
def month(rig, tmp_path_factory):
    """The history, its nights, and what the gate says of the last one; not to be changed."""
    made = rig("simulated_month")
    folder = tmp_path_factory.mktemp("month") / "nightly"
    nights = made.build(folder, made.EVENTFUL)
    assert main(["gate", str(folder), "--night", "20261027", "--ack", "*/local/*", *ACK]) == 1
    return SimpleNamespace(folder=folder, nights=nights, gate=gate_of(folder, "20261030"), rig=made)


@pytest.fixture(scope="session")
def gated(month):
    return gate_page(month.gate)


def test_the_slow_nic_is_a_regression_since_its_night_and_of_these_nodes_alone(month):
    assert (month.gate.verdict.word, month.gate.verdict.exit_code) == ("REGRESSION", 1)
    slow = month.gate.of_state("regression")
    assert {month.gate.nights[s.since].name for s in slow} == {"2026-10-18"}
    assert {s.scope for s in slow} == {"nodes"}
    assert {s.key.operation for s in slow} == {"all_reduce", "all_gather", "sendrecv"}
    worst = min(slow, key=lambda s: s.effect)
    assert worst.effect == pytest.approx(-0.2, abs=0.01)


def test_the_nights_own_pairs_name_the_nic(month):
    first = named_by(month.gate)[0]
    assert (first.target, first.hosts) == ("rail 1 of node0005", ("node0005",))
    assert first.nights == ("2026-10-30", "2026-10-18")
    assert first.folder.endswith("20261030/02-pairs")
    assert first.effect == pytest.approx(0.2, abs=0.02)


def test_the_worst_place_of_the_pairs_is_told_by_name(month):
    worst = next(s for s in month.gate.of_state("regression") if s.place)
    assert "node0005" in worst.place
    assert f"({worst.place}): " in morning.from_to(month.gate, worst)


def test_the_other_library_is_an_environment_and_no_regression(month):
    last = month.gate.epochs[-1]
    assert month.gate.nights[last.night].name == "2026-10-10"
    assert [c.sentence() for c in last.changes] == ["nvidia-nccl-cu13: 2.28.9 -> 2.29.2"]
    assert gate_of(month.folder, "20261017").verdict.word == "PASS"


def test_the_missing_and_the_corrupt_night_are_told_as_what_they_are(month):
    states = {night.name: night.state for night in month.gate.nights}
    assert states["2026-10-24"] == "missing"
    assert states["2026-10-21"] == "corrupt"
    assert sum(state in ("missing", "corrupt") for state in states.values()) == 2


def test_the_acknowledged_shift_is_the_new_level(month):
    own = next(s for s in month.gate.series if s.key.stage == "local")
    night = {n.name: state for n, state in zip(month.gate.nights, own.states, strict=True)}
    assert (night["2026-10-26"], night["2026-10-27"]) == ("regression", "acknowledged")
    assert own.state == "accepted"
    assert own.medians[-1] < 0.97 * own.medians[-5]


def test_the_change_points_say_when_by_how_much_and_in_which_interval(month):
    found = [s for s in shifts(month.gate) if s.series.key.operation == "all_reduce"]
    names = {month.gate.nights[s.change.night].name for s in found}
    assert names == {"2026-10-18"}
    assert all(s.worse and s.change.low <= s.change.effect <= s.change.high for s in found)


def test_its_chart_says_who_acknowledged_it(gated):
    chart = next(c for c in gated.drawn.changed if c.title.startswith("local:"))
    ack = chart.data["marks"].query("kind == 'ack'").iloc[0]
    assert (ack["night"], ack["label"]) == ("2026-10-27", "acknowledged by A. Operator")


def test_the_page_tells_all_of_it_on_its_first_screen(gated):
    said = "\n".join(finding.sentence for finding in gated.worst)
    for words in (
        "97.7 GB/s -> 78.2 GB/s (-20.0%", "since 2026-10-18, 12 nights", "others are fine",
        "Named by night 2026-10-30 and 2026-10-18: rail 1 of node0005",
        "1 night is missing in all: 2026-10-24", "Environment since 2026-10-10 (19 nights)",
        "by A. Operator", "until 2026-12-31",
    ):  # fmt: skip
        assert words in said
    assert gated.advice <= set(gated.commands)
    assert any("--pattern listed" in command for command in gated.commands)


@pytest.mark.parametrize("name", ["html", "markdown", "junit", "prometheus", "table", "json"])
def test_every_format_is_written_by_the_command_and_ends_with_the_verdict(
    month, name, tmp_path, capsys
):
    file = tmp_path / "morning.out"
    words = ["gate", str(month.folder), "--night", "20261030", "--format", name]
    assert main([*words, "--output", str(file)]) == 1
    assert capsys.readouterr().out == f"{file}\n"
    text = file.read_text()
    assert "REGRESSION" in text
    assert [path.name for path in tmp_path.iterdir()] == ["morning.out"]  # nothing half written
    if name == "json":
        assert json.loads(text)["exit_code"] == 1


def test_a_night_that_its_history_has_not_is_a_usage_error(month, capsys):
    assert main(["gate", str(month.folder), "--night", "20270101", "--format", "markdown"]) == 2
    assert "20270101" in capsys.readouterr().err


def test_a_night_that_is_gone_since_it_was_judged_names_nobody(month, tmp_path):
    gone = msgspec.structs.replace(month.gate, folder=str(tmp_path))
    assert named_by(gone) == ()
    shutil.copytree(month.folder / "20261018", tmp_path / "20261018")
    (tmp_path / "20261030").mkdir()
    (tmp_path / "20261030" / "accept.json").write_bytes(b"\xff\x00")
    assert [found.nights for found in named_by(gone)] == [("2026-10-18",)]


def test_every_night_has_a_noise_and_a_time_of_its_own(month):
    runs = [
        folder / "03-sweep" / "nodes0008" for night, folder in month.nights.items() if night != 21
    ]
    samples = {next((run / "samples").iterdir()).read_bytes() for run in runs}
    assert len(samples) == len(runs)
    started = [
        json.loads((run / "journal.jsonl").read_text().splitlines()[0])["started"] for run in runs
    ]
    days = [(seconds - month.rig.EVENTFUL.began(1)) / 86400 for seconds in started]
    assert [int(day + 0.01) for day in days] == [night - 1 for night in month.nights if night != 21]
    assert not re.search(r"\.inputs", " ".join(path.name for path in month.folder.iterdir()))
