"""Charts as files of their own, through the command."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from railgauge.cli import main
from railgauge_reports.page.chart import columns_of
from railgauge_reports.page.drawing import files
from railgauge_reports.page.theme import in_file, in_page


def test_every_chart_becomes_a_file_of_its_name(start, tmp_path, capsys):
    run = start(sizes=(8, 1024))
    for case in run.cases:
        run.result(case)
    folder = tmp_path / "charts" / "new"
    assert main(["report", str(run.end()), "--charts", str(folder)]) == 0
    paths = sorted(folder.iterdir())
    assert [path.name for path in paths] == ["bandwidth.svg", "percentiles.svg"]
    assert sorted(capsys.readouterr().out.split()) == sorted(map(str, paths))
    for path in paths:
        assert ElementTree.parse(path).getroot().tag.endswith("svg")


def test_a_png_is_a_png(shown, tmp_path):
    chart = (shown.chart("players"),)
    (made,) = files(tmp_path, chart, "png").values()
    assert made.startswith(b"\x89PNG\r\n\x1a\n")


def test_a_file_of_a_simulated_run_says_so(shown, tmp_path):
    (made,) = files(tmp_path, (shown.chart("bandwidth"),), "svg", "SIMULATED: a model").values()
    assert "SIMULATED: a model" in made.decode()


def test_names_of_hosts_stay_text_in_a_file(shown, tmp_path):
    (made,) = files(tmp_path, (shown.chart("pairs"),), "svg").values()
    words = {element.text for element in ElementTree.fromstring(made).iter() if element.text}
    assert set(shown.names) <= {word.removeprefix("» ") for word in words}  # a suspect is marked


def test_a_file_has_fixed_colours_and_the_page_its_own(shown):
    chart = shown.chart("pairs")
    assert "var(" not in str(in_file(chart))
    assert "@accent" not in str(in_file(chart)) + str(in_page(chart))
    assert "var(--accent)" in str(in_page(chart))


def test_what_is_missing_in_a_chart_is_null(shown):
    frame = shown.run.rows.head(1)[["p99_seconds", "setting", "busbw_GBps", "round"]]
    columns = columns_of(frame)
    assert columns["p99_seconds"] == columns["setting"] == [None]
    assert columns["round"] == [0]
    assert columns["busbw_GBps"][0] == pytest.approx(float(frame["busbw_GBps"].iloc[0]), rel=1e-4)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--charts", "x", "--chart-format", "gif"], "unknown chart format 'gif'"),
        (["--chart-format", "png"], "--chart-format is of --charts"),
        (["--charts", "run/journal.jsonl/x"], "--charts"),
    ],
)
def test_what_cannot_be_drawn_is_a_usage_error(start, tmp_path, capsys, monkeypatch, more, says):
    monkeypatch.chdir(tmp_path)
    run = start(sizes=(8,))
    run.result(run.cases[0])
    assert main(["report", str(run.end()), *more]) == 2
    assert says in capsys.readouterr().err


def test_a_run_without_a_time_draws_nothing_and_says_so(start, tmp_path, capsys):
    assert main(["report", str(start().path), "--charts", str(tmp_path / "x")]) == 3
    assert "nothing to draw" in capsys.readouterr().err
