"""Leaves as lines of text: Slurm's topology.conf, `scontrol show topology`, or `leaf0: node[0-3]`.

topology.conf(5) of Slurm 22.05 to 26.11: names of parameters in any case, `#` begins a comment, `\\` at
the end goes on in the next line. A line of `scontrol show topology` is one record of the plugin:

    tree   SwitchName= Level= LinkSpeed= [Nodes=] [Switches=]     (src/plugins/topology/tree)
    block  BlockName= or AggregatedBlock=, BlockIndex= [Nodes=] BlockSize=          (.../block)
    ring   RingName=, torus3d TorusName=

There a switch above others lists the nodes below it too: a leaf is a switch of level 0 without switches
below it. A block is a leaf: its nodes are nearer to each other than to others. A ring has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from railgauge.errors import UsageError
from railgauge.leaves.gathered import Gathered

#: First words of records that are no leaf and say nothing of leaves.
_OTHERS = ("blocksizes", "aggregatedblock")
_ROUND = {"ringname": "a ring", "torusname": "a 3D torus"}
_NOTHING = ("", "(null)")
_WORD = re.compile(r'\s*([A-Za-z]\w*)\s*=\s*("[^"]*"|\S*)')
_PLAIN = re.compile(r"([^\s:=]+)\s*:\s*(.+)")
_INCLUDE = re.compile(r"include\s", re.IGNORECASE)
_SLURM = re.compile(
    rf"({'|'.join(('switchname', 'blockname', *_OTHERS, *_ROUND))})\s*=", re.IGNORECASE
)


def read(text: str, source: str, found: Gathered) -> None:
    """Put the leaves of all lines into `found`; raises UsageError that names the line."""
    for number, line in _joined(text):
        where = f"{source}, line {number}"
        if _INCLUDE.match(line):
            raise UsageError(
                f"{where}: {line[:80]!r}: other files are not read.\n"
                "  next: --leaves slurm asks Slurm itself, or: scontrol show topology > FILE"
            )
        if _SLURM.match(line):
            _record(line, where, found)
        elif plain := _PLAIN.fullmatch(line):
            found.add(plain[1], plain[2], where)
        elif line:
            raise UsageError(
                f"{where}: {line[:80]!r} is no leaf.\n  expected: `leaf0: node[0-3] node7`"
            )


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, line) without comments, with what a backslash joins put together."""
    begun, first = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition("#")[0].rstrip()
        first = first or number
        if line.endswith("\\"):
            begun += f"{line[:-1]} "
            continue
        yield first, (begun + line).strip()
        begun, first = "", 0
    yield first, begun.strip()


def _record(line: str, where: str, found: Gathered) -> None:
    facts = {key.lower(): value.strip('"') for key, value in _WORD.findall(line)}
    if left := _WORD.sub("", line).strip():
        raise UsageError(
            f"{where}: {left[:80]!r} belongs to nothing.\n"
            "  expected: NAME=VALUE words, without blanks in a list of hosts"
        )
    kind = next(iter(facts))
    if kind in _OTHERS:
        return
    if kind in _ROUND:
        raise UsageError(
            f"{where}: {_ROUND[kind]} has no leaf switches.\n"
            "  expected: a topology of switches or blocks\n"
            "  next: --leaves FILE with lines like `leaf0: node[0-3]`"
        )
    above = facts.get("switches", "") not in _NOTHING or facts.get("level", "0") != "0"
    nodes = facts.get("nodes", "")
    if not above and nodes not in _NOTHING:
        found.add(facts[kind], nodes, where)
