"""PCIe: errors of NICs, GPUs and every bridge above them, and how fast and wide their links are.

Advanced Error Reporting's files (Documentation/ABI/testing/sysfs-bus-pci-devices-aer_stats) hold
several counters each; a root port's also count the messages that it got. Anybody may read them. Speed
and width are states: an idle GPU lets its link slow down, a lost lane is a fault.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from railgauge.counting import ALL, Kind, Place, Reading, Roots, number
from railgauge.hardware.pcie import ADDRESS, BRIDGE, DISPLAY, NETWORK, RED_HAT
from railgauge.linux.sysfs import entries, open_folder, raw, text

DEVICES = "bus/pci/devices"
#: File -> what its counters begin with.
AER = {
    "aer_dev_correctable": "correctable",
    "aer_dev_nonfatal": "nonfatal",
    "aer_dev_fatal": "fatal",
}
ROOT_PORT = tuple(f"aer_rootport_total_err_{name}" for name in ("cor", "nonfatal", "fatal"))
_TOTAL = "TOTAL_ERR"  # begins the name of a file's sum
#: An InfiniBand HCA has NETWORK's class too (0x0207).
_CLASSES = {NETWORK: "nic", DISPLAY: "gpu", BRIDGE: "bridge"}
_NAMED = ("net", "infiniband")  # classes with the names that a NIC goes by
_FACTS = ("class", "vendor", "max_link_speed", "max_link_width")
SPEED, WIDTH = "link_speed", "link_width"
LINKS = {"current_link_speed": SPEED, "current_link_width": WIDTH}


def kind(name: str, facts: Mapping[str, str]) -> Kind:
    del facts
    if name == SPEED:
        return Kind("MT/s", arithmetic="state")
    if name == WIDTH:
        return Kind("lanes", arithmetic="state", canonical=("pcie_width",))
    severity, _, error = name.partition(".")
    known = severity in AER.values() and not error.startswith(_TOTAL)
    return Kind(canonical=(f"pcie_{severity}",) if known else ())


def read(roots: Roots) -> Iterator[Reading]:
    """NICs, GPUs and the bridges on their way to the root; emulated bridges count for nothing."""
    devices = roots.sysfs / DEVICES
    for address, facts in _looked_at(roots.sysfs, tuple(entries(devices))):
        yield _reading(address, f"{devices}/{address}", facts)


@functools.lru_cache(maxsize=4)  # while the same devices are there, it is as it was
def _looked_at(sysfs: Path, addresses: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Address and facts of every device; `serves` names the NICs and GPUs that are reached by it."""
    devices, named = sysfs / DEVICES, _named(sysfs)
    served: dict[str, dict[str, None]] = {}
    for address in addresses:
        code = text(devices / address / "class") or ""
        if code.startswith((NETWORK, DISPLAY)):
            names = dict.fromkeys([address, *named.get(address, ())])
            for above in _path(devices / address):
                served.setdefault(above, {}).update(names)
    found = [(a, _facts(devices / a) | {"serves": " ".join(names)}) for a, names in served.items()]
    return [(address, facts) for address, facts in found if facts.get("vendor") != RED_HAT]


def _path(folder: Path) -> list[str]:
    """Addresses from the root port down to the device."""
    parts = os.path.realpath(folder).split("/")
    return [part for part in parts if ADDRESS.fullmatch(part)] or [folder.name]


def _named(sysfs: Path) -> dict[str, list[str]]:
    """PCI address -> names of the network and RDMA devices on it."""
    found: dict[str, list[str]] = {}
    for kind_ in _NAMED:
        for name in entries(sysfs / "class" / kind_):
            found.setdefault(_path(sysfs / "class" / kind_ / name)[-1], []).append(name)
    return found


def _facts(folder: Path) -> dict[str, str]:
    code = text(folder / "class") or ""
    made = {name: text(folder / name) for name in _FACTS} | {"class": _CLASSES.get(code[:4], code)}
    return {name: told for name, told in made.items() if told}


def _reading(address: str, folder: str, facts: dict[str, str]) -> Reading:
    place = Place("pcie", address)
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    try:
        at = open_folder(folder)
    except OSError as error:
        return Reading(place, values, {ALL: error.strerror or str(error)}, facts)
    told: dict[str, str] = {}
    try:
        for file in (*AER, *LINKS, *(ROOT_PORT if facts.get("class") == "bridge" else ())):
            try:
                content = raw(file, at)
            except FileNotFoundError:
                continue  # not every device has each
            except OSError as error:
                why[_name(file)] = error.strerror or str(error)
                continue
            if file in LINKS:
                told[file] = content[:40].decode(errors="replace").strip()
            found, wrong = decoded(file, content)
            values.update(found)
            why.update(wrong)
    finally:
        os.close(at)
    return Reading(place, values, why, facts | told)


def _name(file: str) -> str:
    """What stands for the counters of a file that cannot be read."""
    return LINKS.get(file) or (f"{AER[file]}.*" if file in AER else file)


@functools.lru_cache(maxsize=1024)  # most files say what they said before
def decoded(file: str, content: bytes) -> tuple[dict[str, int], dict[str, str]]:
    """The counters in a file of a device, and what is unknown with why."""
    if file in LINKS:
        return _link(LINKS[file], content)
    if file in AER:
        return _several(AER[file], content)
    made = number(content)
    return ({}, {file: _not(content)}) if made is None else ({file: made}, {})


def _several(severity: str, content: bytes) -> tuple[dict[str, int], dict[str, str]]:
    """`BadTLP 3` on a line of its own: `correctable.BadTLP`."""
    values: dict[str, int] = {}
    why: dict[str, str] = {}
    for line in content.splitlines() or [b""]:
        word, _, count = line.rpartition(b" ")
        name, made = f"{severity}.{word.decode(errors='replace').strip()}", number(count)
        if made is None or not word.strip() or name in values:
            why[f"{severity}.*"] = _not(line)
        else:
            values[name] = made
    return values, why


def _not(content: bytes) -> str:
    return f"not a counter: {content[:40].decode(errors='replace').strip()!r}"


def _link(name: str, content: bytes) -> tuple[dict[str, int], dict[str, str]]:
    """`32.0 GT/s PCIe` in MT/s, `16` lanes; `Unknown` and 0 lanes (no link) are unknown."""
    word = content.split(b" ")[0]
    try:
        made = round(float(word) * 1000) if name == SPEED else int(word)
    except (ValueError, OverflowError):
        made = 0
    if 0 < made < 2**32:
        return {name: made}, {}
    return {}, {name: f"no link: {content[:40].decode(errors='replace').strip()!r}"}
