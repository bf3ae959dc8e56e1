"""Logs of any size: blocks, long lines, prefixes, what is no text, and which tool printed it."""

# ruff: noqa: E501  (lines of logs are as long as they are)

from __future__ import annotations

import bz2
import gzip
import lzma

import pytest

from railgauge.errors import NotMeasuredError, UsageError
from railgauge_reports import importers
from railgauge_reports.importing import encoded, lines
from railgauge_reports.importing import found as found_module
from railgauge_reports.importing.found import Found, FoundRun
from railgauge_reports.importing.lines import Lines, cleaned
from railgauge_reports.importing.rows import Series, What, dtype_of, itemsize, number, whole
from railgauge_reports.importing.trouble import Trouble


@pytest.mark.parametrize("block", [1, 2, 3, 7, 64])
def test_lines_are_the_same_whatever_the_block(tmp_path, monkeypatch, block):
    monkeypatch.setattr(encoded, "BLOCK", block)
    path = tmp_path / "x"
    path.write_bytes(b"one\n\ntwo three\r\nfour\n")
    made = Lines(path)
    numbered = [(c.number + k, line) for c in made for k, line in enumerate(c.lines)]
    assert numbered == [(1, b"one"), (2, b""), (3, b"two three\r"), (4, b"four")]
    assert made.whole is True
    path.write_bytes(b"one\ntw")
    made = Lines(path)
    assert [line for c in made for line in c.lines] == [b"one", b"tw"]
    assert made.whole is False


def test_a_line_without_end_is_kept_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(encoded, "BLOCK", 100)
    monkeypatch.setattr(lines, "MOST_LINE", 1000)
    path = tmp_path / "x"
    path.write_bytes(b"a\n" + b"x" * 5000 + b"\nb\n")
    made = Lines(path)
    kept = [line for c in made for line in c.lines]
    assert (kept[0], kept[-1], len(kept)) == (b"a", b"b", 3)
    assert 900 <= len(kept[1]) <= 1100
    assert made.long == 1


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"[1,0]<stdout>:8 x", "8 x"), (b"  [1,12]<stderr>:# x", "# x"),
        (b"[prterun-host-12@1,0]<stdout>: # x", "# x"), (b"[1,0]: # x", "# x"),
        (b"Mon Nov  3 11:04:08 2026[1,0]<stdout>:8 0.4", "8 0.4"), (b"12: # x", "# x"),
        (b"[3] # x", "# x"), (b"[0] NCCL INFO", "[0] NCCL INFO"), (b"2026-01-02 03:04:05,123 # x", "# x"),
        (b"2026-01-02T03:04:05Z stderr F 0: # x", "# x"), (b"[pod/a-b/c] # x", "# x"),
        (b"worker-0  | # x", "# x"), (b"\x1b[31m# x\x1b[0m\r", "# x"), (b"host: 3", "host: 3"),
        (b"| a | b |", "| a | b |"), (b"12:34:56 x", "x"), (b"8   0.44", "8   0.44"), (b"0: +---+", "+---+"),
        (b"3:", ""), (b" 0: real 0m1s", "real 0m1s"), (b"node017: # x", "# x"), (b"gpu-3.site: 8 x", "8 x"),
        (b"nid0012.hsn 0: # x", "# x"), (b"[default0]:# x", "# x"), (b"[rank12]: 8 x", "8 x"),
        (b"Jan  2 03:04:05 # x", "# x"), (b"Jan 02 03:04:05 n1 job[12]: # x", "# x"), (b"Device 0: A GPU", "Device 0: A GPU"),
        (b"h0:1:2 [0] NCCL INFO", "h0:1:2 [0] NCCL INFO"), (b"nprocs: 2, min: 3", "nprocs: 2, min: 3"),
    ],
)  # fmt: skip
def test_prefixes_are_taken_off_and_nothing_else(raw, text):
    assert cleaned(raw) == text


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        (b"", NotMeasuredError, "empty"), (b" \n\n", NotMeasuredError, "empty"),
        (b"\x7fELF\x02\x01\x01" + bytes(500), NotMeasuredError, "binary, begins with 7f 45 4c 46"),
        (bytes(range(1, 256)) * 40, NotMeasuredError, "binary"),
        (b"\x1f\x8bxx", NotMeasuredError, "damaged after 0 B"), (b"(\xb5/\xfdxx", UsageError, "unzstd"),
        (b"PK\x03\x04xx", UsageError, "unzip"), (gzip.compress(b""), NotMeasuredError, "empty"),
        (gzip.compress(b"# nThread 1\n" * 9)[:-9], NotMeasuredError, "damaged after"),
        (b"hello world\n" * 9, UsageError, "not the output of a tool known here, it begins with 'hello"),
    ],
)  # fmt: skip
def test_what_no_tool_printed_is_a_named_error(tmp_path, data, error, words):
    path = tmp_path / "x.log"
    path.write_bytes(data)
    with pytest.raises(error, match=words) as told:
        importers.opened(path)
    assert str(path) in str(told.value)


def test_files_that_cannot_be_read_are_named(tmp_path):
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(NotMeasuredError, match=str(path)):
            importers.opened(path)


@pytest.mark.parametrize(
    "stored",
    [
        gzip.compress, bz2.compress, lzma.compress, lambda data: gzip.compress(data[:40]) + gzip.compress(data[40:]),
        lambda data: data.decode().encode("utf-16"), lambda data: b"\xfe\xff" + data.decode().encode("utf-16-be"),
        lambda data: data.decode().encode("utf-8-sig"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("block", [64, 1 << 20])
def test_compressed_logs_and_utf_16_are_read_as_they_are(
    read, nccl_log, monkeypatch, stored, block
):
    monkeypatch.setattr(encoded, "BLOCK", block)
    text = nccl_log().encode()
    plain, got = read(text).found, read(stored(text)).found
    assert (got.rows, got.runs, got.complete) == (plain.rows, plain.runs, plain.complete)
    assert (plain.rows, plain.runs) == (2, 1)


def test_zeros_that_a_file_system_left_in_a_log_do_not_make_it_binary(read, nccl_log):
    text = nccl_log().encode()
    assert read(b"\0" * 100 + b"\n" + text).found.rows == 2


def test_a_table_that_begins_late_is_found(read, nccl_log):
    noise = "h0:1:2 [0] NCCL INFO nothing of note\n" * 60_000  # two blocks
    assert (read(noise + nccl_log()).tool, read(noise + nccl_log()).found.rows) == ("nccl_tests", 2)


def test_a_table_counts_more_than_the_name_of_another_program(read, nccl_log):
    noise = "sbatch osu_latency.sh\n" + "a line of no tool\n" * 10_000
    assert read(noise + nccl_log()).tool == "nccl_tests"


def test_an_error_of_a_tool_is_told_from_its_program_alone(read):
    got = read("mpirun could not start build/all_reduce_perf: not enough slots\n")
    assert (got.tool, got.found.runs, got.found.rows) == ("nccl_tests", 0, 0)
    assert got.found.warnings() == [
        "line 1: mpirun could not start build/all_reduce_perf: not enough slots"
    ]


def test_two_tools_in_one_file_are_not_guessed(read, nccl_log):
    both = nccl_log() + "# OSU MPI Latency Test v7.4\n# Size Avg Latency(us)\n8 1.0\n"
    with pytest.raises(UsageError, match="may be nccl_tests or osu") as told:
        read(both)
    assert "--tool nccl_tests" in str(told.value)
    assert read(both, tool="osu").found.rows == 1
    assert read(both, tool="nccl-tests").found.rows == 2


def test_an_unknown_tool_is_refused_with_the_closest_name(read, nccl_log):
    with pytest.raises(UsageError, match="Did you mean 'nccl_tests'"):
        read(nccl_log(), tool="nccl_test")


def test_every_importer_says_what_it_is_and_likes_no_prose():
    for name in importers.names():
        made = importers.importer_named(name)
        assert made.summary
        assert made.marks
        assert made.looks_like("hello\nworld 1 2 3\n") == 0


# what is kept -------------------------------------------------------------------------------------


def test_warnings_that_differ_in_numbers_are_said_once_with_their_lines():
    found = Found("x", lambda _: None)
    found.warn(7, "other")
    for line in range(1, 31):
        found.warn(line, f"rank {line} is late")
    assert found.warnings() == [
        f"lines {', '.join(map(str, range(1, 21)))} and 10 more: rank 1 is late", "line 7: other",
    ]  # fmt: skip
    many = Found("x", lambda _: None)
    for word in range(60):
        many.warn(0, "w" * (word + 1))
    assert len(many.warnings()) == 51
    assert many.warnings()[-1] == "and 10 more warnings"


def test_what_does_not_fit_into_memory_is_counted_and_told(monkeypatch):
    monkeypatch.setattr(found_module, "MOST_VALUES", 100)
    monkeypatch.setattr(found_module, "MOST_SERIES", 2)
    kept: list[FoundRun] = []
    found = Found("x", kept.append)
    run = found.begin("x", 1)
    put = run.put(What(operation="a", nbytes=1), 0.0, 1, 1.0).values.append
    for value in range(1, 150):
        put(float(value))
    for size in range(5):
        run.put(What(operation="b", nbytes=size), 1.0, 1, 1.0)
    run.rows = 155
    run.thin()
    put(7.0)  # an importer holds on to the array
    found.end()
    values = next(iter(kept[0].series.values())).values
    assert (len(kept[0].series), len(values), values[:3].tolist(), values[-1]) == (
        2,
        76,
        [0.0, 2.0, 4.0],
        7.0,
    )
    assert "of 155 rows were counted and not kept" in found.warnings()[0]


def test_values_become_seconds():
    time = Series(What(operation="a", nbytes=100), 1, 1e-6)
    rate = Series(What(operation="a", nbytes=100), 1, 1e9, rate=True)
    for series in (time, rate):
        for value in (2.0, 0.0, float("nan"), float("inf")):
            series.values.append(value)
    assert time.seconds().tolist() == [2e-6, 0.0]
    assert rate.seconds().tolist() == [pytest.approx(5e-8), 0.0]


def test_checks_of_a_series_hold_for_all_of_its_values():
    series = Series(What(operation="a", nbytes=1), 1, 1.0)
    assert series.checked is None
    series.check(0)
    series.check(3)
    assert (series.checked, series.wrong) == (True, 3)
    series.check(None)
    series.check(0)
    assert (series.checked, series.wrong) == (False, 3)


def test_numbers_are_finite_and_not_negative():
    assert [number(t) for t in ("1.5", "1e3", "-1", "nan", "inf", "x", "1_0", "")] == [1.5, 1e3] + [
        None
    ] * 6
    assert [whole(t) for t in ("12", "-1", "1.0", "9" * 20, "\u0663", "")] == [12] + [None] * 5


def test_types_have_our_names_and_sizes():
    made = {
        name: (dtype_of(name), itemsize(dtype_of(name)))
        for name in ("half", "MPI_CHAR", "MPI_FLOAT.", "double", "fp8_e4m3", "int", "odd")
    }
    assert made == {
        "half": ("float16", 2), "MPI_CHAR": ("int8", 1), "MPI_FLOAT.": ("float32", 4), "double": ("float64", 8),
        "fp8_e4m3": ("float8_e4m3fn", 1), "int": ("int32", 4), "odd": ("odd", 4),
    }  # fmt: skip


def test_trouble_is_told_from_comments_and_chatter(tmp_path):
    path = tmp_path / "x"
    path.write_text(
        "# a column called error\n# error: unhandled cuda error\nh:1:2 [0] NCCL INFO error code 0\n"
        "slurmstepd: error: *** JOB 7 CANCELLED ***\nall is well\n"
    )
    found = Found("x", lambda _: None)
    for chunk in Lines(path):
        Trouble(found).scan(chunk)
    assert found.warnings() == [
        "line 2: # error: unhandled cuda error", "line 4: slurmstepd: error: *** JOB 7 CANCELLED ***",
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
def test_damaged_logs_never_fail_and_never_gain_rows(read, nccl_log, seed):
    import random

    rng = random.Random(seed)
    whole = nccl_log().encode()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 8)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 3)] = rng.choice(
                [b"", b"\n", b"\xff", b"9", b"h0:1 [0] NCCL INFO x\n"]
            )
        try:
            got = read(bytes(data[: rng.randint(200, len(data))]), tool="nccl_tests")
        except (UsageError, NotMeasuredError):
            continue
        assert got.found.rows <= 3
