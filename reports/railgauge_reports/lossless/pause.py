"""The share of time that somebody was told to stop, by port, direction and priority; and by whom.

    R_rx(p) = d(microseconds of pause received for p) / 10^6 / seconds: how long this port was stopped
    R_tx(p) = the same of what this port asked of its peer

Drivers that count frames alone give an upper bound: a frame stops its peer for 65535 quanta of 512 bit
times at most (IEEE 802.3 annex 31B, IEEE 802.1Qbb).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pandas as pd

from railgauge_reports.lossless.evidence import Count, Evidence, Port

Direction = Literal["rx", "tx"]
DIRECTIONS: tuple[Direction, ...] = ("rx", "tx")
LONGEST_BITS = 65535 * 512
#: Events that a pause ratio can be had from.
EVENTS = tuple(
    f"{glob}pause_{direction}{unit}"
    for glob in ("", "global_")
    for direction in DIRECTIONS
    for unit in ("_us", "")
)
#: Where the bands end, and what they are called outside an incast (ours).
BANDS = ((0.001, "none to speak of"), (0.01, "noticeable"), (0.1, "high"))
WORST = "very high"
HIGH = 0.01


class Ratio(NamedTuple):
    """A pause ratio; `priority` None: 802.3x, all classes. `bound`: it is at most this."""

    value: float
    bound: bool
    direction: Direction
    priority: int | None
    frames_per_second: float | None = None
    seconds: float = 0.0


def band(value: float) -> str:
    """The word for a ratio."""
    return next((word for end, word in BANDS if value < end), WORST)


def share(
    us_per_second: float | None,
    frames_per_second: float | None,
    rate_Gbps: float | None,  # noqa: N803 (units as they are written)
) -> tuple[float, bool] | None:
    """(ratio, is it an upper bound) from rates; None where neither can be had."""
    if us_per_second is not None:
        return us_per_second / 1e6, False
    if frames_per_second is None or (frames_per_second and not rate_Gbps):
        return None
    if not frames_per_second:
        return 0.0, False
    return min(1.0, frames_per_second * LONGEST_BITS / (rate_Gbps or 1) / 1e9), True


def of_port(port: Port) -> tuple[Ratio, ...]:
    """Every ratio that the port's counters give."""
    found = []
    for direction in DIRECTIONS:
        for glob in ("", "global_"):
            us = _by_priority(port, f"{glob}pause_{direction}_us")
            frames = _by_priority(port, f"{glob}pause_{direction}")
            for priority in sorted({*us, *frames}, key=lambda p: -1 if p is None else p):
                time, times = us.get(priority), frames.get(priority)
                frame_rate = times.rate if times else None
                made = share(time.rate if time else None, frame_rate, port.rate_Gbps)
                if made is not None:
                    seconds = (time or times).seconds  # type: ignore[union-attr]
                    found.append(Ratio(*made, direction, priority, frame_rate, seconds))
    return tuple(found)


def _by_priority(port: Port, event: str) -> dict[int | None, Count]:
    """The counter of each priority; of a bond's several devices the one that moved most."""
    known = [count for count in port.by_event.get(event, ()) if count.rate is not None]
    known.sort(key=lambda count: count.rate or 0.0)
    return {count.kind.priority: count for count in known}


def worst(port: Port, direction: Direction | None = None) -> Ratio | None:
    """The largest ratio of a port, in one direction or either."""
    fitting = [ratio for ratio in of_port(port) if direction in (None, ratio.direction)]
    return max(fitting, key=lambda ratio: ratio.value, default=None)


# who stops whom -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Graph:
    """Ports that were stopped for more than 1 % of the time, and the ports at which that begins."""

    paused: tuple[Port, ...]
    roots: tuple[Port, ...]

    def sentence(self) -> str:
        """Where to look."""
        if not self.paused:
            return ""
        plural = "s were" if len(self.paused) > 1 else " was"
        who = f"{len(self.paused)} port{plural} stopped for more than 1 % of the time"
        if not self.roots:
            return f"{who}, and no host asks for it: the pauses begin in the switches"
        named = ", ".join(f"{port.name} on {port.host}" for port in self.roots[:5])
        return f"{who}; the pauses begin at {named}: a host that stops others and is not stopped"


def graph(evidence: Evidence) -> Graph:
    """Walk from every stopped port to whom it sends, until a port that stops and is not stopped.

    Where the flows are unknown, every host may be the receiver of every other.
    """
    high = {
        direction: {
            port: ratio.value
            for port in evidence.fabric
            if (ratio := worst(port, direction)) and ratio.value > HIGH
        }
        for direction in DIRECTIONS
    }
    paused = tuple(high["rx"])
    reached = _reached(evidence, {port.host for port in paused})
    roots = tuple(port for port in high["tx"] if port.host in reached and port not in high["rx"])
    return Graph(paused, roots)


def _reached(evidence: Evidence, paused: set[str]) -> set[str]:
    """The hosts that somebody who is stopped sends to, over others who are stopped."""
    reached: set[str] = set()
    for host in paused:
        receivers = evidence.traffic.receivers(host)
        if receivers is None:
            return set(evidence.hosts) - (paused if len(paused) == 1 else set())
        reached |= set(receivers) - {host}
    return reached


# from the counter frame -------------------------------------------------------------------------------

COLUMNS = {
    "case": "Int64",
    "round": "Int64",
    "host": "string",
    "device": "string",
    "direction": "string",
    "priority": "Int64",  # NA: 802.3x, all classes
    "pause_ratio": "Float64",
    "bound": "boolean",  # it is at most this: frames were counted, and no time
}


def ratios(
    frame: pd.DataFrame,
    rates_Gbps: Mapping[tuple[str, str], float],  # noqa: N803
) -> pd.DataFrame:
    """Rows COLUMNS from rows of `counters.counter_frame`: a ratio for all that was paused.

    `rates_Gbps` maps (host, network device) to the line's rate, which frames alone need.
    """
    wanted = frame[frame["event"].isin(EVENTS) & frame["per_second"].notna()]
    cells: dict[tuple[Any, ...], dict[str, float]] = {}
    for row in wanted.to_dict("records"):
        glob, _, rest = str(row["event"]).rpartition("pause_")
        direction, _, unit = rest.partition("_")
        priority = None if glob or pd.isna(row["priority"]) else int(row["priority"])
        key: tuple[Any, ...] = (
            row["case"],
            row["round"],
            row["host"],
            row["device"],
            direction,
            priority,
        )
        cells.setdefault(key, {})[unit or "frames"] = float(row["per_second"])
    rows = []
    for key, cell in cells.items():
        rate = rates_Gbps.get((str(key[2]), str(key[3])))
        if made := share(cell.get("us"), cell.get("frames"), rate):
            rows.append((*key, *made))
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
