"""Plans that ship with railgauge: `railgauge run --plan NAME`, the communication of training jobs."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def names() -> dict[str, str]:
    """Name -> what the plan is: the first comment of its file."""
    found = {}
    for file in sorted(resources.files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").splitlines()[0]
            found[file.name.removesuffix(".toml")] = first.removeprefix("# ")
    return found


def path_of(text: str) -> Path:
    """The file of a shipped plan where `text` is its name, else `text` as a path."""
    shipped = Path(__file__).parent / f"{text}.toml"
    return shipped if text in names() and shipped.exists() else Path(text)
