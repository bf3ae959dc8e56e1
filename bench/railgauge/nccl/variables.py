"""How NCCL reads the variables that name devices, and which names it knows."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

NAMES = Path(__file__).with_suffix(".toml")


class Known(msgspec.Struct, frozen=True):
    """variables.toml."""

    names: tuple[str, ...]
    foreign: tuple[str, ...]


@functools.cache
def known() -> Known:
    return msgspec.toml.decode(NAMES.read_bytes(), type=Known)


def strangers(names: Iterable[str]) -> dict[str, str]:
    """NCCL_ variables that NCCL does not read -> the closest name that it does ("": none is close)."""
    made = {}
    for name in names:
        short = name.removeprefix("NCCL_")
        if short == name or short in known().names or short.startswith(known().foreign):
            continue
        close = difflib.get_close_matches(short, known().names, n=1, cutoff=0.75)
        made[name] = f"NCCL_{close[0]}" if close else ""
    return made


class Entry(NamedTuple):
    """One of a list of devices: a name or the beginning of one, and a port (None: any)."""

    name: str
    port: int | None


class Selection(NamedTuple):
    """`^` leaves the named ones out, `=` takes names whole; odd are entries that mean nothing."""

    entries: tuple[Entry, ...]
    excludes: bool
    exact: bool
    odd: tuple[str, ...]

    def takes(self, device: str, port: int | None = None) -> bool:
        """Is the device meant, or its port of that number (None: any)? An empty list means all."""
        if not self.entries:
            return self.excludes or not self.odd
        return (self.place(device, port) is not None) != self.excludes

    def place(self, device: str, port: int | None = None) -> int | None:
        """Which of the entries names the device first, counted from 0; None where none does."""
        for place, entry in enumerate(self.entries):
            same = device == entry.name if self.exact else device.startswith(entry.name)
            if same and (entry.port is None or port is None or entry.port == port):
                return place
        return None

    def by_accident(self, devices: Iterable[str]) -> list[str]:
        """Devices that a prefix takes besides the one of that very name: mlx5_1 takes mlx5_10, too."""
        there = set(devices)
        if self.exact:
            return []
        return sorted(
            device
            for e in self.entries
            if e.name in there
            for device in there
            if device.startswith(e.name) and device not in {x.name for x in self.entries}
        )


def selection(text: str) -> Selection:
    """`=mlx5_0:1:0,mlx5_1`, `^mlx5_3`, `eth,ib`: NCCL, src/misc/utils.cc, net_ib/init.cc, os/linux.cc."""
    rest = text
    excludes = rest.startswith("^")
    rest = rest.removeprefix("^")
    exact = rest.startswith("=")
    rest = rest.removeprefix("=")
    made, odd = [], []
    for word in filter(str.strip, rest.split(",")):
        name, *numbers = word.split(":")
        if (
            not name
            or name != name.strip()
            or len(numbers) > 3
            or not all(n.isdecimal() or not n for n in numbers)
        ):
            odd.append(word)
            continue
        made.append(Entry(name, int(numbers[0]) if numbers and numbers[0] else None))
    return Selection(tuple(made), excludes, exact, tuple(odd))
