"""GPUs of no machine: counters read against the fake NVML, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def sysfs_of_gpus(tmp_path: Path) -> Path:
    """A sysfs that shows an NVIDIA GPU, so that NVML is asked at all."""
    folder = tmp_path / "bus/pci/devices/0000:10:00.0"
    folder.mkdir(parents=True)
    (folder / "class").write_text("0x030200\n")
    (folder / "vendor").write_text("0x10de\n")
    return tmp_path


@pytest.fixture
def gpus(rig: Callable[[str], ModuleType], fake_nvml: Path, sysfs_of_gpus: Path) -> Callable:
    """`gpus(["nvml"], {"POWER": 1}, {"POWER": 2})`: (a snapshot for each, what moved)."""
    read = rig("fake_nvml").read
    return lambda sources, *knobs: read(fake_nvml, sysfs_of_gpus, sources, *(knobs or ({},)))
