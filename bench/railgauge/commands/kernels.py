"""Measure what the GPUs of this node give by themselves: memory, arithmetic, flags between them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from railgauge.errors import EXIT_PASS, EXIT_WRONG_DATA, UsageError
from railgauge.units import parse_size

if TYPE_CHECKING:
    from railgauge.gpus.kernel_table import KernelTable

LEAST_SIZE = 64 << 10


@click.command()
@click.option(
    "--gpu", default=0, show_default=True, help="Which of the visible GPUs has the table."
)
@click.option(
    "--size", default="256M", show_default=True, help="Bytes of each of the three arrays."
)
@click.option("--rounds", default=15, show_default=True, help="Rounds over all kernels.")
@click.option("--output", type=click.Path(path_type=Path), help="Write the JSON to this file too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def command(gpu: int, size: str, rounds: int, output: Path | None, as_json: bool) -> int:
    """Measure this node's GPUs by our own kernels, without MPI and NCCL.

    Copy, read, write, triad, reduction, fills and checks and arithmetic load of one GPU, from plain
    to fast, against the driver's copy and the best that its memory gave; then the latency of flags
    between every two GPUs that reach each other's memory.
    """
    nbytes = parse_size(size, "--size")
    if nbytes < LEAST_SIZE or nbytes % 16:
        raise UsageError(
            f"--size {size}: too small or odd.\n  expected: at least 64K, in whole 16 bytes"
        )
    if rounds < 1:
        raise UsageError(f"--rounds {rounds}: nothing to measure.\n  expected: at least 1")
    from railgauge.gpus import cuda, kernel_table

    count = cuda.device_count()
    if not 0 <= gpu < count:
        raise UsageError(
            f"--gpu {gpu}: {count} GPUs are visible.\n  next: nvidia-smi -L, or CUDA_VISIBLE_DEVICES"
        )
    others = (k for k in range(count) if k != gpu)
    devices = [cuda.Device(k) for k in (gpu, *others)]
    made = kernel_table.measured(devices, nbytes, rounds, _progress)
    text = msgspec.json.encode(made).decode()
    if output:
        output.write_text(text + "\n")
    print(text if as_json else _shown(made))
    return EXIT_PASS if made.right else EXIT_WRONG_DATA


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{what:40}\r", end="", file=sys.stderr, flush=True)


def _shown(made: KernelTable) -> str:
    gpu, sheet = made.gpu, made.allowed
    if made.allowed_GBps:
        sheet = f"{made.allowed_GBps:.0f} GB/s ({made.allowed})"
    version = "".join(map(str, gpu["capability"]))
    head = ("family", "kernel", "median (us)", "95 % interval", "GB/s", "of ceiling", "of driver")
    lines = [
        f"{gpu['name']}, sm_{version}, {gpu['multiprocessors']} multiprocessors, {gpu['bus_id']}",
        f"ceiling: {made.ceiling_GBps:.0f} GB/s, the best of read, write and triad",
        f"data sheet: {sheet}",
        "",
        "{:8} {:30} {:>12} {:>21} {:>8} {:>10} {:>9}  result".format(*head),
    ]
    for row in made.rows:
        low, high = row.median_low_seconds, row.median_high_seconds
        between = "" if low is None or high is None else f"{low * 1e6:.1f} - {high * 1e6:.1f}"
        rate = f"{row.TFLOPS:.1f} T" if row.TFLOPS is not None else f"{row.GBps:.1f}"
        lines.append(
            f"{row.family:8} {row.kernel:30} {row.median_seconds * 1e6:12.1f} {between:>21} {rate:>8}"
            f" {_percent(row.of_ceiling):>10} {_percent(row.of_driver):>9}"
            f"  {'right' if row.right else 'WRONG'}"
        )
    lines += ["", f"{'flags':20} {'from':14} {'to':14} {'one way (ns)':>12} {'least':>8}"]
    for flight in made.flags:
        way, least = flight.one_way_seconds, flight.least_seconds
        told = (
            "out of reach"
            if way is None or least is None
            else f"{way * 1e9:12.0f} {least * 1e9:8.0f}"
        )
        lines.append(f"{flight.kernel:20} {flight.first:14} {flight.second:14} {told}")
    return "\n".join(lines)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
