"""A small modelled cluster, profiles that take a second, and acceptances of it."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from railgauge.cli import main

CLUSTER = """# 12 nodes of 2 GPUs under three leaves
nodes = 12
[node]
gpus = 2
nics = 2
[fabric]
leaf_nodes = 4
[noise]
measurement = 0.003
transient = 0.0
"""
PAIRS = """
about = "pairs alone"
[[stages]]
name = "pairs"
kind = "pairs"
[stages.plan]
sizes = "16M"
iterations = 5
warmup = 1
counters = []
[[stages.limits]]
metric = "busbw"
of = "median"
at_least = 0.93
per = "nic"
source = "of this test"
"""
SWEEP = """
[[stages]]
name = "sweep"
kind = "sweep"
scales = [4, 12]
[stages.plan]
operations = ["all_reduce"]
sizes = "256M"
iterations = 5
warmup = 1
counters = []
"""


EXPECTED = """
[[stages.limits]]
metric = "busbw"
of = "expected"
at_least = 0.1
per = "run"
source = "of <b>this</b> test"
"""


@dataclasses.dataclass(frozen=True)
class Done:
    """An ended `railgauge accept`."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def kept(self) -> dict[str, Any]:
        made: dict[str, Any] = json.loads((self.folder / "accept.json").read_text())
        return made


class Rig:
    """`rig.accept(profile text or name, options)` in this process, on the small cluster."""

    def __init__(self, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.path, self.capsys = path, capsys
        self.folder = path / "acceptance"
        self.cluster = self.file("cluster.toml", CLUSTER)

    def file(self, name: str, text: str) -> Path:
        made = self.path / name
        made.write_text(text)
        return made

    def profile(self, text: str) -> str:
        return str(self.file("profile.toml", text))

    def faults(self, *tables: str) -> tuple[str, str]:
        text = "".join(f"[[faults]]\n{table}\n" for table in tables)
        return "--faults", str(self.file("faults.toml", text))

    def call(self, *words: str) -> Done:
        """Any railgauge command."""
        code = main([*words])
        said = self.capsys.readouterr()
        return Done(code, said.out, said.err, self.folder)

    def take(self, made: Path) -> Done:
        """A copy of an acceptance that was made before, as if it had just ended."""
        shutil.copytree(made, self.folder)
        return self.call("report", str(self.folder))

    def accept(self, profile: str, *options: str) -> Done:
        text = self.profile(profile) if "\n" in profile else profile
        where = ("--backend", "simulated", "--cluster", str(self.cluster))
        return self.call("accept", text, *where, "--output", str(self.folder), *options)

    def resume(self, *options: str) -> Done:
        return self.call("accept", "--resume", "--output", str(self.folder), *options)

    def result(self) -> dict[str, Any]:
        """What `railgauge report --json` says of the folder."""
        made: dict[str, Any] = json.loads(self.call("report", str(self.folder), "--json").out)
        return made

    def findings(self) -> dict[str, dict[str, Any]]:
        """Key -> finding, of all stages."""
        return {f["key"]: f for stage in self.result()["stages"] for f in stage["findings"]}


SLOW = 'kind = "slow_nic"\nnode = "node0005"\nnic = 1\nshare = 0.6'


@pytest.fixture(scope="session")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An acceptance of PAIRS on the healthy cluster; not to be changed."""
    return _made(tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="session")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with SLOW planted; not to be changed."""
    return _made(tmp_path_factory.mktemp("slow"), SLOW)


@pytest.fixture(scope="session")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, --adaptive, and a sweep of two sizes at two scales; not to be changed."""
    sweep = SWEEP.replace('"256M"', '"64M,256M"') + EXPECTED
    return _made(tmp_path_factory.mktemp("confirmed"), SLOW, more=sweep, options=("--adaptive",))


def _made(path: Path, *faults: str, more: str = "", options: tuple[str, ...] = ()) -> Path:
    files = {"c.toml": CLUSTER, "p.toml": PAIRS + more}
    files["f.toml"] = "".join(f"[[faults]]\n{table}\n" for table in faults)
    for name, text in files.items():
        (path / name).write_text(text)
    planted = ["--faults", str(path / "f.toml")] if faults else []
    words = ["--backend", "simulated", "--cluster", str(path / "c.toml"), *planted, *options]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["accept", str(path / "p.toml"), *words, "--output", str(path / "made")])
    return path / "made"


@pytest.fixture
def rig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Rig:
    return Rig(tmp_path, capsys)


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`interrupted(n)`: a signal is seen after so many measurements, once."""

    def after(count: int) -> None:
        left = [count]

        class Signals:
            @property
            def seen(self) -> bool:
                left[0] -= 1
                return left[0] < 0

            def forget(self) -> None:
                """Nothing was installed."""

        monkeypatch.setattr("railgauge_reports.commands.accept.Signals", Signals)

    return after
