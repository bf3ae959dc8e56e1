"""Setting a nightly up: its file, and its entry in a scrontab that others use as well."""

import subprocess

import msgspec
import pytest

from railgauge_slurm.nightly.settings import Nightly, read_settings, toml_of

from .conftest import SCONTROL

OTHERS = "# mine\n#SCRON --time=5\n0 4 * * * backup\n"


def test_an_entry_is_put_into_scrontab_once_and_nothing_else_is_touched(nightly, table):
    table.write_text(OTHERS)
    assert nightly("-N", "4", "--at", "01:30").code == 0
    first = table.read_text()
    assert first.startswith(OTHERS)
    assert "\n30 1 * * * " in first
    again = nightly()
    assert "as it was" in again.out
    assert table.read_text() == first


def test_another_time_replaces_the_block_in_its_place(nightly, table):
    nightly("-N", "4")
    table.write_text(f"# above\n{table.read_text()}# below\n")
    assert nightly("--at", "03:45").code == 0
    lines = table.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("# above", "# below")
    assert [line.split()[:2] for line in lines if "--now" in line] == [["45", "3"]]


def test_removing_leaves_what_others_wrote_and_the_history(nightly, table, tmp_path):
    table.write_text(OTHERS)
    nightly("-N", "4")
    assert "removed" in nightly("--remove").out
    assert table.read_text() == OTHERS
    assert "no entry" in nightly("--remove").out
    assert (tmp_path / "nights/nightly.toml").exists()


def test_a_table_that_holds_nothing_else_is_removed_whole(nightly, table):
    nightly("-N", "4")
    assert nightly("--remove").code == 0
    assert not table.exists()


def test_a_block_that_scrontab_disabled_is_known_and_replaced(nightly, table):
    nightly("-N", "4")
    whole = table.read_text()
    table.write_text("".join(f"#DISABLED: {line}\n" for line in whole.splitlines()))
    assert nightly().code == 0
    assert table.read_text() == whole


def test_a_torn_block_is_left_alone_and_named(nightly, table):
    nightly("-N", "4")
    torn = "".join(table.read_text().splitlines(keepends=True)[:-1])
    table.write_text(torn)
    said = nightly()
    assert said.code == 3
    assert "1 lines begin it, 0 end it" in said.err
    assert table.read_text() == torn


def test_a_table_that_cannot_be_listed_is_never_overwritten(nightly, table, programs):
    table.write_text(OTHERS)
    programs(
        "scrontab", "#!/bin/sh\necho 'slurm_request_crontab failed: Access denied' >&2; exit 1\n"
    )
    said = nightly("-N", "4")
    assert said.code == 2
    assert "Access denied" in said.err
    assert table.read_text() == OTHERS


def test_a_scrontab_that_takes_the_table_and_keeps_another_is_an_error(nightly, table, programs):
    nightly("-N", "4")
    programs("scrontab", f'#!/bin/sh\n[ "$1" != -l ] || cat {table}\n')
    said = nightly("--at", "03:00")
    assert said.code == 2
    assert "does not show it" in said.err


def test_without_a_scrontab_the_lines_of_cron_are_printed_with_the_reason(nightly, programs, table):
    programs("scontrol", SCONTROL.format(parameters="(null)"))
    said = nightly("-N", "4")
    assert said.code == 0
    assert "ScronParameters=enable" in said.err
    assert said.out.splitlines()[2].startswith("0 2 * * * ")
    assert not table.exists()


def test_the_printed_lines_begin_railgauge_itself(nightly, tmp_path):
    line = next(t for t in nightly("-N", "4", "--print", "cron").out.splitlines() if "--now" in t)
    command = line.split("* * * ", 1)[1].replace("--now", "--help").replace("\\%", "%")
    assert subprocess.run(["sh", "-c", command]).returncode == 0
    assert "Set up a nightly" in (tmp_path / "nights/logs/night.log").read_text()


def test_settings_are_kept_and_options_change_what_is_in_them(nightly, tmp_path):
    nightly("-N", "64", "--partition", "batch", "--price", "2.5", "--print", "cron")
    nightly(
        "--keep",
        "7",
        "--variable",
        "UCX_TLS=tcp,self",
        "--set",
        "pairs.rounds=5",
        "--print",
        "cron",
    )
    kept = read_settings(tmp_path / "nights")
    assert (kept.nodes, kept.partition, kept.price, kept.keep) == (64, "batch", 2.5, 7)
    assert kept.variables == {"UCX_TLS": "tcp,self"}
    assert kept.sets == ("pairs.rounds=5",)


def test_settings_of_any_text_are_the_same_when_they_are_read_back():
    made = Nightly(
        nodes=3, partition='a"b\\c é', variables={"A": "<script>"}, price=0.0, adaptive=False
    )
    assert msgspec.toml.decode(toml_of(made), type=Nightly) == made


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("nodes = 0", "$.nodes"),
        ("nodes = nan", "$.nodes"),
        ('nodes = 4\nat = "25:00"', "at"),
        ('nodes = 4\nweekly = "someday"', "weekly"),
        ('nodes = 4\npartitoin = "x"', "partitoin"),
        ("nodes = 4\nmax_drain = nan", "max_drain"),
        ('nodes = 4\ndrain = "yes"', "drain"),
        ('nodes = 4\npartition = "a\\nb"', "partition"),
        ("nodes = 4\n[variables]\n\"a;b\" = 'c'", "variables"),
        ("nodes = = 4", "nightly.toml"),
        ("", "nodes"),
    ],
)
def test_a_wrong_setting_is_refused_by_the_name_of_its_field(nightly, tmp_path, line, named):
    (tmp_path / "nights").mkdir()
    (tmp_path / "nights/nightly.toml").write_text(line)
    said = nightly("--print", "cron")
    assert said.code == 2
    assert named in said.err


def test_what_is_asked_at_once_or_beside_the_point_is_refused(nightly):
    assert nightly("--now", "--report").code == 2
    assert "-N 64" in nightly("--print", "cron").err
    assert "nightly.toml" in nightly("--now").err
    assert "--partition" in nightly("--report", "--partition", "x").err
    assert "Did you mean 'cron'" in nightly("-N", "4", "--print", "corn").err
    assert nightly("-N", "4", "--as-deep").code == 2
