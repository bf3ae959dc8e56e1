"""The Numba kernels, run by Numba's CUDA simulator, against the compiled functions of the host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SIMULATION = Path(__file__).parents[1] / "rigs" / "simulated_pattern.py"


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8])
def test_every_kernel_agrees_with_its_twin_in_the_simulator(itemsize):
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SIMULATION), str(itemsize)],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agreed" in done.stdout
