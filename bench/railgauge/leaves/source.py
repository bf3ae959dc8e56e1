"""What `--leaves` names: a file in one of four forms, or Slurm itself."""

from __future__ import annotations

from pathlib import Path

from railgauge.errors import UsageError
from railgauge.leaves import controller, documents, lines
from railgauge.leaves.gathered import Gathered
from railgauge.option_files import text_of
from railgauge.topology import Leaves

MOST_BYTES = 64 << 20
SLURM = "slurm"  # `--leaves slurm`, or `slurm:TOPOLOGY`
EXPECTED = (
    "  expected: `slurm`, Slurm's topology.conf or topology.yaml, what scontrol show topology prints,"
    "\n    lines like `leaf0: node[0-3]`, or TOML with [leaves]"
)


def asks_slurm(typed: str | None) -> bool:
    """Is it Slurm that is to be asked? A file of that name is `./slurm`."""
    return typed is not None and typed.partition(":")[0] == SLURM


def leaves_of(typed: str) -> Leaves:
    """The leaves that `--leaves` names; raises UsageError that names file and line.

    `slurm` asks the controller (NotMeasuredError where it does not answer): that is for one process of a
    run, not for every rank. `topology.yaml:NAME` is a topology of several in a file.
    """
    found = Gathered()
    if asks_slurm(typed):
        lines.read(controller.shown(typed.partition(":")[2]), f"--leaves {typed}", found)
        return _some(found, f"--leaves {typed}")
    path, name = _parted(typed)
    source = f"--leaves {path}"
    text = text_of(path, "--leaves", MOST_BYTES, EXPECTED)
    form = _form(path, text)
    if form == "toml":
        documents.read_toml(text, source, found)
    elif form == "yaml":
        documents.read_yaml(text, source, name, found)
    else:
        lines.read(text, source, found)
    return _some(found, source)


def _parted(typed: str) -> tuple[Path, str]:
    """(file, topology) of `FILE:NAME`, where no file is called so as a whole."""
    before, colon, after = typed.rpartition(":")
    path = Path(typed)
    if colon and not path.exists() and Path(before).is_file():
        return Path(before), after
    return path, ""


def _form(path: Path, text: str) -> str:
    """By the end of its name, else by what it begins with."""
    by_name = {".toml": "toml", ".yaml": "yaml", ".yml": "yaml", ".json": "yaml"}
    if path.suffix.lower() in by_name:
        return by_name[path.suffix.lower()]
    begins = next((line for line in text.splitlines() if line.partition("#")[0].strip()), "")
    if begins.startswith("[leaves]"):
        return "toml"
    return "yaml" if begins.startswith(("---", "- topology:", "-topology:")) else "lines"


def _some(found: Gathered, source: str) -> Leaves:
    leaves = found.leaves()
    if not leaves:
        raise UsageError(f"{source}: names no leaf with hosts.\n{EXPECTED}")
    return leaves
