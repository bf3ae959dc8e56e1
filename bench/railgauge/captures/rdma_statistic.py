"""rdma statistic: hardware counters of RDMA links, as text or JSON, optional counters included."""

from __future__ import annotations

import re
from typing import Any

from railgauge.capturing.capture import Capture, Draft, as_json, looks_like_json, whole
from railgauge.counters.rdma import driver_of
from railgauge.counting import Place

_LINK = re.compile(r"(?:\d+/\d+: )?link (\S+)/(\d{1,4}|-)(?: (.*))?")
_MODE = re.compile(r"(supported )?optional-counters (\S+)")
#: What names a queue pair's own counter, which the link's value contains already (kernel: nldev.c).
_OF_A_QUEUE = re.compile(r"\b(cntn|lqpn)\b")


def recognises(text: str) -> bool:
    if looks_like_json(text):
        return bool(re.search(r'"ifname"', text)) and not re.search(r'"(physical_)?state"', text)
    found = re.search(r"^link \S+/(\d+|-) (.*)", text, re.MULTILINE)
    return bool(found) and not re.search(r"^link \S+/\d+ .*\bstate [A-Z]", text, re.MULTILINE)


def parse(text: str) -> Capture:
    """A reading for every link; counters of single queue pairs, and optional ones, are rows."""
    return _from_json(text) if looks_like_json(text) else _from_text(text)


def _from_json(text: str) -> Capture:
    draft, found = Draft("\n"), as_json(text)
    for n, entry in enumerate(found if isinstance(found, list) else [found], 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("ifname"), str):
            draft.odd(0, f"entry {n} has no ifname")
            continue
        _entry(draft, entry)
    return draft.done()


def _entry(draft: Draft, entry: dict[str, Any]) -> None:
    device, port = str(entry["ifname"]), entry.get("port", 0)
    if not isinstance(port, int) or not 0 <= port < 10000:
        draft.odd(0, f"{device}: not a port: {port!r}")
        return
    rest = {
        name: value for name, value in entry.items() if name not in ("ifindex", "ifname", "port")
    }
    if "cntn" in rest or "lqpn" in rest or any(isinstance(v, list) for v in rest.values()):
        draft.rows.append({"device": device, "port": port} | rest)
        return
    place = draft.place(Place("rdma", device, port), driver=driver_of(device))
    for name, value in rest.items():
        exact = isinstance(value, int) and not isinstance(value, bool)
        draft.counter(place, name, str(value) if exact else repr(value), 0)


def _from_text(text: str) -> Capture:
    """A record goes from `link` to the next one, a prompt or a blank line; tools wrap it."""
    draft = Draft(text)
    records: list[tuple[int, str]] = []
    inside = False
    for line in draft.lines:
        shown = line.text.strip()
        if _LINK.fullmatch(shown):
            records.append((line.number, shown))
            inside = True
        elif not shown or shown.startswith(("$", "#")):
            inside = False
        elif inside:
            number, before = records[-1]
            records[-1] = (number, f"{before} {shown}")
        else:
            draft.odd(line.number, f"belongs to no link: {shown[:40]!r}")
    for number, record in records:
        _record(draft, number, record)
    return draft.done()


def _record(draft: Draft, line: int, record: str) -> None:
    found = _LINK.fullmatch(record)
    assert found is not None  # it began one
    device, port = found[1], 0 if found[2] == "-" else int(found[2])
    rest = found[3] or ""
    if mode := _MODE.fullmatch(rest.strip()):
        key = "optional_supported" if mode[1] else "optional_counters"
        draft.rows.append({"device": device, "port": port, key: mode[2].split(",")})
        return
    if _OF_A_QUEUE.search(rest):
        draft.rows.append({"device": device, "port": port, "counters_of_a_queue": rest})
        return
    place = draft.place(Place("rdma", device, port), driver=driver_of(device))
    name: list[str] = []  # irdma's names have blanks
    for word in rest.split():
        if name and whole(word) is not None:
            draft.counter(place, " ".join(name), word, line)
            name = []
        else:
            name.append(word)
    if name:
        draft.odd(line, f"a name without a value: {' '.join(name)[:40]!r}")
