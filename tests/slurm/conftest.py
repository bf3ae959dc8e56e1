"""A real Slurm on the hosts of the rig, for every test its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture(scope="session")
def slurm_rig(rig: Callable[[str], ModuleType]) -> tuple[ModuleType, ModuleType]:
    """The rigs `hosts` and `slurm`, where this machine can have them."""
    hosts, slurm = rig("hosts"), rig("slurm")
    for why in (slurm.lacking(), hosts.lacking()):
        if why:
            pytest.skip(why)
    return hosts, slurm


@pytest.fixture
def slurm_of(
    slurm_rig: tuple[ModuleType, ModuleType], tmp_path: Path
) -> Iterator[Callable[..., Any]]:
    """`slurm_of(4, topology="SwitchName=...")`: a Slurm with that many nodes, which ends with the test."""
    hosts_rig, rig = slurm_rig
    ending: list[Callable[[], None]] = []

    def up(n: int, extra: str = "", topology: str = "") -> Any:
        hosts = hosts_rig.Hosts(n, tmp_path)
        ending.append(hosts.down)
        hosts.__enter__()
        made = rig.Slurm(hosts, tmp_path, extra, topology)
        ending.append(made.__exit__)
        return made.__enter__()

    yield up
    for end in reversed(ending):
        end()


@pytest.fixture
def slurm(slurm_of: Callable[..., Any]) -> Any:
    """A Slurm with four nodes under two leaves."""
    topology = "SwitchName=leaf0 Nodes=node[0-1]\nSwitchName=leaf1 Nodes=node[2-3]\n"
    return slurm_of(4, topology=topology + "SwitchName=spine Switches=leaf[0-1]\n")
