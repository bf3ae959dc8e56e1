"""Maps the four source roots onto one wheel; everything else stands in pyproject.toml."""

import shutil

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOTS = ("kernels", "bench", "reports", "slurm")


class CleanBuild(build_py):
    """Starts from an empty build folder: a stale one would ship modules that were deleted."""

    def run(self):
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


packages = {root: find_packages(root) for root in ROOTS}

setup(
    packages=[package for found in packages.values() for package in found],
    package_dir={
        package: f"{root}/{package}"
        for root, found in packages.items()
        for package in found
        if "." not in package
    },
    cmdclass={"build_py": CleanBuild},
)
