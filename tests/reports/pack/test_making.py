"""`railgauge pack`: everything of a run, the same bytes each time, and refusals that say what to type."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys

import pytest

from railgauge.cli import call, main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge_reports.pack import manifest, names, sources, writing
from railgauge_reports.pack.checking import check
from railgauge_reports.pack.making import Asked, make

from .conftest import members, written


def manifest_of(pack):
    return manifest.decoded(members(pack)[names.MANIFEST])


def test_the_same_run_gives_the_same_bytes(run_of, tmp_path):
    run = run_of()
    first = tmp_path / "first.zip"
    make([run], Asked(output=first))
    copy = tmp_path / "elsewhere" / "run"
    shutil.copytree(run, copy)
    for path in copy.rglob("*"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    second = tmp_path / "second.zip"
    make([copy], Asked(output=second))
    assert first.read_bytes() == second.read_bytes()


def test_every_file_of_the_folder_is_in_it_byte_for_byte(packed, run_of):
    run = run_of()
    (run / "notes.txt").write_bytes(b"\xff\x00 anything")
    (run / "deep/er").mkdir(parents=True)
    (run / "deep/er/empty").touch()
    content = members(packed(run=run))
    files = {
        f"runs/run/{p.relative_to(run)}": p.read_bytes() for p in run.rglob("*") if p.is_file()
    }
    assert files.items() <= content.items()
    assert content.keys() - files.keys() == {names.README, names.SUMS, names.MANIFEST}


def test_the_manifest_says_when_the_run_ended_and_what_computed_the_reports(packed, run_of):
    made = manifest_of(packed(run=run_of(finished=1_700_000_060.5)))
    assert (made.created, made.created_by) == ("2023-11-14T22:14:20Z", "journal")
    assert {"python", "numpy", "railgauge"} <= made.tools.keys()
    assert made.runs[0].path == "runs/run"


def test_the_clock_is_written_where_that_is_asked_for(packed):
    made = manifest_of(packed(by_clock=True))
    assert made.created_by == "clock"
    assert made.created > "2024"


def test_a_time_that_no_calendar_has_is_left_empty(packed, run_of):
    assert manifest_of(packed(run=run_of(finished=1e300))).created == ""


def test_reports_are_those_of_the_run_and_name_it_as_the_pack_does(packed, tmp_path):
    pack = packed(reports=("csv", "markdown", "table", "parquet"))
    content = members(pack)
    names_of = {n.rpartition("/")[2] for n in content if n.startswith("reports/run/")}
    assert names_of == {"report.csv", "report.md", "report.table.txt", "report.parquet"}
    assert content["reports/run/report.csv"].count(b"\n") == 2
    assert b"runs/run" in content["reports/run/report.md"]
    assert not any(str(tmp_path).encode() in data for data in content.values())


def test_an_unknown_report_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(UsageError, match="unknown format 'markdow'"):
        call(["pack", str(tmp_path / "nowhere"), "--reports", "markdow"])


def test_the_usual_reports_are_made_unless_others_are_asked_for(
    run_of, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    run = run_of()
    assert main(["pack", str(run)]) == 0
    assert capsys.readouterr().out == "run.zip\n"
    assert {"csv", "json", "markdown"} <= set(manifest_of(tmp_path / "run.zip").reports)
    assert main(["pack", str(run), "--reports", "none", "--output", "bare.zip", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["reports"] == []


def test_a_folder_of_runs_is_packed_with_what_stands_beside_them(packed, run_of, tmp_path):
    run_of(name="compared/a0")
    run_of(name="compared/b0")
    (tmp_path / "compared/compare.json").write_text("{}")
    pack = packed(run=tmp_path / "compared", reports=("csv",))
    content = members(pack)
    assert [run.path for run in manifest_of(pack).runs] == ["runs/compared/a0", "runs/compared/b0"]
    assert "runs/compared/compare.json" in content
    assert "reports/compared/a0/report.csv" in content
    assert check(pack).exit_code == 0


def test_folders_of_the_same_name_are_kept_apart(run_of, tmp_path):
    runs = [run_of(name=f"{day}/run") for day in ("monday", "tuesday")]
    make(runs, Asked(output=tmp_path / "both.zip", reports=()))
    assert [r.path for r in manifest_of(tmp_path / "both.zip").runs] == ["runs/run", "runs/run-2"]


# runs that have not ended ----------------------------------------------------------------------------


def test_a_run_that_ended_without_a_word_is_packed_only_if_asked(run_of, packed):
    run = run_of(ended=False)
    with pytest.raises(UsageError, match=r"ended without a word(.|\n)*--incomplete"):
        packed(run=run)
    made = manifest_of(packed(run=run, incomplete=True))
    assert (made.runs[0].complete, made.runs[0].ended) == (False, "")


def test_a_run_that_is_being_written_is_packed_only_if_asked(run_of, packed, capsys):
    run = run_of()
    with (run / "journal.jsonl").open("ab") as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        with pytest.raises(UsageError, match="still being written"):
            packed(run=run)
        pack = packed(run=run, incomplete=True)
    assert not manifest_of(pack).runs[0].complete
    main(["verify", str(pack)])
    assert "had not ended when it was packed" in capsys.readouterr().out


def test_what_is_appended_meanwhile_stays_outside(run_of, monkeypatch, tmp_path):
    run = run_of(ended=False)
    listed = sources.folders([run], (), incomplete=True)
    before = (run / "journal.jsonl").read_bytes()
    (run / "journal.jsonl").write_bytes(before + b'{"record":"note","text":"later"}\n')
    monkeypatch.setattr(sources, "folders", lambda *_: listed)
    make([run], Asked(output=tmp_path / "a.zip", reports=(), incomplete=True))
    assert members(tmp_path / "a.zip")["runs/run/journal.jsonl"] == before


@pytest.mark.parametrize("change", ["shrinks", "grows", "vanishes"])
def test_a_finished_run_that_changes_meanwhile_is_no_evidence(
    run_of, monkeypatch, tmp_path, change
):
    run = run_of()
    listed = sources.folders([run], (), incomplete=False)
    file = run / "samples/node0.i64"
    if change == "vanishes":
        file.unlink()
    else:
        data = file.read_bytes()
        file.write_bytes(data[:-8] if change == "shrinks" else data + bytes(8))
    monkeypatch.setattr(sources, "folders", lambda *_: listed)
    with pytest.raises(NotMeasuredError, match=r"node0\.i64"):
        make([run], Asked(output=tmp_path / "a.zip", reports=()))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


# what cannot be packed -------------------------------------------------------------------------------


def test_an_unreadable_run_is_exit_3_and_named(run_of, tmp_path, capsys):
    run = run_of()
    (run / "plan.json").write_text("{")
    assert main(["pack", str(run), "--output", str(tmp_path / "a.zip")]) == 3
    assert "plan.json" in capsys.readouterr().err
    assert main(["pack", str(tmp_path / "nowhere")]) == 3
    assert main(["pack", str(run / "plan.json")]) == 3
    (tmp_path / "empty").mkdir()
    assert main(["pack", str(tmp_path / "empty")]) == 3
    assert not (tmp_path / "a.zip").exists()


def test_a_link_is_refused_and_can_be_left_out(run_of, packed):
    run = run_of()
    (run / "passwords").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match=r"passwords(.|\n)*a link(.|\n)*--without"):
        packed(run=run)
    pack = packed(run=run, without=("passwords",))
    assert not any("passwords" in name for name in members(pack) if name != names.MANIFEST)
    assert manifest_of(pack).without == ("passwords",)


def test_a_folder_that_is_too_deep_is_refused(run_of, packed):
    deep = run_of()
    for _ in range(520):
        deep = deep / "d"
    os.makedirs(deep)
    with pytest.raises(UsageError, match="longer than"):
        packed(run=run_of(name="other").parent / "run")
    while deep.name == "d":
        deep.rmdir()
        deep = deep.parent


def test_a_pipe_is_refused(run_of, packed):
    run = run_of()
    os.mkfifo(run / "pipe")
    with pytest.raises(UsageError, match="no plain file"):
        packed(run=run)


@pytest.mark.parametrize("name", [b"line\nbreak", b"back\\slash", b"\xff\xfe", b"tab\there"])
def test_a_hostile_name_of_a_file_is_refused(run_of, packed, name):
    run = run_of()
    with open(os.fsencode(run) + b"/" + name, "wb"):
        pass
    with pytest.raises(UsageError, match=r"its name (holds|is)"):
        packed(run=run)


def test_names_that_are_one_elsewhere_are_refused(run_of, packed):
    run = run_of()
    (run / "Notes").touch()
    (run / "notes").touch()
    with pytest.raises(UsageError, match="in other case"):
        packed(run=run)


def test_evidence_is_not_overwritten_and_does_not_hold_itself(run_of, packed, tmp_path):
    run = run_of()
    pack = packed(run=run)
    before = pack.read_bytes()
    with pytest.raises(UsageError, match="not overwritten"):
        packed(run=run)
    assert pack.read_bytes() == before
    with pytest.raises(UsageError, match="would lie in"):
        packed("run/pack.zip", run=run)
    with pytest.raises(UsageError, match="it is, or holds, what"):
        make([run, tmp_path / "run"], Asked(output=tmp_path / "b.zip"))


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_left(packed, tmp_path):
    with pytest.raises(UsageError, match="--output"):
        packed("no/such/folder/pack.zip")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run"]


@pytest.mark.parametrize(
    "arguments", [[], ["run", "--map", "m.json"], ["run", "--make-key", "k.pem"]]
)
def test_what_means_nothing_together_is_a_usage_error(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["pack", *arguments]) == 2
    assert not list(tmp_path.iterdir())


# size ------------------------------------------------------------------------------------------------


def test_a_file_is_read_a_chunk_at_a_time(run_of, packed, monkeypatch):
    run = run_of()
    (run / "big").write_bytes(os.urandom(1 << 16) * 64)
    monkeypatch.setattr(writing, "CHUNK", 1 << 16)
    seen = []
    whole = writing._chunks

    def watched(*arguments):
        for chunk in whole(*arguments):
            seen.append(len(chunk))
            yield chunk

    monkeypatch.setattr(writing, "_chunks", watched)
    pack = packed(run=run)
    assert max(seen) == 1 << 16
    assert check(pack).exit_code == 0


def test_members_are_compressed_at_the_level_that_was_chosen(packed, run_of, monkeypatch):
    sizes = []
    for level in (0, 1):
        monkeypatch.setattr(writing, "LEVEL", level)
        pack = packed(f"{level}.zip", run=run_of(name=f"run{level}"))
        sizes.append(pack.stat().st_size)
        assert check(pack).exit_code == 0
    assert sizes[0] > 1.5 * sizes[1]


def test_no_large_pack_looks_like_a_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "EXPANDS_FREELY", 1 << 20)
    zeros, noise = bytes(1 << 20), os.urandom(1 << 20)
    for name, data in (("zeros", zeros), ("noise", noise)):
        (tmp_path / name).write_bytes(data)
    with writing.Archive(tmp_path / "a.zip", 2 << 20) as archive:
        for name in ("zeros", "noise"):
            archive.copy(name, tmp_path / name, 1 << 20)
    assert (tmp_path / "a.zip").stat().st_size > 2 << 20
    assert members(tmp_path / "a.zip") == {"zeros": zeros, "noise": noise}


def test_the_help_of_both_commands_imports_no_pandas_and_no_cryptography():
    code = (
        "import sys; from railgauge.cli import main; main(['pack', '--help']); main(['verify', '-h']);"
        "sys.exit(bool({'pandas', 'cryptography'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


def test_a_pack_is_no_run_to_pack(packed, capsys):
    pack = packed()
    assert main(["pack", str(pack)]) == 3
    assert "a file" in capsys.readouterr().err
    assert written(pack, [("a", b"")]).exists()
