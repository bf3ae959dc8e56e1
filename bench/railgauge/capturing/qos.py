"""Quality of service as tools print it: the TLVs of IEEE 802.1Qaz (dcbx), and the table of mlnx_qos.

Several formats of captures hold these; `railgauge.capturing.capture` names the keys of the rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from railgauge.capturing.capture import Draft, Line, Row, decimal, eight, flags, mapping, whole

PRIORITIES = range(8)
_COMMAND = re.compile(r".*\bmlnx_qos\b.*?\s-i\s*([\w.@-]+).*")
_DSCP = re.compile(r"prio:(\d)\s+dscp:([\d,. ]+)")
_TC = re.compile(
    r"tc: (?P<tc>\d)(?:, | )ratelimit: (?P<limit>[^,]+), tsa: (?P<tsa>\w+)(?:, bw: (?P<bw>\d{1,3})%)?"
)


def into_classes(row: Row, name: str, by_class: Mapping[int, Any], prefix: str = "") -> None:
    """Write what is known of every traffic class into `traffic_classes`, beside what stands there."""
    known: dict[int, Row] = {made["tc"]: made for made in row.get(f"{prefix}traffic_classes", ())}
    for tc, value in by_class.items():
        known.setdefault(tc, {"tc": tc})[name] = value
    row[f"{prefix}traffic_classes"] = [known[tc] for tc in sorted(known)]


def percentages(cells: Iterable[str]) -> dict[int, float | None]:
    """Shares such as `12%`, class by class."""
    return {tc: decimal(cell.rstrip("%")) for tc, cell in enumerate(cells)}


def pfc_of(priorities: Iterable[int]) -> list[bool]:
    """Eight booleans from the priorities that are on."""
    on = set(priorities)
    return [priority in on for priority in PRIORITIES]


def tlv_field(draft: Draft, line: Line, name: str, value: str, row: Row, prefix: str = "") -> bool:
    """A field of a PFC or ETS TLV, whatever tool prints it, into `row`; False where it is none of them."""
    told = value.strip()
    match name.strip().lower():
        case "willing":
            row[f"{prefix}willing"] = {"yes": True, "no": False}.get(told.lower())
        case "enabled" | "pfc enabled":
            row["pfc"] = _enabled(draft, line, told)
        case "prio_map":
            row[f"{prefix}priority_to_tc"] = eight(mapping(told))
        case "tc bandwidth":
            into_classes(row, "bandwidth_percent", percentages(told.split()), prefix)
        case "tsa_map":
            into_classes(row, "tsa", mapping(told), prefix)
        case "delay":
            row["pfc_delay"] = whole(told)
        case "max_tcs" | "pfc capable traffic classes":
            row[name.strip().lower().replace(" ", "_")] = whole(told)
        case "mbc" | "macsec bypass capable" | "cbs":
            row[name.strip().lower().replace(" ", "_")] = told
        case _:
            return False
    return True


def _enabled(draft: Draft, line: Line, told: str) -> list[bool] | None:
    """`0,0,0,1,0,0,0,0` are eight flags, `3` and `3 4` priorities, `none` no priority."""
    cells = re.split(r"[,\s]+", told)
    if len(cells) == 8 and (made := flags(cells)):
        return made
    if told.lower() in ("none", ""):
        return pfc_of(()) if told else None
    numbers = [whole(cell) for cell in cells if cell]
    known = [number for number in numbers if number is not None and number in PRIORITIES]
    if len(known) == len(numbers):
        return pfc_of(known)
    draft.odd(line.number, f"PFC enabled: expected priorities: {told[:40]!r}")
    return None


class QosTable:
    """What mlnx_qos prints for one device, line by line, into one row."""

    def __init__(self, draft: Draft, row: Row) -> None:
        self._draft, self.row = draft, row
        self._classes: list[Row] = []
        self._class_of: dict[int, int] = {}

    def take(self, line: Line) -> bool:
        """Read a line; False where it is none of this table's."""
        text = line.text.strip()
        name, _, value = text.partition(":")
        match name:
            case "Priority trust state":
                self.row["trust"] = value.strip()
            case "DCBX mode":
                self.row["dcbx"] = value.strip()
            case "Cable len":
                self.row["cable_metres"] = whole(value)
            case "Receive buffer size (bytes)":
                self._buffers(line, value)
            case "dscp2prio mapping":
                self._dscp(line, value)
            case "PFC configuration":
                if value.strip():  # a short form: `PFC configuration: enabled 0 0 0 1 0 0 0 0`
                    self._flags(line, value.split())
            case _:
                return self._row_of_table(line, text)
        return True

    def _row_of_table(self, line: Line, text: str) -> bool:
        words = text.split()
        if text.startswith("prio:"):
            self._dscp(line, text)
        elif text.startswith("tc:"):
            self._tc(line, text)
        elif text.startswith("priority:"):
            self._priority(line, text)
        elif words[:1] == ["priority"]:
            pass  # the heading of the columns
        elif words[:1] in (["enabled"], ["buffer"]):
            self._flags(line, words)
        else:
            return False
        return True

    def _flags(self, line: Line, words: list[str]) -> None:
        what, cells = words[0], words[1:]
        if what == "enabled":
            self.row["pfc"] = flags(cells)
            made: object = self.row["pfc"]
        else:
            made = self.row["priority_to_buffer"] = eight(dict(enumerate(cells)))
        if made is None or len(cells) != 8:
            self._draft.odd(
                line.number, f"{what}: expected eight values: {line.text.strip()[:60]!r}"
            )

    def _dscp(self, line: Line, text: str) -> None:
        map_: dict[int, int] = self.row.setdefault("dscp_to_priority", {})
        for priority, listed in _DSCP.findall(text):
            for cell in listed.replace(" ", "").split(","):
                dscp = whole(cell)
                if dscp is not None and dscp < 64:
                    map_[dscp] = int(priority)
                elif cell == "...":
                    self.row["dscp_to_priority_shortened"] = True
                    self._draft.odd(line.number, "the DSCPs are shortened with ...")
                elif cell:
                    self._draft.odd(line.number, f"not a DSCP: {cell[:20]!r}")

    def _buffers(self, line: Line, value: str) -> None:
        sizes, _, total = value.partition("max_buffer_size=")
        made = [whole(cell) for cell in sizes.split(",") if cell.strip()]
        if None in made:
            self._draft.odd(line.number, f"buffer sizes: expected bytes: {value[:40]!r}")
        self.row |= {"buffer_nbytes": made, "buffer_total_nbytes": whole(total)}

    def _tc(self, line: Line, text: str) -> None:
        found = _TC.match(text)
        if found is None:
            self._draft.odd(line.number, f"not a traffic class: {text[:60]!r}")
            return
        made: Row = {"tc": int(found["tc"]), "tsa": found["tsa"], "rate_limit": found["limit"]}
        if found["bw"]:
            made["bandwidth_percent"] = float(found["bw"])
        self._classes.append(made)
        self.row["traffic_classes"] = self._classes

    def _priority(self, line: Line, text: str) -> None:
        priority = whole(text.partition(":")[2])
        if not self._classes or priority is None or priority not in PRIORITIES:
            self._draft.odd(line.number, f"a priority of no traffic class: {text[:40]!r}")
            return
        self._classes[-1].setdefault("priorities", []).append(priority)
        self._class_of[priority] = self._classes[-1]["tc"]
        if len(self._class_of) == len(PRIORITIES):
            self.row["priority_to_tc"] = [self._class_of[p] for p in PRIORITIES]


class QosTables:
    """Tables of several devices; which one, where the command of mlnx_qos stands above its table."""

    def __init__(self, draft: Draft) -> None:
        self._draft, self._table = draft, QosTable(draft, {})

    def take(self, line: Line) -> None:
        """A line of a table, into a row of its device, or the command above one."""
        if command := _COMMAND.fullmatch(line.text):
            self._table = QosTable(self._draft, {"netdev": command[1]})
        elif self._table.take(line):
            self._draft.keep(self._table.row)
        else:
            self._draft.strange(line.number, line.text)
