"""Every kernel compiles for each architecture that it declares, without a GPU; warnings are errors."""

from __future__ import annotations

import importlib.resources
import os
import subprocess
import sys

import pytest

from railgauge_kernels import device_pattern, images
from railgauge_kernels.catalogue import KERNELS

ARCHITECTURES = [(8, 0), (9, 0), (10, 0)]
SOURCES = sorted({kernel.source for kernel in KERNELS})
FROM_HOPPER_ON = {kernel.source for kernel in KERNELS if kernel.capability > (8, 0)}
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
    assert source == "copy_bulk.cu"  # cp.async.bulk came with sm_90 (PTX ISA)
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
