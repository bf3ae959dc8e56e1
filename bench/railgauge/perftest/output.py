"""What perftest's programs print, read: `parse` is a pure function of the text.

Tables come line by line (`tables.py`), and there is the document of `--out_json`.

Units: MB and MiB are both 2^20 bytes and Gb 10^9 bits (src/perftest_parameters.c, print_report_bw);
times are in us, those of `send` and `write` already half of a round trip (print_report_lat).
"""

# ruff: noqa: N815  (units keep their capitals: GBps is not Gbps)

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from railgauge.perftest import tables
from railgauge.perftest.tables import number

MICRO = 1e-6
MOST_DIGITS = 19  # of a whole number; what is longer is none of perftest's
_VERBS = ("write", "read", "send", "atomic")
#: Bytes a second that 1 of a unit is.
_RATES = {"MB/sec": 2**20, "MiB/sec": 2**20, "Gb/sec": 1e9 / 8}
_JSON_NAMES = {
    "MsgSize": "#bytes",
    "n_iterations": "#iterations",
    "BW_peak": "BW peak",
    "BW_average": "BW average",
    "MsgRate": "MsgRate",
    "t_min": "t_min",
    "t_max": "t_max",
    "t_typical": "t_typical",
    "t_avg": "t_avg",
    "t_stdev": "t_stdev",
    "percentile_99": "99% percentile",
    "percentile_99.9": "99.9% percentile",
}


class Bandwidth(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a bandwidth table, both directions together where the test is bidirectional.

    `seconds` is the time of one message, from the average or from the message rate, whichever is
    printed with more digits. `peak_GBps` is None where `-N` or a duration left it out.
    """

    nbytes: int
    iterations: int
    average_GBps: float
    seconds: float
    peak_GBps: float | None = None
    messages_per_second: float | None = None


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a latency table, in seconds one way (of a read: to and back); what is lacking is None.

    `typical` is the median. `raw` are the times of all iterations in their order, of `-U`; `ordered`
    those of `-H`.
    """

    nbytes: int
    iterations: int
    average: float | None = None
    minimum: float | None = None
    maximum: float | None = None
    typical: float | None = None
    deviation: float | None = None
    p99: float | None = None
    p99_9: float | None = None
    raw: tuple[float, ...] = ()
    ordered: tuple[float, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one program said.

    `verb` is write, read, send, atomic or "" (no title was found). `facts` are the lines `name : value`
    above the table as they stand there (`Device`, `Mtu`, `Link type`, `GID index`); `remarks` lines of
    no known sort, the warnings among them.
    """

    verb: str = ""
    bidirectional: bool = False
    facts: Mapping[str, str] = {}
    bandwidths: tuple[Bandwidth, ...] = ()
    latencies: tuple[Latency, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def mtu(self) -> int | None:
        """Bytes that a packet carries at most, None where the program did not say."""
        digits = re.match(r"\d+", self.facts.get("Mtu", ""))
        return int(digits[0]) if digits else None


def parse(text: str) -> Report:
    """The report of a program's output, or of its `--out_json` document; never raises.

    Where nothing is recognised, all of it is `remarks`.
    """
    if text.lstrip().startswith("{"):
        made = _from_json(text)
        if made is not None:
            return made
    return Reader().read(text)


class Reader:
    """What a program printed, line by line.

    Between two lines it knows the columns of the table, and the raw times since its last row.
    """

    def __init__(self) -> None:
        self.verb, self.bidirectional = "", False
        self.facts: dict[str, str] = {}
        self.columns: tuple[tuple[str, str], ...] = ()
        self.raw: list[list[float]] = []
        self.in_raw = False
        self.bandwidths: list[Bandwidth] = []
        self.latencies: list[Latency] = []
        self.remarks: list[str] = []

    def read(self, text: str) -> Report:
        for line in text.splitlines():
            made = tables.sorted_line(line, bool(self.columns))
            if made is not None and not self.take(made):
                self.remarks.append(line[: tables.MOST_CHARACTERS].strip())
        return Report(
            verb=self.verb,
            bidirectional=self.bidirectional,
            facts=self.facts,
            bandwidths=tuple(self.bandwidths),
            latencies=tuple(self.latencies),
            remarks=tuple(self.remarks),
        )

    def take(self, line: tables.Line) -> bool:
        """Take a line in; False where it is of no use."""
        if isinstance(line, tables.RawHead):
            self.in_raw = line.unit == "usec"  # cycles have no time
            if self.in_raw:
                self.raw.append([])
            return self.in_raw
        if isinstance(line, tables.Raw):
            if self.in_raw and line.value is not None:
                self.raw[-1].append(line.value * MICRO)
            return self.in_raw and line.value is not None
        if isinstance(line, tables.Head):
            self.columns = line.columns
        elif isinstance(line, tables.Title):
            self.verb = line.verb
            self.bidirectional = "bidirectional" in line.words.lower()
        elif isinstance(line, tables.Facts):
            self.facts |= line.named
        return (
            self._row(line.cells)
            if isinstance(line, tables.Row)
            else not isinstance(line, tables.Remark)
        )

    def _row(self, cells: Sequence[str]) -> bool:
        if len(cells) != len(self.columns):
            return False
        row = {name: (cell, unit) for (name, unit), cell in zip(self.columns, cells, strict=True)}
        first, *others = self.raw or [[]]
        made = _row(row, tuple(first), tuple(others[0]) if others else ())
        if isinstance(made, Bandwidth):
            self.bandwidths.append(made)
        elif isinstance(made, Latency):
            self.latencies.append(made)
            self.raw, self.in_raw = [], False
        return made is not None


_Cells = Mapping[str, tuple[str, str]]


def _row(
    row: _Cells, raw: tuple[float, ...] = (), ordered: tuple[float, ...] = ()
) -> Bandwidth | Latency | None:
    """The row of name -> (text, unit); None where it has no size, or neither rate nor time."""
    nbytes, iterations = _whole(row, "#bytes"), _whole(row, "#iterations")
    if nbytes is None or iterations is None:
        return None
    if "BW average" in row:
        return _bandwidth(row, nbytes, iterations)
    times = {
        field: _seconds(row, name)
        for field, name in (
            ("average", "t_avg"),
            ("minimum", "t_min"),
            ("maximum", "t_max"),
            ("typical", "t_typical"),
            ("deviation", "t_stdev"),
            ("p99", "99% percentile"),
            ("p99_9", "99.9% percentile"),
        )
    }
    if times["average"] is None and times["typical"] is None:
        return None
    return Latency(nbytes=nbytes, iterations=iterations, raw=raw, ordered=ordered, **times)


def _bandwidth(row: _Cells, nbytes: int, iterations: int) -> Bandwidth | None:
    text, unit = row["BW average"]
    scale, average = _RATES.get(unit), number(text)
    rate_text = row.get("MsgRate", ("0", ""))[0]
    rate = (number(rate_text) or 0.0) * 1e6  # Mpps
    if scale is None or average is None or not (average or rate):
        return None
    peak = number(row.get("BW peak", ("0", ""))[0]) or None
    by_average = nbytes / (average * scale) if average else math.inf
    finer = rate and _rounding(rate_text) < _rounding(text)
    return Bandwidth(
        nbytes=nbytes,
        iterations=iterations,
        average_GBps=average * scale / 1e9,
        seconds=1 / rate if finer else by_average,
        peak_GBps=peak and peak * scale / 1e9,
        messages_per_second=rate or None,
    )


def _rounding(text: str) -> float:
    """How far a printed number may be off, as a share of it: half of its last digit."""
    value = float(text)
    decimals = len(text.partition(".")[2])
    return 0.5 * 10.0**-decimals / value if value else math.inf


def _whole(row: _Cells, name: str) -> int | None:
    text = row.get(name, ("", ""))[0]
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else None


def _seconds(row: _Cells, name: str) -> float | None:
    text, unit = row.get(name, ("", ""))
    value = number(text) if unit == "usec" else None
    return None if value is None else value * MICRO


# --out_json ---------------------------------------------------------------------------------------


class _Document(msgspec.Struct, frozen=True):
    test_info: dict[str, str | int | float] = {}
    results: dict[str, str | int | float] = {}


def _from_json(text: str) -> Report | None:
    """The report of an `--out_json` document; None where it is none.

    It does not say the unit of its bandwidths: that is found from the size and the message rate.
    """
    plain = re.sub(r",(\s*})", r"\1", text)  # some versions end an object with a comma
    try:
        made = msgspec.json.decode(plain.encode(errors="replace"), type=_Document)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None
    info = {name.replace("_", " "): str(value) for name, value in made.test_info.items()}
    words = info.pop("test", "").lower()
    cells = {_JSON_NAMES.get(name, name): _written(v) for name, v in made.results.items()}
    row = _row({name: (cell, _json_unit(name, cells)) for name, cell in cells.items()})
    return Report(
        verb=next((verb for verb in _VERBS if verb in words), ""),
        bidirectional="bidirectional" in words,
        facts=info,
        bandwidths=(row,) if isinstance(row, Bandwidth) else (),
        latencies=(row,) if isinstance(row, Latency) else (),
    )


def _written(value: str | float) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _json_unit(name: str, cells: Mapping[str, str]) -> str:
    if not name.startswith("BW"):
        return "usec"
    average, rate, nbytes = (number(cells.get(k, "")) for k in ("BW average", "MsgRate", "#bytes"))
    if not (average and rate and nbytes) or not math.isfinite(nbytes * rate * 1e6):
        return ""
    moved = nbytes * rate * 1e6
    return min(
        ("MiB/sec", "Gb/sec"), key=lambda unit: abs(math.log(average * _RATES[unit] / moved))
    )
