"""Nights that are acceptances: a series a stage, follow-ups left out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from railgauge.cli import main
from railgauge_reports.history.confirm import plans
from railgauge_reports.history.gate import gate_of
from railgauge_reports.history.layout import confirming, laid

FAULT = '[[faults]]\nkind = "slow_nic"\nnode = "node0001"\nnic = 0\nshare = 0.5\n'


def accepted(folder: Path, *more: str) -> Path:
    words = ["accept", "quick", "--backend", "simulated", "--nodes", "8", "--output", str(folder)]
    main([*words, "--set", "sweep.sizes=256M", "--set", "local.sizes=256M", *more])
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return accepted(tmp_path_factory.mktemp("good") / "night")


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad")
    (folder / "faults.toml").write_text(FAULT)
    return accepted(folder / "night", "--faults", str(folder / "faults.toml"), "--adaptive")


@pytest.fixture
def history(tmp_path: Path, good: Path, rig_of_nights: ModuleType) -> Callable[..., Path]:
    """history(*acceptances): eight nights of the good one, and these, a day apart."""

    def made(*more: Path) -> Path:
        for day, source in enumerate([good] * 8 + list(more)):
            night = tmp_path / "history" / f"n{day}"
            shutil.copytree(source, night)
            at = rig_of_nights.FIRST + day * rig_of_nights.DAY
            kept = json.loads((night / "accept.json").read_text())
            kept |= {"started": at, "finished": at + 600}
            (night / "accept.json").write_text(json.dumps(kept))
            for journal in night.rglob("journal.jsonl"):
                rig_of_nights.rewrite(journal.parent, at)
        return tmp_path / "history"

    return made


def test_every_stage_has_its_series(history: Callable[..., Path]) -> None:
    folder = history()
    gate = gate_of(folder, "n7")
    assert gate.verdict.word == "PASS"
    assert {one.key.stage for one in gate.series} == {
        *("local", "pairs"),
        *(f"sweep/nodes000{scale}" for scale in (1, 2, 4, 8)),
    }
    assert {one.key.metric for one in gate.series if one.key.stage == "pairs"} == {
        *("busbw", "busbw-worst-tenth", "busbw-worst-place"),
    }


def test_a_slow_nic_is_found_in_the_stages_that_it_slows_and_these_are_measured_again(
    history: Callable[..., Path], bad: Path
) -> None:
    folder = history(bad)
    assert any("verify" in place.name for place in (folder / "n8").iterdir())
    gate = gate_of(folder, "n8")
    slow = gate.of_state("unconfirmed")
    (pairs,) = [one for one in slow if one.key.stage == "pairs"]
    assert (pairs.key.metric, pairs.place) == ("busbw-worst-place", "node0001 rail 0")
    assert not any("verify" in one.key.stage for one in gate.series)
    wanted = list(plans(gate, folder, other=False))
    assert {f"{want.run.stage}" for want in wanted} == {one.key.stage for one in slow}


def test_confirming_runs_lie_below_the_night_under_their_stages(
    history: Callable[..., Path], bad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = history(bad)
    assert main(["gate", str(folder), "--night", "n8", "--confirm"]) == 1
    capsys.readouterr()
    found = confirming(folder / "n8", "confirm-same").places
    gate = gate_of(folder, "n8")
    slow = gate.of_state("regression")
    assert {place.stage for place in found} == {one.key.stage for one in slow}
    assert all(one.confirm_same is not None for one in slow)
    assert not gate.of_state("unconfirmed")


def test_an_acceptance_that_is_not_at_its_end_does_not_pass(
    history: Callable[..., Path],
) -> None:
    folder = history()
    path = folder / "n7/accept.json"
    kept: dict[str, Any] = json.loads(path.read_text())
    path.write_text(json.dumps(kept | {"finished": None}))
    gate = gate_of(folder, "n7")
    assert (gate.verdict.word, gate.verdict.exit_code) == ("INCONCLUSIVE", 6)
    assert "has not come to its end" in gate.reasons[0]
    path.write_text("{")
    gate = gate_of(folder, "n7")
    assert gate.verdict.exit_code == 6
    assert laid(folder / "n7").trouble[0].kind == "corrupt"
