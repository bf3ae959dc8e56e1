"""What NCCL says of itself in its log: the algorithm, protocol and channels it took, and its transports.

Rank 0's log goes to a file that is read and removed. Transports are told once, when a communicator
is made; the choice for each size only with `--explain`, since NCCL then writes a line an operation.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import IO

import msgspec

from railgauge.plan import Case, Plan
from railgauge.records import Choice

#: NCCL 2.18 to 2.32, src/enqueue.cc: "AllReduce: 1024 Bytes -> Algo RING proto LL channel{Lo..Hi}={0..1}";
#: before 2.27 the algorithm and the protocol are numbers.
_TUNED = re.compile(
    r"(\w+): (\d+) Bytes -> Algo(?:rithm)? (\w+) proto(?:col)? (\w+)(?:.*?\{(\d+)\.\.(\d+)\})?"
)
#: src/transport/*.cc: "Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM".
_VIA = re.compile(r"Channel \d+(?:/\d+)? : \d+\[\w+\] -> \d+\[\w+\](?: \[\w+\])? via (\S+)")
_ALGORITHMS = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
_PROTOCOLS = ("LL", "LL128", "SIMPLE")
FUNCTIONS = {
    "all_reduce": "AllReduce",
    "all_gather": "AllGather",
    "reduce_scatter": "ReduceScatter",
    "broadcast": "Broadcast",
    "reduce": "Reduce",
}


def transports(text: str) -> str:
    """The transports that a log names, most frequent first: `P2P/CUMEM, NET/IB/0/GDRDMA`."""
    found = _VIA.findall(text)
    return ", ".join(sorted(set(found), key=lambda name: (-found.count(name), name)))


def tuned(text: str, function: str) -> Choice | None:
    """The last choice that a log names for an NCCL function; None where it names none."""
    lines = [match for match in _TUNED.finditer(text) if match[1] == function]
    if not lines:
        return None
    _, _, algorithm, protocol, low, high = lines[-1].groups()
    return Choice(
        algorithm=_named(algorithm, _ALGORITHMS),
        protocol=_named(protocol, _PROTOCOLS),
        channels=f"{low}-{high}" if low else "",
    )


def _named(word: str, names: tuple[str, ...]) -> str:
    return names[int(word)] if word.isdigit() and int(word) < len(names) else word


class NcclLog:
    """Rank 0's log of this run, unless the user has a use for NCCL's log already."""

    def __init__(self, plan: Plan, rank: int) -> None:
        self._path: Path | None = None
        self._file: IO[str] | None = None
        self._transport = ""
        self._wanted = rank == 0 and "NCCL_DEBUG" not in os.environ
        self._subsystems = "INIT,P2P,NET,TUNING" if plan.explain else "INIT"

    def begin(self) -> None:
        """Ahead of the first communicator, when NCCL reads its variables; before, they are the user's."""
        if not self._wanted:
            return
        self._wanted = False
        handle, name = tempfile.mkstemp(prefix="railgauge-nccl-")
        os.close(handle)
        self._path = Path(name)
        os.environ |= {
            "NCCL_DEBUG": "INFO",
            "NCCL_DEBUG_SUBSYS": self._subsystems,
            "NCCL_DEBUG_FILE": name,
        }

    def open(self) -> None:
        """NCCL writes by now: keep the file open, and leave nothing behind."""
        if self._path and self._file is None:
            self._file = self._path.open(encoding="utf-8", errors="replace")
            self._path.unlink()

    def choice(self, case: Case) -> Choice | None:
        """What the lines written since the last call say of the case that ran last."""
        if self._file is None:
            return None
        text = self._file.read()
        self._transport = transports(text) or self._transport
        made = tuned(text, FUNCTIONS.get(case.operation, "")) or Choice()
        return msgspec.structs.replace(made, transport=self._transport)

    def close(self) -> None:
        """Stop reading; a file that NCCL never opened is removed."""
        if self._file:
            self._file.close()
        elif self._path:
            self._path.unlink(missing_ok=True)
