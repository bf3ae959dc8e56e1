"""Rows of one width taken together: the same as one by one, or not taken at all."""

from __future__ import annotations

import array
import random

import numpy as np
import pytest

from railgauge_reports.importing import fixed_rows
from railgauge_reports.importing.fixed_rows import Known, Shape, stretches, take

HEAD = "#  size  count  type  redop  root  time  algbw  busbw  #wrong  time  algbw  busbw  #wrong\n"
CUT = 12


def line(
    key: int = 8,
    out: str = "20.00",
    middle: str = "0.05",
    check: str = "0",
    into: str = "9.5",
    last: str = "N/A",
) -> bytes:
    return f"{key:10d}   {out:>7}  {middle:>6}  {check:>6}  {into:>7}  {last:>6}".encode()


def taken(
    *lines: bytes, keys: tuple[int, ...] = (8, 16)
) -> tuple[bool, dict[int, tuple[list[float], list[float]]]]:
    shape = Shape.of(lines[0], CUT - 1)._replace(cut=CUT)
    known = {
        line(key)[:CUT]: Known(array.array("d"), array.array("d"), b"0", b"N/A") for key in keys
    }
    rows = np.frombuffer(b"".join(lines), np.uint8).reshape(len(lines), -1)
    done = take(rows, shape, known, (0, 3), (2, 4))
    return done, {
        key: (known[line(key)[:CUT]].out.tolist(), known[line(key)[:CUT]].into.tolist())
        for key in keys
    }


def test_times_go_to_the_series_of_their_key_in_order():
    done, made = taken(line(8), line(16, "1.25"), line(8, "12345", into="0.10"), line(16, "7"))
    assert done
    assert made == {8: ([20.0, 12345.0], [9.5, 0.1]), 16: ([1.25, 7.0], [9.5, 9.5])}


@pytest.mark.parametrize(
    "odd",
    [
        line()[:20] + b"12345678" + line()[28:],
        line(32), line(out="nan"), line(out="1e+06"), line(out="N/A"), line(out="1.2.3"), line(out="12."),
        line(check="7"), line(check="N/A"), line(last="0"), line(out="2 0.0"), line(middle="1 0.5"),
        line()[:-8] + b"N/A     ", line()[:13] + b"x" + line()[14:],
        line()[:-1] + b" ", line().replace(b"  9.5", b"9.5  "),
    ],
)  # fmt: skip
def test_a_stretch_with_one_odd_row_is_not_taken(odd):
    assert len(odd) == len(line())
    done, made = taken(line(), odd, line())
    assert (done, made[8]) == (False, ([], []))


def test_numbers_are_those_of_float():
    rng = random.Random(1)
    texts = [
        f"{rng.uniform(0, 10 ** rng.randint(0, 4)):.{rng.choice([0, 1, 2])}f}" for _ in range(500)
    ]
    done, made = taken(*(line(out=text) for text in texts))
    assert done
    assert made[8][0] == [float(text) for text in texts]


def test_equal_hashes_do_not_mix_keys(monkeypatch):
    keys = np.frombuffer(b"".join(line(k)[:CUT] for k in (8, 16, 8)), np.uint8).reshape(3, CUT)

    def grouped():
        names, which = fixed_rows._grouped(keys)
        return len(names), [names[k] for k in which]

    right = [line(k)[:CUT] for k in (8, 16, 8)]
    assert grouped() == (2, right)
    monkeypatch.setattr(fixed_rows, "_multipliers", lambda words: np.zeros(words, np.uint64))
    assert grouped() == (3, right)


def test_stretches_are_long_runs_of_one_length(monkeypatch):
    monkeypatch.setattr(fixed_rows, "LEAST", 3)
    assert stretches(np.array([5, 5, 5, 4, 5, 5, 4, 4, 5, 5, 5, 5]), 5) == [(0, 3), (8, 12)]
    assert stretches(np.array([], int), 5) == []


def big_log(seed: int) -> str:
    """Runs of two sizes of table, some rows torn, wrong, unchecked or longer, and noise between."""
    rng, parts = random.Random(seed), []
    for _ in range(3):
        parts.append(
            "# nThread 1 nGpus 1 minBytes 8\n#  Rank  0 Group  0 Pid 1 on a device  0 [0x1] A GPU\n"
            + HEAD
        )
        for _ in range(rng.randint(100, 400)):
            for size in (8, 16, 1 << 30):
                values = [
                    f"  {rng.uniform(1, 999):7.2f}  {1:6.2f}  {1:6.2f}  {0:5d}" for _ in range(2)
                ]
                made = (
                    f"{size:12d}  {size // 4:12d}     float     sum      -1{values[0]}{values[1]}"
                )
                kind = rng.random()
                if kind < 0.002:
                    made = made[: rng.randint(60, 80)]
                elif kind < 0.004:
                    made = made.replace("      0", "      3", 1)
                elif kind < 0.006:
                    made = made.replace("    0", "  N/A", 1)
                elif kind < 0.008:
                    made = f"node1:1:2 [0] NCCL INFO something\n{made}"
                elif kind < 0.010:
                    made = made.replace("  ", "  1", 1)
                parts.append(made + "\n")
        parts.append("# Avg bus bandwidth    : 1 \n")
    return "".join(parts)


@pytest.mark.parametrize("seed", range(4))
def test_a_log_reads_the_same_together_and_one_by_one(read, monkeypatch, seed):
    text = big_log(seed)

    def facts():
        got = read(text)
        series = [
            (s.what, s.values.tolist(), s.wrong, s.checked)
            for run in got.runs
            for s in run.series.values()
        ]
        return series, [run.rows for run in got.runs], got.found.partial_rows, got.found.warnings()

    together = facts()
    for block in (1 << 10, 1 << 14):
        monkeypatch.setattr("railgauge_reports.importing.encoded.BLOCK", block)
        assert facts() == together
    monkeypatch.setattr(fixed_rows, "LEAST", 10**9)
    assert facts() == together
    monkeypatch.setattr("railgauge_reports.importing.nccl_table.Tables._remember", lambda *_: None)
    assert facts() == together
    assert sum(together[1]) > 900


def test_the_short_way_is_taken(read, monkeypatch):
    calls = []
    monkeypatch.setattr(
        "railgauge_reports.importing.nccl_table.take",
        lambda rows, *rest: calls.append(len(rows)) or take(rows, *rest),
    )
    row = (
        f"{8:12d}  {2:12d}     float     sum      -1"
        + f"  {12.5:7.2f}  {1:6.2f}  {1:6.2f}  {0:5d}" * 2
        + "\n"
    )
    got = read(HEAD + row * 40_000)
    assert (got.found.rows, len(next(iter(got.run.series.values())).values)) == (40_000, 40_000)
    assert sum(calls) > 20_000
