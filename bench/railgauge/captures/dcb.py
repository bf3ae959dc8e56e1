"""dcb (iproute2): pfc, ets, app, buffer and dcbx of a network device, as text or JSON (-j).

`requests` are PFC frames that were sent, `indications` such as were received, by priority
(include/uapi/linux/dcbnl.h): counters under the names that drivers' statistics have for them.
"""

from __future__ import annotations

import re
from typing import Any

from railgauge.capturing.capture import (
    UNNAMED,
    Capture,
    Draft,
    Row,
    as_json,
    decimal,
    eight,
    flags,
    looks_like_json,
    mapping,
    whole,
)
from railgauge.capturing.qos import into_classes
from railgauge.counting import Place

_COMMAND = re.compile(r".*\bdcb\b.*\bshow\b.*\bdev\s+(\S+).*")
_JSON = re.compile(
    r'"(pfc_cap|prio_pfc|ets_cap|prio_tc|dscp_prio|prio_buffer|buffer_size|total_size)"'
)
#: Keywords that begin a line or follow one another in it.
_KEYS = (
    *("pfc-cap", "macsec-bypass", "delay", "prio-pfc", "pg-pfc", "requests", "indications"),
    *("willing", "ets-cap", "cbs", "tc-bw", "pg-bw", "tc-tsa", "prio-tc"),
    *("reco-tc-bw", "reco-tc-tsa", "reco-prio-tc", "prio-buffer", "buffer-size", "total-size"),
    *(
        "ethtype-prio",
        "default-prio",
        "dscp-prio",
        "stream-port-prio",
        "dgram-port-prio",
        "port-prio",
    ),
)
_SPLIT = re.compile(rf"(?:^|\s)({'|'.join(_KEYS)})(?=\s|$)")
_SIGNS = (
    r"^\s*(pfc-cap \d|(pg|prio)-pfc 0:|willing (on|off) ets-cap|tc-bw 0:|prio-tc 0:|dscp-prio \S+:\d"
    r"|prio-buffer 0:|buffer-size 0:)"
)


def recognises(text: str) -> bool:
    if looks_like_json(text):
        return bool(_JSON.search(text)) and '"ifname"' not in text
    return bool(re.search(_SIGNS, text, re.MULTILINE))


def parse(text: str) -> Capture:
    """A row for every device that a command names, and its PFC frames as a reading."""
    if looks_like_json(text):
        draft, found = Draft("\n"), as_json(text)
        command = _COMMAND.search(text[: text.find("{")])
        for entry in found if isinstance(found, list) else [found]:
            if isinstance(entry, dict):
                draft.rows.append(_of_json(draft, entry, command[1] if command else ""))
            else:
                draft.odd(0, f"expected an object: {str(entry)[:40]!r}")
        return draft.done()
    return _of_text(text)


def _of_text(text: str) -> Capture:
    draft, row, netdev = Draft(text), Row(), ""
    for line in draft.lines:
        if command := _COMMAND.fullmatch(line.text):
            row, netdev = {"netdev": command[1]}, command[1]
            continue
        if not line.text.strip() or line.text.lstrip().startswith(("#", "$")):
            continue
        head, *pieces = _SPLIT.split(line.text)
        if head.strip():
            draft.odd(line.number, f"not understood: {head.strip()[:40]!r}")
        for key, value in zip(pieces[::2], pieces[1::2], strict=True):
            draft.keep(row)
            _field(draft, line.number, key, value.strip(), row, netdev)
    return draft.done()


def _field(draft: Draft, line: int, key: str, value: str, row: Row, netdev: str) -> None:
    made: Any = value
    match key:
        case "prio-pfc" | "pg-pfc":
            by_priority = mapping(value)
            key, made = "pfc", flags([by_priority.get(n, "") for n in range(8)])
        case "requests" | "indications":
            for priority, frames in mapping(value).items():
                _frames(draft, line, key, priority, frames, netdev)
            return
        case "pfc-cap" | "ets-cap" | "delay":
            made = whole(value)
        case "willing" | "macsec-bypass" | "cbs":
            made = {"on": True, "off": False}.get(value)
        case "prio-tc":
            key, made = "priority_to_tc", eight(mapping(value))
        case "prio-buffer":
            key, made = "priority_to_buffer", eight(mapping(value))
        case "dscp-prio":
            key, made = "dscp_to_priority", _dscps(mapping(value))
        case "tc-bw" | "tc-tsa":
            _classes(key, mapping(value), row)
            return
    if made is None:
        draft.odd(line, f"{key}: not understood: {value[:60]!r}")
    row[key.replace("-", "_")] = made


def _frames(draft: Draft, line: int, key: str, priority: int, frames: str, netdev: str) -> None:
    name = f"{'tx' if key == 'requests' else 'rx'}_prio{priority}_pause"
    draft.counter(Place("ethtool", netdev or UNNAMED), name, frames, line)


def _dscps(by_dscp: dict[int, str]) -> dict[int, int] | None:
    made = {dscp: whole(priority) for dscp, priority in by_dscp.items()}
    known = {dscp: priority for dscp, priority in made.items() if priority is not None}
    return known if len(known) == len(made) and made else None


def _classes(key: str, by_class: dict[int, str], row: Row) -> None:
    if key.endswith("tsa"):
        into_classes(row, "tsa", by_class)
    else:
        into_classes(
            row, "bandwidth_percent", {tc: decimal(share) for tc, share in by_class.items()}
        )


def _of_json(draft: Draft, entry: dict[str, Any], netdev: str) -> Row:
    row: Row = {"netdev": netdev} if netdev else {}
    for key, value in entry.items():
        if key == "prio_pfc":
            row["pfc"] = _list_of(draft, key, value, bool)
        elif key in ("requests", "indications") and isinstance(value, list):
            for priority, frames in enumerate(value[:8]):
                _frames(draft, 0, key, priority, str(frames), netdev)
        elif key in ("prio_tc", "prio_buffer"):
            name = "priority_to_tc" if key == "prio_tc" else "priority_to_buffer"
            row[name] = _list_of(draft, key, value, int)
        elif key == "dscp_prio":
            pairs = [pair for pair in value if _is_pair(pair)] if isinstance(value, list) else []
            row["dscp_to_priority"] = dict(pairs)
        elif key in ("tc_tsa", "tc_bw") and isinstance(value, list):
            _classes(key, {n: str(cell) for n, cell in enumerate(value)}, row)
        elif key == "buffer_size":
            row["buffer_nbytes"] = value
        else:
            row[key] = value
    return row


def _list_of(draft: Draft, key: str, value: Any, kind: type) -> list[Any] | None:
    if isinstance(value, list) and len(value) == 8 and all(type(cell) is kind for cell in value):
        return value
    draft.odd(0, f"{key}: expected eight of {kind.__name__}: {str(value)[:60]!r}")
    return None


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(type(cell) is int for cell in pair)
