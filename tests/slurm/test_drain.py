"""Nodes are drained on a real Slurm: one at a time by the cap, and only railgauge's are given back."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from railgauge.cli import main


@pytest.fixture
def drain(slurm, tmp_path, monkeypatch):
    """`drain(words, through=...)`: the command in this process, on the rig's head; its exit code."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def call(*words, through=(), conf=slurm.folder / "slurm.conf"):
        entering = shlex.join(slurm.hosts.entering("head", [*through, "scontrol"]))
        script = folder / "scontrol"
        path = os.environ["PATH"]
        script.write_text(
            f'#!/bin/sh\nexport SLURM_CONF={conf} PATH={path}\nexec {entering} "$@"\n'
        )
        script.chmod(0o755)
        with monkeypatch.context() as patched:
            patched.setenv("PATH", f"{folder}:{path}")
            return main(["slurm", "drain", *words])

    return call


@contextlib.contextmanager
def readable(file: Path) -> Iterator[str]:
    """A copy for a user who may not look into the folder of the test."""
    with tempfile.NamedTemporaryFile(suffix=".conf") as copy:
        copy.write(file.read_bytes())
        copy.flush()
        Path(copy.name).chmod(0o644)
        yield copy.name


def renamed(folder, *pairs):
    for file in ("journal.jsonl", "environment.json"):
        text = (folder / file).read_text()
        for old, new in pairs:
            text = text.replace(old, new)
        (folder / file).write_text(text)


def test_the_slow_node_is_drained_within_the_cap_and_given_back_alone(
    slurm, drain, rig, tmp_path, capsys
):
    large = rig("large_run")
    folder = large.write(tmp_path / "night", large.Shape(4, 1, iterations=8, slow_node=2))
    renamed(folder, ("node0000", "node"))
    slurm.run(["scontrol", "update", "nodename=node1", "state=drain", "reason=fan broken"])

    assert drain(str(folder)) == 0
    assert slurm.states()["node2"] == "IDLE"
    assert "'reason=railgauge:slow_node 20231114 run=night'" in capsys.readouterr().out
    assert drain(str(folder), "--apply") == 0
    assert slurm.states()["node2"] == "IDLE+DRAIN"
    shown = slurm.run(["scontrol", "-o", "show", "node", "node2"])
    assert "Reason=railgauge:slow_node 20231114 run=night [root@" in shown

    # the next night accuses node3
    renamed(folder, ("node3", "node_"), ("node2", "node3"), ("node_", "node2"))
    assert drain(str(folder), "--apply") == 0
    said = capsys.readouterr().err
    assert "node3: over the cap: at most 1 of 4 nodes (2 %, one at least), 1 held already" in said
    assert slurm.states()["node3"] == "IDLE"

    with readable(slurm.folder / "slurm.conf") as conf:
        stranger = ("setpriv", "--reuid=65534", "--clear-groups")
        assert drain("--undrain", "--apply", through=stranger, conf=conf) == 2
    assert "Slurm does not let this user change a node" in capsys.readouterr().err

    assert drain("--undrain", "--apply") == 0
    assert "DRAIN" not in slurm.states()["node2"]
    assert slurm.states()["node1"] == "IDLE+DRAIN"
    assert "node1: drained by others: fan broken" in capsys.readouterr().err
