"""A machine with RDMA ports and perftest, where there is neither: programs under perftest's names, a sysfs.

`install(folder)` writes the programs (they meet over TCP as the real ones do, send bytes through it and
print perftest's layouts), `sysfs(folder, ...)` a tree of devices; `environment(...)` has both for a run.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

PROGRAMS = tuple(
    f"ib_{verb}_{kind}" for verb in ("write", "read", "send") for kind in ("bw", "lat")
)


def install(folder: Path) -> Path:
    """The programs, executable, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    source = (Path(__file__).parent / "stand_in.py").read_text("utf-8")
    for name in PROGRAMS:
        path = folder / name
        path.write_text(f"#!{sys.executable} -IS\n{source}", "utf-8")
        path.chmod(0o755)
    return folder


def sysfs(
    folder: Path,
    devices: Mapping[str, str] | None = None,
    layer: str = "Ethernet",
    rate: str = "100 Gb/sec (4X EDR)",
) -> Path:
    """A sysfs with those devices, each with one port in the state named (4: ACTIVE)."""
    for name, state in (devices or {f"mlx5_{k}": "4: ACTIVE" for k in range(4)}).items():
        port = folder / "class/infiniband" / name / "ports/1"
        port.mkdir(parents=True)
        for file, text in (("state", state), ("rate", rate), ("link_layer", layer)):
            (port / file).write_text(text + "\n")
        (folder / "class/infiniband" / name / "device/net/lo").mkdir(parents=True)
    return folder


def environment(folder: Path, **faults: str) -> dict[str, str]:
    """Variables of a run on such a machine; `faults` as in `stand_in.py`, without STAND_IN_."""
    programs, tree = folder / "perftest", folder / "sysfs"
    if not programs.exists():
        install(programs)
    if not tree.exists():
        sysfs(tree)
    more = {f"STAND_IN_{name.upper()}": value for name, value in faults.items()}
    path = f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"PATH": path, "RAILGAUGE_SYSFS": str(tree), **more}


def without(folder: Path) -> str:
    """A PATH with everything that this one has but perftest (none of the test machine's own)."""
    kept = [p for p in os.environ.get("PATH", "").split(os.pathsep) if p]
    return os.pathsep.join(p for p in kept if not shutil.which("ib_write_bw", path=p)) or str(
        folder
    )
