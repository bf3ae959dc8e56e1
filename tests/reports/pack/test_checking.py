"""`railgauge verify`: whatever is done to a pack is seen, and nothing leaves the folder it is unpacked in."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from railgauge.cli import call, main
from railgauge.errors import NotMeasuredError, UsageError
from railgauge_reports.pack import layout, manifest, names
from railgauge_reports.pack.checking import check
from railgauge_reports.pack.writing import DATE, MODE

from .conftest import members, written

JOURNAL = "runs/run/journal.jsonl"


def problems(pack):
    return "\n".join(check(pack).problems)


def resealed(content, **more):
    """The members with a manifest and sums that are true of them: what a forger writes."""
    made = manifest.decoded(content[names.MANIFEST])
    aside = (names.MANIFEST, names.SUMS, names.SIGNATURE)
    files = [
        manifest.File(name, len(data), hashlib.sha256(data).hexdigest())
        for name, data in content.items()
        if name not in aside
    ]
    made = msgspec.structs.replace(made, files=tuple(files), **more)
    sums = made.sums()
    own = manifest.File(names.SUMS, len(sums), hashlib.sha256(sums).hexdigest())
    made = msgspec.structs.replace(made, files=(*made.files, own))
    return {**content, names.SUMS: sums, names.MANIFEST: made.encoded()}


def in_order(content):
    return [(name, content[name]) for name in names.in_order(content)]


# good ---------------------------------------------------------------------------------------------


def test_a_pack_is_good_and_says_what_it_holds(packed, capsys):
    assert main(["verify", str(packed())]) == 0
    said = capsys.readouterr().out
    assert said.startswith("GOOD: ")
    assert "runs/run: PASS, 2 ranks on 2 host(s)" in said
    assert "not signed" in said


def test_json_has_everything(packed, capsys):
    assert main(["verify", "--json", str(packed())]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["verdict"], made["exit_code"], made["signature"]) == ("GOOD", 0, "none")
    assert made["manifest"]["runs"][0]["ended"] == "PASS"


def test_what_is_extracted_is_what_was_packed(packed, run_of, tmp_path):
    run = run_of()
    pack = packed(run=run)
    assert main(["verify", str(pack), "--extract", str(tmp_path / "out")]) == 0
    for file in (path for path in run.rglob("*") if path.is_file()):
        copy = tmp_path / "out/runs/run" / file.relative_to(run)
        assert copy.read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob(".out*"))


def test_sums_are_true_for_sha256sum(packed):
    content = members(packed())
    for line in content[names.SUMS].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(content[name]).hexdigest() == digest


# tampering ----------------------------------------------------------------------------------------


def test_a_flipped_byte_is_seen_in_every_file(packed):
    pack = packed()
    content = members(pack)
    for name in content:
        changed = bytes([content[name][0] ^ 1]) + content[name][1:]
        assert check(written(pack, (content | {name: changed}).items())).exit_code == 1, name


def test_any_byte_of_the_archive_that_is_changed_is_seen(packed):
    pack = packed()
    whole = pack.read_bytes()
    drawn = random.Random(1)
    ends = [*range(80), *range(len(whole) - 200, len(whole))]
    for at in (*ends, *drawn.sample(range(len(whole)), 150)):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        pack.write_bytes(damaged)
        assert check(pack).exit_code == 1, at


def test_a_pack_that_is_cut_anywhere_is_seen_and_still_known_as_a_pack(packed):
    pack = packed()
    whole = pack.read_bytes()
    for length in (*range(60, len(whole), len(whole) // 40), len(whole) - 1):
        pack.write_bytes(whole[:length])
        assert check(pack).verdict == "TAMPERED", length


@pytest.mark.parametrize("where", ["before", "behind"])
def test_bytes_before_and_behind_are_seen(packed, where):
    pack = packed()
    whole = pack.read_bytes()
    pack.write_bytes(b"x" * 9 + whole if where == "before" else whole + b"x" * 9)
    assert check(pack).exit_code == 1


def test_random_damage_never_passes_and_never_ends_in_a_traceback(packed):
    pack = packed()
    whole = pack.read_bytes()
    drawn = random.Random(2)
    for _ in range(200):
        damaged = bytearray(whole)
        for _ in range(drawn.randint(1, 30)):
            at = drawn.randrange(max(0, len(whole) - 900), len(whole))
            damaged[at] = drawn.randrange(256)
        pack.write_bytes(damaged)
        if bytes(damaged) == whole:
            continue
        try:
            assert check(pack).exit_code == 1
        except NotMeasuredError:
            continue


def test_a_file_that_was_added_is_seen(packed):
    pack = packed()
    content = members(pack) | {"runs/run/more.txt": b"trust me"}
    assert "'runs/run/more.txt' is not in manifest.json" in problems(
        written(pack, in_order(content))
    )


@pytest.mark.parametrize("name", [JOURNAL, names.README, names.SUMS, names.MANIFEST])
def test_a_file_that_was_taken_out_is_seen(packed, name):
    pack = packed()
    content = members(pack)
    del content[name]
    assert name in problems(written(pack, content.items()))


def test_another_order_is_seen(packed):
    pack = packed()
    content = list(members(pack).items())
    content[1:3] = content[2:0:-1]
    assert "not in the order" in problems(written(pack, content))


def test_contents_that_changed_places_are_seen(packed):
    pack = packed()
    content = members(pack)
    a, b = "runs/run/samples/node0.i64", "runs/run/samples/node1.i64"
    content[a], content[b] = content[b], content[a]
    assert "SHA-256" in problems(written(pack, content.items()))


def test_the_manifest_of_another_pack_is_seen(packed, run_of):
    other = packed("other.zip", run_of(name="other", notes=("something else",)))
    pack = packed()
    content = members(pack) | {names.MANIFEST: members(other)[names.MANIFEST]}
    assert check(written(pack, content.items())).exit_code == 1


def test_a_size_that_is_not_the_one_packed_is_seen(packed):
    pack = packed()
    content = members(pack)
    made = manifest.decoded(content[names.MANIFEST])
    files = [msgspec.structs.replace(f, bytes=f.bytes + (f.path == JOURNAL)) for f in made.files]
    content[names.MANIFEST] = msgspec.structs.replace(made, files=tuple(files)).encoded()
    assert "B were packed" in problems(written(pack, content.items()))


def test_a_manifest_in_another_spelling_is_seen(packed):
    pack = packed()
    content = members(pack)
    content[names.MANIFEST] = json.dumps(json.loads(content[names.MANIFEST])).encode()
    assert "not as railgauge wrote it" in problems(written(pack, content.items()))


def test_a_manifest_that_names_a_file_twice_is_seen(packed):
    pack = packed()
    content = members(pack)
    made = manifest.decoded(content[names.MANIFEST])
    made = msgspec.structs.replace(made, files=(*made.files, made.files[-1]))
    content[names.MANIFEST] = made.encoded()
    assert "twice" in problems(written(pack, content.items()))


def test_a_damaged_manifest_is_seen(packed):
    pack = packed()
    for data in (b"", b"{", b"\xff", b'{"kind": "railgauge evidence pack", "version": 1}'):
        content = members(pack) | {names.MANIFEST: data}
        assert "manifest.json is damaged" in problems(written(pack, content.items()))
        pack.unlink()
        pack = packed(run=pack.parent / "run")


def test_a_newer_format_says_what_to_install(packed):
    pack = packed()
    content = members(pack)
    newer = content[names.MANIFEST].replace(b'"version": 1', b'"version": 9')
    with pytest.raises(NotMeasuredError, match="pack format 9"):
        check(written(pack, (content | {names.MANIFEST: newer}).items()))


def test_a_tampered_pack_is_not_extracted(packed, tmp_path, capsys):
    pack = packed()
    content = members(pack)
    content[JOURNAL] = content[JOURNAL].replace(b"PASS", b"FAIL")
    written(pack, content.items())
    assert main(["verify", str(pack), "--extract", str(tmp_path / "out")]) == 1
    assert "TAMPERED" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pack.zip", "run"]


def test_names_of_a_pack_are_shown_without_control_characters(packed, capsys):
    pack = packed()
    content = members(pack) | {"runs/\x1b[2Jgone": b""}
    written(pack, in_order(content))
    assert main(["verify", str(pack)]) == 1
    assert "\x1b" not in capsys.readouterr().out


# what a zip can do -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "runs/../../evil", "/etc/evil", "runs//evil", "runs/./evil", "evil/", ".."),
        *(
            "C:/evil",
            "c:evil",
            "runs\\..\\evil",
            "runs/\nevil",
            "x" * 300,
            "runs/" + "a/" * 600 + "b",
        ),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_though_it_is_sealed(packed, tmp_path, name):
    pack = packed()
    content = resealed(members(pack) | {name: b"evil"})
    written(pack, in_order(content))
    checked = check(pack, extract=tmp_path / "inside" / "out")
    assert checked.exit_code == 1
    assert not list(tmp_path.rglob("*evil*"))


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_safe_name_stays_below_its_folder(name):
    if not names.unsafe(name):
        base = Path("/base")
        assert base in (base / name).parents
        assert ".." not in (base / name).parts


@pytest.mark.parametrize("other", ["RUNS/run/plan.json", "runs/run/PLAN.json"])
def test_names_that_differ_in_case_are_refused(packed, other):
    pack = packed()
    content = resealed(members(pack) | {other: b"{}"})
    assert "in other case" in problems(written(pack, in_order(content)))


def test_a_file_that_is_a_folder_too_is_refused(packed):
    pack = packed()
    content = resealed(members(pack) | {"runs/run/plan.json/deep": b""})
    assert "a file and a folder" in problems(written(pack, in_order(content)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_there_twice_is_refused(packed):
    pack = packed()
    content = in_order(members(pack))
    at = [name for name, _ in content].index(JOURNAL)
    content.insert(at, (JOURNAL, b"another journal"))
    assert "stands there twice" in problems(written(pack, content))


def zip_of(pack, content, **fields):
    """A zip whose journal has other fields than packs give it."""
    pack.unlink()
    with zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content:
            info = zipfile.ZipInfo(name, DATE)
            info.external_attr, info.compress_type = MODE, zipfile.ZIP_DEFLATED
            for field, value in fields.items() if name == JOURNAL else ():
                setattr(info, field, value)
            archive.writestr(info, data)
    return pack


@pytest.mark.parametrize(
    "fields",
    [
        {"external_attr": (stat.S_IFLNK | 0o777) << 16},
        {"external_attr": (stat.S_IFREG | stat.S_ISUID | 0o755) << 16},
        {"external_attr": 0x10},
        {"comment": b"see here"},
        {"extra": b"\x99\x99\x04\x00data"},
        {"date_time": (2026, 1, 1, 0, 0, 0)},
        {"create_system": 0},
        {"compress_type": zipfile.ZIP_BZIP2},
        {"compress_type": zipfile.ZIP_LZMA},
        {"internal_attr": 1},
    ],
)
def test_a_link_and_whatever_else_is_no_plain_file_is_refused(packed, fields):
    pack = packed()
    content = in_order(members(pack))
    assert check(zip_of(pack, content)).exit_code == 0
    assert problems(zip_of(pack, content, **fields))


def test_the_comment_of_an_archive_is_refused(packed):
    pack = packed()
    with zipfile.ZipFile(pack, "a") as archive:
        archive.comment = b"hidden"
    assert check(pack).exit_code == 1


def inserted(pack, name, more, grow):
    """Bytes put behind a member, with `grow` as a part of it, else of none; all places are right."""
    raw = bytearray(pack.read_bytes())
    with zipfile.ZipFile(pack) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    for info in infos:
        place = raw.index(info.filename.encode(), directory) - 46
        if info.header_offset > archive.getinfo(name).header_offset:
            struct.pack_into("<I", raw, place + 42, info.header_offset + len(more))
        if info.filename == name and grow:
            for field in (place + 20, info.header_offset + 18):
                struct.pack_into("<I", raw, field, info.compress_size + len(more))
    struct.pack_into("<I", raw, len(raw) - 6, directory + len(more))
    info = archive.getinfo(name)
    at = info.header_offset + 30 + len(name) + info.compress_size
    pack.write_bytes(raw[:at] + more + raw[at:])
    with zipfile.ZipFile(pack) as damaged:
        assert damaged.testzip() is None  # other programs find nothing wrong
    return pack


@pytest.mark.parametrize("name", [JOURNAL, names.MANIFEST])
@pytest.mark.parametrize(("grow", "said"), [(False, "belong to nothing"), (True, "behind its end")])
def test_bytes_that_other_programs_pass_over_are_refused(packed, name, grow, said):
    assert said in problems(inserted(packed(), name, b"hidden", grow))


def test_an_archive_of_more_than_four_gigabytes_is_laid_out_alike(packed, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 600)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    pack = packed()
    assert check(pack).problems == ()
    whole = pack.read_bytes()
    assert b"PK\6\6" in whole
    for at in range(len(whole) - 98, len(whole)):
        pack.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        assert check(pack).exit_code == 1, at


def test_a_header_that_names_another_file_than_the_list_is_refused(packed):
    pack = packed()
    whole = pack.read_bytes()
    at = whole.index(JOURNAL.encode())
    pack.write_bytes(whole[:at] + b"runs/run/j0urnal.jsonl" + whole[at + len(JOURNAL) :])
    assert check(pack).exit_code == 1


def test_an_encrypted_member_is_refused(packed):
    pack = packed()
    raw = bytearray(pack.read_bytes())
    with zipfile.ZipFile(pack) as archive:
        offset = archive.getinfo(JOURNAL).header_offset
        directory = archive.start_dir
    place = raw.index(JOURNAL.encode(), directory) - 46
    raw[offset + 6] |= 1
    raw[place + 8] |= 1
    pack.write_bytes(raw)
    assert "encrypted" in problems(pack)


# bombs -----------------------------------------------------------------------------------------------


def test_what_swells_far_beyond_its_size_is_refused_unread(packed, monkeypatch):
    pack = packed()
    content = resealed(members(pack) | {"runs/run/zeros": bytes(8 << 20)})
    written(pack, in_order(content))
    assert check(pack).exit_code == 0
    monkeypatch.setattr(layout, "EXPANDS_FREELY", 1 << 20)
    monkeypatch.setattr(layout, "MOST_RATIO", 20)
    monkeypatch.setattr("railgauge_reports.pack.checking._check_members", None)
    assert "as a bomb's do" in problems(pack)
    assert main(["verify", str(pack), "--most-bytes", "7M"]) == 1


def test_most_bytes_allows_more(packed):
    pack = packed()
    assert main(["verify", str(pack), "--most-bytes", "1K"]) == 1
    assert main(["verify", str(pack), "--most-bytes", "1M"]) == 0
    with pytest.raises(UsageError, match="--most-bytes"):
        call(["verify", str(pack), "--most-bytes", "much"])


def lie(pack, name, said):
    """The archive saying that a member holds `said` bytes, in its header and in its list."""
    raw = bytearray(pack.read_bytes())
    with zipfile.ZipFile(pack) as archive:
        info, directory = archive.getinfo(name), archive.start_dir
    struct.pack_into("<I", raw, info.header_offset + 22, said)
    struct.pack_into("<I", raw, raw.index(name.encode(), directory) - 46 + 24, said)
    pack.write_bytes(raw)


@pytest.mark.parametrize("said", [10, 4 << 20])
def test_a_member_that_lies_about_its_size_is_refused_as_it_is_read(packed, said):
    pack = packed()
    content = members(pack) | {"runs/run/zeros": bytes(2 << 20)}
    sealed = resealed(content)
    made = manifest.decoded(sealed[names.MANIFEST])
    files = [
        msgspec.structs.replace(f, bytes=said) if f.path == "runs/run/zeros" else f
        for f in made.files
    ]
    sealed[names.MANIFEST] = msgspec.structs.replace(made, files=tuple(files)).encoded()
    written(pack, in_order(sealed))
    lie(pack, "runs/run/zeros", said)
    with pack.open("rb") as file:
        read = layout.Layout(file)
        (member,) = (m for m in read.members if m.filename == "runs/run/zeros")
        seen = []
        with pytest.raises(layout.TamperedError, match=r"holds more|another checksum"):
            seen.extend(len(chunk) for chunk in read.read(member))
        assert sum(seen) <= said
    assert check(pack).exit_code == 1


def test_a_ratio_that_deflate_cannot_reach_is_refused(packed):
    pack = packed()
    lie(pack, JOURNAL, 1 << 30)
    assert "no such thing, a bomb" in problems(pack)


def test_members_that_share_their_bytes_are_refused(tmp_path, packed):
    pack = packed()
    raw = bytearray(pack.read_bytes())
    with zipfile.ZipFile(pack) as archive:
        infos, directory = archive.infolist(), archive.start_dir
    place = raw.index(infos[3].filename.encode(), directory) - 4
    struct.pack_into("<I", raw, place, infos[2].header_offset)
    pack.write_bytes(raw)
    assert check(pack).exit_code == 1
    assert tmp_path.is_dir()


def test_a_list_of_too_many_members_is_not_read(packed, monkeypatch):
    pack = packed()
    monkeypatch.setattr(layout, "MOST_MEMBERS", 3)
    assert "refused" in problems(pack)
    monkeypatch.setattr(layout, "MOST_MEMBERS", 1 << 18)
    monkeypatch.setattr(layout, "MOST_LIST_BYTES", 100)
    assert "refused" in problems(pack)


def test_a_list_that_miscounts_its_members_is_refused(packed):
    pack = packed()
    raw = bytearray(pack.read_bytes())
    for place in (len(raw) - 14, len(raw) - 12):
        raw[place] -= 1
    pack.write_bytes(raw)
    assert "does not have the" in problems(pack)


def test_a_member_is_inflated_in_small_pieces(packed):
    pack = packed()
    written(pack, in_order(resealed(members(pack) | {"runs/run/zeros": bytes(4 << 20)})))
    with pack.open("rb") as file:
        read = layout.Layout(file)
        (member,) = (m for m in read.members if m.filename == "runs/run/zeros")
        assert max(map(len, read.read(member))) <= 1 << 16


# what is no pack -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", b"PK\5\6" + bytes(18), b"not a zip at all\n" * 20, zlib.compress(b"x" * 99)],
)
def test_what_is_no_archive_is_exit_3(tmp_path, data, capsys):
    path = tmp_path / "file"
    path.write_bytes(data)
    assert main(["verify", str(path)]) == 3
    assert "not a pack" in capsys.readouterr().err


def test_another_zip_is_exit_3(tmp_path, capsys):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("README.md", "hello")
    assert main(["verify", str(tmp_path / "a.zip")]) == 3
    assert "something else" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nothing.zip"], ["."], [], ["/dev/null"]])
def test_what_is_not_there_is_a_usage_error(arguments):
    assert main(["verify", *arguments]) == 2


def test_a_folder_that_is_there_is_not_extracted_into(packed, tmp_path):
    with pytest.raises(UsageError, match="is there already"):
        call(["verify", str(packed()), "--extract", str(tmp_path)])
    with pytest.raises(UsageError, match="--extract"):
        call(["verify", str(packed("b.zip", tmp_path / "run")), "--extract", "/proc/nowhere/out"])


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(packed, tmp_path, monkeypatch):
    usage = itertools.repeat(type("Usage", (), {"free": 10})())
    monkeypatch.setattr("railgauge_reports.pack.checking.shutil.disk_usage", lambda _: next(usage))
    with pytest.raises(UsageError, match="are free there"):
        check(packed(), extract=tmp_path / "out")
    assert not (tmp_path / "out").exists()
