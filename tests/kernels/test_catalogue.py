"""Every kernel of every source is in the catalogue, launched within the limits of the GPUs it names."""

from __future__ import annotations

import importlib.resources

import pytest

from railgauge_kernels import images
from railgauge_kernels.catalogue import KERNELS
from railgauge_kernels.ladders import Kernel, fastest

MOST_SHARED = 48 << 10  # more would have to be asked for (CUDA C++ Programming Guide, 20.7)


def sources():
    folder = importlib.resources.files("railgauge_kernels.cuda")
    texts = {file.name: file.read_text() for file in folder.iterdir() if file.name.endswith(".cu")}
    return sorted(name for name, text in texts.items() if "__global__" in text)


@pytest.mark.parametrize("source", sources())
def test_the_catalogue_holds_what_a_source_compiles_to(source):
    known = [kernel for kernel in KERNELS if kernel.source == source]
    image = images.compile_cuda(source, known[0].capability)
    assert sorted(image.functions) == sorted(kernel.function for kernel in known)


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.function)
def test_launches_stay_within_the_limits_of_a_gpu(kernel):
    for nbytes in (0, 1, 4096, 1 << 40):
        blocks, threads, shared = kernel.geometry(nbytes, 132)
        assert 1 <= blocks <= 132 * kernel.blocks_each
        assert threads <= 1024
        assert threads * kernel.blocks_each <= 2048
        assert shared * kernel.blocks_each <= 4 * MOST_SHARED
        assert shared <= MOST_SHARED


def test_a_grid_has_no_more_threads_than_there_are_pieces():
    kernel = Kernel("any", "any.cu", width=16, threads=512)
    assert kernel.geometry(16 * 512, 132).blocks == 1
    assert kernel.geometry(16 * 512 + 1, 132).blocks == 2


def test_the_fastest_version_is_the_last_that_the_gpu_runs():
    ladder = (Kernel("old", "", 4), Kernel("newer", "", 4), Kernel("new", "", 4, capability=(9, 0)))
    assert fastest(ladder, (8, 6)).function == "newer"
    assert fastest(ladder, (9, 0)).function == fastest(ladder, (10, 0)).function == "new"
