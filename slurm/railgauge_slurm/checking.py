"""The light check of a node: a selection of the audit's checks, read within a bound, told in one line.

Imports neither MPI nor numpy: it runs before every job, and on all nodes at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from railgauge.auditing.checks import Check, checks_named
from railgauge.auditing.judging import judge
from railgauge.auditing.machine import Machine
from railgauge.auditing.manifest import EMPTY, FIELDS, Manifest, checked, read_manifest
from railgauge.auditing.reading import readings
from railgauge.auditing.records import Finding, Read, Report, Taken
from railgauge.errors import EXIT_FAIL, EXIT_NOT_MEASURED, EXIT_PASS, UsageError, unknown
from railgauge_slurm.prefix import PREFIX

#: In the order in which they are read: what only files of the kernel tell first, what may hang last.
SELECTED = (
    *(
        "port_state",
        "network_devices",
        "link_layer",
        "port_rate",
        "netdev_operstate",
        "netdev_speed",
    ),
    *(
        "rdma_devices",
        "port_errors",
        "pci_answers",
        "pcie_link",
        "shared_memory_free",
        "clocksource",
    ),
    *("gpus", "gpu_xid", "gpus_answer", "gpu_memory", "gpu_clocks"),
)
TIMEOUT_SECONDS = 10.0
#: What `--expect` calls in short what the manifest has a longer name for.
SHORT = {"rate": "rate_Gbps", "netdev": "netdevs", "errors": "errors_per_day"}
MOST_BYTES = 16 << 20
MOST_LINE = 300  # characters: a reason, and a line of a log


class Told(NamedTuple):
    """Good, bad or could not tell: `exit_code` 0, 1 or 3, `code` for a reason, `words` for a person."""

    exit_code: int
    code: str
    words: str

    @property
    def line(self) -> str:
        return f"{PREFIX}{self.code} {self.words}"


def expected(given: Sequence[str]) -> Manifest:
    """What the site's nodes have, from files of `audit --manifest` and `key=value`; later ones win.

    Raises UsageError.
    """
    made: dict[str, Any] = msgspec.structs.asdict(EMPTY)
    for word in given:
        key, equals, value = word.partition("=")
        if equals and not Path(word).exists():
            made |= _field(key.strip(), value.strip(), word)
        else:
            file = read_manifest(Path(word), "--expect")
            made |= {
                name: found
                for name, found in msgspec.structs.asdict(file).items()
                if found != getattr(EMPTY, name)
            }
    return checked(Manifest(**made), f"--expect {' '.join(given)[:80]}")


def _field(key: str, value: str, word: str) -> dict[str, Any]:
    name = SHORT.get(key, key)
    if name not in FIELDS:
        raise unknown(
            "expectation", key, [*SHORT, *FIELDS], "railgauge slurm check --expect nics=8,rate=400"
        )
    several = name in ("netdevs", "priorities")
    text: Any = [part for part in value.split("+") if part] if several else value
    try:
        made = msgspec.convert({name: text}, Manifest, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"--expect {word[:80]}: {error}.\n  next: --expect nics=8,rate=400,gpus=8,netdevs=eth0+eth1"
        ) from None
    return {name: getattr(made, name)}


def selected(names: Sequence[str] | None) -> tuple[Check, ...]:
    """The checks of those names (None: all that a light check has), in its order; raises UsageError."""
    for name in names or ():
        if name not in SELECTED:
            raise unknown("light check", name, SELECTED, "railgauge audit, which has all of them")
    chosen = {check.name: check for check in checks_named(SELECTED if names is None else names)}
    return tuple(chosen[name] for name in SELECTED if name in chosen)


# reading ----------------------------------------------------------------------------------------------


def read_within(machine: Machine, checks: Sequence[Check], seconds: float) -> Taken:
    """What the checks read, in a process of its own that is left behind where it hangs.

    A device that has failed may hold whoever asks it in the kernel, where no signal reaches: the process
    that answers must not be the one that asks. What was not read in time is unknown.
    """
    began = time.monotonic()
    reads, writes = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _read_apart(machine, checks, writes)
    os.close(writes)
    got = _until(reads, began + seconds)
    os.close(reads)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    made = [read for line in got for read in msgspec.json.decode(line, type=Taken).reads]
    done = {read.check for read in made}
    late = [check.name for check in checks if check.name not in done]
    why = f"no answer within {seconds:g} s"
    made += [
        Read(check=name, unknown=why if k == 0 else f"not read: {late[0]} gave {why}")
        for k, name in enumerate(late)
    ]
    spent = time.monotonic() - began
    return Taken(host=machine.host, rank=0, leads=True, seconds=spent, reads=tuple(made))


def _read_apart(machine: Machine, checks: Sequence[Check], writes: int) -> None:
    """The child's whole life: nothing of its parent's is held open by it, should it never end."""
    code = 1
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        with os.fdopen(writes, "wb", buffering=0) as pipe:
            for check in checks:
                pipe.write(msgspec.json.encode(readings(machine, [check], True)) + b"\n")
        code = 0
    finally:
        os._exit(code)


def _until(reads: int, end: float) -> list[bytes]:
    """The whole lines that came until the other end was closed, or the time was over."""
    got = b""
    while (left := end - time.monotonic()) > 0 and len(got) < MOST_BYTES:
        if not select.select([reads], [], [], left)[0]:
            break
        more = os.read(reads, 1 << 16)
        if not more:
            break
        got += more
    return got.splitlines()[: got.count(b"\n")]


# telling ----------------------------------------------------------------------------------------------


def judged(taken: Taken, manifest: Manifest, checks: Sequence[Check]) -> tuple[Report, Told]:
    """Every finding, and what they come to."""
    names = [check.name for check in checks]
    report = judge([taken], manifest=manifest, checks=names)
    order = {name: place for place, name in enumerate(names)}
    every = sorted(report.findings, key=lambda finding: order[finding.check])
    by_name = {check.name: check for check in checks}
    bad = [f for f in every if f.status == "FAIL"]
    open_ones = [
        f
        for f in every
        if f.status == "UNKNOWN"
        and by_name[f.check].worst == "FAIL"
        and not by_name[f.check].needs_root
    ]
    warned = sum(finding.status == "WARN" for finding in every)
    if bad:
        return report, Told(EXIT_FAIL, bad[0].check, _words(bad, warned))
    if open_ones:
        return report, Told(EXIT_NOT_MEASURED, "unknown", _words(open_ones, warned))
    seen = len({f.check for f in every if f.status in ("PASS", "WARN", "INFO")})
    told = f"{seen} of {len(names)} checks apply, in {taken.seconds:.2f} s"
    return report, Told(EXIT_PASS, "ok", told + _warnings(warned))


def _words(found: Sequence[Finding], warned: int) -> str:
    first = found[0]
    where = f"{first.where}: " if first.where else ""
    name = "" if first.status == "FAIL" else f"{first.check}: "
    text = f"{name}{where}{first.found or first.reason}"
    if first.status == "FAIL" and first.expected:
        text += f", expected {first.expected}"
    others = list(dict.fromkeys(f.check for f in found[1:] if f.check != first.check))
    more = f"; also {', '.join(others)}" if others else ""
    text = " ".join(f"{text}{more}{_warnings(warned)}".split())
    return text if len(text) <= MOST_LINE else f"{text[: MOST_LINE - 3]}..."


def _warnings(count: int) -> str:
    return f"; {count} warning{'s' * (count > 1)}" if count else ""
