"""The four source roots become one wheel that takes no name but ours."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import railgauge

REPOSITORY = Path(__file__).resolve().parents[1]
ROOTS = {
    "kernels": "railgauge_kernels",
    "bench": "railgauge",
    "reports": "railgauge_reports",
    "slurm": "railgauge_slurm",
}
DATA = (".toml", ".md", ".j2", ".css", ".js", ".cu")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: the checkout may be read-only, and stays as it is."""
    source = tmp_path_factory.mktemp("source")
    for file in REPOSITORY.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    for root in ROOTS:
        shutil.copytree(
            REPOSITORY / root, source / root, ignore=shutil.ignore_patterns("__pycache__")
        )
    # what an earlier build left behind must not be shipped
    stale = source / "build" / "lib" / "railgauge"
    stale.mkdir(parents=True)
    (stale / "deleted.py").touch()
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "-w",
            folder,
            source,
        ],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        yield archive


def test_wheel_puts_only_railgauge_into_site_packages(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    info = f"railgauge-{railgauge.__version__}.dist-info"
    assert tops == {*ROOTS.values(), info}


def test_wheel_holds_every_module_and_data_file_and_nothing_else(wheel):
    expected = {
        path.relative_to(REPOSITORY / root).as_posix()
        for root, package in ROOTS.items()
        for path in (REPOSITORY / root / package).rglob("*")
        if path.suffix in (".py", *DATA) or path.name == "py.typed"
    }
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert shipped == expected


@pytest.mark.parametrize("package", ROOTS.values())
def test_every_package_is_marked_as_typed(wheel, package):
    assert f"{package}/py.typed" in wheel.namelist()


def test_wheel_carries_version_and_licence(wheel):
    info = f"railgauge-{railgauge.__version__}.dist-info"
    metadata = message_from_string(wheel.read(f"{info}/METADATA").decode())
    assert metadata["Version"] == railgauge.__version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in wheel.namelist()


def test_every_folder_with_modules_is_a_package():
    # find_packages passes over a folder without __init__.py, and the wheel would lack it
    bare = {
        path.parent.relative_to(REPOSITORY).as_posix()
        for root, package in ROOTS.items()
        for path in (REPOSITORY / root / package).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert not bare
