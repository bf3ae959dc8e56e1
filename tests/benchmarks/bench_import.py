"""How fast logs are read: a table without a line between, and a debug log with few rows."""

import pytest

pytest.importorskip("railgauge_reports.importers", reason="the reports are not installed")

from railgauge_reports import importers
from railgauge_reports.importing.found import Found

HEAD = (
    "# nThread 1 nGpus 1 minBytes 8 maxBytes 8589934592 step: 2(factor) warmup iters: 5 iters: 20\n"
    "#  Rank  0 Group  0 Pid 1 on a device  0 [0x1] A GPU\n"
    "#  size  count  type  redop  root  time  algbw  busbw  #wrong  time  algbw  busbw  #wrong\n"
)
END = "# Avg bus bandwidth    : 1.5 \n"
SIZES = [8 << k for k in range(31)]
MEGABYTES = 20


def rows(turn):
    for k, size in enumerate(SIZES):
        time = 10 + k + turn % 97 / 7
        yield (
            f"{size:12d}  {size // 4:12d}  {'float':>8}  {'sum':>6}  {-1:6d}"
            + f"  {time:7.2f}  {1.5:6.2f}  {2.5:6.2f}      0" * 2
            + "\n"
        )


def until(megabytes, parts):
    made, size = [], 0
    for part in parts:
        made.append(part)
        size += len(part)
        if size > megabytes * 1e6:
            return made
    raise AssertionError("too few parts")


def dense():
    turn = 0
    while True:
        yield from rows(turn)
        turn += 1


def noisy():
    for turn in range(10**9):
        for rank in range(8):
            yield (
                f"node{rank:03d}:{turn}:{turn * 3} [{rank}] NCCL INFO Channel {rank:02d}/0 :"
                f" {rank}[{rank}] -> {rank + 1}[{rank + 1}] via P2P/CUMEM/read\n"
            )
        yield f"some library prints a line of its own for step {turn}\n"
        if turn % 100 == 0:
            yield from rows(turn)


@pytest.mark.parametrize("kind", [dense, noisy])
def test_reading_a_log_of_nccl_tests(benchmark, tmp_path, kind):
    path = tmp_path / "a.log"
    path.write_text(HEAD + "".join(until(MEGABYTES, kind())) + END)

    def read():
        source, importer = importers.opened(path)
        found = Found(importer.name, lambda _: None)
        importer.read(source, found)
        return found

    found = benchmark.pedantic(read, rounds=3)
    assert found.rows > 1000
    assert found.complete
    benchmark.extra_info["MB/s"] = path.stat().st_size / 1e6 / benchmark.stats["min"]
