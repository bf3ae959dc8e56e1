"""A pack in the place of a run folder: reported and compared years later, with the rules of the day."""

from __future__ import annotations

import json
import tempfile

import pytest

from railgauge.cli import call, main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge_reports.pack.making import Asked, make

from .conftest import members, written


@pytest.fixture
def both(run_of, tmp_path):
    """A pack of two runs, named after their folders."""
    runs = [run_of(name="monday"), run_of(name="tuesday", samples=60)]
    make(runs, Asked(output=tmp_path / "both.zip", reports=()))
    return tmp_path / "both.zip"


def report(capsys, *arguments):
    code = call(["report", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_a_pack_is_reported_like_its_run(packed, run_of, capsys):
    run = run_of()
    pack = packed(run=run)
    for name in ("csv", "json", "table", "markdown"):
        expected = report(capsys, run, "--format", name)
        code, text = report(capsys, pack, "--format", name)
        assert (code, text.replace(str(pack), str(run))) == expected


def test_nothing_is_left_of_the_unpacked_files(packed, tmp_path, monkeypatch, capsys):
    pack = packed()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    report(capsys, pack)
    assert not list((tmp_path / "scratch").iterdir())


def test_one_of_several_runs_is_named_by_its_place(both, capsys):
    with pytest.raises(
        UsageError, match=r"holds 2 runs: monday, tuesday(.|\n)*both.zip/runs/monday"
    ):
        call(["report", str(both)])
    for inside, samples in (("runs/monday", 40), ("tuesday", 60)):
        _, text = report(capsys, both / inside, "--json")
        assert json.loads(text)["rows"][0]["samples"] == samples
        assert json.loads(text)["run"]["folder"] == str(both / inside)


@pytest.mark.parametrize("inside", ["sunday", "runs/sunday", "../../etc", "runs/../../.."])
def test_a_run_that_a_pack_does_not_hold_is_named(both, inside):
    with pytest.raises(NotMeasuredError, match=r"has no folder(.|\n)*runs/monday, runs/tuesday"):
        call(["report", str(both / inside)])


def test_a_tampered_pack_is_not_reported(packed, capsys):
    pack = packed()
    content = members(pack)
    journal = "runs/run/journal.jsonl"
    content[journal] = content[journal].replace(b'"iterations":40', b'"iterations":39')
    written(pack, content.items())
    assert main(["report", str(pack)]) == 3
    shown = capsys.readouterr()
    assert "tampered with" in shown.err
    assert "next: railgauge verify" in shown.err
    assert shown.out == ""


def test_packs_are_compared_like_folders(both, capsys):
    a, b = both / "runs/monday", both / "runs/tuesday"
    assert call(["compare", str(a), str(b), "--json"]) in (0, 6)
    made = json.loads(capsys.readouterr().out)
    assert len(made["rows"]) == 1
    assert call(["compare", str(both.parent / "monday"), str(b)]) in (0, 6)
    assert str(b) in capsys.readouterr().out


def test_a_folder_of_packs_is_still_no_pack(both, capsys):
    assert main(["report", str(both.parent)]) == 3
    assert "no journal.jsonl here" in capsys.readouterr().err
