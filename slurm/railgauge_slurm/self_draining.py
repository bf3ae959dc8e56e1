"""A node that drains itself, as Slurm's HealthCheckProgram: many may do so at once, and the cap holds."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from railgauge.errors import NotMeasuredError
from railgauge_slurm.accusation import Accusation, Accused
from railgauge_slurm.draining import Cap, to_drain
from railgauge_slurm.nodes import Node, all_nodes, called, partition_of, resume_command
from railgauge_slurm.programs import ask

NODE = "SLURMD_NODENAME"
#: Of each question to the controller, the first of which without an answer is the last: HealthCheckProgram
#: has 60 s in all.
PATIENCE_SECONDS = 10.0
#: Slurm notes when a reason was set to the second: after this, whoever came at the same time shows.
SETTLING_SECONDS = 2.1


def drain_myself(
    code: str,
    words: str,
    cap: Cap,
    partition: str | None,
    environ: Mapping[str, str] = os.environ,
    sleep: Callable[[float], None] = time.sleep,
) -> str:
    """Drain this node, unless too many are held already; in words what was done.

    The program runs on all nodes at the same moment, and each would see room for one more. So each looks
    again a moment later: of those that railgauge holds, the first ones by time and name stay drained, and
    who came too late takes itself back. Raises NotMeasuredError and RefusedError.
    """
    nodes = all_nodes(PATIENCE_SECONDS)
    me = _myself(nodes, environ)
    where = partition_of(nodes, partition, timeout=PATIENCE_SECONDS)
    if partition is None and where not in me.partitions:
        where = next(iter(me.partitions), "")
    said = Accusation(Path("check"), time.time(), "", where, (Accused(me.name, code, words, True),))
    decided = to_drain(said, [me, *(n for n in nodes if n.name != me.name)], where, cap)
    if not decided.actions:
        return f"{me.name} left alone: {decided.left[0].why}"
    (action,) = decided.actions
    ask(action.argv, f"scontrol show node {me.name}", PATIENCE_SECONDS)
    sleep(SETTLING_SECONDS)
    after = all_nodes(PATIENCE_SECONDS)
    if me.name in _too_late(after, where, cap):
        ask(resume_command(me), f"scontrol show node {me.name}", PATIENCE_SECONDS)
        return (
            f"{me.name} left alone: others were drained at the same time, at most {decided.limit}"
        )
    return f"{me.name} drained: {action.reason}"


def _too_late(nodes: Sequence[Node], partition: str, cap: Cap) -> set[str]:
    """Names of the nodes that railgauge holds beyond the cap, the last ones."""
    inside = [node for node in nodes if not partition or partition in node.partitions]
    held = sorted((node.since, node.name) for node in inside if node.held_by_us)
    return {name for _, name in held[cap.of(len(inside)) :]}


def _myself(nodes: Sequence[Node], environ: Mapping[str, str]) -> Node:
    """The node that this host is: Slurm says so, or its name does; raises NotMeasuredError."""
    named = environ.get(NODE)
    found = (
        tuple(n for n in nodes if n.name == named) if named else called(socket.gethostname(), nodes)
    )
    if len(found) != 1:
        raise NotMeasuredError(
            f"--drain: which of Slurm's nodes this is, is not known ({named or socket.gethostname()}:"
            f" {len(found)} nodes).\n  expected: {NODE}, as Slurm sets it for HealthCheckProgram"
        )
    return found[0]
