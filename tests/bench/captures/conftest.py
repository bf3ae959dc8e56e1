"""Small captures of our own making: the layout of the tools, invented values."""

from __future__ import annotations

from pathlib import Path

import pytest

from railgauge import captures
from railgauge.counting import Place

FIXTURES = sorted((Path(__file__).parent / "fixtures").iterdir())


def pytest_generate_tests(metafunc):
    if "capture_file" in metafunc.fixturenames:
        metafunc.parametrize("capture_file", FIXTURES, ids=[path.name for path in FIXTURES])


@pytest.fixture
def parsed():
    """`parsed("perfquery.basic")`: the capture in that file."""

    def read(name):
        (path,) = [path for path in FIXTURES if path.name.startswith(f"{name}.")]
        return captures.read(path)

    return read


@pytest.fixture
def reading(parsed):
    """`reading("ethtool.bare", "ethtool", "unnamed")`: one place's reading of that file."""

    def find(name, source, device, port=0):
        return {r.place: r for r in parsed(name).readings}[Place(source, device, port)]

    return find
