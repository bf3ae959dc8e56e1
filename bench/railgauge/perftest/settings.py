"""What `--config` can ask of perftest, and the command lines that it makes."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from railgauge.errors import UsageError
from railgauge.hardware.links import Nic
from railgauge.plan import Case, Plan, cases, typed_fields

MOST_BYTES = (2**32 - 1) // 2  # of a message: perftest's parser, src/perftest_parameters.c
MTUS = (256, 512, 1024, 2048, 4096)
#: Of a bandwidth run: perftest's own 5,000 messages, fewer of large ones, so that 4 GiB move at least.
BANDWIDTH_ITERATIONS, FEWEST_ITERATIONS, BANDWIDTH_BYTES = 5000, 128, 4 << 30
#: A latency run of n iterations has n - 1 times; p99 wants 1,000 of them.
LATENCY_ITERATIONS = 1001


class Settings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Fields of `--config`; None: perftest's own choice (iterations: `iterations_of`).

    `device` is a name for all ranks of a node, or names for each, comma separated. `address` is what
    a client connects to: the name of the server's host, or the IPv4 address of its device's network
    interface. `dmabuf`: memory of a GPU through DMA-BUF instead of nvidia-peermem.
    """

    device: str = ""
    port: Annotated[int, Meta(ge=1, le=255)] | None = None
    gid_index: Annotated[int, Meta(ge=0, le=255)] | None = None
    tclass: Annotated[int, Meta(ge=0, le=255)] | None = None
    sl: Annotated[int, Meta(ge=0, le=15)] | None = None
    qps: Annotated[int, Meta(ge=1, le=16384)] = 1
    mtu: Annotated[int, Meta(ge=256, le=4096)] | None = None
    iterations: Annotated[int, Meta(ge=5, le=2**32)] | None = None
    connection: Literal["RC", "UC", "UD", "XRC", "DC", "SRD"] | None = None
    address: Literal["host", "fabric"] = "host"
    dmabuf: bool = False


def settings_of(plan: Plan) -> Settings:
    """The plan's `--config`; raises UsageError that names the field."""
    made = Settings(
        **typed_fields(plan.config, typing.get_type_hints(Settings, include_extras=True))
    )
    if made.mtu is not None and made.mtu not in MTUS:
        raise UsageError(
            f"--config mtu={made.mtu}: no MTU of InfiniBand.\n"
            f"  expected: {', '.join(map(str, MTUS))} (bytes that a packet carries)"
        )
    return made


def refuse(plan: Plan) -> None:
    """Raise UsageError for what perftest cannot be asked, wherever it runs."""
    settings = settings_of(plan)
    for case in cases(plan):
        if not 0 < case.nbytes <= MOST_BYTES:
            raise UsageError(
                f"{case.describe()}: perftest sends messages of 1 to {MOST_BYTES} bytes.\n"
                "  next: --sizes with such"
            )
        if settings.qps > 1 and is_latency(case):
            raise UsageError(
                f"--config qps={settings.qps}: perftest has several QPs in bandwidth tests alone.\n"
                f"  next: without {case.operation}, or without qps"
            )


def is_latency(case: Case) -> bool:
    return case.operation.endswith("_latency")


def verb(case: Case) -> str:
    """`write`, `read` or `send`."""
    return case.operation.split("_")[1]


def program_name(case: Case) -> str:
    """`ib_write_bw`."""
    return f"ib_{verb(case)}_{'lat' if is_latency(case) else 'bw'}"


def iterations_of(case: Case, settings: Settings) -> int:
    """Messages that one process sends (of each QP)."""
    if settings.iterations is not None:
        return settings.iterations
    if is_latency(case):
        return LATENCY_ITERATIONS
    enough = BANDWIDTH_BYTES // case.nbytes
    return max(FEWEST_ITERATIONS, min(BANDWIDTH_ITERATIONS, enough))


def arguments(
    plan: Plan, case: Case, settings: Settings, nic: Nic, gpu: int | None, raw: bool
) -> list[str]:
    """Options of both sides of a run, those of `nic` this side's own; `gpu` None: host memory.

    `raw` asks for the time of every iteration.
    """
    words = [
        *("-d", nic.name, "-i", str(nic.port)),
        *("-s", str(case.nbytes), "-n", str(iterations_of(case, settings))),
        "-F",  # a processor that changes its frequency is no reason to refuse
    ]
    options: Sequence[tuple[str, object]] = (
        ("-x", settings.gid_index),
        ("-S", settings.sl),
        ("-m", settings.mtu),
        ("-c", settings.connection),
    )
    words += [word for name, value in options if value is not None for word in (name, str(value))]
    if settings.tclass is not None:
        words.append(f"--tclass={settings.tclass}")
    if gpu is not None:
        words.append(f"--use_cuda={gpu}")
        words += ["--use_cuda_dmabuf"] if settings.dmabuf else []
    if is_latency(case):
        return [*words, "-U"] if raw else words
    words += ["-t", str(plan.window), "-q", str(settings.qps), "-N", "--report_gbits"]
    return [*words, "-b"] if case.call == "both" else words
