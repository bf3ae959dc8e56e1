"""TOML files that ship in a package: the file name is the name, its first comment what it is."""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def names(package: str) -> dict[str, str]:
    """Name -> what it is, in order of the names."""
    found = {}
    for file in sorted(resources.files(package).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".toml"):
            first = file.read_text(encoding="utf-8").splitlines()[0]
            found[file.name.removesuffix(".toml")] = first.removeprefix("# ")
    return found


def path_of(package: str, text: str) -> Path:
    """The file that ships under the name `text`, else `text` as a path."""
    folder = Path(str(resources.files(package)))
    return folder / f"{text}.toml" if text in names(package) else Path(text)
