"""The product's own CUDA C++, launched on the CPU."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def launch(rig, kernels_on_cpu):
    """`launch("copy_plain", geometry, *parameters)`: returns when the grid has ended."""
    return rig("cuda_on_cpu").Launcher(kernels_on_cpu)
