"""Limits that somebody set, read from TOML, JSON or CSV; and what can be said of one.

TOML: `[[threshold]]` tables; what stands before them is the default of all. JSON: the same object, or a
list. CSV: a header of field names, a row a threshold, an empty cell where nothing is said.
"""

# ruff: noqa: N815  (units keep their capitals: Gbps is not GBps)

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from railgauge.decoding import told
from railgauge.errors import UsageError
from railgauge.units import parse_size

MOST_BYTES = 4 << 20
MOST_THRESHOLDS = 10_000
Text = Annotated[str, Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Count = Annotated[int, Meta(ge=1, le=1 << 20)]
Figure = Annotated[float, Meta(gt=0, le=1e15)]
Quantity = Literal["busbw", "algbw", "time"]
Word = Literal["fine", "unreachable", "blind", "unknown"]

#: Unit -> GB/s, or seconds.
BANDWIDTH_UNITS = {
    "TB/s": 1e3,
    "GB/s": 1.0,
    "MB/s": 1e-3,
    "GiB/s": 2**30 / 1e9,
    "MiB/s": 2**20 / 1e9,
    "Tb/s": 125.0,
    "Gb/s": 1 / 8,
    "Mb/s": 1e-3 / 8,
}
TIME_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
#: Parts of the expected value, or of the median over the fleet.
SHARE_UNITS = ("of expected", "of median")
UNITS = (*BANDWIDTH_UNITS, *TIME_UNITS, *SHARE_UNITS)
EXAMPLE = (
    '[[threshold]]\nname = "nightly"\noperation = "all_reduce"\nnbytes = "8G"\nnodes = 4\n'
    'algorithm = "ring"\nvalue = 0.9\nunit = "of expected"\ncluster = "h100"\nsource = "ours"'
)


class Threshold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One limit: what is measured must be at least (time: at most) `value`.

    `cluster` is a TOML file of a cluster, or one that ships; else the hardware is said by
    `gpus_per_node`, `nics_per_node`, `nic_Gbps` and `nvlink_generation`. `quantity` is busbw unless
    said otherwise, or the unit is one of time. `nbytes` is a number, or a size as `8G`.
    """

    value: Figure
    name: Text = ""
    operation: Text | None = None
    pattern: Text = "world"
    nbytes: Annotated[int, Meta(ge=1, le=1 << 50)] | Text | None = None
    nodes: Count | None = None
    gpus_per_node: Count | None = None
    nics_per_node: Count | None = None
    nic_Gbps: Figure | None = None
    nvlink_generation: Count | None = None
    algorithm: Text | None = None
    quantity: Quantity | None = None
    unit: Text | None = None
    cluster: Text | None = None
    source: Text = ""

    @property
    def size(self) -> int | None:
        """Bytes of the message; None where it is not said."""
        if isinstance(self.nbytes, str):
            return parse_size(self.nbytes, f"threshold {self.name!r}: nbytes")
        return self.nbytes


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one threshold. Bandwidths are GB/s of busbw; None: not known.

    `missing` are fields that the answer needs; `over_bound` is value / bound - 1; `dead_rails` is how
    many of `rails` may be dead and `slow_share` how slow a single one may be, and it still passes.
    """

    name: str
    verdict: Word
    words: list[str]
    missing: list[str] = []
    value_GBps: float | None = None
    bound_GBps: float | None = None
    expected_GBps: float | None = None
    over_bound: float | None = None
    dead_rails: int | None = None
    rails: int | None = None
    slow_share: float | None = None


def read_thresholds(path: Path) -> tuple[Threshold, ...]:
    """The limits of a file, named by their place where they have no name; raises UsageError."""
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise _wrong(path, f"cannot be read ({why})") from None
    if len(raw) > MOST_BYTES:
        raise _wrong(path, f"longer than {MOST_BYTES} B")
    try:
        rows = _rows(path.suffix.lower(), text)
    except (msgspec.DecodeError, csv.Error, RecursionError) as error:
        raise _wrong(path, f"cannot be parsed: {error}") from None
    if not 1 <= len(rows) <= MOST_THRESHOLDS:
        raise _wrong(path, f"holds {len(rows)} thresholds")
    return tuple(_threshold(path, place, row) for place, row in enumerate(rows, 1))


def _wrong(path: Path, why: str) -> UsageError:
    indented = "\n".join(f"    {line}" for line in EXAMPLE.splitlines())
    return UsageError(
        f"--lint {path}: {why}.\n  expected: TOML, JSON or CSV of thresholds, such as\n{indented}"
    )


def _rows(suffix: str, text: str) -> list[Any]:
    """One mapping a threshold, defaults merged in."""
    if suffix == ".csv":
        reader = csv.DictReader(io.StringIO(text), skipinitialspace=True, strict=True)
        return [
            {key: value for key, value in row.items() if value not in ("", None)} for row in reader
        ]
    decoded = msgspec.json.decode(text) if suffix == ".json" else msgspec.toml.decode(text)
    if isinstance(decoded, list):
        return decoded
    if not isinstance(decoded, dict):
        return []
    # [[threshold]] as TOML writes it, or a list by its plural, as JSON is written
    rows = [one for key in ("threshold", "thresholds") for one in _listed(decoded.pop(key, []))]
    return [{**decoded, **row} if isinstance(row, dict) else row for row in rows]


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _threshold(path: Path, place: int, row: Any) -> Threshold:
    where = f"threshold {place}"
    if isinstance(row, dict):
        row.setdefault("name", f"threshold {place}")
        where = f"{where} ({str(row['name'])[:60]!r})"
    try:
        made = msgspec.convert(row, Threshold, strict=False)
    except (msgspec.ValidationError, TypeError) as error:
        raise _wrong(path, f"{where}: {told(error, Threshold)}") from None
    if not math.isfinite(made.value):
        raise _wrong(path, f"{where}: value {made.value} is no limit")
    if made.unit is not None and made.unit not in UNITS:
        raise _wrong(path, f"{where}: unit {made.unit!r} is none of {', '.join(UNITS)}")
    if made.quantity == "time" and made.unit in BANDWIDTH_UNITS:
        raise _wrong(path, f"{where}: {made.unit} is no unit of time")
    if made.quantity in ("busbw", "algbw") and made.unit in TIME_UNITS:
        raise _wrong(path, f"{where}: {made.unit} is no unit of {made.quantity}")
    if made.size is not None and made.size < 1:
        raise _wrong(path, f"{where}: nbytes {made.nbytes} holds nothing")
    return made
