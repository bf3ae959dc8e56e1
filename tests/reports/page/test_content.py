"""What the page says, and that it stays small and closed."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re

import altair as alt
import msgspec
import pytest
from jsonschema import ValidationError

from railgauge.cluster import Cluster
from railgauge_reports import judged
from railgauge_reports.cost import cost_of, energy_frame
from railgauge_reports.counters import counter_frame
from railgauge_reports.formats import html
from railgauge_reports.judged import Band, Shortfall, judged_of
from railgauge_reports.loaded import Asked, load
from railgauge_reports.odd_hosts import odd_hosts
from railgauge_reports.page.content import WORST, page_of, whole
from railgauge_reports.page.document import as_block, document
from railgauge_reports.suspected import Suspected

MOST_BYTES = 3_000_000


def simulated(run):
    """The run as if a model had answered."""
    plan = msgspec.structs.replace(run.stored.plan, backend="simulated", cluster=Cluster())
    return dataclasses.replace(run, stored=dataclasses.replace(run.stored, plan=plan))


@pytest.fixture
def _suspected(monkeypatch, suspect):
    """As if the localiser had named a NIC, and the cluster were described."""
    facts = {
        "supporting": 7,
        "of": 7,
        "alternatives": ("its cable",),
        "next_test": "railgauge next",
    }
    nic = suspect(verified="confirmed", **facts)
    bands = {("sendrecv", 16 << 20): Band(60.0, 64.0, 70.0)}
    monkeypatch.setattr(judged, "suspected", lambda _run: Suspected((nic,)))
    monkeypatch.setattr(judged, "expected_of", lambda _run: (bands, ""))


def test_the_first_screen_has_verdict_coverage_findings_and_commands(start, flipped):
    run = start(sizes=(8, 1024))
    run.result(run.cases[0], wrong=(flipped,))
    run.gap(run.cases[1], "needs 9 GiB")
    page = page_of(load(run.end("FAIL", 4)))
    assert (page.word, page.measured, page.planned) == ("FAIL", 1, 2)
    assert page.worst[0].sentence.startswith("wrong data: rank 2 on n1: receive 0, element 17")
    assert page.worst[0].severity == "fail"
    assert page.worst[0].hosts == ("n1",)
    assert any("needs 9 GiB" in finding.sentence for finding in page.worst)
    assert any("--operation all_reduce" in command for command in page.commands)


def test_five_findings_stand_on_the_first_screen_and_the_worst_come_first(start):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    for number in range(9):
        run.note(f"note {number}")
    page = page_of(load(run.end("FAIL", 1, "links are down")))
    assert len(page.worst) == WORST
    assert page.worst[0].sentence == "links are down"
    assert [finding.severity for finding in page.more] == ["note"] * len(page.more)
    assert len(page.more) >= 5


def test_without_a_finding_the_page_says_so(start):
    run = start(sizes=(8,))
    run.result(run.cases[0], samples=2000)
    loaded = load(run.end())
    assert not judged_of(loaded).findings
    assert "Nothing was found wrong in what was measured." in html.render(loaded)


@pytest.mark.usefixtures("_suspected")
def test_suspects_come_before_slow_pairs_and_bands_are_drawn(fleet):
    page = page_of(load(fleet()))
    assert page.worst[0].sentence.startswith("rail 1 of n3 is 50.0% slower than the fleet")
    assert page.worst[0].severity == "fail"
    assert not any("pairs are slow" in finding.sentence for finding in page.worst)
    assert page.commands[0] == "railgauge next"
    bandwidth, pairs = page.charts[0], page.charts[1]
    assert bandwidth.columns()["expected"]["high"] == [64.0]
    assert "1 of 1 points lie below it" in bandwidth.says
    assert "» n3" in set(pairs.columns()["cells"]["row"])
    assert "below the 62.0 GB/s that are expected" in page.cost_says


def test_without_an_expectation_the_page_says_so_and_draws_none(shown):
    bandwidth = shown.chart("bandwidth")
    assert "No expectation: its buffers lie in host memory" in bandwidth.says
    assert "expected" not in bandwidth.data


def test_charts_of_a_fleet(shown):
    names = [chart.name for chart in shown.page.charts]
    assert names == ["bandwidth", "pairs", "players", "rails", "counters", "percentiles"]


def test_every_chart_is_one_that_vega_lite_knows(shown):
    for chart in shown.page.charts:
        alt.Chart.from_dict(chart.spec, validate=True)
    with pytest.raises(ValidationError):
        alt.Chart.from_dict(shown.page.charts[0].spec | {"height": "tall"}, validate=True)


def test_slow_pairs_are_outlined_on_their_rail_only(shown):
    cells = shown.chart("rails").columns()["cells"]
    outlined = {rail for rail, slow in zip(cells["rail"], cells["slow"], strict=True) if slow}
    assert outlined == {1}
    assert sum(cells["slow"]) == 10


def test_leaves_are_told_apart_by_a_line_before_each_but_the_first(shown):
    assert shown.chart("pairs").columns()["edges"]["edge"] == ['n"1']


def test_every_chart_has_its_values_as_a_table(shown):
    for chart in shown.page.charts:
        assert chart.grid.rows, chart.name
        assert {len(row) for row in chart.grid.rows} == {len(chart.grid.header)}, chart.name


def test_a_count_stands_beside_the_pair_that_made_it(shown):
    grid = shown.chart("counters").grid
    cells = [dict(zip(grid.header, row, strict=True)) for row in grid.rows]
    paused = [row for row in cells if row["counter"] == "rx_prio3_pause"]
    assert len(paused) == 15
    assert {(row["host"], row["event"]) for row in paused} == {(shown.slow, "pause_rx")}
    large = [row for row in paused if "16M" in row["while"]]
    assert {row["of the median"] for row in large} == {"50%"}
    pairs = {row["by"].removesuffix(" (2 groups)") for row in large}
    assert len(pairs) == 5
    assert all(shown.slow in pair.split() for pair in pairs)


# cost, energy, outliers -------------------------------------------------------------------------------


def test_a_shortfall_costs_hours_of_all_processors_by_the_share_of_communication(fleet):
    run = load(fleet(hosts=8, rails=2), asked=Asked(price=2.0))
    cost = cost_of(run, Shortfall(0.5, "x", "y"))
    assert (cost.noun, cost.processors) == ("rank", 16)
    assert {share: lost for share, *lost in cost.rows}[0.25] == [48.0, 96.0]
    without = cost_of(dataclasses.replace(run, asked=Asked()), Shortfall(0.5, "x", "y"))
    assert {money for _, _, money in without.rows} == {None}


def test_gpus_are_counted_once_each(start):
    run = start(sizes=(8,), backend="nccl", memory="device")
    run.result(run.cases[0], 1e-6)
    cost = cost_of(load(run.end()), Shortfall(0.1, "x", "y"))
    assert (cost.noun, cost.processors) == ("GPU", 4)


def test_energy_is_told_by_gigabyte_where_power_was_read(fleet):
    run = load(fleet(hosts=4, rails=1, slow=("n3", 0), sizes=(1 << 20,)))
    frame = energy_frame(counter_frame(run.stored))
    (row,) = frame.to_dict("records")
    assert row["gpus"] == 1
    assert row["joules"] == pytest.approx(3 * 350)
    assert row["watts"] == pytest.approx(700)
    moved = 72 * (1 << 20) / 1e9  # 40 iterations and 32 of warm-up
    assert row["joules_per_GB"] == pytest.approx(350 / moved)
    assert energy_frame(counter_frame(load(fleet(folder="x", slow=None)).stored)).empty


def test_hosts_unlike_the_others_are_named_with_what_the_others_have(start):
    nodes = [{"kernel": "6.1", "versions": {"mpich": "5.0.2"}, "boot_id": str(k)} for k in range(5)]
    nodes[3] = {"kernel": "6.1", "versions": {"mpich": "5.0.1"}}
    nodes[4] = {"kernel": "6.1", "versions": {}}
    run = start(hosts=5, ranks=5, nodes=nodes)
    found = {odd.value: odd for odd in odd_hosts(load(run.path).stored)}
    assert set(found) == {"5.0.1", "not recorded"}
    odd = found["5.0.1"]
    assert (odd.fact, odd.who, odd.majority, odd.holders, odd.hosts) == (
        *("versions mpich", ("n3",), "5.0.2", 3, 5),
    )


def test_a_damaged_environment_has_no_outliers(start):
    run = start()
    (run.path / "environment.json").write_text('{"nodes": [1, {"host": "n0"}]}')
    assert odd_hosts(load(run.path).stored) == []


# the document -----------------------------------------------------------------------------------------


def test_the_policy_allows_the_scripts_and_the_style_of_the_page_and_nothing_else(shown):
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', shown.text)
    rules = dict(part.strip().split(" ", 1) for part in policy.replace("&#39;", "'").split(";"))
    assert rules["default-src"] == "'none'"
    assert rules.keys() == {"default-src", "script-src", "style-src", "base-uri", "form-action"}

    def hashes(tag):
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", shown.text, re.DOTALL)
        digests = (hashlib.sha256(content.encode()).digest() for content in found)
        return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]

    assert rules["script-src"].split() == hashes("script")
    assert rules["style-src"].split() == hashes("style")
    markup = re.sub(r"<(script|style)[^>]*>.*?</\1>", "", shown.text, flags=re.DOTALL)
    assert not re.search(r"<[^>]+\s(?:style|on\w+|src)=", markup)


def test_the_page_points_to_nothing_outside(shown):
    without_library = re.sub(r"<script>.*?</script>", "", shown.text, flags=re.DOTALL)
    assert not re.search(r"(?:src|href|url)\s*[=(]\s*[\"']?(?:https?:)?//", without_library)


def test_no_name_of_a_host_becomes_markup(shown):
    text = shown.text
    assert "<script>alert" not in text
    assert "</style><b>" not in text
    assert "n494" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert text.count("<style") == text.count("</style") == 1
    blocks = re.findall(r'<script type="application/json" id="[\w-]+">(.*?)</script>', text)
    assert len(blocks) == 6
    cells = (json.loads(block)["data"].get("cells") for block in blocks)
    told = {name for part in cells if part for name in part["row"]["words"]}
    assert set(shown.names) == {name.removeprefix("» ") for name in told}  # a suspect is marked


def test_json_in_a_script_cannot_end_it():
    value = {"a": "</script><!-- & \u2028"}
    assert not set("<>&") & set(as_block(value))
    assert json.loads(as_block(value)) == value


def test_a_simulated_run_is_marked_before_everything_else(shown):
    text = document(page_of(simulated(shown.run)))
    assert text.index('class="simulated"') < text.index("<h1")
    assert "SIMULATED: these numbers come from a model" in text
    assert 'class="simulated"' not in shown.text


def test_a_run_that_measured_nothing_has_a_page(start):
    text = html.render(load(start().path))
    assert "There is nothing to draw" in text
    assert "ended without a word" in text


def test_a_tournament_of_a_hundred_nodes_is_drawn_in_blocks_below_the_limit(tournament):
    run = tournament(128, 8, leaves=16)
    assert len(run.rows) == 65_024
    page = page_of(run)
    pairs = page.charts[1]
    assert len(set(pairs.columns()["cells"]["row"])) == 16
    assert "128 hosts are drawn as 16 blocks" in pairs.says
    assert re.match(
        r"node\d{4} - node0003, rail 1: |node0003 - node\d{4}, rail 1: ", page.worst[1].sentence
    )
    assert len(page.rows.rows) == 200
    assert len(document(page).encode()) < MOST_BYTES
    assert not whole(run)


def test_a_small_run_is_whole_on_its_page(shown):
    assert whole(shown.run)
    assert html.beside(shown.run) is None
    assert "All 90 rows." in shown.text


def test_long_names_and_a_long_log_stay_below_the_limit(tournament):
    names = [f"{k:02d}" + "x" * 300 for k in range(64)]
    run = tournament(64, 8, names=names)
    notes = ("a note of a log " * 100_000, *(f"{k} " + "y" * 5000 for k in range(80)))
    told = dataclasses.replace(run, stored=dataclasses.replace(run.stored, notes=notes))
    text = html.render(told)
    assert len(text.encode()) < MOST_BYTES
    assert f"a note of a log {'a note of a log ' * 10}" in text


def test_words_of_a_chart_stand_once(shown):
    chart = shown.chart("pairs")
    packed, plain = chart.packed()["cells"], chart.columns()["cells"]
    assert len(packed["row"]["words"]) == len(shown.names)
    assert [packed["row"]["words"][k] for k in packed["row"]["at"]] == plain["row"]
    assert packed["busbw"] == plain["busbw"]


def test_many_curves_and_a_sweep_of_sizes_stay_below_the_limit(start):
    sizes = tuple(1 << k for k in range(3, 30))
    operations = ("all_reduce", "all_gather", "alltoall")
    run = start(operations=operations, placements=("out",), sizes=sizes, dtypes=("float32", "int8"))
    for case in run.cases:
        run.result(case, 1e-5, samples=4)
    assert len(html.render(load(run.end())).encode()) < MOST_BYTES
