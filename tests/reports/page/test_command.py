"""`railgauge report --format html`: the page, and all rows beside it where it does not hold them."""

from __future__ import annotations

import pandas as pd

from railgauge.cli import main


def test_the_page_goes_to_its_file(start, tmp_path, capsys):
    run = start(sizes=(8,))
    run.result(run.cases[0])
    target = tmp_path / "page.html"
    words = [
        "report",
        str(run.end()),
        "--format",
        "html",
        "--price",
        "2.5",
        "--output",
        str(target),
    ]
    assert main(words) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]


def test_rows_that_the_page_does_not_hold_lie_beside_it(start, tmp_path):
    run = start(hosts=66, ranks=66, pattern="bisection", operations=("sendrecv",), sizes=(1024,))
    run.result(run.cases[0], 1e-5, samples=4)
    target = tmp_path / "page.html"
    assert main(["report", str(run.end()), "--format", "html", "--output", str(target)]) == 0
    rows = pd.read_parquet(tmp_path / "page.rows.parquet")
    assert len(rows) == 33
    assert '<a href="page.rows.parquet">page.rows.parquet</a>' in target.read_text(encoding="utf-8")


def test_a_page_on_stdout_points_to_no_file(start, capsys):
    run = start(hosts=66, ranks=66, pattern="bisection", operations=("sendrecv",), sizes=(1024,))
    run.result(run.cases[0], 1e-5, samples=4)
    assert main(["report", str(run.end()), "--format", "html"]) == 0
    assert ".parquet" not in capsys.readouterr().out


def test_a_price_below_nothing_is_refused(start, capsys):
    assert main(["report", str(start().path), "--format", "html", "--price", "-1"]) == 2
    assert "--price" in capsys.readouterr().err
