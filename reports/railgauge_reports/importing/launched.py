"""How many ranks the command line of a launcher asks for, where a benchmark does not print it."""

from __future__ import annotations

import re

_LAUNCHER = re.compile(
    r"\b(?:mpirun|mpiexec(?:\.\w+)?|srun|prun|prterun|flux run|orterun|jsrun|aprun)\b"
)
_RANKS = re.compile(r"(?<!\S)(?:-np|-n|--n|--np|--ntasks)[= ]?\s*(\d{1,8})(?!\S)")
_NODES = re.compile(r"(?<!\S)(?:-N|--nodes)[= ]?\s*(\d{1,7})(?!\S)")
_EACH = re.compile(
    r"(?<!\S)(?:--tasks-per-node|--ntasks-per-node|-npernode|--npernode|-ppn|--ppn)[= ]\s*(\d{1,5})(?!\S)"
)


def ranks_in(text: str) -> int | None:
    """The ranks of `mpirun -np 8 ...`, `flux run -N2 --tasks-per-node=96 ...`; None where it does not say."""
    if not _LAUNCHER.search(text):
        return None
    if found := _RANKS.search(text):
        return int(found[1])
    nodes, each = _NODES.search(text), _EACH.search(text)
    return int(nodes[1]) * int(each[1]) if nodes and each else None
