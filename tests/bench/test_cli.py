"""The command line finds commands by name, loads only the called one and keeps the exit codes."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from railgauge import __version__, cli, errors

FAKE_COMMANDS = '''# a comment may stand first
"""Do what the arguments say.

Only the first line is shown in a listing.
"""

import click

from railgauge.errors import HangError


@click.command()
@click.option("--count", type=int, default=0)
def command(count: int) -> int:
    return count


@click.command()
def hangs() -> None:
    raise HangError("rank 3 did not arrive")


@click.command()
def interrupted() -> None:
    raise KeyboardInterrupt


@click.command()
def defective() -> None:
    raise ZeroDivisionError("no denominator")


@click.command()
def silent() -> None:
    pass


@click.group()
def group() -> None:
    pass
'''


@pytest.fixture
def fake_commands(tmp_path, monkeypatch):
    """Installs the commands above, and one whose module does not exist, in place of ours."""
    (tmp_path / "fake_commands.py").write_text(FAKE_COMMANDS)
    monkeypatch.syspath_prepend(tmp_path)
    names = ("command", "hangs", "interrupted", "defective", "silent", "group")
    points = [EntryPoint(name, f"fake_commands:{name}", cli.GROUP) for name in names]
    points.append(EntryPoint("absent", "no_such_package.absent:command", cli.GROUP))
    monkeypatch.setattr(cli, "entry_points", lambda group: points if group == cli.GROUP else [])
    cli.railgauge.__dict__.pop("points", None)
    yield
    cli.railgauge.__dict__.pop("points", None)
    sys.modules.pop("fake_commands", None)


def railgauge(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "railgauge", *arguments],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def test_help_lists_every_declared_command():
    done = railgauge("--help")
    assert done.returncode == 0
    assert done.stderr == ""
    listed = re.findall(r"^  (\w+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert {"crosscheck", "list", "report", "run"} <= set(listed)


def test_short_and_long_help_say_the_same():
    assert railgauge("-h").stdout == railgauge("--help").stdout


def test_help_imports_no_command_and_no_heavy_library():
    program = (
        "import json, sys; from railgauge.cli import main; main(['--help']);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stderr))
    assert "railgauge.cli" in loaded
    heavy = {"mpi4py", "numba", "numpy", "pandas", "pyarrow", "scipy", "rich", "msgspec"}
    assert not loaded & heavy
    assert not [name for name in loaded if ".commands." in name]


def test_version_is_the_package_version():
    assert railgauge("--version").stdout == f"railgauge {__version__}\n"


def test_unknown_command_exits_2_and_suggests_the_closest():
    done = railgauge("reprot")
    assert done.returncode == errors.EXIT_USAGE
    assert done.stdout == ""
    assert done.stderr.startswith("railgauge: error: unknown command 'reprot'.")
    assert "Did you mean 'report'?" in done.stderr


def test_no_command_exits_2_and_names_the_help(capsys):
    assert cli.main([]) == errors.EXIT_USAGE
    assert "next: railgauge --help" in capsys.readouterr().err


def test_unknown_option_exits_2_and_suggests_the_closest(capsys):
    assert cli.main(["--verson"]) == errors.EXIT_USAGE
    assert "--version" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_commands")
def test_listing_shows_the_first_docstring_line_without_importing(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "Do what the arguments say." in out
    assert "Only the first line" not in out
    assert "fake_commands" not in sys.modules


@pytest.mark.usefixtures("fake_commands")
def test_listing_says_which_module_is_missing(capsys):
    cli.main(["--help"])
    assert "no_such_package.absent" in capsys.readouterr().out


@pytest.mark.usefixtures("fake_commands")
def test_missing_module_exits_3_and_says_where(capsys):
    assert cli.main(["absent"]) == errors.EXIT_NOT_MEASURED
    assert "no_such_package.absent:command" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_commands")
@pytest.mark.parametrize("exit_code", range(7))
def test_exit_code_is_what_the_command_returns(exit_code):
    assert cli.main(["command", "--count", str(exit_code)]) == exit_code


@pytest.mark.usefixtures("fake_commands")
def test_command_that_returns_nothing_passes():
    assert cli.main(["silent"]) == errors.EXIT_PASS


@pytest.mark.usefixtures("fake_commands")
def test_invalid_value_exits_2_and_names_the_help_of_the_command(capsys):
    assert cli.main(["command", "--count", "many"]) == errors.EXIT_USAGE
    err = capsys.readouterr().err
    assert err.startswith("railgauge: error: Invalid value for '--count'")
    assert "next: railgauge command --help" in err


@pytest.mark.usefixtures("fake_commands")
def test_error_is_printed_once_on_stderr_with_its_exit_code(capsys):
    assert cli.main(["hangs"]) == errors.EXIT_HANG
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "railgauge: error: rank 3 did not arrive\n"


@pytest.mark.usefixtures("fake_commands")
def test_interrupt_exits_75(capsys):
    assert cli.main(["interrupted"]) == errors.EXIT_INTERRUPTED
    assert "interrupted" in capsys.readouterr().err


@pytest.mark.usefixtures("fake_commands")
def test_defect_is_not_mistaken_for_a_verdict(capsys):
    assert cli.main(["defective"]) == errors.EXIT_NOT_MEASURED
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError('no denominator')" in err


@pytest.mark.usefixtures("fake_commands")
def test_a_defect_of_all_ranks_comes_with_the_traceback_of_rank_zero(capsys, monkeypatch):
    monkeypatch.setattr(cli, "SPEAKER_SECONDS", 0.0)
    monkeypatch.setattr(cli, "launcher_rank", lambda: 1)
    assert cli.main(["defective"]) == errors.EXIT_NOT_MEASURED
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("fake_commands")
def test_group_without_a_command_shows_its_help_and_exits_2(capsys):
    assert cli.main(["group"]) == errors.EXIT_USAGE
    assert capsys.readouterr().err.startswith("Usage: railgauge group")


def test_closed_pipe_is_quiet_and_no_verdict():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "railgauge", "--help"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (cli.EXIT_READER_GONE, b"")


def test_shell_completion_knows_the_commands():
    environment = os.environ | {
        "_RAILGAUGE_COMPLETE": "bash_complete",
        "COMP_WORDS": "railgauge r",
        "COMP_CWORD": "1",
    }
    done = railgauge(env=environment)
    assert done.stdout.split() == ["plain,report", "plain,run"]


def test_resume_without_a_folder_says_which_run_was_the_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "--resume"]) == 2
    assert "next: railgauge run --output THAT_FOLDER --resume" in capsys.readouterr().err
    for name in ("20260101T000000Z", "20260301T000000Z", "20260201T000000Z"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "plan.json").write_text("{}")
    assert cli.main(["run", "--resume"]) == 2
    assert "--output runs/20260301T000000Z --resume" in capsys.readouterr().err
