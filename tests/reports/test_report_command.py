from __future__ import annotations

import json
import subprocess
import sys

import pytest

from railgauge.cli import main


@pytest.fixture
def run(start):
    """A folder that holds a complete run."""
    begun = start()
    for case in begun.cases:
        begun.result(case)
    return begun.end()


def test_the_default_is_the_table_and_the_code_is_the_verdicts(run, capsys):
    assert main(["report", str(run)]) == 0
    assert capsys.readouterr().out.startswith("PASS (0): 2 of 2")


def test_json_is_an_alias(run, capsys):
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"


def test_json_beside_another_format_is_refused(run, capsys):
    assert main(["report", str(run), "--json", "--format", "csv"]) == 2
    assert "--format csv" in capsys.readouterr().err


def test_output_is_written_whole_and_its_path_printed(run, tmp_path, capsys):
    target = tmp_path / "report.md"
    assert main(["report", str(run), "--format", "markdown", "--output", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text().startswith("# railgauge: PASS")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["report.md"]


def test_output_into_a_folder_that_does_not_exist_is_a_usage_error(run, tmp_path, capsys):
    target = tmp_path / "missing" / "report.md"
    assert main(["report", str(run), "--output", str(target)]) == 2
    assert f"--output {target}" in capsys.readouterr().err


def test_parquet_is_not_written_to_a_terminal(run, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert main(["report", str(run), "--format", "parquet"]) == 2
    assert "--output FILE" in capsys.readouterr().err


def test_parquet_goes_through_a_pipe(run):
    words = [sys.executable, "-m", "railgauge", "report", str(run), "--format", "parquet"]
    made = subprocess.run(words, capture_output=True, check=True)
    assert made.stdout.startswith(b"PAR1")


def test_an_unknown_format_exits_2_and_suggests(run, capsys):
    assert main(["report", str(run), "--format", "nccl-tests"]) == 2
    assert "Did you mean 'nccl_tests'" in capsys.readouterr().err


def test_a_killed_run_is_shown_and_exits_3(start, capsys):
    begun = start()
    begun.result(begun.cases[0])
    assert main(["report", str(begun.path)]) == 3
    assert "ended without a word" in capsys.readouterr().out


def test_wrong_data_exits_4(start, flipped, capsys):
    begun = start(sizes=(8,))
    begun.result(begun.cases[0], wrong=(flipped,))
    assert main(["report", str(begun.end("FAIL", 4)), "--format", "csv"]) == 4
    assert capsys.readouterr().err == ""


def test_a_journal_that_ends_within_a_line_keeps_every_finished_case(run, capsys):
    journal = run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    assert main(["report", str(run), "--json"]) == 3
    shown = json.loads(capsys.readouterr().out)
    assert len(shown["rows"]) == 2
    assert shown["verdict"] == "ERROR"


def test_a_damaged_line_is_named_with_its_file(run, capsys):
    journal = run / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(lines[0] + b"{}\n" + b"".join(lines[2:]))
    assert main(["report", str(run)]) == 3
    assert f"{journal}, line 2" in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{}\n[1]\n", b'{"a": 1}\n', b"\x89PNG\r\n\x1a\n\x00\n"])
def test_a_foreign_journal_exits_3_and_names_the_file(run, capsys, content):
    journal = run / "journal.jsonl"
    journal.write_bytes(content)
    assert main(["report", str(run)]) == 3
    shown = capsys.readouterr()
    assert str(journal) in shown.err
    assert shown.out == ""


def test_a_folder_that_is_no_run_exits_3_and_says_what_to_type(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 3
    error = capsys.readouterr().err
    assert str(tmp_path) in error
    assert "next: railgauge run" in error


def test_a_file_instead_of_a_folder_exits_3(tmp_path, capsys):
    path = tmp_path / "file"
    path.write_text("not a run")
    assert main(["report", str(path)]) == 3
    assert str(path) in capsys.readouterr().err


def test_a_journal_that_cannot_be_read_exits_3(tmp_path, capsys):
    (tmp_path / "journal.jsonl").mkdir()
    assert main(["report", str(tmp_path)]) == 3
    assert "Is a directory" in capsys.readouterr().err


def test_a_run_without_its_plan_exits_3_and_names_it(run, capsys):
    (run / "plan.json").unlink()
    assert main(["report", str(run)]) == 3
    assert "plan.json" in capsys.readouterr().err


def test_a_run_without_its_environment_is_shown_and_says_so(run, capsys):
    (run / "environment.json").write_text("{")
    assert main(["report", str(run)]) == 0
    assert "environment.json is missing or damaged" in capsys.readouterr().out


def test_the_help_of_the_command_imports_no_pandas():
    code = (
        "import sys; from railgauge.cli import main; code = main(['report', '--help']);"
        "sys.exit(code or 'pandas' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
