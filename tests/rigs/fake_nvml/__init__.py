"""A host with GPUs made up: the fake libnvidia-ml.so.1, and a process that reads counters with it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from railgauge.counting import Change, Snapshot

HERE = Path(__file__).parent
_READ = """
import os, sys, msgspec
from pathlib import Path
from railgauge import counting
sources, sysfs, *knobs = msgspec.json.decode(sys.argv[1])
if not sources:
    sys.modules["pynvml"] = None
made = []
for more in knobs:
    os.environ.update(more)
    made.append(counting.snapshot(counting.Roots(Path(sysfs)), sources or ["nvlink", "nvml"]))
changes = list(counting.changes(made[0], made[-1], still=False))
sys.stdout.buffer.write(msgspec.json.encode([made, changes]))
"""


def build(folder: Path) -> Path:
    """The library; the test is skipped where there is no C compiler."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) to build the fake NVML with")
    subprocess.run([HERE / "build.sh", folder], check=True)
    return folder / "libnvidia-ml.so.1"


def read(
    library: Path, sysfs: Path, sources: Sequence[str], *knobs: Mapping[str, object]
) -> tuple[list[Snapshot], list[Change]]:
    """A snapshot for each set of knobs, in one process, and what moved from the first to the last.

    Knobs are FAKE_NVML_ variables without that prefix. No sources: as if nvidia-ml-py were not
    installed.
    """
    variables = [{f"FAKE_NVML_{name}": str(v) for name, v in more.items()} for more in knobs]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FAKE_NVML_")}
    done = subprocess.run(
        [sys.executable, "-c", _READ, msgspec.json.encode([sources, str(sysfs), *variables])],
        env=environment | {"LD_PRELOAD": str(library)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return msgspec.json.decode(done.stdout, type=tuple[list[Snapshot], list[Change]])
