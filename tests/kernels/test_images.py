"""Every kernel compiles for each architecture that it declares, without a GPU; warnings are errors."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
import sys

import ml_dtypes  # noqa: F401
import numpy as np
import pytest

from railgauge_kernels import copying, device_pattern, images

ARCHITECTURES = [(8, 0), (9, 0), (10, 0)]
SOURCES = sorted(
    file.name
    for file in importlib.resources.files("railgauge_kernels.cuda").iterdir()
    if file.name.endswith(".cu") and "__global__" in file.read_text()
)
FROM_HOPPER_ON = {"copy_bulk.cu"}  # the bulk copy engine came with sm_90 (PTX ISA, cp.async.bulk)
ELF = b"\x7fELF"


@pytest.mark.parametrize(
    ("source", "capability"),
    [(s, c) for s in SOURCES for c in ARCHITECTURES if c >= (9, 0) or s not in FROM_HOPPER_ON],
)
def test_cuda_sources_compile_to_machine_code(source, capability):
    image = images.compile_cuda(source, capability)
    assert image.code.startswith(ELF)
    assert image.functions


@pytest.mark.parametrize("source", sorted(FROM_HOPPER_ON))
def test_the_bulk_copy_engine_is_refused_for_gpus_before_hopper(source):
    assert source in SOURCES
    with pytest.raises(images.ImageError, match=r"requires \.target sm_90"):
        images.compile_cuda(source, (8, 0))


@pytest.mark.parametrize("capability", ARCHITECTURES)
@pytest.mark.parametrize("itemsize", device_pattern.ITEMSIZES)
def test_the_pattern_kernels_compile_to_machine_code(itemsize, capability):
    image = images.compile_pattern(itemsize, capability)
    assert image.code.startswith(ELF)
    assert set(image.functions) == {
        *(f"{name}_{itemsize}" for name in ("fill", "check", "settle")),
        "guard",
    }


def test_every_step_of_the_copy_ladder_is_in_its_source_and_launched_within_limits():
    image = images.compile_cuda(copying.SOURCE, (9, 0))
    assert {kernel.function for kernel in copying.LADDER} <= set(image.functions)
    for kernel in copying.LADDER:
        for nbytes in (1, 4096, 1 << 30):
            blocks, threads, shared = kernel.geometry(nbytes, 132)
            assert 1 <= blocks <= 132 * copying.BLOCKS_EACH
            assert threads <= 1024
            assert shared == 0
    assert copying.fastest((9, 0)).function == "copy_unrolled"


def test_the_twin_of_a_copy_copies():
    source, to = np.arange(99, dtype=np.uint8), np.zeros(99, np.uint8)
    copying.twin(to, source)
    assert np.array_equal(to, source)
    assert copying.bytes_moved(99) == (99, 99)


def test_nonsense_is_refused_with_the_compilers_words(tmp_path, monkeypatch):
    (tmp_path / "bad.cu").write_text('extern "C" __global__ void bad(int *x) { *x = y; }\n')
    monkeypatch.setattr(importlib.resources, "files", lambda _: tmp_path)
    with pytest.raises(images.ImageError, match=r'bad.cu for sm_90[\s\S]*"y" is undefined'):
        images.compile_cuda("bad.cu", (9, 0))


def test_what_was_compiled_is_read_from_the_disk_the_next_time(tmp_path):
    code = (
        "from railgauge_kernels import images\n"
        "images.compile_cuda = lambda *a: images.Image(b'made\\nhere', ('one', 'two'))\n"
        "print(images.cuda_image('stamp.cu', (9, 0)))\n"
    )
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    again = code.replace("images.Image(b'made", "images.Image(b'anew")
    shown = [
        subprocess.run(
            [sys.executable, "-c", text],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for text in (code, again)
    ]
    assert shown[0] == shown[1] == "Image(code=b'made\\nhere', functions=('one', 'two'))\n"
    assert len(list((tmp_path / "railgauge").iterdir())) == 1
