"""Parts of /sys as text: lines `path TAB value` or `path:value` (grep -r .), or JSON {path: content}.

They are laid out again and read by the readers of live counters. Rows are what these do not take:
the state of RDMA ports and network devices, and PCI links.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from railgauge.capturing.capture import (
    Capture,
    Draft,
    Row,
    as_json,
    decimal,
    eight,
    looks_like_json,
    meaningful,
)
from railgauge.capturing.capture import whole as whole_number
from railgauge.capturing.tree import laid_out
from railgauge.counters import netdev, rdma
from railgauge.counting import Place, Reading, Roots, read_counters
from railgauge.errors import UsageError
from railgauge.linux import sysfs
from railgauge.linux.sysfs import entries

_BUS_ID = r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]"
#: A part of a path may hold colons where it is a bus id; the first other colon ends the path.
_LINE = re.compile(
    rf"(/sys(?:/(?:{_BUS_ID}|(?:pci)?[0-9a-f]{{4}}:[0-9a-f]{{2}}|[^/:\t]+))+)(?:(\t|:)(.*))?"
)
_PCI_LINK = re.compile(rf"/sys/.*/({_BUS_ID})/((?:current|max)_link_(?:speed|width))")
_TCLASS = re.compile(r"Global tclass=(\d{1,3})")
_CUT = "(the capture ends inside this value)"


def recognises(text: str) -> bool:
    first = next(meaningful(text), "")
    if looks_like_json(text):
        found = re.search(r'"[^"]*"', text[text.find(first) :])
        return bool(found) and (found[0] if found else "").startswith('"/sys/')
    return first.startswith("/sys/")


def parse(text: str) -> Capture:
    """Readings as on the host itself; a row for every RDMA port, network device and PCI link."""
    files, draft = _files(text)
    with laid_out(files) as (root, amiss):
        for what in amiss:
            draft.odd(0, what)
        roots = Roots(root / "sys", root / "proc")
        readings: list[Reading] = []
        for step in (_read, _ports, _networks):
            try:
                step(roots, draft, readings)
            except OSError as error:  # links in a circle
                draft.odd(0, f"{step.__name__.strip('_')}: {error.strerror}")
    _links(files, draft)
    return draft.done(tuple(readings))


def _files(text: str) -> tuple[dict[str, str], Draft]:
    """Path -> content, for `railgauge.capturing.tree`; raises UsageError where it is broken JSON."""
    files: dict[str, str] = {}
    if not looks_like_json(text):
        draft = Draft(text)
        for line in draft.lines:
            _line(draft, line.number, line.text, files)
        last = _LINE.fullmatch(text.rpartition("\n")[2]) if draft.cut else None
        if last and last[2] and last[1].split("/")[-2] in (*rdma.FOLDERS, "statistics"):
            files.setdefault(last[1], _CUT)  # so that it is known to be unknown
        return files, draft
    draft, found = Draft("\n"), as_json(text)
    if not isinstance(found, dict):
        raise UsageError("expected one JSON object {path: content}")
    for path, content in found.items():
        if isinstance(content, str):
            files[path] = content
        else:
            draft.odd(0, f"{path}: expected text, found {type(content).__name__}")
    return files, draft


def _line(draft: Draft, number: int, text: str, files: dict[str, str]) -> None:
    found = _LINE.fullmatch(text)
    if found is None:
        if text.strip() and not text.startswith(("#", "$")):
            draft.odd(number, f"expected a path below /sys and a value: {text[:60]!r}")
    elif not found[2]:
        draft.odd(number, f"a path without a value: {text[:60]!r}")
    elif found[1] in files:
        draft.odd(number, f"{found[1]} stands here again: the first is kept")
    else:
        files[found[1]] = found[3]


def _read(roots: Roots, draft: Draft, readings: list[Reading]) -> None:
    for source in (rdma, netdev):
        try:
            readings += source.read(roots)
        except OSError as error:
            draft.odd(0, f"{source.CLASS}: {error.strerror}")
    readings += _carriers(roots, {reading.place for reading in readings})


def _carriers(roots: Roots, known: set[Place]) -> list[Reading]:
    """Of network devices whose statistics were not captured: how often the carrier went."""
    made = []
    for device in entries(roots.sysfs / netdev.CLASS):
        folder, place = roots.sysfs / netdev.CLASS / device, Place("netdev", device)
        there = [name for name in netdev.CARRIER if (folder / name).is_file()]
        if place not in known and there:
            reading = Reading(place, {}, {})
            read_counters(folder, there, reading.values, reading.unknown)
            made.append(reading)
    return made


def _ports(roots: Roots, draft: Draft, readings: list[Reading]) -> None:
    del readings
    devices = roots.sysfs / rdma.CLASS
    for device in entries(devices):
        own: Row = {
            "device": device,
            "netdev": " ".join(entries(devices / device / "device/net")),
            "pci": _bus_id(devices / device),
            "firmware": sysfs.text(devices / device / "fw_ver"),
            "board_id": sysfs.text(devices / device / "board_id"),
            "node": sysfs.text(devices / device / "node_desc"),
            "guid": sysfs.text(devices / device / "node_guid"),
        }
        for port in entries(devices / device / "ports"):
            at = devices / device / "ports" / port
            rate = (sysfs.text(at / "rate") or "").split()
            tclass = _TCLASS.search(
                sysfs.text(devices / device / "tc" / port / "traffic_class") or ""
            )
            row = own | {
                "port": whole_number(port),
                "state": _after_colon(sysfs.text(at / "state")),
                "physical_state": _after_colon(sysfs.text(at / "phys_state")),
                "link_layer": sysfs.text(at / "link_layer"),
                "rate_Gbps": decimal(rate[0]) if rate else None,
                "traffic_class": int(tclass[1]) if tclass else None,
            }
            draft.rows.append(_known(row))


def _networks(roots: Roots, draft: Draft, readings: list[Reading]) -> None:
    del readings
    devices = roots.sysfs / netdev.CLASS
    for device in entries(devices):
        folder = devices / device
        speed = whole_number(sysfs.text(folder / "speed") or "")
        row: Row = {
            "netdev": device,
            "pci": _bus_id(folder),
            "state": sysfs.text(folder / "operstate"),
            "mtu": whole_number(sysfs.text(folder / "mtu") or ""),
            "rate_Gbps": speed / 1000 if speed and speed > 0 else None,  # -1: not known
            "trust": sysfs.text(folder / "qos/trust"),
            "ecn_np": _enabled(folder / "ecn/roce_np/enable"),
            "ecn_rp": _enabled(folder / "ecn/roce_rp/enable"),
            "cnp_dscp": whole_number(sysfs.text(folder / "ecn/roce_np/cnp_dscp") or ""),
        }
        draft.rows.append(_known(row))


def _links(files: Mapping[str, str], draft: Draft) -> None:
    """Wherever below /sys the links of PCI functions were read."""
    found: dict[str, Row] = {}
    for path, content in files.items():
        if match := _PCI_LINK.fullmatch(path):
            row = found.setdefault(match[1], {"pci": match[1]})
            key = (
                match[2]
                .removeprefix("current_")
                .replace("link_", "")
                .replace("speed", "speed_GTps")
            )
            words = content.split()
            row[key] = decimal(words[0]) if words else None
            if key.endswith("width") and row[key] is not None:
                row[key] = int(row[key])
    draft.rows += found.values()


def _known(row: Row) -> Row:
    return {name: value for name, value in row.items() if value not in (None, "")}


def _enabled(folder: Path) -> list[bool] | None:
    made = eight({priority: sysfs.text(folder / str(priority)) or "" for priority in range(8)})
    return None if made is None else [bool(value) for value in made]


def _bus_id(folder: Path) -> str | None:
    try:
        return (folder / "device").readlink().name
    except OSError:
        return None


def _after_colon(text: str | None) -> str | None:
    """`4: ACTIVE` -> `ACTIVE`."""
    return text and text.rpartition(":")[2].strip()
