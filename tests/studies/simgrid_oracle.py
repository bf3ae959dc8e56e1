"""Are completion times under max-min sharing those of SimGrid? Fat trees, d-mod-k routes, latency 0.

`python tests/studies/simgrid_oracle.py` plays every case in both, prints a table and writes
`simgrid_oracle.json`, by which the tests check the solver where there is no SimGrid. SimGrid may be
another interpreter's: on Debian, `apt-get install python3-simgrid`, then /usr/bin/python3 has it.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np

from railgauge.simulation import maxmin
from railgauge.simulation.trees import Tree, fat_tree

WORKER = Path(__file__).with_name("simgrid_fat_tree.py")
RECORDED = Path(__file__).with_suffix(".json")
INTERPRETERS = (sys.executable, "/usr/bin/python3")
GBPS = 50.0
NBYTES = 16_000_000
#: Flows whose times are recorded, spread over all of a case.
KEPT = 24
TREES = {
    "64": ((4, 4, 4), (1, 4, 4)),
    "64 at 2:1": ((8, 8), (1, 4)),
    "1024": ((16, 8, 8), (1, 16, 8)),
    "4096": ((16, 16, 16), (1, 16, 16)),
}
PATTERNS = ("ring", "far ring", "incast", "permutation", "slow link", "sizes")


@dataclasses.dataclass(frozen=True)
class Case:
    """Flows on a tree: [flows] each; `slow` as the worker takes it."""

    tree: Tree
    sources: np.ndarray
    targets: np.ndarray
    nbytes: np.ndarray
    slow: tuple[tuple[int, int, float], ...] = ()

    @functools.cached_property
    def routes(self) -> np.ndarray:
        return self.tree.routes(self.sources, self.targets, None)

    @property
    def crc32(self) -> int:
        """Of the flows: results of others are not compared with."""
        return zlib.crc32(np.stack([self.sources, self.targets, self.nbytes]).tobytes())

    def ours(self) -> np.ndarray:
        """Seconds of each flow."""
        capacity = self.tree.capacity.copy()
        for flow, hop, share in self.slow:
            capacity[self.routes[flow, hop]] *= share
        return maxmin.completion(capacity, self.routes, self.nbytes / 1e9)


def made(tree: str, pattern: str) -> Case:
    """The case of that name, the same every time."""
    down, up = TREES[tree]
    built = fat_tree(down, up, [1] * len(down), GBPS)
    n = built.ports
    random = np.random.default_rng(n)
    sources = np.arange(n)
    targets = random.permutation(n)
    nbytes = np.full(n, NBYTES)
    slow: tuple[tuple[int, int, float], ...] = ()
    if pattern == "ring":
        targets = (sources + 1) % n
    elif pattern == "far ring":
        targets = (sources + down[0]) % n
    elif pattern == "incast":
        sources = random.permutation(np.arange(1, n))[:32]
        targets, nbytes = np.zeros(32, np.int64), nbytes[:32]
    elif pattern == "slow link":
        slow = ((int(np.argmax((targets != sources) & (targets // down[0] != 0))), 1, 0.25),)
    elif pattern == "sizes":
        nbytes = random.integers(1, NBYTES, n)
    away = sources != targets  # a host does not send to itself over the network
    position = {flow: k for k, flow in enumerate(np.flatnonzero(away).tolist())}
    slow = tuple((position[flow], hop, share) for flow, hop, share in slow)
    return Case(built, sources[away], targets[away], nbytes[away], slow)


def cases() -> list[tuple[str, str]]:
    """Tree and pattern; thousands of sizes, each an event of its own, are left out."""
    return [(t, p) for t in TREES for p in PATTERNS if (t, p) != ("4096", "sizes")]


def interpreter() -> str | None:
    """One that can import SimGrid, with the bindings that the worker was written for."""
    asks = "import simgrid; simgrid.NetZone.create_fatTree_zone, simgrid.Comm.sendto_async"
    for python in INTERPRETERS:
        done = subprocess.run([python, "-c", asks], capture_output=True, check=False)
        if done.returncode == 0:
            return python
    return None


def theirs(case: Case, python: str) -> dict:
    """SimGrid's answer."""
    asked = {
        "down": case.tree.down,
        "up": case.tree.up,
        "count": case.tree.count,
        "GBps": GBPS,
        "flows": np.stack([case.sources, case.targets, case.nbytes], axis=1).tolist(),
        "slow": case.slow,
    }
    done = subprocess.run(
        [python, str(WORKER)],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if done.returncode:
        raise RuntimeError(f"SimGrid ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def same_routes(case: Case, names: list[list[str]]) -> bool:
    """Does each of our links go by one name of theirs, and each name by one of our links?"""
    pairs = set()
    for ours, others in zip(case.routes.tolist(), names, strict=True):
        links = [link for link in ours if link >= 0]
        if len(links) != len(others):
            return False
        pairs.update(zip(links, others, strict=True))
    return len({a for a, _ in pairs}) == len(pairs) == len({b for _, b in pairs})


def difference(seconds: np.ndarray, others: np.ndarray) -> float:
    """The largest over the flows, as a share."""
    return float(np.max(np.abs(seconds / others - 1)))


def digest(case: Case, seconds: np.ndarray) -> dict:
    """What is recorded of SimGrid's times: the last, the mean, and those of some flows."""
    kept = np.linspace(0, len(seconds) - 1, KEPT).astype(int)
    return {
        "flows": len(seconds),
        "crc32": case.crc32,
        "makespan": float(seconds.max()),
        "mean": float(seconds.mean()),
        "some": {int(k): float(seconds[k]) for k in kept},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=RECORDED)
    output = parser.parse_args().output
    python = interpreter()
    if python is None:
        sys.exit(
            f"none of {', '.join(INTERPRETERS)} can import SimGrid 3.32.\n"
            "  next: apt-get install --no-install-recommends python3-simgrid"
        )
    recorded: dict = {"settings": "CM02, latency 0, see simgrid_fat_tree.py", "cases": {}}
    print("| hosts | flows | same routes | makespan, us | largest difference |")
    print("| --- | --- | --- | ---: | ---: |")
    for tree, pattern in cases():
        case = made(tree, pattern)
        answer = theirs(case, python)
        seconds, same = np.array(answer["seconds"]), same_routes(case, answer["routes"])
        apart = difference(case.ours(), seconds)
        recorded["version"] = answer["version"]
        recorded["cases"][f"{tree}, {pattern}"] = digest(case, seconds) | {
            "same_routes": same,
            "difference": apart,
        }
        print(f"| {tree} | {pattern} | {same} | {seconds.max() * 1e6:.2f} | {apart:.1e} |")
    output.write_text(json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
